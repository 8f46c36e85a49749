"""Sums over rows of neighbours: what Graph and Lattice share."""

import abc
import functools
from typing import TypeAlias

import jax
import jax.custom_batching
import jax.numpy as jnp

from ..aggregates import pack
from ..axes import Array, Bool, Float, Int
from ..errors import ScenarioError
from .base import AbstractNetwork, Pairwise, read
from .frontier import count_from_few, few

Rows: TypeAlias = tuple[
    Int[Array, "agent column"], Int[Array, "row extra_column"], Int[Array, " row"]
]

_PUSH_FROM = 2**14  # Below, asking everybody takes microseconds.
# From here on the table of values outgrows a core's cache, and reading bits instead pays.
_PACK_FROM = 2**17
_MANY_RUNS = 16  # From here on reading them side by side is worth turning the table.


def row_sum(
    x: Float[Array, " agent"], index: Int[Array, "row column"], weight: Array | None = None
) -> Float[Array, " row"]:
    """Sum of `x` over each row of `index`, column by column; an index outside adds nothing."""
    total = jnp.zeros(index.shape[0], x.dtype)
    for column in range(index.shape[1]):
        theirs = read(x, index[:, column])
        total = total + (theirs if weight is None else theirs * weight[:, column])
    return total


def count_rows(x: Float[Array, " agent"], index: Int[Array, "row column"]) -> Float[Array, " row"]:
    """`row_sum`, read from a table of bits where all of a large `x` is 0 or 1.

    Of a small `x`, many runs that share `index` are read side by side.
    """
    return _count_rows(x, index) if 0 < index.shape[1] <= 255 else row_sum(x, index)


def _count_rows_plain(x: Array, index: Array) -> Array:
    if x.shape[0] < _PACK_FROM:
        return _side_by_side(x, index)
    return _packed(x, index)


@jax.custom_batching.custom_vmap
def _packed(x: Array, index: Array) -> Array:
    return jax.lax.cond(_binary(x), _bit_sum, row_sum, x, index)


@_packed.def_vmap
def _packed_runs(_: int, batched: list[bool], x: Array, index: Array) -> tuple[Array, bool]:
    # One answer for all runs: a condition of each its own would work out both ways for all.
    axes = [0 if flag else None for flag in batched]
    bits, floats = (jax.vmap(way, in_axes=axes) for way in (_bit_sum, row_sum))
    return jax.lax.cond(_binary(x), bits, floats, x, index), True


def _binary(x: Array) -> Bool[Array, ""]:
    return jnp.all((x == 0) | (x == 1))


@jax.custom_batching.custom_vmap
def _side_by_side(x: Array, index: Array) -> Array:
    """`row_sum`; over many runs, one neighbour's place in memory holds all of them."""
    return row_sum(x, index)


@_side_by_side.def_vmap
def _over_runs(runs: int, batched: list[bool], x: Array, index: Array) -> tuple[Array, bool]:
    if batched != [True, False] or runs < _MANY_RUNS:
        axes = [0 if flag else None for flag in batched]
        return jax.vmap(row_sum, in_axes=axes)(x, index), True
    number = x.shape[1]
    index = jnp.where((index >= 0) & (index < number), index, number)
    return jax.lax.cond(_binary(x), _bits_of_runs, _floats_of_runs, x, index), True


def _floats_of_runs(x: Float[Array, "run agent"], index: Array) -> Float[Array, "run row"]:
    table = jnp.pad(x.T, ((0, 1), (0, 0)))  # the last row is nobody's
    total = jnp.zeros((index.shape[0], x.shape[0]), x.dtype)
    for column in range(index.shape[1]):
        total = total + table.at[index[:, column]].get(mode="promise_in_bounds")
    return total.T


def _bits_of_runs(x: Float[Array, "run agent"], index: Array) -> Float[Array, "run row"]:
    """Counts of 32 runs to a word: bit `k` of all their counts lies in plane `k`."""
    runs, agents = x.shape
    there, at = index < agents, jnp.minimum(index, agents - 1)

    def count_bits(_: None, word: Array) -> tuple[None, Array]:
        found = jnp.where(there, word.at[at].get(mode="promise_in_bounds"), 0)
        planes: list[Array] = []
        for column in range(index.shape[1]):
            carry = found[:, column]
            for place, plane in enumerate(planes):
                planes[place], carry = plane ^ carry, plane & carry
            if (column + 1).bit_length() > len(planes):
                planes.append(carry)
        return None, jnp.stack(planes)

    # A scan over words, since XLA would work the planes out anew for each bit that is read.
    _, planes = jax.lax.scan(count_bits, None, _words_of_runs(x))
    lane = jnp.arange(32, dtype=jnp.uint32)[None, :, None]
    total = jnp.zeros((planes.shape[0], 32, index.shape[0]), jnp.uint32)
    for place in range(planes.shape[1]):
        total = total | (((planes[:, place, None] >> lane) & 1) << place)
    return total.reshape(-1, index.shape[0])[:runs].astype(x.dtype)


def _words_of_runs(x: Float[Array, "run agent"]) -> Array:
    """Bits of the same agent in 32 runs side by side, [run / 32, agent]."""
    runs, agents = x.shape
    full = runs // 32
    words = jnp.zeros((-(-runs // 32), agents), jnp.uint32)
    for part, at in ((x[: 32 * full], slice(full)), (x[32 * full :], slice(full, None))):
        lanes = (jnp.pad(part, ((0, -part.shape[0] % 32), (0, 0))) > 0).reshape(-1, 32, agents)
        bits = [lanes[:, lane].astype(jnp.uint32) << lane for lane in range(32)]
        words = words.at[at].set(functools.reduce(jnp.bitwise_or, bits))
    return words


def _bit_sum(x: Array, index: Array) -> Array:
    words = pack(x > 0)
    total = jnp.zeros(index.shape[0], jnp.uint8)
    for column in range(index.shape[1]):
        word, bit = index[:, column] >> 5, (index[:, column] & 31).astype(jnp.uint32)
        total = total + ((read(words, word) >> bit) & 1).astype(jnp.uint8)
    return total.astype(x.dtype)


_count_rows = jax.custom_jvp(_count_rows_plain)


@_count_rows.defjvp
def _count_rows_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, index), (tangent, _) = primals, tangents
    return _count_rows(x, index), row_sum(tangent, index)


def add_far(near: Array, far: Array, owner: Int[Array, " row"]) -> Float[Array, " agent"]:
    """Sums over first rows, and those over further rows added to their owners'."""
    if not owner.shape[0]:
        return near
    return near + jax.ops.segment_sum(far, owner, near.shape[0], indices_are_sorted=True)


def count_neighbours(x: Float[Array, " agent"], rows: Rows) -> Float[Array, " agent"]:
    """Sum of `x` over each agent's neighbours: everybody asks his own."""
    near, extra, owner = rows
    return add_far(count_rows(x, near), count_rows(x, extra), owner)


def count_ties(x: Float[Array, " agent"], rows: Rows) -> Float[Array, " agent"]:
    """As `count_neighbours`, of ties stored from both ends, and the same to the last bit.

    Where few are 1 and all others 0, those few add themselves to their neighbours.
    """
    if x.shape[0] < _PUSH_FROM or not few(x.shape[0]):
        return count_neighbours(x, rows)
    return _count_ties(x, rows)


@jax.custom_jvp
def _count_ties(x: Array, rows: Rows) -> Array:
    return _either_way(x, *rows)


@_count_ties.defjvp
def _count_ties_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, (near, extra, owner)), (tangent, _) = primals, tangents
    pulled = add_far(row_sum(tangent, near), row_sum(tangent, extra), owner)
    return _count_ties(x, (near, extra, owner)), pulled


@jax.custom_batching.custom_vmap
def _either_way(x: Array, near: Array, extra: Array, owner: Array) -> Array:
    def push() -> Array:
        return count_from_few(x > 0, near, extra, owner).astype(x.dtype)

    sparse = _binary(x) & (jnp.sum(x > 0, dtype=jnp.int32) <= few(x.shape[0]))
    return jax.lax.cond(sparse, push, lambda: count_neighbours(x, (near, extra, owner)))


@_either_way.def_vmap
def _either_way_runs(
    _: int, batched: list[bool], x: Array, *rows: Array
) -> tuple[Float[Array, "run agent"], bool]:
    axes = [0 if flag else None for flag in batched]
    return jax.vmap(lambda x, *rows: count_neighbours(x, rows), in_axes=axes)(x, *rows), True


def row_sum_via(
    via: Pairwise,
    mine: Float[Array, " row"],
    x: Float[Array, " agent"],
    index: Int[Array, "row column"],
    weight: Array | None,
    where: Bool[Array, " agent"] | None,
) -> Float[Array, " row"]:
    """Sum of `via(mine, theirs)` over each row, for theirs at `index`."""
    total = jnp.zeros(mine.shape, mine.dtype)
    for column in range(index.shape[1]):
        theirs_at = index[:, column]
        here = (theirs_at >= 0) & (theirs_at < x.shape[0])
        if where is not None:
            here = here & read(where, theirs_at)
        # A missing neighbour stands in as oneself, so that `via` sees no value that is not there.
        pull = via(mine, jnp.where(here, read(x, theirs_at), mine))
        if jnp.shape(pull) != mine.shape:
            raise ScenarioError(
                f"via must answer elementwise: for {mine.shape} pairs it gave {jnp.shape(pull)}"
            )
        pull = jnp.where(here, pull, 0)
        total = total + (pull if weight is None else pull * weight[:, column])
    return total


class AbstractTies(AbstractNetwork):
    """A network of single ties, over which a pairwise function can be summed."""

    def mean(
        self,
        x: Float[Array, " agent"] | Bool[Array, " agent"],
        where: Bool[Array, " agent"] | None = None,
        *,
        via: Pairwise | None = None,
    ) -> Float[Array, " agent"]:
        """Mean of `x`, or of `via(mine, theirs)`, over neighbours, or those in `where`.

        `via` answers elementwise for arrays of pairs: it may use numbers from outside, not arrays.
        """
        if via is None:
            return super().mean(x, where)
        total, degree = self.sum_via(via, self.as_weight(x), where), self.degree(where)
        return jnp.where(degree > 0, total / jnp.where(degree > 0, degree, 1), 0)

    @abc.abstractmethod
    def sum_via(
        self,
        via: Pairwise,
        x: Float[Array, " agent"],
        where: Bool[Array, " agent"] | None,
    ) -> Float[Array, " agent"]:
        """Sum of `via(mine, theirs)` over each agent's neighbours, or those in `where`."""
