"""Profile likelihood: how low the loss comes with one element held fixed."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from ..errors import FittingError, unknown
from .criteria import Criterion
from .least_squares import Place, jacobians, place, solve_damped
from .objective import Objective

_ROUNDS = 4
_TRIALS = np.array([1e-3, 0.1, 10.0])


def profile(
    objective: Objective,
    criterion: Criterion,
    fit: Any,
    element: str,
    points: int,
    width: float | int,
) -> pl.DataFrame:
    """A row per fixed value; see `Fit.profile`.

    From the fit outwards, each value starts where its neighbour ended.

    Raises:
        FittingError: no such element, or a loss without residuals.
    """
    labels = objective.space.labels
    if element not in labels:
        raise FittingError(unknown("fit", "element", [element], labels))
    if not objective.readings.further:
        raise FittingError("a profile needs a loss with residuals, such as lpm.fitting.Series")
    number = labels.index(element)
    unit = 1.0 if fit.curvature is None else float(min(fit.curvature.sd[number], 1.5))
    offsets = np.linspace(-width, width, points) * unit
    found: dict[int, Place] = {}
    middle = int(np.argmin(np.abs(offsets)))
    for order in (range(middle, points), range(middle - 1, -1, -1)):
        before = fit.point
        for at in order:
            z = np.array(before)
            z[number] = fit.point[number] + offsets[at]
            found[at] = _refit(objective, criterion, z, number)
            before = found[at].z
    rows = [found[at] for at in range(points)]
    values = np.array([row.value for row in rows])
    flat = objective.space.flat(np.stack([row.z for row in rows]))
    lowest = float(values.min())
    columns = {element: flat[:, number], "loss": values, "rise": values - lowest}
    others = {name: flat[:, i] for i, name in enumerate(labels) if i != number}
    return pl.DataFrame(columns | others)


def _refit(objective: Objective, criterion: Criterion, z: np.ndarray, fixed: int) -> Place:
    now = place(objective, criterion, z[None])[0]
    free = np.arange(len(z)) != fixed
    if not free.any():
        return now
    for _ in range(_ROUNDS):
        slopes = jacobians(objective, now.z[None], 0.05)[0][..., free]
        gradient, square = criterion.normal_equations(now.outputs, slopes)
        trials = np.tile(now.z, (len(_TRIALS), 1))
        trials[:, free] += np.stack([solve_damped(gradient, square, d) for d in _TRIALS])
        best = min(place(objective, criterion, trials), key=lambda one: one.value)
        gained = now.value - best.value
        if gained > 0:
            now = replace(best)
        if gained < 0.02:
            break
    return now
