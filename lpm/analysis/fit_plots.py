"""Figures of fits: how one was found, what it misses, what the data say, and what was checked.

They take what `lpm.fitting` returns, or the tables in it, by the names of columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..errors import DataError, unknown
from .fit_panels import (
    crossings,
    draw_misses,
    draw_ranks,
    draw_ratios,
    draw_series,
    draw_tangent,
    finish,
    keep_scale,
    name_colours,
    take_table,
)
from .picture import COLOURS, GRID, INK, OTHER, SMALL, TEXT, Picture, make_frames
from .summary import number, words

_PANEL = (2.9, 2.1)  # Inches of one frame among several.
_MOST_PANELS = 24
_RISE = 1.92  # Of a negative log-likelihood, at the ends of a 95 % interval.
_NO_ELEMENT = ("stage", "iteration", "start", "runs", "loss")


def plot_fit_history(fit: Any, elements: Sequence[str] | None = None) -> list[Axes]:
    """The loss and every element against runs so far, one frame each, a colour per stage.

    Points are what was tried, the line is the best of the stage until then: stages may differ in
    what they lower.

    Args:
        fit: from `lpm.calibrate`, or its history.
        elements: some of the elements; by default the first of them, as many as there is room for.

    Raises:
        DataError: the table is no history, or has no such element.
    """
    table = take_table(fit, "history", ("stage", "runs", "loss"))
    known = [column for column in table.columns if column not in _NO_ELEMENT]
    wrong = [name for name in elements or () if name not in known]
    if wrong:
        raise DataError(unknown("the history", "element", wrong, known))
    shown = ["loss", *(elements or known[: _MOST_PANELS - 1])]
    table = table.filter(pl.col("loss").is_finite()).sort("runs", maintain_order=True)
    if not table.height:
        raise DataError("no point of the history has a finite loss; there is nothing to draw")
    stages = table["stage"].unique(maintain_order=True).to_list()
    axes = make_frames(len(shown), _PANEL)
    for i, stage in enumerate(stages):
        part = table.filter(pl.col("stage") == stage)
        best = np.minimum.accumulate(part["loss"].to_numpy())
        leads = np.maximum.accumulate(
            np.where(part["loss"].to_numpy() <= best, range(len(best)), 0)
        )
        for ax, name in zip(axes, shown, strict=True):
            colour = COLOURS[i % len(COLOURS)]
            ax.plot(part["runs"], part[name], "o", color=colour, markersize=2.5, alpha=0.6)
            leading = part[name].to_numpy()[leads]
            ax.step(part["runs"], leading, where="post", color=colour, linewidth=1.2)
    for ax, name in zip(axes, shown, strict=True):
        finish(ax, words(name), "runs", "")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    keep_scale(axes[0], table["loss"].to_numpy())
    name_colours(axes[0], [words(stage) for stage in stages])
    return axes


def plot_residuals(fit: Any) -> list[Axes]:
    """Data against what the fit expects, one frame per series and class; below, the misses.

    Points are data; the line is expected on average, the band what all runs of the fit expect;
    misses are in standard deviations of the noise, with lines at two.

    Args:
        fit: from `lpm.calibrate`, or its `residuals()`.

    Raises:
        DataError: the table holds no residuals, or more series and classes than can be drawn.
    """
    table = fit.residuals() if hasattr(fit, "residuals") else fit
    table = take_table(table, "", ("series", "period", "class", "observed", "expected", "residual"))
    groups = table.partition_by(["series", "class"], maintain_order=True)
    if not 1 <= len(groups) <= _MOST_PANELS:
        raise DataError(
            f"{len(groups)} series and classes cannot be drawn; filter the table to at most "
            f"{_MOST_PANELS}"
        )
    columns = min(len(groups), 4)
    rows = -(-len(groups) // columns)
    figure = Picture(figsize=(3.3 * columns, 3.0 * rows), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 1] * rows)
    axes: list[Axes] = []
    for i in range(rows * columns):
        pair = grid[2 * (i // columns) : 2 * (i // columns) + 2, i % columns]
        if i >= len(groups):
            for ax in pair:
                ax.remove()
            continue
        part = groups[i]
        draw_series(pair[0], part)
        draw_misses(pair[1], part)
        many = table.filter(pl.col("series") == part["series"][0])["class"].n_unique() > 1
        name = words(part["series"][0]) + (f" {part['class'][0]}" if many else "")
        pair[0].set_title(name, loc="left", fontsize=TEXT, color=INK, fontweight="bold")
        axes += list(pair)
    return axes


def plot_profile(profile: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """How far the loss rises with one element held fixed, and where a 95 % interval would end.

    Args:
        profile: from `Fit.profile`.
        ax: where to draw.

    Raises:
        DataError: the table is no profile.
    """
    table = take_table(profile, "", ("loss", "rise"))
    element = table.columns[0]
    table = table.filter(pl.col("rise").is_finite()).sort(element)
    ax = ax or Picture(figsize=(4.2, 2.8), layout="constrained").subplots()
    ax.axhline(_RISE, color=OTHER, linewidth=0.8, linestyle="--")
    ax.plot(table[element], table["rise"], "o-", color=COLOURS[0], linewidth=1.4, markersize=4)
    for end in crossings(table[element].to_numpy(), table["rise"].to_numpy(), _RISE):
        ax.plot([end, end], [0, _RISE], color=COLOURS[1], linewidth=1)
        ax.annotate(
            number(end), (end, 0), (3, 3), textcoords="offset points", fontsize=SMALL, color=INK
        )
    ax.set_ylim(bottom=0)
    finish(ax, "", words(element), "rise of the loss")
    return ax


def plot_gradient_check(check: Any) -> list[Axes]:
    """Ratio to differences by field, with 95 % intervals, and how tangents grow; the verdict above.

    Ratios that lie too far out are drawn at the edge, as arrows, with their number.

    Args:
        check: from `lpm.check_gradient`.

    Raises:
        DataError: something else.
    """
    table = take_table(check, "table", ("field", "ratio", "low", "high", "verdict"))
    tangent = check.tangent
    panels = 1 if tangent is None else 2
    height = max(2.4, 0.3 * table.height + 1.2)
    figure = Picture(figsize=(0.6 + 3.4 * panels, height), layout="constrained")
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    draw_ratios(axes[0], table)
    outcome = {True: "passes", False: "FAILS", None: "is undecided"}[check.passed]
    cosine, low, high = check.cosine
    figure.suptitle(
        f"{check.estimate.estimator} {outcome} against crn; cosine {cosine:.2f} "
        f"[{low:.2f}, {high:.2f}]",
        x=0.01,
        ha="left",
        fontsize=TEXT,
        color=INK,
        fontweight="bold",
    )
    if tangent is not None:
        draw_tangent(axes[1], tangent)
    return axes


def plot_coverage(coverage: Any) -> list[Axes]:
    """Ranks of truths in their posteriors, and how often intervals hold them; a pair by element.

    Bands hold 99 % of what a right posterior gives.

    Args:
        coverage: from `lpm.check_coverage`.

    Raises:
        DataError: something else, or more elements than can be drawn.
    """
    table = take_table(coverage, "coverage", ("element", "level", "covered", "low", "high"))
    labels = list(coverage.labels)
    if len(labels) > _MOST_PANELS // 2:
        raise DataError(f"{len(labels)} elements cannot be drawn; at most {_MOST_PANELS // 2}")
    figure = Picture(figsize=(6.2, 2.2 * len(labels) + 0.3), layout="constrained")
    grid = figure.subplots(len(labels), 2, squeeze=False)
    for j, (label, (left, right)) in enumerate(zip(labels, grid, strict=True)):
        draw_ranks(left, np.asarray(coverage.ranks)[:, j])
        left.set_title(words(label), loc="left", fontsize=TEXT, color=INK, fontweight="bold")
        part = table.filter(pl.col("element") == label).sort("level")
        right.fill_between(part["level"], part["low"], part["high"], color=GRID, linewidth=0)
        right.plot([0, 1], [0, 1], color=OTHER, linewidth=0.8)
        right.plot(part["level"], part["covered"], "o", color=COLOURS[0], markersize=4)
        levels, covered, low = (part[n].to_numpy() for n in ("level", "covered", "low"))
        right.set_xlim(float(levels.min()) - 0.05, 1)
        right.set_ylim(float(min(low.min(), covered.min())) - 0.05, 1.02)
        finish(right, "", "level of the interval", "share of truths inside")
    verdict = "passes" if coverage.passed else "FAILS"
    figure.suptitle(
        f"Coverage over {len(coverage.ranks)} truths: {verdict}",
        x=0.01,
        ha="left",
        fontsize=TEXT,
        color=INK,
        fontweight="bold",
    )
    return list(grid.ravel())
