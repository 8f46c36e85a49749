"""How strongly work answers to what is kept of a further dollar, from personas' answers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import PersonaError
from .surface import Surface

FULL = 100.0  # Hours at present, of which an answer says how many would be worked.


@dataclass(frozen=True)
class Elasticities:
    """Elasticities of work by the share kept, one for each persona (or cell).

    Attributes:
        value: e in hours = (kept / kept now)**e; least squares of logs through the present.
        error: standard deviation, from the spread of the answers.
        misfit: root mean square of log hours about that curve: large where answers have no such
            shape.
    """

    value: Float[np.ndarray, " persona"]
    error: Float[np.ndarray, " persona"]
    misfit: Float[np.ndarray, " persona"]


def elasticities(surface: Surface, *, now: float, full: float = FULL) -> Elasticities:
    """Elasticities from a surface whose number is hours, of `full` at present, by the share kept.

    The question leaves wages and other income as they are, so that this is the answer to a rate,
    for a worker whose utility is linear in consumption. Answers at the present share tell nothing.

    Args:
        surface: of one variable, the share kept of a further dollar, above 0; of a number that is
            above 0.
        now: share kept at present, at which `full` hours are worked.
        full: hours at present.

    Raises:
        PersonaError: another kind of surface, or a share that is not above 0.
    """
    if surface.bounds is None or len(surface.variables) != 1 or surface.bounds[0] < 0:
        raise PersonaError(
            f"a surface of {list(surface.variables)} and {list(surface.actions)}; give one of a "
            "number of hours, 0 or more, by the share kept alone"
        )
    kept = np.asarray(surface.levels[0], np.float64)
    if not (now > 0 and kept[0] > 0):
        raise PersonaError(f"kept {kept[0]:g} and more, {now:g} now; shares kept are above 0")
    x = np.log(kept / now)
    low, high = surface.bounds
    way = 1 / (1 + np.exp(-np.asarray(surface.mean, np.float64)[..., 0]))
    hours = low + (high - low) * way
    logs = np.log(hours / full)
    # By the chain rule from log-odds to log hours.
    spread = np.asarray(surface.spread, np.float64)[..., 0] * (high - low) * way * (1 - way) / hours
    square = (x**2).sum()
    value = logs @ x / square
    error = np.sqrt((spread**2) @ x**2) / square
    misfit = np.sqrt(((logs - value[:, None] * x) ** 2).mean(axis=1))
    return Elasticities(value, error, misfit)
