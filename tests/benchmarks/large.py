"""Large runs, each in a process of its own: python -m tests.benchmarks.large --out large.json

`epidemic`: ten million people for 180 days, all New Yorkers and a second, smaller draw of the city
beside them, in layers of household, class, workplace and mixing by age. `groups`: SIR in households
of three and workplaces of twenty among a hundred million, for ten days. Prints seconds of the run,
compilation included, and the peak of resident memory, building of the population included.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lpm
from lpm.population.new_york import LARGEST
from scenarios import epidemic, sir

Work = tuple[lpm.Scenario, lpm.Population, int]


def two_cities(agents: int) -> Work:
    """The city and a second draw of it, whose households, classes and workplaces are its own."""
    first = min(agents, LARGEST)
    draws = [epidemic.scenario.population(first, seed=0)]
    if agents > first:
        draws.append(epidemic.scenario.population(agents - first, seed=1))
    columns = {}
    for name in draws[0].columns:
        parts = [draw.host(name) for draw in draws]
        if name.endswith("_id"):
            above = parts[0].max() + 1
            parts[1:] = [np.where(x >= 0, x + above, x).astype(x.dtype) for x in parts[1:]]
        columns[name] = np.concatenate(parts)
    return epidemic.scenario, lpm.Population(columns, labels=draws[0].labels), 180


def homes_and_works(agents: int) -> Work:
    """Households of three side by side, and workplaces whose people are spread over the country."""
    home = np.arange(agents, dtype=np.int32) // 3
    offices = max(agents // 20, 1)
    work = (np.arange(agents, dtype=np.int64) % offices).astype(np.int32)
    return sir.scenario, lpm.Population({"household_id": home, "workplace_id": work}), 10


WORK: dict[str, tuple[int, Callable[[int], Work]]] = {
    "epidemic": (10_000_000, two_cities),
    "groups": (100_000_000, homes_and_works),
}


def measure(name: str, agents: int) -> dict[str, Any]:
    """Seconds, memory and the last observables of one run."""
    began = time.perf_counter()
    scenario, population, steps = WORK[name][1](agents)
    built = time.perf_counter()
    run = lpm.simulate(scenario, population, key=0, steps=steps, progress=False)
    seconds = time.perf_counter() - built
    return {
        "scenario": scenario.name,
        "agents": agents,
        "steps": steps,
        "build_s": round(built - began, 1),
        "run_s": round(seconds, 1),
        "peak_rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "last": {key: np.asarray(x[-1]).tolist() for key, x in run.observed.items()},
    }


def _commit() -> str:
    head = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(head, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(WORK), default=list(WORK))
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of agents")
    parser.add_argument("--alone", action="store_true", help="in this process, one row of JSON")
    asked = parser.parse_args()
    if asked.alone:
        name = asked.only[0]
        print(json.dumps(measure(name, int(WORK[name][0] * asked.scale))))
        return
    rows = []
    for name in asked.only:
        command = [sys.executable, "-m", "tests.benchmarks.large", "--alone", "--only", name]
        command += ["--scale", str(asked.scale)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout))
        print({key: value for key, value in rows[-1].items() if key != "last"}, flush=True)
    if asked.out:
        about = {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "device": jax.devices()[0].device_kind,
            "commit": _commit(),
        }
        asked.out.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
