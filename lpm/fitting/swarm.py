"""A swarm of particles: many runs of one scenario, weighed and resampled period by period."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from ..counter import fold
from ..draw import Draw
from ..engine import FIXED, MOVING, Plan, step
from ..params import Params
from ..scenario import check_observed
from ..state import State
from .readings import Reading

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the quantiles
SEGMENT = 64  # Periods between two visits of the host; one compilation serves any number.
_PARTICLE = 0x70617274  # sets the streams of particles apart from those of the filter itself


@dataclass(frozen=True)
class Setting:
    """All a compiled filter depends on besides array values.

    Attributes:
        together: particles that advance at once; more follow one batch after the other.
        width: rows of a period.
        kept: rows before a period that are kept, for delays and longer series.
        floor: least log-density of a period, or `None`.
        fields: fields of params that differ between particles and walk from period to period.
        watched: observables that are kept beside those of the readings.
    """

    plan: Plan
    particles: int
    together: int
    readings: tuple[Reading, ...]
    width: int
    kept: int
    floor: float | None = None
    fields: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Observables that are read."""
        read = {name for one in self.readings for name in one.observables}
        return tuple(sorted(read | set(self.watched)))


@dataclass
class Swarm:
    """Where the particles are; arrays lead with the axis `particle`.

    Attributes:
        lanes: leaves of the state that differ between particles.
        shared: leaves of the state that do not.
        before: the last rows of what is read, [particle, row, ...].
        faults: first step at which a check failed, [particle, check]; of the place in the swarm,
            not of the line of descent, so that none is lost.
        walk: perturbed fields on their unconstrained scales.
    """

    lanes: list[Any]
    shared: list[Any]
    before: dict[str, Any]
    faults: Any
    walk: dict[str, Any]


jax.tree_util.register_dataclass(Swarm)


def particle_keys(words: UInt32[Array, " 2"], particles: int) -> UInt32[Array, "particle 2"]:
    """A run key for each place in the swarm."""
    return jnp.stack(fold(words, jnp.arange(particles), _PARTICLE), axis=-1)


def gather(setting: Setting, state: State, shapes: dict[str, Any], walk: dict[str, Any]) -> Swarm:
    """The swarm at step 0 from a batched initial state."""
    leaves = list(zip(jax.tree.leaves(state), *_flags(setting.plan), strict=True))
    size = setting.particles
    return Swarm(
        lanes=[x for x, lane, time in leaves if lane and not time],
        shared=[x for x, lane, time in leaves if not lane and not time],
        before={
            name: jnp.zeros((size, setting.kept, *shapes[name].shape)) for name in setting.names
        },
        faults=jnp.full((size, len(setting.plan.checks)), -1, jnp.int32),
        walk=walk,
    )


def spread_state(plan: Plan, swarm: Swarm, t: Any) -> State:
    """The states of all particles; leaves that are the same in all have no axis for them."""
    return _assemble(plan, swarm.lanes, swarm.shared, t)


def _flags(plan: Plan) -> tuple[tuple[bool, ...], list[bool]]:
    return plan.lanes, [role not in (MOVING, FIXED) for role in plan.roles]


def _assemble(plan: Plan, lanes: list[Any], shared: list[Any], t: Any) -> State:
    own, common = iter(lanes), iter(shared)
    leaves = [
        t if time else next(own if lane else common)
        for lane, time in zip(*_flags(plan), strict=True)
    ]
    return jax.tree.unflatten(plan.treedef, leaves)


@partial(jax.jit, static_argnames=("setting",))
def advance_swarm(
    setting: Setting,
    swarm: Swarm,
    params: Params,
    words: UInt32[Array, " 2"],
    first: Int[Array, ""],
    count: Int[Array, ""],
    spread: dict[str, Float[Array, ""]],
    cooling: Float[Array, ""],
) -> tuple[Swarm, dict[str, Any]]:
    """Take `count` periods from period `first` on; also what each gave, in `SEGMENT` rows.

    Fields walk by `spread` times `cooling` to the number of the period, before it begins.
    """
    keys = particle_keys(words, setting.particles)

    def period(n: Array, swarm: Swarm) -> tuple[Swarm, dict[str, Any]]:
        swarm = perturb(setting, swarm, words, n + 1, spread, cooling**n)
        swarm, rows = propagate(setting, swarm, params, keys, n)
        return _select(setting, swarm, rows, words, n)

    shapes = jax.eval_shape(lambda swarm: period(first, swarm)[1], swarm)
    buffer = jax.tree.map(lambda s: jnp.zeros((SEGMENT, *s.shape), s.dtype), shapes)

    def body(i: Array, carry: Any) -> Any:
        swarm, found = period(first + i, carry[0])
        return swarm, jax.tree.map(lambda b, x: b.at[i].set(x), carry[1], found)

    return jax.lax.fori_loop(0, count, body, (swarm, buffer))


def perturb(
    setting: Setting, swarm: Swarm, words: Any, moment: Any, spread: dict[str, Any], scale: Any
) -> Swarm:
    """The swarm with its fields moved by normal steps of `spread` times `scale`."""
    if not setting.fields:
        return swarm
    draw = Draw(words, moment, "perturb", slot=jnp.arange(setting.particles))
    walk = {}
    for name in setting.fields:
        z = swarm.walk[name]
        noise = draw.normal(("agent", *z.shape[1:]))
        walk[name] = z + spread[name] * scale * noise
    return Swarm(swarm.lanes, swarm.shared, swarm.before, swarm.faults, walk)


def unfold(params: Params, walk: dict[str, Any]) -> dict[str, Any]:
    """Fields from their unconstrained scales, held within bounds against rounding."""
    found = {}
    for name, z in walk.items():
        knob = type(params).knobs()[name]
        inside = knob.constrain(z)
        found[name] = jnp.clip(inside, knob.domain.lower, knob.domain.upper).astype(jnp.float32)
    return found


def propagate(
    setting: Setting, swarm: Swarm, params: Params, keys: Any, n: Array
) -> tuple[Swarm, dict[str, Any]]:
    """All particles through the rows of one period, and the rows kept and new of each."""
    plan = setting.plan
    start = n * setting.width * plan.every

    def one(lane: Any) -> Any:
        leaves, key, faults, walk = lane
        own = params.replace(**unfold(params, walk)) if walk else params
        state = _assemble(plan, leaves, swarm.shared, start)

        def tick(carry: Any, _: None) -> Any:
            state, faults = carry
            state, _, faults = step(plan, state, own, key, faults)
            return (state, faults), None

        def row(carry: Any, _: None) -> Any:
            carry, _ = jax.lax.scan(tick, carry, None, length=plan.every)
            seen = check_observed(plan.observe(carry[0], own))
            return carry, {name: seen[name].astype(jnp.float32) for name in setting.names}

        (state, faults), rows = jax.lax.scan(row, (state, faults), None, length=setting.width)
        flags = zip(jax.tree.leaves(state), *_flags(plan), strict=True)
        return [x for x, lane, time in flags if lane and not time], faults, rows

    lanes, faults, new = _each(setting, one, (swarm.lanes, keys, swarm.faults, swarm.walk))
    rows = {name: jnp.concatenate([swarm.before[name], new[name]], axis=1) for name in new}
    before = {name: x[:, setting.width :] for name, x in rows.items()}
    return Swarm(lanes, swarm.shared, before, faults, swarm.walk), rows


def _each(setting: Setting, function: Callable[[Any], Any], lanes: Any) -> Any:
    """`function` of each particle, as many at once as fit."""
    if setting.particles <= setting.together:
        return jax.vmap(function)(lanes)
    return jax.lax.map(function, lanes, batch_size=setting.together)


def _select(
    setting: Setting, swarm: Swarm, rows: dict[str, Any], words: Any, n: Array
) -> tuple[Swarm, dict[str, Any]]:
    """Weigh by what was published, and resample where anything was."""
    densities, expected, weighs = [], [], jnp.zeros((), bool)
    for one in setting.readings:
        due, period = one.due((n + 1) * setting.width)
        mine = {name: rows[name][:, -(one.window + one.lags) :] for name in one.observables}
        counts = due & jnp.asarray(one.known)[period]
        found = jax.vmap(partial(one.log_density, period=period))(mine)
        densities.append(jnp.where(counts, found, 0.0))
        expected.append((due, jax.vmap(partial(one.expected, period=period))(mine)))
        weighs = weighs | counts
    total = jnp.sum(jnp.stack(densities), axis=0)
    if setting.floor is not None:
        total = jnp.where(weighs, jnp.maximum(total, setting.floor), total)
    best = jnp.max(total)
    weight = jnp.exp(total - best)
    chosen = _systematic(weight, Draw(words, n, "resample", slot=jnp.arange(1)).uniform(()))
    chosen = jnp.where(weighs, chosen, jnp.arange(setting.particles))
    found = {
        "log_likelihood": jnp.where(weighs, best + jnp.log(jnp.mean(weight)), 0.0),
        "effective": jnp.sum(weight) ** 2 / jnp.sum(weight**2),
        "best": jnp.stack([*(jnp.max(x) for x in densities), best]),
        "predicted": [_summary(due, x, jnp.ones_like(weight)) for due, x in expected],
        "filtered": [_summary(due, x, weight) for due, x in expected],
    }
    pick = partial(jax.tree.map, lambda x: x[chosen])
    lanes, before, walk = pick((swarm.lanes, swarm.before, swarm.walk))
    return Swarm(lanes, swarm.shared, before, swarm.faults, walk), found


def _systematic(
    weight: Float[Array, " particle"], uniform: Float[Array, ""]
) -> Int[Array, " particle"]:
    """Ancestors: each particle as often as its share times their number, up or down to a whole.

    Source: Kitagawa (1996), Journal of Computational and Graphical Statistics 5.
    """
    size = weight.shape[0]
    heap = jnp.cumsum(weight)
    marks = (jnp.arange(size) + uniform) / size * heap[-1]
    # Rounding must not reach past the last one that has weight.
    marks = jnp.minimum(marks, jnp.nextafter(heap[-1], jnp.float32(0)))
    return jnp.searchsorted(heap, marks, side="right").astype(jnp.int32)


def _summary(due: Any, values: Float[Array, "particle ..."], weight: Any) -> dict[str, Any]:
    """Weighted mean and quantiles over particles; nan where no period ends."""
    flat = values.reshape(values.shape[0], -1)
    share = weight / jnp.sum(weight)
    order = jnp.argsort(flat, axis=0)
    ordered = jnp.take_along_axis(flat, order, axis=0)
    heap = jnp.cumsum(share[order], axis=0)
    levels = jnp.asarray(LEVELS, jnp.float32)
    at = jax.vmap(lambda column: jnp.searchsorted(column, levels), in_axes=1, out_axes=1)(heap)
    quantiles = jnp.take_along_axis(ordered, jnp.minimum(at, len(flat) - 1), axis=0)
    mean = jnp.sum(flat * share[:, None], axis=0)
    shape = values.shape[1:]
    return {
        "mean": jnp.where(due, mean, jnp.nan).reshape(shape),
        "quantiles": jnp.where(due, quantiles, jnp.nan).reshape(len(LEVELS), *shape),
    }


def to_host(found: dict[str, Any], count: int) -> dict[str, Any]:
    """The rows of one segment as NumPy arrays."""
    return jax.tree.map(lambda x: np.asarray(x)[:count], found)
