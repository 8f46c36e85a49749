"""Figures of forecasts: fans of quantiles beside what came, and scores by model."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from ..errors import DataError
from .picture import COLOURS, GRID, INK, SMALL, Picture, make_plain

_SIZE = (5.4, 3.0)  # Inches.


def plot_forecast(
    forecasts: pl.DataFrame,
    observed: pl.DataFrame,
    ax: Axes | None = None,
    *,
    colour: str = COLOURS[0],
    unit: str = "",
) -> Axes:
    """One course of forecasts as a median with 50 and 95 % intervals, and the observed numbers.

    Args:
        forecasts: date, quantile and value; one forecast per date, with the levels 0.025, 0.25,
            0.5, 0.75 and 0.975 among its own.
        observed: date and value, before the forecasts and after.
        ax: where to draw.
        colour: of the forecasts.
        unit: of the values, beside the axis.

    Raises:
        DataError: several forecasts of a date, or a level is missing.
    """
    if forecasts.select("date", "quantile").is_duplicated().any():
        raise DataError("the frame has several forecasts of a date; filter it to one course")
    ends: list[np.ndarray] = []
    days = forecasts["date"].unique().sort()
    for level in (0.025, 0.25, 0.5, 0.75, 0.975):
        row = forecasts.filter((pl.col("quantile") - level).abs() < 1e-9).sort("date")
        if row.height != len(days):
            raise DataError(f"the forecasts lack the level {level:g} on some date")
        ends.append(row["value"].to_numpy())
    ax = ax or Picture(figsize=_SIZE, layout="constrained").subplots()
    seen = observed.sort("date")
    ax.plot(seen["date"].to_numpy(), seen["value"].to_numpy(), "o-", color=INK, ms=2.5, lw=0.6)
    ax.fill_between(days.to_numpy(), ends[0], ends[4], color=colour, alpha=0.2, lw=0)
    ax.fill_between(days.to_numpy(), ends[1], ends[3], color=colour, alpha=0.35, lw=0)
    ax.plot(days.to_numpy(), ends[2], color=colour, lw=1.5)
    make_plain(ax)
    ax.tick_params(axis="x", rotation=30)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(unit, color=INK)
    return ax


def plot_scores(summary: pl.DataFrame, ax: Axes | None = None, *, unit: str = "") -> Axes:
    """Weighted interval scores by model, split into too low, too high and wide; lower is better.

    Args:
        summary: from `summarise_scores(scores, ["model"])`.
        ax: where to draw.
        unit: of the scores.
    """
    ax = ax or Picture(figsize=_SIZE, layout="constrained").subplots()
    rows = summary.sort("wis", descending=True)
    names, left = rows["model"].to_list(), np.zeros(rows.height)
    parts = (
        ("width", "wide", GRID),
        ("under", "too low", COLOURS[0]),
        ("over", "too high", COLOURS[1]),
    )
    for part, word, colour in parts:
        ax.barh(names, rows[part].to_numpy(), left=left, color=colour, label=word, height=0.6)
        left = left + rows[part].to_numpy()
    make_plain(ax)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(
        f"weighted interval score [{unit}]" if unit else "weighted interval score", color=INK
    )
    ax.legend(frameon=False, fontsize=SMALL, labelcolor=INK)
    return ax
