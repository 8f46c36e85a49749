"""Least squares over runs: damped Gauss-Newton steps with differences that share random numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .criteria import Criterion, Matrix, Vector
from .objective import Objective, Points

_TRIALS = np.array([0.01, 0.3, 10.0, 300.0])  # Dampings tried at once, relative to the last one.
_FARTHEST = 2.0  # No element moves farther in an iteration, on its unconstrained scale.
_CLOSE = 1e-2  # Of a log-likelihood: a step that promises less ends the search.


@dataclass(frozen=True)
class Place:
    """A point with all that a step from it needs.

    Attributes:
        z: the point.
        value: of the criterion there.
        outputs: loss and residuals by world.
        damping: of the next step.
    """

    z: Vector
    value: float
    outputs: Float[np.ndarray, "world output"]
    damping: float = 1e-2


def place(objective: Objective, criterion: Criterion, points: Points) -> list[Place]:
    """Places at some points, in one batch."""
    outputs = objective.evaluate(points)
    values = criterion.values(outputs.astype(np.float64))
    return [Place(z, float(v), out) for z, v, out in zip(points, values, outputs, strict=True)]


def improve(
    objective: Objective, criterion: Criterion, places: list[Place], step: float
) -> tuple[list[Place], list[float]]:
    """One damped step from every place, and what each still promised before it.

    A place that no step improves stays, more damped.

    Source: Levenberg (1944), Quarterly of Applied Mathematics 2; Marquardt (1963), SIAM 11.
    """
    points = np.stack([one.z for one in places])
    moves, promises = [], []
    for one, slopes in zip(places, jacobians(objective, points, step), strict=True):
        gradient, square = criterion.normal_equations(one.outputs, slopes)
        tries = [solve_damped(gradient, square, one.damping * factor) for factor in _TRIALS]
        moves.append(np.stack(tries))
        best = tries[0]
        promises.append(float(-(gradient @ best) - 0.5 * best @ square @ best))
    trials = points[:, None] + np.stack(moves)
    found = place(objective, criterion, trials.reshape(-1, points.shape[1]))
    after = []
    for number, one in enumerate(places):
        mine = found[number * len(_TRIALS) : (number + 1) * len(_TRIALS)]
        pick = int(np.argmin([other.value for other in mine]))
        best = mine[pick]
        if best.value < one.value:
            after.append(Place(best.z, best.value, best.outputs, one.damping * _TRIALS[pick]))
        else:
            after.append(Place(one.z, one.value, one.outputs, one.damping * 1e3))
    return after, promises


def search(
    objective: Objective,
    criterion: Criterion,
    places: list[Place],
    *,
    step: float,
    budget: float,
    most: int | None = None,
    after: Callable[[list[Place]], None] = lambda _: None,
) -> list[Place]:
    """Where damped steps lead within a budget of runs, and at most so many, best first.

    All places take two steps; then those are dropped that are worse than the best by more than
    they still promise to gain.
    """
    count, stuck = 0, 0
    while most is None or count < most:
        cost = len(places) * (2 * objective.space.size + len(_TRIALS)) * objective.worlds
        if objective.runs + cost > budget:
            break
        before = min(one.value for one in places)
        places, promises = improve(objective, criterion, places, step)
        after(places)
        count += 1
        best = min(one.value for one in places)
        stuck = stuck + 1 if before - best < _CLOSE else 0
        if max(promises) < _CLOSE or stuck == 2 or min(p.damping for p in places) > 1e9:
            break
        if count >= 2:
            kept = [
                one
                for one, promise in zip(places, promises, strict=True)
                if one.value - promise <= best
            ]
            places = sorted(kept or places, key=lambda one: one.value)[: max(1, len(places) // 2)]
    return sorted(places, key=lambda one: one.value)


def jacobians(
    objective: Objective, points: Points, step: float
) -> Float[np.ndarray, "point world datum element"]:
    """Derivatives of the residuals; 0 where a neighbouring run fails."""
    slopes = objective.slopes(points, np.eye(objective.space.size), step)[:, :, 1:]
    return np.where(np.isfinite(slopes), slopes, 0.0)


def solve_damped(gradient: Vector, square: Matrix, damping: float) -> Vector:
    """A step of damped normal equations, no element farther than is sensible."""
    size = np.maximum(np.diag(square), 1e-8 * max(np.trace(square), 1e-30))
    move = -np.linalg.solve(square + damping * np.diag(size), gradient)
    return move / max(1.0, np.abs(move).max() / _FARTHEST)
