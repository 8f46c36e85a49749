"""Design weights brought to the size of each zone."""

import numpy as np
from jaxtyping import Float

from .problem import Level, Problem


def zone_priors(problem: Problem) -> Float[np.ndarray, "zone record"]:
    """Design weights in each finest zone: the same proportions everywhere, scaled to its size.

    The size of a zone, its number of records, is what the finest level's totals say of it: the
    combination of controls that adds one for every record, the most exact one if there are many.
    Where none does, the scale is the published totals over those the design weights give. Where
    exact totals fix the size, the scale has no effect on the fit; with errors it has a little.
    """
    level = problem.levels[0]
    prior = np.maximum(problem.prior, 0.0)
    spread = np.sqrt((level.error**2 + 1e-6 * (1 + np.abs(level.target))).mean(axis=0))
    combination = one_for_each(level.incidence, spread)
    if combination is None:
        size = _ratio(level, prior) * prior.sum()
    else:
        size = level.target @ combination
        size = np.where(size > 0, size, _ratio(level, prior) * prior.sum())
    return size[:, None] * (prior / prior.sum())[None]


def one_for_each(
    incidence: Float[np.ndarray, "kind control"], spread: Float[np.ndarray, " control"]
) -> Float[np.ndarray, " control"] | None:
    """Factors on the controls that add up to one for every record: a stated number of records.

    Where none is stated, the combination with the least error, given each control's.
    """
    stated = np.flatnonzero((incidence == 1).all(axis=0))
    if len(stated):
        return (np.arange(len(spread)) == stated[0]).astype(float)
    rows = np.unique(incidence, axis=0)
    scaled, *_ = np.linalg.lstsq(rows / spread, np.ones(len(rows)), rcond=None)
    found = scaled / spread
    return found if np.abs(rows @ found - 1).max() < 1e-8 else None


def _ratio(level: Level, prior: Float[np.ndarray, " record"]) -> Float[np.ndarray, " zone"]:
    present = np.maximum((level.incidence != 0).sum(axis=0), 1)
    unit = np.sqrt((level.incidence**2).sum(axis=0) / present)
    unit = np.where(unit > 0, unit, 1.0)
    given = np.maximum(prior @ level.incidence, 0.0) / unit
    return np.maximum(level.target / unit, 0.0).sum(axis=1) / max(given.sum(), 1e-300)
