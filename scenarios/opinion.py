"""Bounded-confidence opinions (Deffuant 2000) on a random network, swayed by three camps' messages.

Neighbours attract each other the less the further apart they are; a campaign lets some people hear
the message of their camp each day. A step is a day.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar


class Params(lpm.Params):
    confidence: Scalar = lpm.parameter(0.5, within=(0.05, 2), unit="opinion distance")
    conformity: Scalar = lpm.parameter(0.10, within=(0, 1), unit="1/day")
    persuasion: Scalar = lpm.constant(0.05, unit="1/contact")
    campaign: Scalar = lpm.policy(0.1, within=(0, 1), unit="share of agents reached per day")
    stance: Float[Array, " persona"] = lpm.constant([-0.5, 0.9, 0.1], unit="-1 oppose, +1 support")


class State(lpm.State):
    friends: lpm.Graph
    persona: Int[Array, " agent"]
    opinion: Float[Array, " agent"] = lpm.variable(within=(-1, 1))


def init(population: Population, params: Params, draw: Draw) -> State:
    return State.of(
        population,
        friends=lpm.random_graph(population, degree=8, draw=draw),
        persona=population["persona"],
        opinion=2 * draw.uniform("agent") - 1,
    )


def talk(state: State, params: Params, draw: Draw) -> State:
    def attraction(mine: Array, theirs: Array) -> Array:
        return (theirs - mine) * jnp.exp(-(((theirs - mine) / params.confidence) ** 2))

    pull = state.friends.mean(state.opinion, via=attraction)
    return state.replace(opinion=state.opinion + params.conformity * pull)


def listen(state: State, params: Params, draw: Draw) -> State:
    reached = draw.bernoulli(params.campaign, "agent")
    gap = params.stance[state.persona] - state.opinion
    return state.replace(opinion=state.opinion + params.persuasion * reached * gap)


def observe(state: State, params: Params) -> dict[str, Scalar]:
    support, spread = (f(state.opinion, where=state.alive) for f in (jnp.mean, jnp.std))
    return {"support": support, "polarisation": spread}


scenario = lpm.Scenario(init, (talk, listen), observe, Params(), steps=120, unit="day")
