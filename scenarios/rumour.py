"""A rumour (Maki & Thompson 1973): told to whoever has not heard it, dropped at who has.

Everybody meets others at random, at `contacts` per step; a spreader who meets an informed person
stops telling with probability `boredom`. In the limit of short steps a share
x = exp(-(1 + 1 / boredom) (1 - x)) never hears it: 0.203 at boredom 1. A step is an hour.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar


class Params(lpm.Params):
    contacts: Scalar = lpm.parameter(0.1, within=(0, 100), unit="contacts/hour")
    boredom: Scalar = lpm.parameter(1.0, within=(0.01, 1), unit="probability/informed contact")
    seeded: Scalar = lpm.constant(0.001, unit="share of agents")


class State(lpm.State):
    meetings: lpm.Mixing
    ignorant: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    spreader: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population: Population, params: Params, draw: Draw) -> State:
    spreader = draw.bernoulli(params.seeded, "agent")
    everyone = jnp.where(population.alive, 0, -1)
    return State.of(
        population,
        meetings=lpm.Mixing(everyone, jnp.ones((1, 1))),
        ignorant=1 - spreader,
        spreader=spreader,
    )


def tell(state: State, params: Params, draw: Draw) -> State:
    heard = lpm.infections(
        draw, state.ignorant, [(state.meetings, params.contacts, state.spreader)]
    )
    informed = [(state.meetings, params.contacts * params.boredom, state.alive - state.ignorant)]
    bored = lpm.infections(draw, state.spreader, informed)
    return state.replace(ignorant=state.ignorant - heard, spreader=state.spreader + heard - bored)


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {
        "ignorant": lpm.share(state.ignorant, state.alive),
        "spreaders": lpm.share(state.spreader, state.alive),
    }


scenario = lpm.Scenario(init, (tell,), observe, Params(), steps=600, unit="hour")
