"""What a worker earns under a tax schedule: the exact best response, and gradients through it.

Utility is c - (e/(1+e)) m (z/m)**((1+e)/e), with consumption c, income z, and m the income that the
worker would choose without tax; e is the elasticity of income with respect to 1 minus the marginal
rate. Where rates rise with income, workers bunch at the threshold; where they fall, income jumps,
and nobody is near the threshold.
"""

from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from ..axes import Array, Number
from ..errors import DataError
from .jumps import Crossing, crossing
from .schedule import Group, Incomes, Schedule, column, row

PerAgent: TypeAlias = Number | Float[Array, "*agent"]
_NONE = -1  # the bracket of those who do not work
_TINY = 1e-30


class Response(eqx.Module):
    """What workers do; see `respond`.

    Attributes:
        income: z, before tax.
        tax: on it.
        utility: z - tax - cost of effort, and of working; rebates are not in it.
        works: whether income was chosen over none, where working has a fixed cost.
        crossing: how workers at a jump move with policy; None unless `jumps="corrected"`.
    """

    income: Float[Array, "*agent"]
    tax: Float[Array, "*agent"]
    utility: Float[Array, "*agent"]
    works: Bool[Array, "*agent"]
    crossing: Crossing | None


class _Worker(NamedTuple):
    """What a choice depends on beside the bracket."""

    schedule: Schedule
    potential: Any
    elasticity: Any
    group: Any
    cap: Any
    fixed_cost: Any


class _Outcome(NamedTuple):
    income: Any
    tax: Any
    utility: Any
    effort: Any


def respond(
    schedule: Schedule,
    potential: Incomes,
    elasticity: PerAgent,
    *,
    group: Group = None,
    cap: PerAgent | None = None,
    fixed_cost: PerAgent | None = None,
    jumps: str = "pathwise",
    bandwidth: float = 0.05,
) -> Response:
    """The income that each worker likes best, exactly, whatever the rates.

    The best of each bracket is clip(m (1-t)**e, its edges), and the best of those is taken. Where
    rates do not fall from one bracket to the next this follows from the first-order conditions
    alone; between stretches of rising rates utilities are compared, and ties go to less income.
    Memory does not grow with the number of brackets.

    The gradient of `utility` is that of the envelope theorem. The gradient of a single `income` or
    `tax` is the pathwise one. Averaged over people it is right where rates rise, and biased where
    they fall or working has a fixed cost, because those who jump to another income are missed. With
    `jumps="corrected"`, averages of `income` and `tax` have the gradient of the average: workers
    within `bandwidth` of a jump stand for those at it (see `lpm.economics.jumps`). For other
    functions of income use `Crossing.apply`; `check_jumps` says how much it matters.

    Args:
        schedule: of tax.
        potential: m, income at no tax, 0 or more.
        elasticity: e, positive; one or by agent.
        group: of each agent, for schedules by group.
        cap: largest income there is time for.
        fixed_cost: of any work, in units of consumption; those who are better off with no income
            and the tax on it do not work.
        jumps: how averages are differentiated, `pathwise` or `corrected`.
        bandwidth: of log potential income around a jump, for `corrected`; the error is of its
            square. Narrower where a jump is small.

    Raises:
        DataError: `jumps` or `bandwidth` is not one of those.

    Source: Saez (2010) for bunching; Milgrom & Segal (2002) for the envelope.
    """
    if jumps not in ("pathwise", "corrected"):
        raise DataError(f"jumps = {jumps!r}; it is 'pathwise' or 'corrected'")
    if not bandwidth > 0:
        raise DataError(f"bandwidth = {bandwidth}; it is positive")
    worker = _Worker(schedule, potential, elasticity, group, cap, fixed_cost)
    best, other = _choose(*jax.lax.stop_gradient(worker))
    chosen = _outcome(worker, best)
    works = best != _NONE
    if jumps == "pathwise":
        return Response(chosen.income, chosen.tax, chosen.utility, works, None)
    rival = _outcome(worker, jnp.maximum(other, _NONE))
    exists = other > _MISSING
    room = _room(*jax.lax.stop_gradient((worker, best, chosen.income, other, rival.income)))
    found = crossing(chosen, rival, exists, elasticity, bandwidth, room)
    income = chosen.income + found.weight * (found.upper - found.lower)
    tax = chosen.tax + found.weight * (found.upper_tax - found.lower_tax)
    return Response(income, tax, chosen.utility, works, found)


def potential_income(wage: Incomes, elasticity: PerAgent, cost: PerAgent) -> Float[Array, "*agent"]:
    """Potential income m of a worker of utility c - cost * hours**(1 + 1/e) who earns wage * hours.

    m = wage**(1+e) (cost (1 + 1/e))**-e. Hours are income over the wage; at most h hours is a `cap`
    of wage * h.
    """
    exponent = 1 + 1 / jnp.asarray(elasticity, jnp.float32)
    return wage ** (1 + elasticity) * (cost * exponent) ** -elasticity


_MISSING = -2


def _choose(
    schedule: Schedule, potential: Any, elasticity: Any, group: Any, cap: Any, fixed_cost: Any
) -> tuple[Any, Any]:
    """The bracket of the best choice, and that of the best on another stretch of rising rates.

    `_MISSING` where there is no other.
    """
    shape = potential.shape
    nowhere = (jnp.full(shape, _MISSING), jnp.full(shape, -jnp.inf, potential.dtype))
    best, other = nowhere, nowhere
    if fixed_cost is not None:
        idle = fixed_cost - column(schedule.bases, 0, group) + jnp.zeros_like(potential)
        best = (jnp.full(shape, _NONE), idle)

    def consider(j: Any, state: Any) -> Any:
        best, other, run = state
        low, high, rate, base, rising = (column(table, j, group) for table in tables)
        high = high if cap is None else jnp.minimum(high, cap)
        wanted = potential * _power(1 - rate, elasticity)
        income = jnp.minimum(jnp.maximum(wanted, low), high)
        value = income - base - rate * (income - low) - _effort(income, potential, elasticity)
        fits = jnp.full(shape, True) if cap is None else (low < cap) | (j == 0)
        here = (jnp.full(shape, j), jnp.where(fits, value, -jnp.inf))
        best, other = _better(best, other, run, ~rising & fits)
        return best, other, _pick(~fits | (rising & (wanted <= low)), run, here)

    tables = _tables(schedule)
    state = (best, other, nowhere)
    best, other, run = jax.lax.fori_loop(0, schedule.brackets, consider, state)
    best, other = _better(best, other, run, jnp.full(shape, True))
    return best[0], other[0]


def _tables(schedule: Schedule) -> tuple[Any, ...]:
    """Edges, rate, tax at the lower edge, and whether the rate is not below the one before."""
    low, rate = jnp.asarray(schedule.thresholds), jnp.asarray(schedule.rates)
    high = jnp.concatenate([low[..., 1:], jnp.full_like(low[..., :1], jnp.inf)], axis=-1)
    before = jnp.concatenate([jnp.full_like(rate[..., :1], jnp.inf), rate[..., :-1]], axis=-1)
    return low, high, rate, jnp.asarray(schedule.bases), rate >= before


def _better(best: Any, other: Any, run: Any, ended: Any) -> tuple[Any, Any]:
    """The two best, with a stretch that has ended."""
    wins, second = ended & (run[1] > best[1]), ended & (run[1] > other[1])
    return _pick(wins, run, best), _pick(wins, best, _pick(second, run, other))


def _pick(condition: Any, a: Any, b: Any) -> Any:
    return tuple(jnp.where(condition, x, y) for x, y in zip(a, b, strict=True))


# Keeps the bracket of each worker for the backward pass, and nothing that grows with brackets.
@jax.checkpoint
def _outcome(worker: _Worker, bracket: Any) -> _Outcome:
    """Income, tax and utility in a given bracket; derivatives by all but the bracket."""
    schedule, last = worker.schedule, worker.schedule.brackets - 1
    low, rate, base = row(schedule, jnp.maximum(bracket, 0), worker.group)
    following, _, _ = row(schedule, jnp.clip(bracket + 1, 0, last), worker.group)
    high = jnp.where(bracket == last, jnp.inf, following)
    if worker.cap is not None:
        high = jnp.minimum(high, worker.cap)
    works = bracket != _NONE
    wanted = worker.potential * _power(1 - rate, worker.elasticity)
    income = jnp.where(works, jnp.minimum(jnp.maximum(wanted, low), high), 0.0)
    tax = base + rate * (income - jnp.where(works, low, 0.0))
    # At an interior best the first-order condition holds: utility does not move with income.
    free = (wanted > low) & (wanted < high)
    held = jnp.where(free, jax.lax.stop_gradient(income), income)
    effort = _effort(held, worker.potential, worker.elasticity)
    utility = held - base - rate * (held - jnp.where(works, low, 0.0)) - effort
    if worker.fixed_cost is not None:
        utility = utility - jnp.where(works, worker.fixed_cost, 0.0)
    return _Outcome(income, tax, utility, effort)


def _room(worker: _Worker, best: Any, income: Any, other: Any, rival: Any) -> tuple[Any, Any]:
    """How far log m may fall, and rise, until an income is at a threshold of falling rates.

    There it is no longer a best response of its own stretch, and the two cannot be compared.
    """
    edges, rates = (jnp.asarray(x) for x in (worker.schedule.thresholds, worker.schedule.rates))
    falls = jnp.zeros(rates.shape, bool).at[..., 1:].set(rates[..., 1:] < rates[..., :-1])
    last, axis = jnp.full_like(edges[..., :1], jnp.inf), edges.ndim - 1
    starts = jax.lax.cummax(jnp.where(falls, edges, 0.0), axis=axis)
    nexts = jax.lax.cummin(jnp.where(falls, edges, jnp.inf), axis=axis, reverse=True)
    ends = jnp.concatenate([nexts[..., 1:], last], axis=-1)
    lower, higher = jnp.where(income > rival, other, best), jnp.where(income > rival, best, other)
    start, end = (
        jnp.where(at >= 0, _entry(table, jnp.maximum(at, 0), worker.group), 0.0)
        for table, at in ((starts, higher), (ends, lower))
    )
    low, high = jnp.minimum(income, rival), jnp.maximum(income, rival)
    fall = jnp.log(jnp.maximum(high, _TINY) / jnp.maximum(start, _TINY))
    rise = jnp.where(lower == _NONE, jnp.inf, jnp.log(end / jnp.maximum(low, _TINY)))
    return fall, rise


def _entry(table: Any, at: Any, group: Group) -> Any:
    return table[at] if group is None else table[group, at]


def _effort(income: Any, potential: Any, elasticity: Any) -> Any:
    """(e/(1+e)) m (z/m)**((1+e)/e), 0 at no income."""
    some = income > 0
    able = jnp.where(some, jnp.maximum(potential, _TINY), 1.0)
    ratio = jnp.where(some, income, 1.0) / able
    cost = elasticity / (1 + elasticity) * income * ratio ** (1 / elasticity)
    return jnp.where(some, cost, 0.0)


def _power(kept: Any, elasticity: Any) -> Any:
    """(1-t)**e with a derivative that is finite at a rate of 1."""
    return jnp.maximum(kept, _TINY) ** elasticity
