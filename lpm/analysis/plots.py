"""Figures of a run: one function each, no global state, colours that everyone can tell apart.

Bold lines are medians over the runs, bands their 5-95% range; up to eight runs are drawn one by one
as well.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..errors import SimulationError, listing, unknown
from ..trajectory import Trajectory
from .legend import Legend
from .picture import COLOURS, INK, OTHER, SMALL, TEXT, Picture, make_plain
from .summary import by_run, same_luck, scalars, words

_BAND = (0.05, 0.5, 0.95)
_PANEL = (2.7, 1.95)  # Inches of one small multiple.
_MOST_PANELS = 24
_FEW = 8  # Runs up to which each is drawn as well: so few make no smooth band.


def plot_bands(
    trajectory: Trajectory,
    observables: Sequence[str] | None = None,
    ax: Axes | None = None,
    *,
    legend: Legend | None = None,
) -> Axes:
    """Several scalar observables in one frame, each named at its end.

    Raises:
        SimulationError: an observable that is not there, or not one number.
    """
    legend = legend or Legend()
    names = _scalar_names(trajectory, observables)
    ax = ax or _frame()
    ends = []
    for i, name in enumerate(names):
        colour = COLOURS[i % len(COLOURS)]
        _draw(ax, trajectory, by_run(trajectory, name), colour)
        ends.append((words(name), _middle(by_run(trajectory, name))[-1], colour))
    units = {legend.units.get(name, "") for name in names}
    _finish(ax, trajectory.unit, units.pop() if len(units) == 1 else "")
    _name_ends(ax, ends)
    return ax


def plot_compare(
    baseline: Trajectory,
    policy: Trajectory,
    observable: str,
    ax: Axes | None = None,
    *,
    legend: Legend | None = None,
    names: tuple[str, str] = ("baseline", "policy"),
) -> Axes:
    """One scalar observable under two sets of parameters, each named at its end.

    Raises:
        SimulationError: an observable that is not there, or not one number.
    """
    legend, ax = legend or Legend(), ax or _frame()
    _scalar_names(baseline, [observable])
    _scalar_names(policy, [observable])
    _draw_both(ax, policy, baseline, observable)
    ends = [
        (names[0], _middle(by_run(baseline, observable))[-1], OTHER),
        (names[1], _middle(by_run(policy, observable))[-1], COLOURS[0]),
    ]
    _finish(ax, policy.unit, legend.axis(observable))
    _name_ends(ax, ends)
    return ax


def plot_overview(
    policy: Trajectory,
    baseline: Trajectory | None = None,
    observables: Sequence[str] | None = None,
    *,
    legend: Legend | None = None,
    names: tuple[str, str] = ("baseline", "policy"),
) -> list[Axes]:
    """One small frame per scalar observable, with the baseline behind where there is one.

    Raises:
        SimulationError: an observable that is not there, or not one number.
    """
    legend = legend or Legend()
    shown = _scalar_names(policy, observables)

    def panel(ax: Axes, name: str) -> None:
        there = baseline is not None and name in baseline.observed
        _draw_both(ax, policy, baseline if there else None, name)
        _finish(ax, policy.unit, legend.units.get(name, ""), title=words(name), small=True)

    return _multiples(shown, panel, key=None if baseline is None else names)


def plot_difference(
    baseline: Trajectory,
    policy: Trajectory,
    observables: Sequence[str] | None = None,
    *,
    legend: Legend | None = None,
) -> list[Axes]:
    """Policy less baseline, run by run under the same luck, one small frame per observable.

    Raises:
        SimulationError: the two do not share keys and population, or an observable is missing.
    """
    if not same_luck(policy, baseline):
        raise SimulationError("the two have other keys or populations; plot_compare shows both")
    legend = legend or Legend()
    shown = [n for n in _scalar_names(policy, observables) if n in baseline.observed]

    def panel(ax: Axes, name: str) -> None:
        ax.axhline(0, color=OTHER, linewidth=0.8)
        _draw(ax, policy, by_run(policy, name) - by_run(baseline, name), COLOURS[1])
        _finish(
            ax, policy.unit, legend.units.get(name, ""), title=words(name), small=True, zero=False
        )

    return _multiples(shown, panel)


def plot_by(
    trajectory: Trajectory,
    observable: str,
    labels: Sequence[str] | None = None,
    *,
    baseline: Trajectory | None = None,
    legend: Legend | None = None,
    names: tuple[str, str] = ("baseline", "policy"),
) -> list[Axes]:
    """One small frame per element of an array observable, such as an age band; common axes.

    Raises:
        SimulationError: the observable is missing, has other than one axis or too many elements,
            or there are other than as many labels.
    """
    legend = legend or Legend()
    values = by_run(trajectory, observable)
    if values.ndim != 3 or not 1 <= values.shape[2] <= _MOST_PANELS:
        raise SimulationError(
            f"{observable} has {list(values.shape[2:])} elements; small multiples take one axis "
            f"of at most {_MOST_PANELS}"
        )
    size = values.shape[2]
    labels = labels or legend.labels.get(observable) or [f"{observable} {i}" for i in range(size)]
    if len(labels) != size:
        raise SimulationError(
            f"{observable} has {size} elements, but there are {len(labels)} labels"
        )
    there = baseline is not None and observable in baseline.observed
    behind = by_run(baseline, observable) if baseline is not None and there else None

    def panel(ax: Axes, label: str) -> None:
        i = list(labels).index(label)
        if behind is not None and baseline is not None:
            _draw(ax, baseline, behind[:, :, i], OTHER, "--")
        _draw(ax, trajectory, values[:, :, i], COLOURS[0])
        _finish(
            ax,
            trajectory.unit,
            legend.units.get(observable, ""),
            title=label,
            small=True,
            zero=False,
        )

    return _multiples(labels, panel, key=None if behind is None else names, common=True)


def caption(runs: int) -> str:
    """What line, band and thin lines are."""
    if runs == 1:
        return "A single run"
    each = "; thin lines: each run" if runs <= _FEW else ""
    return f"Bold line: median; band: 5-95% of {runs} runs{each}"


def drawable(trajectory: Trajectory, observable: str) -> bool:
    """Whether `plot_by` can draw an observable."""
    extra = np.shape(trajectory.observed[observable])[len(trajectory.lead) + 1 :]
    return len(extra) == 1 and 1 <= extra[0] <= _MOST_PANELS


def _frame() -> Axes:
    return Picture(figsize=(6.4, 3.4), layout="constrained").subplots()


def _scalar_names(trajectory: Trajectory, wanted: Sequence[str] | None) -> list[str]:
    there = scalars(trajectory)
    wrong = [name for name in wanted or () if name not in there]
    if wrong:
        raise SimulationError(unknown("trajectory", "scalar observable", wrong, there))
    if not there:
        raise SimulationError(
            f"every observable is an array; plot_by draws {listing(trajectory.observed)}"
        )
    return list(there if wanted is None else wanted)


def _middle(values: Float[np.ndarray, "run row"]) -> Float[np.ndarray, " row"]:
    return np.median(values, axis=0)


def _draw(
    ax: Axes,
    trajectory: Trajectory,
    values: Float[np.ndarray, "run row"],
    colour: str,
    style: str = "-",
) -> None:
    time = np.asarray(trajectory.time)
    low, middle, high = np.quantile(values, _BAND, axis=0)
    if len(values) > 1:
        few = len(values) <= _FEW
        ax.fill_between(time, low, high, color=colour, alpha=0.12 if few else 0.22, linewidth=0)
        if few:
            ax.plot(time, values.T, color=colour, alpha=0.45, linewidth=0.6)
    dot = "o" if len(time) == 1 else None
    ax.plot(time, middle, color=colour, linestyle=style, linewidth=1.6, marker=dot, markersize=4)


def _draw_both(ax: Axes, policy: Trajectory, baseline: Trajectory | None, observable: str) -> None:
    if baseline is not None:
        _draw(ax, baseline, by_run(baseline, observable), OTHER, "--")
    _draw(ax, policy, by_run(policy, observable), COLOURS[0])


def _finish(
    ax: Axes,
    unit: str,
    quantity: str,
    *,
    title: str = "",
    small: bool = False,
    zero: bool = True,
) -> None:
    """Plain axes: no box, light grid, thousands separators, zero shown where it is near."""
    if zero and 0 <= ax.dataLim.y0 < 0.5 * ax.dataLim.y1:
        ax.set_ylim(bottom=0)
    ax.margins(x=0.01)
    make_plain(ax, small=small)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel(unit, fontsize=SMALL if small else TEXT, color=INK)
    if small:
        ax.set_title(
            title,
            loc="left",
            fontsize=TEXT,
            color=INK,
            fontweight="bold",
            pad=12 if quantity else 6,
        )
        if quantity:
            ax.text(
                0, 1.02, quantity, transform=ax.transAxes, fontsize=SMALL, color=INK, va="bottom"
            )
    elif quantity:
        ax.set_title(quantity, loc="left", fontsize=TEXT, color=INK)


def _set_common_limits(axes: Sequence[Axes]) -> None:
    low = min(ax.dataLim.y0 for ax in axes)
    high = max(ax.dataLim.y1 for ax in axes)
    space = 0.05 * (high - low) or 1.0
    near_zero = 0 <= low < 0.5 * high
    axes[0].set_ylim(0 if near_zero else low - space, high + space)


def _name_ends(ax: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
    """Write each line's name at its right end, moved apart where they would overlap."""
    bottom, top = ax.get_ylim()
    ordered = sorted(ends, key=lambda end: end[1])
    gap = 0.075
    heights: list[float] = []
    for _, value, _ in ordered:
        wish = (value - bottom) / (top - bottom)
        heights.append(max(wish, heights[-1] + gap) if heights else wish)
    over = heights[-1] - 1
    for i in range(len(heights) - 1, -1, -1):
        ceiling = 1 - (len(heights) - 1 - i) * gap
        heights[i] = min(heights[i], ceiling) if over > 0 else heights[i]
    for (name, value, colour), height in zip(ordered, heights, strict=True):
        end = (value - bottom) / (top - bottom)
        lead = Line2D([1, 1.02], [end, height], color=colour, linewidth=0.7)
        lead.set(transform=ax.transAxes, clip_on=False)
        ax.add_artist(lead)
        ax.text(
            1.03, height, name, transform=ax.transAxes, color=colour, fontsize=TEXT, va="center"
        )


def _multiples(
    names: Sequence[str],
    panel: Callable[[Axes, str], None],
    *,
    key: tuple[str, str] | None = None,
    common: bool = False,
) -> list[Axes]:
    """A grid of small frames, at most three across, drawn by `panel(ax, name)`."""
    across = min(len(names), 2 if len(names) == 4 else 3)
    down = -(-len(names) // across)
    size = (_PANEL[0] * max(across, 2), _PANEL[1] * down + (0.3 if key else 0))
    figure = Picture(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=common).ravel()
    for ax, name in zip(grid, names, strict=False):
        panel(ax, name)
    if common:
        _set_common_limits(list(grid[: len(names)]))
    for i, ax in enumerate(grid):
        if i >= len(names):
            ax.remove()
        elif i + across < len(names):
            ax.set_xlabel("")
        else:
            ax.xaxis.set_tick_params(labelbottom=True)
    if key:
        lines = [
            Line2D([], [], color=OTHER, linestyle="--", linewidth=1.6, label=key[0]),
            Line2D([], [], color=COLOURS[0], linewidth=1.6, label=key[1]),
        ]
        figure.legend(
            handles=lines,
            loc="outside upper left",
            ncols=2,
            frameon=False,
            fontsize=TEXT,
            labelcolor=INK,
        )
    return list(grid[: len(names)])
