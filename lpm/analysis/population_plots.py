"""Figures of a population and its fit: totals, noise, weights, ages and sizes of households."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from ..errors import DataError
from .picture import COLOURS, GRID, INK, OTHER, SMALL, TEXT, Picture, make_frames, make_plain
from .summary import number

_INSIDE = 1.645
_WIDEST = 5.0  # Standard errors shown; what lies beyond is put into the last bars.
_MANY = 1_500  # Points above which a scatter is drawn as an image inside the page.
_PANEL = (3.1, 2.9)
_MOST_TICKS = 4  # Along one side of a panel, so that large numbers keep apart.
_NAME_WIDTH = 1.5  # Inches for one name in a row of names under a figure.


def plot_totals(cells: pl.DataFrame) -> list[Axes]:
    """What was reached against what was published, one frame per level, a colour per family.

    `cells` are those of `compare_totals`. Axes are linear below ten and logarithmic above. With
    more families than colours, the small ones share grey.
    """
    levels = _some(cells["level"].unique(maintain_order=True).to_list(), "levels")
    families = cells.group_by("family", maintain_order=True).len().sort("len", descending=True)
    families = families["family"].to_list()
    axes = make_frames(len(levels), _PANEL)
    for ax, level in zip(axes, levels, strict=True):
        part = cells.filter(pl.col("level") == level)
        top = float(part.select(pl.max_horizontal("target", "reached").max()).item())
        many = part.height > _MANY
        for i, family in enumerate(families):
            points = part.filter(pl.col("family") == family)
            ax.scatter(
                points["target"],
                points["reached"],
                s=4 if many else 9,
                color=_colour(i),
                alpha=0.35 if many else 0.7,
                linewidths=0,
                rasterized=many,
            )
        ax.plot([0, 1.1 * top], [0, 1.1 * top], color=INK, linewidth=0.8)
        _finish_totals(ax, top, f"{level} ({part['zone'].n_unique():,} zones)")
    _name_colours(axes[0], families)
    return axes


def plot_noise(cells: pl.DataFrame) -> list[Axes]:
    """Differences in standard errors, one frame per level that has any, with the 90% band.

    The line is the normal curve: bars narrower than it have followed the noise of the totals.

    Raises:
        DataError: every total is exact.
    """
    noisy = cells.filter(pl.col("z").is_not_null())
    levels = _some(noisy["level"].unique(maintain_order=True).to_list(), "totals with an error")
    axes = make_frames(len(levels), (_PANEL[0], 2.4))
    edges = np.linspace(-_WIDEST, _WIDEST, 41)
    at = np.linspace(-_WIDEST, _WIDEST, 201)
    for ax, level in zip(axes, levels, strict=True):
        z = noisy.filter(pl.col("level") == level)["z"].to_numpy()
        ax.axvspan(-_INSIDE, _INSIDE, color=COLOURS[2], alpha=0.13, linewidth=0)
        shown = np.clip(z, -_WIDEST, _WIDEST)
        share = np.full(len(z), 1 / len(z))
        ax.hist(shown, edges.tolist(), weights=share, color=COLOURS[0], alpha=0.75)
        normal = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi) * (edges[1] - edges[0])
        ax.plot(at, normal, color=INK, linewidth=1)
        inside = float(np.mean(np.abs(z) < _INSIDE))
        title = f"{level}: {inside:.0%} of {len(z):,} inside"
        _finish(ax, title, "(reached - published) / standard error", "share of totals")
    return axes


def plot_expansion(factors: Float[np.ndarray, " record"]) -> Axes:
    """Histogram of weight over design weight, on a logarithmic axis.

    Factors below a hundredth are in the first bar, those above a hundred in the last.
    """
    ax = make_frames(1, (5.2, 2.6))[0]
    edges = np.logspace(-2, 2, 97)
    shown = np.clip(factors, edges[0], edges[-1])
    ax.hist(shown, edges.tolist(), color=COLOURS[0], alpha=0.75)
    ax.axvline(1, color=INK, linewidth=0.8)
    ax.set_xscale("log")
    low, high = np.log10(np.array([shown[shown > edges[0]].min(initial=1), shown.max(initial=1)]))
    ax.set_xlim(10 ** min(np.floor(low), -1.0), 10 ** max(np.ceil(high), 1.0))
    if (factors < edges[0]).any():
        ax.set_xlim(left=edges[0])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    unused = int((factors <= 0).sum())
    title = f"{len(factors):,} records" + (f", {unused:,} of them not used" if unused else "")
    _finish(ax, title, "weight / design weight", "records")
    return ax


def plot_pyramid(
    drawn: Float[np.ndarray, "sex band"],
    bands: Sequence[str],
    sexes: Sequence[str],
    reference: Float[np.ndarray, "sex band"] | None = None,
    *,
    of_reference: str = "published",
) -> Axes:
    """People by age and sex, shares of all in percent; the outline is the reference.

    Args:
        drawn: people of each sex (two) in each band.
        bands: names of the bands, youngest first.
        sexes: names of the two, left and right.
        reference: the same of what they are compared with.
        of_reference: what that is.

    Raises:
        DataError: other than two sexes, or bands without names.
    """
    if drawn.shape != (2, len(bands)) or len(sexes) != 2:
        raise DataError(
            f"a pyramid has two sexes and named bands, not {list(drawn.shape)} and {len(bands)}"
        )
    ax = make_frames(1, (5.2, 3.6))[0]
    rows = np.arange(len(bands))
    for side, colour, counts in zip((-1, 1), COLOURS, drawn, strict=False):
        share = 100 * counts / drawn.sum()
        ax.barh(rows, side * share, height=0.9, color=colour, alpha=0.65)
    if reference is not None:
        for side, counts in zip((-1, 1), reference, strict=True):
            share = side * 100 * counts / reference.sum()
            steps = np.append(rows - 0.5, rows[-1] + 0.5)
            ax.stairs(share, steps, orientation="horizontal", color=INK, linewidth=1.2)
        line = Line2D([], [], color=INK, linewidth=1.2, label=of_reference)
        ax.legend(handles=[line], frameon=False, fontsize=SMALL, labelcolor=INK, loc="upper right")
    _finish(ax, "", "% of people", "")
    ax.set_title(f"{sexes[0]}  |  {sexes[1]}", fontsize=TEXT, color=INK)
    ax.grid(visible=False, axis="y")
    ax.grid(axis="x", color=GRID, linewidth=0.7)
    ax.set_yticks(rows[::2], list(bands)[::2])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(abs(value))))
    most = max(abs(x) for x in ax.get_xlim())
    ax.set_xlim(-most, most)
    return ax


def plot_shares(
    drawn: Float[np.ndarray, " class"],
    names: Sequence[str],
    reference: Float[np.ndarray, " class"] | None = None,
    *,
    unit: str = "households",
    of_reference: str = "published",
) -> Axes:
    """Shares of classes as bars, with the reference as marks.

    Args:
        drawn: how many are in each class.
        names: of the classes, such as sizes of households.
        reference: the same of what they are compared with.
        unit: what is counted.
        of_reference: what the reference is.

    Raises:
        DataError: classes without names.
    """
    if len(drawn) != len(names):
        raise DataError(f"{len(drawn)} classes have {len(names)} names; give one each")
    ax = make_frames(1, (5.2, 2.6))[0]
    rows = np.arange(len(names))
    ax.bar(rows, 100 * drawn / drawn.sum(), width=0.7, color=COLOURS[0], alpha=0.75)
    if reference is not None:
        share = 100 * reference / reference.sum()
        ax.hlines(share, rows - 0.42, rows + 0.42, color=INK, linewidth=1.6)
        line = Line2D([], [], color=INK, linewidth=1.6, label=of_reference)
        ax.legend(handles=[line], frameon=False, fontsize=SMALL, labelcolor=INK)
    _finish(ax, f"% of {unit}", "", "")
    ax.set_xticks(rows, list(names))
    return ax


def _finish(ax: Axes, title: str, across: str, up: str) -> None:
    make_plain(ax, small=True)
    ax.tick_params(which="both", length=0)
    ax.set_xlabel(across, fontsize=SMALL, color=INK)
    ax.set_ylabel(up, fontsize=SMALL, color=INK)
    ax.set_title(title, loc="left", fontsize=TEXT, color=INK)


def _finish_totals(ax: Axes, top: float, title: str) -> None:
    _finish(ax, title, "published", "reached")
    decades = [0.0, *(10.0**i for i in range(1, 13) if 10.0**i < 1.4 * top)]
    ticks = decades[:: -(-len(decades) // _MOST_TICKS)]
    for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
        scale("symlog", linthresh=10)
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    for limits in (ax.set_xlim, ax.set_ylim):
        limits(-1, max(1.4 * top, 12))
    ax.set_aspect("equal")


def _colour(i: int) -> str:
    return COLOURS[i] if i < len(COLOURS) else OTHER


def _name_colours(ax: Axes, families: Sequence[str]) -> None:
    shown = list(families[: len(COLOURS)])
    if len(families) > len(COLOURS):
        shown.append(f"{len(families) - len(COLOURS)} others")
    marks = [
        Line2D([], [], color=_colour(i), marker="o", linestyle="", markersize=4, label=name)
        for i, name in enumerate(shown)
    ]
    figure = ax.figure
    assert isinstance(figure, Picture)
    figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=max(1, min(len(marks), 4, int(figure.get_figwidth() / _NAME_WIDTH))),
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
    )


def _some(levels: list[str], what: str) -> list[str]:
    if not levels:
        raise DataError(f"there are no {what} to draw")
    return levels
