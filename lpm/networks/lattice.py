"""Lattice: the same few neighbours' places for everybody."""

import jax.numpy as jnp
import numpy as np

from ..axes import Array, Bool, Float, Int, is_traced
from ..draw import Draw
from ..errors import ScenarioError
from .base import Pairwise, ids, read, shape_of
from .choosing import choose_column
from .ties import AbstractTies, row_sum, row_sum_via

_STEPS = {
    "von_neumann": ((-1, 0), (0, -1), (0, 1), (1, 0)),
    "moore": ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)),
}


class Lattice(AbstractTies):
    """Fixed places for neighbours, one row per agent: a ring, a grid, a table of one's own.

    A sum runs over an agent's own row, so ties are mutual only if the rows say so.

    Example:
        >>> Lattice.ring(4, 2).sum(jnp.array([1.0, 2.0, 4.0, 8.0])).tolist()
        [10.0, 5.0, 10.0, 5.0]

    Attributes:
        neighbours: ids of each agent's neighbours; -1 where there is none.
    """

    neighbours: Int[Array, "agent neighbour"]

    def __init__(self, neighbours: object) -> None:
        """A lattice from a table of neighbours.

        Raises:
            ScenarioError: not a table of integers from -1 to the number of rows; an agent that
                neighbours itself, or another one twice.
        """
        shape = shape_of(neighbours)
        if len(shape) != 2:
            raise ScenarioError(f"neighbours needs one row per agent, not shape {shape}")
        self.neighbours = ids(neighbours, "neighbours", below=shape[0], none=True)
        if not is_traced(neighbours):
            _check_rows(np.asarray(neighbours))

    @classmethod
    def ring(cls, num_agents: int, degree: int, *, capacity: int | None = None) -> "Lattice":
        """A ring where everybody has `degree` nearest neighbours, half of them on each side.

        Slots from `num_agents` to `capacity` have no neighbours.

        Raises:
            ScenarioError: `degree` is odd or not below `num_agents`.
        """
        if degree % 2 or not 0 < degree < num_agents:
            raise ScenarioError(
                f"a ring of {num_agents} needs an even degree from 2 to {num_agents - 1}: {degree}"
            )
        offsets = np.concatenate([np.arange(-degree // 2, 0), np.arange(1, degree // 2 + 1)])
        table = (np.arange(num_agents)[:, None] + offsets[None]) % num_agents
        return cls(_pad(table, capacity))

    @classmethod
    def grid(
        cls,
        rows: int,
        columns: int,
        *,
        neighbourhood: str = "moore",
        periodic: bool = True,
        capacity: int | None = None,
    ) -> "Lattice":
        """A grid of `rows * columns` agents, row by row; `moore` has 8 neighbours, `von_neumann` 4.

        A periodic grid wraps round; otherwise the margins have fewer neighbours. Slots beyond the
        grid, up to `capacity`, have none.

        Raises:
            ScenarioError: an unknown neighbourhood, or a periodic grid with a side below 3.
        """
        if neighbourhood not in _STEPS:
            raise ScenarioError(f"neighbourhood is '{neighbourhood}'; it can be {list(_STEPS)}")
        if min(rows, columns) < (3 if periodic else 1):
            raise ScenarioError(
                f"a grid of {rows} x {columns} is too small; periodic ones need sides of 3 or more"
            )
        steps = np.array(_STEPS[neighbourhood])
        row, column = np.divmod(np.arange(rows * columns), columns)
        row, column = row[:, None] + steps[None, :, 0], column[:, None] + steps[None, :, 1]
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        table = (row % rows) * columns + column % columns
        return cls(_pad(np.where(inside | periodic, table, -1), capacity))

    def with_capacity(self, capacity: int) -> "Lattice":
        """The same places over another number of slots; further ones have no neighbours.

        Raises:
            ScenarioError: a slot that would be left out has neighbours.
        """
        table = np.asarray(self.neighbours)
        kept, lost = table[:capacity], table[capacity:]
        if (lost >= 0).any() or kept.max(initial=-1) >= capacity:
            raise ScenarioError(
                f"slots beyond {capacity} have neighbours, so the lattice needs them"
            )
        return Lattice(_pad(kept, capacity))

    @property
    def num_agents(self) -> int:
        """Number of slots that the network covers."""
        return self.neighbours.shape[0]

    def sum(
        self, x: Float[Array, " agent"] | Bool[Array, " agent"], *, via: Pairwise | None = None
    ) -> Float[Array, " agent"]:
        """Sum of `x`, or of `via(mine, theirs)`, over each agent's neighbours.

        `via` answers elementwise for arrays of pairs: it may use numbers from outside, not arrays.
        """
        x = self.as_weight(x)
        return row_sum(x, self.neighbours) if via is None else self.sum_via(via, x, None)

    def sum_via(
        self, via: Pairwise, x: Float[Array, " agent"], where: Bool[Array, " agent"] | None
    ) -> Float[Array, " agent"]:
        """Sum of `via(mine, theirs)` over each agent's neighbours, or those in `where`."""
        return row_sum_via(via, x, x, self.neighbours, None, where)

    def choose(
        self, draw: Draw, agents: Int[Array, " event"], x: Float[Array, " agent"]
    ) -> Int[Array, " event"]:
        """A neighbour of each agent, in proportion to `x`; -1 where nobody has any."""
        rows = jnp.where(agents[:, None] >= 0, self.neighbours[agents], -1)
        uniform = read(draw.uniform("agent"), agents)
        column = choose_column(uniform, read(self.as_weight(x), rows))
        chosen = jnp.take_along_axis(rows, jnp.maximum(column, 0)[:, None], axis=1)[:, 0]
        return jnp.where(column >= 0, chosen, -1)


def _pad(table: np.ndarray, capacity: int | None) -> np.ndarray:
    spare = 0 if capacity is None else capacity - table.shape[0]
    if spare < 0:
        raise ScenarioError(f"{table.shape[0]} agents do not fit a capacity of {capacity}")
    return np.pad(table, ((0, spare), (0, 0)), constant_values=-1).astype(np.int32)


def _check_rows(table: np.ndarray) -> None:
    own = np.flatnonzero((table == np.arange(table.shape[0])[:, None]).any(axis=1))
    if own.size:
        raise ScenarioError(f"agent {own[0]} is its own neighbour; put -1 there")
    ordered = np.sort(table, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        agent = np.flatnonzero(twice.any(axis=1))[0]
        raise ScenarioError(f"agent {agent} has a neighbour twice; put -1 in one of the places")
