"""`lpm check`: whether a scenario keeps its promises, and how many agents fit into memory."""

import argparse
from typing import Any

from rich.console import Console

from ..errors import ScenarioError
from ..testing import check_scenario
from .memory import available, fitting, measure
from .run import agents_of
from .scenarios import load

_MANY = 1_000_000


def add_check(commands: Any) -> None:
    """Declare `lpm check`."""
    parser = commands.add_parser(
        "check", help="test a scenario and its memory", description=__doc__
    )
    parser.add_argument("scenario", help="a file, or a name such as epidemic")
    parser.add_argument("--agents", metavar="N", help="ask whether N agents fit (1,000,000)")
    parser.set_defaults(act=check)


def check(options: argparse.Namespace, console: Console) -> None:
    """Run the conformance kit and the memory estimate.

    Raises:
        ScenarioError: the first promise that is broken.
    """
    agents = agents_of(options.agents, _MANY)
    loaded = load(options.scenario)
    scenario = loaded.scenario
    try:
        check_scenario(scenario)
    except AssertionError as error:
        raise ScenarioError(f"{loaded.path}: {error}") from error
    console.print(
        f"{scenario.name}: same seed, same run; spare slots, devices and segments change nothing; "
        "one compilation; finite gradients",
        highlight=False,
    )
    need, free = measure(scenario, scenario.params), available()
    console.print(
        f"memory: {need.state:,.0f} bytes of state per agent, {need.working:,.0f} while stepping, "
        f"{need.columns:,.0f} of population ({need.building:,.0f} while it is built)",
        highlight=False,
    )
    wanted = need.total(agents) / 1e9
    verdict = f"{agents:,} agents take about {wanted:,.1f} GB"
    if free is not None:
        fits = "they fit" if wanted * 1e9 <= free else "they do not fit"
        verdict += f" of {free / 1e9:,.1f} GB free: {fits}; about {fitting(need, free):,} would"
    console.print(verdict, highlight=False)
