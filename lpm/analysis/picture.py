"""What all figures share: a figure that needs no display, colours, and plain axes.

Colours after Okabe & Ito (2008), which everyone can tell apart.
"""

import io
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..errors import SimulationError
from .summary import number

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00")
INK, GRID, OTHER = "#222222", "#dddddd", "#767676"
SMALL, TEXT = 8, 9  # Points.
_CREDITS = ("Creator", "Date", "Format", "Type")  # What matplotlib would write into a file.


class Picture(Figure):
    """A figure that shows itself in a notebook and needs no display elsewhere."""

    def png(self, dots_per_inch: int = 160) -> bytes:
        """The figure as a PNG file on white."""
        buffer = io.BytesIO()
        FigureCanvasAgg(self).print_figure(buffer, format="png", dpi=dots_per_inch)
        return buffer.getvalue()

    def svg(self) -> str:
        """The figure as an `<svg>` element; ink and grid take the colours of the page."""
        buffer = io.StringIO()
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "lpm"}):
            self.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(_CREDITS))
        text = buffer.getvalue()
        text = text[text.index("<svg") :]
        return text.replace(INK, "currentColor").replace(GRID, "var(--grid)")

    def _repr_png_(self) -> bytes:
        return self.png(110)


def picture_of(axes: Axes | Sequence[Axes]) -> Picture:
    """The figure that a plot function drew without being given an axis."""
    figure = (axes if isinstance(axes, Axes) else axes[0]).figure
    if not isinstance(figure, Picture):
        raise SimulationError("these axes belong to a figure made elsewhere; save it from there")
    return figure


def make_frames(count: int, size: tuple[float, float]) -> list[Axes]:
    """Frames of so many inches side by side, at most three across."""
    across = min(count, 3)
    down = -(-count // across)
    figure = Picture(figsize=(size[0] * across, size[1] * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for ax in grid[count:]:
        ax.remove()
    return list(grid[:count])


def make_plain(ax: Axes, *, small: bool = False) -> None:
    """No box, a light grid across, thousands separators."""
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(GRID)
    ax.grid(axis="y", color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=SMALL if small else TEXT, colors=INK)
    ax.yaxis.set_major_locator(MaxNLocator(4 if small else 5))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 12))))
