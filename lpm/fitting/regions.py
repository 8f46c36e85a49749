"""Regions of one scenario: who lives there, what was observed, and what is known of each week."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import FittingError
from ..params import Params
from ..population import Population
from ..scenario import Scenario
from .evidence import Evidence
from .layout import Clock, cut
from .losses import Series, Together

Known = Series | Together


@dataclass(frozen=True)
class Regions:
    """What is fitted: one scenario in several places.

    Attributes:
        names: of the regions.
        populations, params, series: of each; params hold the values at which the fit starts.
        covariates: [region, week, covariate], in their own units.
        fields: which are fitted.
        clock: the time axis.
    """

    scenario: Scenario[Any, Any]
    names: tuple[str, ...]
    populations: tuple[Population, ...]
    params: tuple[Params, ...]
    series: tuple[tuple[Series, ...], ...]
    covariates: Float[np.ndarray, "region week covariate"]
    fields: tuple[str, ...]
    clock: Clock
    _copies: dict[Any, Population] = field(default_factory=dict, repr=False, compare=False)

    def copy_of(self, region: int, weeks: int) -> Population:
        """The population of a region, for runs of one length.

        A population keeps the last code that was compiled for it; runs of several lengths in turn
        would compile again and again.
        """
        one = self.populations[region]
        if (id(one), weeks) not in self._copies:
            other = copy(one)
            other.compiled = {}
            self._copies[id(one), weeks] = other
        return self._copies[id(one), weeks]

    @property
    def weeks(self) -> int:
        """Weeks in which something was observed, up to the last."""
        last = 0
        for region in self.series:
            for one in region:
                known = ~np.isnan(np.asarray(one.target, float).reshape(one.periods, -1))
                last = max(last, int(self.clock.weeks(one)[known.any(axis=1)].max()))
        return last

    def some(self, at: Sequence[int]) -> "Regions":
        """Those at some places."""
        return replace(
            self,
            names=tuple(self.names[i] for i in at),
            populations=tuple(self.populations[i] for i in at),
            params=tuple(self.params[i] for i in at),
            series=tuple(self.series[i] for i in at),
            covariates=self.covariates[np.asarray(at, int)],
        )

    def evidence(self, region: int, weeks: int) -> Evidence:
        """The series of a region, cut or made longer to end with a week; what is new is missing.

        The data are zeros: they say what is expected of a run, not what was observed.
        """
        return Evidence(
            Together(tuple(_reach(one, self.clock, weeks) for one in self.series[region]))
        )

    def observed(self, region: int, first: int, last: int) -> Float[np.ndarray, " datum"]:
        """Data of weeks `first` to `last` (exclusive), nan elsewhere, as `evidence` to `last`."""
        parts = []
        for one in self.series[region]:
            length = _reach(one, self.clock, last).periods
            target = np.asarray(one.target, float)
            rows = np.full((length, *target.shape[1:]), np.nan)
            some = min(length, len(target))
            rows[:some] = target[:some]
            week = self.clock.weeks(replace(one, target=np.zeros(rows.shape)))
            rows[week <= first] = np.nan
            parts.append(rows.ravel())
        return np.concatenate(parts)


def _reach(series: Series, clock: Clock, weeks: int) -> Series:
    rows = weeks * clock.span // clock.every
    periods = (rows - series.first) // series.window
    reported = np.asarray(series.reported, float)
    if reported.ndim:
        reported = np.concatenate([reported, np.repeat(reported[-1:], max(periods, 0), axis=0)])
        reported = reported[:periods]
    shape = np.asarray(series.target).shape[1:]
    return replace(
        series,
        target=np.zeros((max(periods, 0), *shape)) if periods > 0 else np.zeros((0, *shape)),
        reported=reported if reported.ndim else series.reported,
    )


def at_prior_means(params: Params, fields: tuple[str, ...]) -> Params:
    """The params with fitted fields at the means of their priors, where they have one."""
    knobs, changes = type(params).knobs(), {}
    for name in fields:
        mean = getattr(knobs[name].prior, "mean", None)
        if mean is not None and np.isfinite(np.asarray(mean)).all():
            shape = np.shape(getattr(params, name))
            changes[name] = np.broadcast_to(np.asarray(mean, np.float32), shape)
    return params.replace(**changes)


def check_covariates(
    covariates: Any, names: Sequence[str], labels: Sequence[str]
) -> Float[np.ndarray, "region week covariate"]:
    """Covariates as an array.

    Raises:
        FittingError: another shape, or a value that is not finite; says where.
    """
    values = np.asarray(covariates, np.float64)
    if values.ndim != 3 or values.shape[0] != len(names) or not values.size:
        raise FittingError(
            f"covariates are {list(values.shape)}; give [region, week, covariate] for the "
            f"{len(names)} regions"
        )
    if labels and len(labels) != values.shape[2]:
        raise FittingError(
            f"{values.shape[2]} covariates have the {len(labels)} names {list(labels)}"
        )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        region, week, which = bad[0]
        label = f"'{labels[which]}'" if labels else str(which)
        raise FittingError(
            f"covariate {label} of region '{names[region]}' is {values[region, week, which]} in "
            f"week {week}; give a finite number"
        )
    return values


def each(given: Any, kind: type, count: int, what: str) -> tuple[Any, ...]:
    """One thing for all regions, or one for each.

    Raises:
        FittingError: another number of them.
    """
    if isinstance(given, kind):
        return (given,) * count
    found = tuple(given)
    if len(found) != count or not all(isinstance(x, kind) for x in found):
        raise FittingError(
            f"{what} has {len(found)} entries; give one {kind.__name__}, or one for each of the "
            f"{count} regions"
        )
    return found


def series_of(given: Any, names: Sequence[str]) -> tuple[tuple[Series, ...], ...]:
    """The series of each region.

    Raises:
        FittingError: another number of regions, something else than series, or observables that
            differ between regions.
    """
    given = [given[name] for name in names] if isinstance(given, Mapping) else list(given)
    found = tuple(x.series if isinstance(x, Together) else (x,) for x in given)
    if len(found) != len(names) or not all(isinstance(x, Series) for y in found for x in y):
        raise FittingError(
            f"series has {len(found)} entries; give an lpm.fitting.Series, or several together, "
            f"for each of the {len(names)} regions"
        )
    kinds = {tuple(one.observable for one in region) for region in found}
    if len(kinds) > 1:
        raise FittingError(f"regions have different series, {sorted(kinds)}; give the same to each")
    return found


def stack_start(regions: Regions, weeks: int) -> list[Params]:
    """Params of each region, as long as a run of so many weeks."""
    return [cut(one, regions.fields, regions.clock.axis, weeks) for one in regions.params]


def standardise(
    covariates: Float[np.ndarray, "region week covariate"], weeks: int
) -> tuple[Float[np.ndarray, " covariate"], Float[np.ndarray, " covariate"]]:
    """Mean and width of each covariate over the regions and first weeks; a constant has width 1."""
    flat = covariates[:, :weeks].reshape(-1, covariates.shape[2])
    width = flat.std(axis=0)
    return flat.mean(axis=0), np.where(width > 1e-12, width, 1.0)
