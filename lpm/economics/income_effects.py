"""What workers earn where money is worth less to the rich: responses with income effects.

Utility is C ((c/C)**(1-g) - 1) / (1-g) + C, or C log(c/C) + C for g = 1, less the effort of
`respond`, with consumption c, a consumption C at which a unit is worth 1, and aversion g. A rebate
or wealth then lowers what people earn; at g = 0 it does not, and answers are those of `respond`.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from ..axes import Array, Number, Scalar
from ..errors import DataError
from .equilibrium import fixed_point
from .response import PerAgent
from .schedule import Group, Incomes, Schedule, column, row
from .sums import total

_TINY = 1e-30
_LEAST = 1e-6  # of potential income: nobody who can earn stays below it.
_STEPS = 16


class Earned(eqx.Module):
    """What workers do; see `respond_curved`.

    Attributes:
        income: z, before tax.
        tax: on it.
        consumption: other income and income, less tax.
        utility: of consumption less effort, in money at the reference consumption.
        bunching: whether income is at a threshold because the next rate is too high.
    """

    income: Float[Array, "*agent"]
    tax: Float[Array, "*agent"]
    consumption: Float[Array, "*agent"]
    utility: Float[Array, "*agent"]
    bunching: Bool[Array, "*agent"]


class _Worker(NamedTuple):
    schedule: Schedule
    potential: Any
    elasticity: Any
    aversion: Any
    other: Any
    reference: Any
    group: Any
    cap: Any


def respond_curved(
    schedule: Schedule,
    potential: Incomes,
    elasticity: PerAgent,
    *,
    aversion: PerAgent,
    other: PerAgent,
    reference: Number,
    group: Group = None,
    cap: PerAgent | None = None,
) -> Earned:
    """The income that each worker likes best, exactly, whatever the rates.

    In a bracket of rate t the first-order condition (1 - t) (c/C)**-g = (z/m)**(1/e) has one
    solution, found by Newton's method on log z; the best of a bracket is that, or its edge, and the
    best of all brackets is taken. Gradients of `income` and `tax` pass by the implicit function
    theorem, those of `utility` by the envelope theorem; memory does not grow with brackets. As in
    `respond`, averages of income over people have a biased gradient where rates fall and people
    jump; nothing corrects for it here.

    Args:
        schedule: of tax.
        potential: m, income at no tax where a unit is worth 1, 0 or more.
        elasticity: e, positive: of income by 1 minus the rate at given consumption (Frisch).
        aversion: g, 0 or more; 1 is logarithmic.
        other: consumption beside earnings, such as a rebate; with the tax at income 0 taken off it
            must leave something, or be 0.
        reference: C, positive, in the unit of income.
        group: of each agent, for schedules by group.
        cap: largest income there is time for.

    Raises:
        DataError: a reference that is not positive.

    Example:
        >>> tax, able = Schedule([0.0], [0.4]), jnp.array([2.0])
        >>> logs = respond_curved(tax, able, 0.5, aversion=1.0, other=0.0, reference=1.0)
        >>> round(float(logs.income[0]), 4)  # whatever the rate of a flat tax without a rebate
        1.5874
    """
    if not isinstance(reference, jax.Array) and not reference > 0:
        raise DataError(f"reference = {reference}; give a positive consumption")
    worker = _Worker(schedule, potential, elasticity, aversion, other, reference, group, cap)
    return _outcome(worker, _choose(jax.lax.stop_gradient(worker)))


def respond_balanced(
    schedule: Schedule,
    potential: Float[Array, " agent"],
    elasticity: PerAgent,
    *,
    aversion: PerAgent,
    other: PerAgent,
    reference: Number,
    weight: Float[Array, " agent"] | None = None,
    spending: Number = 0.0,
    cap: PerAgent | None = None,
) -> tuple[Earned, Scalar]:
    """What workers earn when all revenue beyond `spending` per head comes back in equal parts.

    The rebate lowers what people earn and with it the revenue: it is the fixed point, found by
    Newton's method and differentiated through what it solves; NaN where there is none. Arguments as
    in `respond_curved`, whose `other` comes on top of the rebate.

    Args:
        weight: how many people a worker stands for; 1 if not given.
        spending: what the state keeps, per head.
    """
    heads = jnp.ones_like(potential) if weight is None else weight
    rest = {"aversion": aversion, "reference": reference, "cap": cap}

    def earned(rebate: Array) -> Earned:
        return respond_curved(schedule, potential, elasticity, other=other + rebate, **rest)

    def revenue(rebate: Array) -> Array:
        return total(heads * earned(rebate).tax) / total(heads) - spending

    scale = total(heads * potential) / total(heads)
    first = jax.lax.stop_gradient(revenue(jnp.zeros(())) / 2)
    found = fixed_point(lambda x: revenue(x * scale) / scale, first / scale) * scale
    return earned(found), found


def _choose(worker: _Worker) -> Any:
    """The bracket of the best choice; of equals the lower one."""
    shape = jnp.shape(worker.potential)
    at, best = jnp.zeros(shape, jnp.int32), jnp.full(shape, -jnp.inf, jnp.float32)

    def consider(j: Any, state: Any) -> Any:
        at, best = state
        edges = _edges(worker, j)
        income = jnp.clip(_solve(worker, edges, grows=False), edges[0], edges[1])
        utility = _utility(worker, income, _consumed(worker, edges, income))
        fits = (edges[0] <= edges[1]) | (j == 0)
        better = fits & (utility > best)
        return jnp.where(better, j, at), jnp.where(better, utility, best)

    return jax.lax.fori_loop(0, worker.schedule.brackets, consider, (at, best))[0]


def _edges(worker: _Worker, j: Any) -> tuple[Any, Any, Any, Any]:
    """Lower and upper edge, rate, and tax at the lower edge, of bracket `j` for all workers."""
    schedule, last = worker.schedule, worker.schedule.brackets - 1
    tables = schedule.thresholds, schedule.rates, schedule.bases
    low, rate, base = (column(jnp.asarray(x), j, worker.group) for x in tables)
    following = column(jnp.asarray(schedule.thresholds), jnp.minimum(j + 1, last), worker.group)
    return low, _upper(worker, j, following), rate, base


def _upper(worker: _Worker, j: Any, following: Any) -> Any:
    high = jnp.where(j == worker.schedule.brackets - 1, jnp.inf, following)
    return high if worker.cap is None else jnp.minimum(high, worker.cap)


def _consumed(worker: _Worker, edges: Any, income: Any) -> Any:
    low, _, rate, base = edges
    return worker.other + income - base - rate * (income - low)


def _solve(worker: _Worker, edges: Any, grows: bool) -> Any:
    """Income at which the first-order condition of a bracket holds, as if it had no upper edge.

    `grows`: with the derivative of the implicit function theorem, which one more step of Newton's
    method from the solution has.
    """
    able = jnp.maximum(worker.potential, _TINY)
    least = jnp.log(jnp.maximum(edges[0], _LEAST * able))

    def slack(logs: Any, edges: Any, worker: _Worker) -> tuple[Any, Any]:
        able = jnp.maximum(worker.potential, _TINY)
        kept, income = jnp.maximum(1 - edges[2], _TINY), jnp.exp(logs)
        has = jnp.maximum(_consumed(worker, edges, income), _TINY)
        # Logs of quotients keep digits that differences of logs lose.
        value = jnp.log(kept) - worker.aversion * jnp.log(has / worker.reference)
        value = value - jnp.log(income / able) / worker.elasticity
        return value, worker.aversion * kept * income / has + 1 / worker.elasticity

    held = jax.lax.stop_gradient((edges, worker))

    def step(_: Any, logs: Any) -> Any:
        value, slope = slack(logs, *held)
        return jnp.maximum(logs + value / slope, least)

    start = jax.lax.stop_gradient(jnp.maximum(jnp.log(able), least))
    logs = jax.lax.fori_loop(0, _STEPS, step, start + jnp.zeros_like(least))
    if not grows:
        return jnp.exp(logs)
    logs = jax.lax.stop_gradient(logs)
    value, slope = slack(logs, edges, worker)
    found = jnp.exp(logs + value / jax.lax.stop_gradient(slope))
    return jnp.where(worker.potential > 0, found, 0.0)


@jax.checkpoint
def _outcome(worker: _Worker, bracket: Any) -> Earned:
    """What follows in a given bracket; derivatives by all but the bracket."""
    schedule, last = worker.schedule, worker.schedule.brackets - 1
    low, rate, base = row(schedule, bracket, worker.group)
    following, _, _ = row(schedule, jnp.minimum(bracket + 1, last), worker.group)
    edges = low, _upper(worker, bracket, following), rate, base
    wanted = _solve(worker, edges, grows=True)
    income = jnp.minimum(jnp.maximum(wanted, low), edges[1])
    free = (wanted > low) & (wanted < edges[1])
    cap = jnp.inf if worker.cap is None else worker.cap
    held = jnp.where(free, jax.lax.stop_gradient(income), income)
    return Earned(
        income=income,
        tax=base + rate * (income - low),
        consumption=_consumed(worker, edges, income),
        utility=_utility(worker, held, _consumed(worker, edges, held)),
        bunching=~free & (income > 0) & (income < cap) & (worker.potential > 0),
    )


def _utility(worker: _Worker, income: Any, consumption: Any) -> Any:
    power = 1 - jnp.asarray(worker.aversion, jnp.float32)
    logs = jnp.log(jnp.maximum(consumption, _TINY) / worker.reference)
    near = jnp.abs(power) < 1e-3
    safe = jnp.where(near, 1.0, power)
    worth = jnp.where(near, logs * (1 + power * logs / 2), jnp.expm1(safe * logs) / safe)
    worth = worker.reference * (worth + 1)
    some = income > 0
    able = jnp.where(some, jnp.maximum(worker.potential, _TINY), 1.0)
    ratio = jnp.where(some, income, 1.0) / able
    e = worker.elasticity
    return worth - jnp.where(some, e / (1 + e) * income * ratio ** (1 / e), 0.0)
