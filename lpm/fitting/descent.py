"""Descent along gradients that come from the host: Adam and L-BFGS, several starts at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from ..errors import FittingError

Points = Float[np.ndarray, "point element"]
Values = Float[np.ndarray, " point"]
Slope = Callable[[Points], tuple[Values, Points]]

_FARTHEST = 1.0  # No element moves farther in an iteration, on its unconstrained scale.
_TRIALS = 0.5 ** np.arange(6)  # Shares of a quasi-Newton step, tried in one batch.


@dataclass
class Descent:
    """Where a descent has come to.

    Attributes:
        best: the point of the lowest value seen.
        value: that value.
        points, values: of all starts after each iteration, [iteration, start, ...].
    """

    best: Float[np.ndarray, " element"]
    value: float
    points: list[Points] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)


def descend(
    slope: Slope,
    starts: Points,
    *,
    optimiser: str = "adam",
    iterations: int = 100,
    rate: float = 0.1,
    evaluate: Callable[[Points], Values] | None = None,
    after: Callable[[Descent], bool] = lambda _: True,
) -> Descent:
    """Lower a function from several starts.

    Args:
        slope: values and gradients at several points.
        starts: where to begin, on an unconstrained scale on which 1 is a large step.
        optimiser: adam, whose rate falls to 0 along a cosine, or lbfgs, which tries six lengths of
            each step in one batch and keeps the best.
        iterations: at most so many.
        rate: of adam.
        evaluate: values at several points, for lbfgs.
        after: called after each iteration; the descent ends where it is false.

    Raises:
        FittingError: an unknown optimiser, lbfgs without `evaluate`, or nothing finite to follow.
    """
    points = np.array(starts, np.float64)
    state = Descent(points[0], np.inf)
    if optimiser == "adam":
        schedule = optax.cosine_decay_schedule(rate, max(iterations, 1), alpha=0.02)
        rule = optax.adam(schedule, b1=0.8, b2=0.95)
        memory: Any = rule.init(jnp.asarray(points, jnp.float32))
    elif optimiser == "lbfgs":
        if evaluate is None:
            raise FittingError("lbfgs compares several lengths of a step; give evaluate")
        rule = optax.scale_by_lbfgs()
        memory = [rule.init(jnp.asarray(point, jnp.float32)) for point in points]
    else:
        raise FittingError(f"optimiser = {optimiser!r}; it is 'adam' or 'lbfgs'")
    for _ in range(iterations):
        values, gradients = slope(points)
        _keep(state, points, values)
        lost = np.atleast_1d(~np.isfinite(gradients).all(axis=1))
        if lost.all():
            raise FittingError(
                "no start has a finite gradient; begin from other params or use estimator='crn'"
            )
        gradients = np.where(lost[:, None], 0.0, gradients)
        if optimiser == "adam":
            moves, memory = rule.update(jnp.asarray(gradients, jnp.float32), memory)
            points = points + np.clip(np.asarray(moves), -_FARTHEST, _FARTHEST)
        else:
            assert evaluate is not None
            points, memory = _quasi_newton(rule, memory, points, values, gradients, evaluate)
        if not after(state):
            break
    return state


def _keep(state: Descent, points: Points, values: Values) -> None:
    state.points.append(points)
    state.values.append(values)
    best = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
    if values[best] < state.value:
        state.best, state.value = points[best], float(values[best])


def _quasi_newton(
    rule: Any,
    memory: list[Any],
    points: Points,
    values: Values,
    gradients: Points,
    evaluate: Callable[[Points], Values],
) -> tuple[Points, list[Any]]:
    moves = []
    for number, (point, gradient) in enumerate(zip(points, gradients, strict=True)):
        move, memory[number] = rule.update(
            jnp.asarray(gradient, jnp.float32), memory[number], jnp.asarray(point, jnp.float32)
        )
        move = -np.asarray(move, np.float64)
        if not np.isfinite(move).all() or move @ gradient > 0:
            move = -gradient
        moves.append(move / max(1.0, np.abs(move).max() / _FARTHEST))
    trials = points[:, None] + _TRIALS[:, None] * np.stack(moves)[:, None]
    found = evaluate(trials.reshape(-1, points.shape[1])).reshape(len(points), -1)
    pick = found.argmin(axis=1)
    rows = np.arange(len(points))
    better = found[rows, pick] < values
    return np.where(better[:, None], trials[rows, pick], points), memory
