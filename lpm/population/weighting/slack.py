"""How far the published errors are trusted, and what an importance means as an error."""

import math

import numpy as np
from jaxtyping import Float

from lpm.errors import DataError

from .fit import fit_weights
from .problem import Fitted, Problem
from .refit import refit_with
from .solution import reached_totals

LEAST, MOST = 0.01, 10.0


def choose_slack(
    problem: Problem,
    *,
    prior: Float[np.ndarray, "zone record"] | None = None,
    tolerance: float = 0.02,
) -> float:
    """The factor on the standard errors at which misses are as large as the errors.

    Discrepancy principle (Morozov 1966), level by level: the mean of the squared misses, in
    published standard errors, is one at the level where it is largest. A larger factor leaves
    totals further from the published ones than sampling explains; a smaller one fits their
    noise. Coarse levels count by themselves since their errors are small: what all zones of a
    tract miss alike shows there first. Where no factor between 0.01 and 10 does it, the nearer
    end is returned. `prior` is what weights stay close to, as in `fit_weights`.

    Raises:
        DataError: no total has an error.
    """
    if not any((level.error > 0).any() for level in problem.levels):
        raise DataError("No total has a standard error; there is no slack to choose.")
    low, high = math.log(LEAST), math.log(MOST)
    fitted = fit_weights(problem, prior=prior, tolerance=1e-6)
    at, miss = 0.0, math.log(_mean_square(fitted))
    for _ in range(12):
        if abs(miss) <= tolerance:
            break
        low, high = (low, at) if miss > 0 else (at, high)
        # The mean square grows about as the factor does, so this is near a Newton step.
        ahead = at - miss
        at = ahead if low < ahead < high else (low + high) / 2
        fitted = refit_with(fitted, math.exp(at))
        miss = math.log(_mean_square(fitted))
    return math.exp(at)


def importance_errors(
    target: Float[np.ndarray, "zone control"], importance: Float[np.ndarray, " control"]
) -> Float[np.ndarray, "zone control"]:
    """Standard errors that stand for importances: sqrt(total / importance).

    A penalty importance * total * (r log r - r + 1) on the ratio r of what is reached to the
    total, as list balancing with relaxed controls uses it, is to second order that of these
    errors. Totals of zero get that of one.
    """
    return np.sqrt(np.maximum(np.abs(target), 1.0) / importance)


def _mean_square(fitted: Fitted) -> float:
    """Mean squared miss in published errors, of the level where it is largest."""
    means = [1e-12]
    for level in fitted.problem.levels:
        counted = level.error > 0
        if counted.any():
            miss = (reached_totals(level, fitted.weights) - level.target)[counted]
            means.append(float(np.mean((miss / level.error[counted]) ** 2)))
    return max(means)
