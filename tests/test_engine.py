"""The step and its loops: what is carried, what is checked, what processes may change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Int, Scalar
from lpm.engine import advance
from lpm.errors import ScenarioError, SimulationError
from lpm.launch import key_words, make_plan, start
from lpm.segments import fit_rows


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.2, within=(0, 1))


class State(lpm.State):
    home: lpm.Groups
    x: Float[Array, " agent"]
    y: Float[Array, " agent"]
    small: Int[Array, " agent"]
    price: Float[Array, " firm"]


def init(population, params, draw):
    return State.of(
        population,
        home=population.groups("household_id"),
        x=draw.uniform("agent"),
        y=draw.normal("agent"),
        small=np.zeros(population.capacity, np.int8),
        price=jnp.ones(3),
    )


def move(state, params, draw):
    return state.replace(x=state.x + draw.uniform("agent"), small=state.small + jnp.int32(1))


def rest(state, params, draw):
    return state.replace(y=state.y)


def observe(state, params):
    return {"x": jnp.mean(state.x, where=state.alive), "none": jnp.zeros((0, 2))}


def build(*processes, **changes):
    return lpm.Scenario(init, processes, observe, Params(), **({"steps": 6} | changes))


def begin(scenario, town):
    plan = make_plan(scenario, scenario.params, "stop", False, 1, None)
    plan, state = start(scenario, town, plan, scenario.params, key_words(0))
    return fit_rows(plan, state, scenario.params), state


def moving_names(scenario, town):
    plan, _ = begin(scenario, town)
    flags = jax.tree.unflatten(plan.treedef, list(plan.roles))
    return {name for name in ("x", "y", "small", "price") if getattr(flags, name) == "moving"}


def test_only_replaced_leaves_are_carried_also_under_every(town):
    assert moving_names(build(move), town) == {"x", "small"}
    assert moving_names(build(rest), town) == set()
    assert moving_names(build(lpm.every(3, move)), town) == {"x", "small"}
    assert moving_names(build(lpm.every(2, lpm.every(3, move))), town) == {"x", "small"}
    run = lpm.simulate(build(lpm.every(3, move), rest), town, key=0, estimator="score")
    assert run.state.small.max() == 2


def test_every_begins_at_its_offset_and_nests(town):
    late = lpm.simulate(build(lpm.every(2, move, offset=3)), town, key=0, steps=8)
    assert (late.state.small == 3).all(), "at steps 3, 5 and 7"
    nested = lpm.simulate(build(lpm.every(2, lpm.every(3, move))), town, key=0, steps=8)
    assert (nested.state.small == 2).all(), "at steps 0 and 6"


@pytest.mark.parametrize("period", [0, -1, True])
def test_every_wants_a_whole_number_of_steps(period):
    with pytest.raises(ScenarioError, match="give a whole number of steps, at least 1"):
        lpm.every(period, move)


def test_a_narrow_integer_stays_narrow(town):
    run = lpm.simulate(build(move), town, key=0)
    assert run.state.small.dtype == np.int8
    assert (run.state.small == 6).all()


def test_a_run_without_processes_only_passes_time(town):
    run = lpm.simulate(build(), town, key=0)
    assert int(run.state.t) == 6
    assert (run.observed["x"] == run.observed["x"][0]).all()


def grow(state, params, draw):
    return state.replace(price=jnp.ones(4))


def rehouse(state, params, draw):
    return state.replace(home=lpm.Groups(state.home.member_of, num_groups=200))


def forget(state, params, draw):
    state.replace(x=state.x)


@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: lpm.every(2, p)], ids=["", "every"])
def test_a_process_must_return_a_state_of_the_same_shape(wrap, town):
    with pytest.raises(ScenarioError, match=r"`grow` changed State.price from float32\[3\] to"):
        lpm.simulate(build(wrap(grow)), town, key=0)
    with pytest.raises(ScenarioError, match="`rehouse` changed the structure of State"):
        lpm.simulate(build(wrap(rehouse)), town, key=0)
    with pytest.raises(ScenarioError, match="`forget` must return a State, not NoneType"):
        lpm.simulate(build(wrap(forget)), town, key=0)


def test_init_must_return_a_state(town):
    def nothing(population, params, draw):
        return None

    with pytest.raises(ScenarioError, match="init must return a State, not NoneType"):
        lpm.simulate(build(move).replace(init=nothing), town, key=0)


class Adult(lpm.State):
    age: Float[Array, " agent"] = lpm.variable(within=(18, 99), unit="year")


def grown_up(population, params, draw):
    return Adult.of(population, age=30)


def ageing(state, params, draw):
    return state.replace(age=state.age + state.alive)


def mean_age(state, params):
    return {"age": jnp.mean(state.age, where=state.alive)}


def test_the_zero_of_an_empty_slot_is_no_fault_but_that_of_a_person_is(roomy_town):
    adults = lpm.Scenario(grown_up, (ageing,), mean_age, Params(), steps=3, unit="year")
    assert lpm.simulate(adults, roomy_town, key=0).observed["age"][-1] == 33

    def infancy(state, params, draw):
        return state.replace(age=state.age.at[5].set(0.0))

    with pytest.raises(SimulationError, match=r"Adult.age left \[18, 99\] at year 1"):
        lpm.simulate(adults.replace(processes=(infancy,)), roomy_town, key=0)


def test_debugging_changes_no_number(town):
    plain = lpm.simulate(build(move, rest), town, key=0)
    slow = lpm.simulate(build(move, rest), town, key=0, debug=True)
    assert (plain.observed["x"] == slow.observed["x"]).all()
    assert set(slow.faults) == {"x after move", "x after rest"}


def test_full_towns_skip_the_masks_and_spare_slots_change_nothing(town):
    full, _ = begin(build(move), town)
    roomy, _ = begin(build(move), town.with_capacity(96))
    assert (full.spare, roomy.spare) == (False, True)
    runs = [lpm.simulate(build(move), town.with_capacity(n), key=0) for n in (64, 96)]
    assert np.allclose(runs[0].observed["x"], runs[1].observed["x"], rtol=1e-6)
    assert (np.asarray(runs[0].state.x) == np.asarray(runs[1].state.x)[:64]).all()
    assert not np.asarray(runs[1].state.x)[64:].any()


def test_a_second_run_traces_nothing_again(town):
    calls = []

    def counted(state, params, draw):
        calls.append(1)
        return move(state, params, draw)

    scenario = build(counted)
    lpm.simulate(scenario, town, key=0)
    before, compiled = len(calls), advance._cache_size()
    lpm.simulate(scenario, town, key=1, steps=50, params=scenario.params.replace(rate=0.3))
    assert (len(calls), advance._cache_size()) == (before, compiled)


def test_a_traced_run_takes_observables_of_no_elements_and_any_remainder(town):
    @jax.jit
    def run(key):
        found = lpm.simulate(build(move), town, key=key, steps=11, every=2, devices=1)
        return found.observed

    found = run(key_words(0))
    plain = lpm.simulate(build(move), town, key=0, steps=11, every=2, devices=1)
    assert found["none"].shape == plain.observed["none"].shape == (5, 0, 2)
    assert np.allclose(found["x"], plain.observed["x"])


@pytest.mark.parametrize("devices", [2, 4])
def test_people_keep_their_luck_on_any_number_of_devices(devices, town):
    alone = lpm.simulate(build(move), town.with_capacity(70), key=0, devices=1)
    split = lpm.simulate(build(move), town.with_capacity(70), key=0, devices=devices)
    assert (np.asarray(alone.state.x)[:64] == np.asarray(split.state.x)[:64]).all()


def test_one_given_device_is_the_one_that_computes(town):
    chosen = jax.devices()[2]
    run = lpm.simulate(build(move), town, key=0, devices=[chosen])
    assert run.state.x.devices() == {chosen}
    assert (
        run.observed["x"] == lpm.simulate(build(move), town, key=0, devices=1).observed["x"]
    ).all()
