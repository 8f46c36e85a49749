"""Whether 90 % intervals from 300 runs hold the truth, for an epidemic of agents.

    python -m tests.studies.coverage --out FOLDER     about half an hour on two cores
    python -m tests.studies.coverage --quick          minutes: twenty other truths, fewer people

`lpm.check_coverage` on `scenarios/sirs_ages.py`: 100 truths drawn from the priors of five
parameters, cases by week and age with Poisson noise, an ensemble posterior of 300 runs each. Asked
are 82 to 97 % inside the 90 % intervals, for every parameter, and ranks that are uniform.
"""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lpm
from lpm.fitting import Poisson, Series
from lpm.fitting.coverage import check_coverage
from scenarios.sirs_ages import BANDS, scenario
from tests.studies.record import finish, machine_load

WEEKS = scenario.steps // 7


@dataclass(frozen=True)
class Size:
    """How large a study is: people, truths, runs for each, and the seed."""

    agents: int = 5_000
    truths: int = 100
    budget: int = 300
    seed: int = 41_500


QUICK = Size(agents=2_000, truths=20, seed=7)


def study(size: Size, out: Path | None = None) -> dict[str, Any]:
    """The certificate."""
    series = Series("new_by_age", np.ones((WEEKS, BANDS)), Poisson(), window=7)
    found = check_coverage(
        scenario,
        lpm.Population.toy(size.agents),
        series,
        keys=jax.random.split(jax.random.key(size.seed), 2),
        truths=size.truths,
        budget=size.budget,
        out=out,
    )
    rows = found.coverage.to_dicts()
    judged = [row for row in rows if row["level"] == 0.9]
    summary = {
        "covered_90": {row["element"]: row["covered"] for row in judged},
        "uniform_p": {row["element"]: row["uniform"] for row in judged},
        "within_82_and_97": all(0.82 <= row["covered"] <= 0.97 for row in judged),
        "passed": found.passed,
    }
    about = {"size": asdict(size), "about": found.about, "summary": summary}
    return about | {"coverage": rows, "ranks": np.round(found.ranks, 4).tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a reduced size")
    parser.add_argument("--out", type=Path, help="folder for journals, to resume from")
    asked = parser.parse_args()
    load = machine_load()
    found = study(QUICK if asked.quick else Size(), asked.out)
    finish("coverage", found, load, asked.quick)


if __name__ == "__main__":
    main()
