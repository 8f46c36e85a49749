"""Outcomes: several numbers that are read off one run, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError, unknown
from ..params import Params
from ..population import Population
from ..scenario import Scenario
from ..trajectory import Trajectory
from .objective import Readings
from .runs import as_tree, check_loss
from .seam import Loss

# A function of the run, several by name, or names of observables whose last value is meant.
Outcomes: TypeAlias = Loss | str | Sequence[str] | Mapping[str, Loss]


@dataclass(frozen=True)
class LastValue:
    """What a scalar observable is in the last row.

    Raises:
        FittingError: the run has no such observable.
    """

    observable: str

    def __call__(self, trajectory: Trajectory) -> Float[Array, ""]:
        """The number."""
        if self.observable not in trajectory.observed:
            there = trajectory.observed
            raise FittingError(unknown("trajectory", "observable", [self.observable], there))
        return jnp.asarray(trajectory.observed[self.observable][-1], jnp.float32)


def settle_outcomes(
    outcome: Outcomes,
    scenario: Scenario[Any, Any],
    population: Population,
    words: UInt32[Array, "run 2"],
    params: Params,
    steps: int,
    every: int,
) -> dict[str, Loss]:
    """Functions by name, each seen to give a float, or one per row whose sum is meant.

    Raises:
        FittingError: none at all, no such observable, or another shape.
    """
    if isinstance(outcome, Mapping):
        found = dict(outcome)
    elif isinstance(outcome, str):
        found = {outcome: LastValue(outcome)}
    elif isinstance(outcome, Sequence):
        found = {name: LastValue(name) for name in outcome}
    else:
        found = {getattr(outcome, "__name__", type(outcome).__name__): outcome}
    if not found:
        raise FittingError("there is no outcome; name observables or give functions of the run")
    for name, function in found.items():
        try:
            check_loss(scenario, population, function, words, params, steps, every)
        except FittingError as error:
            raise FittingError(f"outcome {name!r}: {error}") from error
    return found


def read_outcomes(outcomes: Mapping[str, Loss]) -> Readings:
    """All of them in one row."""
    first, *others = outcomes.values()
    return Readings(as_tree(first), tuple(Readings(as_tree(one)) for one in others))
