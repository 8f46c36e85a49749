"""Which ages first, and how long between doses, while vaccine is short.

python calibration/vaccine_order.py --agents 10000 --budget 1500 --out A
python calibration/vaccine_order.py --welfare years --R0 1.5

The scenario is `scenarios/vaccination.py`; what it assumes is said there. A policy is the share of
first doses for each of five age bands, before and after day 30, by a softmax, and the days between
doses: eleven numbers. Welfare is minus deaths, or minus years of life lost. The policy found, the
best of random search at as many runs, oldest first and an even chance for everybody are then run
with the same fresh keys.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lpm
from lpm.fitting.policies import optimise
from lpm.fitting.policy import Policy
from lpm.fitting.shapes import Allocation
from scenarios.vaccination import BANDS, EDGES, LABELS, Params, scenario

FIELDS = ("allocation", "interval")
STANDARD = 28.0  # Days between doses of the policies that are not searched for.
_FRESH = 1_000_003  # Set apart from the seeds of searches.


def deaths(trajectory: lpm.Trajectory) -> jax.Array:
    return -trajectory.observed["dead"][-1]


def years(trajectory: lpm.Trajectory) -> jax.Array:
    return -trajectory.observed["years_lost"][-1]


WELFARE = {"deaths": deaths, "years": years}


def search(town: lpm.Population, params: Params, arguments: argparse.Namespace) -> Policy:
    """The policy found by `optimise`."""
    return optimise(
        scenario,
        town,
        WELFARE[arguments.welfare],
        keys=jax.random.split(jax.random.key(arguments.seed), arguments.keys),
        fields=FIELDS,
        params=params,
        shape={"allocation": Allocation()},
        budget=arguments.budget,
        estimator="crn",  # Days of doses are whole numbers, which no gradient in reverse crosses.
        fresh=arguments.fresh,
        every=scenario.steps,
        out=arguments.out,
    )


def rivals(town: lpm.Population, params: Params, found: Policy) -> dict[str, Any]:
    """All policies that are compared, by name."""
    band = np.searchsorted(EDGES[1:], town.host("age"), side="right")
    people = np.bincount(band[: town.size], minlength=BANDS) / town.size
    oldest = np.eye(BANDS)[-1]
    fixed = {"oldest first": oldest, "even chance": people}
    random = found.against_random
    return {
        "optimised": found.params,
        **({} if random is None else {"random search": random.params}),
        **{
            name: params.replace(
                allocation=np.tile(shares, (2, 1)).astype(np.float32),
                interval=np.float32(STANDARD),
            )
            for name, shares in fixed.items()
        },
    }


def score(
    town: lpm.Population, policies: dict[str, Any], seed: int, count: int
) -> list[dict[str, Any]]:
    """Deaths and years lost of each policy over the same fresh keys, and beside the first."""
    keys = jax.random.split(jax.random.key(seed + _FRESH), count)
    ends = {}
    for name, params in policies.items():
        run = lpm.ensemble(scenario, town, keys=keys, params=params, every=scenario.steps)
        ends[name] = {x: np.asarray(run.observed[x])[:, -1] for x in ("dead", "years_lost")}
    first = next(iter(ends.values()))
    rows = []
    for name, end in ends.items():
        row: dict[str, Any] = {"policy": name}
        for what, values in end.items():
            more = values.astype(np.float64) - first[what]
            row |= {
                what: float(values.mean()),
                f"{what}_error": float(values.std(ddof=1) / np.sqrt(count)),
                f"{what}_more": float(more.mean()),
                f"{what}_more_error": float(more.std(ddof=1) / np.sqrt(count)),
            }
        rows.append(row)
    return rows


def tell(rows: list[dict[str, Any]], policies: dict[str, Any]) -> None:
    """Print both tables."""
    print(f"{'':<15}{'deaths':>18}{'more':>16}{'years lost':>20}{'more':>18}")
    for row in rows:
        cells = [
            f"{row[what]:.{d}f} ({row[what + '_error']:.{d}f})"
            for what, d in (
                ("dead", 1),
                ("dead_more", 1),
                ("years_lost", 0),
                ("years_lost_more", 0),
            )
        ]
        print(f"{row['policy']:<15}{cells[0]:>18}{cells[1]:>16}{cells[2]:>20}{cells[3]:>18}")
    print(f"\n{'share of first doses':<26}" + "".join(f"{x:>8}" for x in LABELS["dead_by_age"]))
    for name, params in policies.items():
        for phase, when in enumerate(("to day 30", "then")):
            shares = "".join(f"{x:>8.2f}" for x in np.asarray(params.allocation)[phase])
            gap = f"{float(params.interval):>7.0f} days" if phase == 0 else ""
            print(f"{name if phase == 0 else '':<15}{when:<11}{shares}{gap}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--budget", type=int, default=1500, help="runs to choose a policy")
    parser.add_argument("--keys", type=int, default=8, help="worlds that the search sees")
    parser.add_argument("--fresh", type=int, default=64, help="keys for the comparison")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--welfare", choices=sorted(WELFARE), default="deaths")
    parser.add_argument("--R0", type=float, default=2.0)
    parser.add_argument("--supply", type=float, default=0.006, help="doses per person and day")
    parser.add_argument("--out", type=Path, help="folder, from which a search also resumes")
    arguments = parser.parse_args()
    began = time.monotonic()
    town = lpm.Population.toy(arguments.agents)
    params = scenario.params.replace(
        R0=np.float32(arguments.R0), supply=np.float32(arguments.supply)
    )
    found = search(town, params, arguments)
    print(found)
    policies = rivals(town, params, found)
    rows = score(town, policies, arguments.seed, arguments.fresh)
    print()
    tell(rows, policies)
    seconds = time.monotonic() - began
    print(f"\n{seconds:.0f} s for {2 * found.runs} runs of {arguments.agents} people and these.")
    if arguments.out:
        record = {"rows": rows, "seconds": seconds, "arguments": vars(arguments)}
        (arguments.out / "comparison.json").write_text(json.dumps(record, indent=2, default=str))


if __name__ == "__main__":
    main()
