"""A search for the highest welfare that ends on its gradient, not on its value.

Welfare of a million workers in float32 has seven digits, so that its value cannot tell rates apart
that differ by less than 3e-4; its gradient can. A search of values by sequential quadratic
programming comes near, and Newton steps on the gradient end it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy import optimize

Values: TypeAlias = Float[np.ndarray, " number"]
Slopes: TypeAlias = tuple[float, Values, float, Values]
Look: TypeAlias = Callable[[Values], Slopes]
_STEP = 2e-3


@dataclass(frozen=True)
class Peak:
    """Where a search ended.

    Attributes:
        values: chosen.
        price: multiplier of the budget; 0 where there is none.
        slope: of the Lagrangian there, 0 where a limit holds it.
        held: -1 or 1 where a value is at its lower or upper limit, else 0.
        second: derivatives of the slope, [number, number].
    """

    values: Values
    price: float
    slope: Values
    held: Values
    second: Float[np.ndarray, "number number"]


def climb(look: Look, start: Values, low: float, high: float, bound: bool) -> tuple[Values, float]:
    """Values near a peak of welfare from a start, and welfare there.

    `look` gives welfare, its gradient, the budget and its gradient; where `bound`, the budget must
    be 0 or more.
    """
    first = look(start)
    scale = max(float(np.abs(first[1]).max()), 1e-30)

    def at(x: Values) -> Slopes:
        return look(np.clip(x, low, high))

    limit = {"type": "ineq", "fun": lambda x: at(x)[2], "jac": lambda x: at(x)[3]}
    found = optimize.minimize(
        lambda x: -(at(x)[0] - first[0]) / scale,
        start,
        jac=lambda x: -at(x)[1] / scale,
        method="SLSQP",
        bounds=[(low, high)] * start.size,
        constraints=[limit] if bound else [],
        options={"maxiter": 100, "ftol": 1e-9},
    )
    x = np.clip(found.x, low, high)
    return x, at(x)[0]


def finish(
    look: Look,
    start: Values,
    low: float,
    high: float,
    bound: bool,
    second: Float[np.ndarray, "number number"] | None = None,
    most: int = 12,
) -> Peak:
    """The point near `start` at which the gradient is 0, or a limit stops it.

    `second` are derivatives of the slope there if they are known well enough for steps.
    """
    x, best = start, _state(look, start, low, high, bound)
    known = second is not None
    second = second if known else _second(look, x, low, high, best[1])
    for turn in range(most):
        slope, _, held, budget = best
        free = held == 0
        step = _newton(second, slope, look(x)[3] if bound else None, budget, free)
        if not free.any() or not np.isfinite(step).all():
            break
        # A step is taken as far as it lowers the slope; steps of the size of rounding end it.
        for part in (1.0, 0.5, 0.1):
            tried = np.clip(x + part * np.clip(step, -0.1, 0.1), low, high)
            state = _state(look, tried, low, high, bound)
            if _size(state) < _size(best) or (state[2] != held).any():
                break
        else:
            break
        done = np.abs(tried - x).max() < 1e-7
        x, best = tried, state
        if done:
            break
        if turn == 4 or (turn == 1 and not known):
            second = _second(look, x, low, high, best[1])
    x = np.where(best[2] < 0, low, np.where(best[2] > 0, high, x))
    best = _state(look, x, low, high, bound)
    second = _second(look, x, low, high, best[1])
    return Peak(x, best[1], best[0], best[2], second)


_State: TypeAlias = tuple[Values, float, Values, float]


def _state(look: Look, x: Values, low: float, high: float, bound: bool) -> _State:
    """Slope of the Lagrangian on free values, multiplier, what is held, and the budget."""
    _, gradient, budget, by = look(x)
    edge = 1e-5
    inside = (x > low + edge) & (x < high - edge)
    price = 0.0
    if bound:
        some = inside if inside.any() else np.ones(x.shape, bool)
        price = max(0.0, float(-(gradient[some] @ by[some]) / (by[some] @ by[some])))
    slope = gradient + price * by
    held = np.where((x <= low + edge) & (slope <= 0), -1.0, 0.0)
    held = np.where((x >= high - edge) & (slope >= 0), 1.0, held)
    return np.where(held == 0, slope, 0.0), price, held, budget if bound else 0.0


def _size(state: _State) -> float:
    return float(np.sqrt(np.sum(state[0] ** 2) + state[3] ** 2))


def _second(
    look: Look, x: Values, low: float, high: float, price: float
) -> Float[np.ndarray, "number number"]:
    """Differences of the slope, one-sided at a limit."""

    def slope(at: Values) -> Values:
        _, gradient, _, by = look(at)
        return gradient + price * by

    rows = []
    for i in range(x.size):
        ends = [
            np.where(np.arange(x.size) == i, np.clip(x + d, low, high), x) for d in (-_STEP, _STEP)
        ]
        rows.append((slope(ends[1]) - slope(ends[0])) / (ends[1][i] - ends[0][i]))
    table = np.array(rows)
    return (table + table.T) / 2


def _newton(
    second: Float[np.ndarray, "number number"],
    slope: Values,
    by: Values | None,
    budget: float,
    free: Float[np.ndarray, " number"] | np.ndarray,
) -> Values:
    """The Newton step on free values, with the budget met where there is one."""
    step = np.zeros(slope.shape)
    inner = second[np.ix_(free, free)]
    if by is None:
        step[free] = -np.linalg.lstsq(inner, slope[free], rcond=None)[0]
        return step
    row = by[free]
    bordered = np.block([[inner, row[:, None]], [row[None], np.zeros((1, 1))]])
    right = -np.append(slope[free], budget)
    step[free] = np.linalg.lstsq(bordered, right, rcond=None)[0][:-1]
    return step
