"""Figures of sensitivity: elasticities, and shares of a variance with luck among them."""

from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..errors import DataError
from .picture import COLOURS, GRID, INK, OTHER, SMALL, TEXT, Picture, make_plain
from .summary import words

_WIDE, _ROW, _HEAD = 3.3, 0.32, 1.0  # Inches: of a panel, of one of its rows, and above and below.
_APART = ("parameters together", "luck")  # Rows that are no knob.


def plot_sensitivity(found: Any) -> list[Axes]:
    """What an outcome depends on, one frame per outcome, the strongest on top, with 95 % bars.

    Of elasticities each estimate, in grey what is left after the measured bias; of Sobol indices
    first-order shares and total effects of the variance of one run, and the luck of runs below.

    Args:
        found: from `lpm.fitting.elasticities` or `lpm.fitting.sobol`, or the table of either.

    Raises:
        DataError: a table of something else.
    """
    table = found if isinstance(found, pl.DataFrame) else getattr(found, "table", None)
    columns = set() if table is None else set(table.columns)
    if table is None or not ({"outcome", "source", "total"} <= columns or "measure" in columns):
        raise DataError(
            f"a table with columns {sorted(columns)} is neither of elasticities nor of Sobol "
            "indices; give what lpm.fitting.elasticities or lpm.fitting.sobol returned"
        )
    draw = _draw_slopes if "measure" in columns else _draw_shares
    names = table["outcome"].unique(maintain_order=True).to_list()
    parts = [table.filter(pl.col("outcome") == name) for name in names]
    rows = max(part.height for part in parts)
    size = (_WIDE * len(names) + 0.6, _ROW * rows + _HEAD)
    figure = Picture(figsize=size, layout="constrained")
    axes = list(figure.subplots(1, len(names), squeeze=False)[0])
    for ax, name, part in zip(axes, names, parts, strict=True):
        draw(ax, part)
        ax.set_title(words(name), loc="left", fontsize=TEXT, color=INK, fontweight="bold")
    _explain(figure, "measure" in columns, table)
    return axes


def _draw_slopes(ax: Axes, part: pl.DataFrame) -> None:
    part = part.sort(pl.col("estimate").abs())
    at = np.arange(part.height)
    ax.axvline(0, color=OTHER, linewidth=0.8)
    _bars(ax, part, "estimate", "", at, COLOURS[0])
    if part["bias"].is_not_null().any():
        ax.plot(part["estimate"] - part["bias"], at, "|", color=OTHER, markersize=9, zorder=1)
    kinds = part["measure"].n_unique() > 1
    labels = [
        f"{row['field']}  ({row['measure']})" if kinds else row["field"]
        for row in part.iter_rows(named=True)
    ]
    _finish(ax, labels, "several units" if kinds else part["measure"][0])


def _draw_shares(ax: Axes, part: pl.DataFrame) -> None:
    apart = part.filter(pl.col("source").is_in(_APART)).reverse()
    part = pl.concat([apart, part.filter(~pl.col("source").is_in(_APART)).sort("total")])
    knob = ~part["source"].is_in(_APART).to_numpy()
    at = np.arange(part.height)
    if not knob.all():
        ax.axhline((~knob).sum() - 0.5, color=GRID, linewidth=0.8)
    _bars(ax, part.filter(knob), "first", "first_", at[knob] + 0.13, COLOURS[0])
    _bars(ax, part.filter(knob), "total", "total_", at[knob] - 0.13, COLOURS[1])
    _bars(ax, part.filter(~knob), "first", "first_", at[~knob], INK)
    ax.axvline(0, color=OTHER, linewidth=0.8)
    ax.set_xlim(right=max(1.0, ax.get_xlim()[1]))
    _finish(ax, part["source"].to_list(), "share of the variance of one run")


def _bars(ax: Axes, part: pl.DataFrame, name: str, ends: str, at: np.ndarray, colour: str) -> None:
    value = part[name].to_numpy()
    low, high = (part[f"{ends}{end}"].cast(pl.Float64).to_numpy() for end in ("low", "high"))
    ax.hlines(at, low, high, color=colour, linewidth=1.4, alpha=0.6)
    ax.plot(value, at, "o", color=colour, markersize=4)


def _finish(ax: Axes, labels: list[str], across: str) -> None:
    make_plain(ax, small=True)
    ax.grid(visible=False, axis="y")
    ax.grid(axis="x", color=GRID, linewidth=0.7)
    ax.set_yticks(np.arange(len(labels)), labels)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    ax.set_xlabel(across, fontsize=SMALL, color=INK)


def _explain(figure: Picture, slopes: bool, table: pl.DataFrame) -> None:
    """Name the marks under the figure."""
    marks = [(COLOURS[0], "o", "first order: alone"), (COLOURS[1], "o", "total: with interactions")]
    if slopes:
        marks = [(COLOURS[0], "o", "estimate, 95 %")]
        if table["bias"].is_not_null().any():
            marks.append((OTHER, "|", "less its measured bias"))
    handles = [
        Line2D([], [], color=colour, marker=mark, linestyle="", markersize=5, label=label)
        for colour, mark, label in marks
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles) if figure.get_figwidth() > 3.6 else 1,
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
    )
