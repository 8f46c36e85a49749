"""Who is vaccinated first, and how long they wait for the second dose, while supply is short.

SIR with geometric stays among five age bands that meet as in the state of New York (Mistry et al.
2021); fatality by age follows Levin et al. (2020). A step is a day; all flows are read off its
start. `R0` is the spectral radius of the next-generation matrix in a population with the ages of
the contact data, before vaccination. Every day second doses that are due are given first; the rest
of the supply is shared out over the bands, and what a band cannot use goes to the oldest who wait.
Supply, uptake, efficacy and the time to protection are assumptions. The town is made up.
"""

import jax.numpy as jnp
import numpy as np

import lpm
from lpm import (
    Array,
    Bool,
    Draw,
    Float,
    Int,
    Population,
    Scalar,
    epidemiology as epi,
    interventions as act,
)
from lpm.population import contact_matrix

EDGES = (0, 20, 40, 60, 75)  # First years of the bands.
BANDS = len(EDGES)
FATALITY = epi.fatality_by_age(np.array([10, 30, 50, 67, 82], np.float32))
# Years left to live at these ages, about as in the United States of 2019.
YEARS_LEFT = np.array([69, 50, 32, 18, 8], np.float32)
PHASE = 30  # Days of the first phase of the allocation.
LABELS = {"dead_by_age": ("0-19", "20-39", "40-59", "60-74", "75+")}
UNITS = {"dead": "people", "dead_by_age": "people", "doses": "doses", "years_lost": "years"}
_CONTACTS = contact_matrix(bands=EDGES)
_RADIUS = float(np.abs(np.linalg.eigvals(_CONTACTS)).max())


class Params(lpm.Params):
    R0: Scalar = lpm.parameter(2.0, within=(0, 30), unit="infections per infected person")
    infectious: Scalar = lpm.constant(6, unit="day")
    seeded: Scalar = lpm.parameter(0.004, within=(0, 1), unit="share infected at the start")
    supply: Scalar = lpm.constant(0.006, unit="doses/person/day")
    willing: Scalar = lpm.parameter(0.8, within=(0, 1), unit="share who accept a vaccine")
    onset: Scalar = lpm.constant(14, unit="day")
    efficacy_first: Scalar = lpm.parameter(0.6, within=(0, 1), unit="against infection")
    efficacy_second: Scalar = lpm.parameter(0.9, within=(0, 1), unit="against infection")
    allocation: Float[Array, "phase age"] = lpm.policy(
        np.full((2, BANDS), 1 / BANDS), within=(0, 1), unit="share of first doses"
    )
    interval: Scalar = lpm.policy(28, within=(14, 112), unit="day between doses")


class State(lpm.State):
    everyone: lpm.Mixing
    accepts: Bool[Array, " agent"]
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infected: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    dead: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    first_dose: Int[Array, " agent"] = lpm.variable(within=(act.NEVER, 32_767), unit="day")
    second_dose: Int[Array, " agent"] = lpm.variable(within=(act.NEVER, 32_767), unit="day")


def init(population: Population, params: Params, draw: Draw) -> State:
    if draw.estimator == "mean_field":
        raise lpm.ScenarioError("vaccination follows days of doses, which have no mean field")
    infected = draw.bernoulli(params.seeded, "agent")
    band = jnp.searchsorted(jnp.array(EDGES[1:]), population["age"], side="right")
    return State.of(
        population,
        everyone=lpm.Mixing(jnp.where(population.alive, band, -1), _CONTACTS),
        accepts=draw.uniform("agent") < params.willing,
        susceptible=1 - infected,
        infected=infected,
        dead=0,
        first_dose=act.NEVER,
        second_dose=act.NEVER,
    )


def vaccinate(state: State, params: Params, draw: Draw) -> State:
    living = state.alive & (state.dead == 0)
    supply = params.supply * lpm.count(state.alive)
    had_one = living & (state.first_dose >= 0) & (state.second_dose < 0)
    due = (had_one & (state.t - state.first_dose >= params.interval)).astype(jnp.float32)
    second = draw.bernoulli(due * jnp.minimum(supply / jnp.maximum(lpm.count(due), 1), 1))
    left = jnp.maximum(supply - lpm.count(second), 0)
    waiting = (living & state.accepts & (state.first_dose < 0)).astype(jnp.float32)
    people = lpm.count_by(waiting, state.everyone.class_of, BANDS)
    given = jnp.minimum(people, left * params.allocation[(state.t >= PHASE).astype(jnp.int32)])
    oldest = (people - given)[::-1]
    spare = left - jnp.sum(given) - (jnp.cumsum(oldest) - oldest)
    given = given + jnp.clip(spare, 0, oldest)[::-1]
    share = given / jnp.maximum(people, 1)
    first = draw.bernoulli(waiting * share[state.everyone.class_of])
    return state.replace(
        first_dose=jnp.where(first > 0, state.t, state.first_dose),
        second_dose=jnp.where(second > 0, state.t, state.second_dose),
    )


def transmit(state: State, params: Params, draw: Draw) -> State:
    one = (state.first_dose >= 0) & (state.t - state.first_dose >= params.onset)
    two = (state.second_dose >= 0) & (state.t - state.second_dose >= params.onset)
    protected = jnp.where(two, params.efficacy_second, one * params.efficacy_first)
    hazard = params.R0 / params.infectious / _RADIUS * (1 - protected)
    infected = lpm.infections(draw, state.susceptible, [(state.everyone, hazard, state.infected)])
    ending = draw.bernoulli(state.infected * -jnp.expm1(-1 / params.infectious))
    dying = draw.bernoulli(ending * jnp.asarray(FATALITY)[state.everyone.class_of])
    return state.replace(
        susceptible=state.susceptible - infected,
        infected=state.infected + infected - ending,
        dead=state.dead + dying,
    )


def observe(state: State, params: Params) -> dict[str, Array]:
    by_age = lpm.count_by(state.dead, state.everyone.class_of, BANDS)
    second = lpm.count(state.second_dose >= 0, state.alive)
    return {
        "infected": lpm.count(state.infected),
        "attack_rate": 1 - lpm.share(state.susceptible, state.alive),
        "dead": lpm.count(state.dead),
        "doses": lpm.count(state.first_dose >= 0, state.alive) + second,
        "dead_by_age": by_age,
        "years_lost": jnp.sum(by_age * YEARS_LEFT),
    }


scenario = lpm.Scenario(
    init,
    (vaccinate, transmit),
    observe,
    Params(),
    steps=180,
    unit="day",
    population=Population.toy,
    baseline={"supply": 0},
)
