"""Drive a compiled run segment by segment: stream observables, save, show progress, find faults."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .checkpoints import Checkpoints
from .devices import fetch, spread
from .engine import MOVING, Plan, advance, lanewise
from .errors import ScenarioError, SimulationError
from .interviews import Interviews
from .launch import start
from .params import Params
from .personas import Recorded
from .population import Population
from .scenario import Scenario
from .state import State

_BUFFER_BYTES = 64 * 2**20  # Observables held on the device between two segments, at most.
_SEGMENTS = 10  # At least this often a run comes up for progress and checkpoints.
_MOST_ROWS = 64


@dataclass
class Outcome:
    """What a run has given so far, on the host; arrays lead with a lane axis if batched."""

    plan: Plan
    step: int = 0
    rows: list[dict[str, np.ndarray]] = field(default_factory=list)
    faults: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    snapshots: dict[int, State] = field(default_factory=dict)
    state: State | None = None
    answers: Recorded | None = None

    def observed(self) -> dict[str, np.ndarray]:
        """Observables over all rows so far, rows on the axis after the lanes'."""
        return {name: np.concatenate([r[name] for r in self.rows]) for name in self.rows[0]}


def run_segments(
    scenario: Scenario,
    population: Population,
    plan: Plan,
    params: Params,
    key: jax.Array,
    *,
    steps: int,
    snapshots: Sequence[int],
    throw: bool,
    checkpoints: Checkpoints,
    after: Callable[[int, Outcome], None],
    lanes: Sequence[str] = ("",),
    interviews: Interviews | None = None,
) -> Outcome:
    """Run `steps` steps (all lanes together if batched), or continue a saved run.

    `after(steps, outcome)` is called between segments with the steps just done; `lanes` are the
    words by which a fault names the run it happened in. A panel is asked between segments, so that
    the compiled program is the same as without one.

    Raises:
        PersonaError: an answer that cannot be had.
        SimulationError: a variable left its bounds (if `throw`), memory is short, or a checkpoint
            does not fit.
    """
    wanted = _check_snapshots(snapshots, steps)
    stops = {*wanted, *(interviews.panel.stops(steps) if interviews else ())}
    plan, state = start(scenario, population, plan, params, key)
    plan = fit_rows(plan, state, params)
    rows = min(plan.rows, math.ceil(steps / plan.every / _SEGMENTS))
    moving, fixed = plan.split(state)
    outcome = Outcome(plan, faults=np.full((*key.shape[:-1], len(plan.checks)), -1, np.int32))
    if 0 in wanted:
        outcome.snapshots[0] = to_host(plan, moving, fixed, 0)
    saved = checkpoints.latest()
    if saved is not None:
        outcome.step, outcome.faults = int(saved["step"]), saved["faults"]
        outcome.rows = [saved["observed"]] if saved["observed"] else []
        for at, leaves in saved["snapshots"].items():
            filled = _fill_up(plan, leaves, moving)
            outcome.snapshots[int(at)] = to_host(plan, filled, fixed, int(at))
        moving = _put_back(_fill_up(plan, saved["moving"], moving), moving)
        if interviews:
            interviews.restore(saved["interviews"])
        if throw:
            raise_faults(
                plan, outcome.faults, scenario.unit, plan.room or population.capacity, lanes
            )
        after(outcome.step, outcome)
    faults = jnp.asarray(outcome.faults)
    del state
    while outcome.step < steps:
        if interviews:
            moving = interviews.hold(plan, outcome.step, moving, fixed, params)
        length = _next_stop(outcome.step, steps, plan.every, rows, stops) - outcome.step
        at, count = jnp.int32(outcome.step), jnp.int32(length)
        moving, faults, buffer = advance(plan, moving, fixed, at, faults, params, key, count)
        _collect(plan, outcome, buffer, length)
        outcome.faults = np.asarray(faults)
        if outcome.step in wanted:
            outcome.snapshots[outcome.step] = to_host(plan, moving, fixed, outcome.step)
        if throw:
            raise_faults(
                plan, outcome.faults, scenario.unit, plan.room or population.capacity, lanes
            )
        save = partial(_payload, outcome, moving, interviews)
        checkpoints.save(save, last=outcome.step == steps)
        after(length, outcome)
    outcome.state = plan.join(moving, fixed, jnp.int32(outcome.step))
    outcome.answers = interviews.recorded(plan) if interviews else None
    return outcome


def _payload(
    outcome: Outcome, moving: Sequence[jax.Array], interviews: Interviews | None
) -> dict[str, Any]:
    """All that a resumed run needs beside what it recomputes from its key.

    Rows that only fill the devices evenly stay out, for another run may have others.
    """
    plan = outcome.plan
    return {
        "step": np.asarray(outcome.step),
        "faults": outcome.faults,
        "moving": _cut(plan, [fetch(x) for x in moving]),
        "observed": outcome.observed() if outcome.rows else {},
        "interviews": interviews.save() if interviews else {},
        "snapshots": {
            str(step): _cut(plan, plan.split(state)[0])
            for step, state in outcome.snapshots.items()
            if step > 0
        },
    }


def _agent_axes(plan: Plan) -> list[int | None]:
    """Per moving leaf: the axis of the agents, if it has one."""
    pairs = zip(plan.agents, plan.roles, strict=True)
    return [int(plan.batched) if agent else None for agent, role in pairs if role == MOVING]


def _cut(plan: Plan, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Leaves without the rows beyond those the population was given."""
    if plan.room is None:
        return list(leaves)
    rows = np.arange(plan.room)
    axes = zip(leaves, _agent_axes(plan), strict=True)
    return [x if axis is None else x.take(rows, axis) for x, axis in axes]


def _fill_up(plan: Plan, saved: Sequence[Any], moving: Sequence[jax.Array]) -> list[Any]:
    """Saved leaves, with rows of the initial state behind them where this run has more."""
    if plan.room is None or len(saved) != len(moving):
        return list(saved)
    room = plan.room

    def filled(old: Any, now: jax.Array, axis: int | None) -> Any:
        if axis is None or np.shape(old)[axis : axis + 1] != (room,):
            return old
        return np.concatenate([old, fetch(now).take(np.arange(room, now.shape[axis]), axis)], axis)

    triples = zip(saved, moving, _agent_axes(plan), strict=True)
    return [filled(old, now, axis) for old, now, axis in triples]


def _put_back(saved: Sequence[Any], moving: Sequence[jax.Array]) -> list[jax.Array]:
    """Saved leaves where the initial ones lay.

    Raises:
        SimulationError: they are not of the same shape.
    """
    shapes = [[(np.shape(x), np.dtype(x.dtype)) for x in leaves] for leaves in (saved, moving)]
    if shapes[0] != shapes[1]:
        raise SimulationError(
            "the checkpoint holds a state of another shape than this scenario's; give another "
            "folder"
        )
    pairs = zip(saved, moving, strict=True)
    return [spread(old, like.sharding) for old, like in pairs]


def _collect(plan: Plan, outcome: Outcome, buffer: Any, length: int) -> None:
    """Move the rows of one segment to the host."""
    rows = (outcome.step + length) // plan.every - outcome.step // plan.every
    outcome.step += length
    if rows:
        outcome.rows.append({name: np.asarray(x)[:rows] for name, x in buffer.items()})


def _next_stop(step: int, steps: int, every: int, rows: int, stops: Iterable[int]) -> int:
    """Step at which the running segment ends: `rows` are full, something waits, or the end."""
    full = (step // every + rows) * every
    return min([full, steps, *(s for s in stops if s > step)])


def fit_rows(plan: Plan, state: State, params: Params) -> Plan:
    """The plan with as many rows of observables on the device as memory allows.

    The number does not depend on the horizon, and so one compilation serves all horizons.
    """
    moving, fixed = plan.split(state)
    shapes = _observed.eval_shape(plan, jnp.int32(0), moving, fixed, params)
    size = sum(math.prod(s.shape) * s.dtype.itemsize for s in jax.tree.leaves(shapes))
    return replace(plan, rows=max(1, min(_MOST_ROWS, _BUFFER_BYTES // max(size, 1))))


@partial(jax.jit, static_argnames=("plan",))
def _observed(plan: Plan, t: Any, moving: list[Any], fixed: list[Any], params: Params) -> Any:
    """What is observed; compiled only to be traced once for all runs of a plan."""
    return lanewise(plan, params)[1](t, moving, fixed, params)


def to_host(plan: Plan, moving: Any, fixed: Any, t: int) -> State:
    """The whole state as NumPy arrays."""
    return jax.tree.map(fetch, plan.join(moving, fixed, np.int32(t)))


def fault_names(plan: Plan) -> list[str]:
    """Name of each check: the variable, and the process where debugging."""
    return [f"{name} after {place}" if place else name for place, name in plan.checks]


def raise_faults(
    plan: Plan, faults: np.ndarray, unit: str, capacity: int, lanes: Sequence[str] = ("",)
) -> None:
    """Say in words which variable left its bounds first, when, and in which of the `lanes`.

    Raises:
        SimulationError: some fault is recorded.
    """
    if not np.any(faults >= 0):
        return
    table = faults.reshape(-1, faults.shape[-1])
    when = np.where(table >= 0, table, np.iinfo(np.int32).max)
    lane, check = (int(i) for i in np.unravel_index(when.argmin(), when.shape))
    step, (place, name) = when[lane, check], plan.checks[check]
    where = f" in {lanes[lane]}" if lanes[lane] else ""
    if name == "next_slot":
        raise SimulationError(
            f"births outgrew the {capacity} slots at {unit} {step}{where}; "
            "give the population a larger capacity"
        )
    shapes = jax.tree.unflatten(plan.treedef, list(plan.roles))
    variable = type(shapes).variables()[name]
    by = f", after process `{place}`" if place else ""
    left = f"left {variable.domain}" if variable.domain.bounded else "was not finite"
    raise SimulationError(
        f"{type(shapes).__name__}.{name} {left} at {unit} {step}{where}{by}"
        + ("" if place else "; debug=True names the process")
    )


def _check_snapshots(snapshots: Sequence[int], steps: int) -> list[int]:
    wrong = [s for s in snapshots if not 0 <= int(s) <= steps]
    if wrong:
        raise ScenarioError(f"snapshots {wrong} are not between step 0 and {steps}")
    return sorted({int(s) for s in snapshots})


def stack_states(plan: Plan, states: Sequence[State], alone: bool) -> State:
    """Final states of several chunks of runs as one, leaves that are common to all kept once."""
    columns = zip(*(jax.tree.leaves(state) for state in states), strict=True)
    join = np.stack if alone else np.concatenate
    leaves = [
        join([np.asarray(x) for x in column]) if lane else column[0]
        for column, lane in zip(columns, plan.lanes, strict=True)
    ]
    return jax.tree.unflatten(plan.treedef, leaves)
