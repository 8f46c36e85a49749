"""Graph: ties between single agents, of any degree."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..axes import Array, Bool, Float, Int, is_traced
from ..draw import Draw
from ..errors import ScenarioError
from .base import Pairwise, host_ids, read
from .choosing import choose_column, choose_member
from .layout import lay_out, once_each
from .ties import AbstractTies, add_far, count_neighbours, count_ties, row_sum, row_sum_via


class Graph(AbstractTies):
    """Ties from edge lists: `source[e]` neighbours `target[e]`, and the reverse unless directed.

    A sum runs over those who point at an agent. A tie from an agent to itself is left out, and a
    tie given more than once, in either order if undirected, counts once. Edge weights scale what
    passes; a mean then is a weighted mean.

    Ties are stored as rows: the first few neighbours of each agent side by side, and those of
    agents with more in extra rows that are added up in a second small sum, so that hubs do not
    widen everybody's row. That is 4 bytes an edge end, and about a quarter more for gaps.

    Example:
        >>> path = Graph(np.array([0, 1]), np.array([1, 2]), num_agents=4)
        >>> path.sum(jnp.array([1.0, 2.0, 4.0, 8.0])).tolist()
        [2.0, 5.0, 2.0, 0.0]

    Attributes:
        neighbours: up to so many neighbours of each agent; `num_agents` where there is none.
        extra: further neighbours in rows of their own.
        owner: whose neighbours an extra row holds, in increasing order.
        total: number of neighbours of each agent, or their total weight.
        weight: weight of each tie in `neighbours`, or None.
        extra_weight: weight of each tie in `extra`, or None.
        mutual: every tie is known to be stored from both ends and in one device's memory, so that
            a sum may also go from the few that count to their neighbours.
    """

    neighbours: Int[Array, "agent column"]
    extra: Int[Array, "row extra_column"]
    owner: Int[Array, " row"]
    total: Float[Array, " agent"]
    weight: Float[Array, "agent column"] | None
    extra_weight: Float[Array, "row extra_column"] | None
    mutual: bool = eqx.field(static=True)

    def __init__(
        self,
        source: object,
        target: object,
        *,
        num_agents: int,
        directed: bool = False,
        weight: object = None,
    ) -> None:
        """A graph over `num_agents` slots from two columns of ids, arrays or frames' columns.

        Raises:
            ScenarioError: ids that are not integers in `[0, num_agents)`, columns of different
                length, weights that are negative or not finite, a weighted tie given twice, or
                edges that are traced.
        """
        if is_traced((source, target, weight)):
            raise ScenarioError(
                "Graph needs concrete edges; inside traced code use random_graph(draw=), "
                "or build the graph on the population"
            )
        one = host_ids(source, "source", below=num_agents)
        other = host_ids(target, "target", below=num_agents)
        if one.ndim != 1 or one.shape != other.shape:
            raise ScenarioError(
                f"source and target must be columns of one length, not {one.shape}, {other.shape}"
            )
        ties = once_each(one, other, _weights(weight, one.size), num_agents, directed)
        layout = lay_out(*ties, num_agents)
        self.neighbours, self.extra = jnp.asarray(layout.neighbours), jnp.asarray(layout.extra)
        self.owner, self.total = jnp.asarray(layout.owner), jnp.asarray(layout.total)
        self.weight = None if layout.weight is None else jnp.asarray(layout.weight)
        far = layout.extra_weight
        self.extra_weight = None if far is None else jnp.asarray(far)
        self.mutual = not directed

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
        if via is not None:
            return self.sum_via(via, x, None)
        if self.weight is None:
            rows = (self.neighbours, self.extra, self.owner)
            return count_ties(x, rows) if self.mutual else count_neighbours(x, rows)
        near = row_sum(x, self.neighbours, self.weight)
        far = row_sum(x, self.extra, self.extra_weight)
        return add_far(near, far, self.owner)

    def sum_via(
        self, via: Pairwise, x: Float[Array, " agent"], where: Bool[Array, " agent"] | None
    ) -> Float[Array, " agent"]:
        """Sum of `via(mine, theirs)` over each agent's neighbours, or those in `where`."""
        near = row_sum_via(via, x, x, self.neighbours, self.weight, where)
        if not self.owner.shape[0]:
            return near
        mine = x[self.owner]
        far = row_sum_via(via, mine, x, self.extra, self.extra_weight, where)
        return add_far(near, far, self.owner)

    def degree(self, where: Bool[Array, " agent"] | None = None) -> Float[Array, " agent"]:
        """Number of neighbours, or of those in `where`; with weights, their total weight."""
        return self.total if where is None else self.sum(where)

    def choose(
        self, draw: Draw, agents: Int[Array, " event"], x: Float[Array, " agent"]
    ) -> Int[Array, " event"]:
        """A neighbour of each agent, in proportion to `x` (and weight); -1 where nobody has any."""
        x = self.as_weight(x)
        rows = jnp.where(agents[:, None] >= 0, self.neighbours[agents], self.num_agents)
        pull = read(x, rows)
        if self.weight is not None:
            pull = pull * self.weight[agents]
        far = row_sum(x, self.extra, self.extra_weight)
        further = read(add_far(jnp.zeros_like(x), far, self.owner), agents)
        uniform = [read(draw.uniform("agent"), agents) for _ in range(3)]
        column = choose_column(uniform[0], jnp.concatenate([pull, further[:, None]], axis=1))
        is_far = column == rows.shape[1]
        chosen = jnp.where(column >= 0, _at(rows, jnp.where(is_far, 0, column)), -1)
        if not self.owner.shape[0]:
            return chosen
        hub = jnp.where(is_far, agents, -1)
        none = jnp.full_like(agents, -1)
        row = choose_member(uniform[1], self.owner, self.num_agents, hub, far, none)
        pull = read(x, self.extra[row])
        if self.extra_weight is not None:
            pull = pull * self.extra_weight[row]
        column = choose_column(uniform[2], pull)
        beyond = jnp.where((row >= 0) & (column >= 0), _at(self.extra[row], column), -1)
        return jnp.where(is_far, beyond, chosen)

    def with_capacity(self, capacity: int) -> "Graph":
        """The same ties over another number of slots; further ones have none.

        Raises:
            ScenarioError: a slot that would be left out has ties.
        """
        old, kept = self.num_agents, min(capacity, self.num_agents)
        near, far = np.asarray(self.neighbours), np.asarray(self.extra)
        owner = np.asarray(self.owner)
        ends = [*(x[x < old] for x in (near, far, owner)), np.flatnonzero((near < old).any(axis=1))]
        last = max((int(x.max()) for x in ends if x.size), default=-1)
        if last >= capacity:
            raise ScenarioError(f"slot {last} has ties, so the graph needs more than {capacity}")
        rows = np.full((capacity, near.shape[1]), capacity, np.int32)
        rows[:kept] = _moved(near[:kept], old, capacity)
        spare = capacity - kept
        weight = None if self.weight is None else np.asarray(self.weight)[:kept]
        parts = (
            jnp.asarray(rows),
            jnp.asarray(_moved(far, old, capacity)),
            jnp.asarray(_moved(owner, old, capacity)),
            jnp.asarray(np.pad(np.asarray(self.total)[:kept], (0, spare))),
            None if weight is None else jnp.asarray(np.pad(weight, ((0, spare), (0, 0)))),
        )
        return eqx.tree_at(
            lambda g: (g.neighbours, g.extra, g.owner, g.total, g.weight),
            self,
            parts,
            is_leaf=lambda x: x is None,
        )

    def over_devices(self) -> "Graph":
        """The same ties where agents are split over devices: each asks its neighbours."""
        nobody = np.zeros(0, np.int32)
        weight = None if self.weight is None else np.zeros(0)
        like = Graph(nobody, nobody, num_agents=1, directed=True, weight=weight)
        return jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(self))


def from_rows(
    neighbours: Int[Array, "agent column"],
    extra: Int[Array, "row extra_column"],
    owner: Int[Array, " row"],
    *,
    mutual: bool = False,
) -> Graph:
    """A graph from rows as Graph stores them, all of which may be traced.

    The caller answers for the rows: nobody beside himself, nobody twice, owners in order and
    `num_agents` for rows that nobody owns; and, if `mutual`, each tie from both ends.
    """
    num_agents = neighbours.shape[0]
    nobody = np.zeros(0, np.int32)
    empty = Graph(nobody, nobody, num_agents=num_agents, directed=not mutual)
    near = jnp.sum(neighbours < num_agents, axis=1, dtype=jnp.int32)
    far = jnp.sum(extra < num_agents, axis=1, dtype=jnp.int32)
    total = (near + jax.ops.segment_sum(far, owner, num_agents)).astype(jnp.float32)
    rows = (neighbours, extra, owner, total)
    return eqx.tree_at(lambda g: (g.neighbours, g.extra, g.owner, g.total), empty, rows)


def _at(rows: Array, column: Array) -> Array:
    return jnp.take_along_axis(rows, jnp.maximum(column, 0)[:, None], axis=1)[:, 0]


def _moved(index: np.ndarray, old: int, new: int) -> np.ndarray:
    """Slots as they are, and the number that stands for none, the number of slots, as it is now."""
    return np.where(index == old, new, index).astype(np.int32)


def _weights(weight: object, num_edges: int) -> np.ndarray | None:
    if weight is None:
        return None
    values = np.asarray(weight, np.float32)
    if values.shape != (num_edges,):
        raise ScenarioError(f"weight needs one value per edge, {num_edges}, not {values.shape}")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ScenarioError("weight must be finite and not negative; leave absent ties out")
    return values
