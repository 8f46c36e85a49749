"""How a planner adds people up: weights, welfare, equality, and what taxes waste.

Sums are per head and weights are normalised, so that a population and its double have the same
welfare. `weight` is how many people an agent stands for (1 if not given), `where` who counts.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ..axes import Array, Bool, Float, Number, Scalar
from .sums import total

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
    counted = worst_off(utility, weight, where, share)
    values = jnp.where(counted > 0, utility, 0.0)
    return total(counted * values) / total(counted)


def worst_off(
    utility: Float[Array, " agent"],
    weight: _Weights = None,
    where: _Mask = None,
    share: Number = 0.01,
) -> Float[Array, " agent"]:
    """The share of all heads that each agent stands for among the worst-off `share`; 0 for others.

    Of people with the same utility at the border, each counts in part.
    """
    heads = head_shares(utility, weight, where)
    held = jax.lax.stop_gradient(utility)
    last = _quantile(held, heads, share)
    below, there = jnp.where(held < last, heads, 0.0), jnp.where(held == last, heads, 0.0)
    room, level = share - total(below), total(there)
    return below + there * jnp.clip(room / jnp.where(level > 0, level, 1.0), 0, 1)


def _quantile(x: Float[Array, " agent"], heads: Float[Array, " agent"], share: Number) -> Scalar:
    """The smallest of `x` up to which at least `share` of the heads are, by bisection of its bits.

    A sort takes ten times as long.
    """
    wide = jnp.uint64 if x.dtype == jnp.float64 else jnp.uint32
    bits = jax.lax.bitcast_convert_type(x + 0.0, wide)  # no -0
    top = jnp.asarray(1, wide) << (bits.dtype.itemsize * 8 - 1)
    rank = jnp.where(bits >= top, ~bits, bits | top)  # rises with x
    most = jnp.asarray(jnp.iinfo(wide).max, wide)
    rank = jnp.where(heads > 0, rank, most)

    def halve(_: Any, ends: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = ends
        middle = low + (high - low) // 2
        enough = total(jnp.where(rank <= middle, heads, 0.0)) >= share
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    ends = (jnp.min(rank), jnp.max(jnp.where(heads > 0, rank, 0)))
    _, found = jax.lax.fori_loop(0, bits.dtype.itemsize * 8, halve, ends)
    back = jnp.where(found >= top, found ^ top, ~found)
    return jax.lax.bitcast_convert_type(back, x.dtype)


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
    # Of shares of the mean: logarithms near 0 keep digits that those of dollars do not have.
    scale = jax.lax.stop_gradient(total(share * safe))
    logs = jnp.log(safe / scale)
    power = 1 - jnp.asarray(aversion, jnp.float32)
    near = jnp.abs(power) < 1e-4
    geometric = jnp.exp(total(share * logs))
    divisor = jnp.where(near, 1.0, power)
    general = total(share * jnp.exp(divisor * logs)) ** (1 / divisor)
    return scale * jnp.where(near, geometric, general)


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
