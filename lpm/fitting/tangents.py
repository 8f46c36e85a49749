"""How a small change of the params grows through a run, step by step."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..axes import AGENT
from ..draw import Draw
from ..engine import MOVING, Plan, step
from ..launch import make_plan, start_scored
from ..params import Params
from ..population import Population
from ..scenario import Scenario


def tangent_norms(
    scenario: Scenario[Any, Any],
    population: Population,
    key: UInt32[Array, " 2"],
    params: Params,
    direction: Mapping[str, Float[np.ndarray, "..."]],
    estimator: str,
    steps: int,
    every: int,
) -> Float[np.ndarray, " row"]:
    """Norm of the change of the state, per row, when the params change along `direction`.

    The root of the mean over agents of the squared tangents of all variables that move, so that a
    variable in large units weighs most; what it shows is growth.
    """
    found = []  # the plan, complete once the start has been traced

    def moved_to(values: dict[str, Any]) -> Params:
        # NumPy, as `replace` leaves the others, cannot be indexed by a traced array.
        return jax.tree.map(jnp.asarray, params.replace(**values))

    def begin(values: dict[str, Any]) -> tuple[Any, Any]:
        plan = make_plan(scenario, params, estimator, False, every, None)
        plan, state, _ = start_scored(scenario, population, plan, moved_to(values), key)
        found[:] = [plan]
        return eqx.partition(state, eqx.is_inexact_array)

    def advance(values: dict[str, Any], tangents: dict[str, Any], carry: Any) -> Any:
        floats, moved, rest = carry
        plan = found[0]

        def one(floats: Any, values: dict[str, Any]) -> tuple[Any, Any]:
            faults = jnp.full(len(plan.checks), -1, jnp.int32)
            state, _, _ = step(plan, eqx.combine(floats, rest), moved_to(values), key, faults)
            return eqx.partition(state, eqx.is_inexact_array)

        return jax.jvp(one, (floats, values), (moved, tangents), has_aux=True)

    @jax.jit
    def whole(values: dict[str, Any], tangents: dict[str, Any]) -> jax.Array:
        def row(carry: Any, _: None) -> Any:
            carry, _ = jax.lax.scan(
                lambda c, _: (advance(values, tangents, c), None), carry, None, length=every
            )
            return carry, _norm(carry[1], found[0], population.size)

        start = jax.jvp(begin, (values,), (tangents,), has_aux=True)
        return jax.lax.scan(row, start, None, length=steps // every)[1]

    values = {name: jnp.asarray(getattr(params, name)) for name in direction}
    return np.asarray(whole(values, {n: jnp.asarray(x) for n, x in direction.items()}))


def random_direction(
    key: UInt32[Array, " 2"], scales: Mapping[str, Float[np.ndarray, "..."]]
) -> dict[str, Float[np.ndarray, "..."]]:
    """A direction of unit length on the unconstrained scale; `scales` are its units, by field."""
    sizes = [np.size(x) for x in scales.values()]
    draw = Draw(key, 0, "direction", slot=jnp.arange(sum(sizes)))
    drawn = np.asarray(draw.normal(AGENT), np.float64)
    drawn = drawn / np.linalg.norm(drawn)
    parts = np.split(drawn, np.cumsum(sizes)[:-1])
    return {
        name: np.asarray(part.reshape(np.shape(scale)) * scale, np.float32)
        for (name, scale), part in zip(scales.items(), parts, strict=True)
    }


def _norm(moved: Any, plan: Plan, agents: int) -> jax.Array:
    """Root of the summed squares of the leaves that move, per agent; safe from overflow."""
    roles = jax.tree.unflatten(plan.treedef, list(plan.roles))
    # Where the state holds no float `moved` has `None`, which no leaf of `roles` is.
    chosen = jax.tree.map(lambda role, x: x if role == MOVING else None, roles, moved)
    leaves = jax.tree.leaves(chosen)
    if not leaves:
        return jnp.zeros(())
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0) for x in leaves]))
    size = jnp.where(largest > 0, largest, 1.0)
    return size * jnp.sqrt(sum(jnp.sum((x / size) ** 2) for x in leaves) / agents)
