"""Sums of many float32 that keep their digits."""

import jax.numpy as jnp
from jaxtyping import Float

from ..axes import Array, Scalar

_FAN = 32
_BLOCK = 1024


def total(x: Float[Array, "*agent"]) -> Scalar:
    """Sum of `x` as a tree of short sums: to about 1e-7 of the sum of sizes, at any length.

    One running sum of a million incomes in float32 is off in the fifth digit.
    """
    x = x.reshape(-1)
    while x.shape[0] > 1:
        fan = min(_FAN, x.shape[0])
        x = jnp.pad(x, (0, -x.shape[0] % fan)).reshape(-1, fan).sum(axis=1)
    return x.sum()


def running(x: Float[Array, " agent"]) -> Float[Array, " agent"]:
    """Sums of `x` up to and with each agent, in blocks: to about 1e-6 of the whole."""
    if x.shape[0] <= _BLOCK:
        return jnp.cumsum(x)
    blocks = jnp.pad(x, (0, -x.shape[0] % _BLOCK)).reshape(-1, _BLOCK)
    inside = jnp.cumsum(blocks, axis=1)
    before = running(inside[:, -1]) - inside[:, -1]
    return (inside + before[:, None]).reshape(-1)[: x.shape[0]]
