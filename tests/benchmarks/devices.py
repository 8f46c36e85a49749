"""What a step costs and exchanges on 1, 2, 4 and 8 virtual devices, agents per device fixed.

    python -m tests.benchmarks.devices --scenarios sir epidemic --agents 262144 --out devices.json

Virtual devices share the cores, so their wall time says nothing of real ones. Two things do carry
over: the bytes that the compiled step exchanges, and processor seconds per agent and step, which
rise with the number of devices by whatever work is done more than once.
"""

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lpm
from lpm.engine import advance
from lpm.launch import choose_mesh, key_words, make_plan, shared_rows, start

_WIDTH = {"f32": 4, "s32": 4, "u32": 4, "pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2}
_KINDS = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
_CALL = re.compile(rf"= (\(?[^=]*?\)?) ({_KINDS})(?:-start)?\(")
COUNTS = (1, 2, 4, 8)


def compile_shared(scenario: lpm.Scenario, people: lpm.Population, devices: int) -> Any:
    """The compiled segment of a run split over so many devices, and its rows."""
    mesh = choose_mesh(devices, people.capacity)
    rows = people.capacity if mesh is None else shared_rows(people.capacity, mesh)
    plan = make_plan(scenario, scenario.params, "stop", False, 1, mesh, people.capacity)
    people, key = people.with_capacity(rows), key_words(0)
    plan, state = start(scenario, people, plan, scenario.params, key)
    moving, fixed = plan.split(state)
    faults, zero = jnp.full(len(plan.checks), -1, jnp.int32), jnp.int32(0)
    arguments = (plan, moving, fixed, zero, faults, scenario.params, key, zero)
    return advance.lower(*arguments).compile(), rows


def exchanged(scenario: lpm.Scenario, people: lpm.Population, devices: int) -> dict[str, float]:
    """Bytes per agent and step that each kind of collective hands to every device.

    Both branches of a condition count, though a step takes one.
    """
    compiled, rows = compile_shared(scenario, people, devices)
    found: dict[str, float] = {}
    for shapes, kind in _CALL.findall(compiled.as_text()):
        for dtype, dims in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            size = _WIDTH[dtype] * int(np.prod([int(d) for d in dims.split(",") if d]))
            found[kind] = found.get(kind, 0.0) + size / rows
    return found


def measure(name: str, agents: int, devices: int, steps: int) -> dict[str, Any]:
    """All figures of one scenario on so many devices with so many agents each."""
    scenario = importlib.import_module(f"scenarios.{name}").scenario
    people = scenario.population(agents * devices, seed=0)
    ask = {"devices": devices, "progress": False, "steps": steps}
    lpm.simulate(scenario, people, key=0, **ask)
    began = time.process_time()
    lpm.simulate(scenario, people, key=1, **ask)
    spent = time.process_time() - began
    return {
        "scenario": name,
        "devices": devices,
        "agents": agents * devices,
        "cpu_ns_per_agent_step": spent / steps / (agents * devices) * 1e9,
        "exchanged": exchanged(scenario, people, devices) if devices > 1 else {},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="*", default=["sir", "epidemic"])
    parser.add_argument("--agents", type=int, default=262_144)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.scenarios[0], asked.agents, asked.one, asked.steps)))
        return
    rows = []
    for name in asked.scenarios:
        for devices in COUNTS:
            flags = f"--xla_force_host_platform_device_count={devices}"
            command = [sys.executable, "-m", "tests.benchmarks.devices", "--scenarios", name]
            command += ["--agents", str(asked.agents), "--steps", str(asked.steps)]
            done = subprocess.run(
                [*command, "--one", str(devices)],
                env=os.environ | {"XLA_FLAGS": flags},
                capture_output=True,
                text=True,
                check=True,
            )
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
    if asked.out:
        with open(asked.out, "w", encoding="utf-8") as file:
            json.dump(
                {"jax": jax.__version__, "cores": os.cpu_count(), "rows": rows}, file, indent=2
            )


if __name__ == "__main__":
    main()
