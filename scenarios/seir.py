"""SEIR epidemic under full mixing with rates, in steps of any length.

As the step shrinks it becomes the equations dS = -beta S I, dE = beta S I - sigma E,
dI = sigma E - gamma I, dR = gamma I (Anderson & May 1991). All flows are read off the start of the
step and applied together.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar


class Params(lpm.Params):
    beta: Scalar = lpm.parameter(0.5, within=(0, 50), unit="1/day")
    sigma: Scalar = lpm.constant(1 / 3, unit="1/day")
    gamma: Scalar = lpm.constant(1 / 5, unit="1/day")
    seeded: Scalar = lpm.constant(0.01, unit="share of agents, infectious")
    day: Scalar = lpm.constant(1, unit="day/step")


class State(lpm.State):
    everyone: lpm.Mixing
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    exposed: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population: Population, params: Params, draw: Draw) -> State:
    infectious = draw.bernoulli(params.seeded, "agent")
    return State.of(
        population,
        everyone=lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]]),
        susceptible=1 - infectious,
        exposed=0,
        infectious=infectious,
    )


def progress(state: State, params: Params, draw: Draw) -> State:
    contacts = [(state.everyone, params.beta * params.day, state.infectious)]
    infected = lpm.infections(draw, state.susceptible, contacts)
    onset = draw.bernoulli(state.exposed * -jnp.expm1(-params.sigma * params.day))
    recovered = draw.bernoulli(state.infectious * -jnp.expm1(-params.gamma * params.day))
    return state.replace(
        susceptible=state.susceptible - infected,
        exposed=state.exposed + infected - onset,
        infectious=state.infectious + onset - recovered,
    )


def observe(state: State, params: Params) -> dict[str, Scalar]:
    kinds = ("susceptible", "exposed", "infectious")
    return {kind: lpm.share(getattr(state, kind), state.alive) for kind in kinds}


scenario = lpm.Scenario(init, (progress,), observe, Params(), steps=120, unit="day")
