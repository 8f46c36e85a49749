"""Time ours beside peers on one work: python -m tests.benchmarks.peers --envs DIR --out FOLDER.

For each row: small runs of both sides, whose summaries must agree within sampling error; only then
the timed runs. A peer whose environment DIR/<peer> is missing is skipped with a message.
"""

import argparse
import json
import math
import platform
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from . import machine, report
from .rows import ROWS, Row

_FOLDER = Path(__file__).parent
_SIGMAS = 4.5  # a row of two summaries fails by chance once in some 70,000 times


def call(command: list[str], limit: float) -> dict[str, Any]:
    """The JSON that a measuring process prints last.

    Raises:
        SystemExit: it failed or took too long; with what it said.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{' '.join(command)} took more than {limit:g} s") from None
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def command_of(row: Row, envs: Path, ours: bool) -> list[str]:
    if ours:
        return [sys.executable, "-m", "tests.benchmarks.peers.ours", row.work]
    script, *options = row.driver
    python = envs / row.peer / "bin" / "python"
    return [str(python), str(_FOLDER / "drivers" / f"{script}.py"), *options]


def with_numbers(command: list[str], ours: bool, size: int, steps: int, seeds: list[int]) -> list:
    """The command with its arguments; a peer's script reads size and steps first."""
    numbers = [str(n) for n in (size, steps, *seeds)]
    return [*command, *numbers] if ours else [*command[:2], *numbers, *command[2:]]


def compare(row: Row, sides: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Means of the summaries of both sides, and whether they agree."""
    found = []
    for name, slack in row.agrees:
        values = {side: [run["summary"][name] for run in runs] for side, runs in sides.items()}
        means = {side: float(np.mean(x)) for side, x in values.items()}
        error = math.hypot(*(np.std(x, ddof=1) / math.sqrt(len(x)) for x in values.values()))
        gap = abs(means["ours"] - means["theirs"])
        agree = bool(gap <= slack + _SIGMAS * error)
        found.append({"summary": name, **means, "error": error, "slack": slack, "agree": agree})
    return found


def rate(report: dict[str, Any], clock: str, runs: int = 1) -> float:
    """Agent-steps per second of the best run."""
    best = min(run["run"][clock] for run in report["runs"])
    return report["size"] * report["steps"] * runs / best


def measure(row: Row, envs: Path, repeat: int, limit: float) -> dict[str, Any]:
    """All figures of one row; those of time only where summaries agree."""
    ours, theirs = (command_of(row, envs, side) for side in (True, False))
    size, steps = row.check
    checked = {
        name: call(with_numbers(command, name == "ours", size, steps, seeds), limit)["runs"]
        for name, command, seeds in (
            ("ours", ours, list(range(1, 2 if row.runs > 1 else 1 + row.seeds))),
            ("theirs", theirs, list(range(1, 1 + row.seeds))),
        )
    }
    if row.runs > 1:  # one call of ours is an ensemble: its summary is a mean of many runs
        checked["ours"] = checked["ours"] * 2
    summaries = compare(row, checked)
    result: dict[str, Any] = {"row": asdict(row), "summaries": summaries}
    if not all(summary["agree"] for summary in summaries):
        return result | {"error": "summaries differ, so nothing was timed"}
    seeds = list(range(1, 1 + repeat))
    mine = with_numbers(ours, True, row.size, row.steps, seeds)
    mine = call([*mine, "--warm", str(row.size)], limit)
    size, steps = row.theirs or (row.size, row.steps)
    peers = with_numbers(theirs, False, size, steps, seeds)
    peers = call([*peers, "--warm", str(min(size, 2000))], limit)
    result |= {"ours": mine, "theirs": peers}
    for clock in ("wall", "cpu"):
        result[f"ours_{clock}_rate"] = rate(mine, clock, row.runs)
        result[f"theirs_{clock}_rate"] = rate(peers, clock)
        result[f"{clock}_ratio"] = result[f"ours_{clock}_rate"] / result[f"theirs_{clock}_rate"]
    best = min(run["run"]["wall"] for run in mine["runs"])
    return result | {"compile_s": mine["first"]["wall"] - best}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--envs", type=Path, required=True, help="one virtual environment a peer")
    parser.add_argument("--out", type=Path, required=True, help="folder of peers.json and its kin")
    parser.add_argument("--only", nargs="*", help="names of rows")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="of the timed sizes, for a try")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for one process")
    asked = parser.parse_args()
    names = [row.name for row in ROWS]
    wrong = sorted(set(asked.only or ()) - set(names))
    if wrong:
        raise SystemExit(f"no rows {wrong}; there are {names}")
    asked.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine.measure() | versions(), "rows": []}
    for row in ROWS:
        if asked.only and row.name not in asked.only:
            continue
        if not (asked.envs / row.peer / "bin" / "python").exists():
            print(f"{row.name}: skipped, there is no environment {asked.envs / row.peer}")
            continue
        scaled = replace(row, size=max(1000, int(row.size * asked.scale)))
        try:
            found = measure(scaled, asked.envs, asked.repeat, asked.limit)
        except SystemExit as failure:
            found = {"row": asdict(scaled), "summaries": [], "error": str(failure)}
        results["rows"].append(found)
        (asked.out / "peers.json").write_text(json.dumps(results, indent=1) + "\n")
        print(report.line(found, results["machine"]), flush=True)
    results["machine"]["after"] = machine.measure()
    (asked.out / "peers.json").write_text(json.dumps(results, indent=1) + "\n")
    (asked.out / "peers.md").write_text(report.table(results))
    report.plot(results, asked.out / "peers.png")


def versions() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {"python": platform.python_version(), "jax": jax.__version__, "commit": commit}


if __name__ == "__main__":
    main()
