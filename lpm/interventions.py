"""Reusable parts of a policy: when, to whom, how many, with what effect. All are plain functions.

Each part answers one question with 0/1 (or a share) per agent and composes by multiplication, so a
scenario builds its own measures: `window(t, start, end) * eligible * draw.bernoulli(uptake, ...)`.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from .aggregates import count_by_segment
from .axes import Array, Float, Int, Number, Scalar
from .draw import Draw
from .errors import ScenarioError
from .networks import AbstractNetwork

# A step long past, "not yet", for variables that hold the step of an event. Fits 16 bits.
NEVER = -30_000


def window(t: Int[Array, ""], start: Number, end: Number) -> Scalar:
    """1 while `start <= t < end`, otherwise 0; t, start and end in steps."""
    return ((t >= start) & (t < end)).astype(jnp.float32)


def season(t: Int[Array, ""], amplitude: Number, peak: Number) -> Scalar:
    """Factor on transmission, 1 on average over a year of 365.25 daily steps, highest at `peak`."""
    return 1 + amplitude * jnp.cos(2 * jnp.pi * (t - peak) / 365.25)


def ration(
    eligible: Float[Array, " agent"],
    capacity: Number,
    order: Int[Array, " agent"],
    num_ranks: int,
) -> Float[Array, " agent"]:
    """Probability with which each eligible agent is served, lowest `order` first.

    Whole ranks are served while supply lasts; the rank in which it ends shares what is left
    evenly. Served agents number `capacity` on average, with binomial spread in that last rank.

    Args:
        eligible: who may be served, 0 or 1.
        capacity: agents that can be served this step.
        order: rank of each agent, 0 .. num_ranks - 1; lower goes first.
        num_ranks: how many ranks there are.

    Raises:
        ScenarioError: fewer than one rank.
    """
    if num_ranks < 1:
        raise ScenarioError(f"num_ranks = {num_ranks}; give at least one rank")
    waiting = count_by_segment(eligible, order, num_ranks)
    left = capacity - (jnp.cumsum(waiting) - waiting)
    share = jnp.clip(left / jnp.maximum(waiting, 1), 0, 1)
    return eligible * share[order]


def confirmed_after(
    draw: Draw,
    ill: Float[Array, " agent"],
    well: Float[Array, " agent"],
    *,
    uptake: Number,
    sensitivity: Number,
    screening: Number = 0.0,
    specificity: Number = 1.0,
) -> Float[Array, " agent"]:
    """Who takes a test today that will come back positive, 0 or 1.

    Args:
        draw: the process's randomness.
        ill: agents whose symptoms begin today; a share `uptake` is tested.
        well: agents without the disease; a share `screening` is tested each step.
        uptake, screening: share tested per step among the ill and the well.
        sensitivity: probability that the test of an ill agent is positive.
        specificity: probability that the test of a well agent is negative.
    """
    return draw.bernoulli(ill * uptake * sensitivity + well * screening * (1 - specificity))


def traced(
    draw: Draw,
    confirmed: Float[Array, " agent"],
    contacts: Sequence[tuple[AbstractNetwork, Number]],
) -> Float[Array, " agent"]:
    """Contacts of confirmed cases whom tracing reaches, 0 or 1.

    Args:
        draw: the process's randomness.
        confirmed: cases whose contacts are asked for today, 0 or 1.
        contacts: (network, probability that one contact of one case is reached).
    """
    missed = jnp.zeros_like(confirmed)
    for network, reach in contacts:
        missed = missed + network.sum(confirmed) * jnp.log1p(-jnp.minimum(reach, 1 - 1e-6))
    return draw.bernoulli(-jnp.expm1(missed))


def away(
    t: Int[Array, ""], since: Float[Array, " agent"], length: Number
) -> Float[Array, " agent"]:
    """1 for agents within `length` steps of the step in `since` (`NEVER` for none), else 0."""
    return ((t >= since) & (t < since + length)).astype(jnp.float32)


def dose_protection(
    t: Int[Array, ""],
    first_dose: Float[Array, " agent"] | Int[Array, " agent"],
    *,
    interval: Number,
    onset: Number,
    after_first: Number,
    after_second: Number,
) -> Float[Array, " agent"]:
    """Share by which vaccination lowers an agent's susceptibility.

    Zero until `onset` steps after the first dose, `after_first` then, and `after_second` from
    `onset` steps after the second dose, which follows the first after `interval`.

    Args:
        t: the step.
        first_dose: step of the first dose, `NEVER` for none. [agent]
        interval: steps between the doses; as long as the run or longer means no second dose.
        onset: steps until a dose protects.
        after_first, after_second: efficacy against infection, in [0, 1].
    """
    days = t - first_dose
    given = first_dose >= 0
    one = given & (days >= onset)
    two = given & (days >= interval + onset)
    return jnp.where(two, after_second, jnp.where(one, after_first, 0.0))


def importation(draw: Draw, susceptible: Float[Array, " agent"], rate: Number) -> Array:
    """Susceptible agents infected outside the population this step, 0 or 1.

    `rate` is a hazard per susceptible agent and step.
    """
    return draw.bernoulli(susceptible * -jnp.expm1(-jnp.asarray(rate)))
