"""Sums over rows of neighbours: what Graph and Lattice share."""

import abc
from collections.abc import Callable

import jax
import jax.custom_batching
import jax.numpy as jnp

from ..axes import Array, Bool, Float, Int
from ..errors import ScenarioError
from .base import AbstractNetwork, Pairwise, read

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
    return row_sum(x, index) if index.shape[1] > 255 else _count_rows(x, index)


def _count_rows_plain(x: Array, index: Array) -> Array:
    if x.shape[0] < _PACK_FROM:
        return _side_by_side(x, index)
    return jax.lax.cond(_binary(x), _bit_sum, row_sum, x, index)


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

    def read_as(dtype: jnp.dtype) -> Callable[[Array], Array]:
        def total_of(x: Array) -> Array:
            table = jnp.pad(x.T.astype(dtype), ((0, 1), (0, 0)))  # the last row is nobody's
            total = jnp.zeros((index.shape[0], runs), dtype)
            for column in range(index.shape[1]):
                total = total + table.at[index[:, column]].get(mode="promise_in_bounds")
            return total.T.astype(x.dtype)

        return total_of

    narrow, wide = read_as(jnp.dtype(jnp.uint8)), read_as(x.dtype)
    return jax.lax.cond(_binary(x), narrow, wide, x), True


def _bit_sum(x: Array, index: Array) -> Array:
    bits = jnp.pad(x > 0, (0, -x.shape[0] % 32)).reshape(-1, 32).astype(jnp.uint32)
    words = jnp.sum(bits << jnp.arange(32, dtype=jnp.uint32)[None], axis=1, dtype=jnp.uint32)
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
