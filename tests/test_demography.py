"""Births and deaths: slots, inheritance, capacity, and people who add up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

import lpm
from lpm import Array, Float, Int, Scalar
from lpm.errors import ScenarioError, SimulationError


class Params(lpm.Params):
    fertility: Scalar = lpm.parameter(0.0, within=(0, 1))
    mortality: Scalar = lpm.parameter(0.0, within=(0, 1))


class State(lpm.State):
    home: lpm.Groups
    age: Float[Array, " agent"] = lpm.variable(within=(0, None))
    luck: Float[Array, " agent"]
    clan: Int[Array, " agent"]


def init(population, params, draw):
    return State.of(
        population,
        home=population.groups("household_id"),
        age=population["age"],
        luck=0,
        clan=population["persona"],
    )


def live(state, params, draw):
    state = lpm.death(state, draw.bernoulli(state.alive * params.mortality))
    state = lpm.birth(state, draw.bernoulli(state.alive * params.fertility), age=0)
    return state.replace(age=state.age + state.alive, luck=draw.uniform("agent"))


def observe(state, params):
    return {"population": lpm.count(state.alive), "age": jnp.sum(state.age)}


scenario = lpm.Scenario(init, (live,), observe, Params(), steps=6, unit="year")


def start(town):
    run = lpm.simulate(scenario, town, key=0, snapshots=(0,), devices=1)
    return jax.tree.map(jnp.asarray, run.snapshots[0])


@given(st.sets(st.integers(0, 63)), st.sets(st.integers(0, 63), max_size=32))
def test_people_add_up_and_newborns_inherit_from_their_mothers(dying, bearing):
    town = lpm.Population.toy(64, capacity=96)
    state = start(town)
    flags = [np.isin(np.arange(96), list(rows)).astype(np.float32) for rows in (dying, bearing)]
    after = lpm.birth(lpm.death(state, jnp.asarray(flags[0])), jnp.asarray(flags[1]), age=0)
    mothers = sorted(bearing - dying)  # the dead bear nobody
    assert int(after.alive.sum()) == 64 - len(dying) + len(mothers)
    assert not np.asarray(after.age)[sorted(dying)].any()
    for child, mother in enumerate(mothers, 64):
        assert after.alive[child]
        assert after.age[child] == 0
        assert after.clan[child] == state.clan[mother]
        assert after.home.member_of[child] == state.home.member_of[mother]
    survivors = sorted(set(range(64)) - dying)
    assert (np.asarray(after.age)[survivors] == np.asarray(state.age)[survivors]).all()


def test_a_value_given_per_agent_is_read_at_the_mother():
    state = start(lpm.Population.toy(64, capacity=96))
    mothers = jnp.zeros(96).at[5].set(1)
    after = lpm.birth(state, mothers, age=jnp.arange(96.0))
    assert after.age[64] == 5
    with pytest.raises(ScenarioError, match=r"no variable \[agee\]"):
        lpm.birth(state, mothers, agee=0)


def test_births_beyond_the_capacity_are_a_fault_with_the_year():
    town = lpm.Population.toy(64, capacity=80)
    params = scenario.params.replace(fertility=0.2)
    with pytest.raises(SimulationError, match="births outgrew the 80 slots at year 2"):
        lpm.simulate(scenario, town, key=1, params=params, devices=1)
    run = lpm.simulate(scenario, town, key=1, params=params, throw=False, devices=1)
    assert run.observed["population"].max() <= 80


def test_a_population_that_recycles_reuses_slots_with_new_luck():
    town = lpm.Population.toy(64)
    recycling = lpm.Population(
        {name: town.host(name) for name in town.columns}, capacity=70, recycle=True
    )
    params = scenario.params.replace(fertility=0.3, mortality=0.3)
    run = lpm.simulate(scenario, recycling, key=3, params=params, steps=6, snapshots=range(7))
    last = run.snapshots[6]
    assert last.generation.max() > 1
    assert run.observed["population"][-1] == last.alive.sum()
    # The same slot in another generation draws other numbers.
    plain = lpm.simulate(scenario, town.with_capacity(70), key=3, steps=6)
    before = run.snapshots[5]
    reborn = (before.generation > 0) & before.alive & (last.generation == before.generation)
    same = np.asarray(plain.state.luck)[:70] == last.luck
    assert reborn.any()
    assert not same[reborn & (np.arange(70) < 64)].any()


def broken_chances(state, params, draw):
    return lpm.death(state, draw.bernoulli(state.alive * (1 + params.mortality)))


def broken_births(state, params, draw):
    return lpm.birth(state, draw.bernoulli(state.alive * (1 + params.mortality)), age=0)


@pytest.mark.parametrize("process", [broken_chances, broken_births])
def test_a_chance_above_one_is_a_fault_and_not_nobody(process, roomy_town):
    params = scenario.params.replace(mortality=0.5)
    with pytest.raises(SimulationError, match=r"State.age left \[0, inf\) at year 1"):
        lpm.simulate(scenario.replace(processes=(process,)), roomy_town, key=0, params=params)


def test_nobody_dies_or_is_born_by_a_fraction(roomy_town):
    with pytest.raises(ScenarioError, match="death needs whole people"):
        lpm.simulate(scenario, roomy_town, key=0, estimator="mean_field")


def test_spare_slots_change_neither_births_nor_deaths():
    params = scenario.params.replace(fertility=0.05, mortality=0.05)
    runs = [
        lpm.simulate(scenario, lpm.Population.toy(64, capacity=n), key=5, params=params, devices=1)
        for n in (120, 157)
    ]
    assert (runs[0].observed["population"] == runs[1].observed["population"]).all()
    assert not np.asarray(runs[1].state.luck)[~np.asarray(runs[1].state.alive)].any()
