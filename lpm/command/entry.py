"""Read the command line, hand it to a verb, and turn errors into one line and an exit code."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from ..errors import LpmError
from ..provenance import package_version
from .check import add_check
from .compare import add_compare
from .fit import add_fit
from .knobs import add_params
from .personas import add_personas
from .population import add_population
from .run import add_run
from .sweep import add_sweep

_WRONG, _STOPPED = 2, 130
_PIPED = 120  # Columns where the output is not a terminal.


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 2 on an error, 130 if stopped by the user."""
    try:
        options = _parser().parse_args(argv)
        options.words = list(sys.argv[1:] if argv is None else argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        options.act(options, _console())
    except LpmError as error:
        _say(f"error: {' '.join(str(error).split())}")
        return _WRONG
    except KeyboardInterrupt as stop:
        _say(str(stop) or "interrupted")
        return _STOPPED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lpm", description="Simulate large populations. Start with: lpm run epidemic"
    )
    parser.add_argument("--version", action="version", version=f"lpm {package_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        add_run,
        add_params,
        add_check,
        add_sweep,
        add_compare,
        add_fit,
        add_population,
        add_personas,
    ):
        add(commands)
    return parser


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _PIPED))


def _say(message: str) -> None:
    Console(stderr=True).print(message, highlight=False, markup=False, soft_wrap=True)
