"""`lpm compare`: two finished runs side by side, as a table and a figure."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from ..analysis.legend import Legend
from ..analysis.picture import picture_of
from ..analysis.plots import plot_overview
from ..analysis.summary import rows, same_luck, scalars, summarise
from ..errors import SimulationError
from ..trajectory import Trajectory, load as load_trajectory
from .folder import RunFolder, Spec
from .tables import show


def add_compare(commands: Any) -> None:
    """Declare `lpm compare`."""
    parser = commands.add_parser("compare", help="set two runs side by side", description=__doc__)
    parser.add_argument("first", type=Path, metavar="DIR")
    parser.add_argument("second", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, metavar="PNG", help="a new file for the figure")
    parser.set_defaults(act=compare)


def compare(options: argparse.Namespace, console: Console) -> None:
    """Print what differs in parameters and outcomes; draw both runs into one figure.

    Raises:
        SimulationError: a folder is no finished run, or nothing observed is common to both.
    """
    runs = [_finished(options.first), _finished(options.second)]
    first, second = runs
    common = [name for name in scalars(first) if name in scalars(second)]
    if not common:
        raise SimulationError(
            f"{options.first} and {options.second} observe nothing in common to compare"
        )
    names = (_label(options.first), _label(options.second))
    if names[0] == names[1]:
        names = (str(options.first), str(options.second))
    out = options.out or _free(Path(f"{_label(options.first)}-{_label(options.second)}.png"))
    if out.exists():
        raise SimulationError(f"{out} exists already; give --out the name of a new file")
    show(console, _differences(runs, names))
    if not same_luck(second, first):
        console.print("other keys or people: the difference is between independent runs")
    table = [f for f in summarise(second, first) if f.observable in common]
    shown = [
        {{"baseline": names[0], "policy": names[1]}.get(k, k): v for k, v in row.items()}
        for row in rows(table)
    ]
    show(console, shown)
    legend = Legend(**Spec.read(options.second).legend)
    axes = plot_overview(second, first, common, legend=legend, names=names)
    out.parent.mkdir(parents=True, exist_ok=True)
    RunFolder(out.parent).write(out.name, picture_of(axes).png())
    console.print(f"figure: {out}", highlight=False, soft_wrap=True)


def _finished(path: Path) -> Trajectory:
    Spec.read(path)
    if not RunFolder(path).finished:
        raise SimulationError(f"{path} is not finished; go on with: lpm run --resume {path}")
    return load_trajectory(path / "policy")


def _label(path: Path) -> str:
    return path.resolve().name


def _free(path: Path) -> Path:
    """`path`, or the same with the first number that is not taken."""
    tries = [path, *(path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(2, 1_000))]
    return next(p for p in tries if not p.exists())


def _differences(runs: list[Trajectory], names: tuple[str, str]) -> list[dict[str, str]]:
    """What the two runs were given that is not the same."""
    both = [run.provenance for run in runs]
    lines = [
        {"given": what, names[0]: str(both[0].get(what)), names[1]: str(both[1].get(what))}
        for what in ("scenario", "steps", "key", "scenario_sha256", "lpm")
        if both[0].get(what) != both[1].get(what)
    ]
    sizes = [b.get("population", {}) for b in both]
    if sizes[0] != sizes[1]:
        told = [f"{s.get('size', 0):,} ({s.get('fingerprint')})" for s in sizes]
        lines.append({"given": "population", names[0]: told[0], names[1]: told[1]})
    values = [
        {name: str(knob["value"]) for name, knob in b.get("params", {}).items()} for b in both
    ]
    for name in {**values[0], **values[1]}:
        pair = [v.get(name, "-") for v in values]
        if pair[0] != pair[1]:
            lines.append({"given": name, names[0]: pair[0], names[1]: pair[1]})
    return lines
