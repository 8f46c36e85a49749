"""What an assimilation found, week by week."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from html import escape
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.stats import chi2

from ...params import html_table
from ..posterior import Posterior

ALARM = 0.001  # A right model falls below it in one stream of a thousand, at one given week.


@final
@dataclass(frozen=True)
class Week:
    """What is known at the update of one week.

    Attributes:
        number: of the week, from 1.
        date: its last day.
        posterior: of the parameters, with draws, summary and predictive runs.
        nowcast: the scenario's observables on that day, as quantiles: date, target, horizon (0),
            quantile, value.
        forecasts: what will finally be reported, as quantiles: date (the last of a period),
            target (a feed), horizon (periods ahead; 0 and below for such as have ended but are
            incomplete), quantile, value.
        draws: of the nowcast by observable, [member]; in step with the draws of the posterior.
        surprise: how often reports from the ensemble lie as far from it as this week's; not a
            number where nothing was reported.
        diagnostics: effective (members the weights alone would leave), by_weights (share of the
            data they took in), distinct (states that are left), gone_back (weeks gone through
            again because of revisions), left_out (revisions beyond the lag).
        alarm: how often the surprises of all weeks so far would be as small under a right model.
    """

    number: int
    date: date
    posterior: Posterior
    nowcast: pl.DataFrame
    forecasts: pl.DataFrame
    draws: dict[str, Float[np.ndarray, " member"]] = field(repr=False)
    surprise: float
    diagnostics: dict[str, float]
    alarm: float

    def __str__(self) -> str:
        rows = self.posterior.summary().to_dicts()
        parts = [f"{r['element']} {r['mean']:.4g} ({r['sd']:.2g})" for r in rows]
        rings = "; ALARM: the model does not describe the reports" if self.alarm < ALARM else ""
        return f"week {self.number} to {self.date}: " + ", ".join(parts) + rings


@final
@dataclass(frozen=True)
class Assimilation:
    """A stream taken in: its weeks, in order.

    Attributes:
        weeks: one for each update.
        recalled: how many of them were read back and not computed.
    """

    weeks: tuple[Week, ...]
    recalled: int = 0

    def __len__(self) -> int:
        return len(self.weeks)

    def __getitem__(self, number: int) -> Week:
        return self.weeks[number]

    def __iter__(self) -> Iterator[Week]:
        return iter(self.weeks)

    @property
    def table(self) -> pl.DataFrame:
        """Parameters by week: as_of, week, and the columns of `Posterior.summary`."""
        return self._by_week("posterior")

    @property
    def nowcasts(self) -> pl.DataFrame:
        """Those of all weeks, under `as_of`, the day of the update."""
        return self._by_week("nowcast")

    @property
    def forecasts(self) -> pl.DataFrame:
        """Those of all weeks, under `as_of`, the day on which they were made."""
        return self._by_week("forecasts")

    @property
    def diagnostics(self) -> pl.DataFrame:
        """A row per week: how the ensemble fared, and how surprising the reports were."""
        return pl.DataFrame(
            [
                {"as_of": w.date, "week": w.number, "surprise": w.surprise, "alarm": w.alarm}
                | w.diagnostics
                for w in self.weeks
            ]
        )

    def _by_week(self, what: str) -> pl.DataFrame:
        parts = []
        for week in self.weeks:
            frame = week.posterior.summary() if what == "posterior" else getattr(week, what)
            lead = [pl.lit(week.date).alias("as_of"), pl.lit(week.number).alias("week")]
            parts.append(frame.select(*lead, *frame.columns))
        return pl.concat(parts)

    def __str__(self) -> str:
        return "\n".join(str(week) for week in self.weeks)

    def _repr_html_(self) -> str:
        said = "<br>".join(escape(str(week)) for week in self.weeks[-1:])
        return f"<p>{said}</p>{html_table(self.diagnostics.to_dicts())}"


def alarm(surprises: list[float]) -> float:
    """How often independent surprises would be as small together, by Fisher's method."""
    known = [x for x in surprises if not np.isnan(x)]
    return float(chi2.sf(-2 * np.sum(np.log(known)), 2 * len(known))) if known else 1.0
