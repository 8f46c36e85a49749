"""A tax schedule: brackets and rates as arrays that gradients pass, for millions of people."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Float, Int

from ..axes import Array
from ..errors import DataError
from .piecewise import Piecewise

Incomes: TypeAlias = Float[Array, "*agent"]
Group: TypeAlias = Int[Array, "*agent"] | None
_LOWEST_RATE = -1.0
_COPY, _COPIES = 256, 64  # agents that share a copy of the tables, and copies that share one


class Schedule(eqx.Module):
    """Tax on income z of 0 or more: intercept + sum over brackets of rate times the part in it.

    A bracket reaches from its threshold to the next one and the last one for ever. The first
    threshold is 0. Rates are shares of the next unit of income, in [-1, 1]; negative ones subsidise
    work. The intercept is the tax at income 0, negative where credits are paid out to people
    without income. Continuous in income, and in rates and thresholds; derivatives by both are
    right, at thresholds too for somebody who moves with one.

    Several schedules, one per filing status say, are one `Schedule` with an axis in front (see
    `by_group`); every method then takes the `group` of each agent, 0 and up.

    Attributes:
        thresholds: lower edges of brackets, in the unit of income.
        rates: of the brackets.
        intercept: tax at income 0.

    Raises:
        DataError: a first threshold that is not 0, thresholds that do not rise, a rate outside
            [-1, 1], values that are not finite, shapes that do not fit. Not checked inside `jit`.

    Example:
        >>> tax = Schedule([0, 10_000], [0.1, 0.3])
        >>> float(tax.liability(jnp.array(15_000.0)))
        2500.0
    """

    thresholds: Float[Array, "*group bracket"] | Float[np.ndarray, "*group bracket"]
    rates: Float[Array, "*group bracket"] | Float[np.ndarray, "*group bracket"]
    intercept: Float[Array, "*group"] | Float[np.ndarray, "*group"]

    def __init__(self, thresholds: Any, rates: Any, intercept: Any = None) -> None:
        self.thresholds, self.rates = _held(thresholds), _held(rates)
        empty = np.zeros(self.rates.shape[:-1])
        self.intercept = empty if intercept is None else _held(intercept)

    def __check_init__(self) -> None:
        values = (self.thresholds, self.rates, self.intercept)
        if self.thresholds.shape != self.rates.shape or not self.rates.shape[-1:] > (0,):
            raise DataError(
                f"{self.thresholds.shape} thresholds and {self.rates.shape} rates; give one of "
                "each for every bracket, and one bracket at least"
            )
        if not any(isinstance(x, Tracer) for x in values):
            _check(*(np.atleast_1d(np.asarray(x, np.float64)) for x in values))

    @property
    def brackets(self) -> int:
        """How many there are."""
        return self.rates.shape[-1]

    @property
    def bases(self) -> Float[Array, "*group bracket"] | Float[np.ndarray, "*group bracket"]:
        """Tax at each threshold."""
        xp = np if all(isinstance(x, np.ndarray) for x in jax.tree.leaves(self)) else jnp
        steps = self.rates[..., :-1] * (self.thresholds[..., 1:] - self.thresholds[..., :-1])
        first = self.intercept[..., None]
        return xp.concatenate([first, first + xp.cumsum(steps, axis=-1)], axis=-1)

    def liability(self, income: Incomes, group: Group = None) -> Incomes:
        """Tax due, negative where credits are paid out; in the precision of JAX (see `exact`)."""
        return _liability(self, income, group)

    def marginal(self, income: Incomes, group: Group = None) -> Incomes:
        """The rate on the next unit of income."""
        return row(self, _bracket_of(self, income, group), group)[1]

    def average(self, income: Incomes, group: Group = None) -> Incomes:
        """Tax as a share of income; 0 at no income."""
        some = income > 0
        return jnp.where(some, self.liability(income, group) / jnp.where(some, income, 1.0), 0.0)

    def exact(self, group: int | None = None) -> Piecewise:
        """The same in double precision on the host, to the cent at any income.

        Raises:
            DataError: several schedules and no group given.
        """
        if group is None and self.rates.ndim > 1:
            raise DataError(f"{self.rates.shape[0]} schedules; say group=0, 1, ...")
        at = () if group is None else (group,)
        knots, slopes = (np.asarray(x, np.float64)[at] for x in (self.thresholds, self.rates))
        return Piecewise(knots, slopes, float(np.asarray(self.intercept, np.float64)[at]))


def from_piecewise(tax: Piecewise) -> Schedule:
    """The schedule of a tax that was added up from its parts.

    Raises:
        DataError: a rate outside [-1, 1], such as where several phase-outs meet.
    """
    return Schedule(tax.knots, tax.slopes, np.asarray(tax.start))


def from_edges(edges: Any, rates: Any, intercept: Any = None) -> Schedule:
    """The schedule of rates and of the incomes at which the next one begins, in any order.

    One rate more than edges, the first from income 0; edges are sorted, so that a search may move
    one past another. Equal edges leave a bracket without width.

    Raises:
        DataError: another number of edges, or what a `Schedule` refuses.
    """
    if np.shape(edges)[-1] + 1 != np.shape(rates)[-1]:
        raise DataError(
            f"{np.shape(edges)[-1]} incomes at which the next rate begins and "
            f"{np.shape(rates)[-1]} rates; give one rate more than incomes, the first from 0"
        )
    xp = jnp if isinstance(edges, jax.Array) else np
    zero = xp.zeros((*np.shape(edges)[:-1], 1), xp.asarray(edges).dtype)
    return Schedule(xp.concatenate([zero, xp.sort(xp.asarray(edges))], axis=-1), rates, intercept)


def by_group(schedules: Sequence[Schedule]) -> Schedule:
    """One schedule with an axis in front, [group, bracket].

    Where one has fewer brackets than another, its last one is repeated with no width.

    Raises:
        DataError: none given, or one that has groups already.
    """
    if not schedules or any(s.rates.ndim != 1 for s in schedules):
        raise DataError(f"{len(schedules)} schedules; give one or more, each without groups")
    most = max(s.brackets for s in schedules)

    def rows(name: str) -> Any:
        held = [getattr(s, name) for s in schedules]
        xp = np if all(isinstance(x, np.ndarray) for x in held) else jnp
        return xp.stack([xp.pad(x, (0, most - x.shape[0]), mode="edge") for x in held])

    xp = np if all(isinstance(s.intercept, np.ndarray) for s in schedules) else jnp
    return Schedule(rows("thresholds"), rows("rates"), xp.stack([s.intercept for s in schedules]))


def column(table: Any, j: int | Int[Array, ""], group: Group) -> Any:
    """Entry j of a table, or of each agent's row of it."""
    return table[j] if group is None else jnp.asarray(table)[:, j][group]


def row(schedule: Schedule, bracket: Int[Array, "*agent"], group: Group) -> tuple[Any, Any, Any]:
    """Threshold, rate and tax at the threshold of each agent's bracket, 0 and up.

    Looked up in copies of the tables, each for a few hundred agents, so that derivatives add up in
    levels: one running sum over a million float32 would be wrong in the fifth digit.
    """
    tables = (schedule.thresholds, schedule.rates, schedule.bases)
    size = schedule.rates.size
    at = bracket if group is None else bracket + schedule.brackets * group
    copies = -(-at.size // (_COPY * _COPIES))
    at = at.reshape(-1) + size * (jnp.arange(at.size, dtype=at.dtype) // _COPY)

    def look_up(table: Any) -> Any:
        one = jnp.asarray(table, jnp.float32).reshape(1, size)
        some = jax.lax.optimization_barrier(jnp.broadcast_to(one, (copies, size)))
        many = jnp.broadcast_to(some[:, None], (copies, _COPIES, size))
        return many.reshape(-1).at[at].get(mode="promise_in_bounds").reshape(bracket.shape)

    low, rate, base = (look_up(table) for table in tables)
    return low, rate, base


# Only incomes and brackets are kept for the backward pass, however many brackets there are.
@jax.checkpoint
def _liability(schedule: Schedule, income: Incomes, group: Group) -> Incomes:
    low, rate, base = row(schedule, _bracket_of(schedule, income, group), group)
    return base + rate * (jnp.maximum(income, 0.0) - low)


def _bracket_of(schedule: Schedule, income: Incomes, group: Group) -> Int[Array, "*agent"]:
    found = jnp.zeros(jnp.shape(income), jnp.int32)
    for j in range(1, schedule.brackets):
        found = found + (income >= column(schedule.thresholds, j, group)).astype(jnp.int32)
    return found


def _held(values: Any) -> Any:
    if isinstance(values, jax.Array | np.ndarray):
        return values if isinstance(values, jax.Array) else values.astype(np.float64)
    if isinstance(values, list | tuple) and any(isinstance(v, jax.Array) for v in values):
        return jnp.stack([jnp.asarray(v, jnp.float32) for v in values])
    return np.asarray(values, np.float64)


def _check(thresholds: np.ndarray, rates: np.ndarray, intercept: np.ndarray) -> None:
    for where in np.ndindex(*rates.shape):
        *group, j = where
        owner = f"bracket {j}" + (f" of group {group[0]}" if group else "")
        edge, rate = thresholds[where], rates[where]
        if j == 0 and edge != 0:
            raise DataError(f"{owner}: threshold = {edge:g}; the first threshold is 0")
        before = thresholds[(*group, j - 1)] if j else 0.0
        flat = j > 0 and edge == before and rate == rates[(*group, j - 1)]
        if not np.isfinite(edge) or (j and not edge > before and not flat):
            raise DataError(
                f"{owner}: threshold = {edge:g}; thresholds must rise, so above {before:g}"
            )
        if not _LOWEST_RATE <= rate <= 1:
            raise DataError(f"{owner}: rate = {rate:g}; rates lie in [-1, 1]")
    if not np.all(np.isfinite(intercept)):
        raise DataError(f"intercept = {intercept.tolist()}; it must be finite")
