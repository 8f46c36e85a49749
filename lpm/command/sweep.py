"""`lpm sweep`: a grid of parameters, each over the same seeds, into one table."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from ..analysis.summary import Estimate, number, scalars, words
from ..errors import LpmError, SimulationError
from ..simulation import ensemble
from ..trajectory import Trajectory
from .folder import RunFolder, check_new
from .memory import check_fits
from .run import Interrupted, add_size, settle
from .scenarios import load
from .tables import show
from .values import grid

_MOST = 10_000


def add_sweep(commands: Any) -> None:
    """Declare `lpm sweep`."""
    parser = commands.add_parser("sweep", help="run a grid of parameters", description=__doc__)
    parser.add_argument("scenario", help="a file, or a name such as epidemic")
    add_size(parser)
    parser.add_argument(
        "--set", action="append", metavar="NAME=A,B,...", help="values to try; repeat for a grid"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    parser.set_defaults(act=sweep)


def sweep(options: argparse.Namespace, console: Console) -> None:
    """Run every combination with the same seeds; write sweep.parquet and the trajectories.

    Raises:
        LpmError: anything that does not fit.
        Interrupted: stopped by the user; a sweep starts anew.
    """
    check_new(options.out)
    loaded = load(options.scenario)
    scenario = loaded.scenario
    cells = grid(scenario.params, options.set or [])
    variants = len(next(iter(cells.values())))
    if variants > _MOST:
        raise SimulationError(f"the grid has {variants:,} points; give at most {_MOST:,}")
    params = scenario.params.replace(**{n: np.asarray(x) for n, x in cells.items()})
    spec = replace(settle(options, loaded, params), changes=cells, compared=False)
    total = variants * spec.runs
    check_fits(scenario, scenario.params, spec.agents, total)
    population = scenario.population(spec.agents, seed=spec.seed)
    folder = RunFolder.claim(options.out, f"{scenario.name}-sweep", spec, "sweep.json")
    console.print(
        f"{scenario.name}: {variants} points x {spec.runs} runs of {spec.agents:,} agents "
        f"-> {folder.path}",
        highlight=False,
        soft_wrap=True,
    )
    try:
        keys = [spec.seed + i for i in range(spec.runs)]
        trajectory = ensemble(
            scenario, population, keys=keys, params=params, steps=spec.steps, keep_state=False
        )
    except (LpmError, KeyboardInterrupt) as error:
        folder.discard_if_empty()
        if isinstance(error, LpmError):
            raise
        raise Interrupted("interrupted; nothing was written") from None
    trajectory.save(folder.path / "trajectory")
    table = tabulate(trajectory, cells, spec.seed)
    scratch = folder.path / ".sweep.part"
    table.write_parquet(scratch)
    scratch.rename(folder.path / "sweep.parquet")
    show(console, _summary(table, list(cells), scalars(trajectory)))
    console.print(f"table: {folder.path / 'sweep.parquet'}", highlight=False, soft_wrap=True)


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
