"""Workers at a jump, where rates fall or work has a fixed cost: what they add to a gradient.

As policy moves, the worker who is indifferent between two incomes moves along the distribution, and
with him the mass that chooses the one or the other. The derivative of the mean of f(z) therefore is
the pathwise one plus, at each jump, density x (f(below) - f(above)) x d log m*/d policy, where m*
is the potential income of the indifferent worker. Each worker carries a part: let D be his utility
above the jump less that below it. Then u = D / (dD/d log m) is his distance from indifference in
log m, and the mean of K(u), with a kernel K, an estimate of the density there; a change dD moves
him across by K(u) dD / (dD/d log m). All of this is local to a worker: no sorting, no search for
m*, and elasticities, caps and costs may differ between workers. Weights are those of the mean.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from ..axes import Array


class Crossing(eqx.Module):
    """How workers near a jump move across it.

    Attributes:
        weight: 0, with the derivative of the share that is above.
        near: who is near enough to a jump to stand for those at it.
        distance: of log potential income from indifference; infinite where there is no jump.
        lower, upper: incomes on either side, without derivative.
        lower_tax, upper_tax: taxes there, without derivative.
    """

    weight: Float[Array, "*agent"]
    near: Bool[Array, "*agent"]
    distance: Float[Array, "*agent"]
    lower: Float[Array, "*agent"]
    upper: Float[Array, "*agent"]
    lower_tax: Float[Array, "*agent"]
    upper_tax: Float[Array, "*agent"]

    def apply(
        self,
        f: Callable[[Float[Array, "*agent"]], Float[Array, "*agent"]],
        income: Float[Array, "*agent"],
    ) -> Float[Array, "*agent"]:
        """f(income), whose mean has the derivative of the mean, for any f.

        `Response.income` is right for the mean of incomes, and f of it for the mean of a linear f
        only. This takes the difference of f across the jump instead.
        """
        below, above = (jax.lax.stop_gradient(f(x)) for x in (self.lower, self.upper))
        linear = self.weight * (self.upper - self.lower)
        return f(income - linear + jax.lax.stop_gradient(linear)) + self.weight * (above - below)


def crossing(
    chosen: Any, rival: Any, exists: Any, elasticity: Any, bandwidth: float, room: tuple[Any, Any]
) -> Crossing:
    """From the best choice of each worker and the best one across a jump.

    Args:
        chosen: outcome with income, tax, utility and effort.
        rival: the same across the jump.
        exists: whether there is one.
        elasticity: of the worker.
        bandwidth: of the kernel, in log potential income, at most.
        room: how far log potential income may fall, and rise, while both incomes compete.
    """
    above = chosen.income > rival.income
    gap = jnp.where(above, chosen.utility - rival.utility, rival.utility - chosen.utility)
    stop = jax.lax.stop_gradient
    # At a given income, d utility / d log m is effort / e.
    efforts = jnp.abs(stop(chosen.effort) - stop(rival.effort)) / stop(elasticity)
    exists = exists & (efforts > 0)
    efforts = jnp.where(exists, efforts, 1.0)
    distance = jnp.where(exists, stop(gap) / efforts, jnp.inf)
    # The same for all at one jump: how far either end of the competition is from indifference. At
    # the ends themselves one of the two incomes is at a corner, and distance is no longer straight.
    room_there = jnp.minimum(room[0] - distance, room[1] + distance)
    width = jnp.minimum(bandwidth, 0.7 * room_there)
    near = exists & (jnp.abs(distance) < width)
    width, within = jnp.where(near, width, 1.0), jnp.where(near, distance, 0.0)
    density = jnp.where(near, 0.75 * (1 - (within / width) ** 2) / width, 0.0)
    gap = jnp.where(near, gap, 0.0)
    low, high = _sides(above, stop(rival.income), stop(chosen.income))
    low_tax, high_tax = _sides(above, stop(rival.tax), stop(chosen.tax))
    weight = density / efforts * (gap - stop(gap))
    return Crossing(weight, near, distance, low, high, low_tax, high_tax)


def _sides(above: Any, rival: Any, chosen: Any) -> tuple[Any, Any]:
    return jnp.where(above, rival, chosen), jnp.where(above, chosen, rival)
