"""One step, and the two loops around it: segments for a run, a rematerialised scan for a trace."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from .axes import AGENT, axis_names, hints, is_array
from .devices import along_agents, everywhere
from .draw import Draw
from .fields import Domain
from .params import Params
from .scenario import check_observed, check_state, process_name
from .state import State, keep_alive

MOVING, FIXED, TIME = "moving", "fixed", "time"
_SLACK = 1e-5  # Relative rounding of a float32 sum that meets its bound exactly.


@dataclass(frozen=True)
class Plan:
    """All a compiled run depends on besides array values; hashable, so that JAX can cache by it.

    Attributes:
        roles: per leaf of the state: moving (replaced by some process), fixed, or the time.
        lanes: per leaf: whether it differs between the runs of an ensemble.
        varied: per leaf of params: whether it has a row for each lane.
        spare: whether there are, or may come to be, empty slots.
        batched: whether this plan runs several lanes at once.
        answers: variables that a panel fills between segments.
        room: slots that births may use, if not all; the rest only fill the devices evenly.
    """

    processes: tuple[Callable[..., Any], ...]
    observe: Callable[..., Any]
    estimator: str = "stop"
    debug: bool = False
    every: int = 1
    rows: int = 1
    treedef: Any = None
    roles: tuple[str, ...] = ()
    lanes: tuple[bool, ...] = ()
    varied: tuple[bool, ...] = ()
    agents: tuple[bool, ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    spare: bool = True
    batched: bool = False
    answers: tuple[str, ...] = ()
    mesh: Mesh | None = None
    room: int | None = None

    def split(self, state: State) -> tuple[list[Any], list[Any]]:
        """Moving and fixed leaves of a state."""
        leaves = jax.tree.leaves(state)
        moving = [x for x, role in zip(leaves, self.roles, strict=True) if role == MOVING]
        fixed = [x for x, role in zip(leaves, self.roles, strict=True) if role == FIXED]
        return moving, fixed

    def join(self, moving: Sequence[Any], fixed: Sequence[Any], t: Any) -> State:
        """The state made of its moving and fixed leaves at step `t`."""
        parts = {MOVING: iter(moving), FIXED: iter(fixed), TIME: iter((t,))}
        return jax.tree.unflatten(self.treedef, [next(parts[role]) for role in self.roles])

    def axes(self, role: str) -> list[int | None]:
        """Vmap axes of the leaves with `role`."""
        pairs = zip(self.roles, self.lanes, strict=True)
        return [0 if lane else None for r, lane in pairs if r == role]


def step(plan: Plan, state: State, params: Params, key: jax.Array, faults: jax.Array) -> Any:
    """All processes once, in order; then time advances.

    Returns the new state, the log-probability of its discrete draws, and the faults so far.
    """
    log_probability = jnp.zeros(())
    for process in plan.processes:
        name = process_name(process)
        draw = make_draw(state, key, name, plan.estimator)
        with jax.named_scope(name):
            new = process(state, params, draw)
        check_state(process, new, state)
        state = empty_slots(new, state) if plan.spare else new
        log_probability = log_probability + draw.log_probability
        if plan.debug:
            faults = find_faults(plan, state, faults, name, state.t + 1)
    state = state.replace(t=state.t + 1)
    if not plan.debug:
        faults = find_faults(plan, state, faults, "", state.t)
    return state, log_probability, faults


def make_draw(state: State, key: jax.Array, name: str, estimator: str) -> Draw:
    """A process's randomness in this step."""
    return Draw(
        key,
        state.t,
        name,
        slot=state.slot,
        alive=state.alive,
        sizes=state.sizes(),
        estimator=estimator,
        generation=state.generation,
    )


def empty_slots(new: State, old: State) -> State:
    """`new` with zeros in the empty slots of every float variable it replaced."""
    changes = {}
    for name, annotation in hints(type(new)).items():
        if not is_array(annotation) or axis_names(annotation)[:1] != (AGENT,):
            continue
        value = getattr(new, name)
        replaced = value is not getattr(old, name)
        if replaced and jnp.issubdtype(value.dtype, jnp.floating):
            changes[name] = keep_alive(new.alive, value)
    return new.replace(**changes) if changes else new


def find_faults(plan: Plan, state: State, faults: jax.Array, process: str, t: Any) -> jax.Array:
    """Record `t` for every check that fails for the first time."""
    if not plan.checks:
        return faults
    bad = []
    for place, name in plan.checks:
        if place != process:
            bad.append(jnp.zeros((), bool))
        elif name == "next_slot":
            bad.append(_overfull(state, plan.room))
        else:
            domain = type(state).variables()[name].domain
            wrong = domain.violated(getattr(state, name), _SLACK)
            if axis_names(hints(type(state))[name])[:1] == (AGENT,) and domain.violated(
                np.zeros(())
            ):
                wrong = keep_alive(state.alive, wrong)  # empty slots hold a zero that is no value
            bad.append(jnp.any(wrong))
    return jnp.where(jnp.stack(bad) & (faults < 0), t, faults)


def _overfull(state: State, room: int | None) -> jax.Array:
    """Whether births took more slots than the population was given."""
    if room is None:
        return state.next_slot > state.alive.shape[0]
    return (state.next_slot > room) | jnp.any(state.alive[room:])


def list_checks(state: State, roles: Sequence[str], plan: Plan) -> tuple[tuple[str, str], ...]:
    """(process, variable) pairs to watch; the process is empty unless debugging."""
    flags = jax.tree.unflatten(jax.tree.structure(state), list(roles))
    names = [
        name
        for name, variable in type(state).variables().items()
        if getattr(flags, name) == MOVING and _checkable(state, name, variable.domain)
    ]
    if flags.next_slot == MOVING:
        names.append("next_slot")
    places = [process_name(p) for p in plan.processes] if plan.debug else [""]
    return tuple((place, name) for place in places for name in names)


def _checkable(state: State, name: str, domain: Domain) -> bool:
    return domain.bounded or jnp.issubdtype(getattr(state, name).dtype, jnp.floating)


def find_roles(plan: Plan, state: Any, params: Any, key: Any) -> tuple[str, ...]:
    """Which leaves some process replaces, seen while tracing one step on shapes alone."""
    roles: list[str] = []

    def probe(state: State, params: Params, key: jax.Array) -> jax.Array:
        new, _, _ = step(plan, state, params, key, jnp.zeros(0, jnp.int32))
        pairs = zip(jax.tree.leaves(new), jax.tree.leaves(state), strict=True)
        roles.extend(FIXED if a is b else MOVING for a, b in pairs)
        return new.t

    jax.eval_shape(probe, state, params, key)
    flags = jax.tree.unflatten(jax.tree.structure(state), range(len(roles)))
    roles[flags.t] = TIME
    if MOVING not in roles:
        # What moves carries the axis of runs: where nothing does, one variable counts as moving.
        others = (i for i in range(len(roles)) if i not in (flags.t, flags.alive))
        roles[next(others, flags.alive)] = MOVING
    return tuple(roles)


def agent_leaves(module: Any) -> Any:
    """Tree of bools: which leaves have the axis `agent` first, by their annotations."""
    flags = {}
    for name, annotation in hints(type(module)).items():
        value = getattr(module, name, None)
        if is_array(annotation):
            flags[id(value)] = axis_names(annotation)[:1] == (AGENT,)
        elif isinstance(value, eqx.Module) and jax.tree.leaves(value):
            nested = agent_leaves(value)
            leaves = zip(jax.tree.leaves(value), jax.tree.leaves(nested), strict=True)
            flags |= {id(leaf): flag for leaf, flag in leaves}
    agents = getattr(module, "alive", None)
    length = None if agents is None else agents.shape[0]
    return jax.tree.map(
        lambda x: flags.get(id(x), length is not None and x.shape[:1] == (length,)), module
    )


def place(plan: Plan, leaves: Sequence[Any], role: str) -> list[Any]:
    """Hold the agent axis of each leaf split over the mesh."""
    if plan.mesh is None:
        return list(leaves)
    flags = [a for a, r in zip(plan.agents, plan.roles, strict=True) if r == role]
    sharding = along_agents(plan.mesh)
    return [
        jax.lax.with_sharding_constraint(x, sharding) if flag else x
        for x, flag in zip(leaves, flags, strict=True)
    ]


def _one(plan: Plan, t: Any, moving: Any, fixed: Any, params: Any, key: Any, faults: Any) -> Any:
    state, log_probability, faults = step(plan, plan.join(moving, fixed, t), params, key, faults)
    return place(plan, plan.split(state)[0], MOVING), log_probability, faults


def _seen(plan: Plan, t: Any, moving: Any, fixed: Any, params: Any) -> dict[str, jax.Array]:
    return check_observed(plan.observe(plan.join(moving, fixed, t), params))


def lanewise(plan: Plan, params: Params) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The step and the observation, over all lanes of an ensemble at once where there are any."""
    one, seen = partial(_one, plan), partial(_seen, plan)
    if not plan.batched:
        return one, seen
    fixed = plan.axes(FIXED)
    varied = jax.tree.unflatten(
        jax.tree.structure(params), [0 if flag else None for flag in plan.varied]
    )
    return (
        jax.vmap(one, in_axes=(None, 0, fixed, varied, 0, 0)),
        jax.vmap(seen, in_axes=(None, 0, fixed, varied)),
    )


@partial(jax.jit, static_argnames=("plan",), donate_argnames=("moving",))
def advance(
    plan: Plan,
    moving: list[Any],
    fixed: list[Any],
    t: jax.Array,
    faults: jax.Array,
    params: Params,
    key: jax.Array,
    steps: jax.Array,
) -> Any:
    """Take `steps` steps from step `t`, observing into a buffer of `plan.rows` rows.

    The number of steps is data, so that one compilation serves segments of every length.
    """
    one, seen = lanewise(plan, params)
    shapes = jax.eval_shape(seen, t, moving, fixed, params)
    buffer = jax.tree.map(lambda s: jnp.zeros((plan.rows, *s.shape), s.dtype), shapes)
    if plan.mesh is not None:  # The host reads them, from whichever device it has.
        buffer = jax.lax.with_sharding_constraint(buffer, everywhere(plan.mesh))
    first = t // plan.every

    def body(i: jax.Array, carry: Any) -> Any:
        moving, faults, buffer = carry
        # Left to itself XLA computes what depends on `fixed` alone once, before the loop, and keeps
        # it: 26 bytes an agent in the epidemic, and reading them takes longer than computing them.
        held, i = jax.lax.optimization_barrier((fixed, i))
        moving, _, faults = one(t + i, moving, held, params, key, faults)
        # Else XLA works out the step again, coins and all, inside each sum over the agents.
        moving = jax.lax.optimization_barrier(moving)
        now = t + i + 1

        def write(buffer: Any) -> Any:
            row = now // plan.every - 1 - first
            values = seen(now, moving, held, params)
            return jax.tree.map(lambda b, v: b.at[row].set(v), buffer, values)

        if plan.every == 1:
            buffer = write(buffer)
        else:
            buffer = jax.lax.cond(now % plan.every == 0, write, lambda b: b, buffer)
        return moving, faults, buffer

    moving, faults, buffer = jax.lax.fori_loop(0, steps, body, (moving, faults, buffer))
    if plan.mesh is not None:
        faults, buffer = jax.lax.with_sharding_constraint((faults, buffer), everywhere(plan.mesh))
    return moving, faults, buffer


@partial(jax.jit, static_argnames=("plan", "steps"))
def trace(
    plan: Plan,
    state: State,
    params: Params,
    key: jax.Array,
    steps: int,
    log_probability: jax.Array,
) -> tuple[State, dict[str, jax.Array], jax.Array, jax.Array]:
    """The whole run as one nested scan, differentiable in reverse at sqrt(rows) states of memory.

    `log_probability` is that of the draws in `init`. Returns the final state, observables
    [row, ...], log-probability up to each row, and faults.
    """
    moving, fixed = plan.split(state)
    one, seen = partial(_one, plan), partial(_seen, plan)

    def tick(carry: Any, _: None) -> Any:
        moving, t, faults, total = carry
        moving, log_probability, faults = one(t, moving, fixed, params, key, faults)
        return (moving, t + 1, faults, total + log_probability), None

    @jax.checkpoint
    def row(carry: Any, _: None) -> Any:
        carry, _ = jax.lax.scan(tick, carry, None, length=plan.every)
        moving, t, _, total = carry
        return carry, (seen(t, moving, fixed, params), total)

    @jax.checkpoint
    def block(carry: Any, _: None) -> Any:
        return jax.lax.scan(row, carry, None, length=width)

    rows = steps // plan.every
    width = max(1, math.isqrt(rows))
    carry = (moving, state.t, jnp.full(len(plan.checks), -1, jnp.int32), log_probability)
    carry, whole = jax.lax.scan(block, carry, None, length=rows // width)
    carry, rest = jax.lax.scan(row, carry, None, length=rows % width)
    carry, _ = jax.lax.scan(tick, carry, None, length=steps % plan.every)
    whole = jax.tree.map(lambda x: x.reshape(x.shape[0] * width, *x.shape[2:]), whole)
    observed, total = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), whole, rest)
    moving, t, faults, _ = carry
    return plan.join(moving, fixed, t), observed, total, faults
