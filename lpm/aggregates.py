"""Sums over people that do not depend on the order of adding: counts, shares, running counts."""

import jax
import jax.numpy as jnp

from .axes import Array, Bool, Float, Int, Scalar

_LIMIT = 2.0**31


def count(
    x: Float[Array, " agent"] | Int[Array, " agent"] | Bool[Array, " agent"],
    where: Bool[Array, " agent"] | None = None,
) -> Scalar:
    """Sum of `x` over the agents in `where` (all of them if not given).

    The whole part of each value is added as an integer and the remainder as a float, so counts are
    exact far beyond 2**24 agents and do not depend on the order of adding, hence not on devices or
    empty slots. The result is the float32 nearest to that sum. With fractional values, as under
    `mean_field`, the remainders are an ordinary float sum. A total of 2**31 or more is an ordinary
    float sum altogether. The derivative by each `x` is 1.

    Example:
        >>> float(count(jnp.array([1.0, 0.0, 1.0])))
        2.0
    """
    if where is not None:
        x = jnp.where(where, x, jnp.zeros((), x.dtype))
    if jnp.issubdtype(x.dtype, jnp.floating):
        return _exact_sum(0, x, None)
    whole = jnp.sum(x, dtype=jnp.int32).astype(jnp.float32)
    plain = jnp.sum(x, dtype=jnp.float32)
    return jnp.where(jnp.abs(plain) < _LIMIT, whole, plain)


def share(
    x: Float[Array, " agent"] | Int[Array, " agent"] | Bool[Array, " agent"],
    where: Bool[Array, " agent"] | None = None,
) -> Scalar:
    """Mean of `x` over the agents in `where`, usually the living; 0 where there are none.

    Exact in the sense of `count`.

    Example:
        >>> float(share(jnp.array([1.0, 0.0, 0.0]), jnp.array([True, True, False])))
        0.5
    """
    people = count(jnp.ones_like(x, jnp.int32), where)
    return count(x, where) / jnp.maximum(people, 1)


def count_by_segment(
    x: Float[Array, " agent"], ids: Int[Array, " agent"], num_segments: int
) -> Float[Array, " segment"]:
    """`count` of each segment; ids outside `[0, num_segments)` belong to none."""
    return _exact_sum(num_segments, x, ids)


def _add(x: Array, ids: Array | None, number: int) -> Array:
    return jnp.sum(x) if ids is None else jax.ops.segment_sum(x, ids, number)


def _exact_sum_plain(number: int, x: Array, ids: Array | None) -> Array:
    floor = jnp.floor(x)
    whole = _add(floor.astype(jnp.int32), ids, number).astype(x.dtype)
    exact = whole + _add(x - floor, ids, number)
    # Not a number, or too large for integers: the plain sum says so. Rare, hence not computed twice.
    fits = jnp.sum(jnp.abs(x)) < _LIMIT
    return jax.lax.cond(fits, lambda: exact, lambda: _add(x, ids, number))


_exact_sum = jax.custom_jvp(_exact_sum_plain, nondiff_argnums=(0,))


@_exact_sum.defjvp
def _exact_sum_jvp(number: int, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, ids), (tangent, _) = primals, tangents
    return _exact_sum(number, x, ids), _add(tangent, ids, number)


def running_count(flags: Bool[Array, " agent"]) -> Int[Array, " agent"]:
    """Inclusive running count of true flags, in two levels (one flat scan is slow on a CPU)."""
    n, width = flags.shape[0], 1024
    padded = jnp.pad(flags.astype(jnp.int32), (0, -n % width)).reshape(-1, width)
    inside = jnp.cumsum(padded, axis=1)
    before = jnp.cumsum(inside[:, -1]) - inside[:, -1]
    return (inside + before[:, None]).reshape(-1)[:n]


def first_true(flags: Bool[Array, " agent"], size: int) -> Int[Array, " event"]:
    """Positions of the first `size` true flags, in order; -1 where there are fewer."""
    n = flags.shape[0]
    target = jnp.where(flags, running_count(flags) - 1, size)
    empty = jnp.full(size, -1, jnp.int32)
    return empty.at[target].set(jnp.arange(n, dtype=jnp.int32), mode="drop")
