"""A run as one page: summary, figures, parameters, people and provenance in a single HTML file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import polars as pl

from ..errors import DataError
from ..params import Params
from ..population import Population, fit_report
from ..trajectory import Trajectory
from .legend import Legend
from .page import Illustration, figure, file_name, page, section, table
from .picture import picture_of
from .plots import (
    caption,
    drawable,
    plot_bands,
    plot_by,
    plot_difference,
    plot_overview,
)
from .summary import reading, rows, same_luck, scalars, summarise, words

_WORST = 5


@dataclass(frozen=True)
class Story:
    """What a report tells.

    Attributes:
        name: the scenario's name.
        purpose: its docstring.
        params: parameters of the run.
        defaults: those of the scenario's file.
        policy: the run.
        compared: the same seeds under the baseline, if there is one.
        baseline: parameters of that.
        population: who it happened to.
        legend: words for figures.
    """

    name: str
    purpose: str
    params: Params
    defaults: Params
    policy: Trajectory
    compared: Trajectory | None = None
    baseline: Params | None = None
    population: Population | None = None
    legend: Legend = field(default_factory=Legend)


def figures(story: Story) -> list[Illustration]:
    """All figures that what was observed allows."""
    policy, compared, legend = story.policy, story.compared, story.legend
    runs = len(policy.provenance.get("key") or [0])
    band = f"{caption(runs)}."
    found = [
        Illustration(
            file_name(title),
            title,
            band,
            picture_of(plot_bands(policy, names, legend=legend)),
        )
        for title, names in legend.together.items()
    ]
    if scalars(policy):
        axes = plot_overview(policy, compared, legend=legend)
        found.append(Illustration("overview", "All that was observed", band, picture_of(axes)))
    if compared is not None and scalars(policy) and same_luck(policy, compared):
        axes = plot_difference(compared, policy, legend=legend)
        told = f"Each run less the baseline with the same seed and people. {band}"
        title = "Policy less baseline, same luck"
        found.append(Illustration("difference", title, told, picture_of(axes)))
    for name in policy.observed:
        if name not in scalars(policy) and drawable(policy, name):
            axes = plot_by(policy, name, baseline=compared, legend=legend)
            title = words(name).capitalize()
            found.append(Illustration(name, title, band, picture_of(axes)))
    return found


def report(story: Story, illustrations: Sequence[Illustration]) -> str:
    """The page, with everything inside it: no other file and no network is needed."""
    title, text = _opening(story)
    found = summarise(story.policy, story.compared)
    parts = [
        section("Summary", table(rows(found), "numbers") + f"<p class=note>{reading(found)}</p>"),
        *(figure(picture) for picture in illustrations),
        section("Parameters", table(_parameters(story))),
        section("People", _people(story)) if story.population is not None else "",
        section("Panel", table(_panel(story), "pairs")) if _panel(story) else "",
        section("About the model", text) if text else "",
        section("Where this came from", table(_provenance(story), "pairs")),
    ]
    return page(story.name, title, _size(story), parts)


def _opening(story: Story) -> tuple[str, str]:
    """First line of the docstring as a title, the rest as paragraphs."""
    first, _, rest = story.purpose.strip().partition("\n")
    paragraphs = [" ".join(p.split()) for p in rest.split("\n\n") if p.strip()]
    text = "".join(f"<p>{escape(p)}</p>" for p in paragraphs)
    return first.rstrip(".") or story.name, text


def _size(story: Story) -> str:
    about = story.policy.provenance
    runs, unit = len(about.get("key") or [0]), story.policy.unit
    people = about.get("population", {}).get("size")
    told = [f"{people:,} agents"] if people else []
    told.append(f"{about.get('steps', story.policy.time[-1])} steps of one {unit}")
    told.append("1 run" if runs == 1 else f"{runs} runs")
    if story.compared is not None:
        told.append("compared with the baseline under the same seeds")
    return ", ".join(told) + "."


def _parameters(story: Story) -> list[dict[str, str]]:
    defaults = {row["name"]: row["value"] for row in story.defaults.table()}
    other = story.baseline or story.params
    baseline = {row["name"]: row["value"] for row in other.table()}
    table = []
    for row in story.params.table():
        cells = {"name": row["name"], "role": row["role"], "value": row["value"]}
        if row["value"] != defaults[row["name"]]:
            cells["value"] += f" (not {defaults[row['name']]})"
        if story.baseline is not None:
            differs = baseline[row["name"]] != row["value"]
            cells["baseline"] = baseline[row["name"]] if differs else ""
        table.append(cells | {"within": row["within"], "unit": row["unit"]})
    return table


def _people(story: Story) -> str:
    population = story.population
    assert population is not None
    table = population._repr_html_().replace("<table>", "<div class=wide><table>")
    table = table.replace("</table>", "</table></div>")
    sources = "".join(f"<li>{escape(line)}</li>" for line in population.provenance)
    told = f"<ul>{sources}</ul>" if sources else ""
    return table + told + _fit(population)


def _fit(population: Population) -> str:
    """How near the people come to published tables; empty where there are none to meet."""
    try:
        cells = fit_report(population)
    except DataError:
        return ""
    gap = pl.col("difference").abs()
    by_table = cells.group_by("table", "fitted", maintain_order=True).agg(
        cells=pl.len(), typical=gap.mean(), largest=gap.max(), z=pl.col("z").abs().max()
    )
    worst = cells.sort(gap, descending=True).head(_WORST)
    return (
        "<h3>Against what is published</h3>"
        + table(
            [
                {
                    "table": row["table"],
                    "": "fitted" if row["fitted"] else "held out",
                    "cells": row["cells"],
                    "mean difference": f"{row['typical']:.4f}",
                    "largest": f"{row['largest']:.4f}",
                    "largest in standard errors": f"{row['z']:.1f}",
                }
                for row in by_table.iter_rows(named=True)
            ]
        )
        + "<p>Shares of the people or households of a borough. The largest differences:</p>"
        + table(
            [
                {name: row[name] for name in ("table", "borough", "cell")}
                | {name: f"{row[name]:.4f}" for name in ("published", "synthetic", "difference")}
                for row in worst.iter_rows(named=True)
            ]
        )
    )


def _panel(story: Story) -> list[dict[str, str]]:
    """Who answered, whether that is a language model, where it is on record, when and why."""
    about = dict(story.policy.provenance.get("panel", {}))
    if not about:
        return []
    rounds = about.pop("rounds", [])
    about["is_language_model"] = "yes" if about.get("is_language_model") else "NO"
    asked = [
        f"{r['step']} ({r['reason']}{', unverified news' if r['tainted'] else ''})" for r in rounds
    ]
    lines = [{"what": words(name), "value": str(value)} for name, value in about.items()]
    return [*lines, {"what": "asked before step", "value": ", ".join(asked)}]


def _provenance(story: Story) -> list[dict[str, str]]:
    about = dict(story.policy.provenance)
    about.pop("params", None)
    about.pop("panel", None)
    return [
        {"what": words(name), "value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in about.items()
        if value != ""
    ]
