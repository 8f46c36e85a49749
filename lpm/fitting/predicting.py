"""What a fitted curve expects of regions: quantiles of their data, and their parameters."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError
from ..params import Params
from .chance import fresh_words
from .curves import Curve, Weights
from .evidence import as_key
from .forecasts import LEVELS, persist
from .regions import Regions
from .rollouts import Rollout
from .space import Space

_WORLDS = 8  # For each member of the ensemble.
_DRAWS = 25  # Of the noise, for each run.


@dataclass(frozen=True)
class Fitted:
    """A curve with its weights, and how it is fed.

    Attributes:
        weights: of all members, [member, ...].
        centre, width: of the covariates, in their own units.
        count: regions that it was fitted to.
        words: of the fit.
    """

    curve: Curve
    weights: Weights
    centre: Float[np.ndarray, " covariate"]
    width: Float[np.ndarray, " covariate"]
    count: int
    words: UInt32[Array, "world 2"]

    def feed(
        self, covariates: Float[np.ndarray, "region week covariate"]
    ) -> Float[Array, "region week covariate"]:
        """Covariates on the scale of the fit."""
        return jnp.asarray((covariates - self.centre) / self.width, jnp.float32)

    def mix(self, count: int, known: bool) -> Float[Array, "region known"]:
        """Themselves, or for regions that were not fitted the mean of those that were."""
        return jnp.eye(self.count) if known else jnp.full((count, self.count), 1 / self.count)

    def points(
        self, rollout: Rollout, known: bool = True
    ) -> Float[np.ndarray, "member region element"]:
        """Unconstrained elements by member and region."""
        regions = rollout.regions
        inputs, mix = self.feed(regions.covariates), self.mix(len(regions.names), known)

        def place(weights: Weights) -> Array:
            return rollout.place(*self.curve(weights, inputs, mix))

        return np.asarray(jax.vmap(place)(self.weights), np.float64)


def predict(
    fitted: Fitted, regions: Regions, first: int, last: int, *, known: bool = True
) -> tuple[pl.DataFrame, int]:
    """Quantiles of the data of weeks `first` to `last`, and the runs they took.

    Over members, luck of the runs and noise of the observations, on keys the fit has not seen.

    Raises:
        FittingError: covariates end before, or runs fail.
    """
    if regions.covariates.shape[1] < last:
        raise FittingError(
            f"covariates end after week {regions.covariates.shape[1]}, but week {last} is asked "
            "for; give covariates that reach it"
        )
    words = fresh_words(fitted.words, _WORLDS, "forecast")
    rollout = Rollout(regions, words, last)
    points = fitted.points(rollout, known)
    frames = []
    for region, name in enumerate(regions.names):
        runs = rollout.objectives[region].evaluate(points[:, region])
        means = runs.reshape(-1, runs.shape[-1]).astype(np.float64)
        means = means[np.isfinite(means).all(axis=1)]
        if not len(means):
            raise FittingError(f"every run of region '{name}' fails under the fitted params")
        key = as_key(words, f"noise of region {name}")
        drawn = regions.evidence(region, last).replicate(key, means, _DRAWS)
        values = np.quantile(drawn.reshape(-1, drawn.shape[-1]), LEVELS, axis=0)
        frames.append(_frame(regions, region, values, first, last))
    spent = int(points.shape[0] * len(words) * len(regions.names))
    return pl.concat(frames), spent


def persistence(regions: Regions, first: int, last: int) -> pl.DataFrame:
    """The forecast that every region stays as it was before week `first`."""
    frames = []
    for region in range(len(regions.names)):
        past, whole = regions.observed(region, 0, first), regions.evidence(region, last)
        values = np.full((len(LEVELS), len(whole.observed)), np.nan)
        into, out = 0, 0
        for mine, early in zip(whole.series, regions.evidence(region, first).series, strict=True):
            wide = int(np.prod(np.shape(mine.target)[1:]))
            size = early.periods * wide
            history = past[out : out + size].reshape(early.periods, wide)
            ahead = mine.periods - early.periods
            for column in range(wide if ahead else 0):
                at = into + (early.periods + np.arange(ahead)) * wide + column
                values[:, at] = persist(history[:, column], ahead).T
            into, out = into + mine.periods * wide, out + size
        frames.append(_frame(regions, region, values, first, last))
    return pl.concat(frames)


def observed(regions: Regions, first: int, last: int) -> pl.DataFrame:
    """What was observed in weeks `first` to `last`: region, target, step, value."""
    frames = []
    for region in range(len(regions.names)):
        values = regions.observed(region, first, last)[None]
        frame = _frame(regions, region, np.repeat(values, len(LEVELS), axis=0), first, last)
        frames.append(frame.filter(pl.col("quantile") == LEVELS[0]))
    return pl.concat(frames).select("region", "target", "step", "value")


def _frame(
    regions: Regions, region: int, values: Float[np.ndarray, "level datum"], first: int, last: int
) -> pl.DataFrame:
    """Rows for data of weeks `first` to `last`; horizons count periods from `first`."""
    parts, at = [], 0
    for one in regions.evidence(region, last).series:
        shape = np.shape(one.target)[1:]
        names = [
            one.observable + (f"[{', '.join(map(str, index))}]" if index else "")
            for index in np.ndindex(shape)
        ]
        weeks, ends = regions.clock.weeks(one), regions.clock.ends(one)
        horizon = np.cumsum(weeks > first)
        for period in range(one.periods):
            for name in names:
                if weeks[period] > first:
                    parts.append(
                        {
                            "region": [regions.names[region]] * len(LEVELS),
                            "target": [name] * len(LEVELS),
                            "step": [int(ends[period])] * len(LEVELS),
                            "horizon": [int(horizon[period])] * len(LEVELS),
                            "quantile": list(LEVELS),
                            "value": values[:, at].tolist(),
                        }
                    )
                at += 1
    schema: Any = {
        "region": pl.String,
        "target": pl.String,
        "step": pl.Int64,
        "horizon": pl.Int64,
        "quantile": pl.Float64,
        "value": pl.Float64,
    }
    return pl.concat(
        [pl.DataFrame(schema=schema), *(pl.DataFrame(x, schema=schema) for x in parts)]
    )


def schedules(fitted: Fitted, regions: Regions, weeks: int, known: bool = True) -> pl.DataFrame:
    """Parameters by region: element, mean, sd over members, low and high (all members), start."""
    rollout = Rollout(regions, fitted.words, weeks)
    points, frames = fitted.points(rollout, known), []
    for region, one in enumerate(rollout.objectives):
        flat = one.space.flat(points[:, region])
        frames.append(
            pl.DataFrame(
                {
                    "region": [regions.names[region]] * flat.shape[1],
                    "element": one.space.labels,
                    "start": one.space.flat(rollout.start[region][None])[0],
                    "mean": flat.mean(axis=0),
                    "sd": flat.std(axis=0, ddof=1) if len(flat) > 1 else np.zeros(flat.shape[1]),
                    "low": flat.min(axis=0),
                    "high": flat.max(axis=0),
                }
            )
        )
    return pl.concat(frames)


def params_of(fitted: Fitted, regions: Regions, region: int, weeks: int, known: bool) -> Params:
    """The params of a region: the mean over members, on the unconstrained scale."""
    rollout = Rollout(regions, fitted.words, weeks)
    points, space = fitted.points(rollout, known), rollout.objectives[region].space
    assert isinstance(space, Space)
    return space.at(points[:, region].mean(axis=0))


def newcomer(
    regions: Regions,
    name: str,
    covariates: Float[np.ndarray, "week covariate"],
    population: Any,
    params: Params | None,
) -> Regions:
    """One region that was not fitted, whose data are missing."""
    one = regions.some([0])
    nothing = tuple(
        replace(s, target=np.zeros(np.shape(s.target)), reported=s.reported) for s in one.series[0]
    )
    return replace(
        one,
        names=(name,),
        populations=(population,),
        params=(one.params[0] if params is None else params,),
        series=(nothing,),
        covariates=np.asarray(covariates, np.float64)[None],
    )
