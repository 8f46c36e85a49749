"""Forecasts as quantiles, and how good they were: interval scores, coverage, and who is better."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

from ..errors import FittingError

LEVELS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)
_FEW = 3  # Differences of a history from which a spread can be read.
_AT = ["region", "target", "step"]


def weighted_interval_score(
    quantiles: Float[np.ndarray, "forecast level"],
    observed: Float[np.ndarray, " forecast"],
    levels: Sequence[float] = LEVELS,
) -> Float[np.ndarray, " forecast"]:
    """The weighted interval score, in units of the data: lower is better; nan where none is known.

    Raises:
        FittingError: levels that do not lie about a median in pairs.

    Source: Bracher et al. (2021), PLoS Computational Biology 17, equation 1.
    """
    at = np.asarray(levels, float)
    if len(at) % 2 == 0 or not np.allclose(at + at[::-1], 1) or not (np.diff(at) > 0).all():
        raise FittingError(f"levels = {list(levels)}; give a median and pairs about it, in order")
    middle = len(at) // 2
    total = 0.5 * np.abs(observed - quantiles[:, middle])
    for i in range(middle):
        low, high, tail = quantiles[:, i], quantiles[:, -1 - i], 2 * at[i]
        outside = np.maximum(low - observed, 0) + np.maximum(observed - high, 0)
        total = total + 0.5 * tail * (high - low) + outside
    return total / (middle + 0.5)


def score(forecast: pl.DataFrame, observed: pl.DataFrame) -> pl.DataFrame:
    """A row per forecast: region, target, step, horizon, observed, score, and inside (of 90 %).

    Args:
        forecast: columns region, target, step, horizon, quantile, value.
        observed: columns region, target, step, value.

    Raises:
        FittingError: nothing observed was forecast.
    """
    wide = forecast.pivot(on="quantile", index=[*_AT, "horizon"], values="value")
    names = sorted((c for c in wide.columns if c not in (*_AT, "horizon")), key=float)
    both = wide.join(observed.rename({"value": "observed"}), on=_AT, how="inner")
    both = both.filter(pl.col("observed").is_not_null() & pl.col("observed").is_not_nan())
    if not both.height:
        raise FittingError("nothing of what was observed was forecast; check regions and steps")
    rows, levels = both.select(names).to_numpy(), [float(x) for x in names]
    seen = both["observed"].to_numpy()
    low, high = rows[:, levels.index(0.05)], rows[:, levels.index(0.95)]
    return both.select(*_AT, "horizon", "observed").with_columns(
        score=weighted_interval_score(rows, seen, levels),
        inside=(seen >= low) & (seen <= high),
    )


def persist(
    history: Float[np.ndarray, " period"], horizon: int
) -> Float[np.ndarray, "horizon level"]:
    """Quantiles of staying where it is: the last known value, as uncertain as its past moves.

    Moves are of log(1 + value), taken in both directions; over horizons as long as half the
    history the spread grows with the root of the horizon.

    Source: Cramer et al. (2022), Proceedings of the National Academy of Sciences 119, baseline.
    """
    logs = np.log1p(history[~np.isnan(history)])
    rows = []
    for ahead in range(1, horizon + 1):
        lag = min(ahead, max(len(logs) - _FEW, 1))
        moves = logs[lag:] - logs[:-lag] if len(logs) > lag else np.zeros(1)
        moves = np.concatenate([moves, -moves]) * np.sqrt(ahead / lag)
        rows.append(np.maximum(np.expm1(logs[-1] + np.quantile(moves, LEVELS)), 0.0))
    return np.array(rows)


@final
@dataclass(frozen=True)
class Contest:
    """One forecast against another, over the same weeks.

    Attributes:
        rival: its name.
        ratio: of the mean scores; below 1 is better than the rival.
        difference, low, high: of the log of the ratio, the mean over regions with its 90 % interval
            where there are three or more, else of scores week by week in units of the rival's mean.
            To beat is a claim in one direction, so that 5 % of them are luck.
        count: of what the interval is over.
    """

    rival: str
    ratio: float
    difference: float
    low: float
    high: float
    count: int

    @property
    def beats(self) -> bool:
        """Whether the interval leaves no doubt."""
        return self.high < 0

    def __str__(self) -> str:
        word = "BEATS" if self.beats else "does NOT beat"
        doubt = ""
        if not self.beats and self.difference < 0:
            doubt = ", lower but within what chance allows"
        return (
            f"{word} {self.rival}: score {self.ratio:.3g} times its own, by region "
            f"{self.difference:.3g} in [{self.low:.3g}, {self.high:.3g}]{doubt}"
        )


def compare(mine: pl.DataFrame, other: pl.DataFrame, rival: str) -> Contest:
    """Two tables of `score` over the same forecasts."""
    both = mine.join(other.select(*_AT, "score"), on=_AT, suffix="_of_rival")
    a, b = both["score"].to_numpy(), both["score_of_rival"].to_numpy()
    means = both.group_by("region", maintain_order=True).agg(
        pl.col("score", "score_of_rival").mean()
    )
    if means.height >= _FEW:
        # Logarithms, so that a large region does not speak for all; of means, since one score that
        # happens to be close to zero would speak for its whole region.
        tiny = 1e-3 * float(b.mean()) + 1e-12
        mine_mean, other_mean = (means[x].to_numpy() for x in ("score", "score_of_rival"))
        gaps = np.log((mine_mean + tiny) / (other_mean + tiny))
    else:
        gaps = (a - b) / max(float(b.mean()), 1e-12)
    centre, count = float(gaps.mean()), len(gaps)
    reach = np.inf
    if count > 1:
        reach = stats.t.ppf(0.95, count - 1) * gaps.std(ddof=1) / np.sqrt(count)
    ratio = float(a.mean() / b.mean()) if b.mean() > 0 else float("nan")
    return Contest(rival, ratio, centre, centre - float(reach), centre + float(reach), count)
