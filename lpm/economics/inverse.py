"""What workers must be like to do what they are seen to do under the tax law of the day."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Bool, Float

from ..axes import Array, Number, Scalar
from .response import PerAgent, respond
from .schedule import Group, Incomes, Schedule, column
from .sums import total

_AT = 1e-6  # Of a threshold: who is so close is on it, in float32.
_AS_SEEN = 1e-4
_SURE = 0.02  # Chances closer to 0 or 1 are taken to be so far from it.


class BackedOut(eqx.Module):
    """Potential incomes that explain observed ones.

    Attributes:
        potential: m, income at no tax.
        bunching: who earns just what a threshold is: m is known to an interval only, and is its
            geometric middle.
        explained: whether the observed income is the best response of such a worker. It is not
            where rates fall and nobody should be: he would rather be further up or down.
    """

    potential: Float[Array, "*agent"]
    bunching: Bool[Array, "*agent"]
    explained: Bool[Array, "*agent"]


def back_out(
    schedule: Schedule, income: Incomes, elasticity: PerAgent, *, group: Group = None
) -> BackedOut:
    """The workers who choose these incomes under a schedule: m = z (1 - T'(z))**-e.

    With hourly wages as observed, hours come out as observed too, to the digits of float32: skill
    and taste for work need not be told apart.

    Args:
        schedule: the law under which incomes were observed.
        income: before tax, 0 or more.
        elasticity: e, of income by 1 minus the marginal rate.
        group: of each agent, for schedules by group.

    Source: Saez (2001), who backs skills out of incomes in this way.
    """
    above = schedule.marginal(income, group)
    below, bunching = above, jnp.zeros(income.shape, bool)
    for j in range(1, schedule.brackets):
        edge = column(schedule.thresholds, j, group)
        on = (jnp.abs(income - edge) <= _AT * edge) & (edge > 0)
        below = jnp.where(on, column(schedule.rates, j - 1, group), below)
        above = jnp.where(on, column(schedule.rates, j, group), above)
        bunching = bunching | on
    kept = jnp.sqrt((1 - below) * (1 - above))
    potential = income * kept ** -jnp.asarray(elasticity, jnp.float32)
    found = respond(schedule, potential, elasticity, group=group).income
    explained = jnp.abs(found - income) <= _AS_SEEN * income
    return BackedOut(potential, bunching, explained)


def costs_of_working(
    gain: Float[Array, " agent"],
    works: Bool[Array, " agent"],
    chance: Float[Array, " agent"],
    luck: Float[Array, " agent"],
    slope: Scalar | float,
) -> Float[Array, " agent"]:
    """Fixed costs of working under which those work who do.

    Of people alike, the log of cost over gain is logistic: the log odds of working rise by `slope`
    for each log point of what work gains, and are those of `chance` at the gains of the day. Who
    works is told from who does not by the draw from the one or the other side of it.

    Args:
        gain: utility of working, cost left out, less that of not working; in money.
        works: who does.
        chance: share who work among people alike. Where all do, nothing is learnt about costs and
            they are 0.
        luck: uniform in (0, 1), of each agent.
        slope: positive; see `slope_of_chance`.
    """
    share = jnp.clip(chance, _SURE, 1 - _SURE)
    place = jnp.where(works, luck * share, share + luck * (1 - share))
    logs = (_log_odds(place) - _log_odds(share)) / slope
    return jnp.where(chance < 1, gain * jnp.exp(jnp.minimum(logs, 30.0)), 0.0)


def slope_of_chance(
    participation: Number,
    elasticity: Number,
    chance: Float[Array, " agent"],
    weight: Float[Array, " agent"],
) -> Scalar:
    """The slope of the log odds that makes the share who work as elastic as asked for.

    `participation` is the elasticity of the share of all who work by 1 minus a flat tax. What work
    gains rises by 1 + e for each log point of that, and the share of people alike by p (1 - p) for
    each unit of log odds.
    """
    share = jnp.clip(chance, _SURE, 1 - _SURE)
    spread = jnp.where(chance < 1, share * (1 - share), 0.0)
    moved, working = total(weight * spread), total(weight * chance)
    some = moved > 0
    ratio = jnp.where(some, working, 1.0) / jnp.where(some, moved, 1.0)
    return participation / (1 + elasticity) * ratio


def _log_odds(p: Float[Array, " agent"]) -> Float[Array, " agent"]:
    return jnp.log(p) - jnp.log1p(-p)
