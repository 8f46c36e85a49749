"""The epidemic of four layers that peers run as well: true groups, and random mixing at large.

Ten infectious steps each. Everybody is in a household, pupils are in a class and workers in a team,
of which all members meet every day; contacts at large are drawn anew. A step is a day.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Int, Population, Scalar

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
    school: lpm.Groups
    work: lpm.Groups
    community: lpm.Mixing
    left: Int[Array, " agent"]


def people(size: int, seed: int) -> Population:
    return Population({f"{name}_id": ids for name, ids in town.draw_groups(size, seed).items()})


def init(population: Population, params: Params, draw: Draw) -> State:
    everybody = jnp.where(population.alive, 0, -1)
    met = jnp.full((1, 1), float(town.CONTACTS["community"]))
    ill = draw.bernoulli(params.seeded, "agent", among=population.alive)
    return State.of(
        population,
        home=population.groups("home_id"),
        school=population.groups("school_id"),
        work=population.groups("work_id"),
        community=lpm.Mixing(everybody, met, alive=population.alive),
        left=jnp.where(ill > 0.5, town.DURATION, 0).astype(jnp.int8),
    )


def spread(state: State, params: Params, draw: Draw) -> State:
    susceptible, infectious = (x.astype(jnp.float32) for x in (state.left == 0, state.left > 0))
    contacts = [
        (state.home, -jnp.log1p(-params.home), infectious),
        (state.school, -jnp.log1p(-params.school), infectious),
        (state.work, -jnp.log1p(-params.work), infectious),
        (state.community, params.community, infectious),
    ]
    infected = lpm.infections(draw, susceptible, contacts)
    aged = jnp.where(state.left == 1, -1, state.left - (state.left > 1).astype(jnp.int8))
    return state.replace(left=jnp.where(infected > 0.5, town.DURATION, aged).astype(jnp.int8))


def observe(state: State, params: Params) -> dict[str, Scalar]:
    ever = state.left != 0
    return {
        "attack_rate": lpm.share(ever, state.alive),
        "attack_school": lpm.share(ever, state.school.member_of >= 0),
        "attack_work": lpm.share(ever, state.work.member_of >= 0),
    }


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=100, unit="day")
