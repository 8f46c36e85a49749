"""What a caller asked of a fit of regions, checked before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FittingError, listing, unknown
from ..params import Params
from ..population import Population
from ..scenario import Scenario, check_every
from .layout import cut, find_clock
from .noise import DirichletMultinomial
from .regions import (
    Regions,
    at_prior_means,
    check_covariates,
    each,
    series_of,
)
from .request import choose_fields

_LEAST = 8  # Weeks that can be divided into those to fit, to stop by and to score.
_KNOWN = 3  # Data of each region among those to fit.


@dataclass(frozen=True)
class Split:
    """Weeks by use: fit before `stop`, stop by those before `score`, score the others.

    Attributes:
        whole: all that were observed.
    """

    stop: int
    score: int
    whole: int


def assemble(
    scenario: Scenario[Any, Any],
    populations: Any,
    series: Any,
    covariates: Any,
    *,
    names: Sequence[str] | None,
    labels: Sequence[str],
    left_out: Sequence[str],
    fields: Sequence[str] | None,
    params: Any,
    every: int,
) -> tuple[Regions, Regions | None, tuple[str, ...]]:
    """The regions to fit, those left out, and the names of all in the order given.

    Raises:
        FittingError: says what is wrong, and in which region, week, covariate or field.
        ScenarioError: names that are no parameters.
    """
    count = len(populations) if not isinstance(populations, Population) else len(list(series))
    names = tuple(f"region {i}" for i in range(count)) if names is None else tuple(names)
    if len(set(names)) < len(names) or not names:
        raise FittingError(f"regions are {listing(names)}; give each a name of its own")
    left_out = (left_out,) if isinstance(left_out, str) else tuple(left_out)
    wrong = [name for name in left_out if name not in names]
    if wrong:
        raise FittingError(unknown("the fit", "region to leave out", wrong, names))
    if len(set(left_out)) == len(names):
        raise FittingError("every region is left out; leave at least one to fit")
    values = check_covariates(covariates, names, labels)
    settings = each(scenario.params if params is None else params, Params, len(names), "params")
    if any(type(one) is not type(scenario.params) for one in settings):
        raise FittingError(
            f"params are no {type(scenario.params).__name__}; use scenario.params.replace(...)"
        )
    chosen = choose_fields(settings[0], "parameter", fields)
    check_every(every, scenario.steps)
    clock = find_clock(scenario, settings[0], chosen, every)
    whole = Regions(
        scenario,
        names,
        each(populations, Population, len(names), "populations"),
        tuple(at_prior_means(one, chosen) for one in settings),
        series_of(series, names),
        values,
        chosen,
        clock,
    )
    _check_noise(whole)
    inside = [i for i, name in enumerate(names) if name not in left_out]
    outside = [i for i, name in enumerate(names) if name in left_out]
    return whole.some(inside), whole.some(outside) if outside else None, names


def split_weeks(regions: Regions, held_out: int | None) -> Split:
    """Which weeks are for what.

    Raises:
        FittingError: series that are too short, or covariates or params that end before them.
    """
    whole = regions.weeks
    held = max(2, whole // 6) if held_out is None else held_out
    if whole < _LEAST:
        raise FittingError(
            f"the series reach {regions.clock.axis} {whole}; give at least {_LEAST}, to fit, to "
            "stop by and to score"
        )
    score = whole - held
    stop = score - max(2, score // 6)
    if held < 1 or stop < 2:
        raise FittingError(
            f"held_out = {held} of {whole} weeks leaves {max(stop, 0)} to fit; give 1 to "
            f"{whole - 5}"
        )
    if regions.covariates.shape[1] < whole:
        raise FittingError(
            f"covariates have {regions.covariates.shape[1]} weeks, but the series reach week "
            f"{whole}; give covariates of all weeks"
        )
    for region, name in enumerate(regions.names):
        known = int((~np.isnan(regions.observed(region, 0, stop))).sum())
        if known < _KNOWN:
            raise FittingError(
                f"region '{name}' has {known} known data in the first {stop} weeks; give at least "
                f"{_KNOWN}, or leave it out"
            )
        cut(regions.params[region], regions.fields, regions.clock.axis, whole)
    return Split(stop, score, whole)


def _check_noise(regions: Regions) -> None:
    for one in regions.series[0]:
        if not hasattr(one.noise, "sample") or isinstance(one.noise, DirichletMultinomial):
            raise FittingError(
                f"{type(one.noise).__name__} of {one.observable!r} cannot draw data to come; give "
                "a noise with sample(key, mean, observed) that needs no totals"
            )
