"""What a calibration found: values with their errors, what trades off, and how it got there."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

from ..axes import hints
from ..params import Params, html_table
from .criteria import Criterion
from .curvature import Curvature
from .journal import write_result
from .objective import Objective
from .profiles import profile as _profile
from .residuals import residual_table
from .seam import Loss

_WIDE = 1.96


@dataclass(frozen=True)
class Fit:
    """The params at which a loss is lowest, and how far they can be trusted.

    Attributes:
        params: the whole params, fitted fields replaced.
        loss: where the fit ended, averaged over its own runs.
        fresh_loss: the same over runs with fresh keys, and its standard error; what the loss is
            beside it is luck of the keys that the fit has used up.
        start_loss: where it began.
        history: a row per evaluated start and iteration: stage, iteration, start, runs so far,
            loss, and every element in its own units.
        curvature: of the loss around the fit, or `None` where it was not affordable.
        chi_square: squared distance of the data from the mean run in units of their joint noise,
            and its degrees of freedom; `None` where the losses of runs were averaged instead.
        runs: simulator runs used; a gradient in reverse counts as the runs it costs.
        estimator: of the gradients.
        notes: checks and choices made on the way, in words.
        finished: false where the fit was interrupted or its budget ended before it settled.
    """

    params: Params
    loss: float
    fresh_loss: tuple[float, float]
    start_loss: float
    history: pl.DataFrame
    curvature: Curvature | None
    chi_square: tuple[float, int] | None
    runs: int
    estimator: str
    notes: tuple[str, ...]
    finished: bool
    point: Float[np.ndarray, " element"] = field(repr=False)
    _objective: Objective = field(repr=False)
    _criterion: Criterion = field(repr=False)
    _loss: Loss = field(repr=False)

    @property
    def table(self) -> pl.DataFrame:
        """A row per element: start, estimate, standard error and a 95 % interval within bounds.

        Errors mean what they say where the loss is a negative log-likelihood. They hold the noise
        of the observations and, with residuals, the luck of the run behind the data.
        """
        space = self._objective.space
        columns: dict[str, Any] = {
            "element": space.labels,
            "start": space.flat(space.start[None])[0],
            "estimate": space.flat(self.point[None])[0],
        }
        if self.curvature is not None:
            sd = self.curvature.sd
            reach = np.where(np.isfinite(sd), sd, 50.0) * _WIDE
            ends = np.stack([self.point - reach, self.point + reach]).clip(-50, 50)
            columns["standard_error"] = sd * space.lengths(self.point)
            columns["low"], columns["high"] = np.sort(space.flat(ends), axis=0)
        return pl.DataFrame(columns)

    @property
    def trade_offs(self) -> list[str]:
        """What the data cannot tell apart, or at all, in words."""
        return [] if self.curvature is None else self.curvature.sentences

    @property
    def report(self) -> str:
        """The fit in words."""
        value, error = self.fresh_loss
        state = "settled" if self.finished else "NOT SETTLED"
        lines = [
            f"Fit of {self._objective.scenario.name} by {self.estimator}, {state} after "
            f"{self.runs} runs: loss {self.start_loss:.6g} -> {self.loss:.6g}, "
            f"{value:.6g} ({error:.2g}) on fresh keys."
        ]
        if self.chi_square is not None:
            lines.append(f"  {self._misfit()}")
        for row in self.table.to_dicts():
            text = f"  {row['element']}: {row['start']:.4g} -> {row['estimate']:.4g}"
            if "standard_error" in row:
                text += f" ({row['standard_error']:.2g}), in [{row['low']:.4g}, {row['high']:.4g}]"
            lines.append(text)
        if self.curvature is None:
            lines.append("  No standard errors: too many elements, or too few runs left for them.")
        else:
            values = self.curvature.eigenvalues
            lines.append(
                "  Eigenvalues of the information: " + ", ".join(f"{x:.3g}" for x in values)
            )
        return "\n".join([*lines, *(f"  {x}" for x in (*self.trade_offs, *self.notes))])

    @property
    def p_value(self) -> float:
        """How often data from the fitted model would lie farther from it; not a number if unknown.

        Small where the model is wrong, or says too little of the noise.
        """
        if self.chi_square is None or self.chi_square[1] < 1:
            return float("nan")
        return float(stats.chi2.sf(*self.chi_square))

    def _misfit(self) -> str:
        assert self.chi_square is not None
        value, degrees = self.chi_square
        text = f"Chi-square {value:.4g} on {degrees} degrees of freedom, p = {self.p_value:.2g}"
        return text + (": the model does not describe the data." if self.p_value < 0.01 else ".")

    def residuals(self) -> pl.DataFrame:
        """Observed and expected by series, period and class, over the runs of the fit.

        Columns: series, period, class, observed, expected, low and high (of the expected numbers
        of single runs, all of them), residual (in standard deviations of the observation noise).

        Raises:
            FittingError: the loss is not a `Series`, nor several together.
        """
        return residual_table(self._objective, self.point, self._loss)

    def profile(self, element: str, *, points: int = 9, width: float | int = 3) -> pl.DataFrame:
        """Lowest loss for fixed values of one element, all others fitted again.

        Columns: the element, loss, rise (above the lowest), and the others. Where the loss is a
        negative log-likelihood, a 95 % interval is where the rise is below 1.92.

        Args:
            element: as in `table`.
            points: fixed values, spread evenly over the unconstrained scale.
            width: how far to each side, in standard errors (or units, where there are none).

        Raises:
            FittingError: no such element, or a loss without residuals.
        """
        return _profile(self._objective, self._criterion, self, element, points, width)

    def save(self, folder: str | Path) -> Path:
        """Write history.csv and result.json into a new folder.

        Raises:
            FittingError: the folder holds another result.
        """
        return write_result(folder, self.history, self.summary())

    def summary(self) -> dict[str, Any]:
        """The fit as plain JSON values."""
        return {
            "scenario": self._objective.scenario.name,
            "params": {
                name: np.asarray(getattr(self.params, name)).tolist()
                for name in hints(type(self.params))
                if name in type(self.params).knobs()
            },
            "table": self.table.to_dicts(),
            "loss": self.loss,
            "fresh_loss": list(self.fresh_loss),
            "start_loss": self.start_loss,
            "chi_square": self.chi_square,
            "runs": self.runs,
            "estimator": self.estimator,
            "finished": self.finished,
            "trade_offs": self.trade_offs,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.report

    def _repr_html_(self) -> str:
        said = "<br>".join(escape(x) for x in (self.report.splitlines()[0], *self.trade_offs))
        return f"<p>{said}</p>{html_table(self.table.to_dicts())}"
