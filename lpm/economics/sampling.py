"""Standard errors of rates that were chosen on a sample of workers.

Where everybody moves a little with the rates, or a few jump where rates fall, the delta method
does. Where people may stop working it does not: the slope of welfare then hangs on the few who are
about to, and its second derivative on fewer still. There the rates are chosen again in groups.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .ascent import Peak, Values, climb, finish
from .problem import Problem, look_at

_GROUPS = 10
_SHIFTS = (-0.1, 0.0, 0.1)  # Of all rates, for the starts of each group.


def group_errors(problem: Problem, peak: Peak, low: float, high: float, bound: bool) -> Values:
    """By the scatter of rates chosen in ten groups of workers; nan where not free.

    Groups are by lot, each a sample of a tenth. Of ten the error itself is known to a quarter.
    """
    size = problem.workers.size
    # A fixed order that has nothing to do with income: multiples of the golden ratio.
    lots = np.argsort((np.arange(size, dtype=np.uint64) * np.uint64(2654435769)) % np.uint64(2**32))
    ends = []
    for group in range(_GROUPS):
        look = look_at(problem.of(lots[group::_GROUPS]))
        # Welfare is jagged: from the peak of all a search may not leave its own tooth.
        starts = [np.clip(peak.values + shift, low, high) for shift in _SHIFTS]
        near = max((climb(look, x, low, high, bound) for x in starts), key=lambda end: end[1])[0]
        ends.append(finish(look, near, low, high, bound).values)
    spread = np.std(ends, axis=0, ddof=1) / np.sqrt(_GROUPS)
    return np.where(peak.held == 0, spread, np.nan)


def sampling_errors(problem: Problem, peak: Peak, by: Values | None) -> Values:
    """By the delta method, as for every estimate that solves an equation; nan where not free.

    The rates make the gradient of the Lagrangian 0. What one worker's weight does to it is his
    influence; its variance over workers, between two inverses of the second derivatives, is that of
    the rates. Workers are taken as drawn independently; designs of surveys need their replicates.

    Args:
        problem: with the sample of workers.
        peak: its solution.
        by: gradient of the budget where that binds.
    """
    bend = np.abs(np.diag(peak.second))
    # Nobody has income where welfare does not bend: there is nothing to estimate.
    free = (peak.held == 0) & (bend > 1e-9 * bend.max(initial=0.0))
    errors = np.full(free.shape, np.nan)
    if not free.any():
        return errors
    unit = jnp.eye(free.size)
    slope = partial(_influence, problem, jnp.asarray(peak.values, jnp.float32), peak.price)
    rows = [slope(unit[i], budget=False) for i in np.flatnonzero(free)]
    inner = peak.second[np.ix_(free, free)]
    if by is not None:
        rows.append(slope(unit[0], budget=True))
        row = by[free]
        inner = np.block([[inner, row[:, None]], [row[None], np.zeros((1, 1))]])
    each = np.stack([np.asarray(row, np.float64) for row in rows])
    inverse = np.linalg.pinv(inner)
    spread = np.diag(inverse @ (each @ each.T) @ inverse.T)[: free.sum()]
    errors[free] = np.sqrt(spread)
    return errors


@partial(jax.jit, static_argnames="budget")
def _influence(problem: Problem, values: Any, price: Any, direction: Any, *, budget: bool) -> Any:
    """Of each worker, on the slope of the Lagrangian in a direction, or on the budget."""
    heads = problem.workers.weight

    def worth(h: Any, x: Any) -> Any:
        welfare, left = problem.measures(x, h)
        return left if budget else welfare + price * left

    def by_heads(x: Any) -> Any:
        return jax.grad(worth)(heads, x)

    if budget:
        return heads * by_heads(values)
    return heads * jax.jvp(by_heads, (values,), (direction,))[1]
