"""How a planner adds people up: weights, welfare, equality, and what taxes waste.

Sums are per head and weights are normalised, so that a population and its double have the same
welfare. `weight` is how many people an agent stands for (1 if not given), `where` who counts.
"""

import jax
import jax.numpy as jnp

from ..axes import Array, Bool, Float, Number, Scalar
from .sums import running, total

_Weights = Float[Array, " agent"] | None
_Mask = Bool[Array, " agent"] | None


def utilitarian(
    utility: Float[Array, " agent"], weight: _Weights = None, where: _Mask = None
) -> Scalar:
    """Mean utility."""
    return total(head_shares(utility, weight, where) * utility)


def weighted(
    utility: Float[Array, " agent"],
    cared: Float[Array, " agent"],
    weight: _Weights = None,
    where: _Mask = None,
) -> Scalar:
    """Mean utility with social weights `cared`, divided by their mean.

    Without the division, weights that fall with income would make a flat tax of all income best,
    whatever the skills. Taken at given incomes, such as those under the present law, the weights
    are a judgement that policy does not move; taken at incomes that respond, they are part of what
    a gradient follows.
    """
    share = head_shares(utility, weight, where)
    return total(share * cared * utility) / total(share * cared)


def inverse_income(
    income: Float[Array, " agent"], floor: Number, power: Number = 1.0
) -> Float[Array, " agent"]:
    """Social weights max(income, floor)**-power, 1 at the floor.

    `floor` is positive, in the unit of income, and belongs in every figure that uses it: without
    one, an idle person with a rebate outweighs everybody, and the mean of 1/income hardly exists in
    data. `power` is the aversion to inequality; 0 is utilitarian.
    """
    return (jnp.maximum(income, floor) / floor) ** -power


def rawlsian(
    utility: Float[Array, " agent"],
    weight: _Weights = None,
    where: _Mask = None,
    share: Number = 0.01,
) -> Scalar:
    """Mean utility of the worst-off `share` of people; the single worst-off one as it goes to 0.

    The group is who they are at the present policy; a gradient takes its members as given, which is
    right to first order.
    """
    heads = head_shares(utility, weight, where)
    order = jnp.argsort(jnp.where(heads > 0, jax.lax.stop_gradient(utility), jnp.inf))
    people = heads[order]
    before = running(people) - people
    counted = jnp.clip(share - before, 0, people)
    values = jnp.where(counted > 0, utility[order], 0.0)
    return total(counted * values) / total(counted)


def isoelastic(
    consumption: Float[Array, " agent"],
    aversion: Number,
    weight: _Weights = None,
    where: _Mask = None,
) -> Scalar:
    """Equally distributed equivalent consumption under constant relative aversion.

    What everybody would need to have alike for the same welfare. Source: Atkinson (1970).

    Args:
        consumption: positive.
        aversion: to inequality, 0 or more; 1 is the geometric mean.
        weight: people an agent stands for.
        where: who counts.
    """
    share = head_shares(consumption, weight, where)
    safe = jnp.where(share > 0, consumption, 1.0)
    logs = jnp.log(safe)
    power = 1 - jnp.asarray(aversion, jnp.float32)
    near = jnp.abs(power) < 1e-4
    geometric = jnp.exp(total(share * logs))
    divisor = jnp.where(near, 1.0, power)
    general = total(share * jnp.exp(divisor * logs)) ** (1 / divisor)
    return jnp.where(near, geometric, general)


def deadweight_loss(
    utility: Float[Array, " agent"],
    untaxed: Float[Array, " agent"],
    tax: Float[Array, " agent"],
    weight: _Weights = None,
    where: _Mask = None,
) -> Scalar:
    """What people lose beyond the revenue, per head: mean of (untaxed - utility - tax).

    Utilities are in units of consumption and `utility` is after tax, without the rebate that the
    revenue pays for. With quasi-linear utility this is the equivalent variation less the tax.
    """
    return total(head_shares(utility, weight, where) * (untaxed - utility - tax))


def head_shares(
    like: Float[Array, " agent"], weight: _Weights, where: _Mask
) -> Float[Array, " agent"]:
    """The share of all heads that each agent stands for; 0 for those who do not count."""
    heads = jnp.ones_like(like) if weight is None else weight
    heads = heads if where is None else jnp.where(where, heads, 0.0)
    people = total(heads)
    return heads / jnp.where(people > 0, people, 1.0)
