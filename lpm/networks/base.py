"""What every network answers, and the checks they share."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..axes import Array, Bool, Float, Int, is_traced
from ..draw import Draw
from ..errors import ScenarioError, listing

Pairwise = Callable[[Array, Array], Array]


class AbstractNetwork(eqx.Module):
    """Who affects whom; a pytree of arrays that can stand in a State.

    All answers are linear in `x`, differentiable, and 0 for an agent without neighbours.
    """

    @property
    @abc.abstractmethod
    def num_agents(self) -> int:
        """Number of slots that the network covers."""

    @abc.abstractmethod
    def sum(self, x: Float[Array, " agent"] | Bool[Array, " agent"]) -> Float[Array, " agent"]:
        """Sum of `x` over each agent's neighbours, itself excluded."""

    @abc.abstractmethod
    def choose(
        self, draw: Draw, agents: Int[Array, " event"], x: Float[Array, " agent"]
    ) -> Int[Array, " event"]:
        """One neighbour of each of `agents`, in proportion to its share of `sum(x)`.

        -1 where there is none, and where `agents` is -1. Draws are those of the agents' slots.
        """

    def degree(self, where: Bool[Array, " agent"] | None = None) -> Float[Array, " agent"]:
        """Number of neighbours, or of those in `where`; with weighted ties, their total weight."""
        return self.sum(jnp.ones(self.num_agents) if where is None else where)

    def mean(
        self,
        x: Float[Array, " agent"] | Bool[Array, " agent"],
        where: Bool[Array, " agent"] | None = None,
    ) -> Float[Array, " agent"]:
        """Mean of `x` over each agent's neighbours, or over those in `where`.

        The dead stay members and neighbours: say `where=state.alive` in a model with deaths.
        """
        chosen = self.as_weight(x) if where is None else jnp.where(where, self.as_weight(x), 0)
        total, degree = self.sum(chosen), self.degree(where)
        return jnp.where(degree > 0, total / jnp.where(degree > 0, degree, 1), 0)

    def as_weight(self, x: Array) -> Float[Array, " agent"]:
        """`x` as floats, one per agent.

        Raises:
            ScenarioError: `x` has not one number per agent of the network.
        """
        if jnp.shape(x) != (self.num_agents,):
            raise ScenarioError(
                f"{type(self).__name__} of {self.num_agents} agents needs one value per agent, "
                f"but was given shape {jnp.shape(x)}"
            )
        dtype = jnp.result_type(x)
        return jnp.asarray(x, dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.float32)


def ids(values: object, what: str, *, below: int | None = None, none: bool = False) -> Array:
    """`values` as int32 ids on the device; concrete ones are checked as in `host_ids`."""
    if is_traced(values):
        array = jnp.asarray(values)
        _check_dtype(array.dtype, what)
        return array.astype(jnp.int32)
    return jnp.asarray(host_ids(values, what, below=below, none=none))


def shape_of(values: object) -> tuple[int, ...]:
    """Shape of an array, traced or not, or of nested lists."""
    return jnp.asarray(values).shape if is_traced(values) else np.asarray(values).shape


def host_ids(values: object, what: str, *, below: int | None, none: bool = False) -> np.ndarray:
    """`values` as checked int32 ids on the host.

    Raises:
        ScenarioError: not integers, negative (but -1 stands for none if `none`), or not `below`.
    """
    array = np.asarray(values)
    if not array.size:
        return array.astype(np.int32)
    _check_dtype(array.dtype, what)
    _check_range(array, what, below, -1 if none else 0)
    return array.astype(np.int32)


def _check_dtype(dtype: np.dtype, what: str) -> None:
    if not np.issubdtype(dtype, np.integer):
        raise ScenarioError(f"{what} must be integer ids, not {dtype}")


def _check_range(array: np.ndarray, what: str, below: int | None, lowest: int) -> None:
    low, high = int(array.min()), int(array.max())
    if low < lowest:
        where = map(str, np.argwhere(array == low)[0])
        allowed = "-1 stands for none" if lowest < 0 else "ids start at 0"
        raise ScenarioError(f"{what} is {low} at {listing(where)}; {allowed}")
    if below is not None and high >= below:
        where = map(str, np.argwhere(array == high)[0])
        raise ScenarioError(f"{what} is {high} at {listing(where)}; ids must be below {below}")
    if high > np.iinfo(np.int32).max - 1:
        raise ScenarioError(f"{what} is {high}; renumber ids to fit 32 bits")


def resized(values: Int[Array, " agent"], capacity: int, what: str) -> Int[np.ndarray, " slot"]:
    """Ids over another number of slots; further ones are in none, -1.

    Raises:
        ScenarioError: a slot that would be left out is in one.
    """
    array = np.asarray(values)
    if (array[capacity:] >= 0).any():
        raise ScenarioError(f"slots beyond {capacity} have a {what}, so the network needs them")
    return np.pad(array[:capacity], (0, max(capacity - len(array), 0)), constant_values=-1)


def read(x: Array, index: Int[Array, "*shape"]) -> Array:
    """`x` at each index; 0 where the index is outside, -1 included."""
    return x.at[index].get(mode="fill", fill_value=0, wrap_negative_indices=False)
