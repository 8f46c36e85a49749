"""What a planner may choose: rates of brackets, or of a schedule that is smooth in income."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..axes import Array
from ..errors import DataError
from .schedule import Schedule


class Design(eqx.Module):
    """Schedules that differ in a few numbers: each rate is a mixture of them.

    Attributes:
        thresholds: of all brackets, in the unit of income.
        mix: share of each number in the rate of each bracket; rows sum to 1.
        low, high: between which the numbers may be chosen.
    """

    thresholds: Float[Array, " bracket"]
    mix: Float[Array, "bracket number"]
    low: float = eqx.field(static=True, default=0.0)
    high: float = eqx.field(static=True, default=0.99)

    def __check_init__(self) -> None:
        if not -1 <= self.low < self.high <= 1:
            raise DataError(
                f"rates from {self.low} to {self.high}; the lower limit is below the upper one, "
                "both in [-1, 1]"
            )

    @property
    def size(self) -> int:
        """How many numbers are chosen."""
        return self.mix.shape[1]

    @property
    def bracketed(self) -> bool:
        """Whether each number is the rate of a bracket."""
        return self.mix.shape[0] == self.mix.shape[1]

    def schedule(self, values: Float[Array, " number"]) -> Schedule:
        """The schedule of these numbers."""
        return Schedule(self.thresholds, self.mix @ values)


def brackets(thresholds: Any, *, low: float = 0.0, high: float = 0.99) -> Design:
    """A rate for each bracket.

    Args:
        thresholds: lower edges, rising, the first 0; `[0.0]` is a flat tax.
        low: lowest rate.
        high: highest rate; at a rate of 1 nobody would earn anything in the bracket.

    Raises:
        DataError: thresholds that no schedule can have, or limits that are none.
    """
    edges = np.asarray(thresholds, np.float64)
    if edges.ndim != 1 or not edges.size:
        raise DataError(f"thresholds = {thresholds}; give a list that starts with 0")
    Schedule(edges, np.zeros(edges.shape))
    return Design(jnp.asarray(edges, jnp.float32), jnp.eye(edges.size), low, high)


def smooth(knots: Any, *, pieces: int = 8, low: float = 0.0, high: float = 0.99) -> Design:
    """Marginal rates that are linear in log income between knots, and constant beyond them.

    Held as many narrow brackets, `pieces` between two knots, so that responses stay exact; rates
    then differ from the smooth ones by half a step at most.

    Raises:
        DataError: fewer than two knots, knots that are not positive or do not rise, no pieces.
    """
    at = np.asarray(knots, np.float64)
    if at.ndim != 1 or at.size < 2 or not np.all(at > 0) or not np.all(np.diff(at) > 0):
        raise DataError(f"knots = {knots}; give two or more positive incomes that rise")
    if pieces < 1:
        raise DataError(f"pieces = {pieces}; give one at least")
    logs = np.log(at)
    fine = np.interp(np.arange((at.size - 1) * pieces + 1) / pieces, np.arange(at.size), logs)
    middle = np.concatenate([logs[:1], (fine[1:] + fine[:-1]) / 2, logs[-1:]])
    unit = np.eye(at.size)
    mix = np.stack([np.interp(middle, logs, row) for row in unit], axis=1)
    edges = np.concatenate([[0.0], np.exp(fine)])
    return Design(jnp.asarray(edges, jnp.float32), jnp.asarray(mix, jnp.float32), low, high)
