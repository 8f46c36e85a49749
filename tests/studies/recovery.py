"""Five parameters of an epidemic among 100,000 people, from the cases of its weeks by age.

    python -m tests.studies.recovery --out FOLDER     about an hour on two cores
    python -m tests.studies.recovery --quick          minutes: fewer people and truths

Truths are drawn from the priors of `scenarios/sirs_ages.py`; the data of each are one run, a person
in it counted as a case in the week of infection, with Poisson noise. `lpm.calibrate` sees the data
and the priors. The folder keeps journals: the same command resumes a study that was stopped.
"""

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lpm
from lpm.fitting import Poisson, Series, calibrate
from lpm.fitting.chance import generator_for
from lpm.fitting.space import Space
from scenarios.sirs_ages import BANDS, scenario
from tests.studies.record import finish, machine_load

FIELDS = ("R0", "infectious", "immunity", "children", "old")
WEEKS = scenario.steps // 7


@dataclass(frozen=True)
class Size:
    """How large a study is: people, truths, runs and keys for each truth, and the seed."""

    agents: int = 100_000
    truths: int = 20
    budget: int = 320
    keys: int = 2
    seed: int = 20_261_124


QUICK = Size(agents=10_000, truths=2)


def draw_truths(size: Size) -> list[lpm.Params]:
    """Params drawn from the priors."""
    words = jax.random.key_data(jax.random.key(size.seed))[None]
    levels = generator_for(words, "truths").uniform(size=(size.truths, len(FIELDS)))
    space = Space(scenario.params, FIELDS)
    return [space.at(z) for z in space.quantiles(levels)]


def observed_cases(town: lpm.Population, truth: lpm.Params, key: Any) -> Series:
    """Cases by week and age of one run, with noise."""
    first, second = jax.random.split(key)
    run = lpm.simulate(scenario, town, key=first, params=truth, progress=False)
    blank = Series("new_by_age", np.ones((WEEKS, BANDS)), Poisson(), window=7)
    return blank.simulate(run, second)


def recover(town: lpm.Population, truth: lpm.Params, number: int, size: Size, out: Path | None):
    """One truth: the fit, and its errors relative to the truth."""
    data_key, fit_key = jax.random.split(jax.random.fold_in(jax.random.key(size.seed), number))
    series = observed_cases(town, truth, data_key)
    began = time.perf_counter()
    fit = calibrate(
        scenario,
        town,
        series,
        keys=jax.random.split(fit_key, size.keys),
        fields=FIELDS,
        budget=size.budget,
        starts=1,
        step=0.3,  # Differences over a few runs need a step that stands out of their luck.
        out=None if out is None else out / f"truth_{number:02d}",
        progress=False,
    )
    rows = {row["element"]: row for row in fit.table.to_dicts()}
    found = {}
    for name in FIELDS:
        true, row = float(getattr(truth, name)), rows[name]
        miss = row["estimate"] - true
        found[name] = {
            "truth": true,
            "estimate": row["estimate"],
            "standard_error": row["standard_error"],
            "relative_error": abs(miss) / true,
            "inside_95": bool(row["low"] <= true <= row["high"]),
        }
    return {
        "number": number,
        "parameters": found,
        "runs": fit.runs,
        "finished": fit.finished,
        "p_value": fit.p_value,
        "seconds": round(time.perf_counter() - began, 1),
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Median and worst error of all parameters and truths, and by parameter."""
    errors = {n: np.array([row["parameters"][n]["relative_error"] for row in rows]) for n in FIELDS}
    inside = {
        n: float(np.mean([row["parameters"][n]["inside_95"] for row in rows])) for n in FIELDS
    }
    whole = np.concatenate(list(errors.values()))
    return {
        "median_relative_error": float(np.median(whole)),
        "worst_relative_error": float(whole.max()),
        "median_by_parameter": {n: float(np.median(x)) for n, x in errors.items()},
        "worst_by_parameter": {n: float(x.max()) for n, x in errors.items()},
        "inside_95_by_parameter": inside,
        "p_values_below_1_percent": sum(row["p_value"] < 0.01 for row in rows),
        "most_runs": max(row["runs"] for row in rows),
        "settled": sum(row["finished"] for row in rows),
    }


def study(size: Size, out: Path | None = None) -> dict[str, Any]:
    """All truths, one after the other."""
    town = lpm.Population.toy(size.agents)
    rows = []
    for number, truth in enumerate(draw_truths(size)):
        rows.append(recover(town, truth, number, size, out))
        print(number, rows[-1]["runs"], rows[-1]["seconds"], flush=True)
    return {"size": asdict(size), "summary": summarise(rows), "truths": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a reduced size")
    parser.add_argument("--out", type=Path, help="folder for journals, to resume from")
    asked = parser.parse_args()
    load = machine_load()
    found = study(QUICK if asked.quick else Size(), asked.out)
    finish("recovery", found, load, asked.quick)


if __name__ == "__main__":
    main()
