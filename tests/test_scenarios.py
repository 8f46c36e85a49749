"""Every file in scenarios/ keeps what check_scenario asks, and what it asks can be broken."""

import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.testing import check_scenario
from tests.golden.write import FOLDER, observables

NAMES = sorted(p.stem for p in Path("scenarios").glob("*.py") if not p.stem.startswith("_"))
# These take long to compile in all the ways that are compared; their golden numbers take one.
SLOW = {
    "boids",
    "covid",
    "covid_economy",
    "isolation",
    "labour_market",
    "measles",
    "network_sir",
    "schelling",
    "sugarscape",
    "tax_economy",
    "tax_vote",
    "text_contagion",
    "vaccination",
    "winter",
    "wolf_sheep",
}
AGENTS = {"epidemic": 10_000, "covid": 10_000}  # the fewest that New York can be drawn with


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.gate] if name in SLOW else []) for name in NAMES],
)
def test_a_shipped_scenario_conforms(name):
    scenario = importlib.import_module(f"scenarios.{name}").scenario
    check_scenario(scenario, agents=AGENTS.get(name, 300), steps=6)


def test_what_is_slow_is_shipped():
    assert set(NAMES) > SLOW


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scenario_gives_the_golden_numbers(name):
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    found = observables(name)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert np.allclose(found[key], values, rtol=2e-4, atol=1e-5), key


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.5, within=(0, 1))


class State(lpm.State):
    x: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, x=draw.uniform("agent") * params.rate)


def walk(state, params, draw):
    return state.replace(x=state.x + params.rate * draw.normal("agent"))


def observe(state, params):
    return {"x": jnp.mean(state.x, where=state.alive)}


sound = lpm.Scenario(init, (walk,), observe, Params(), steps=8)


def test_a_sound_scenario_passes():
    check_scenario(sound, agents=64)


def mean_over_all(state, params):
    return {"x": jnp.mean(state.x)}


def count_empty(state, params):
    return {"x": jnp.sum(jnp.ones_like(state.x))}


def shuffled(state, params, draw):
    order = jax.random.permutation(jax.random.key(0), state.x.shape[0])  # noqa: TID251
    return state.replace(x=state.x + state.x[order])


def counted(state, params, draw):
    calls.append(1)
    return state.replace(x=state.x + 0.1 * len(calls))


def branching(state, params, draw):
    return state.replace(x=state.x + 1) if float(params.rate) > 0.2 else state


def rooted(state, params, draw):
    return state.replace(x=jnp.sqrt(jnp.abs(params.rate - 0.5)) + state.x)


def forgetful(state, params, draw):
    state.replace(x=state.x)


calls: list[int] = []


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (sound.replace(observe=mean_over_all), "more empty slots"),
        (sound.replace(observe=count_empty), "more empty slots"),
        (sound.replace(processes=(shuffled,)), "more empty slots"),
        (sound.replace(processes=(counted,)), "differs by"),
        (sound.replace(processes=(branching,)), "asks for the value of a traced array"),
        (sound.replace(processes=(rooted,)), "gradient by Params.rate is not finite"),
        (sound.replace(processes=(forgetful,)), "must return a State"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.processes[0].__name__,
)
def test_a_planted_mistake_is_caught(scenario, message):
    with pytest.raises(Exception, match=message):
        check_scenario(scenario, agents=64)
