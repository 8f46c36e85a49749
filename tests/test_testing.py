"""The conformance kit catches what test_scenarios does not plant."""

import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.testing import check_scenario


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.5, within=(0, 1))


class State(lpm.State):
    x: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, x=draw.uniform("agent") * params.rate)


def walk(state, params, draw):
    return state.replace(x=state.x + params.rate * draw.normal("agent"))


def observe(state, params):
    return {"x": jnp.mean(state.x, where=state.alive), "none": jnp.zeros((0, 3))}


sound = lpm.Scenario(init, (walk,), observe, Params(), steps=4)


def per_agent(state, params):
    return {"x": state.x}


def on_the_host(state, params, draw):
    return state.replace(x=state.x + np.random.default_rng().uniform())  # noqa: TID251


def branching(state, params, draw):
    return state.replace(x=state.x + 1) if params.rate > 0.2 else state


def diverging(state, params):
    return {"x": jnp.sum(state.x) / (params.rate - 0.5)}


def losing(state, params):
    return {"x": 1 / params.rate}


def counting_slots(state, params):
    return {"x": jnp.sum(state.x) + 0.1 * state.x.shape[0]}


def test_an_observable_of_no_elements_is_no_obstacle():
    check_scenario(sound, agents=64)


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (sound.replace(observe=per_agent), "must not depend on the number of slots"),
        (sound.replace(observe=counting_slots), "more empty slots"),
        (sound.replace(processes=(on_the_host,)), "differs by"),
        (sound.replace(processes=(branching,)), "use jnp.where or jax.lax.cond"),
        (sound.replace(observe=diverging), "observable 'x' is not finite"),
        (sound.replace(observe=losing, baseline={"rate": 0}), "observable 'x' is not finite"),
    ],
    ids=["per_agent", "counting_slots", "on_the_host", "branching", "diverging", "baseline"],
)
def test_a_planted_mistake_is_caught(scenario, message):
    with pytest.raises(AssertionError, match=message):
        check_scenario(scenario, agents=64)
