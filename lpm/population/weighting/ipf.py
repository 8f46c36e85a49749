"""Raking by iterative proportional fitting: the classic method, kept as a check on the other."""

import numpy as np
from jaxtyping import Float

from lpm.errors import DataError, listing

from .priors import zone_priors
from .problem import Problem


def ipf(
    problem: Problem, *, sweeps: int = 1000, tolerance: float = 1e-12
) -> Float[np.ndarray, "zone record"]:
    """Weights after raking over the controls in turn until no factor differs from one.

    For one level of exact totals of records in a category (0 or 1). Where the totals can be met
    it tends to the answer of `fit_weights` (Csiszar 1975); where they cannot, it goes round in
    circles, and stops after so many sweeps without a word: compare its totals.

    Raises:
        DataError: there are several levels, totals with errors, or controls that count or add.
    """
    _check(problem)
    level = problem.levels[0]
    weights = zone_priors(problem)
    members = [np.flatnonzero(column) for column in level.incidence.T]
    for _ in range(sweeps):
        largest = 0.0
        for control, member in enumerate(members):
            reached = weights[:, member].sum(axis=1)
            factor = np.divide(
                level.target[:, control], reached, out=np.ones_like(reached), where=reached > 0
            )
            weights[:, member] *= factor[:, None]
            largest = max(largest, float(np.abs(factor - 1).max()))
        if largest <= tolerance:
            break
    return weights


def _check(problem: Problem) -> None:
    if len(problem.levels) != 1:
        raise DataError(f"Raking knows one level; the problem has {len(problem.levels)}.")
    level = problem.levels[0]
    if (level.error > 0).any():
        raise DataError("Raking knows no standard errors; use fit_weights.")
    counting = ~np.isin(level.incidence, (0.0, 1.0)).all(axis=0)
    if counting.any():
        names = [level.controls[i] for i in np.flatnonzero(counting)]
        raise DataError(f"Raking knows records in categories only; not {listing(names)}.")
