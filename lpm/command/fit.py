"""`lpm fit`: parameters of a scenario from published series in a table, into a folder of results.

Series are named as --series column=observable[:noise[:size]], noise one of negative_binomial,
poisson, normal and log_normal. The table has a column `step` or `date`, and a row per period.
"""

import argparse
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ..analysis.fit_plots import plot_gradient_check
from ..analysis.fit_report import FitStory, fit_figures, fit_report
from ..analysis.picture import picture_of
from ..analysis.summary import words
from ..errors import FittingError, LpmError, SimulationError
from ..fitting import Fit, GradientCheck, calibrate, check_gradient, together
from ..fitting.gradients import choose_estimator
from ..fitting.request import choose_fields
from ..fitting.runs import check_loss
from ..launch import key_words
from ..params import Params
from ..population import Population
from ..provenance import describe_run
from ..scenario import Scenario
from .fit_data import Data, Request, fingerprint, read_data
from .folder import RunFolder, Spec, check_new
from .memory import check_fits
from .run import Interrupted, check_same, load_peopled, load_unchanged, settle
from .values import changes

_KEYS, _BUDGET = 8, 2000
_CHECKED = ("straight_through", "mean_field")


@dataclass(frozen=True)
class Task:
    """A fit about to happen."""

    spec: Spec
    scenario: Scenario[Any, Any]
    params: Params
    population: Population
    data: Data

    @property
    def loss(self) -> Any:
        """One series, or several as one."""
        series = self.data.series
        return series[0] if len(series) == 1 else together(*series)

    @property
    def keys(self) -> list[int]:
        """Seeds of the runs at each point."""
        return [self.spec.seed + i for i in range(self.spec.runs)]


def add_fit(commands: Any) -> None:
    """Declare `lpm fit` and its options."""
    parser = commands.add_parser("fit", help="fit parameters to data", description=__doc__)
    parser.add_argument("scenario", nargs="?", help="a file, or a name such as epidemic")
    parser.add_argument("--data", type=Path, metavar="FILE", help="a table, CSV or parquet")
    parser.add_argument(
        "--series", action="append", metavar="COLUMN=OBSERVABLE", help="what to fit; repeat"
    )
    parser.add_argument("--window", type=int, metavar="N", help="steps a row of the table covers")
    parser.add_argument("--weekly", action="store_true", help="add up daily rows into weeks")
    parser.add_argument("--first", type=int, metavar="N", help="steps before the first row (0)")
    parser.add_argument("--fields", metavar="A,B", help="parameters to fit (all)")
    parser.add_argument("--budget", type=int, metavar="N", help=f"runs to spend ({_BUDGET})")
    parser.add_argument("--estimator", metavar="NAME", help="of gradients (auto)")
    parser.add_argument("--agents", metavar="N", help="people, as in `lpm run`")
    parser.add_argument("--population", metavar="FILE", help="people to run with")
    parser.add_argument("--steps", type=int, metavar="T", help="horizon (as far as the data go)")
    parser.add_argument("--seed", type=int, metavar="S", help="first seed (0)")
    parser.add_argument(
        "--keys", "--runs", dest="runs", type=int, metavar="K", help=f"runs at a point ({_KEYS})"
    )
    parser.add_argument(
        "--set", action="append", metavar="NAME=VALUE", help="change a parameter; repeat for more"
    )
    parser.add_argument("--check", action="store_true", help="only check the gradient")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="continue an unfinished fit")
    parser.set_defaults(act=fit, no_baseline=True)


def fit(options: argparse.Namespace, console: Console) -> None:
    """Fit, or go on with a fit, and write fit.json, tables, figures and report.html.

    Raises:
        LpmError: anything that does not fit, before the folder is made where it can be known.
        Interrupted: stopped by the user; says how to go on.
    """
    if options.resume:
        folder = RunFolder(options.resume)
        task = _resume(options, folder)
        if folder.finished:
            console.print(f"{folder.path} is finished; see {folder.path / 'report.html'}")
            return
    else:
        task = _begin(options)
        if options.check:
            _check(options, task, console)
            return
        folder = RunFolder.claim(options.out, f"{task.scenario.name}-fit", task.spec)
    console.print(_headline(task, folder.path), highlight=False, soft_wrap=True)
    for note in task.data.notes:
        console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)
    found = _calibrate(task, folder)
    folder.write_all(_results(task, found))
    folder.finish()
    console.print(str(found), highlight=False, markup=False, soft_wrap=True)
    console.print(f"report: {folder.path / 'report.html'}", highlight=False, soft_wrap=True)


def _begin(options: argparse.Namespace) -> Task:
    if options.scenario is None:
        raise SimulationError(
            "give a scenario, such as `lpm fit epidemic --data FILE --series COLUMN=OBSERVABLE`, "
            "or --resume DIR"
        )
    if options.data is None or not options.series:
        raise FittingError("give --data FILE and at least one --series column=observable")
    check_new(options.out)
    loaded = load_peopled(options.scenario, options.population)
    path = options.data.resolve()
    asked = {
        "data": str(path),
        "data_sha256": fingerprint(path),
        "series": list(options.series),
        "window": 1 if options.window is None else options.window,
        "first": options.first,
        "weekly": options.weekly,
        "fields": _fields(options.fields),
        "budget": _BUDGET if options.budget is None else options.budget,
        "estimator": options.estimator or "auto",
    }
    data = _data(asked, loaded.scenario.unit)
    if options.steps is not None and options.steps < data.steps:
        raise FittingError(
            f"--steps {options.steps}: the data go on to step {data.steps}; run at least as far"
        )
    given = changes(loaded.scenario.params, options.set or [])
    params = loaded.scenario.params.replace(**given)
    options.steps = options.steps or data.steps
    options.runs = _KEYS if options.runs is None else options.runs
    spec = replace(settle(options, loaded, params), changes=given, fit=asked)
    check_fits(loaded.scenario, params, spec.agents, 1)
    population = loaded.scenario.population(spec.agents, seed=spec.seed)
    task = Task(spec, loaded.scenario, params, population, data)
    choose_fields(params, "parameter", asked["fields"])
    if asked["estimator"] != "auto":
        choose_estimator(asked["estimator"], 0.1)
    words = key_words(task.keys)
    check_loss(task.scenario, population, task.loss, words, params, spec.steps, 1)
    return task


def _resume(options: argparse.Namespace, folder: RunFolder) -> Task:
    spec = Spec.read(folder.path)
    if not spec.fit:
        raise SimulationError(f"{folder.path} is not the folder of a fit; see lpm run --resume")
    check_same(options, spec, "spec.json")
    told = ("data", "series", "window", "first", "fields", "budget", "estimator")
    for name in told:
        if getattr(options, name) is not None:
            raise SimulationError(f"--{name} of {folder.path} stands; leave it out to resume")
    loaded = load_unchanged(spec, folder.path)
    if fingerprint(Path(spec.fit["data"])) != spec.fit["data_sha256"]:
        raise SimulationError(f"{spec.fit['data']} has changed since {folder.path} was begun")
    params = loaded.scenario.params.replace(**spec.changes)
    population = loaded.scenario.population(spec.agents, seed=spec.seed)
    data = _data(spec.fit, loaded.scenario.unit)
    return Task(spec, loaded.scenario, params, population, data)


def _data(asked: dict[str, Any], unit: str) -> Data:
    requests = [Request.parse(text) for text in asked["series"]]
    return read_data(
        Path(asked["data"]),
        requests,
        unit,
        window=asked["window"],
        first=asked["first"],
        weekly=asked["weekly"],
    )


def _fields(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def _calibrate(task: Task, folder: RunFolder) -> Fit:
    stopped = Interrupted(f"interrupted; go on with: lpm fit --resume {folder.path}")
    try:
        found = calibrate(
            task.scenario,
            task.population,
            task.loss,
            keys=task.keys,
            fields=task.spec.fit["fields"],
            budget=task.spec.fit["budget"],
            estimator=task.spec.fit["estimator"],
            params=task.params,
            steps=task.spec.steps,
            out=folder.checkpoint,
        )
    except LpmError:
        folder.discard_if_empty()
        raise
    except KeyboardInterrupt:
        raise stopped from None
    if any(note.startswith("Interrupted") for note in found.notes):
        raise stopped
    return found


def _check(options: argparse.Namespace, task: Task, console: Console) -> None:
    """Check gradients and nothing else; with --out keep tables and figures."""
    wanted = task.spec.fit["estimator"]
    results: dict[str, GradientCheck] = {}
    for label in _CHECKED if wanted == "auto" else (wanted,):
        results[label] = check_gradient(
            task.scenario,
            task.population,
            task.loss,
            keys=task.keys,
            estimator=label,
            fields=task.spec.fit["fields"],
            params=task.params,
            steps=task.spec.steps,
        )
        console.print(str(results[label]), highlight=False, markup=False, soft_wrap=True)
    if options.out is None:
        return
    folder = RunFolder.claim(options.out, "check", task.spec)
    for label, found in results.items():
        folder.write(f"{label}.csv", found.table.write_csv())
        folder.write(f"{label}.png", picture_of(plot_gradient_check(found)).png())
    console.print(f"tables and figures: {folder.path}", highlight=False, soft_wrap=True)


def _results(task: Task, found: Fit) -> dict[str, str | bytes]:
    spec, request = task.spec, task.spec.fit
    about = describe_run(
        task.scenario, task.population, task.params, task.keys, spec.steps, 1, found.estimator
    )
    about.pop("params")
    people = about.pop("population")
    knobs = type(task.params).knobs()
    story = FitStory(
        name=task.scenario.name,
        fit=found,
        data={
            "file": request["data"],
            "sha256": request["data_sha256"],
            **{f"series {i + 1}": text for i, text in enumerate(request["series"])},
            "rows": " ".join(str(one.periods) for one in task.data.series),
            "left out": " ".join(task.data.notes),
        },
        about={words(name): str(value) for name, value in (about | people).items()},
        units={name: knob.unit for name, knob in knobs.items()},
    )
    pictures = fit_figures(story)
    table = io.BytesIO()
    found.history.write_parquet(table)
    return {
        "fit.json": json.dumps(found.summary() | {"request": request}, indent=2) + "\n",
        "table.csv": found.table.write_csv(),
        "residuals.csv": found.residuals().write_csv(),
        "history.parquet": table.getvalue(),
        **{f"{p.name}.png": p.png() for p in pictures},
        "report.html": fit_report(story, pictures),
    }


def _headline(task: Task, path: Path) -> str:
    spec = task.spec
    fields = spec.fit["fields"] or ["all parameters"]
    return (
        f"{task.scenario.name}: {', '.join(fields)} from {len(task.data.series)} series, "
        f"{spec.agents:,} agents, {spec.steps} steps, {spec.runs} keys, at most "
        f"{spec.fit['budget']:,} runs -> {path}"
    )
