"""A vaccination schedule against random search at equal runs, on twenty fresh seeds.

    python -m tests.studies.policy --out FOLDER     about half an hour on two cores
    python -m tests.studies.policy --quick          minutes: two other seeds

The schedule of `scenarios/vaccination.py`: shares of first doses of five age bands before and after
day 30, and the days between doses, eleven numbers; welfare is minus the years of life lost. Seeds
are 7000 to 7019, and nothing was chosen on them. The folder keeps journals to resume from.
"""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax

import lpm
from lpm.fitting.policies import optimise
from lpm.fitting.shapes import Allocation
from scenarios.vaccination import scenario
from tests.studies.record import finish, machine_load


@dataclass(frozen=True)
class Size:
    """How large a study is: people, runs of each search, keys, fresh keys and the seeds."""

    agents: int = 3_000
    budget: int = 1_000
    keys: int = 8
    fresh: int = 256
    first: int = 7_000
    seeds: int = 20


QUICK = Size(agents=1_000, budget=500, fresh=64, first=900, seeds=2)


def years(trajectory: lpm.Trajectory) -> jax.Array:
    return -trajectory.observed["years_lost"][-1]


def compare(town: lpm.Population, seed: int, size: Size, out: Path | None) -> dict[str, Any]:
    """The policy found from a seed beside that of random search, on keys that neither has seen."""
    found = optimise(
        scenario,
        town,
        years,
        keys=jax.random.split(jax.random.key(seed), size.keys),
        fields=("allocation", "interval"),
        shape={"allocation": Allocation()},
        budget=size.budget,
        estimator="auto",
        fresh=size.fresh,
        every=scenario.steps,
        out=None if out is None else out / f"seed_{seed}",
        progress=False,
    )
    against = found.against_random
    return {
        "seed": seed,
        "gain": against.difference,
        "standard_error": against.standard_error,
        "verdict": against.verdict,
        "welfare": found.welfare,
        "of_random_search": against.welfare,
        "runs_each": against.runs,
        "estimator": found.estimator,
        "notes": list(found.notes),
    }


def study(size: Size, out: Path | None = None) -> dict[str, Any]:
    """All seeds, one after the other."""
    town = lpm.Population.toy(size.agents)
    rows = []
    for seed in range(size.first, size.first + size.seeds):
        rows.append(compare(town, seed, size, out))
        print(seed, rows[-1]["gain"], rows[-1]["standard_error"], flush=True)
    summary = {
        "higher_mean": sum(row["gain"] > 0 for row in rows),
        "better_by_interval": sum(row["verdict"] == "better" for row in rows),
        "worse_by_interval": sum(row["verdict"] == "worse" for row in rows),
        "of": len(rows),
    }
    return {"size": asdict(size), "summary": summary, "seeds": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a reduced size")
    parser.add_argument("--out", type=Path, help="folder for journals, to resume from")
    asked = parser.parse_args()
    load = machine_load()
    found = study(QUICK if asked.quick else Size(), asked.out)
    finish("policy", found, load, asked.quick)


if __name__ == "__main__":
    main()
