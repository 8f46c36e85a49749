"""Fit two public data sets with PopulationSim and with this package, in one run, as ratios.

    python -m tests.benchmarks.population_peer --peer-python ../populationsim/bin/python

The peer needs NumPy below 2, hence an environment of its own: `python -m venv ../populationsim`,
then `../populationsim/bin/pip install populationsim`. It runs with NumPy, as its examples do, or
with `--numba`, its own faster option. Both sides are fresh processes that read the same files, one
after the other. Times are the best of `--repeat`, but for the first run, which has imports and all
compilation in it; processor seconds count all threads. Quote ratios. Ours is asked for `exact`
totals, or `soft` ones with the peer's importances and, in the survey, its limits on weights.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.benchmarks.peer_cases import CALM, SURVEY, calm_oregon, travel_survey, write_case

ROOT = Path(__file__).parents[2]
CASES = {SURVEY: travel_survey, CALM: calm_oregon}
OFF = 0.5  # A total missed by more would be another whole number.


def run_side(command: list[str], folder: Path, side: str) -> dict[str, Any]:
    """The answer of one side, from a process of its own, which is told when it was started."""
    command = [*command, repr(time.time())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} failed on {folder.name}:\n{done.stderr[-3000:]}")
    return json.loads((folder / f"{side}.json").read_text())


def times(answer: dict[str, Any]) -> dict[str, float]:
    runs = answer["seconds"]
    return {
        "first run and imports, s": answer["imports"] + runs[0]["whole"],
        "whole run, s": min(run["whole"] for run in runs),
        "weighting alone, s": min(run["weighting"] for run in runs),
        "processor, s": min(run["processor"] for run in runs),
    }


def accuracy(folder: Path, case: dict[str, Any], reached: dict[str, Any]) -> dict[str, float]:
    """Misses by group of controls, for fractions and, where there are any, whole numbers."""
    found: dict[str, float] = {}
    kinds = {"balanced_weight": "weights"} | ({"integer_weight": "counts"} if case["whole"] else {})
    for kind, label in kinds.items():
        for group, (level, controls) in case["groups"].items():
            totals = pl.read_csv(folder / f"{level}.csv")
            wanted = totals.select(pl.col(controls).cast(pl.Float64)).to_numpy()
            columns = [case["levels"][level].index(control) for control in controls]
            none = [0.0] * len(case["levels"][level])
            rows = [reached[f"{kind}/{level}"].get(str(zone), none) for zone in totals[level]]
            off = np.abs(np.array(rows)[:, columns] - wanted)
            where = f"{group}, {label}"
            found[f"{where}: TAE/total"] = off.sum() / wanted.sum()
            found[f"{where}: worst relative error"] = (off / np.maximum(wanted, 1)).max()
            found[f"{where}: zones off, of {len(wanted)}"] = (off > OFF).any(axis=1).sum()
    return found


def closeness(folder: Path, case: dict[str, Any], reached: dict[str, Any]) -> dict[str, float]:
    """How far weights moved for it: relative entropy to the design weights, per household."""
    if "weights" not in reached:
        return {}
    homes = pl.read_csv(folder / "households.csv", infer_schema_length=None)
    size = pl.col(case["total"])
    homes = homes.with_columns(pl.col("hh_id").cast(pl.String))
    found = reached["weights"]
    answer = pl.DataFrame({"hh_id": list(found), "w": list(found.values())})
    homes = homes.join(answer, on="hh_id").with_columns(
        start=pl.col("weight") * (pl.col("w") * size).sum().over(case["seed"])
        / (pl.col("weight") * size).sum().over(case["seed"])
    )  # fmt: skip
    weight, start = homes["w"].to_numpy(), homes["start"].to_numpy()
    moved = np.where(weight > 0, weight * np.log(np.maximum(weight, 1e-300) / start), 0.0)
    return {"relative entropy to the design weights": moved.sum() / weight.sum()}


def compare(name: str, work: Path, asked: argparse.Namespace) -> None:
    """The rows of one data set."""
    folder = work / name
    case = write_case(CASES[name], asked.data, folder)
    case["settings"] |= {"USE_NUMBA": asked.numba}
    (folder / "case.json").write_text(json.dumps(case))
    here = Path(__file__).parent / "peer_theirs.py"
    place, repeat = str(folder), str(asked.repeat)
    module = "tests.benchmarks.peer_ours"
    commands = {"theirs": [asked.peer_python, str(here), place, str(asked.peer_repeat)]}
    for side in asked.ours:
        commands[side] = [sys.executable, "-m", module, place, repeat, side]
    rows: dict[str, dict[str, float]] = {}
    for side, command in commands.items():
        load = os.getloadavg()[0]
        answer = run_side(command, folder, "theirs" if side == "theirs" else "ours")
        reached = answer["reached"]
        rows[side] = times(answer) | accuracy(folder, case, reached)
        rows[side] |= closeness(folder, case, reached)
        print(f"{name}, {side}, {answer['version']}: load {load:.1f} before", file=sys.stderr)
    print_rows(name, rows)


def print_rows(name: str, rows: dict[str, dict[str, float]]) -> None:
    theirs = rows["theirs"]
    for side in [side for side in rows if side != "theirs"]:
        for measure, ours in rows[side].items():
            peer = theirs[measure]
            ratio = f"{peer / ours:.3g}" if ours > 1e-9 else ("1" if peer <= 1e-9 else "-")
            print(f"| {name} | {side} | {measure} | {peer:.3g} | {ours:.3g} | {ratio} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", help="Python of an environment with PopulationSim")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peer-repeat", type=int, default=1)
    parser.add_argument("--numba", action="store_true", help="the peer's compiled balancers")
    parser.add_argument("--ours", nargs="*", default=["exact", "soft"], choices=["exact", "soft"])
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    asked = parser.parse_args()
    asked.peer_python = os.path.abspath(asked.peer_python or "")
    check = [asked.peer_python, "-c", "import populationsim.steps"]
    found = os.access(asked.peer_python, os.X_OK) and os.path.isfile(asked.peer_python)
    if not found or subprocess.run(check, capture_output=True, check=False).returncode:
        sys.exit("skipped: --peer-python names no Python that can import populationsim")
    missing = [name for name in asked.only if not (asked.data / name).exists()]
    if missing:
        sys.exit(f"skipped: {missing} are not in {asked.data}; name their parent in --data")
    print(f"{os.cpu_count()} cores; the ratio is the peer's figure over ours\n")
    print("| data | ours | measure | PopulationSim | lpm | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as work:
        for name in asked.only:
            compare(name, Path(work), asked)


if __name__ == "__main__":
    main()
