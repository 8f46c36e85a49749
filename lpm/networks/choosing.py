"""Choosing one member of a group in proportion to a weight, for a few events at once."""

import jax
import jax.numpy as jnp

from ..axes import Array, Float, Int
from .base import read

_DIGIT_BITS = 5
_WAYS = 2**_DIGIT_BITS


def choose_member(
    uniform: Float[Array, " event"],
    group_of: Int[Array, " agent"],
    num_groups: int,
    wanted: Int[Array, " event"],
    weight: Float[Array, " agent"],
    excluded: Int[Array, " event"],
) -> Int[Array, " event"]:
    """One member of group `wanted` per event, in proportion to `weight`, never `excluded`.

    Inverts the cumulative weight of the group in the order of the agents, without sorting them:
    five bits of the agent's index at a time, one histogram over (event, digit) each, so that the
    cost is four passes for a million agents, whatever the sizes of groups. Events of one group
    choose independently. The result for weights 0 and 1 does not depend on empty slots.
    -1 where `wanted` is -1 or nobody has weight.
    """
    num_events, n = wanted.shape[0], group_of.shape[0]
    weight = jax.lax.stop_gradient(weight)
    index, event = jnp.arange(n, dtype=jnp.int32), jnp.arange(num_events, dtype=jnp.int32)
    # A row is one (group, leading digits) that some event still has to look into.
    row_of_group = jnp.full(num_groups, -1, jnp.int32)
    row_of_group = row_of_group.at[_positive(wanted, num_groups)].max(event, mode="drop")
    agent_row = _lookup(row_of_group, group_of)
    own, own_row = read(weight, excluded), _lookup(agent_row, excluded)
    levels = max(1, -(-max(n - 1, 1).bit_length() // _DIGIT_BITS))

    def descend(carry: tuple[Array, ...], shift: Array) -> tuple[tuple[Array, ...], None]:
        rows, agent_row, own_row, chosen, target = carry
        bins = jnp.where(agent_row >= 0, agent_row * _WAYS + ((index >> shift) & (_WAYS - 1)), -1)
        table = jax.ops.segment_sum(weight, bins, num_events * _WAYS).reshape(num_events, _WAYS)
        own_digit = (excluded >> shift) & (_WAYS - 1)
        is_own = own_digit[:, None] == jnp.arange(_WAYS)[None]
        is_own = is_own & ((own_row == rows) & (excluded >= 0))[:, None]
        hist = jnp.where((rows >= 0)[:, None], table[jnp.maximum(rows, 0)], 0)
        hist = jnp.maximum(hist - jnp.where(is_own, own[:, None], 0), 0)
        target = jnp.where(target < 0, uniform * jnp.sum(hist, axis=1), target)
        pick, target = _invert(hist, target)
        found = (rows >= 0) & (pick >= 0)
        chosen = jnp.where(found, chosen | (pick << shift), -1)
        cell = jnp.where(found, rows * _WAYS + pick, num_events * _WAYS)
        row_of_cell = jnp.full(num_events * _WAYS, -1, jnp.int32).at[cell].max(event, mode="drop")
        own_bin = jnp.where(own_row >= 0, own_row * _WAYS + own_digit, -1)
        rows, agent_row, own_row = (_lookup(row_of_cell, at) for at in (cell, bins, own_bin))
        return (rows, agent_row, own_row, chosen, target), None

    start = (_lookup(row_of_group, wanted), agent_row, own_row)
    start = (*start, jnp.zeros(num_events, jnp.int32), jnp.full(num_events, -1.0))
    shifts = jnp.arange(levels - 1, -1, -1, dtype=jnp.int32) * _DIGIT_BITS
    (rows, _, _, chosen, _), _ = jax.lax.scan(descend, start, shifts)
    return jnp.where(rows >= 0, chosen, -1)


def _invert(hist: Array, target: Array) -> tuple[Array, Array]:
    """First column whose cumulative weight exceeds `target`, and what of the target remains."""
    upto = jnp.cumsum(hist, axis=1)
    last = _WAYS - 1 - jnp.argmax(hist[:, ::-1] > 0, axis=1)
    beyond = (upto > target[:, None]) & (hist > 0)
    pick = jnp.where(jnp.any(beyond, axis=1), jnp.argmax(beyond, axis=1), last)
    before = jnp.take_along_axis(upto - hist, pick[:, None], axis=1)[:, 0]
    none = ~jnp.any(hist > 0, axis=1)
    return jnp.where(none, -1, pick).astype(jnp.int32), jnp.maximum(target - before, 0)


def choose_column(
    uniform: Float[Array, " event"], weights: Float[Array, "event column"]
) -> Int[Array, " event"]:
    """One column per event in proportion to its weight; -1 where all are zero."""
    weights = jax.lax.stop_gradient(weights)
    upto = jnp.cumsum(weights, axis=1)
    beyond = (upto > (uniform * upto[:, -1])[:, None]) & (weights > 0)
    last = weights.shape[1] - 1 - jnp.argmax(weights[:, ::-1] > 0, axis=1)
    pick = jnp.where(jnp.any(beyond, axis=1), jnp.argmax(beyond, axis=1), last)
    return jnp.where(jnp.any(weights > 0, axis=1), pick, -1).astype(jnp.int32)


def _lookup(table: Int[Array, " row"], index: Array) -> Array:
    """`table` at `index`; -1 outside."""
    return table.at[index].get(mode="fill", fill_value=-1, wrap_negative_indices=False)


def _positive(index: Array, above: int) -> Array:
    """`index` with -1 sent out of range, since a scatter would wrap it."""
    return jnp.where(index < 0, above, index)
