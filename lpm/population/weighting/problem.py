"""The fitting problem and its answer, as arrays: what is given, and what was found."""

from dataclasses import dataclass, field
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Float, Int

UNBOUNDED = (0.0, float("inf"))


@final
@dataclass(frozen=True)
class Level:
    """One level of geography and the totals published for it.

    Attributes:
        name: such as `tract`.
        zones: names of its zones.
        controls: names of what is published, such as `B11016 1-person`.
        incidence: how much each record adds to each control: 0/1 for a household in a category,
            the number of persons in one, or a sum such as its income.
        target: published totals.
        error: their standard errors; 0 where the total must be met exactly.
        zone_of: zone of this level in which each zone of the finest level lies.
        sizes: controls, if any, that have each record in exactly one of them and so say how many of
            each sort there are, such as households and people in group quarters.
    """

    name: str
    zones: tuple[str, ...]
    controls: tuple[str, ...]
    incidence: Float[np.ndarray, "record control"]
    target: Float[np.ndarray, "zone control"]
    error: Float[np.ndarray, "zone control"]
    zone_of: Int[np.ndarray, " finest"]
    sizes: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Problem:
    """Zones that may draw on the same survey records, and all they have to meet.

    Attributes:
        prior: design weight of each record, positive.
        levels: the finest first; its `zone_of` is 0, 1, 2, ...
    """

    prior: Float[np.ndarray, " record"]
    levels: tuple[Level, ...]

    @property
    def zones(self) -> tuple[str, ...]:
        """Zones of the finest level."""
        return self.levels[0].zones


@final
@dataclass(frozen=True)
class Rules:
    """How weights are fitted.

    Attributes:
        slack: factor on the published standard errors.
        bounds: smallest and largest factor on a prior weight.
        tolerance: of the relative duality gap, and of misses of exact totals.
    """

    slack: float = 1.0
    bounds: tuple[float, float] = UNBOUNDED
    tolerance: float = 1e-9


@final
@dataclass(frozen=True)
class Fitted:
    """Weights of the records in every zone of the finest level, and how they were got.

    Attributes:
        problem: what was fitted, after margins were reconciled.
        weights: of each record in each zone; never negative.
        gap: bound on how far the objective of each block of zones lies above the optimum, relative.
        infeasible: totals that no weights can meet: level, zone, control, target, reached, missing.
        reconciled: totals that were changed because margins disagreed: level, zone, control,
            published, used.
        multipliers: per level, the Lagrange multipliers of the totals ([zone, control]).
        prior: what the weights were kept close to ([zone, record]).
        rules: how it was fitted.
        notes: what was left out or could not be certified, one line each.
    """

    problem: Problem
    weights: Float[np.ndarray, "zone record"]
    gap: Float[np.ndarray, " zone"]
    infeasible: pl.DataFrame
    reconciled: pl.DataFrame
    multipliers: tuple[Float[np.ndarray, "_zone _control"], ...] = field(default=())
    prior: Float[np.ndarray, "zone record"] | None = None
    rules: Rules = field(default_factory=Rules)
    notes: tuple[str, ...] = field(default=())
