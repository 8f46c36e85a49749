"""Scores of forecasts given as quantiles: weighted interval score, CRPS and interval coverage.

Forecasts are a long frame with the columns date, target, horizon, quantile and value, and any
others that tell forecasts apart (model, place). Observed numbers are a frame with date, target,
value and those of the others that matter to what was observed.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from ..errors import DataError

# Levels of the hubs that collect forecasts of COVID-19 and influenza in the United States.
LEVELS = (0.01, 0.025, *(round(0.05 * i, 2) for i in range(1, 20)), 0.975, 0.99)
_NEEDED = ("date", "target", "horizon", "quantile", "value")


def weighted_interval_score(
    levels: Float[np.ndarray, " level"],
    values: Float[np.ndarray, "... level"],
    observed: Float[np.ndarray, "..."],
) -> Float[np.ndarray, "..."]:
    """Mean absolute error of the median and interval scores of all central intervals, in one.

    Of K intervals it is (|y - median| / 2 + sum of alpha / 2 times their interval scores) divided
    by K + 1/2, which is twice the mean pinball loss, and tends to the CRPS as levels become dense.
    Lower is better; in units of what is forecast.

    Args:
        levels: symmetric about the median, which is among them.
        values: quantiles at those levels.
        observed: what came.

    Raises:
        DataError: levels without a median, not symmetric, or not rising within (0, 1).

    Source: Bracher, Ray, Gneiting & Reich (2021), PLOS Computational Biology 17, e1008618, eq. 2.
    """
    levels = _checked(levels)
    miss = observed[..., None] - values
    pinball = np.where(miss >= 0, levels * miss, (levels - 1) * miss)
    return np.asarray(2 * pinball.mean(axis=-1))


def crps(
    draws: Float[np.ndarray, "... draw"], observed: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Continuous ranked probability score of forecasts given as draws; lower is better.

    E|X - y| - E|X - X'| / 2, the second mean over pairs of different draws, so that few draws are
    not penalised for being few.

    Raises:
        DataError: fewer than two draws.

    Source: Gneiting & Raftery (2007), JASA 102, eq. 21; Ferro (2014), QJRMS 140, for the pairs.
    """
    count = draws.shape[-1]
    if count < 2:
        raise DataError(f"{count} draws; a CRPS needs two or more")
    ordered = np.sort(draws, axis=-1)
    # The sum over pairs of |x_i - x_j|, each pair once, from the order.
    weight = 2 * np.arange(1, count + 1) - count - 1
    apart = (ordered * weight).sum(axis=-1) / (count * (count - 1))
    return np.asarray(np.abs(draws - observed[..., None]).mean(axis=-1) - apart)


def quantile_frame(
    about: pl.DataFrame,
    draws: Float[np.ndarray, "row draw"],
    levels: Sequence[float] = LEVELS,
) -> pl.DataFrame:
    """Quantiles of draws, one row each, below the columns of `about` (one row per row of draws).

    Raises:
        DataError: another number of rows.
    """
    if about.height != len(draws):
        raise DataError(f"{about.height} rows of description, but {len(draws)} rows of draws")
    values = np.quantile(draws, list(levels), axis=1).T
    rows = np.repeat(np.arange(about.height), len(levels))
    return about[rows].with_columns(
        quantile=pl.Series(np.tile(list(levels), about.height)), value=pl.Series(values.ravel())
    )


def score_forecasts(
    forecasts: pl.DataFrame,
    observed: pl.DataFrame,
    *,
    intervals: Sequence[float] = (0.5, 0.95),
) -> pl.DataFrame:
    """One row per forecast that came to be observed.

    Columns: all of the forecasts' but quantile and value; observed, median, wis, absolute_error,
    under (part of the score for having been too low), over, width (the part for wide intervals),
    and `inside_50`, `inside_95`: whether each central interval held what was observed.

    Raises:
        DataError: a column is missing, an interval's ends are not among the levels, levels differ
            between forecasts, quantiles of a forecast fall as levels rise, an observed number is
            there twice, or nothing forecast was observed.
    """
    for name, frame, wanted in (
        ("forecasts", forecasts, _NEEDED),
        ("observed", observed, ("date", "target", "value")),
    ):
        missing = [column for column in wanted if column not in frame.columns]
        if missing:
            raise DataError(f"{name} have no column {missing}; they need {list(wanted)}")
    keys = [column for column in forecasts.columns if column not in ("quantile", "value")]
    levels = np.sort(forecasts["quantile"].unique().to_numpy())
    _checked(levels)
    wide = forecasts.sort("quantile").group_by(keys, maintain_order=True).agg("quantile", "value")
    if not all(np.array_equal(x.to_numpy(), levels) for x in wide["quantile"]):
        raise DataError("forecasts differ in their levels, or hold one twice; give each all levels")
    common = [column for column in observed.columns if column in keys]
    if observed.select(common).is_duplicated().any():
        raise DataError(f"observed has a value twice for the same {common}")
    seen = observed.select(*common, pl.col("value").cast(pl.Float64).alias("observed"))
    rows = wide.join(seen.drop_nulls().drop_nans(), on=common, how="inner", maintain_order="left")
    if not rows.height:
        raise DataError("nothing that was forecast is among the observed numbers")
    values = np.stack(rows["value"].to_list()).astype(float)
    if (np.diff(values, axis=1) < 0).any():
        at = int(np.argwhere((np.diff(values, axis=1) < 0).any(axis=1))[0][0])
        raise DataError(f"quantiles fall as levels rise in {rows.select(keys).row(at, named=True)}")
    return rows.select(keys).with_columns(
        observed=rows["observed"],
        **_scores(levels, values, rows["observed"].to_numpy(), intervals),
    )


def summarise_scores(scores: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Means of the scores, and how many forecasts they are over, by some columns.

    Raises:
        DataError: no such column.
    """
    wrong = [name for name in by if name not in scores.columns]
    if wrong:
        raise DataError(f"scores have no column {wrong}; they have {scores.columns}")
    inside = [name for name in scores.columns if name.startswith("inside_")]
    parts = ["wis", "absolute_error", "under", "over", "width", *inside]
    means = [pl.col(name).mean() for name in parts]
    return scores.group_by(list(by), maintain_order=True).agg(pl.len().alias("forecasts"), *means)


def _scores(
    levels: np.ndarray, values: np.ndarray, observed: np.ndarray, intervals: Sequence[float]
) -> dict[str, pl.Series]:
    lower = np.flatnonzero(levels < 0.5 - 1e-9)
    upper = len(levels) - 1 - lower
    miss = observed[:, None] - values
    median = values[:, len(levels) // 2]
    # The median's half-error is counted by its side; the intervals' penalties join it.
    share = 1 / (len(lower) + 0.5)
    above = np.maximum(miss[:, upper], 0).sum(axis=1) + np.maximum(observed - median, 0) / 2
    below = np.maximum(-miss[:, lower], 0).sum(axis=1) + np.maximum(median - observed, 0) / 2
    found = {
        "median": median,
        "wis": weighted_interval_score(levels, values, observed),
        "absolute_error": np.abs(observed - median),
        "under": share * above,
        "over": share * below,
        "width": share * ((values[:, upper] - values[:, lower]) @ levels[lower]),
    }
    for size in intervals:
        ends = [np.flatnonzero(np.isclose(levels, 0.5 + side * size / 2)) for side in (-1, 1)]
        if not all(len(end) for end in ends):
            raise DataError(f"the levels hold no central interval of {size:.0%}")
        low, high = (values[:, end[0]] for end in ends)
        found[f"inside_{size * 100:g}"] = (observed >= low) & (observed <= high)
    return {name: pl.Series(column) for name, column in found.items()}


def _checked(levels: np.ndarray) -> np.ndarray:
    symmetric = np.allclose(levels, 1 - levels[::-1]) and len(levels) % 2 == 1
    if not symmetric or (np.diff(levels) <= 0).any() or levels[0] <= 0:
        raise DataError(
            f"levels {levels.tolist()} must rise within (0, 1), be symmetric about 0.5 and hold it"
        )
    return levels
