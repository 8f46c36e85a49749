"""`lpm params`: what can be turned in a scenario, within which bounds, in which unit."""

import argparse
from typing import Any

from rich.console import Console

from .scenarios import load
from .tables import show


def add_params(commands: Any) -> None:
    """Declare `lpm params`."""
    parser = commands.add_parser("params", help="list a scenario's parameters", description=__doc__)
    parser.add_argument("scenario", help="a file, or a name such as epidemic")
    parser.set_defaults(act=params)


def params(options: argparse.Namespace, console: Console) -> None:
    """Print one row per parameter, with the baseline's value where it differs."""
    scenario = load(options.scenario).scenario
    rows = scenario.params.table()
    if scenario.baseline:
        other = {
            r["name"]: r["value"] for r in scenario.params.replace(**scenario.baseline).table()
        }
        for row in rows:
            unit, within = row.pop("unit"), row.pop("within")
            row["baseline"] = other[row["name"]] if row["name"] in scenario.baseline else ""
            row |= {"within": within, "unit": unit}
    show(console, rows)
