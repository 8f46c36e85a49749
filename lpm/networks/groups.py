"""Groups: shared membership (household, class, workplace), where everybody meets everybody."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ..axes import Array, Bool, Float, Int, is_traced
from ..draw import Draw
from ..errors import ScenarioError
from .base import AbstractNetwork, ids, read, resized
from .choosing import choose_member
from .parts import Parts, find_parts, group_sums

G = TypeVar("G", bound="Groups")


class Groups(AbstractNetwork):
    """Agents that share a group are neighbours of each other; -1 is in no group.

    No edges are stored: a sum over neighbours is the group's total less one's own value. For 0/1
    input it is exact in groups of up to 2**24 members, on any number of devices; for other input
    it carries the rounding of the group's total.

    Example:
        >>> home = Groups(np.array([0, 0, 1, -1]))
        >>> home.sum(jnp.array([1.0, 0.0, 1.0, 1.0])).tolist()
        [0.0, 1.0, 0.0, 0.0]

    Attributes:
        member_of: group of each agent, or -1.
        num_groups: groups there can be; one above the largest id unless given.
        parts: which device has which groups, where that was found out; see `split`.
    """

    member_of: Int[Array, " agent"]
    num_groups: int = eqx.field(static=True)
    parts: Parts | None = eqx.field(static=True)

    def __init__(
        self, member_of: object, num_groups: int | None = None, *, parts: Parts | None = None
    ) -> None:
        """Groups from one id per agent, in any order; `parts` are what `split` finds.

        Raises:
            ScenarioError: ids that are not integers, below -1, or not below `num_groups`; or
                `num_groups` missing inside traced code.
        """
        if num_groups is None:
            num_groups = _count_groups(member_of)
        self.member_of = ids(member_of, "member_of", below=num_groups, none=True)
        if self.member_of.ndim != 1:
            raise ScenarioError(f"member_of needs one id per agent, not {self.member_of.shape}")
        self.num_groups = max(int(num_groups), 1)
        self.parts = parts

    def with_capacity(self, capacity: int) -> "Groups":
        """The same groups over another number of slots; further ones are in none.

        Raises:
            ScenarioError: a slot that would be left out is in a group.
        """
        return Groups(resized(self.member_of, capacity, "group"), self.num_groups)

    @property
    def num_agents(self) -> int:
        """Number of slots that the network covers."""
        return self.member_of.shape[-1]

    def totals(self, x: Float[Array, " agent"] | Bool[Array, " agent"]) -> Float[Array, " group"]:
        """Sum of `x` over the members of each group."""
        return jax.ops.segment_sum(self.as_weight(x), self.member_of, self.num_groups)

    def spread(self, y: Float[Array, " group"]) -> Float[Array, " agent"]:
        """The value of each agent's group; 0 for who has none.

        Raises:
            ScenarioError: `y` has not one number per group.
        """
        if y.shape != (self.num_groups,):
            raise ScenarioError(f"spread needs {self.num_groups} values, one per group: {y.shape}")
        return read(y, self.member_of)

    def sum(self, x: Float[Array, " agent"] | Bool[Array, " agent"]) -> Float[Array, " agent"]:
        """Sum of `x` over the other members of each agent's group."""
        x = self.as_weight(x)
        if self.parts is None:
            whole = self.spread(self.totals(x))
        else:
            whole = group_sums(self.parts, x, self.member_of)
        return whole - jnp.where(self.member_of >= 0, x, 0)

    def split(self: G, mesh: Mesh) -> G:
        """The same groups, summed where their members lie if the groups follow each other there.

        The members must stay what they are from here on; `adopt` needs groups that are not split.
        """
        parts = find_parts(mesh, self.member_of)
        if parts is None:
            return self
        like = jax.eval_shape(lambda x: type(self)(x, self.num_groups, parts=parts), self.member_of)
        return jax.tree.unflatten(jax.tree.structure(like), [self.member_of])

    def choose(
        self, draw: Draw, agents: Int[Array, " event"], x: Float[Array, " agent"]
    ) -> Int[Array, " event"]:
        """Another member of each agent's group, in proportion to `x`; -1 where nobody has any."""
        wanted = _group_at(self.member_of, agents)
        uniform = read(draw.uniform("agent"), agents)
        x = self.as_weight(x)
        return choose_member(uniform, self.member_of, self.num_groups, wanted, x, agents)

    def adopt(self: G, born: Bool[Array, " agent"], mother: Int[Array, " agent"]) -> G:
        """The same groups where those `born` join the group of their `mother`."""
        joined = jnp.where(born, self.member_of[mother], self.member_of)
        return eqx.tree_at(lambda groups: groups.member_of, self, joined)


def _group_at(member_of: Array, agents: Array) -> Array:
    return member_of.at[agents].get(mode="fill", fill_value=-1, wrap_negative_indices=False)


def _count_groups(member_of: object) -> int:
    if is_traced(member_of):
        raise ScenarioError("Groups inside traced code needs num_groups, a Python integer")
    array = np.asarray(member_of)
    if array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        return 1
    return max(int(array.max()) + 1, 1)
