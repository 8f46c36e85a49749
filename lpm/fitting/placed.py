"""Where the runs of a fit happen: each run over the devices that the verb was given."""

import copy
from typing import Any

from ..launch import choose_mesh
from ..population import Population

_DEVICES = "devices"


def placed(population: Population, devices: Any) -> Population:
    """The same people, whose runs in a fit spread over `devices`: a number, a list, or `None`.

    Fits call for runs in many places and always with their people, so it is noted there. `None`
    is one device: the runs of a fit are mostly too small to share.

    Raises:
        SimulationError: more devices than there are.
    """
    if devices is None:
        return population
    choose_mesh(devices, population.capacity)
    mark = devices if isinstance(devices, int) else tuple(devices)
    if ("placed", mark) not in population.compiled:
        other = copy.copy(population)
        other.compiled = {_DEVICES: devices}
        population.compiled["placed", mark] = other
    return population.compiled["placed", mark]


def devices_of(population: Population) -> Any:
    """The devices for one run of a fit, as `lpm.simulate` takes them."""
    return population.compiled.get(_DEVICES, 1)
