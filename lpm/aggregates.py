"""Sums over people that do not depend on the order of adding: counts, shares, running counts."""

import jax
import jax.numpy as jnp
from jaxtyping import UInt32

from .axes import Array, Bool, Float, Int, Scalar

_LIMIT = 2.0**31
# Whole numbers add up exactly in float32 below 2**24: up to 2**14 each in a block, 2**4 in a
# segment.
_BLOCK, _SEGMENT_BLOCK = 2**10, 2**20
# Up to so many segments a sum over all agents for each takes a tenth of the time of one scatter;
# with sixteen the epidemic of New York needs more memory than its test allows.
_FEW = 8


def count(
    x: Float[Array, " agent"] | Int[Array, " agent"] | Bool[Array, " agent"],
    where: Bool[Array, " agent"] | None = None,
) -> Scalar:
    """Sum of `x` over the agents in `where` (all of them if not given).

    Floats are added in blocks of up to 1024 agents and the blocks as integers, so counts (whole
    numbers up to 2**14) are exact far beyond 2**24 agents and do not depend on the order of adding,
    hence not on devices or empty slots. The result is the float32 nearest to that sum. Fractions,
    as under `mean_field`, are an ordinary float sum, as is a total of 2**31 or more. The derivative
    by each `x` is 1.

    Example:
        >>> float(count(jnp.array([1.0, 0.0, 1.0])))
        2.0
    """
    if where is not None:
        x = jnp.where(where, x, jnp.zeros((), x.dtype))
    if jnp.issubdtype(x.dtype, jnp.floating):
        return _exact_sum(0, x, None)
    if x.dtype == jnp.bool_:
        return _flags(x).astype(jnp.float32)
    whole = jnp.sum(x, dtype=jnp.int32).astype(jnp.float32)
    largest = max(-jnp.iinfo(x.dtype).min, jnp.iinfo(x.dtype).max)
    if largest * x.size < _LIMIT:
        return whole
    plain = jnp.sum(x, dtype=jnp.float32)
    return jnp.where(jnp.abs(plain) < _LIMIT, whole, plain)


def _flags(x: Bool[Array, " agent"]) -> Int[Array, ""]:
    """Number of true flags: first in bytes, since XLA would write all of them out as integers."""
    width = next((w for w in (128, 64, 32) if x.size % w == 0), None)
    if width is None:
        return jnp.sum(x, dtype=jnp.int32)
    return jnp.sum(jnp.sum(x.reshape(-1, width), axis=1, dtype=jnp.uint8), dtype=jnp.int32)


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
    total, people = count(x, where), x.size if where is None else count(where)
    # By the same number in many runs XLA would multiply with its rounded inverse, and 3 / 3 be
    # 1.00000002; the addend makes it a number of each run.
    return total / (jnp.maximum(people, 1) + 0 * total)


def count_by_segment(
    x: Float[Array, " agent"], ids: Int[Array, " agent"], num_segments: int
) -> Float[Array, " segment"]:
    """`count` of each segment; ids outside `[0, num_segments)` belong to none.

    Exact for whole numbers up to 2**4, such as flags.
    """
    if num_segments > _FEW:
        return _exact_sum(num_segments, x, ids)
    nothing = jnp.zeros((), x.dtype)
    return jnp.stack([count(jnp.where(ids == i, x, nothing)) for i in range(num_segments)])


def _partial_sums(number: int, x: Array, ids: Array | None) -> Array:
    """Float sums over blocks of agents, [block] or [block, segment]; one pass over the data."""
    n = x.shape[0]
    if ids is None:
        width = _block_width(n)
        whole = n - n % width
        blocks = jnp.sum(x[:whole].reshape(-1, width), axis=1)
        return blocks if whole == n else jnp.append(blocks, jnp.sum(x[whole:]))
    blocks = -(-n // _SEGMENT_BLOCK)
    if blocks > 1:
        inside = (ids >= 0) & (ids < number)
        block = jnp.arange(n, dtype=ids.dtype) // _SEGMENT_BLOCK
        ids = jnp.where(inside, ids + number * block, -1)
    return jax.ops.segment_sum(x, ids, number * blocks).reshape(blocks, number)


def _block_width(n: int) -> int:
    """Agents in a block: the largest divisor of `n`, so that nothing is cut and copied, if any."""
    return next((w for w in range(_BLOCK, _BLOCK // 8, -1) if n % w == 0), _BLOCK)


def _exact_sum_plain(number: int, x: Array, ids: Array | None) -> Array:
    parts = _partial_sums(number, x, ids)
    floor = jnp.floor(parts)
    whole = jnp.sum(floor.astype(jnp.int32), axis=0).astype(x.dtype)
    exact = whole + jnp.sum(parts - floor, axis=0)
    # Not a number, or too large for integers: then the plain sum.
    return jnp.where(jnp.sum(jnp.abs(parts), axis=0) < _LIMIT, exact, jnp.sum(parts, axis=0))


_exact_sum = jax.custom_jvp(_exact_sum_plain, nondiff_argnums=(0,))


@_exact_sum.defjvp
def _exact_sum_jvp(number: int, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, ids), (tangent, _) = primals, tangents
    slope = jnp.sum(tangent) if ids is None else jax.ops.segment_sum(tangent, ids, number)
    return _exact_sum(number, x, ids), slope


def running_count(flags: Bool[Array, " agent"]) -> Int[Array, " agent"]:
    """Inclusive running count of true flags: within words of 32 bits, then over the words."""
    n = flags.shape[0]
    lane, words = jnp.arange(32, dtype=jnp.uint32)[None], pack(flags)
    found = jax.lax.population_count(words).astype(jnp.int32)
    before = running_total(found) - found
    upto = words[:, None] & (jnp.uint32(0xFFFFFFFF) >> (31 - lane))
    inside = jax.lax.population_count(upto).astype(jnp.int32)
    return (inside + before[:, None]).reshape(-1)[:n]


def pack(flags: Bool[Array, " agent"]) -> UInt32[Array, " word"]:
    """Flags as bits, 32 to a word, the first one lowest; the last word is filled up with 0."""
    bits = jnp.pad(flags, (0, -flags.shape[0] % 32)).reshape(-1, 32).astype(jnp.uint32)
    return jnp.sum(bits << jnp.arange(32, dtype=jnp.uint32)[None], axis=1, dtype=jnp.uint32)


def running_total(x: Int[Array, " item"]) -> Int[Array, " item"]:
    """Inclusive running sum of integers, in two levels (one flat scan is slow on a CPU)."""
    n, width = x.shape[0], 256
    rows = jnp.pad(x, (0, -n % width)).reshape(-1, width)
    inside = jnp.cumsum(rows, axis=1)
    before = jnp.cumsum(inside[:, -1]) - inside[:, -1]
    return (inside + before[:, None]).reshape(-1)[:n]


def first_true(flags: Bool[Array, " agent"], size: int) -> Int[Array, " event"]:
    """Positions of the first `size` true flags, in order; -1 where there are fewer."""
    n = flags.shape[0]
    target = jnp.where(flags, running_count(flags) - 1, size)
    empty = jnp.full(size, -1, jnp.int32)
    return empty.at[target].set(jnp.arange(n, dtype=jnp.int32), mode="drop")
