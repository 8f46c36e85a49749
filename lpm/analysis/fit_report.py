"""A fit as one page: what was found, what trades off, figures, data and provenance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ..errors import DataError
from .fit_plots import plot_fit_history, plot_residuals
from .page import Illustration, figure, page, section, table
from .picture import picture_of
from .summary import number, words


@dataclass(frozen=True)
class FitStory:
    """What the page tells.

    Attributes:
        name: of the scenario.
        fit: from `lpm.calibrate`, with series as its loss.
        data: what was fitted, as pairs of words.
        about: where it came from, as pairs of words.
        units: of the parameters, by name.
    """

    name: str
    fit: Any
    data: Mapping[str, str]
    about: Mapping[str, str]
    units: Mapping[str, str] = field(default_factory=dict)


def fit_figures(story: FitStory) -> list[Illustration]:
    """Data beside what is expected, and the way there."""
    found = []
    told = (
        "Points: data. Line and band: what the runs of the fit expect, on average and all of them. "
        "Below: misses in standard deviations of the noise."
    )
    try:
        axes = plot_residuals(story.fit)
        found.append(Illustration("residuals", "Data and fit", told, picture_of(axes)))
    except DataError as error:  # more series than can be drawn, and the page is worth having
        told = str(error)
    axes = plot_fit_history(story.fit)
    told = (
        "What was tried, and the best of each stage until then; stages differ in what they lower."
    )
    return [*found, Illustration("history", "How it was found", told, picture_of(axes))]


def fit_report(story: FitStory, illustrations: Sequence[Illustration]) -> str:
    """The page, with everything inside it: no other file and no network is needed."""
    fit = story.fit
    lines = fit.report.splitlines()
    told = [*(fit.trade_offs or []), *fit.notes]
    parts = [
        section("Parameters found", table(_estimates(story), "values") + _misfit(lines)),
        section("What to know", _list(told)) if told else "",
        *(figure(picture) for picture in illustrations),
        section("Data", table(_pairs(story.data), "pairs")),
        section("Where this came from", table(_pairs(story.about), "pairs")),
    ]
    return page(story.name, "Fit to data", lines[0], parts)


def _estimates(story: FitStory) -> list[dict[str, str]]:
    rows = []
    for row in story.fit.table.to_dicts():
        name = row["element"]
        cells = {"parameter": words(name), "estimate": number(row["estimate"])}
        if "standard_error" in row:
            cells["standard error"] = number(row["standard_error"])
            cells["95 %"] = f"{number(row['low'])} to {number(row['high'])}"
        cells["start"] = number(row["start"])
        rows.append(cells | {"unit": story.units.get(name.split("[")[0], "")})
    return rows


def _misfit(lines: Sequence[str]) -> str:
    said = [line.strip() for line in lines if line.strip().startswith("Chi-square")]
    return "".join(f"<p class=note>{escape(line)}</p>" for line in said)


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"what": name, "value": value} for name, value in values.items() if value]
