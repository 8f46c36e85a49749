"""One Newton step on the dual for all zones at once, and the certified answer at the end."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lpm.axes import Array

from .dual import Point, Tree, exponents, gap_of, largest, locate, move, per_block, totals
from .elimination import solve
from .system import System

BISECTIONS = 20
# Where no exponent changes by more, the whole step is taken: rounding would decide otherwise.
NEAR = 1e-3


class Stepped(NamedTuple):
    """What one step gives.

    Attributes:
        multipliers: after the step.
        weights: the answer at the multipliers before the step, which the gap certifies.
        gap: its relative duality gap, per block.
        miss: largest slope before the step over the block's weights; for exact totals, how far
            they are missed.
    """

    multipliers: Tree
    weights: Float[Array, "finest kind"]
    gap: Float[Array, " block"]
    miss: Float[Array, " block"]


@jax.jit
def step(
    system: System,
    prior: Float[Array, "finest kind"],
    multipliers: Tree,
    active: Bool[Array, " block"],
) -> Stepped:
    """One step from the multipliers, to the top of the dual along Newton's direction.

    Or all the way if the top lies further. Blocks that are not active stay where they are.
    """
    here, slope, direction, change = _newton(system, prior, multipliers)
    pace = jnp.where(active, _pace(system, here, slope, direction, change), 0.0)
    moved = tuple(
        values + pace[block][:, None] * way
        for values, block, way in zip(multipliers, system.block, direction, strict=True)
    )
    there = move(system, here, change)
    size = per_block(system, 0, here.weights.sum(axis=1))
    miss = jnp.stack([largest(system, i, x) for i, x in enumerate(slope)]).max(axis=0)
    gap = gap_of(system, here, there, multipliers)
    return Stepped(moved, there.weights, gap, miss / jnp.maximum(size, 1.0))


def _newton(
    system: System, prior: Float[Array, "finest kind"], multipliers: Tree
) -> tuple[Point, Tree, Tree, Float[Array, "finest kind"]]:
    """Where we are, slope of the dual, Newton direction, and how it changes the exponents."""
    here = locate(system, prior, multipliers)
    slope = tuple(
        jnp.asarray(target) - found - variance * values
        for target, found, variance, values in zip(
            system.target, totals(system, here.weights), system.variance, multipliers, strict=True
        )
    )
    direction = solve(system, here.free, slope)
    return here, slope, direction, jnp.where(prior > 0, exponents(system, direction), 0.0)


def _pace(
    system: System,
    here: Point,
    slope: Tree,
    direction: Tree,
    change: Float[Array, "finest kind"],
) -> Float[Array, " block"]:
    """Length of the step of each block: to the top along the direction, at most 1.

    The slope along the direction only falls, and is bisected. Terms are taken relative to the
    start, so that nothing cancels.
    """
    products = [s * d for s, d in zip(slope, direction, strict=True)]
    squares = [v * d**2 for v, d in zip(system.variance, direction, strict=True)]
    rise = sum(per_block(system, i, x.sum(axis=1)) for i, x in enumerate(products))
    bend = sum(per_block(system, i, x.sum(axis=1)) for i, x in enumerate(squares))

    def climbing(pace: Float[Array, " block"]) -> Bool[Array, " block"]:
        ahead = here.exponent + pace[system.block[0]][:, None] * change
        ahead = jnp.clip(ahead, system.limits[0], system.limits[1])
        added = here.weights * change * jnp.expm1(ahead - here.factor)
        return rise - pace * bend - per_block(system, 0, added.sum(axis=1)) >= 0

    def halve(
        _: Int[Array, ""], ends: tuple[Float[Array, " block"], Float[Array, " block"]]
    ) -> tuple[Float[Array, " block"], Float[Array, " block"]]:
        low, high = ends
        middle = (low + high) / 2
        up = climbing(middle)
        return jnp.where(up, middle, low), jnp.where(up, high, middle)

    whole = jnp.ones(system.num_blocks, change.dtype)
    low, _ = jax.lax.fori_loop(0, BISECTIONS, halve, (jnp.zeros_like(whole), whole))
    near = largest(system, 0, change) <= NEAR
    return jnp.where(near | climbing(whole), whole, low)
