"""Mixing: random contacts between classes of people, such as an age-by-age contact matrix."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..aggregates import count_by_segment
from ..axes import Array, Bool, Float, Int, is_traced
from ..draw import Draw
from ..errors import ScenarioError
from .base import AbstractNetwork, ids, read, resized, shape_of
from .choosing import choose_column, choose_member

M = TypeVar("M", bound="Mixing")


class Mixing(AbstractNetwork):
    """Fresh random contacts: `contacts[a, b]` is how many of class b one of class a meets per step.

    `sum(x)` is the expected sum of `x` over these contacts: contacts with each class times the mean
    of `x` among its people. Everybody in a class is met alike, oneself included, which is wrong by
    one part in the size of the class. The matrix need not be reciprocal; that is the data's affair.

    When people die or change class, build it anew from the state: `Mixing(class_of, contacts,
    alive=state.alive)`. Units: contacts/step.

    Example:
        >>> mixing = Mixing(np.array([0, 0, 1]), np.array([[4.0, 1.0], [2.0, 3.0]]))
        >>> mixing.sum(jnp.array([1.0, 0.0, 0.0])).tolist()
        [2.0, 2.0, 1.0]

    Attributes:
        class_of: class of each agent, -1 for none.
        contacts: mean contacts per step of one of the first class with the second.
        people: how many people are in each class.
    """

    class_of: Int[Array, " agent"]
    contacts: Float[Array, "class class"]
    people: Float[Array, " class"]

    def __init__(
        self,
        class_of: object,
        contacts: object,
        *,
        alive: Bool[Array, " agent"] | None = None,
    ) -> None:
        """Mixing of the people in each class, or of the living if `alive` is given.

        Raises:
            ScenarioError: a matrix that is not square or holds a negative value or none; classes
                that are not integers, below -1 or beyond the matrix.
        """
        shape = shape_of(contacts)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ScenarioError(f"contacts must be a square matrix, not of shape {shape}")
        if not is_traced(contacts) and not (np.asarray(contacts) >= 0).all():
            raise ScenarioError("contacts must be numbers of 0 or more, in contacts per step")
        self.contacts = jnp.asarray(contacts, jnp.float32)
        self.class_of = ids(class_of, "class_of", below=shape[0], none=True)
        there = jnp.ones(self.class_of.shape) if alive is None else alive.astype(jnp.float32)
        self.people = count_by_segment(there, self.class_of, shape[0])

    def with_capacity(self, capacity: int) -> "Mixing":
        """The same mixing over another number of slots; further ones are in no class.

        Raises:
            ScenarioError: a slot that would be left out is in a class.
        """
        class_of = resized(self.class_of, capacity, "class")
        grown = Mixing(class_of, self.contacts)
        return eqx.tree_at(lambda mixing: mixing.people, grown, self.people)

    @property
    def num_agents(self) -> int:
        """Number of slots that the network covers."""
        return self.class_of.shape[0]

    def sum(self, x: Float[Array, " agent"] | Bool[Array, " agent"]) -> Float[Array, " agent"]:
        """Expected sum of `x` over an agent's contacts in one step."""
        return self.spread(self.by_class(x))

    def by_class(self, x: Float[Array, " agent"] | Bool[Array, " agent"]) -> Float[Array, " class"]:
        """`sum` for one agent of each class."""
        return self._meet(self._means(x))

    def spread(self, y: Float[Array, " class"]) -> Float[Array, " agent"]:
        """The value of each agent's class; 0 for who is in none."""
        return read(y, self.class_of)

    def degree(self, where: Bool[Array, " agent"] | None = None) -> Float[Array, " agent"]:
        """Contacts per step, or those with people in `where`."""
        if where is not None:
            return self.sum(where)
        return self.spread(self._meet((self.people > 0).astype(jnp.float32)))

    def choose(
        self, draw: Draw, agents: Int[Array, " event"], x: Float[Array, " agent"]
    ) -> Int[Array, " event"]:
        """One contact of each agent, in proportion to `x`, itself excluded; -1 if there is none."""
        x = self.as_weight(x)
        mine = self.class_of.at[agents].get(mode="fill", fill_value=-1, wrap_negative_indices=False)
        pull = jnp.where(mine[:, None] >= 0, self.contacts[mine] * self._means(x)[None], 0)
        theirs = choose_column(read(draw.uniform("agent"), agents), pull)
        uniform = read(draw.uniform("agent"), agents)
        return choose_member(uniform, self.class_of, self.people.shape[0], theirs, x, agents)

    def adopt(self: M, born: Bool[Array, " agent"], mother: Int[Array, " agent"]) -> M:
        """The same mixing where those `born` count in the class of their `mother`."""
        joined = jnp.where(born, self.class_of[mother], self.class_of)
        new = count_by_segment(born.astype(jnp.float32), joined, self.people.shape[0])
        moved = eqx.tree_at(lambda mixing: mixing.class_of, self, joined)
        return eqx.tree_at(lambda mixing: mixing.people, moved, self.people + new)

    def _means(self, x: Array) -> Float[Array, " class"]:
        totals = count_by_segment(self.as_weight(x), self.class_of, self.people.shape[0])
        return totals / jnp.maximum(self.people, 1)

    def _meet(self, y: Float[Array, " class"]) -> Float[Array, " class"]:
        return jnp.matmul(self.contacts, y, precision=jax.lax.Precision.HIGHEST)
