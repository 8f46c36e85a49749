"""Time every scenario beside a plain NumPy loop of the same transition, in one run, as ratios.

    python -m tests.benchmarks.run --agents 1000000 --out speed.json

Each figure is the best of `--repeat` runs of `--steps` steps after compilation. Observables of both
sides are compared first. Bytes per agent are compiled arguments, temporaries and outputs that are
not aliased, as XLA reports them for one segment. Absolute times are the machine's; quote ratios.
"""

import argparse
import importlib
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import lpm
from lpm.engine import advance
from tests.benchmarks import loops
from tests.benchmarks.compiled import bytes_per_agent, compile_segment

NAMES = ("sir", "epidemic", "labour_tax", "opinion")  # those with a loop in `loops`
TARGETS = {"sir": 40e6, "epidemic": 15e6}


def best(work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """Shortest wall time of several runs, and what the last one gave."""
    times, result = [], None
    for _ in range(repeat):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return min(times), result


def loop_of(name: str, scenario: Any, population: Any, steps: int) -> Callable[[int], Any]:
    """The NumPy loop of a scenario as a function of the seed."""
    if name != "epidemic":
        return lambda seed: getattr(loops, name)(population, scenario.params, steps, seed)
    module = importlib.import_module("scenarios.epidemic")
    state = lpm.simulate(scenario, population, key=0, steps=1).state
    profile = np.asarray(module.profile_of(scenario.params))
    mixing = np.asarray(state.community.contacts)
    scale = float(state.transmissibility)
    return lambda seed: loops.epidemic(
        population, scenario.params, steps, seed, scale, profile, mixing
    )


def measure(name: str, agents: int, steps: int, repeat: int) -> dict[str, Any]:
    """All figures of one scenario."""
    scenario = importlib.import_module(f"scenarios.{name}").scenario
    population = scenario.population(agents, seed=0)
    began = time.perf_counter()
    lpm.simulate(scenario, population, key=0, steps=steps, devices=1)
    first = time.perf_counter() - began
    traces = advance._cache_size()
    ours, trajectory = best(
        lambda: lpm.simulate(scenario, population, key=1, steps=steps, devices=1), repeat
    )
    traces = advance._cache_size() - traces + 1
    numpy_time, theirs = best(lambda: loop_of(name, scenario, population, steps)(1), 1)
    for key, value in theirs.items():
        x = trajectory.observed[key]
        mine = float(x.max() if key == "prevalence" else x[-1])
        # While an epidemic still grows, the luck of its first cases moves it by a fifth or so.
        if not np.isclose(mine, value, rtol=0.35, atol=0.01):
            raise SystemExit(f"{name}: {key} is {mine} here and {value} in the NumPy loop")
    return {
        "scenario": name,
        "agents": agents,
        "steps": steps,
        "agent_steps_per_s": agents * steps / ours,
        "numpy_agent_steps_per_s": agents * steps / numpy_time,
        "ratio": numpy_time / ours,
        "compile_s": first - ours,
        "traces": traces,
        "bytes_per_agent": bytes_per_agent(compile_segment(scenario, population), agents),
        "target": TARGETS.get(name),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--out")
    asked = parser.parse_args()
    machine = {
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
    print(f"{machine}\n")
    print("| scenario | M agent-steps/s | NumPy loop | ratio | bytes/agent | compile s | traces |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for name in asked.only:
        row = measure(name, asked.agents, asked.steps, asked.repeat)
        rows.append(row)
        print(
            f"| {name} | {row['agent_steps_per_s'] / 1e6:.1f} "
            f"| {row['numpy_agent_steps_per_s'] / 1e6:.1f} | {row['ratio']:.1f} "
            f"| {row['bytes_per_agent']:.0f} | {row['compile_s']:.1f} | {row['traces']} |",
            flush=True,
        )
    if asked.out:
        with open(asked.out, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
