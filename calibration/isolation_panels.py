"""One epidemic, six ways to answer whether the infected stay at home.

    python -m calibration.isolation_panels [--agents 5000] [--runs 8] [--seed 1]

The truth is made up: it is the card of `scenarios/isolation.py` itself. `constant` and `threshold`
are heuristics: the same share always, or three in four from a prevalence of 1 % on and half below.
`archetypes` are 24 personas asked, their answers spread to all cells by ridge regression. `biased`
are the same with the sins that models of people are known for: answers drawn to the middle, a first
option preferred, the old misread. `corrected` are those after a survey of 2,000 people.
"""

import argparse
from collections.abc import Callable

import jax
import numpy as np

import lpm
from lpm import personas
from lpm.population.seeds import generator
from scenarios.isolation import KNOTS, STAY, answered_by, by_rules, scenario

ACTIONS = ("go out as usual", STAY)
SHAPE = tuple(len(levels) for levels in KNOTS.values())
ANCHORS, SURVEYED = 24, 2_000


def constant(cells: personas.Cells) -> personas.Surface:
    truth = by_rules(cells)
    share = np.asarray(truth.shares(prevalence=0.03, trend=0.0, payment=0.5))[:, 1]
    level = float(np.average(share, weights=cells.weight))
    return flat(cells, np.full(SHAPE, np.log(level / (1 - level))))


def threshold(cells: personas.Cells) -> personas.Surface:
    above = np.asarray(KNOTS["prevalence"]) >= 0.01
    odds = np.where(above, np.log(3), 0.0)[:, None, None]
    return flat(cells, np.broadcast_to(odds, SHAPE))


def flat(cells: personas.Cells, odds: np.ndarray) -> personas.Surface:
    mean = np.broadcast_to(odds[..., None], (len(cells), *SHAPE, 1))
    return personas.make_surface(mean, 0.3, KNOTS, ACTIONS)


def archetypes(cells: personas.Cells) -> personas.Surface:
    return ask(cells, lambda odds, _: odds)


def biased(cells: personas.Cells) -> personas.Surface:
    def sin(odds: np.ndarray, asked: np.ndarray) -> np.ndarray:
        old = (cells.value("age")[asked] >= 65).reshape(-1, 1, 1, 1, 1)
        return odds.mean() + 0.5 * (odds - odds.mean()) - 0.6 - 0.8 * old

    return ask(cells, sin)


def corrected(cells: personas.Cells) -> personas.Surface:
    panel, truth, rng = biased(cells), by_rules(cells), generator(11)
    chance = np.asarray(truth.mean)[..., 0]
    chance = 1 / (1 + np.exp(-chance.reshape(len(cells), -1)))
    half = rng.permutation(len(cells))[: len(cells) // 2]
    share = np.zeros(len(cells))
    share[half] = cells.weight[half] / cells.weight[half].sum()
    who = rng.multinomial(SURVEYED, share)
    each = rng.multinomial(who, np.full(chance.shape[1], 1 / chance.shape[1]))
    stay = rng.binomial(each, chance)
    counts = np.stack([each - stay, stay], axis=-1).astype(float)
    survey = personas.Survey(counts.reshape(len(cells), *SHAPE, 2))
    # A constant and a direction for each variable of the situation.
    known, rank = personas.attributes(cells), 1 + len(KNOTS)
    return personas.correct(panel, survey, known, rank=rank, weights=cells.weight).surface


def ask(
    cells: personas.Cells, sin: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> personas.Surface:
    anchors = personas.choose_anchors(cells, ANCHORS, seed=1)
    answers = personas.read_rules("isolation").ask(cells, KNOTS, of=anchors.cell)
    surface = personas.surface_of(answers, out_of=float("inf"), curve=personas.monotone)
    mean = sin(np.asarray(surface.mean), anchors.cell)
    asked = personas.make_surface(mean, np.asarray(surface.spread), KNOTS, ACTIONS)
    return personas.spread_out(asked, anchors, cells).surface


PANELS = {
    "constant": constant,
    "threshold": threshold,
    "rules": by_rules,
    "archetypes": archetypes,
    "biased": biased,
    "corrected": corrected,
}


def compare(agents: int, runs: int, seed: int) -> list[dict[str, object]]:
    """A row per panel: mean over runs, and what full payment saves against none."""
    town = scenario.population(agents, seed=seed)
    keys = jax.random.split(jax.random.key(seed), runs)
    rows: list[dict[str, object]] = []
    for name, panel in {"nobody told": by_rules, **PANELS}.items():
        model = answered_by(panel)
        told = {"told": 0.0} if name == "nobody told" else {}
        paid = model.params.replace(payment=np.array([0.5, 0.0, 1.0], np.float32), **told)
        seen = lpm.ensemble(model, town, keys=keys, params=paid).observed
        attack, prevalence = (np.asarray(seen[x]) for x in ("attack_rate", "prevalence"))
        ends = attack[..., -1]
        saved = ends[1] - ends[2]
        rows.append(
            {
                "panel": name,
                "attack rate": ends[0].mean(),
                "peak": prevalence[0].max(axis=-1).mean(),
                "day of peak": prevalence[0].argmax(axis=-1).mean() + 1,
                "isolated": np.asarray(seen["isolated"])[0, :, :60].mean(),
                "saved by payment": saved.mean(),
                "error": saved.std(ddof=1) / np.sqrt(runs),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--agents", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rows = compare(asked.agents, asked.runs, asked.seed)
    print(" ".join(f"{name:>16}" for name in rows[0]))
    for row in rows:
        print(" ".join(f"{x:>16}" if isinstance(x, str) else f"{x:>16.4g}" for x in row.values()))


if __name__ == "__main__":
    main()
