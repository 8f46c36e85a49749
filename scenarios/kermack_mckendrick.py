"""SIR epidemic in which everybody meets everybody (Kermack & McKendrick 1927).

Hazards add up, so that the final size z obeys 1 - z = (1 - seeded) exp(-R0 z) whatever the step and
the infectious period: geometric in `scenario`, always the same in `fixed`. All act at once.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar


class Params(lpm.Params):
    R0: Scalar = lpm.parameter(2.0, within=(0, 30), unit="infections per infected person")
    period: Scalar = lpm.constant(5, unit="steps infectious, on average")
    seeded: Scalar = lpm.constant(0.01, unit="share of agents")


class State(lpm.State):
    everyone: lpm.Mixing
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    steps_left: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="step")


def init(population: Population, params: Params, draw: Draw) -> State:
    infectious = draw.bernoulli(params.seeded, "agent")
    return State.of(
        population,
        everyone=lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]]),
        susceptible=1 - infectious,
        infectious=infectious,
        steps_left=infectious * params.period,
    )


def spread(state: State, params: Params, draw: Draw) -> State:
    contacts = [(state.everyone, params.R0 / params.period, state.infectious)]
    infected = lpm.infections(draw, state.susceptible, contacts)
    recovered = draw.bernoulli(state.infectious / params.period)
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=state.infectious + infected - recovered,
    )


def spread_fixed(state: State, params: Params, draw: Draw) -> State:
    contacts = [(state.everyone, params.R0 / params.period, state.infectious)]
    infected = lpm.infections(draw, state.susceptible, contacts)
    left = jnp.maximum(state.steps_left - 1, 0) + infected * params.period
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=(left > 0).astype(jnp.float32),
        steps_left=left,
    )


def observe(state: State, params: Params) -> dict[str, Scalar]:
    susceptible, infectious = (lpm.count(x) for x in (state.susceptible, state.infectious))
    people = lpm.count(state.alive)
    return {"infectious": infectious, "attack_rate": (people - susceptible) / people}


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=120)
fixed = scenario.replace(processes=(spread_fixed,))
