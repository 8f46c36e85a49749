"""How much memory a run will take, found on a small sample before anything large is made."""

import tracemalloc
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..engine import advance
from ..errors import SimulationError
from ..launch import free_memory, key_words, make_plan, start
from ..params import Params
from ..scenario import Scenario

_SAMPLE = 10_000
_SMALL = 50_000  # People below which a run is let go without an estimate.
_TOGETHER = 2**20  # Slots of all runs that lpm.ensemble advances at once.
_PROCESS = 300 * 10**6  # Bytes of Python, JAX and the compiler.


@dataclass(frozen=True)
class Need:
    """Bytes per agent: while the population is built, and while it runs.

    Attributes:
        building: peak of NumPy memory while the population is made.
        columns: the finished population.
        state: the state on the device.
        working: what a step takes beside the state, and the copy a checkpoint makes.
    """

    building: float
    columns: float
    state: float
    working: float

    def total(self, agents: int, runs: int = 1) -> int:
        """Bytes at the peak of `runs` runs of `agents` agents."""
        together = max(1, min(runs, _TOGETHER // agents))
        # The columns are on the host and once more on the device.
        running = 2 * self.columns + together * (self.state + self.working)
        return int(_PROCESS + agents * max(self.building, running))


def measure(scenario: Scenario[Any, Any], params: Params, agents: int = _SAMPLE) -> Need:
    """Compile one step of a sample and read off what it allocates.

    Bytes grow in proportion to agents where every array does, as in all shipped scenarios; a
    network whose ties grow faster needs more than this says.
    """
    tracemalloc.start()
    try:
        population = scenario.population(agents, seed=0)
        _, building = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    plan = make_plan(scenario, params, "stop", False, 1, None)
    key = key_words(0)
    plan, state = start(scenario, population, plan, params, key)
    plan = replace(plan, rows=1)
    moving, fixed = plan.split(state)
    faults = jnp.full(len(plan.checks), -1, jnp.int32)
    lowered = advance.lower(plan, moving, fixed, jnp.int32(0), faults, params, key, jnp.int32(1))
    analysis = lowered.compile().memory_analysis()
    held = sum(x.nbytes for x in jax.tree.leaves(state))
    copied = sum(x.nbytes for x in moving)
    columns = sum(np.asarray(x).nbytes for x in population.arrays().values())
    working = copied + (0 if analysis is None else analysis.temp_size_in_bytes)
    people = population.size
    return Need(building / people, columns / people, held / people, working / people)


def available() -> int | None:
    """Bytes free where runs happen: the accelerator's, else main memory; `None` if unknown."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return free_memory()
    found = device.memory_stats() or {}
    if "bytes_limit" not in found:
        return None
    return found["bytes_limit"] - found.get("bytes_in_use", 0)


def check_fits(scenario: Scenario[Any, Any], params: Params, agents: int, runs: int) -> None:
    """Refuse a population that would not fit; a small one is not measured.

    Raises:
        SimulationError: says how much is needed, how much is free and how many agents would fit.
    """
    free = available()
    if agents <= _SMALL or free is None:
        return
    need = measure(scenario, params)
    wanted = need.total(agents, runs)
    if wanted > free:
        raise SimulationError(
            f"{agents:,} agents need about {wanted / 1e9:,.1f} GB, but {free / 1e9:,.1f} GB are "
            f"free; about {fitting(need, free):,} would fit"
        )


def fitting(need: Need, free: int) -> int:
    """Largest number of agents, to two figures, whose runs one by one fit into `free` bytes."""
    each = max(need.building, 2 * need.columns + need.state + need.working)
    most = max(0, int((free - _PROCESS) / each))
    step = 10 ** max(0, len(str(most)) - 2)
    return most // step * step
