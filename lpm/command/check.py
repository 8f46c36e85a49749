"""`lpm check`: whether a scenario keeps its promises, and how many agents fit into memory."""

import argparse
from typing import Any

from rich.console import Console

from ..errors import DataError, ScenarioError, SimulationError
from ..population import Population
from ..scenario import Scenario
from ..testing import check_scenario
from .memory import measure, verdict
from .run import agents_of
from .scenarios import load

_MANY = 1_000_000
_FEW, _MORE = 500, 10_000  # People to check with; the second where the first are too few.


def add_check(commands: Any) -> None:
    """Declare `lpm check`."""
    parser = commands.add_parser(
        "check", help="test a scenario and its memory", description=__doc__
    )
    parser.add_argument("scenario", help="a file, or a name such as epidemic")
    parser.add_argument("--agents", metavar="N", help="ask whether N agents fit (1,000,000)")
    parser.add_argument("--devices", type=int, metavar="D", help="split over D devices (1)")
    parser.set_defaults(act=check)


def check(options: argparse.Namespace, console: Console) -> None:
    """Run the conformance kit and the memory estimate.

    Raises:
        ScenarioError: the first promise that is broken.
        SimulationError: fewer agents or devices than one.
    """
    agents = agents_of(options.agents, _MANY)
    devices = 1 if options.devices is None else options.devices
    if devices < 1:
        raise SimulationError(f"--devices {devices}: give at least 1")
    loaded = load(options.scenario)
    scenario = loaded.scenario
    try:
        check_scenario(scenario, _small_town(scenario))
    except AssertionError as error:
        raise ScenarioError(f"{loaded.path}: {error}") from error
    console.print(
        f"{scenario.name}: same seed, same run; spare slots, devices and segments change nothing; "
        "one compilation; finite gradients",
        highlight=False,
    )
    need = measure(scenario, scenario.params)
    console.print(
        f"memory per agent: {need.state:,.0f} bytes of state, {need.starting:,.0f} more at the "
        f"start, {need.working:,.0f} more while stepping, {need.columns:,.0f} of population "
        f"({need.building:,.0f} while it is built)",
        highlight=False,
    )
    who = "the device" if devices == 1 else f"each of {devices} devices"
    console.print(
        f"{who} holds about {need.device(agents, 1, devices) / 1e9:,.2f} GB at "
        f"its peak, each process {need.host(agents) / 1e9:,.2f} GB beside that",
        highlight=False,
    )
    fits, told = verdict(need, agents, 1, devices)
    console.print(f"{told}: {'it fits' if fits else 'it does not fit'}", highlight=False)


def _small_town(scenario: Scenario[Any, Any]) -> Population:
    """The fewest people a scenario's population can be made of, of two sizes."""
    try:
        return scenario.population(_FEW, seed=1)
    except DataError:
        return scenario.population(_MORE, seed=1)
