"""Design weights brought to the size of each zone."""

import numpy as np
from jaxtyping import Bool, Float

from .problem import Level, Problem

# Records that a part of a zone is thought to hold where an uncertain zero is published for it.
FEWEST = 1.0


def zone_priors(
    problem: Problem, eligible: Bool[np.ndarray, "zone record"] | None = None
) -> Float[np.ndarray, "zone record"]:
    """Design weights in each finest zone: the same proportions everywhere, scaled to its size.

    The size of a zone, its number of records, is what the finest level says of it: a control
    that adds one for every record; else those named in `Level.sizes`, such as households and
    people in group quarters, each of which then has its own size; else the combination of controls
    with the least error that adds one for every record. Where there is none, the scale is that of
    the published totals over those of the design weights. Where exact totals fix the size, the
    scale has no effect on the fit; with errors it has.

    Where a zone may only have the records that are `eligible`, they alone make up its size.
    """
    level = problem.levels[0]
    shape = (len(level.zones), len(problem.prior))
    prior = np.broadcast_to(np.maximum(problem.prior, 0.0), shape)
    if eligible is not None:
        prior = prior * eligible
    sorts = [level.controls.index(name) for name in level.sizes]
    if sorts and not (level.incidence == 1).all(axis=0).any():
        return sum((_part(level, control, prior) for control in sorts), np.zeros(()))
    spread = np.sqrt((level.error**2 + 1e-6 * (1 + np.abs(level.target))).mean(axis=0))
    combination = one_for_each(level.incidence, spread)
    given = prior.sum(axis=1)
    size = _ratio(level, prior) * given
    if combination is not None:
        stated = level.target @ combination
        size = np.where(stated > 0, stated, size)
    return prior * (size / np.where(given > 0, given, 1.0))[:, None]


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


def _part(
    level: Level, control: int, prior: Float[np.ndarray, "zone record"]
) -> Float[np.ndarray, "zone record"]:
    """The records of one control, scaled to its total."""
    inside = prior * level.incidence[:, control]
    least = np.where(level.error[:, control] > 0, FEWEST, 0.0)
    size = np.maximum(level.target[:, control], least)
    return inside * (size / np.maximum(inside.sum(axis=1), 1e-300))[:, None]


def _ratio(level: Level, prior: Float[np.ndarray, "zone record"]) -> Float[np.ndarray, " zone"]:
    share = prior.sum(axis=0)  # So that a record that stands there twice counts once.
    present, squares = share @ (level.incidence != 0), share @ level.incidence**2
    unit = np.sqrt(np.where(squares > 0, squares, 1.0) / np.where(present > 0, present, 1.0))
    given = np.maximum(prior @ level.incidence, 0.0) / unit
    wanted = np.maximum(level.target / unit, 0.0).sum(axis=1)
    return wanted / np.maximum(given.sum(axis=1), 1e-300)
