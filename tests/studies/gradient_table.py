"""Every estimator of a gradient on six shipped scenarios, and on an epidemic of many fields.

    python -m tests.studies.gradient_table [--quick] [--out FILE]

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
from lpm.fitting.chance import generator_for
from lpm.fitting.gradients import element_names, flatten
from lpm.fitting.intervals import ratio_interval
from lpm.fitting.journal import Journal
from lpm.fitting.lineage import Lineage
from lpm.fitting.objective import Objective, read_loss
from lpm.fitting.space import Space
from lpm.launch import key_words
from lpm.population import new_york
from lpm.provenance import commit
from scenarios import epidemic, kermack_mckendrick, network_sir, rumour, seir, sir

from . import household_epidemic as household

ESTIMATORS = ("straight_through", "mean_field", "score", "lineage")
UNBIASED = ("score",)  # The lineage adjoint has a bias of the order of its rate squared.
SEED = 20
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
    first = run.observed["susceptible"]
    return 1 - first[-1] / 10_000


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
            10_000,
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


def _objective(scenario: Any, people: lpm.Population, words: Any) -> Objective:
    names = tuple(scenario.params.select("parameter"))
    space, journal = Space(scenario.params, names), Journal(None, {})
    readings = read_loss(household.attack_rate)
    return Objective(
        scenario, (people,), readings, words, space, scenario.steps, scenario.steps, journal
    )


def directions_of(size: int, count: int, positive: bool) -> Float[np.ndarray, "direction element"]:
    """Random directions of unit length on the unconstrained scale."""
    drawn = generator_for(key_words([SEED]), f"directions {positive}").standard_normal(
        (count, size)
    )
    drawn = np.abs(drawn) if positive else drawn
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def household_errors(
    scenario: Any,
    lineage: Lineage,
    *,
    agents: int,
    keys: int,
    sets: int,
    reference_keys: int,
    directions: Float[np.ndarray, "direction element"],
    step: float,
    seed: int = SEED,
) -> dict[str, Any]:
    """Norm of the lineage adjoint's misses along directions, over that of differences.

    Differences are taken over keys of their own, and each of the `sets` of keys gives one error.
    """
    people = household.town_of(agents)
    words = key_words(jax.random.split(jax.random.key(seed + 1), reference_keys))
    objective = _objective(scenario, people, words)
    began = time.perf_counter()
    slopes = objective.slopes(objective.space.start[None], directions, step)[0, :, 0]
    truth, error = slopes.mean(axis=0), slopes.std(axis=0, ddof=1) / reference_keys**0.5
    spent = [time.perf_counter() - began]
    errors, cosines, cost = [], [], 0.0
    for number in range(sets):
        began = time.perf_counter()
        ours = key_words(jax.random.split(jax.random.key(seed + 100 + number), keys))
        probe = _objective(scenario, people, ours)
        found = probe.reverse(probe.space.start[None], lineage, "lineage")[1][0].mean(axis=0)
        along = directions @ found
        errors.append(float(np.linalg.norm(along - truth) / np.linalg.norm(truth)))
        cosines.append(float(along @ truth / np.linalg.norm(along) / np.linalg.norm(truth)))
        cost = probe.runs
        spent.append(time.perf_counter() - began)
    return {
        "agents": agents,
        "fields": directions.shape[1],
        "directions": len(directions),
        "reference_standard_error": float(np.linalg.norm(error) / np.linalg.norm(truth)),
        "reference_pairs_per_direction": reference_keys,
        "step": step,
        "lineage": {"rate": lineage.rate, "twins": lineage.twins, "keys": keys},
        "cost_in_crn_pairs": cost / 2,
        "errors": errors,
        "cosines": cosines,
        "reference_seconds": round(spent[0], 1),
        "seconds_per_set": round(float(np.mean(spent[1:])), 1),
    }


def household_table(quick: bool) -> dict[str, Any]:
    """5 fields at 64 CRN pairs each, and 192 at 256 pairs in all, in directions of both kinds."""
    agents, sets = (1000, 1) if quick else (5000, 5)
    count = 5 if quick else 20
    five = directions_of(5, count, positive=False)
    found = {
        "five fields": household_errors(
            household.scenario,
            Lineage(),
            agents=agents,
            keys=8 if quick else 32,
            sets=sets,
            reference_keys=40 if quick else 600,
            directions=five,
            step=0.05,
        )
    }
    size = household.WEEKS * household.GROUPS
    for positive in (True, False):
        name = f"192 fields, {'positive' if positive else 'signed'} directions"
        many = 30 if quick else (300 if positive else 2500)
        found[name] = household_errors(
            household.weekly,
            MANY,
            agents=agents,
            keys=4 if quick else MANY_KEYS,
            sets=sets,
            reference_keys=many,
            directions=directions_of(size, count, positive),
            # Signed changes nearly cancel, and take a longer step to be seen: 15 % an element.
            step=0.5 if positive else 2.0,
        )
    return found


MANY = Lineage(rate=0.1, twins=8)
MANY_KEYS = 11


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, for a look")
    parser.add_argument("--out", type=Path, help="where to write the result as JSON")
    chosen = parser.parse_args()
    out = chosen.out or (None if chosen.quick else RESULT)
    rows = []
    for case in cases(chosen.quick):
        rows += rows_of(case)
        show([r for r in rows if r["scenario"] == case.name])
    result = {
        "commit": commit(),
        "seed": SEED,
        "machine": {"cores": os.cpu_count()},
        "quick": chosen.quick,
        "cells": rows,
        "unbiased": {"estimators": list(UNBIASED), **verdict(rows, UNBIASED)},
        "lineage": verdict(rows, ("lineage",)),
        "household": household_table(chosen.quick),
    }
    print(json.dumps({k: result[k] for k in ("unbiased", "lineage", "household")}, indent=1))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_plain(result), indent=1, allow_nan=False)
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
