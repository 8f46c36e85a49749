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
from ..simulation import together

_SAMPLE = 10_000
_SMALL = 50_000  # People below which a run is let go without an estimate.
# Bytes of Python and JAX, and of the compiler and the writer of checkpoints, as measured where
# nothing was compiled before (145 MB for `sir`, 278 MB for `epidemic`).
_PROCESS, _COMPILER = 200 * 10**6, 200 * 10**6
# A freed column stays with the process where it is smaller than the 32 MB from which on glibc
# always gives back; most are of 4 bytes an agent.
_KEPT_BELOW = 32 * 2**20 // 4


@dataclass(frozen=True)
class Need:
    """Bytes per agent.

    Attributes:
        building: peak while the population is made.
        columns: the finished population, whose columns `init` gets a copy of.
        state: the state of one run.
        starting: what `init` takes beside the columns and the state.
        working: what a step takes beside the state, and the copy a checkpoint makes.
    """

    building: float
    columns: float
    state: float
    starting: float
    working: float

    def host(self, agents: int) -> int:
        """Bytes of main memory beside what the device needs."""
        return int(_PROCESS + _COMPILER + agents * self.building)

    def device(self, agents: int, runs: int = 1, devices: int = 1) -> int:
        """Bytes on each device, of as many runs as advance at once."""
        return int(-(-agents // devices) * self._running(agents, runs))

    def total(self, agents: int, runs: int = 1) -> int:
        """Bytes where host and devices share their memory: the larger of building and running.

        0.85 to 1.25 times the measured peaks of 1 to 30 million people in six shipped scenarios,
        and up to 1.44 times where there is little to keep: below 10 million in `sir`, and at 1
        million in `network_sir`.
        """
        kept = self.building if agents < _KEPT_BELOW else self.columns
        running = _COMPILER + agents * (kept + self._running(agents, runs))
        return int(_PROCESS + max(agents * self.building, running))

    def _running(self, agents: int, runs: int) -> float:
        """Bytes per agent of the columns' copy and of the runs that advance at once."""
        abreast = max(1, min(runs, together(agents)))
        starting = self.columns + abreast * (self.state + self.starting)
        return max(starting, abreast * (self.state + self.working))


def measure(scenario: Scenario[Any, Any], params: Params, agents: int = _SAMPLE) -> Need:
    """Build a sample, compile its `init` and one step, and read off what they allocate.

    Bytes grow in proportion to agents where every array does, as in all shipped scenarios; a
    network whose ties grow faster needs more than this says.
    """
    scenario.population(agents, seed=0)  # What a first one reads and keeps does not grow with it.
    tracemalloc.start()
    try:
        population = scenario.population(agents, seed=0)
        _, building = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    plan = make_plan(scenario, params, "stop", False, 1, None, pauses=True)
    key = key_words(0)
    plan, state = start(scenario, population, plan, params, key)
    _, begin = next(reversed(population.compiled.values()))
    initial = begin.lower(population.arrays(), params, key).compile()
    plan = replace(plan, rows=1)
    moving, fixed = plan.split(state)
    faults = jnp.full(len(plan.checks), -1, jnp.int32)
    step = advance.lower(
        plan, moving, fixed, jnp.int32(0), faults, params, key, jnp.int32(1)
    ).compile()
    saved = sum(x.nbytes for x in moving)
    bytes_of = {
        "building": building,
        "columns": sum(np.asarray(x).nbytes for x in population.arrays().values()),
        "state": sum(x.nbytes for x in jax.tree.leaves(state)),
        "starting": _temporary(initial),
        "working": _temporary(step) + saved,
    }
    return Need(**{name: value / population.size for name, value in bytes_of.items()})


def available() -> tuple[int | None, int | None]:
    """Bytes free in main memory and on an accelerator; `None` where unknown or without one."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return free_memory(), None
    found = device.memory_stats() or {}
    if "bytes_limit" not in found:
        return free_memory(), None
    return free_memory(), found["bytes_limit"] - found.get("bytes_in_use", 0)


def verdict(need: Need, agents: int, runs: int = 1, devices: int = 1) -> tuple[bool, str]:
    """Whether a run fits, and in words how much it needs, how much is free and what would fit.

    Devices that are accelerators have memory of their own, each as much as the first.
    """
    main, device = available()

    def on_device(agents: int, runs: int = 1) -> int:
        return need.device(agents, runs, devices)

    parts = [(need.total(agents, runs), need.total, main, "")]
    if device is not None:
        where = " of the accelerator" if devices == 1 else " of each accelerator"
        parts = [
            (need.host(agents), need.host, main, " of main memory"),
            (on_device(agents, runs), on_device, device, where),
        ]
    fits, told, most = True, [], []
    for wanted, bytes_of, free, where in parts:
        if free is None:
            told.append(f"about {wanted / 1e9:,.1f} GB{where}")
            continue
        fits = fits and wanted <= free
        told.append(f"about {wanted / 1e9:,.1f} GB{where}, {free / 1e9:,.1f} GB are free")
        most.append(_largest(bytes_of, free))
    limit = f"; about {min(most):,} would fit" if most else ""
    return fits, f"{agents:,} agents need {' and '.join(told)}{limit}"


def check_fits(
    scenario: Scenario[Any, Any], params: Params, agents: int, runs: int, devices: int = 1
) -> None:
    """Refuse a population that would not fit; a small one is not measured.

    Raises:
        SimulationError: says how much is needed, how much is free and how many agents would fit.
    """
    if agents <= _SMALL:
        return
    fits, told = verdict(measure(scenario, params), agents, runs, devices)
    if not fits:
        raise SimulationError(told)


def _largest(bytes_of: Any, free: int) -> int:
    """Largest number of agents, to two figures, that `bytes_of` puts below `free`."""
    low, high = 0, 10**12
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bytes_of(middle) <= free else (low, middle)
    step = 10 ** max(0, len(str(low)) - 2)
    return low // step * step


def _temporary(compiled: Any) -> int:
    analysis = compiled.memory_analysis()
    return 0 if analysis is None else analysis.temp_size_in_bytes
