"""Groups that lie side by side in storage, added up on the device that holds them."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ..axes import AGENT, Array, Float, Int
from ..devices import everywhere
from .base import read


class Parts(NamedTuple):
    """Where each device of a mesh has its groups; hashable, so that JAX can cache by it.

    Attributes:
        mesh: the devices, agents being split evenly over them in order.
        first: lowest group on each device.
        last: highest group on each device; below `first` where there is none.
    """

    mesh: Mesh
    first: tuple[int, ...]
    last: tuple[int, ...]

    @property
    def width(self) -> int:
        """Groups that the device with most of them has."""
        return max(1, *(b - a + 1 for a, b in zip(self.first, self.last, strict=True)))


def find_parts(mesh: Mesh, member_of: Int[Array, " agent"]) -> Parts | None:
    """Where the groups lie, if they follow each other in storage; else `None`.

    Then only a group across the boundary of two devices has members on both.
    """
    if member_of.shape[0] % mesh.size:
        return None
    # Every process of the run reads the answer.
    look = jax.jit(partial(_look, mesh.size), out_shardings=everywhere(mesh))
    ordered, first, last = look(member_of)
    if not bool(ordered):
        return None
    return Parts(mesh, tuple(np.asarray(first).tolist()), tuple(np.asarray(last).tolist()))


def _look(count: int, member_of: Array) -> tuple[Array, Array, Array]:
    """Whether ids never fall along the agents, and the lowest and highest on each device."""
    # With (1, 0) for a device without groups, nothing is looked up there.
    rows = member_of.reshape(count, -1)
    there = rows >= 0
    reached = jax.lax.cummax(jnp.where(there, rows, -1), axis=1)
    ordered = jnp.all(jnp.where(there, rows == reached, True))
    high = reached[:, -1]
    low = jnp.min(jnp.where(there, rows, jnp.iinfo(rows.dtype).max), axis=1)
    before = jnp.concatenate([jnp.full(1, -1, high.dtype), jax.lax.cummax(high)[:-1]])
    ordered = ordered & jnp.all(jnp.where(high >= 0, low >= before, True))
    return ordered, jnp.where(high >= 0, low, 1), jnp.where(high >= 0, high, 0)


def group_sums(
    parts: Parts, x: Float[Array, " agent"], member_of: Int[Array, " agent"]
) -> Float[Array, " agent"]:
    """The sum of `x` over each agent's group, its own value included; 0 for who has none.

    Every device adds up its own groups; of those it shares with a neighbour the parts are
    exchanged, two numbers a device.
    """
    along = PartitionSpec(AGENT)
    return jax.shard_map(
        partial(_on_device, parts), mesh=parts.mesh, in_specs=(along, along), out_specs=along
    )(x, member_of)


def _on_device(parts: Parts, x: Array, member_of: Array) -> Array:
    first, last = (jnp.asarray(ids, jnp.int32) for ids in (parts.first, parts.last))
    here = jax.lax.axis_index(AGENT)
    start, end = first[here], last[here]
    place = jnp.where(member_of >= 0, member_of - start, -1)
    totals = jax.ops.segment_sum(x, place, parts.width)
    at = jnp.clip(end - start, 0, parts.width - 1)
    theirs = jax.lax.all_gather(jnp.stack([totals[0], totals[at]]), AGENT)
    # A device with a single group counts it once.
    low = jnp.where(last >= first, theirs[:, 0], 0)
    high = jnp.where(last > first, theirs[:, 1], 0)

    def whole(group: Array) -> Array:
        return jnp.sum(jnp.where(first == group, low, 0) + jnp.where(last == group, high, 0))

    totals = totals.at[0].set(whole(start)).at[at].set(whole(end))
    return read(totals, place)
