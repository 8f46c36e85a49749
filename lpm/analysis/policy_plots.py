"""Figures of policies: the trade-off between what they do."""

import polars as pl
from matplotlib.axes import Axes

from ..errors import DataError, unknown
from .picture import COLOURS, GRID, INK, OTHER, SMALL, Picture, make_plain
from .summary import number

_SIZE = (4.2, 3.2)  # Inches.


def plot_pareto(
    frame: pl.DataFrame,
    x: str | None = None,
    y: str | None = None,
    ax: Axes | None = None,
    *,
    units: dict[str, str] | None = None,
    name: str | None = None,
) -> Axes:
    """Expected values of policies of which none is better than another in both, with 95 % bars.

    Args:
        frame: from `lpm.fitting.pareto`: a column per objective with its `_standard_error`.
        x, y: objectives; by default the first two of the frame.
        ax: where to draw.
        units: of objectives, by name, behind their names.
        name: a column to write beside each point, such as a weight or one element of the policy.

    Raises:
        DataError: no such column, or fewer than two objectives.
    """
    ends = "_standard_error"
    found = [c.removesuffix(ends) for c in frame.columns if c.endswith(ends)]
    if len(found) < 2 and (x is None or y is None):
        raise DataError(f"the frame has objectives {found}; a trade-off needs two")
    across, along = x or found[0], y or next(n for n in found if n != (x or found[0]))
    wrong = [n for n in (across, along) if n not in found]
    if wrong:
        raise DataError(unknown("the frame", "objective", wrong, found))
    if name is not None and name not in frame.columns:
        raise DataError(unknown("the frame", "column", [name], frame.columns))
    ax = ax or Picture(figsize=_SIZE, layout="constrained").subplots()
    rows = frame.sort(across)
    values = [rows[n].to_numpy() for n in (across, along)]
    bars = [1.96 * rows[n + ends].to_numpy() for n in (across, along)]
    ax.plot(*values, color=GRID, linewidth=1.2, zorder=1)
    ax.errorbar(
        *values, xerr=bars[0], yerr=bars[1], fmt="o", color=COLOURS[0], ecolor=OTHER, markersize=4
    )
    for row, (a, b) in enumerate(zip(*values, strict=True)):
        if name is not None:
            text = number(float(rows[name][row]))
            ax.annotate(text, (a, b), (5, 4), textcoords="offset points", fontsize=SMALL, color=INK)
    make_plain(ax)
    for side, label in (("x", across), ("y", along)):
        unit = (units or {}).get(label, "")
        text = f"{label.replace('_', ' ')} [{unit}]" if unit else label.replace("_", " ")
        (ax.set_xlabel if side == "x" else ax.set_ylabel)(text, color=INK)
    return ax
