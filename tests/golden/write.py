"""Rewrite the golden observables: python -m tests.golden.write [NAME ...]

Run it only when results are meant to change, in a commit of its own whose changelog line says so.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import lpm

FOLDER = Path(__file__).parent
CHANGES = {
    "covid": {"seeded": 0.02},
    "epidemic": {"seeded": 0.02, "vaccine_start": 5},
    "isolation": {"seeded": 0.02},
    "winter": {"seeded": 0.1, "closure_start": 10, "severity": [0.3] * 5},
}  # Enough to see within 20 days.


def observables(name: str) -> dict[str, Any]:
    """Observables of a small run every fifth step, to five digits."""
    scenario = importlib.import_module(f"scenarios.{name}").scenario
    population = scenario.population(10_000 if name in ("epidemic", "covid") else 500, seed=1)
    params = scenario.params.replace(**CHANGES.get(name, {}))
    run = lpm.simulate(scenario, population, key=42, steps=20, every=5, params=params, devices=1)
    return {
        key: [float(f"{v:.5g}") for v in np.asarray(x, float).ravel()]
        for key, x in run.observed.items()
    }


def main() -> None:
    names = sys.argv[1:] or sorted(
        p.stem for p in (FOLDER.parent.parent / "scenarios").glob("*.py") if p.stem[0] != "_"
    )
    for name in names:
        text = json.dumps(observables(name), separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(text.replace("],", "],\n") + "\n")


if __name__ == "__main__":
    main()
