"""Who is near: a counting sort of points into cells, and sums over pairs within reach."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from ..aggregates import running_total
from ..axes import Array, Bool, Float, Int
from ..errors import ScenarioError

Columns: TypeAlias = tuple[Float[Array, " agent"], ...]
Visit: TypeAlias = Callable[[Array, Array, Columns, Columns], Columns]


def by_place(
    place: Int[Array, " agent"], num_places: int
) -> tuple[Int[Array, " agent"], Int[Array, " edge"]]:
    """Agents in order of place, and where in that order each place begins, and the last one ends.

    A counting sort: within a place agents keep the order of storage; those outside
    0 .. num_places - 1 come last. Each round gives a rank to one agent of every place, so the time
    grows with the most crowded place.
    """
    n = place.shape[0]
    index = jnp.arange(n, dtype=jnp.int32)
    inside = (place >= 0) & (place < num_places)
    where = jnp.where(inside, place, num_places)
    counts = jnp.zeros(num_places + 1, jnp.int32).at[where].add(1)
    start = running_total(counts) - counts

    def one_more(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        turn, left, rank = carry
        first = jnp.full(num_places, n, jnp.int32)
        first = first.at[jnp.where(left, where, num_places)].min(index, mode="drop")
        won = left & (first[jnp.where(left, where, 0)] == index)
        return turn + 1, left & ~won, jnp.where(won, turn, rank)

    begin = (jnp.zeros((), jnp.int32), inside, jnp.zeros(n, jnp.int32))
    rank = lax.while_loop(lambda carry: jnp.any(carry[1]), one_more, begin)[2]
    outside = (~inside).astype(jnp.int32)
    rank = jnp.where(inside, rank, running_total(outside) - 1)
    order = jnp.zeros(n, jnp.int32).at[start[where] + rank].set(index, unique_indices=True)
    return order, start


class Plane(eqx.Module):
    """A rectangle, periodic or bounded, on which agents meet those within `reach`.

    Attributes:
        width: its extent along x.
        height: its extent along y.
        reach: how far an agent sees.
        periodic: whether it is a torus.
    """

    width: float = eqx.field(static=True)
    height: float = eqx.field(static=True)
    reach: float = eqx.field(static=True)
    periodic: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        sides = {"width": self.width, "height": self.height, "reach": self.reach}
        for name, value in sides.items():
            if not value > 0:
                raise ScenarioError(f"Plane.{name} is {value}; give a length above 0")
        if self.periodic and 2 * self.reach > min(self.width, self.height):
            raise ScenarioError(
                f"Plane.reach is {self.reach}; on a torus of {self.width} x {self.height} it can "
                "be at most half of the shorter side, or one would be met from both sides"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells at least `reach` wide."""
        return max(1, int(self.height // self.reach)), max(1, int(self.width // self.reach))

    def sums(
        self,
        visit: Visit,
        x: Float[Array, " agent"],
        y: Float[Array, " agent"],
        mine: Columns = (),
        theirs: Columns = (),
        *,
        where: Bool[Array, " agent"],
    ) -> Columns:
        """Sums over each agent's neighbours of what `visit` gives for the two.

        `visit(dx, dy, mine, theirs)` answers elementwise for arrays of pairs: how far the other is
        to the right and above, the agent's own columns and the other's. Neighbours are the other
        agents in `where` at a distance of at most `reach`. It may use numbers from outside only
        where no derivative by them is wanted; put those into `mine`. Reverse-mode derivatives by
        positions and columns are exact away from the rim of the reach; there are no forward ones.

        Agents are sorted into cells by `by_place`; the time grows with the longest run of agents in
        three neighbouring cells.
        """
        return _pair_sums(self, visit, where, x, y, mine, theirs)


def _cells(plane: Plane, x: Array, y: Array, where: Array) -> tuple[Array, Array, Array]:
    rows, columns = plane.shape
    row = jnp.clip((y * (rows / plane.height)).astype(jnp.int32), 0, rows - 1)
    column = jnp.clip((x * (columns / plane.width)).astype(jnp.int32), 0, columns - 1)
    return row, column, jnp.where(where, row * columns + column, -1)


def _runs(plane: Plane, row: Array, column: Array, start: Array) -> list[tuple[Array, ...]]:
    """Per row of cells in reach: where its agents begin, how many, where the row ends, its size.

    The three cells of a row are one run of sorted agents; on a torus the row is read as a ring.
    """
    rows, columns = plane.shape
    ring = plane.periodic and columns > 3
    runs = []
    for step in (0, 1)[:rows] if plane.periodic and rows < 3 else (-1, 0, 1):
        other = row + step
        inside = jnp.ones(row.shape, bool) if plane.periodic else (other >= 0) & (other < rows)
        base = jnp.where(inside, other % rows, 0) * columns
        begin, end = start[base], start[base + columns]
        if plane.periodic and not ring:
            low, length = begin, end - begin
        else:
            first = (column - 1) % columns if ring else jnp.maximum(column - 1, 0)
            last = (column + 2) % columns if ring else jnp.minimum(column + 2, columns)
            low = start[base + first]
            length = start[base + last] - low
            length = jnp.where(last < first, length + end - begin, length)
        runs.append((low, jnp.where(inside, length, 0), end, end - begin))
    return runs


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _pair_sums(
    plane: Plane, visit: Visit, where: Array, x: Array, y: Array, mine: Columns, theirs: Columns
) -> Columns:
    return _loop(plane, visit, where, x, y, mine, theirs)


def _loop(
    plane: Plane, visit: Visit, where: Array, x: Array, y: Array, mine: Columns, theirs: Columns
) -> Columns:
    row, column, place = _cells(plane, x, y, where)
    order, start = by_place(place, plane.shape[0] * plane.shape[1])
    lane = jnp.arange(x.shape[0], dtype=jnp.int32)
    position = jnp.zeros_like(lane).at[order].set(lane, unique_indices=True)
    x, y, mine, theirs, row, column = jax.tree.map(
        lambda values: values[order], (x, y, mine, theirs, row, column)
    )
    runs = _runs(plane, row, column, start)
    longest = jnp.max(jnp.stack([jnp.max(run[1]) for run in runs]))

    def one_more(turn: Array, totals: Columns) -> Columns:
        for low, length, end, around in runs:
            other = low + turn
            other = jnp.where(other >= end, other - around, other)
            met = (turn < length) & (other != lane)
            other = jnp.where(met, other, lane)
            away = [_apart(plane, values, other, axis) for axis, values in enumerate((x, y))]
            near = met & (away[0] * away[0] + away[1] * away[1] <= plane.reach**2)
            found = visit(away[0], away[1], mine, tuple(_read(c, other) for c in theirs))
            pairs = zip(totals, found, strict=True)
            totals = tuple(total + jnp.where(near, value, 0) for total, value in pairs)
        return totals

    shapes = jax.eval_shape(visit, x, y, mine, theirs)
    zeros = tuple(jnp.zeros(x.shape, shape.dtype) for shape in shapes)
    totals = lax.fori_loop(0, longest, one_more, zeros)
    return tuple(jnp.where(where, total[position], 0) for total in totals)


def _apart(plane: Plane, values: Array, other: Array, axis: int) -> Array:
    """How far the other is along an axis, the short way round on a torus."""
    gap = _read(values, other) - values
    side = (plane.width, plane.height)[axis]
    return gap - side * jnp.round(gap * (1 / side)) if plane.periodic else gap


def _read(values: Array, index: Array) -> Array:
    return values.at[index].get(mode="promise_in_bounds")


def _forward(
    plane: Plane, visit: Visit, where: Array, x: Array, y: Array, mine: Columns, theirs: Columns
) -> tuple[Columns, tuple]:
    found = _loop(plane, visit, where, x, y, mine, theirs)
    return found, (where, x, y, mine, theirs)


def _backward(plane: Plane, visit: Visit, kept: tuple, cotangents: Columns) -> tuple:
    """The same sum over pairs: each agent as the one who looks, and as the one looked at."""
    where, x, y, mine, theirs = kept
    split = len(mine), len(mine) + len(theirs)

    def back(dx: Array, dy: Array, ours: Columns, others: Columns) -> Columns:
        parts = [(c[: split[0]], c[split[0] : split[1]], c[split[1] :]) for c in (ours, others)]
        (my, seen, pull), (your, shown, push) = parts
        looking = jax.vjp(lambda dx, dy, my: visit(dx, dy, my, shown), dx, dy, my)[1](pull)
        looked = jax.vjp(lambda dx, dy, seen: visit(dx, dy, your, seen), -dx, -dy, seen)[1](push)
        return (looked[0] - looking[0], looked[1] - looking[1], *looking[2], *looked[2])

    both = (*mine, *theirs, *cotangents)
    found = _loop(plane, back, where, x, y, both, both)
    by_mine, by_theirs = found[2 : 2 + split[0]], found[2 + split[0] :]
    return None, found[0], found[1], by_mine, by_theirs


_pair_sums.defvjp(_forward, _backward)
