"""Whether a pathwise gradient of a tax can be believed: what those who jump would add."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float

from ..axes import Array
from ..errors import DataError
from .response import PerAgent, respond
from .schedule import Group, Incomes, Schedule
from .sums import total


@dataclass(frozen=True)
class JumpReport:
    """What jumps do to the gradient of mean tax revenue.

    Attributes:
        share: of people within the bandwidth of a jump.
        pathwise, corrected: gradient of mean tax by each rate and threshold without and with those
            who jump; schedules that hold derivatives.
        bias: largest difference between the two, relative to the largest element of its kind.
        tolerance: the bias up to which the pathwise gradient is taken for right.
    """

    share: float
    pathwise: Schedule
    corrected: Schedule
    bias: float
    tolerance: float

    @property
    def flagged(self) -> bool:
        """Whether the pathwise gradient is not to be used."""
        return self.bias > self.tolerance

    def __str__(self) -> str:
        says = 'use jumps="corrected"' if self.flagged else "the pathwise gradient will do"
        return (
            f"{self.share:.2%} of people are near a jump; without them the gradient of tax is off "
            f"by {self.bias:.2%} (allowed {self.tolerance:.2%}): {says}"
        )


def check_jumps(
    schedule: Schedule,
    potential: Incomes,
    elasticity: PerAgent,
    *,
    weight: Float[Array, "*agent"] | None = None,
    group: Group = None,
    cap: PerAgent | None = None,
    fixed_cost: PerAgent | None = None,
    bandwidth: float = 0.05,
    tolerance: float = 0.01,
) -> JumpReport:
    """How many people are near a jump, and how far that puts the pathwise gradient off.

    Arguments as in `respond`; `weight` is how many people an agent stands for.

    Raises:
        DataError: weights that do not sum to more than 0.
    """
    heads = jnp.ones_like(potential) if weight is None else weight
    people = float(total(heads))
    if not people > 0:
        raise DataError(f"weights sum to {people:g}; they must sum to more than 0")
    schedule = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), schedule)

    given = (potential, elasticity, heads / people, group, cap, fixed_cost)
    pathwise, _ = _slopes(schedule, *given, "pathwise", bandwidth)
    corrected, share = _slopes(schedule, *given, "corrected", bandwidth)
    bias = max(
        _off(pathwise.rates, corrected.rates),
        _off(pathwise.thresholds[..., 1:], corrected.thresholds[..., 1:]),  # the first stays at 0
    )
    return JumpReport(float(share), pathwise, corrected, bias, tolerance)


def _revenue(
    schedule: Schedule,
    potential: Incomes,
    elasticity: PerAgent,
    heads: Float[Array, "*agent"],
    group: Group,
    cap: PerAgent | None,
    fixed_cost: PerAgent | None,
    jumps: str,
    bandwidth: float,
) -> tuple[Array, Array]:
    """Mean tax, and the share of people near a jump."""
    choice = {"group": group, "cap": cap, "fixed_cost": fixed_cost}
    found = respond(schedule, potential, elasticity, jumps=jumps, bandwidth=bandwidth, **choice)
    near = jnp.zeros(()) if found.crossing is None else total(heads * found.crossing.near)
    return total(heads * found.tax), near


_slopes = jax.jit(jax.grad(_revenue, has_aux=True), static_argnames=("jumps", "bandwidth"))


def _off(naive: Array, right: Array) -> float:
    scale = float(jnp.max(jnp.abs(right), initial=0.0))
    return float(jnp.abs(naive - right).max()) / scale if scale > 0 else 0.0
