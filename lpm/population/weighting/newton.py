"""One Newton step on the dual for all zones at once, and the certified answer at the end."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lpm.axes import Array

from .dual import (
    LARGEST_EXPONENT,
    Tree,
    exponents,
    gap_of,
    largest,
    per_block,
    totals,
    weigh,
)
from .elimination import solve
from .system import System

BISECTIONS = 12


@jax.jit
def step(
    system: System,
    prior: Float[Array, "finest kind"],
    multipliers: Tree,
    active: Bool[Array, " block"],
) -> tuple[Tree, Float[Array, " block"], Float[Array, " block"]]:
    """Better multipliers; relative duality gap and largest relative miss before the step.

    The step goes to the top of the dual along the Newton direction, or all the way if that lies
    further. Blocks that are not active stay where they are.
    """
    weights, slope, direction, change = _newton(system, prior, multipliers)
    pace = jnp.where(active, _pace(system, weights, slope, direction, change), 0.0)
    moved = tuple(
        values + pace[block][:, None] * way
        for values, block, way in zip(multipliers, system.block, direction, strict=True)
    )
    size = per_block(system, 0, weights.sum(axis=1))
    miss = jnp.stack([largest(system, i, x) for i, x in enumerate(slope)]).max(axis=0)
    gap = gap_of(system, prior, weights, change, multipliers)
    return moved, gap, miss / jnp.maximum(size, 1.0)


@jax.jit
def finish(
    system: System, prior: Float[Array, "finest kind"], multipliers: Tree
) -> tuple[Float[Array, "finest kind"], Float[Array, " block"]]:
    """The primal point of the certificate, which meets exact totals to rounding, and its gap."""
    weights, _, _, change = _newton(system, prior, multipliers)
    gap = gap_of(system, prior, weights, change, multipliers)
    return weights * jnp.maximum(1 + change, 0.0), gap


def _newton(
    system: System, prior: Float[Array, "finest kind"], multipliers: Tree
) -> tuple[Float[Array, "finest kind"], Tree, Tree, Float[Array, "finest kind"]]:
    """Weights, slope of the dual, Newton direction, and how it changes the exponents."""
    weights = weigh(system, prior, multipliers)
    slope = tuple(
        jnp.asarray(target) - found - variance * values
        for target, found, variance, values in zip(
            system.target, totals(system, weights), system.variance, multipliers, strict=True
        )
    )
    direction = solve(system, weights, slope)
    change = jnp.where(weights > 0, exponents(system, direction), 0.0)
    return weights, slope, direction, change


def _pace(
    system: System,
    weights: Float[Array, "finest kind"],
    slope: Tree,
    direction: Tree,
    change: Float[Array, "finest kind"],
) -> Float[Array, " block"]:
    """Length of the step of each block, between log(1 + u) / u and 1.

    u is the largest change of an exponent. The lower end always climbs, since the curvature of
    an exponential dual grows by at most exp(u); from there the slope along the direction, which
    only falls, is bisected. Terms are taken relative to the start, so that nothing cancels.
    """
    products = [s * d for s, d in zip(slope, direction, strict=True)]
    squares = [v * d**2 for v, d in zip(system.variance, direction, strict=True)]
    rise = sum(per_block(system, i, x.sum(axis=1)) for i, x in enumerate(products))
    bend = sum(per_block(system, i, x.sum(axis=1)) for i, x in enumerate(squares))

    def climbing(pace: Float[Array, " block"]) -> Bool[Array, " block"]:
        power = jnp.clip(pace[system.block[0]][:, None] * change, max=LARGEST_EXPONENT)
        added = per_block(system, 0, (weights * change * jnp.expm1(power)).sum(axis=1))
        return rise - pace * bend - added >= 0

    def halve(
        _: Int[Array, ""], ends: tuple[Float[Array, " block"], Float[Array, " block"]]
    ) -> tuple[Float[Array, " block"], Float[Array, " block"]]:
        low, high = ends
        middle = (low + high) / 2
        up = climbing(middle)
        return jnp.where(up, middle, low), jnp.where(up, high, middle)

    widest = largest(system, 0, change)
    safe = jnp.where(widest > 1, jnp.log1p(widest) / jnp.maximum(widest, 1), 1.0)
    whole = jnp.ones_like(safe)
    low, _ = jax.lax.fori_loop(0, BISECTIONS, halve, (safe, whole))
    return jnp.where((widest <= 1) | climbing(whole), whole, low)
