"""The record of a study: what was found, with the commit and the machine that found it."""

import json
import os
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine_load() -> dict[str, Any]:
    """Where and when a study begins."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "clock": time.perf_counter(),
    }


def finish(name: str, found: dict[str, Any], began: dict[str, Any], quick: bool) -> None:
    """Print the summary and, at full size, write results/NAME.json."""
    print(json.dumps(found["summary"], indent=2))
    began = dict(began)
    record = {
        "study": name,
        "commit": commit(),
        **{key: value for key, value in began.items() if key != "clock"},
        "hours": round((time.perf_counter() - began["clock"]) / 3600, 3),
        "jax": version("jax"),
        **found,
    }
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"wrote {path.name}")


def commit() -> str:
    """The commit that is checked out, with a plus where tracked files differ from it."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD") + ("+" if changed else "")
