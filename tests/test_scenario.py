"""Scenario: what it refuses, its schedule, and processes that act now and then."""

import subprocess
import sys

import jax.numpy as jnp
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import ScenarioError
from lpm.scenario import check_steps


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.5, within=(0, 1))
    closure: Float[Array, " week"] = lpm.policy([0.0, 1.0], within=(0, 1))


class State(lpm.State):
    x: Float[Array, " agent"] = lpm.variable(within=(0, None))
    y: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, x=0, y=draw.uniform("agent"))


def add(state, params, draw):
    return state.replace(x=state.x + draw.bernoulli(params.rate, "agent"))


def add_uniform(state, params, draw):
    return state.replace(y=draw.uniform("agent"))


def observe(state, params):
    return {"x": jnp.sum(state.x), "y": jnp.sum(state.y)}


def build(*processes, **changes):
    return lpm.Scenario(
        init, processes, observe, Params(), **({"steps": 8, "unit": "day"} | changes)
    )


def run(scenario, town, **changes):
    return lpm.simulate(scenario, town, **({"key": 0, "devices": 1} | changes)).observed


def test_processes_need_names_of_their_own():
    with pytest.raises(ScenarioError, match="two processes share a name"):
        build(add, add)
    with pytest.raises(ScenarioError, match="has no name"):
        build(lambda state, params, draw: state)


@pytest.mark.parametrize("steps", [0, -1, 2.5, "ten", True])
def test_a_run_has_a_whole_number_of_steps(steps):
    with pytest.raises(ScenarioError, match="at least 1"):
        check_steps(steps)


def test_zero_steps_are_refused_at_both_doors(town):
    with pytest.raises(ScenarioError, match="steps = 0"):
        build(add, steps=0)
    with pytest.raises(ScenarioError, match="steps = 0"):
        run(build(add), town, steps=0)


def test_a_schedule_that_ends_before_the_run_is_refused(town):
    with pytest.raises(ScenarioError, match=r"closure has 2 entries along 'week'.*need 3"):
        run(build(add), town, steps=15)
    run(build(add), town, steps=14)


def test_a_process_must_return_its_state(town):
    def no_return(state, params, draw):
        state.replace(x=state.x)

    with pytest.raises(ScenarioError, match="`no_return` must return a State, not NoneType"):
        run(build(no_return), town)


@pytest.mark.parametrize("name", ["run", "variant", "a/b", "", ".hidden", "observables"])
def test_an_observable_needs_a_name_for_a_column_and_a_file(name, town):
    with pytest.raises(ScenarioError, match="observe returned the names"):
        run(build(add).replace(observe=lambda state, params: {name: state.x.sum()}), town)


def test_a_baseline_must_fit_the_params():
    with pytest.raises(ScenarioError, match=r"no parameter \[rat\].*did you mean \[rate\]"):
        build(add, baseline={"rat": 0})
    with pytest.raises(ScenarioError, match="rate = 2 is outside"):
        build(add, baseline={"rate": 2})


_WRONG_TYPES = """
import lpm
from tests.plain import decay

def message(run):
    try:
        run()
    except lpm.ScenarioError as error:
        print(error)

fall = decay.processes[0]
message(lambda: decay.replace(processes=fall))
message(lambda: decay.replace(observe={}))
message(lambda: decay.replace(params={}))
message(lambda: lpm.every("week", fall))
message(lambda: lpm.every(2.5, fall))
message(lambda: lpm.simulate(decay, 100, key=0))
message(lambda: lpm.simulate(decay, lpm.Population.toy(8), key=0, every=2.5))
"""


def test_wrong_types_are_named_where_no_checker_stands_in_between():
    done = subprocess.run(
        [sys.executable, "-c", _WRONG_TYPES], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "processes must be a tuple: write (process,) for a single one",
        "observe must be a function, not dict",
        "params must be a lpm.Params, not dict",
        "every('week', ...): give a whole number of steps, at least 1",
        "every(2.5, ...): give a whole number of steps, at least 1",
        "population is a int, not a lpm.Population",
        "every = 2.5; give a whole number of steps, at least 1",
    ]


def test_observe_must_name_arrays(town):
    with pytest.raises(ScenarioError, match="observe must return a dict"):
        run(build(add).replace(observe=lambda state, params: state.x), town)


def test_other_processes_leave_a_process_its_luck(town):
    alone = run(build(add), town)["x"]
    before = run(build(add_uniform, add), town)["x"]
    after = run(build(add, add_uniform), town)["x"]
    assert (alone == before).all()
    assert (alone == after).all()


@pytest.mark.parametrize("estimator", ["stop", "score", "straight_through"])
def test_every_acts_on_its_days_with_the_same_draws(town, estimator):
    daily = run(build(add), town, estimator=estimator)["x"]
    weekly = run(build(lpm.every(3, add)), town, estimator=estimator)["x"]
    gain = jnp.diff(jnp.asarray(daily), prepend=0.0)
    expected = jnp.cumsum(jnp.where(jnp.arange(8) % 3 == 0, gain, 0.0))
    assert (weekly == expected).all()
    with pytest.raises(ScenarioError, match="at least 1"):
        lpm.every(0, add)


def test_params_of_another_scenario_are_refused(town):
    class Other(lpm.Params):
        rate: Scalar = lpm.parameter(0.5)

    with pytest.raises(ScenarioError, match="but the scenario takes Params"):
        run(build(add), town, params=Other())
    with pytest.raises(ScenarioError, match=r"no part \[step\]"):
        build(add).replace(step=3)


def test_a_scenario_renders_its_schedule():
    html = build(add)._repr_html_()
    assert "add" in html
    assert "all agents at once" in html
