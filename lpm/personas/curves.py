"""Curves through knots along one axis of a table: straight pieces, or smooth without overshoot."""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Float

from ..axes import Array, Int, Scalar

# (table, knots, x): the table with its last axis, that of the knots, read at x.
Curve: TypeAlias = Callable[
    [Float[Array, "*lead knot"], Float[Array, " knot"], Scalar], Float[Array, "*lead"]
]


def straight(
    table: Float[Array, "*lead knot"], knots: Float[Array, " knot"], x: Scalar
) -> Float[Array, "*lead"]:
    """Straight lines between knots; beyond the first and last the curve stays level."""
    at, x = _interval(knots, x)
    share = (x - knots[at]) / (knots[at + 1] - knots[at])
    low, high = (jnp.take(table, at + side, axis=-1) for side in (0, 1))
    return low + share * (high - low)


def monotone(
    table: Float[Array, "*lead knot"], knots: Float[Array, " knot"], x: Scalar
) -> Float[Array, "*lead"]:
    """Cubic pieces with a continuous slope that rise and fall only where the knots do.

    The slope at a knot is the weighted harmonic mean of those of the pieces on its sides, 0 where
    they differ in sign, and that of the outer piece at an end; level beyond the ends. As a function
    of the knots' values it has a kink where a piece is level. Source:
    Fritsch & Butland (1984), SIAM J. Sci. Stat. Comput. 5, in the weights of Brodlie.
    """
    at, x = _interval(knots, x)
    count = knots.shape[0]
    gaps = jnp.diff(knots)
    rises = jnp.diff(table, axis=-1) / gaps.reshape((1,) * (table.ndim - 1) + (-1,))
    width = gaps[at]
    here = jnp.take(rises, at, axis=-1)
    left = _slope(rises, gaps, at, count)
    right = _slope(rises, gaps, at + 1, count)
    low = jnp.take(table, at, axis=-1)
    s = (x - knots[at]) / width
    bend = left + right - 2 * here
    return low + width * s * (left + s * ((here - left) - bend * (1 - s)))


def _slope(
    rises: Float[Array, "*lead piece"],
    gaps: Float[Array, " piece"],
    knot: Int[Array, ""],
    count: int,
) -> Float[Array, "*lead"]:
    """Slope of the cubic at one knot."""
    before, after = jnp.maximum(knot - 1, 0), jnp.minimum(knot, count - 2)
    one, two = (jnp.take(rises, i, axis=-1) for i in (before, after))
    share = (gaps[before] + 2 * gaps[after]) / (3 * (gaps[before] + gaps[after]))
    agree = one * two > 0
    # Both branches are differentiated: the other one must stay finite.
    safe_one, safe_two = (jnp.where(agree, each, 1.0) for each in (one, two))
    mean = safe_one * safe_two / (share * safe_two + (1 - share) * safe_one)
    return jnp.where(agree, mean, 0.0)


def _interval(knots: Float[Array, " knot"], x: Scalar) -> tuple[Int[Array, ""], Scalar]:
    """Number of the piece that holds `x`, and `x` held within the knots."""
    # Not a clip, whose derivative on a bound is half: here it is that of the inside.
    inside = jnp.where(x < knots[0], knots[0], jnp.where(x > knots[-1], knots[-1], x))
    at = jnp.searchsorted(knots, inside, side="right") - 1
    return jnp.clip(at, 0, knots.shape[0] - 2), inside
