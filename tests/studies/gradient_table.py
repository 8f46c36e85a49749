"""Every estimator of a gradient on six shipped scenarios, and on an epidemic of many fields.

    python -m tests.studies.gradient_table [--quick] [--only PART] [--out FILE]

A cell is one field of one scenario under one estimator: the ratio to differences with common
random numbers over the same keys with its 95 % interval, the standard deviation of one run
relative to the reference, and seconds, compilation included. What is declared unbiased is held to
its word by z-scores over all its cells. Then the lineage adjoint on the epidemic of
`household_epidemic`, by 5 fields and by 192, against differences along random directions.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from scipy import stats

import lpm
from lpm.errors import LpmError
from lpm.fitting import Lineage
from lpm.fitting.gradients import element_names, flatten
from lpm.fitting.intervals import ratio_interval
from lpm.population import new_york
from lpm.provenance import commit
from scenarios import epidemic, kermack_mckendrick, network_sir, rumour, seir, sir

from . import household_epidemic as household
from .household_errors import SEED, directions_of, household_errors

ESTIMATORS = ("straight_through", "mean_field", "score", "lineage")
UNBIASED = ("score",)  # The lineage adjoint has a bias of the order of its rate squared.
NEW_YORKERS = 10_000  # As few as its tables can be drawn for.
FIVE_KEYS = 24  # 64 pairs of differences for each of five fields, 26 runs a key.
MANY = Lineage(rate=0.1)
MANY_KEYS = 17  # 256 pairs of differences in all, 30 runs a key.
SIGNED_PAIRS = 4600
RESULT = Path(__file__).parent / "results" / "gradient_table.json"


@dataclass(frozen=True)
class Case:
    """A scenario to differentiate: how many people, for how long, over how many keys."""

    name: str
    scenario: Any
    loss: Callable[[Any], Any]
    agents: int
    steps: int
    keys: int
    fields: tuple[str, ...] | None = None
    changes: tuple[tuple[str, float], ...] = ()


def attack_rate(run: Any) -> Any:
    return run.observed["attack_rate"][-1]


def ever_infected(run: Any) -> Any:
    return 1 - run.observed["susceptible"][-1]


def ever_told(run: Any) -> Any:
    return 1 - run.observed["ignorant"][-1]


def share_infected(run: Any) -> Any:
    return 1 - run.observed["susceptible"][-1] / NEW_YORKERS


def cases(quick: bool) -> list[Case]:
    """Three scenarios in which everybody meets everybody, three with households or networks."""
    n, m = (12, 500) if quick else (200, 2000)
    seeds = (("seeded", 0.02),)
    return [
        Case("kermack_mckendrick", kermack_mckendrick.scenario, attack_rate, m, 60, n, None, seeds),
        Case("seir", seir.scenario, ever_infected, m, 60, n, None, seeds),
        Case("rumour", rumour.scenario, ever_told, m, 120, n, None, seeds),
        Case("sir", sir.scenario, attack_rate, m, 60, n, None, seeds),
        Case("network_sir", network_sir.scenario, attack_rate, m, 60, n, None, seeds),
        Case(
            "epidemic",
            epidemic.scenario,
            share_infected,
            NEW_YORKERS,
            20 if quick else 60,
            n // 4,
            ("R0", "efficacy_first"),
            (("seeded", 0.005),),
        ),
    ]


def people_of(case: Case) -> lpm.Population:
    return new_york(case.agents) if case.name == "epidemic" else lpm.Population.toy(case.agents)


def rows_of(case: Case, estimators: Sequence[str] = ESTIMATORS) -> list[dict[str, Any]]:
    """A row for every field and estimator of one case; a sentence where there is none."""
    people, params = people_of(case), case.scenario.params.replace(**dict(case.changes))
    asked: dict[str, Any] = {
        "keys": jax.random.split(jax.random.key(SEED), case.keys),
        "params": params,
        "fields": case.fields,
        "steps": case.steps,
        "every": case.steps,
    }
    began = time.perf_counter()
    reference = lpm.gradient(case.scenario, people, case.loss, estimator="crn", **asked)
    theirs = flatten(reference.runs, lead=1)
    spent = time.perf_counter() - began
    rows = [
        _row(case, "crn", name, theirs[:, [i]], theirs[:, [i]], spent, reference.cost)
        for i, name in enumerate(element_names(reference.estimate))
    ]
    for estimator in estimators:
        began = time.perf_counter()
        try:
            found = lpm.gradient(case.scenario, people, case.loss, estimator=estimator, **asked)
        except LpmError as error:
            rows.append({"scenario": case.name, "estimator": estimator, "undefined": str(error)})
            continue
        spent = time.perf_counter() - began
        ours = flatten(found.runs, lead=1)
        rows += [
            _row(case, estimator, name, ours[:, [i]], theirs[:, [i]], spent, found.cost)
            for i, name in enumerate(element_names(found.estimate))
        ]
    return rows


def _row(
    case: Case,
    estimator: str,
    field: str,
    ours: Float[np.ndarray, "run 1"],
    theirs: Float[np.ndarray, "run 1"],
    seconds: float,
    cost: float,
) -> dict[str, Any]:
    low, high = ratio_interval(ours, theirs)
    difference = ours - theirs
    error = float(difference.std(ddof=1)) / len(ours) ** 0.5
    mean = float(theirs.mean())
    return {
        "scenario": case.name,
        "estimator": estimator,
        "field": field,
        "reference": mean,
        "reference_standard_error": float(theirs.std(ddof=1)) / len(theirs) ** 0.5,
        "ratio": float(ours.mean()) / mean,
        "low": float(low[0]),
        "high": float(high[0]),
        "relative_sd": float(ours.std(ddof=1)) / abs(mean),
        "z": float(difference.mean()) / error if error else 0.0,
        "seconds": round(seconds, 1),
        "runs_of_cost": cost / case.agents / case.steps,
        "agents": case.agents,
        "steps": case.steps,
        "keys": case.keys,
    }


def verdict(rows: Sequence[dict[str, Any]], estimators: Sequence[str]) -> dict[str, float]:
    """Chi-square of the z-scores of some estimators over all their cells, and the largest."""
    z = np.array([r["z"] for r in rows if r["estimator"] in estimators and "z" in r])
    p = float(stats.chi2.sf((z**2).sum(), len(z)))
    return {"cells": len(z), "p": p, "largest_z": float(np.abs(z).max())}


def five_fields(quick: bool) -> dict[str, Any]:
    """Five fields at 64 CRN pairs each."""
    agents, count, sets = (1000, 5, 1) if quick else (5000, 20, 5)
    directions = {"signed": directions_of(5, count, 40 if quick else 600, 0.1, positive=False)}
    keys = 8 if quick else FIVE_KEYS
    return household_errors(
        household.scenario, Lineage(), directions, agents=agents, keys=keys, sets=sets
    )


def many_fields(quick: bool) -> dict[str, Any]:
    """A multiplier for each of 12 weeks and 16 groups, at 256 CRN pairs in all."""
    agents, count, sets = (1000, 5, 1) if quick else (5000, 20, 5)
    size = household.WEEKS * household.GROUPS
    directions = {
        "positive": directions_of(size, count, 30 if quick else 300, 1.0, positive=True),
        "signed": directions_of(size, count, 30 if quick else SIGNED_PAIRS, 2.0, positive=False),
    }
    keys = 4 if quick else MANY_KEYS
    return household_errors(household.weekly, MANY, directions, agents=agents, keys=keys, sets=sets)


def all_cells(quick: bool) -> dict[str, Any]:
    """The six scenarios under all estimators, and what is declared unbiased held to its word."""
    rows: list[dict[str, Any]] = []
    for case in cases(quick):
        rows += rows_of(case)
        show([r for r in rows if r["scenario"] == case.name])
    unbiased = {"estimators": list(UNBIASED), **verdict(rows, UNBIASED)}
    return {"unbiased": unbiased, "lineage": verdict(rows, ("lineage",)), "cells": rows}


PARTS = {
    "cells": all_cells,
    "household, 5 fields": five_fields,
    "household, 192 fields": many_fields,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="gradient_table")
    parser.add_argument("--quick", action="store_true", help="small, for a look")
    parser.add_argument("--only", choices=list(PARTS), help="one part; others stay in the file")
    parser.add_argument("--out", type=Path, help="where to write the result as JSON")
    chosen = parser.parse_args()
    out = chosen.out or (None if chosen.quick else RESULT)
    kept = out is not None and chosen.only and out.exists()
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out and kept else {}
    for name, part in PARTS.items():
        if chosen.only not in (None, name):
            continue
        began = {
            "commit": commit(),
            "seed": SEED,
            "machine": {"cores": os.cpu_count()},
            "quick": chosen.quick,
        }
        result[name] = _plain(began | part(chosen.quick))
        print(name, json.dumps({k: x for k, x in result[name].items() if k != "cells"}), flush=True)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(result, indent=1, allow_nan=False)
            out.write_text(text + "\n", encoding="utf-8")


def show(rows: Sequence[dict[str, Any]]) -> None:
    for r in rows:
        head = f"{r['scenario']:20} {r['estimator']:17}"
        if "undefined" in r:
            print(f"{head} undefined: {r['undefined'][:90]}", flush=True)
            continue
        print(
            f"{head} {r['field']:16} {r['ratio']:10.3g} [{r['low']:.3g}, {r['high']:.3g}]  "
            f"sd {r['relative_sd']:.2g}  z {r['z']:.2f}  {r['seconds']} s",
            flush=True,
        )


def _plain(x: Any) -> Any:
    """Numbers that JSON has no word for, as text; others to six digits."""
    if isinstance(x, dict):
        return {key: _plain(value) for key, value in x.items()}
    if isinstance(x, list):
        return [_plain(value) for value in x]
    if isinstance(x, float):
        return float(f"{x:.6g}") if np.isfinite(x) else str(x)
    return x


if __name__ == "__main__":
    main()
