"""Single frames of the figures of fits: series, misses, ratios, tangents, ranks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.stats import binom

from ..errors import DataError
from .picture import COLOURS, GRID, INK, OTHER, SMALL, TEXT, Picture, make_plain

RIGHT = (0.9, 1.1)  # Ratios that a gradient check takes for right.
_FARTHEST = 2.0  # Ratios are shown to this far from one; those beyond at the edge.
_BINS = 10
_VERDICTS = {"right": COLOURS[2], "undecided": OTHER, "wrong": COLOURS[1], "too noisy": COLOURS[1]}


def take_table(found: Any, name: str, columns: Sequence[str]) -> pl.DataFrame:
    """A table with some columns: what was given, or one of its attributes.

    Raises:
        DataError: it is not there or lacks columns.
    """
    table = found if isinstance(found, pl.DataFrame) else getattr(found, name, None)
    if not isinstance(table, pl.DataFrame):
        wanted = f"a table, or an object that has one as `{name}`" if name else "a table"
        raise DataError(f"a {type(found).__name__} cannot be drawn here; give {wanted}")
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(f"the table has no columns {missing}; it has {table.columns}")
    if not table.height:
        raise DataError("the table has no rows; there is nothing to draw")
    return table


def draw_series(ax: Axes, part: pl.DataFrame) -> None:
    """Data as points, expectation as a line with the band of runs."""
    if "low" in part.columns:
        ax.fill_between(
            part["period"], part["low"], part["high"], color=COLOURS[0], alpha=0.2, linewidth=0
        )
    ax.plot(part["period"], part["expected"], color=COLOURS[0], linewidth=1.5)
    ax.plot(part["period"], part["observed"], "o", color=INK, markersize=3)
    if (part["observed"].drop_nulls() >= 0).all():
        ax.set_ylim(bottom=0)
    finish(ax, "", "", "")
    ax.tick_params(labelbottom=False)


def draw_misses(ax: Axes, part: pl.DataFrame) -> None:
    """Misses in standard deviations."""
    for line, width in ((-2, 0.7), (0, 0.9), (2, 0.7)):
        ax.axhline(line, color=OTHER, linewidth=width, linestyle="-" if line == 0 else "--")
    ax.vlines(part["period"], 0, part["residual"], color=COLOURS[1], linewidth=1)
    ax.plot(part["period"], part["residual"], "o", color=COLOURS[1], markersize=2.5)
    misses = part["residual"].drop_nulls().to_numpy()
    most = max(3.0, 1.1 * float(np.abs(misses).max(initial=0)))
    ax.set_ylim(-most, most)
    finish(ax, "", "period", "")
    ax.grid(visible=False)
    ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def draw_ratios(ax: Axes, table: pl.DataFrame) -> None:
    """Ratio of each field with its interval, cut where it would leave the frame."""
    at = np.arange(table.height)[::-1]
    edges = (1 - _FARTHEST, 1 + _FARTHEST)
    ax.axvspan(*RIGHT, color=COLOURS[2], alpha=0.15, linewidth=0)
    ax.axvline(1, color=INK, linewidth=0.8)
    for y, row in zip(at, table.iter_rows(named=True), strict=True):
        colour = _VERDICTS.get(row["verdict"], INK)
        low, high = np.clip([row["low"], row["high"]], *edges)
        ax.hlines(y, low, high, color=colour, linewidth=1.6, alpha=0.7)
        ratio = row["ratio"]
        if np.isfinite(ratio) and edges[0] <= ratio <= edges[1]:
            ax.plot(ratio, y, "o", color=colour, markersize=4.5)
            continue
        side = edges[0] if ratio < edges[0] else edges[1]
        mark = "<" if ratio < edges[0] else ">"
        ax.plot(side, y, mark, color=colour, markersize=6, clip_on=False)
        text = f"{ratio:.3g}" if np.isfinite(ratio) else "not finite"
        ax.annotate(
            text,
            (side, y),
            (6 if mark == "<" else -6, 3),
            textcoords="offset points",
            ha="left" if mark == "<" else "right",
            fontsize=SMALL,
            color=INK,
        )
    finish(ax, "", "ratio to differences, 95 %", "")
    ax.set_xlim(*edges)
    ax.set_ylim(-0.7, table.height - 0.3)
    ax.set_yticks(at, [f"{r['field']}: {r['verdict']}" for r in table.iter_rows(named=True)])
    ax.grid(visible=False, axis="y")


def draw_tangent(ax: Axes, tangent: pl.DataFrame) -> None:
    """Norm of the tangent over time, on a logarithmic axis; what is not finite is told."""
    time, norm = tangent.columns[0], tangent["norm"].to_numpy()
    known = np.isfinite(norm) & (norm > 0)
    finish(ax, "", time, "norm of the tangent")
    if known.any():
        ax.plot(tangent[time].to_numpy()[known], norm[known], color=COLOURS[3], linewidth=1.6)
        ax.set_yscale("log")
        ax.tick_params(which="both", length=0)
    if not np.isfinite(norm).all():
        first = tangent[time][int(np.argmax(~np.isfinite(norm)))]
        told = f"not finite from {first} on"
        ax.text(0.03, 0.93, told, transform=ax.transAxes, fontsize=SMALL, color=INK)


def draw_ranks(ax: Axes, ranks: Float[np.ndarray, " truth"]) -> None:
    """Histogram of ranks with the band in which 99 % of a uniform law's bars lie."""
    low, high = binom.ppf([0.005, 0.995], len(ranks), 1 / _BINS)
    ax.axhspan(float(low), float(high), color=GRID, linewidth=0)
    ax.axhline(len(ranks) / _BINS, color=OTHER, linewidth=0.8)
    ax.hist(ranks, np.linspace(0, 1, _BINS + 1).tolist(), color=COLOURS[0], alpha=0.75, rwidth=0.9)
    finish(ax, "", "rank of the truth", "truths")


def crossings(
    at: Float[np.ndarray, " point"], rise: Float[np.ndarray, " point"], level: float
) -> list[float]:
    """Where a profile crosses a level on its way from the lowest point, by straight lines."""
    ends, lowest = [], int(np.argmin(rise))
    for order in (range(lowest, 0, -1), range(lowest, len(at) - 1)):
        for i in order:
            j = i + (1 if order.step > 0 else -1)
            if rise[i] <= level < rise[j]:
                share = (level - rise[i]) / (rise[j] - rise[i])
                ends.append(float(at[i] + share * (at[j] - at[i])))
                break
    return ends


def keep_scale(ax: Axes, losses: Float[np.ndarray, " point"]) -> None:
    """Leave the worst of a screen outside the frame, so that the search is seen; says how many."""
    top = float(np.quantile(losses, 0.8))
    low = float(losses.min())
    limit = top + 2 * (top - low)
    outside = int((losses > limit).sum())
    if outside and top > low:
        ax.set_ylim(low - 0.05 * (limit - low), limit)
        told = f"{outside:,} above"
        ax.text(0.98, 0.93, told, transform=ax.transAxes, ha="right", fontsize=SMALL, color=OTHER)


def name_colours(ax: Axes, names: Sequence[str]) -> None:
    """A legend below the figure."""
    figure = ax.figure
    assert isinstance(figure, Picture)
    marks = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], marker="o", linestyle="", label=name)
        for i, name in enumerate(names)
    ]
    figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=min(len(marks), 4),
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
    )


def finish(ax: Axes, title: str, across: str, up: str) -> None:
    """Plain axes with small words."""
    make_plain(ax, small=True)
    ax.set_xlabel(across, fontsize=SMALL, color=INK)
    ax.set_ylabel(up, fontsize=SMALL, color=INK)
    if title:
        ax.set_title(title, loc="left", fontsize=TEXT, color=INK, fontweight="bold")
