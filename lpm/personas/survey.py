"""A small survey: how many people of a cell, asked in a situation, chose each action."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ..errors import PersonaError
from .surface import Surface


@dataclass(frozen=True)
class Survey:
    """Counts of a survey at the knots of a surface.

    People of whom several situations were asked answer alike each time, so that their answers tell
    less than as many people would: `design_effect` is by how much less. See `design_effect_of`.

    Attributes:
        counts: people by cell, knot and action, 0 where nobody was asked. [cell, *knot, action]
        design_effect: variance of a share relative to as many independent answers, at least 1.

    Raises:
        PersonaError: counts below 0 or not finite, nobody at all, or an effect below 1.
    """

    counts: Float[np.ndarray, "cell *knot action"]
    design_effect: float = 1.0

    def __post_init__(self) -> None:
        bad = ~np.isfinite(self.counts) | (self.counts < 0)
        if bad.any():
            at = [int(i) for i in np.argwhere(bad)[0]]
            raise PersonaError(
                f"counts at {at} are {self.counts[tuple(at)]}; give 0 or more people"
            )
        if not self.counts.sum() > 0:
            raise PersonaError("the survey asked nobody; there is nothing to fit")
        if not self.design_effect >= 1:
            raise PersonaError(f"design_effect = {self.design_effect}; it is at least 1")

    @property
    def asked(self) -> Int[np.ndarray, " cell"]:
        """Cells of which somebody was asked."""
        return np.flatnonzero(self.counts.reshape(len(self.counts), -1).sum(axis=1) > 0)

    def check(self, surface: Surface) -> None:
        """Refuse a survey of another question.

        Raises:
            PersonaError: other cells, knots or actions than the surface has.
        """
        shape = (*surface.mean.shape[:-1], surface.mean.shape[-1] + 1)
        if surface.bounds is not None:
            raise PersonaError("a survey counts choices, and the surface is of a number")
        if self.counts.shape != shape:
            raise PersonaError(
                f"the survey has shape {list(self.counts.shape)}; the surface has "
                f"{surface.personas} personas and asks for {list(shape)}"
            )


def design_effect_of(answers: Float[np.ndarray, "person situation"]) -> float:
    """How much less each answer tells where everybody gave several: 1 + (answers - 1) r.

    r is the correlation between two answers of a person beyond what the situations explain (the
    mean product of residuals over all pairs). Source: Kish (1965), Survey Sampling, for clusters of
    equal size; a person is the cluster here.

    Args:
        answers: 0 or 1 of each person in each situation; -1 where not asked.

    Raises:
        PersonaError: values that are none of these, or nobody who answered twice.
    """
    if not np.isin(answers, (-1, 0, 1)).all():
        raise PersonaError("answers must be 0, 1, or -1 for those not asked")
    asked = answers >= 0
    times = asked.sum(axis=1)
    if not (times > 1).any():
        raise PersonaError("nobody answered twice, so answers do not repeat: the effect is 1")
    count = np.maximum(asked.sum(axis=0), 1)
    share = np.where(asked, answers, 0).sum(axis=0) / count
    left = np.where(asked, answers - share, 0.0)
    pairs = left.sum(axis=1) ** 2 - (left**2).sum(axis=1)
    correlation = pairs.sum() / (times * (times - 1)).sum() / ((left**2).sum() / asked.sum())
    mean_times = (times**2).sum() / times.sum()
    return float(max(1.0, 1 + (mean_times - 1) * correlation))
