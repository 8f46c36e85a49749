"""Labour supply, births and deaths under an income tax and a universal transfer. A step is a year.

Hours follow the isoelastic first-order condition (Saez 2001); mortality follows Gompertz (1825).
"""

import jax
import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar


class Params(lpm.Params):
    elasticity: Scalar = lpm.parameter(0.3, within=(0.05, 3), unit="Frisch elasticity of hours")
    tax_rate: Scalar = lpm.policy(0.30, within=(0, 0.95), unit="share of income above allowance")
    allowance: Scalar = lpm.policy(10_000, within=(0, None), unit="EUR/year")
    saving: Scalar = lpm.constant(0.2, unit="share of disposable income")
    skill_shock: Scalar = lpm.constant(0.05, unit="log points/year")
    fertility: Scalar = lpm.constant(0.04, unit="births/year at ages 20-39")


class State(lpm.State):
    home: lpm.Groups
    age: Float[Array, " agent"] = lpm.variable(within=(0, 130), unit="year")
    skill: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="EUR/year full time")
    disposable: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="EUR/year")
    wealth: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="EUR")


def init(population: Population, params: Params, draw: Draw) -> State:
    home = population.groups("household_id")
    return State.of(
        population,
        home=home,
        age=population["age"],
        skill=population["income"],
        disposable=0,
        wealth=0,
    )


def earn(state: State, params: Params, draw: Draw) -> State:
    working_age = jax.nn.sigmoid(state.age - 18) * jax.nn.sigmoid(65 - state.age)
    skill = state.skill * jnp.exp(params.skill_shock * draw.normal("agent"))
    income = skill * working_age * (1 - params.tax_rate) ** params.elasticity
    tax = params.tax_rate * jax.nn.relu(income - params.allowance)
    disposable = income - tax + jnp.sum(tax) / lpm.count(state.alive)
    wealth = state.wealth + params.saving * disposable
    return state.replace(skill=skill, disposable=disposable, wealth=wealth)


def live(state: State, params: Params, draw: Draw) -> State:
    dying = draw.bernoulli(state.alive * jnp.minimum(5e-5 * jnp.exp(0.09 * state.age), 1))
    state = lpm.death(state.replace(age=state.age + 1), dying)
    fertile = state.alive & (state.age >= 20) & (state.age < 40)
    mothers = draw.bernoulli(fertile * params.fertility)
    return lpm.birth(state, mothers, age=0, disposable=0, wealth=0)


def observe(state: State, params: Params) -> dict[str, Scalar]:
    utility = jnp.log(1_000 + state.disposable)
    return {
        "population": lpm.count(state.alive),
        "income": jnp.mean(state.disposable, where=state.alive),
        "welfare": jnp.mean(utility, where=state.alive),
    }


def town(size: int, *, seed: int = 0, capacity: int | None = None) -> Population:
    return Population.toy(size, seed=seed, capacity=capacity or size + size // 2)


scenario = lpm.Scenario(
    init, (earn, live), observe, Params(), steps=30, unit="year", population=town
)
