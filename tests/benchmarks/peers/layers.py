"""The epidemic of four layers that peers run as well: true groups, and random mixing at large.

Ten infectious steps each. Everybody is in a household, pupils are in a class and workers in a team,
whose members all meet every day; contacts at large are drawn anew. A step is a day.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Bool, Draw, Int, Population, Scalar

from .drivers import town

_DAILY = {name: town.CHANCE * weight for name, weight in town.WEIGHT.items()}
_MEMBER, _CONTACT = "per fellow member and step", "per contact and step"


class Params(lpm.Params):
    home: Scalar = lpm.parameter(_DAILY["home"], within=(0, 1), unit=_MEMBER)
    school: Scalar = lpm.parameter(_DAILY["school"], within=(0, 1), unit=_MEMBER)
    work: Scalar = lpm.parameter(_DAILY["work"], within=(0, 1), unit=_MEMBER)
    community: Scalar = lpm.parameter(_DAILY["community"], within=(0, 1), unit=_CONTACT)
    seeded: Scalar = lpm.constant(town.SEEDED, unit="share of agents")


class State(lpm.State):
    home: lpm.Groups
    day: lpm.Groups  # Classes and teams: nobody is in both, so that one network holds them.
    community: lpm.Mixing
    pupil: Bool[Array, " agent"]
    left: Int[Array, " agent"]


def people(size: int, seed: int) -> Population:
    return Population(town.draw(size, seed))


def init(population: Population, params: Params, draw: Draw) -> State:
    everybody = jnp.where(population.alive, 0, -1)
    met = jnp.full((1, 1), float(town.CONTACTS["community"]))
    ill = draw.bernoulli(params.seeded, "agent", among=population.alive)
    return State.of(
        population,
        home=population.groups("home_id"),
        day=population.groups("day_id"),
        community=lpm.Mixing(everybody, met, alive=population.alive),
        pupil=town.is_within(population["age"], town.PUPILS),
        left=jnp.where(ill > 0.5, town.DURATION, 0).astype(jnp.int8),
    )


def reached(state: State, params: Params) -> list:
    infectious = (state.left > 0).astype(jnp.float32)
    by_day = jnp.where(state.pupil, -jnp.log1p(-params.school), -jnp.log1p(-params.work))
    return [
        (state.home, -jnp.log1p(-params.home), infectious),
        (state.day, by_day, infectious),
        (state.community, params.community, infectious),
    ]


def spread(state: State, params: Params, draw: Draw) -> State:
    susceptible = (state.left == 0).astype(jnp.float32)
    infected = lpm.infections(draw, susceptible, reached(state, params))
    aged = jnp.where(state.left == 1, -1, state.left - (state.left > 1).astype(jnp.int8))
    return state.replace(left=jnp.where(infected > 0.5, town.DURATION, aged).astype(jnp.int8))


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {"attack_rate": lpm.share(state.left != 0, state.alive)}


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=100, unit="day")
