"""The AI Economist without reinforcement learning: what its planner can find, against theory.

python calibration/ai_economist.py --parts diamond flat
python calibration/ai_economist.py --people 10001 --json FILE --out A

1. One step (`one_step_economy.py`): schedules learned by gradients beside the best that theory
   knows (`one_step_theory.py`), with a hundred and a million workers, for both utilities and
   objectives of the authors. Where figures hang on how one counts, both ways are shown: with their
   default scale all incomes stay in the first bracket, and their weights move with the policy, so
   that a planner also gains by whom he weighs.
2. Ten years (`ten_year_economy.py`, in which wages clear): no tax, the federal schedule of 2019,
   Saez's formula, and the schedule that gradients through the ten years find for equality times
   productivity. Beside them the figures of the authors' Gather-Trade-Build game as drawn in their
   tutorial. It is another game, with four agents on a map: for orientation only.

Zheng, Trott, Srinivasa, Parkes & Socher (2022); arXiv 2108.02755. All parameters of the
labour market are made up; no figure here is an estimate for any country.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from calibration import one_step_economy as economy, one_step_theory as theory
from calibration.ten_year_economy import ten_years
from lpm.economics.optimal_tax import linear_rate

EDGES = economy.EDGES
PUBLISHED = {  # productivity, equality, product, of four agents
    "free market": (3285, 0.39, 1278),
    "US federal": (2656, 0.48, 1261),
    "Saez": (2759, 0.52, 1435),
    "AI Economist": (2907, 0.57, 1664),
}
FEW, SOME, MIDDLE = 100, 2_001, 10_001


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
    edges, found = fine_edges(best), {}
    for count in (FEW, MIDDLE, people):
        skill = economy.skills_of(law, count)
        cared = fixed_weights(skill)
        # A million from one start only, but not from where fewer have arrived.
        start = None if count <= MIDDLE else np.full(len(edges), 0.1)
        one = economy.learn(skill, "linear", "weighted", edges, weights=cared, start=start)
        found[str(count)] = {"rates": one.rates, "welfare": one.welfare}
    none = theory.laissez_faire(best)
    return {
        "edges": edges,
        "theory": best.by_bracket(edges),
        "learned": found,
        "share_of_gain": (found[str(people)]["welfare"] - none) / (best.welfare - none),
        "curve": [best.income[:-1:200], best.rates[:-1:200]],
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
    """Concave utility, whose incomes reach their brackets: each objective, theirs and held.

    Held weights are those at the incomes of the best schedule of all, so that welfare from
    different starts can be compared. One of the starts is nine tenths of that schedule's rates.
    """
    best = theory.concave_optimum(theory.Grid.of(law), theory.inverse_income)
    near = 0.9 * np.nan_to_num(best.by_bracket(EDGES))
    cases = [("weighted", False, None), ("weighted", False, near)]
    cases += [("weighted", True, None), ("product", False, None)]
    rows = []
    for objective, moving, start in cases:
        row: dict[str, Any] = {"objective": objective, "weights_move": moving}
        row["start"] = "flat" if start is None else "near theory"
        for count in (FEW, SOME):
            skill = economy.skills_of(law, count)
            cared = jnp.asarray(1 / np.interp(skill, best.grid.n, best.income), jnp.float32)
            held = None if moving or objective == "product" else cared
            given = {"weights": held, "moving": moving, "start": start}
            one = economy.learn(skill, "concave", objective, **given)
            used = np.bincount(np.searchsorted(EDGES, one.outcome.income, "right") - 1, minlength=7)
            # None where everybody at the cap jumps at once, and no rebate balances.
            welfare = one.welfare if np.isfinite(one.welfare) else None
            row[str(count)] = {"rates": one.rates, "welfare": welfare, "people": used / count}
        if held is not None:
            row["theory"] = best.by_bracket(EDGES)
        rows.append(row)
    return rows


def tell_diamond(found: dict[str, Any]) -> None:
    """Print eight brackets beside the formula."""
    for name, one in found.items():
        print(f"\n{name}: eight brackets, linear utility, weights 1/untaxed income")
        print(f"{'theory, mean in bracket':<26}{_row(one['theory'])}")
        for count, each in one["learned"].items():
            print(f"{'learned, ' + count + ' workers':<26}{_row(each['rates'])}")
        print(f"{one['share_of_gain']:.1%} of the gain of the best schedule of all")


def tell_flat(one: dict[str, Any]) -> None:
    """Print the one rate that matters at their scale."""
    print(
        f"\nTheir default scale: the highest income is {one['highest_income']:.2f}, the second "
        f"edge {one['second_edge']}. First rate {one['learned']:.4f}, in theory "
        f"{one['theory']:.4f}; {one['learned_with_moving_weights']:.4f} where weights move."
    )


def tell_brackets(rows: list[dict[str, Any]]) -> None:
    """Print the published brackets by objective and start."""
    print("\nConcave utility, published brackets")
    for row in rows:
        moves = ", weights move" if row["weights_move"] else ""
        print(f"{row['objective']}{moves}, from {row['start']}")
        if "theory" in row:
            print(f"{'  theory':<26}{_row(row['theory'])}")
        for count in (str(FEW), str(SOME)):
            welfare = row[count]["welfare"]
            reached = "no balance" if welfare is None else f"{welfare:.4f}"
            print(f"  {count:<24}{_row(row[count]['rates'])}   {reached}")


def _row(values: Any) -> str:
    return " ".join(f"{x:6.3f}" for x in np.asarray(values, np.float64))


def tell_years(found: dict[str, Any]) -> None:
    """Print the ten years beside the published figures of the other game."""
    print(f"\n{'ten years, wages clear':<24}{'productivity':>13}{'equality':>10}{'product':>9}")
    for name, one in found.items():
        of_four = one["of_four"]
        numbers = (one["productivity"], one["equality"], one["equality_x_productivity"])
        print(f"{name:<24}{numbers[0]:>13.1f}{numbers[1]:>10.3f}{numbers[2]:>9.1f}")
        print(
            f"{'  counted by fours':<24}{of_four['productivity']:>13.1f}"
            f"{of_four['equality']:>10.3f}{of_four['equality_x_productivity']:>9.1f}"
        )
    print("published, of Gather-Trade-Build: another game, four agents, for orientation only")
    for name, numbers in PUBLISHED.items():
        print(f"{name:<24}{numbers[0]:>13}{numbers[1]:>10.2f}{numbers[2]:>9}")


def draw(found: dict[str, Any], path: Path) -> None:
    """Schedules: learned beside theory, and of the ten years."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    one = found["diamond"]["builders"]
    income, rates = one["curve"]
    left.plot(income, rates, color="black", label="theory (Diamond)")
    for count, each in one["learned"].items():
        if count != str(MIDDLE):
            edges = np.append(one["edges"], 1.02 * max(income))
            left.stairs(
                each["rates"], edges, baseline=None, label=f"learned, {int(count):,} workers"
            )
    left.set(
        xlabel="income, coins",
        ylabel="marginal rate",
        title="One step, skills of builders",
        xlim=(0.9 * min(income), None),
        ylim=(-0.01, 0.45),
    )
    for name, each in found["ten_years"].items():
        right.stairs(each["rates"], np.append(EDGES, 700), baseline=None, label=name)
    right.set(
        xlabel="income, coins of 1000 dollars",
        title="Ten years of the labour market",
        xscale="symlog",
        ylim=(-0.02, 0.9),
    )
    right.set_xticks([0, 10, 100, 500], ["0", "10", "100", "500"])
    left.legend(frameon=False, loc="lower right")
    right.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


TOLD = {
    "diamond": tell_diamond,
    "flat": tell_flat,
    "published_brackets": tell_brackets,
    "ten_years": tell_years,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--people", type=int, default=1_000_000, help="of the one-step economy")
    parser.add_argument("--agents", type=int, default=100_000, help="of the ten years")
    parser.add_argument("--searched", type=int, default=4_000, help="agents while rates are sought")
    parser.add_argument("--steps", type=int, default=30, help="of that search")
    parser.add_argument("--parts", nargs="+", choices=TOLD, default=list(TOLD))
    parser.add_argument("--out", type=Path, help="folder for the picture")
    parser.add_argument("--json", type=Path, help="where figures go, part by part")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], Any]] = {
        "diamond": lambda: {n: diamond(x, arguments.people) for n, x in economy.SKILLS.items()},
        "flat": lambda: flat(economy.SKILLS["one step"], MIDDLE),
        "published_brackets": lambda: published_brackets(economy.SKILLS["one step"]),
        "ten_years": lambda: ten_years(arguments.agents, arguments.searched, arguments.steps),
    }
    for name in arguments.parts:
        began = time.monotonic()
        found = json.loads(json.dumps(parts[name](), default=_plain))
        TOLD[name](found)
        seconds = round(time.monotonic() - began)
        print(f"{seconds} s", flush=True)
        if arguments.json:
            size = {"people": arguments.people, "agents": arguments.agents}
            _keep(arguments.json, name, {"commit": _commit(), "seconds": seconds} | size, found)
    if arguments.out and arguments.json:
        arguments.out.mkdir(parents=True, exist_ok=True)
        draw(json.loads(arguments.json.read_text()), arguments.out / "schedules.png")


def _keep(path: Path, part: str, about: dict[str, Any], found: Any) -> None:
    """Put a part into the file, beside those that are there."""
    held = json.loads(path.read_text()) if path.exists() else {"study": "ai_economist", "about": {}}
    held["about"][part] = about
    held[part] = found
    path.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return np.round(np.asarray(value, np.float64), 6).tolist()


def _commit() -> str:
    folder = Path(__file__).parent
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
