"""The answer of `check_fit`: what of the data a fitted model does not explain, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, final

import numpy as np
import polars as pl
from jaxtyping import Float

from ..params import html_table
from .discrepancies import ALL, Discrepancy, Setting, combine, stretch, unscale

_PHASES = ("before its peak", "about its peak", "after its peak")
_THIRDS = ("at first", "in the middle", "at the end")
_SAID = 0.05  # Phases that are off are named from this share of replicates on,
_LEAST = 0.005  # and from this share of what is expected.


@final
@dataclass(frozen=True)
class Misfit:
    """What of the data the fitted model does not explain.

    Attributes:
        table: a row per series and discrepancy. Columns: series, what (size, shape, order, or
            prior), observed, expected (median of replicated data), p_value.
        p_values: by series, all of its discrepancies together; those of the priors under "prior".
        p_value: all of them together. A right model has one below the level as often as that says.
        residuals: a row per datum. Columns: series, period, class, observed, expected, low and
            high (between which 90 % of replicated data lie), residual (in standard deviations,
            less what the parameters could explain), ready to be plotted.
        phases: a row per series and phase. Columns: series, phase, off (how far data are from what
            the fitted model can give, as a share), p_value.
        level: how often a right model may ring.
        runs: simulator runs spent.
    """

    table: pl.DataFrame
    p_values: dict[str, float]
    p_value: float
    residuals: pl.DataFrame
    phases: pl.DataFrame
    level: float
    runs: int

    @property
    def rings(self) -> bool:
        """Whether the data are not data of this model."""
        return self.p_value <= self.level

    @property
    def sentence(self) -> str:
        """Which series are off, when, and how; or that nothing is."""
        if not self.rings:
            return "The data look like data of this model."
        worst = self.table.filter(pl.col("p_value") <= max(self.level / 2, self._least))
        # Of two as rare, the shape says more than the size.
        told = pl.col("what").replace_strict({"shape": 0}, default=1)
        worst = worst.sort(pl.col("p_value"), told).unique("series", maintain_order=True)
        alone = worst.filter(pl.col("series") != ALL)
        said = [self._say(row) for row in (alone if alone.height else worst).to_dicts()]
        return "The model does not explain the data: " + "; ".join(said) + "."

    @property
    def _least(self) -> float:
        return float(self.table["p_value"].to_numpy().min())

    def _say(self, row: dict[str, Any]) -> str:
        name, p = row["series"], f"p = {row['p_value']:.2g}"
        if row["what"] == "prior":
            return f"{name} lies {row['observed']:.2g} standard deviations from its prior ({p})"
        if row["what"] == "order":
            side = "the same side" if row["observed"] > row["expected"] else "either side"
            return f"{name} misses neighbouring periods to {side} more than luck does ({p})"
        if row["what"] == "shape":
            return f"{self._course(name)} ({p})"
        return (
            f"{name} misses its data by more than noise and luck do "
            f"({row['observed']:.3g} instead of {row['expected']:.3g}, {p})"
        )

    def _course(self, name: str) -> str:
        """Phases in which a series is off, with sign and extent."""
        mine = self.phases if name == ALL else self.phases.filter(pl.col("series") == name)
        seen = (pl.col("p_value") <= _SAID) & (pl.col("off").abs() >= _LEAST)
        off = mine.filter(seen).to_dicts()
        if not off:
            return f"the course of {name} over time is not one that the model can take"
        parts = [
            f"{abs(row['off']):.0%} {'above' if row['off'] > 0 else 'below'} any fit "
            f"{row['phase']}" + (f" ({row['series']})" if name == ALL else "")
            for row in off
        ]
        return f"the course of {name} is off: data are " + ", ".join(parts)

    def __str__(self) -> str:
        head = "RINGS" if self.rings else "Silent"
        return f"{head} (p = {self.p_value:.2g}) after {self.runs} runs. {self.sentence}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>{html_table(self.table.to_dicts())}"


def judge(
    setting: Setting,
    observed: Float[np.ndarray, " datum"],
    misses: Float[np.ndarray, "case datum"],
    found: Sequence[Discrepancy],
    priors: Sequence[dict[str, Any]],
    level: float,
    runs: int,
) -> Misfit:
    """A verdict from discrepancies, the data being the first case, and conflicts with priors."""
    rows = [
        {
            "series": one.series,
            "what": one.what,
            "observed": float(one.values[0]),
            "expected": float(np.median(one.values[1:])),
            "p_value": float(one.p_values[0]),
        }
        for one in found
    ]
    names = list(dict.fromkeys(one.series for one in found))
    p_values = {name: combine([one for one in found if one.series == name]) for name in names}
    whole = combine(found)
    if priors:
        # Two families, independent where all is right (Sidak 1967).
        p_values["prior"] = min(1.0, len(priors) * min(row["p_value"] for row in priors))
        whole = 1 - (1 - min(whole, p_values["prior"])) ** 2
    left, sd = _left(setting, misses)
    return Misfit(
        pl.DataFrame([*rows, *priors]),
        p_values,
        whole,
        _residuals(setting, observed, misses, left[0] / sd),
        _phases(setting, left),
        level,
        runs,
    )


def _left(
    setting: Setting, misses: Float[np.ndarray, "case datum"]
) -> tuple[Float[np.ndarray, "case datum"], Float[np.ndarray, " datum"]]:
    """Misses on the scale, less what parameters can explain, and the scatter of each datum."""
    whitener = setting.only(np.ones(len(setting.centre), bool))
    return whitener(misses) @ whitener.root.T, np.sqrt(np.diag(setting.scatter))


def _residuals(
    setting: Setting,
    observed: Float[np.ndarray, " datum"],
    misses: Float[np.ndarray, "case datum"],
    residual: Float[np.ndarray, " datum"],
) -> pl.DataFrame:
    places = setting.places
    low, high = np.quantile(misses[1:], [0.05, 0.95], axis=0)
    return pl.DataFrame(
        {
            "series": [places.names[number] for number in places.series],
            "period": places.period,
            "class": places.label,
            "observed": observed,
            "expected": unscale(setting.centre),
            "low": unscale(setting.centre + low),
            "high": unscale(setting.centre + high),
            "residual": residual,
        }
    )


def _phases(setting: Setting, left: Float[np.ndarray, "case datum"]) -> pl.DataFrame:
    """How far each third of a series is off, a third being one of what its data tell."""
    places, expected = setting.places, setting.expected
    bend = stretch(expected)
    rows = []
    for number, name in enumerate(places.names):
        own = places.series == number
        told = np.where(own, setting.told, 0.0)
        by_period = np.bincount(places.period[own], told[own])
        passed = (np.cumsum(by_period) - by_period / 2) / by_period.sum()
        peak = passed[int(np.argmax(np.bincount(places.period[own], expected[own])))]
        names = _PHASES if 0.2 < peak < 0.8 else _THIRDS
        # Halfway up to the peak, and down from it.
        ends = (peak / 2, (1 + peak) / 2) if 0.2 < peak < 0.8 else (1 / 3, 2 / 3)
        phase = np.full(len(own), -1)
        phase[own] = np.digitize(passed[places.period[own]], ends)
        for part, label in enumerate(names):
            some = own & (phase == part)
            if not some.any():
                continue
            weight = told[some] / told[some].sum()
            off = (left[:, some] / bend[some]) @ weight
            p = Discrepancy(name, label, off, two_sided=True).p_values[0]
            rows.append(
                {"series": name, "phase": label, "off": float(np.expm1(off[0])), "p_value": p}
            )
    return pl.DataFrame(rows)
