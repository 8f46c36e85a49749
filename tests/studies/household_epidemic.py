"""The epidemic on which estimators of a gradient are compared: homes, workplaces and a town.

SEIR with rates of infection per contact at home (3 people on average) and at work (20), and per
infectious share of the town, probabilities of progression and recovery, 80 days. In `weekly` the
hazard of each of 16 groups of people is multiplied anew in each of 12 weeks. A step is a day.
"""

import jax.numpy as jnp
import numpy as np

import lpm
from lpm import Array, Float, Int, Population, Scalar
from lpm.fitting.chance import generator_for
from lpm.launch import key_words

WEEKS, GROUPS = 12, 16


class Params(lpm.Params):
    home: Scalar = lpm.parameter(0.05, within=(0, None), unit="1/contact/day")
    work: Scalar = lpm.parameter(0.005, within=(0, None), unit="1/contact/day")
    town: Scalar = lpm.parameter(0.15, within=(0, None), unit="1/day")
    onset: Scalar = lpm.parameter(0.2, within=(0, 1), unit="probability/day")
    recovery: Scalar = lpm.parameter(0.2, within=(0, 1), unit="probability/day")
    seeded: Scalar = lpm.constant(0.005, unit="share of agents")


class WeeklyParams(Params):
    home: Scalar = lpm.constant(0.05, unit="1/contact/day")
    work: Scalar = lpm.constant(0.005, unit="1/contact/day")
    town: Scalar = lpm.constant(0.15, unit="1/day")
    onset: Scalar = lpm.constant(0.2, unit="probability/day")
    recovery: Scalar = lpm.constant(0.2, unit="probability/day")
    times: Float[Array, "week class"] = lpm.parameter(
        np.ones((WEEKS, GROUPS), np.float32), within=(0, None), unit="relative hazard"
    )


class State(lpm.State):
    house: lpm.Groups
    office: lpm.Groups
    everyone: lpm.Mixing
    group: Int[Array, " agent"]
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    exposed: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population, params, draw):
    infectious = draw.bernoulli(params.seeded, "agent")
    return State.of(
        population,
        house=population.groups("house_id"),
        office=population.groups("office_id"),
        everyone=lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]]),
        group=population["group"],
        susceptible=1 - infectious,
        exposed=0,
        infectious=infectious,
    )


def advance(state, params, draw, times):
    contacts = [
        (state.house, params.home * times, state.infectious),
        (state.office, params.work * times, state.infectious),
        (state.everyone, params.town * times, state.infectious),
    ]
    infected = lpm.infections(draw, state.susceptible, contacts)
    onset = draw.bernoulli(state.exposed * params.onset)
    recovered = draw.bernoulli(state.infectious * params.recovery)
    return state.replace(
        susceptible=state.susceptible - infected,
        exposed=state.exposed + infected - onset,
        infectious=state.infectious + onset - recovered,
    )


def spread(state, params, draw):
    return advance(state, params, draw, jnp.ones(()))


def spread_weekly(state, params, draw):
    week = jnp.minimum(state.t // 7, WEEKS - 1)
    return advance(state, params, draw, params.times[week][state.group])


def observe(state, params):
    return {"attack_rate": 1 - lpm.share(state.susceptible, state.alive)}


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=80, unit="day")
weekly = lpm.Scenario(init, (spread_weekly,), observe, WeeklyParams(), steps=84, unit="day")


def town_of(agents, seed=0):
    """People in homes of 3 and workplaces of 20 on average, all sizes by chance, and in groups."""
    rng = generator_for(key_words([seed]), "town")
    return Population(
        {
            "house_id": np.unique(rng.integers(0, agents // 3, agents), return_inverse=True)[1],
            "office_id": np.unique(rng.integers(0, agents // 20, agents), return_inverse=True)[1],
            "group": rng.integers(0, GROUPS, agents),
        }
    )


def attack_rate(trajectory):
    return trajectory.observed["attack_rate"][-1]
