"""Bounded-confidence opinions (Deffuant 2000) on a random network, swayed by a panel of personas.

Neighbours attract each other the less the further apart they are; a campaign lets some people hear
each day what their camp says. What the camps say are the answers of three described people, asked
at the start, every thirty days, and when support has moved by a tenth since. A step is a day.

Where nobody else answers (`lpm run opinion --respondent FILE`), rules do: a card of illustrative
log-odds and no language model.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar, personas

HAULIER = personas.Persona(
    "haulier", "Hauliers of about 45, with lorries to pay off.", facts={"driving": 1, "concern": 0}
)
ACTIVIST = personas.Persona(
    "activist", "Climate activists of about 19.", facts={"driving": 0, "concern": 1}
)
NURSE = personas.Persona(
    "nurse", "Retired nurses on small pensions.", facts={"driving": 0, "concern": 0}
)
panel = lpm.Panel(
    personas=(HAULIER, ACTIVIST, NURSE),
    question=(
        "A tax on carbon is proposed. On a scale from -1 (all against it) to +1 (all for it) "
        "support in town is {support:+.2f}; among people like these it has been {lived:+.2f} of "
        "late. What do these people tell their neighbours about the tax?"
    ),
    answers=("stance",),
    every=30,
    watch=(personas.Watch("support", drift=0.1, every=5),),
    card="carbon_tax",
)


class Params(lpm.Params):
    confidence: Scalar = lpm.parameter(0.5, within=(0.05, 2), unit="opinion distance")
    conformity: Scalar = lpm.parameter(0.10, within=(0, 1), unit="1/day")
    persuasion: Scalar = lpm.constant(0.05, unit="1/contact")
    campaign: Scalar = lpm.policy(0.1, within=(0, 1), unit="share of agents reached per day")


class State(lpm.State):
    friends: lpm.Graph
    persona: Int[Array, " agent"]
    opinion: Float[Array, " agent"] = lpm.variable(within=(-1, 1))
    stance: Float[Array, " persona"] = lpm.variable(within=(-1, 1), unit="-1 oppose, +1 support")
    lived: Float[Array, " persona"] = lpm.variable(within=(-1, 1), unit="opinion of the camp")


def init(population: Population, params: Params, draw: Draw) -> State:
    friends = lpm.random_graph(population, degree=8, draw=draw)
    opinion, persona = 2 * draw.uniform("agent") - 1, population["persona"]
    return State.of(
        population,
        friends=friends,
        persona=persona,
        opinion=opinion,
        stance=jnp.zeros(len(panel)),
        lived=personas.lived_by(opinion, persona, population.alive, len(panel)),
    )


def talk(state: State, params: Params, draw: Draw) -> State:
    def attraction(mine: Array, theirs: Array) -> Array:
        return (theirs - mine) * jnp.exp(-(((theirs - mine) / params.confidence) ** 2))

    pull = state.friends.mean(state.opinion, via=attraction)
    return state.replace(opinion=state.opinion + params.conformity * pull)


def listen(state: State, params: Params, draw: Draw) -> State:
    reached = draw.bernoulli(params.campaign, "agent")
    gap = state.stance[state.persona] - state.opinion
    return state.replace(opinion=state.opinion + params.persuasion * reached * gap)


def remember(state: State, params: Params, draw: Draw) -> State:
    lived = personas.remember(
        state.lived, state.opinion, state.persona, state.alive, half_life=14.0
    )
    return state.replace(lived=lived)


def observe(state: State, params: Params) -> dict[str, Array]:
    support, spread = (f(state.opinion, where=state.alive) for f in (jnp.mean, jnp.std))
    return {"support": support, "polarisation": spread, "lived": state.lived}


scenario = lpm.Scenario(
    init, (talk, listen, remember), observe, Params(), steps=120, unit="day", panel=panel
)
