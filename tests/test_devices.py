"""Runs over several devices: the same counts, whatever the number, and little is exchanged."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import lpm
from lpm import launch
from lpm.errors import SimulationError
from lpm.launch import choose_mesh, shared_rows
from lpm.networks.parts import find_parts
from scenarios.labour_tax import scenario as labour
from scenarios.network_sir import scenario as network_sir
from scenarios.sir import scenario as sir
from tests.benchmarks.devices import exchanged
from tests.plain import decay


def mesh_of(count):
    mesh = choose_mesh(count, 64)
    assert mesh is not None
    return mesh


@pytest.fixture
def many(monkeypatch):
    """Small populations are laid out in whole blocks as large ones are."""
    monkeypatch.setattr(launch, "_WORTH_SPLITTING", 1)


def group_sums_by_hand(ids, x):
    """Float64 sums over the other members, one agent after the other."""
    return np.array(
        [
            0.0 if ids[i] < 0 else sum(x[j] for j in range(len(x)) if ids[j] == ids[i] and j != i)
            for i in range(len(x))
        ]
    )


LAYOUTS = {
    "within devices": [0, 0, 1, 1, 2, 2, 3, 3],
    "across a boundary": [0, 1, 1, 1, 2, 3, 3, 4],
    "over three devices": [0, 1, 1, 1, 1, 1, 1, 2],
    "one for all": [5, 5, 5, 5, 5, 5, 5, 5],
    "with some in none": [0, -1, 1, 1, -1, -1, 1, 2],
    "a device without groups": [0, 0, -1, -1, 0, 3, 3, 3],
    "nobody in any": [-1] * 8,
    "gaps between ids": [2, 2, 7, 7, 7, 9, 90, 90],
}


@pytest.mark.parametrize("ids", LAYOUTS.values(), ids=LAYOUTS)
def test_groups_side_by_side_are_summed_where_they_lie(ids):
    ids = np.array(ids)
    x = np.float32([1, 2, 4, 8, 16, 32, 64, 128])
    groups = lpm.Groups(ids, num_groups=100).split(mesh_of(4))
    assert groups.parts is not None
    assert groups.parts.width <= 85
    found = jax.jit(lambda groups, x: groups.sum(x))(groups, jnp.asarray(x))
    assert found.tolist() == group_sums_by_hand(ids, x).tolist()
    slopes = jax.jit(jax.grad(lambda x: jnp.sum(groups.sum(x) * jnp.arange(8.0))))(jnp.asarray(x))
    assert np.allclose(slopes, group_sums_by_hand(ids, np.arange(8.0)))


@pytest.mark.parametrize("ids", [[0, 1, 0, 1, 2, 2, 3, 3], [3, 3, 2, 2, 1, 1, 0, 0]])
def test_groups_that_do_not_follow_each_other_are_left_as_they_are(ids):
    assert lpm.Groups(np.array(ids)).split(mesh_of(4)).parts is None
    assert find_parts(mesh_of(4), jnp.zeros(9, jnp.int32)) is None, "rows that cannot be shared"


def test_rows_come_in_whole_blocks_for_large_populations():
    mesh = mesh_of(4)
    assert shared_rows(2003, mesh) == 2004
    assert shared_rows(1_000_001, mesh) % (4 * 1024) == 0
    assert shared_rows(1_000_001, mesh) - 1_000_001 < 4 * 1024
    assert shared_rows(2**20, mesh) == 2**20


@pytest.mark.parametrize("scenario", [sir, network_sir, labour], ids=lambda s: s.name)
def test_counts_are_the_same_to_the_bit_on_any_number_of_devices(many, scenario):
    people = scenario.population(2003, seed=1)
    params = scenario.params
    if "seeded" in type(params).knobs():
        params = params.replace(seeded=0.05)
    ask = partial(lpm.simulate, scenario, people, key=3, steps=6, params=params)
    one = ask(devices=1)
    assert np.ptp(next(iter(one.observed.values()))) > 0, "something happens"
    for devices in (2, 3, 4):
        run = ask(devices=devices)
        for name, x in one.observed.items():
            if name in ("income", "welfare"):  # sums of floats, in another order
                assert np.allclose(x, run.observed[name], rtol=1e-6), name
            else:
                assert x.tobytes() == run.observed[name].tobytes(), name


def test_what_devices_exchange_is_no_column_of_the_state(many):
    people = sir.population(20_011, seed=1)
    found = exchanged(sir, people, 4)
    # Workplaces have about 40 people per id, and nothing else is added up over devices.
    assert found["all-reduce"] < 0.15
    assert found["all-gather"] < 0.01
    scattered = people.stored()
    order = np.argsort((np.arange(people.size) * 7919) % 20_011)
    mixed = lpm.Population({name: x[order] for name, x in scattered.items()})
    assert exchanged(sir, mixed, 4)["all-reduce"] > 1, "households in no order are exchanged"


def test_a_run_goes_on_with_the_same_counts_on_other_devices(many, tmp_path):
    people = labour.population(2003, seed=1)
    whole = lpm.simulate(labour, people, key=1, steps=30, devices=1)

    class Stop(Exception):
        pass

    def stop(run):
        if len(run.time) >= 15:
            raise Stop

    with pytest.raises(Stop):
        lpm.simulate(
            labour, people, key=1, steps=30, devices=4, checkpoint=tmp_path / "c", progress=stop
        )
    saved = max(int(p.name) for p in (tmp_path / "c").glob("[0-9]*"))
    assert 0 < saved < 30
    rest = lpm.simulate(labour, people, key=1, steps=30, devices=3, checkpoint=tmp_path / "c")
    assert whole.observed["population"].tobytes() == rest.observed["population"].tobytes()


def test_births_outgrow_the_slots_given_and_not_those_that_fill_the_devices(many):
    town = lpm.Population.toy(400, capacity=405)
    said = []
    for devices in (1, 4):
        with pytest.raises(SimulationError, match="births outgrew the 405 slots") as error:
            lpm.simulate(labour, town, key=0, steps=30, devices=devices)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_a_lattice_that_cannot_be_divided_works(many):
    people = lpm.Population.toy(101).connect("ring", lpm.Lattice.ring(101, 4))

    class Params(lpm.Params):
        rate: lpm.Scalar = lpm.parameter(0.3, within=(0, 1), unit="1/day")

    class State(lpm.State):
        ring: lpm.Lattice
        ill: lpm.Float[lpm.Array, " agent"]

    def init(population, params, draw):
        ring = population.network("ring")
        return State.of(population, ring=ring, ill=draw.bernoulli(0.1, "agent"))

    def infect(state, params, draw):
        new = lpm.infections(draw, 1 - state.ill, [(state.ring, params.rate, state.ill)])
        return state.replace(ill=state.ill + new)

    def observe(state, params):
        return {"ill": lpm.count(state.ill, state.alive)}

    scenario = lpm.Scenario(init, (infect,), observe, Params(), steps=8)
    runs = [lpm.simulate(scenario, people, key=2, devices=d).observed["ill"] for d in (1, 2, 4)]
    assert runs[0].tolist() == runs[1].tolist() == runs[2].tolist()
    assert 10 < runs[0][-1] < 101


def test_an_ensemble_on_several_devices_equals_its_runs(many):
    people, params = sir.population(503, seed=1), sir.params.replace(seeded=0.05)
    both = lpm.ensemble(sir, people, keys=[0, 1], steps=5, params=params, devices=4)
    for i in range(2):
        one = lpm.simulate(sir, people, key=i, steps=5, params=params, devices=1)
        for name, x in one.observed.items():
            found = both.observed[name][i]
            assert np.array_equal(np.rint(x * 503), np.rint(found * 503)), "people are counted"
            assert np.allclose(x, found, atol=1e-6), "shares, to the rounding of another program"
    assert both.observed["attack_rate"].max() > 0.05


def test_a_gradient_is_the_same_on_several_devices(many):
    people = sir.population(503, seed=1)

    def loss(run):
        return jnp.mean(run.observed["prevalence"])

    ask = partial(lpm.gradient, sir, people, loss, keys=[0, 1], steps=5)
    for estimator in ("crn", "straight_through"):
        one, four = ask(estimator=estimator), ask(estimator=estimator, devices=4)
        for name, x in one.estimate.items():
            assert np.allclose(x, four.estimate[name], rtol=1e-4, atol=1e-7), name
    with pytest.raises(SimulationError, match="devices = 9, but this machine has 4"):
        ask(devices=9)


def test_devices_that_are_not_there_are_refused(town):
    with pytest.raises(SimulationError, match=r"has 4 .*device_count=5 makes virtual ones"):
        lpm.simulate(decay, town, key=0, devices=5)
    with pytest.raises(SimulationError, match="devices is an empty list"):
        lpm.simulate(decay, town, key=0, devices=[])


def test_the_mesh_leaves_array_code_to_the_compiler():
    assert mesh_of(4).axis_types == (AxisType.Auto,)
