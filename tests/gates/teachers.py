"""A town whose behaviour is known, panels that describe it badly, and surveys of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lpm.personas import (
    Answers,
    Band,
    Cells,
    Surface,
    Survey,
    choose_anchors,
    make_surface,
    spread_out,
    surface_of,
)
from lpm.population.seeds import Generator, generator

BANDS = (5, 4, 3, 2)  # age, income, size of the home, work
CELL = np.stack(np.meshgrid(*map(np.arange, BANDS), indexing="ij"), -1).reshape(-1, len(BANDS))
CELLS = len(CELL)
KNOTS = {"prevalence": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)}
LEVEL = np.sqrt(np.array(KNOTS["prevalence"]))
PEOPLE = 400_000  # So that 2 % are 8,000 answers.
OLDEST = CELL[:, 0] == BANDS[0] - 1
AGE, INCOME, HOME, WORK = ((CELL[:, i] / (n - 1) - 0.5) for i, n in enumerate(BANDS))
GROUPS = [np.ones(CELLS, bool)] + [CELL[:, i] == b for i, n in enumerate(BANDS) for b in range(n)]
# What the correction may use: attributes as numbers, and their bands; no mark of who is off.
FEATURES = np.column_stack([CELL, *GROUPS[1:]]).astype(float)


@dataclass
class Town:
    """True log-odds by cell and knot, and people by cell."""

    truth: Float[np.ndarray, "cell knot"]
    weight: Float[np.ndarray, " cell"]
    rng: Generator


def town(seed: int) -> Town:
    """Behaviour that bends in age and income together, and cells with ways of their own."""
    rng = generator(seed)
    level = -0.3 + AGE + 0.8 * INCOME - HOME * WORK - 0.4 * WORK
    level = level + 1.2 * np.cos(3 * AGE) * INCOME + 0.8 * np.sin(5 * INCOME) * HOME
    slope = 1.5 + AGE - 1.2 * INCOME + 0.5 * np.cos(4 * AGE * INCOME)
    own = 0.1 * rng.standard_normal((CELLS, 1))
    return Town(level[:, None] + slope[:, None] * LEVEL + own, rng.gamma(2, 1, CELLS), rng)


def right(here: Town) -> Float[np.ndarray, "cell knot"]:
    return here.truth


def biased(here: Town) -> Float[np.ndarray, "cell knot"]:
    """Half the variance's root, a bias to the first option, one group shifted, a slope flipped."""
    mean = here.truth.mean()
    told = mean + 0.5 * (here.truth - mean) + 0.4 + 0.9 * OLDEST[:, None]
    return told + INCOME[:, None] * (1.2 * (LEVEL - 0.6) - 0.8)


def noise(here: Town) -> Float[np.ndarray, "cell knot"]:
    """A teacher that knows nothing."""
    return 1.5 * here.rng.standard_normal(here.truth.shape)


def elicit(here: Town, told: Float[np.ndarray, "cell knot"]) -> Surface:
    """Six paraphrases of whole people of a hundred."""
    replicates = told[..., None] + 0.3 * here.rng.standard_normal((*told.shape, 6))
    share = np.round(100 / (1 + np.exp(-replicates))) / 100
    values = np.stack([1 - share, share], axis=-1)[:, :, :, None]
    return surface_of(Answers(KNOTS, ("go out", "stay"), values))


def one_answer(here: Town, told: Float[np.ndarray, "cell knot"]) -> Surface:
    """A panel that says the same of everybody in every wording: 30 of a hundred."""
    values = np.broadcast_to([0.7, 0.3], (*told.shape, 6, 1, 2))
    return surface_of(Answers(KNOTS, ("go out", "stay"), values))


def cells(weight: Float[np.ndarray, " cell"]) -> Cells:
    """The cells of a town, as a population would be cut into them."""
    bands = [
        Band(
            name,
            name,
            tuple(map(float, range(1, count))),
            tuple(f"{name} {b}." for b in range(count)),
        )
        for name, count in zip(("age", "income", "home", "work"), BANDS, strict=True)
    ]
    values, nobody = CELL.astype(float), np.arange(CELLS)
    return Cells(tuple(bands), CELL, values, weight, nobody, 0.0)


def elicit_few(here: Town, told: Float[np.ndarray, "cell knot"]) -> Surface:
    """48 anchors are asked; ridge regression foretells the other 72 cells."""
    here_cells = cells(here.weight)
    anchors = choose_anchors(here_cells, 48, seed=1)
    whole = elicit(here, told)
    asked = make_surface(whole.mean[anchors.cell], whole.spread[anchors.cell], KNOTS, whole.actions)
    return spread_out(asked, anchors, here_cells).surface


def ask_people(here: Town, share: float) -> tuple[Survey, np.ndarray]:
    """A survey of a share of the people, all of half of the cells; also the cells left out."""
    asked = here.rng.permutation(CELLS)[: CELLS // 2]
    chance = np.zeros(CELLS)
    chance[asked] = here.weight[asked] / here.weight[asked].sum()
    who = here.rng.multinomial(int(share * PEOPLE), chance)
    each = here.rng.multinomial(who, np.full(len(LEVEL), 1 / len(LEVEL)))
    stay = here.rng.binomial(each, 1 / (1 + np.exp(-here.truth)))
    survey = Survey(np.stack([each - stay, stay], axis=-1).astype(float))
    return survey, np.setdiff1d(np.arange(CELLS), asked)


def share_of(odds: object) -> Float[np.ndarray, "cell knot"]:
    return 1 / (1 + np.exp(-np.asarray(odds, np.float64)))


def bias_of(odds: object, here: Town, left: np.ndarray) -> float:
    """Root mean square, over groups and levels, of the mean error of a group's cells left out."""
    off = share_of(odds) - share_of(here.truth)
    rows = []
    for group in GROUPS:
        inside = left[group[left]]
        rows.append(here.weight[inside] @ off[inside] / here.weight[inside].sum())
    return float(np.sqrt(np.mean(np.square(rows))))
