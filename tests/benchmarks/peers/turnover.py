"""Births and deaths alone, as peers run them: a chance to die, then one to breed; no network."""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar


class Params(lpm.Params):
    mortality: Scalar = lpm.parameter(0.05, within=(0, 1), unit="probability/step")
    fertility: Scalar = lpm.parameter(0.05, within=(0, 1), unit="probability/step")


class State(lpm.State):
    age: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="step")


def herd(size: int, *, seed: int = 0, capacity: int | None = None) -> Population:
    return Population({"age": [0.0] * size}, capacity=capacity or 2 * size, recycle=True)


def init(population: Population, params: Params, draw: Draw) -> State:
    return State.of(population, age=0)


def live(state: State, params: Params, draw: Draw) -> State:
    dying = draw.bernoulli(params.mortality, "agent", among=state.alive)
    state = lpm.death(state.replace(age=state.age + 1), dying)
    parents = draw.bernoulli(params.fertility, "agent", among=state.alive)
    return lpm.birth(state, parents, age=0)


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {
        "population": lpm.count(state.alive),
        "age": jnp.mean(state.age, where=state.alive),
    }


scenario = lpm.Scenario(init, (live,), observe, Params(), steps=100, population=herd)
