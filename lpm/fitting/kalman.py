"""Ensemble Kalman inversion: a fit without gradients, by how outputs and points vary together."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ..population.seeds import Generator
from .averaging import Average
from .chance import generator_for
from .objective import Objective, Points

_MOST = 12  # Iterations.


def invert(
    objective: Objective,
    average: Average,
    members: Points,
    *,
    budget: float,
    after: Callable[[Points, Float[np.ndarray, " point"]], None] | None = None,
) -> tuple[Points, Float[np.ndarray, " point"]]:
    """Move members of an ensemble until the data are as likely as their noise allows.

    Each iteration takes in a part of the data, as much as keeps the ensemble from collapsing,
    until all of it is in; the members are then about a sample of the posterior where the outputs
    are linear, and their best is close to the best fit.

    Args:
        objective: with residuals behind the loss, in standard deviations.
        average: of the loss over worlds.
        members: where to start, [point, element]; a sample of the priors, well over the elements.
        budget: runs, those of the objective so far included.
        after: called with members and their losses before each move.

    Returns:
        The last members and their losses.

    Source: Iglesias, Law & Stuart (2013), Inverse Problems 29; its step from Iglesias & Yang
    (2021), Inverse Problems 37.
    """
    rng = generator_for(objective.words, "perturbed observations")
    points, taken = np.array(members, np.float64), 0.0
    best: tuple[Points, np.ndarray] = points, np.full(len(points), np.inf)
    for number in range(_MOST):
        outputs = objective.evaluate(points).astype(np.float64)
        values, weights = average.weigh(outputs[..., 0])
        best = points, values
        if after is not None:
            after(points, values)
        whole = len(points) * objective.worlds
        if taken >= 1 or number == _MOST - 1 or objective.runs + whole > budget:
            break
        alive = np.isfinite(values)
        if alive.sum() < 2:
            break
        misses = np.einsum("pw,pwd->pd", weights[alive], outputs[alive][..., 1:])
        # Whatever the misfit, all of the data are in when the budget ends.
        rounds = min(_MOST - number - 1, int((budget - objective.runs) / whole))
        share = max(_share(misses, 1 - taken), (1 - taken) / rounds**2)
        taken += share
        points = np.array(points)
        points[alive] = _move(points[alive], misses, share, rng)
        # A member whose run failed starts again near one that did not.
        lost = np.flatnonzero(~alive)
        pick = rng.choice(np.flatnonzero(alive), len(lost))
        points[lost] = points[pick] + 0.1 * rng.standard_normal((len(lost), points.shape[1]))
    return best


def _share(misses: Float[np.ndarray, "point datum"], left: float) -> float:
    """The part of the data to take in next."""
    half = 0.5 * (misses**2).sum(axis=1)
    size = misses.shape[1]
    mean, variance = half.mean(), half.var()
    return float(min(max(size / (2 * mean), np.sqrt(size / (2 * max(variance, 1e-12)))), left))


def _move(
    points: Points,
    misses: Float[np.ndarray, "point datum"],
    share: float,
    rng: Generator,
) -> Points:
    count, size = misses.shape
    moved, missed = points - points.mean(axis=0), misses - misses.mean(axis=0)
    wanted = rng.standard_normal((count, size)) / np.sqrt(share) - misses
    # In the space of the members, which are fewer than the data.
    gram = missed @ missed.T / (count - 1) * share
    inner = np.linalg.solve(np.eye(count) + gram, missed @ wanted.T * share / (count - 1))
    return points + np.clip(inner.T @ moved, -2.0, 2.0)
