"""SIR epidemic over the ties of a random graph (Newman 2002).

Each tie transmits at `rate` while one end is infectious; recovery is geometric. With T the chance
that a tie ever transmits and Poisson degrees of mean DEGREE, the attack rate of a large outbreak
is 1 - u with u = exp(-DEGREE T (1 - u)). All flows are applied together. A step is a day.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar

DEGREE = 4


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.25, within=(0, 20), unit="1/tie/day")
    recovery: Scalar = lpm.constant(0.25, unit="1/day")
    seeded: Scalar = lpm.constant(0.005, unit="share of agents")


class State(lpm.State):
    ties: lpm.Graph
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def begin(population: Population, params: Params, draw: Draw, ties: lpm.Graph) -> State:
    infectious = draw.bernoulli(params.seeded, "agent")
    return State.of(population, ties=ties, susceptible=1 - infectious, infectious=infectious)


def init(population: Population, params: Params, draw: Draw) -> State:
    ties = lpm.random_graph(population, degree=DEGREE, draw=draw)
    return begin(population, params, draw, ties)


def init_connected(population: Population, params: Params, draw: Draw) -> State:
    return begin(population, params, draw, population.network("ties"))


def spread(state: State, params: Params, draw: Draw) -> State:
    contacts = [(state.ties, params.rate, state.infectious)]
    infected = lpm.infections(draw, state.susceptible, contacts)
    recovered = draw.bernoulli(state.infectious * -jnp.expm1(-params.recovery))
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=state.infectious + infected - recovered,
    )


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {
        "prevalence": lpm.share(state.infectious, state.alive),
        "attack_rate": 1 - lpm.share(state.susceptible, state.alive),
    }


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=120, unit="day")
connected = scenario.replace(init=init_connected)  # Over the network "ties" of the population.
