"""`lpm population`: fit, draw and report the people of a recipe, from census and survey files."""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..analysis import Comparison, FitStory, population_figures, population_report
from ..population import (
    Built,
    Population,
    count_records,
    draw_recipe,
    find_recipe,
    fit_recipe,
    read_recipe,
    save_population,
    whole_fit,
)
from ..population.accuracy import accuracy, fit_cells
from ..population.composition import drawn_ages, drawn_sizes, survey_ages, survey_sizes
from ..population.fidelity import k_marginal
from ..population.integers import Counts
from ..population.weighting import Fitted, explain_fit
from .folder import check_new
from .run import agents_of
from .tables import show

_FEW_VALUES = 30  # Columns of more are no classes whose joints could be compared.
_MOST_CELLS = 10**8  # Zones times records beyond which a page does without counts of copies.


def add_population(commands: argparse._SubParsersAction) -> None:
    """Declare `lpm population` and its three verbs."""
    parser = commands.add_parser(
        "population", help="make people from census and survey files", description=__doc__
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    told: dict[str, tuple[Callable[..., None], str]] = {
        "fit": (fit, "weights for survey records: a folder of tables"),
        "draw": (draw, "whole people with places: a population for `lpm run --population`"),
        "report": (report, "how well people meet what is published: a page and figures"),
    }
    for name, (act, words) in told.items():
        verb = verbs.add_parser(name, help=words, description=words)
        verb.add_argument(
            "recipe", help="a TOML file, or one that comes with lpm: example, new_york"
        )
        verb.add_argument("--data", type=Path, metavar="DIR", help="where the files are")
        verb.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
        if name != "fit":
            verb.add_argument("--agents", metavar="N", help="about how many people (all)")
            verb.add_argument("--seed", type=int, default=0, metavar="S", help="seed (0)")
        verb.set_defaults(act=act, verb=name)


def fit(options: argparse.Namespace, console: Console) -> None:
    """Fit, and write weights, accuracy and what could not be met.

    Raises:
        LpmError: files that do not hold what they should, before anything is written.
    """
    built, out = _begin(options, console)
    found = whole_fit(built)
    families = _families(built)
    cells = fit_cells(found, families)
    _tell(console, found, accuracy(cells))
    tables = {
        "weights": _weights(built),
        "cells": cells,
        "accuracy": accuracy(cells),
        "infeasible": found.infeasible,
        "reconciled": found.reconciled,
    }
    with _Scratch(out) as folder:
        for name, table in tables.items():
            table.write_parquet(folder / f"{name}.parquet")
    console.print(f"weights: {out / 'weights.parquet'}", highlight=False, soft_wrap=True)


def draw(options: argparse.Namespace, console: Console) -> None:
    """Fit, draw, place, and write the population.

    Raises:
        LpmError: files that do not hold what they should, before anything is written.
    """
    built, out = _begin(options, console)
    found = whole_fit(built)
    _tell(console, found, accuracy(fit_cells(found, _families(built))))
    people = draw_recipe(built, seed=options.seed, size=_size(options))
    save_population(people, out)
    console.print(str(people), highlight=False, markup=False)
    console.print(
        f"population: {out}; go on with: lpm run SCENARIO --population {out}",
        highlight=False,
        soft_wrap=True,
    )


def report(options: argparse.Namespace, console: Console) -> None:
    """Fit, draw, place, and write a page with figures.

    Raises:
        LpmError: files that do not hold what they should, before anything is written.
    """
    built, out = _begin(options, console)
    size = _size(options)
    counts = count_records(built, options.seed, size)
    people = draw_recipe(built, seed=options.seed, size=size, counts=counts)
    story = _story(built, people, counts if size is None else None)
    _tell(console, story.fitted, accuracy(fit_cells(story.fitted, story.families)))
    pictures = population_figures(story)
    with _Scratch(out) as folder:
        for picture in pictures:
            (folder / f"{picture.name}.png").write_bytes(picture.png())
        (folder / "report.html").write_text(population_report(story, pictures), encoding="utf-8")
    console.print(f"report: {out / 'report.html'}", highlight=False, soft_wrap=True)


class _Scratch:
    """A folder that appears under its name once everything in it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{self.path.name}-", dir=self.path.parent)
        self.scratch = Path(name)
        return self.scratch

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            return
        self.scratch.chmod(0o755)  # A folder for temporary files is its owner's alone.
        self.scratch.rename(self.path)


def _begin(options: argparse.Namespace, console: Console) -> tuple[Built, Path]:
    """The fitted recipe, and where results go."""
    recipe = read_recipe(find_recipe(options.recipe), options.data)
    names = {"fit": "fit", "draw": "people", "report": "report"}
    out = options.out or Path(f"{recipe.name.lower().replace(' ', '-')}-{names[options.verb]}")
    check_new(out)
    _size(options)
    console.print(f"{recipe.name}: {recipe.path} -> {out}", highlight=False, soft_wrap=True)
    columns = TextColumn("fitting zones"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    shown = Console(stderr=True)
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("", total=None)
        built = fit_recipe(recipe, lambda done, of: bar.update(task, completed=done, total=of))
    for note in built.sample.notes:
        console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)
    return built, out


def _size(options: argparse.Namespace) -> int | None:
    given = getattr(options, "agents", None)
    return None if given is None else agents_of(given, 0)


def _families(built: Built) -> dict[str, str]:
    return {c.name: c.family or c.name for c in built.recipe.controls}


def _weights(built: Built) -> pl.DataFrame:
    """Positive weights: zone, record, household_id, whether in quarters, and weight."""
    sample, frames = built.sample, []
    serials = pl.concat([sample.households["household_id"], sample.quarters["household_id"]])
    for rows, fitted in built.parts:
        zone, column = np.nonzero(fitted.weights)
        record = rows[column]
        names = np.array(fitted.problem.zones, dtype=object)
        frames.append(
            pl.DataFrame(
                {
                    "zone": pl.Series(names[zone], dtype=pl.String),
                    "record": record,
                    "household_id": serials.gather(record),
                    "in_group_quarters": record >= sample.households.height,
                    "weight": fitted.weights[zone, column],
                }
            )
        )
    return pl.concat(frames)


def _tell(console: Console, fitted: Fitted, table: pl.DataFrame) -> None:
    rows = [
        {
            "level": row["level"],
            "table": row["family"],
            "totals": str(row["cells"]),
            "absolute error": _percent(row["tae_share"]),
            "largest": _percent(row["largest"]),
        }
        for row in table.rows(named=True)
    ]
    show(console, rows, "How near the published totals")
    console.print(explain_fit(fitted), highlight=False)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _story(built: Built, people: Population, counts: Sequence[Counts] | None) -> FitStory:
    """What the page tells of a fit and the people drawn by it."""
    sample, recipe = built.sample, built.recipe
    age = recipe.draw.get("age", "age")
    ages = None
    if "sex" in recipe.columns:
        ages = Comparison(drawn_ages(people, age=age), survey_ages(sample, age=age), "survey")
    sizes = Comparison(drawn_sizes(people), survey_sizes(sample), "survey")
    return FitStory(
        name=recipe.name,
        fitted=whole_fit(built),
        families=_families(built),
        counts=None if counts is None else _matrix(built, counts),
        ages=ages,
        sizes=sizes,
        joints=_joints(built, people),
        notes=sample.notes,
        provenance=people.provenance,
    )


def _joints(built: Built, people: Population) -> pl.DataFrame | None:
    frame = people.frame()
    names = [n for n in built.recipe.columns if 1 < frame[n].n_unique() <= _FEW_VALUES]
    if len(names) < 2:
        return None
    parts = [built.sample.persons, built.sample.quarters]
    survey = pl.concat([p.select(*names, pl.col("weight").cast(pl.Float64)) for p in parts])
    kept = frame.select(pl.col(n).cast(survey.schema[n]) for n in names)
    return k_marginal(survey, kept, names, 2)


def _matrix(built: Built, counts: Sequence[Counts]) -> Int[np.ndarray, "zone record"] | None:
    zones, records = sum(len(b.problem.zones) for b in built.blocks), built.sample.num_records
    if zones * records > _MOST_CELLS:
        return None
    whole, first = np.zeros((zones, records), np.int64), 0
    for block, found in zip(built.blocks, counts, strict=True):
        whole[first + found.zone, block.records[found.record]] = found.count
        first += len(block.problem.zones)
    return whole
