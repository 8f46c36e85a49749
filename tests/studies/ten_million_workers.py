"""Ten million workers through `tax_economy` and before a planner: seconds, and memory at its most.

    python -m tests.studies.ten_million_workers [--workers N] [--quick]

`--quick` runs a hundredth of them and writes nothing. Memory is the high-water mark of the whole
process after each part, so that it holds what came before; seconds include compilation.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import lpm
from lpm import economics as econ
from lpm.population import workers
from scenarios.tax_economy import TODAY, scenario
from tests.studies.record import finish, machine_load

EDGES = [0, 20_000, 60_000, 200_000]


def most_memory() -> float:
    """GiB of resident memory, at its highest since the process began; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return round(int(kib) / 2**20, 3)


def measure(people: int) -> dict[str, Any]:
    """Seconds and memory of each part, and figures that say that it was done."""
    parts: dict[str, Any] = {}

    def done(name: str, began: float, **more: Any) -> None:
        seconds = round(time.perf_counter() - began, 1)
        parts[name] = {"seconds": seconds, "most_gib": most_memory(), **more}
        print(name, parts[name], flush=True)

    began = time.perf_counter()
    town = workers(people, seed=0)
    done("people", began)
    began = time.perf_counter()
    today = scenario.params.replace(**TODAY)
    run = lpm.simulate(scenario, town, key=0, params=today, devices=1)
    last = {n: float(run.observed[n][-1]) for n in ("income", "revenue", "working", "gini")}
    first = {n: float(run.observed[n][0]) for n in ("income", "revenue", "working", "gini")}
    faults = {name: int(x) for name, x in run.faults.items() if np.asarray(x) >= 0}
    done("ten_years", began, first_year=first, tenth_year=last, faults=faults)
    earned = np.asarray(town.host("could_earn"), np.float32)
    del run, town
    began = time.perf_counter()
    law = econ.federal(2024, credits=False)
    able = econ.back_out(law, jnp.asarray(earned), 0.3).potential
    aim = econ.ParetoWeights(1 / jnp.maximum(jnp.asarray(earned), 10_000.0))
    force = econ.Workforce.of(able, 0.3)
    best = econ.plan(force, aim, econ.brackets(EDGES), starts=2, errors=False)
    told = {"rates": best.values.round(4).tolist(), "gradient": best.gradient}
    done("planner", began, **told, peak=best.is_peak)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workers", type=int, default=10_000_000)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    began = machine_load()
    people = arguments.workers // 100 if arguments.quick else arguments.workers
    parts = measure(people)
    summary = {"workers": people, "most_gib": most_memory()}
    summary |= {f"{name}_seconds": part["seconds"] for name, part in parts.items()}
    finish("ten_million_workers", {"summary": summary, "parts": parts}, began, arguments.quick)


if __name__ == "__main__":
    main()
