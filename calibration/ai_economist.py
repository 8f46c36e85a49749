"""The AI Economist without reinforcement learning: what its planner can find, against theory.

python calibration/ai_economist.py                       a quarter of an hour on two cores
python calibration/ai_economist.py --people 10001 --out A --json FILE

1. One step (`one_step_economy.py`): schedules learned by gradients beside the best that theory knows
   (`one_step_theory.py`), with a hundred and a million workers, for both utilities and objectives
   of the authors. Where theirs are sensitive to how they count, both ways are shown: their weights
   move with the policy, so that a planner also gains by whom he weighs; with a hundred workers the
   schedule is fitted to ranks; with their default scale incomes stay in the first bracket.
2. Ten years (`scenarios/labour_market.py`, in which wages clear): no tax, the United States' schedule
   of 2019, Saez's formula, and the schedule that gradients through the ten years find for equality
   times productivity. Beside them the figures of the authors' Gather-Trade-Build game as drawn in
   their tutorial. It is another game, with four agents on a map: for orientation only.

Zheng, Trott, Srinivasa, Parkes & Socher (2022), Science Advances 8, eabk2607. All parameters of the
labour market are made up; no figure here is an estimate for any country.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

import lpm
from calibration import one_step_economy as economy, one_step_theory as theory
from lpm.economics.optimal_tax import linear_rate, top_rate
from scenarios.labour_market import scenario

EDGES = economy.EDGES
FEDERAL = np.array([0.10, 0.12, 0.22, 0.24, 0.32, 0.35, 0.37])
ELASTICITY = float(scenario.params.elasticity)
PUBLISHED = {  # productivity, equality, product, of four agents
    "free market": (3285, 0.39, 1278),
    "US federal": (2656, 0.48, 1261),
    "Saez": (2759, 0.52, 1435),
    "AI Economist": (2907, 0.57, 1664),
}
FEW, MIDDLE = 100, 10_001


def fine_edges(optimum: theory.Optimum, brackets: int = 8) -> np.ndarray:
    """Thresholds with as many people between any two at the optimum; the people at the cap last."""
    inner = np.quantile(optimum.income[:-1], np.arange(1, brackets) / brackets)
    return np.concatenate([[0.0], inner])


def fixed_weights(skill: np.ndarray) -> jax.Array:
    """1 / income without taxes, where utility is linear: skill**-2."""
    return jnp.asarray(skill, jnp.float32) ** -2


def diamond(law: economy.Capped, people: int) -> dict[str, Any]:
    """Schedules in eight brackets beside Diamond's, at fixed weights."""
    best = theory.linear_optimum(theory.Grid.of(law), power=2)
    edges, start, found = fine_edges(best), None, {}
    for count in (FEW, MIDDLE, people):
        skill = economy.skills_of(law, count)
        cared = fixed_weights(skill)
        one = economy.learn(skill, "linear", "weighted", edges, weights=cared, start=start)
        # A million start from where ten thousand have arrived, which saves time and no more.
        start = one.rates if count >= MIDDLE else None
        found[str(count)] = {"rates": one.rates, "welfare": one.welfare}
    none = theory.laissez_faire(best)
    return {
        "edges": edges,
        "theory": best.by_bracket(edges),
        "learned": found,
        "share_of_gain": (found[str(people)]["welfare"] - none) / (best.welfare - none),
        "curve": (best.income[::200], best.rates[::200]),
    }


def flat(law: economy.Capped, people: int) -> dict[str, Any]:
    """Their default scale: one rate matters, and it has a closed form."""
    skill = economy.skills_of(law, people)
    found = economy.learn(skill, "linear", "weighted", weights=fixed_weights(skill))
    moving = economy.learn(skill, "linear", "weighted", moving=True)
    g = 1 / (law.moment(2) * law.moment(-2))
    return {
        "highest_income": float(found.outcome.income.max()),
        "second_edge": float(EDGES[1]),
        "learned": found.rates[0],
        "learned_with_moving_weights": moving.rates[0],
        "theory": linear_rate(g, 1.0),
    }


def published_brackets(law: economy.Capped) -> list[dict[str, Any]]:
    """Concave utility, whose incomes reach their brackets: each objective, theirs and held."""
    best = theory.concave_optimum(theory.Grid.of(law), theory.inverse_income)
    cases = [("weighted", False), ("weighted", True), ("product", False)]
    rows = []
    for objective, moving in cases:
        row: dict[str, Any] = {"objective": objective, "weights_move": moving}
        for count in (FEW, MIDDLE):
            skill = economy.skills_of(law, count)
            one = economy.learn(skill, "concave", objective, moving=moving)
            used = np.bincount(np.searchsorted(EDGES, one.outcome.income, "right") - 1, minlength=7)
            row[str(count)] = {"rates": one.rates, "welfare": one.welfare, "people": used / count}
        if objective == "weighted" and not moving:
            row["theory"] = best.by_bracket(EDGES)
        rows.append(row)
    return rows


def years(rates: np.ndarray, agents: int, key: int = 0) -> lpm.Trajectory:
    """Ten years of the labour market under the brackets of 2019."""
    params = scenario.params.replace(rates=rates, thresholds=EDGES)
    return lpm.simulate(scenario, lpm.Population.toy(agents), key=key, params=params)


def saez(agents: int, rounds: int = 8) -> np.ndarray:
    """Saez's rates for weights 1/income, at the incomes that they themselves lead to."""
    rates = FEDERAL
    for _ in range(rounds):
        state = years(rates, agents).state
        assert state is not None
        before, rates = rates, saez_rates(np.asarray(state.income, np.float64))
        if np.abs(rates - before).max() < 2e-3:
            break
    return rates


def saez_rates(income: np.ndarray) -> np.ndarray:
    """(1-G) / (1-G + a e) of each bracket, its mean over those in it, weights 1/income.

    `a` is income times density over the share above, from a kernel in log income; of the last
    bracket with people in it the Pareto index of means. Those above have the rate of it.
    """
    order = np.sort(income)
    logs = np.log(order)
    cared = theory.inverse_income(order) / theory.inverse_income(order).mean()
    above = 1 - (np.arange(len(order)) + 0.5) / len(order)
    mean_above = cared[::-1].cumsum()[::-1] / np.arange(len(order), 0, -1)
    at = np.linspace(logs[0], logs[-1], 400)
    dense = np.interp(logs, at, stats.gaussian_kde(logs[:: max(1, len(logs) // 5_000)])(at))
    rates = (1 - mean_above) / (1 - mean_above + dense / above * ELASTICITY)
    bracket = np.searchsorted(EDGES, order, "right") - 1
    found = np.zeros(len(EDGES))
    for j, edge in enumerate(EDGES):
        mine = bracket == j
        if mine.sum() < 30:
            found[j] = found[j - 1]
        elif (bracket > j).sum() < 30:
            higher = order[mine | (bracket > j)]
            tail = higher.mean() / (higher.mean() - edge)
            found[j] = top_rate(tail, ELASTICITY, g=float(cared[mine].mean()))
        else:
            found[j] = rates[mine].mean()
    return found


def optimised(agents: int, steps: int) -> np.ndarray:
    """Rates of the highest equality times productivity after ten years, by gradients through them."""
    town = lpm.Population.toy(agents)

    def value(rates: jax.Array, _: Any) -> jax.Array:
        params = scenario.params.replace(rates=rates, thresholds=EDGES)
        run = lpm.simulate(scenario, town, key=0, params=params, devices=1)
        return run.observed["equality_x_productivity"][-1]

    slope = jax.jit(jax.value_and_grad(value))
    return economy.climb(slope, np.full(len(EDGES), 0.3), jnp.zeros(()), steps, 0.95)[1]


def measured(rates: np.ndarray, agents: int) -> dict[str, Any]:
    """The ten years, for everybody, and as four at a time would have it."""
    run = years(rates, agents, key=1)
    last = {name: np.asarray(values)[-1] for name, values in run.observed.items()}
    assert run.state is not None
    coin = np.asarray(run.state.coin, np.float64)
    four = coin[: agents // 4 * 4].reshape(-1, 4)
    apart = np.abs(four[:, :, None] - four[:, None]).sum((1, 2)) / 12
    equal = 1 - apart / (2 * four.mean(axis=1))
    keep = ("productivity", "equality", "equality_x_productivity", "wages", "welfare")
    return {
        "rates": rates,
        **{name: last[name] for name in keep},
        "of_four": {
            "productivity": four.sum(axis=1).mean(),
            "equality": equal.mean(),
            "equality_spread": equal.std(),
            "equality_x_productivity": (equal * four.mean(axis=1)).mean(),
        },
    }


def ten_years(agents: int, searched: int, steps: int) -> dict[str, Any]:
    """All four schedules."""
    schedules = {
        "free market": np.zeros(len(EDGES)),
        "US federal": FEDERAL,
        "Saez": saez(agents),
        "optimised": optimised(searched, steps),
    }
    return {name: measured(rates, agents) for name, rates in schedules.items()}


def tell(found: dict[str, Any]) -> None:
    """Print the tables."""
    show = {"precision": 3, "suppress_small": True, "max_line_width": 100}
    for name, one in found["diamond"].items():
        print(f"\n{name}: eight brackets, linear utility, weights 1/untaxed income")
        print(f"{'theory, mean in bracket':<26}{np.array2string(one['theory'], **show)}")
        for count, each in one["learned"].items():
            print(f"{'learned, ' + count + ' workers':<26}{np.array2string(each['rates'], **show)}")
        print(f"{one['share_of_gain']:.1%} of the gain of the best schedule of all")
    one = found["flat"]
    print(
        f"\nTheir default scale: the highest income is {one['highest_income']:.2f}, the second edge "
        f"{one['second_edge']}. First rate {one['learned']:.4f}, in theory {one['theory']:.4f}; "
        f"{one['learned_with_moving_weights']:.4f} where weights move."
    )
    print("\nConcave utility, published brackets")
    for row in found["published_brackets"]:
        moves = ", weights move" if row["weights_move"] else ""
        print(row["objective"] + moves)
        if "theory" in row:
            print(f"{'  theory':<26}{np.array2string(row['theory'], **show)}")
        for count in (str(FEW), str(MIDDLE)):
            print(f"  {count:<24}{np.array2string(row[count]['rates'], **show)}")
    tell_years(found["ten_years"])


def tell_years(found: dict[str, Any]) -> None:
    """Print the ten years beside the published figures of the other game."""
    print(f"\n{'ten years, wages clear':<24}{'productivity':>13}{'equality':>10}{'product':>9}")
    for name, one in found.items():
        of_four = one["of_four"]
        numbers = (one["productivity"], one["equality"], one["equality_x_productivity"])
        print(f"{name:<24}{numbers[0]:>13.1f}{numbers[1]:>10.3f}{numbers[2]:>9.1f}")
        print(
            f"{'  counted by fours':<24}{of_four['productivity']:>13.1f}{of_four['equality']:>10.3f}"
            f"{of_four['equality_x_productivity']:>9.1f}"
        )
    print("published, of Gather-Trade-Build: another game, four agents, for orientation only")
    for name, numbers in PUBLISHED.items():
        print(f"{name:<24}{numbers[0]:>13}{numbers[1]:>10.2f}{numbers[2]:>9}")


def draw(found: dict[str, Any], path: Path) -> None:
    """Schedules: learned beside theory, and of the ten years."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    one = found["diamond"]["builders"]
    income, rates = one["curve"]
    left.plot(income[:-1], rates[:-1], color="black", label="theory (Diamond)")
    for count, each in one["learned"].items():
        if count != str(MIDDLE):
            edges = np.append(one["edges"], 1.02 * income[-1])
            left.stairs(
                each["rates"], edges, baseline=None, label=f"learned, {int(count):,} workers"
            )
    left.set(xlabel="income, coins", ylabel="marginal rate", title="One step", xlim=(0, None))
    for name, each in found["ten_years"].items():
        right.stairs(each["rates"], np.append(EDGES, 700), baseline=None, label=name)
    right.set(xlabel="income, 1000 coins", title="Ten years of the labour market", xscale="symlog")
    right.set_xticks([0, 10, 100, 500], ["0", "10", "100", "500"])
    for panel in (left, right):
        panel.set_ylim(-0.02, 1)
        panel.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--people", type=int, default=1_000_000, help="of the one-step economy")
    parser.add_argument("--agents", type=int, default=100_000, help="of the ten years")
    parser.add_argument("--searched", type=int, default=4_000, help="agents while rates are sought")
    parser.add_argument("--steps", type=int, default=30, help="of that search")
    parser.add_argument("--out", type=Path, help="folder for the picture")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    began = time.monotonic()
    found: dict[str, Any] = {
        "diamond": {n: diamond(law, arguments.people) for n, law in economy.SKILLS.items()},
        "flat": flat(economy.SKILLS["one step"], MIDDLE),
        "published_brackets": published_brackets(economy.SKILLS["one step"]),
        "ten_years": ten_years(arguments.agents, arguments.searched, arguments.steps),
    }
    tell(found)
    seconds = round(time.monotonic() - began)
    print(f"\n{seconds} s")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        draw(found, arguments.out / "schedules.png")
    if arguments.json:
        about = {"study": "ai_economist", "commit": _commit(), "seconds": seconds}
        given = {"people": arguments.people, "agents": arguments.agents}
        text = json.dumps(about | given | found, indent=1, default=_plain)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return np.round(np.asarray(value, np.float64), 6).tolist()


def _commit() -> str:
    folder = Path(__file__).parent
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
