"""`lpm sweep`: a grid of parameters, each over the same seeds, into one table."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from ..analysis.summary import Estimate, number, scalars, words
from ..errors import LpmError, SimulationError
from ..params import Params
from ..personas import Interviewer
from ..population import Population
from ..scenario import Scenario
from ..simulation import ensemble
from ..trajectory import Trajectory, load as load_trajectory
from .folder import SWEEP, TABLE, RunFolder, Spec, check_new
from .memory import check_fits
from .respondents import announced, interviewer_of, kept_in
from .run import Interrupted, add_size, check_same, load_peopled, load_unchanged, settle
from .tables import show
from .values import grid

_MOST = 10_000


def add_sweep(commands: Any) -> None:
    """Declare `lpm sweep`."""
    parser = commands.add_parser("sweep", help="run a grid of parameters", description=__doc__)
    parser.add_argument("scenario", nargs="?", help="a file, or a name such as epidemic")
    add_size(parser)
    parser.add_argument(
        "--set", action="append", metavar="NAME=A,B,...", help="values to try; repeat for a grid"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="continue an unfinished sweep")
    parser.set_defaults(act=sweep)


@dataclass(frozen=True)
class Grid:
    """A sweep about to happen: the points, what runs at each, and where it goes."""

    spec: Spec
    scenario: Scenario[Any, Any]
    population: Population
    folder: RunFolder

    @property
    def interviewer(self) -> Interviewer | None:
        """By whom a panel is asked: of its card, as a grid asks it often."""
        return interviewer_of("", self.scenario.panel, self.scenario.name)

    @property
    def cells(self) -> dict[str, list[Any]]:
        """Value of each swept parameter at each point."""
        return self.spec.changes

    @property
    def points(self) -> int:
        """Number of points of the grid."""
        return len(next(iter(self.cells.values())))


def sweep(options: argparse.Namespace, console: Console) -> None:
    """Run every combination with the same seeds; write sweep.parquet and the trajectories.

    Raises:
        LpmError: anything that does not fit.
        Interrupted: stopped by the user; says how to go on.
    """
    todo = _resume(options, console) if options.resume else _begin(options)
    if todo is None:
        return
    spec, folder, cells = todo.spec, todo.folder, todo.cells
    console.print(
        f"{todo.scenario.name}: {todo.points} points x {spec.runs} runs of {spec.agents:,} agents "
        f"-> {folder.path}",
        highlight=False,
        soft_wrap=True,
    )
    if who := announced(todo.interviewer):
        console.print(who, highlight=False, markup=False, soft_wrap=True)
    try:
        trajectory = _simulate(todo)
    except LpmError:
        folder.discard_if_empty()
        raise
    except KeyboardInterrupt:
        again = f"lpm sweep --resume {folder.path}"
        raise Interrupted(f"interrupted; go on with: {again}") from None
    table = tabulate(trajectory, cells, spec.seed)
    scratch = folder.path / f".{TABLE}.part"
    table.write_parquet(scratch)
    scratch.rename(folder.path / TABLE)
    folder.finish()
    show(console, _summary(table, list(cells), scalars(trajectory)))
    console.print(f"table: {folder.path / TABLE}", highlight=False, soft_wrap=True)


def _begin(options: argparse.Namespace) -> Grid:
    if options.scenario is None:
        raise SimulationError("give a scenario, such as `lpm sweep sir`, or --resume DIR")
    check_new(options.out)
    loaded = load_peopled(options.scenario, options.population)
    scenario = loaded.scenario
    cells = grid(scenario.params, options.set or [])
    points = len(next(iter(cells.values())))
    if points > _MOST:
        raise SimulationError(f"the grid has {points:,} points; give at most {_MOST:,}")
    params = _params(scenario, cells)
    spec = replace(settle(options, loaded, params), changes=cells, compared=False)
    check_fits(scenario, scenario.params, spec.agents, points * spec.runs)
    population = scenario.population(spec.agents, seed=spec.seed)
    folder = RunFolder.claim(options.out, f"{scenario.name}-sweep", spec, SWEEP)
    return Grid(spec, scenario, population, folder)


def _resume(options: argparse.Namespace, console: Console) -> Grid | None:
    folder = RunFolder(options.resume, TABLE)
    spec = Spec.read(folder.path, SWEEP)
    check_same(options, spec, SWEEP)
    if folder.finished:
        console.print(f"{folder.path} is finished; see {folder.path / TABLE}")
        return None
    scenario = load_unchanged(spec, folder.path).scenario
    grid = Grid(spec, scenario, scenario.population(spec.agents, seed=spec.seed), folder)
    check_fits(scenario, scenario.params, spec.agents, grid.points * spec.runs)
    return grid


def _params(scenario: Scenario[Any, Any], cells: dict[str, list[Any]]) -> Params:
    return scenario.params.replace(**{name: np.asarray(x) for name, x in cells.items()})


def _simulate(todo: Grid) -> Trajectory:
    """All runs, read back where they were finished before."""
    spec, folder = todo.spec, todo.folder.path / "trajectory"
    if folder.exists():
        return load_trajectory(folder)
    trajectory = ensemble(
        todo.scenario,
        todo.population,
        keys=[spec.seed + i for i in range(spec.runs)],
        params=_params(todo.scenario, todo.cells),
        steps=spec.steps,
        respondent=kept_in(todo.interviewer, todo.folder.path),
        checkpoint=todo.folder.checkpoint,
        keep_state=False,
    )
    trajectory.save(folder)
    return trajectory


def tabulate(trajectory: Trajectory, cells: dict[str, list[Any]], seed: int) -> pl.DataFrame:
    """One row per point of the grid and run: parameters, seed, and what each observable came to.

    For an observable x: `x_end`, `x_peak` and `x_peak_time`.
    """
    variants, runs = np.shape(next(iter(trajectory.observed.values())))[:2]
    columns: dict[str, Any] = {n: np.repeat(np.asarray(x), runs) for n, x in cells.items()}
    columns["seed"] = np.tile(seed + np.arange(runs), variants)
    for name in scalars(trajectory):
        values = np.asarray(trajectory.observed[name]).reshape(variants * runs, -1)
        columns[f"{name}_end"] = values[:, -1]
        columns[f"{name}_peak"] = values.max(axis=1)
        columns[f"{name}_peak_time"] = np.asarray(trajectory.time)[values.argmax(axis=1)]
    return pl.DataFrame(columns)


def _summary(table: pl.DataFrame, axes: list[str], names: list[str]) -> list[dict[str, str]]:
    lines = []
    for point, part in table.group_by(axes, maintain_order=True):
        line = {axis: f"{value:g}" for axis, value in zip(axes, point, strict=True)}
        for name in names:
            estimate = Estimate.of(part[f"{name}_end"].to_numpy().astype(np.float64))
            line[f"{words(name)}, end"] = f"{number(estimate.mean)} ± {number(estimate.error)}"
        lines.append(line)
    return lines
