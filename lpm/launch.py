"""From a scenario and a population to a state on the devices, and the plan to advance it."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex
from jax.sharding import Mesh

from .axes import AGENT, hints, is_traced
from .cache import forget_if_full
from .devices import along_agents, everywhere, spread
from .draw import Draw
from .engine import FIXED, MOVING, Plan, agent_leaves, find_roles, list_checks
from .errors import ScenarioError, SimulationError
from .interviews import answered_roles
from .networks import Graph, Groups
from .params import Params
from .population import Population
from .processes import several
from .scenario import Scenario
from .state import State

ESTIMATORS = ("stop", "straight_through", "mean_field", "score")
_WORTH_SPLITTING = 65_536  # Agents per device below which a step is faster on one.
_BLOCK = 1024  # People whose values are added up together; see `aggregates`.


def key_words(key: Any) -> jax.Array:
    """Two 32-bit words of an int seed, a JAX key, or an array of keys ([run, 2]).

    Raises:
        SimulationError: anything else.
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        key = jax.random.key(int(key))
    if isinstance(key, Sequence) and not isinstance(key, str) and len(key):
        return jnp.stack([key_words(k) for k in key])
    if not isinstance(key, jax.Array | np.ndarray):
        raise SimulationError(f"key = {key!r}; give an int or a jax.random.key")
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    if key.dtype != jnp.uint32 or key.ndim == 0 or key.shape[-1] < 2:
        raise SimulationError(f"key is {key.dtype}{list(key.shape)}; give an int or jax.random.key")
    key = jnp.asarray(key)
    words = key[..., :2]
    for k in range(2, key.shape[-1] - 1, 2):
        words = words ^ key[..., k : k + 2]
    return words


def choose_mesh(devices: Any, capacity: int) -> Mesh | None:
    """Mesh over the devices of a run; `None` for one.

    `devices=None` takes all there are where each gets enough agents to be worth it. Several
    processes take all devices of all of them, or each one of its own (`devices=1`).

    Raises:
        SimulationError: more devices than there are, or some of those of several processes.
    """
    there = jax.devices()
    if several():
        if devices == 1:
            return None
        if devices not in (None, len(there)):
            raise SimulationError(
                f"devices = {devices}, but {jax.process_count()} processes share this run with "
                f"{len(there)} devices in all; leave devices out to use them all"
            )
        devices = there
    if devices is None:
        count = len(there) if capacity >= _WORTH_SPLITTING * len(there) else 1
        devices = there[:count]
    elif isinstance(devices, int):
        if not 1 <= devices <= len(there):
            raise SimulationError(_too_many(devices, there))
        devices = there[:devices]
    if not len(devices):
        raise SimulationError("devices is an empty list; give at least one, or leave it out")
    if list(devices) == there[:1]:
        return None
    kind = jax.sharding.AxisType.Auto
    return jax.make_mesh((len(devices),), (AGENT,), axis_types=(kind,), devices=devices)


def _too_many(devices: int, there: Sequence[Any]) -> str:
    told = f"devices = {devices}, but this machine has {len(there)} ({there[0].device_kind})"
    if there[0].platform == "cpu" and devices > 0:
        told += f"; XLA_FLAGS=--xla_force_host_platform_device_count={devices} makes virtual ones"
    return told


def shared_rows(capacity: int, mesh: Mesh) -> int:
    """Rows that the devices of a mesh can share: each gets as many.

    In large populations each gets whole blocks, so that sums over blocks of people stay on it.
    """
    unit = mesh.size * (_BLOCK if capacity >= _WORTH_SPLITTING * mesh.size else 1)
    return -(-capacity // unit) * unit


def make_plan(
    scenario: Scenario,
    params: Params,
    estimator: str,
    debug: bool,
    every: int,
    mesh: Mesh | None,
    room: int | None = None,
    *,
    pauses: bool = False,
) -> Plan:
    """A plan without the parts that need a state; see `complete`.

    `room` is how many slots births may use, where that is not all there are. `pauses` says that
    whoever runs the plan stops where the scenario's panel is to be asked.

    Raises:
        ScenarioError: an unknown estimator, or a panel and no pauses.
    """
    if scenario.panel is not None and not pauses:
        raise ScenarioError(
            f"{scenario.name} has a panel, which cannot be asked inside a fit or a gradient; run "
            "it once and give scenario.answered(run.answers), whose answers are constants"
        )
    if estimator not in ESTIMATORS:
        raise ScenarioError(f"estimator = {estimator!r}; it is one of {list(ESTIMATORS)}")
    return Plan(
        processes=tuple(scenario.processes),
        observe=scenario.observe,
        estimator=estimator,
        debug=debug,
        every=int(every),
        mesh=mesh,
        answers=() if scenario.panel is None else tuple(scenario.panel.answers),
        room=room,
        varied=tuple(params.varies(name) for name in params.knobs()),
    )


def initial(
    scenario: Scenario,
    population: Population,
    estimator: str,
    arrays: dict[str, Any],
    params: Params,
    key: jax.Array,
) -> tuple[State, jax.Array]:
    """Run `init` on the population's columns; also the log-probability of its discrete draws."""
    view = population.view(arrays)
    draw = Draw(
        key,
        jnp.zeros((), jnp.int32),
        "init",
        slot=jnp.asarray(view.slot),
        alive=jnp.asarray(view.alive),
        sizes={AGENT: population.capacity},
        estimator=estimator,
    )
    state = scenario.init(view, params, draw)
    if not isinstance(state, State):
        raise ScenarioError(f"init must return a State, not {type(state).__name__}")
    if state.estimator != estimator:
        state = replace(state, estimator=estimator)
    return state, draw.log_probability


def start(
    scenario: Scenario,
    population: Population,
    plan: Plan,
    params: Params,
    key: jax.Array,
) -> tuple[Plan, State]:
    """The initial state (one lane for each row of `key` if batched) and the completed plan.

    The compiled `init` is kept with the population, so that a second run does not trace again.

    Raises:
        SimulationError: the state would not fit into memory.
    """
    return start_scored(scenario, population, plan, params, key)[:2]


def start_scored(
    scenario: Scenario,
    population: Population,
    plan: Plan,
    params: Params,
    key: jax.Array,
) -> tuple[Plan, State, jax.Array]:
    """As `start`, and the log-probability of the discrete draws in `init`."""
    arrays = place_columns(population, plan.mesh)
    if is_traced((params, key)):
        # In a jit of the caller the people are constants, which XLA would fold for minutes.
        arrays = jax.lax.optimization_barrier(arrays)
    signature = ("start", scenario.init, plan, jax.tree.structure(params))
    if signature not in population.compiled:
        if not is_traced((params, key)):
            forget_if_full()
        population.compiled[signature] = _prepare(scenario, population, plan, params, key, arrays)
    plan, begin = population.compiled[signature]
    shapes = jax.eval_shape(begin, arrays, params, key)
    lanes = key.shape[0] if plan.batched else 1
    check_memory(shapes, f"a state of {population.capacity:,} slots x {lanes} runs")
    state, drawn = begin(arrays, params, key)
    if plan.mesh is None or is_traced(state):
        return plan, state, drawn
    if ("split", signature) not in population.compiled:
        split = split_networks(plan, plan.mesh, state)
        population.compiled["split", signature] = jax.tree.structure(split)
    treedef = population.compiled["split", signature]
    state = jax.tree.unflatten(treedef, jax.tree.leaves(state))
    return replace(plan, treedef=treedef), state, drawn


def place_columns(population: Population, mesh: Mesh | None) -> dict[str, jax.Array]:
    """The columns of a population, their rows split over the devices."""
    arrays = population.arrays()
    if mesh is None:
        return {name: jnp.asarray(x) for name, x in arrays.items()}
    rows, whole, split = population.capacity, everywhere(mesh), along_agents(mesh)
    return {
        name: spread(x, split if np.shape(x)[:1] == (rows,) else whole)
        for name, x in arrays.items()
    }


def _shardings(plan: Plan) -> Any:
    """How the outputs of `init` lie: agents split, all else everywhere; `None` on one device."""
    if plan.mesh is None:
        return None
    whole = everywhere(plan.mesh)
    leaves = [
        along_agents(plan.mesh, int(lane and plan.batched)) if agent else whole
        for agent, lane in zip(plan.agents, plan.lanes, strict=True)
    ]
    return jax.tree.unflatten(plan.treedef, leaves), whole


def split_networks(plan: Plan, mesh: Mesh, state: State) -> State:
    """The state with networks summed as suits agents that are split over devices.

    Groups that no process changes are summed where their members lie, if they follow each other.
    Those that depend on the run's key stay as they are: their layout would be another each time.
    In graphs everybody asks his neighbours.
    """
    roles = jax.tree.unflatten(plan.treedef, list(zip(plan.roles, plan.lanes, strict=True)))
    changes = {}
    for name in hints(type(state)):
        network, role = getattr(state, name), getattr(roles, name)
        if isinstance(network, Groups) and role.member_of == (FIXED, False):
            changes[name] = network.split(mesh)
        elif isinstance(network, Graph):
            changes[name] = network.over_devices()
    if not changes:
        return state
    # Not `replace`, whose checks know nothing of an ensemble's lanes.
    return eqx.tree_at(
        lambda whole: [getattr(whole, n) for n in changes], state, [*changes.values()]
    )


def _prepare(
    scenario: Scenario,
    population: Population,
    plan: Plan,
    params: Params,
    key: jax.Array,
    arrays: dict[str, Any],
) -> tuple[Plan, Any]:
    begin = partial(initial, scenario, population, plan.estimator)
    one_key = key[0] if plan.batched else key
    leaves = jax.tree.leaves(params)
    one_params = jax.tree.unflatten(
        jax.tree.structure(params),
        [x[0] if flag and plan.batched else x for x, flag in zip(leaves, plan.varied, strict=True)],
    )
    closed = jax.make_jaxpr(begin)(arrays, one_params, one_key)
    shapes, _ = jax.eval_shape(begin, arrays, one_params, one_key)
    varying = _depends(closed, len(jax.tree.leaves(arrays)))[:-1]
    plan = complete(plan, shapes, one_params, one_key, population.size == population.capacity)
    pairs = zip(plan.roles, varying, strict=True)
    plan = replace(plan, lanes=tuple(r == MOVING or (r == FIXED and v) for r, v in pairs))
    if not plan.batched:
        return plan, jax.jit(begin, out_shardings=_shardings(plan))
    out = jax.tree.unflatten(plan.treedef, [0 if lane else None for lane in plan.lanes])
    varied = jax.tree.unflatten(
        jax.tree.structure(params), [0 if flag else None for flag in plan.varied]
    )
    lanes = jax.vmap(begin, in_axes=(None, varied, 0), out_axes=(out, 0))
    return plan, jax.jit(lanes, out_shardings=_shardings(plan))


def complete(plan: Plan, state: Any, params: Any, key: Any, full: bool) -> Plan:
    """The plan with what only the state's structure tells: roles, checks and axes of leaves."""
    plan = replace(plan, treedef=jax.tree.structure(state))
    roles = answered_roles(state, plan.answers, find_roles(plan, state, params, key))
    flags = jax.tree.unflatten(plan.treedef, list(roles))
    checks = list_checks(state, roles, plan)
    return replace(
        plan,
        roles=roles,
        lanes=(False,) * len(roles),
        checks=checks,
        spare=not full or flags.alive == MOVING,
        agents=tuple(jax.tree.leaves(agent_leaves(state))),
    )


def _depends(closed: Any, num_arrays: int) -> list[bool]:
    """Per output of `init`: whether it can depend on the parameters or the key."""
    jaxpr = closed.jaxpr
    tainted = set(jaxpr.invars[num_arrays:])
    for equation in jaxpr.eqns:
        used = [v for v in equation.invars if not isinstance(v, jex.Literal)]
        if any(v in tainted for v in used):
            tainted.update(equation.outvars)
    return [not isinstance(v, jex.Literal) and v in tainted for v in jaxpr.outvars]


def free_memory() -> int | None:
    """Bytes of main memory that can be had without swapping; `None` where it cannot be read."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        return int(found[0]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def check_memory(state: Any, what: str) -> None:
    """Refuse a run whose state alone would not fit twice into free memory.

    Raises:
        SimulationError: says how much is needed and how much there is.
    """
    free = free_memory()
    needed = 2 * sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    if free is not None and jax.default_backend() == "cpu" and needed > free:
        raise SimulationError(
            f"{what} needs about {needed / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free; "
            "use fewer agents or fewer runs at a time"
        )
