"""A figure that grows while a run goes on."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..trajectory import Trajectory
from .legend import Legend
from .picture import Picture, picture_of
from .plots import plot_overview


class LivePlot:
    """Redraws scalar observables between the segments of a run.

    Pass it to `lpm.simulate(progress=...)`. In a notebook the figure is replaced in place;
    elsewhere `show`, if given, is called with each new figure. `figure` holds the latest.

    Example:
        >>> live = LivePlot(["prevalence"])
        >>> live.figure is None
        True
    """

    def __init__(
        self,
        observables: Sequence[str] | None = None,
        show: Callable[[Picture], None] | None = None,
        *,
        legend: Legend | None = None,
    ) -> None:
        """Draw `observables` (all scalar ones if not given), shown by `show`."""
        self.observables = observables
        self.legend = legend
        self.figure: Picture | None = None
        self._show = show or _notebook()

    def __call__(self, trajectory: Trajectory) -> None:
        """Draw the trajectory so far."""
        axes = plot_overview(trajectory, observables=self.observables, legend=self.legend)
        self.figure = picture_of(axes)
        if self._show is not None:
            self._show(self.figure)


def _notebook() -> Callable[[Picture], None] | None:
    """How a running notebook shows a figure in place; `None` outside of one.

    IPython is loaded wherever a notebook runs, so it is looked for and never imported.
    """
    shell = sys.modules.get("IPython")
    if shell is None or shell.get_ipython() is None:
        return None
    handle: Any = sys.modules["IPython.display"].DisplayHandle()
    shown: list[bool] = []

    def show(figure: Picture) -> None:
        (handle.update if shown else handle.display)(figure)
        shown.append(True)

    return show
