"""What every estimator of a gradient is: a function from a scenario to gradients by run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..params import Params
from ..population import Population
from ..scenario import Scenario
from ..trajectory import Trajectory

# The trajectory of one run to a scalar, or to one value per row whose sum is meant.
Loss: TypeAlias = Callable[[Trajectory], jax.Array]


@dataclass(frozen=True)
class PerRun:
    """Gradients of the loss, run by run, at one point.

    Attributes:
        gradients: by name of a field, [run, *field]; their mean over runs is the estimate. Runs
            may share a baseline, so that one run alone need not be unbiased.
        values: the loss of each run, summed over its rows.
        cost: agents times steps, a step counted as often as it, or its adjoint, was computed.
        gaps: by name, [run, *field]: what half the step size adds; empty unless differences.
    """

    gradients: Mapping[str, Float[np.ndarray, "run ..."]]
    values: Float[np.ndarray, " run"]
    cost: float
    gaps: Mapping[str, Float[np.ndarray, "run ..."]] = field(default_factory=dict)


@runtime_checkable
class Estimator(Protocol):
    """A way to differentiate the expected loss of a run.

    `params` hold one value each, `fields` name some of its float fields, `keys` are words of
    `lpm.launch.key_words`. What an estimator cannot do for a scenario it refuses with a
    `ScenarioError` or `FittingError`, before it runs anything.
    """

    def __call__(
        self,
        scenario: Scenario[Any, Any],
        population: Population,
        loss: Loss,
        keys: UInt32[Array, "run 2"],
        params: Params,
        fields: tuple[str, ...],
        steps: int,
        every: int,
    ) -> PerRun:
        """Gradients by run of the loss by `fields`."""
        ...
