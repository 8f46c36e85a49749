"""A model simple enough to know by heart: each of the well falls ill for good."""

import jax.numpy as jnp

import lpm
from lpm import Array, Float, Scalar


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.1, within=(0, 1), unit="1/day")


class State(lpm.State):
    well: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population, params, draw):
    return State.of(population, well=1)


def fall(state, params, draw):
    return state.replace(well=state.well - draw.bernoulli(state.well * params.rate))


def observe(state, params):
    n = state.well.shape[0] // 3 * 3
    thirds = jnp.mean(state.well[:n].reshape(3, -1), axis=1)
    return {"well": lpm.share(state.well, state.alive), "thirds": thirds}


decay = lpm.Scenario(init, (fall,), observe, Params(), steps=10, unit="day")
