"""From a scenario to a state: keys, devices, memory, and columns that a run leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm.errors import ScenarioError, SimulationError
from lpm.launch import choose_mesh, key_words
from scenarios.labour_tax import scenario as labour
from tests.plain import State, decay


def test_an_int_a_key_and_its_words_are_the_same_key():
    words = key_words(7)
    assert (words == key_words(jax.random.key(7))).all()
    assert (words == key_words(jax.random.key_data(jax.random.key(7)))).all()
    assert (words == key_words(np.int64(7))).all()
    assert (key_words(range(3)) == key_words([jax.random.key(k) for k in range(3)])).all()
    long = key_words(jax.random.key(7, impl="rbg"))
    assert long.shape == (2,), "longer keys are folded into two words"


@pytest.mark.parametrize(
    "key", [None, True, 1.5, "seven", {}, [], [1.5], np.zeros((), np.uint32), np.zeros(2)]
)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(SimulationError, match=r"give an int or (a )?jax.random.key"):
        key_words(key)


def test_devices_are_split_only_where_it_is_worth_it():
    assert choose_mesh(None, 10_000) is None
    assert choose_mesh(None, 10_000_000).size == 4
    assert choose_mesh(1, 10_000_000) is None
    assert choose_mesh([jax.devices()[3]], 100).devices.tolist() == [jax.devices()[3]]
    for wrong in (0, -1, 5):
        with pytest.raises(SimulationError, match=f"devices = {wrong}, but this machine has 4"):
            choose_mesh(wrong, 100)


def test_memory_is_checked_before_the_state_is_made(monkeypatch, town):
    def never(*_):
        raise AssertionError("the state was made")

    monkeypatch.setattr("lpm.launch.free_memory", lambda: 100)
    monkeypatch.setattr("lpm.launch._prepare", lambda *a, **k: _shapes_only(never, *a))
    with pytest.raises(SimulationError, match=r"a state of 64 slots x 1 runs needs about .* free"):
        lpm.simulate(decay.replace(steps=11), lpm.Population.toy(64), key=0)


def _shapes_only(never, scenario, population, plan, *_):
    """A plan and an `init` that may be asked for its shapes and not run."""

    class Begin:
        def __call__(self, arrays, params, key):
            if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((params, key))):
                return jnp.zeros(1000), jnp.zeros(())
            return never()

    return plan, Begin()


def test_columns_of_the_population_survive_donation():
    # Large and aligned, so that the runtime may share the buffer instead of copying it.
    town = lpm.Population.toy(20_000, capacity=24_000)
    before = {name: np.array(x) for name, x in town.arrays().items()}
    first = lpm.simulate(labour, town, key=0, steps=2, devices=1)
    second = lpm.simulate(labour, town, key=0, steps=2, devices=1)
    split = lpm.simulate(labour, town, key=0, steps=2, devices=4)
    for name, x in first.observed.items():
        assert (x == second.observed[name]).all(), name
    assert (first.observed["population"] == split.observed["population"]).all()
    assert not np.array_equal(first.state.alive, before["alive"]), "people died and were born"
    for name, x in town.arrays().items():
        assert np.array_equal(before[name], x), name


def test_two_variables_may_start_from_one_array(town):
    class Twins(lpm.State):
        a: lpm.Float[lpm.Array, " agent"]
        b: lpm.Float[lpm.Array, " agent"]

    def init(population, params, draw):
        x = draw.uniform("agent")
        return Twins.of(population, a=x, b=x)

    def move(state, params, draw):
        return state.replace(a=state.a + 1, b=state.b + 2)

    def observe(state, params):
        return {"gap": lpm.share(state.b - state.a)}

    twins = lpm.Scenario(init, (move,), observe, decay.params, steps=4)
    assert lpm.simulate(twins, town, key=0).observed["gap"].tolist() == [1, 2, 3, 4]


def infected_at_random(population, params, draw):
    return State.of(population, well=draw.bernoulli(1 - params.rate, "agent"))


def idle(state, params, draw):
    return state


def test_the_score_counts_draws_in_init_as_well(town):
    scenario = decay.replace(init=infected_at_random, processes=(idle,), steps=2)

    def well(rate, key):
        params = scenario.params.replace(rate=rate)
        run = lpm.simulate(scenario, town, key=key, params=params, estimator="score", devices=1)
        return run.observed["well"][-1]

    keys = jax.random.key_data(jax.random.split(jax.random.key(3), 4000))
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(well), (None, 0)))(jnp.float32(0.3), keys))
    error = slopes.std() / np.sqrt(len(slopes))
    assert abs(slopes.mean() + 1) < 4 * error  # 1 in 16,000 by chance
    assert error < 0.2


def test_a_cadence_that_meets_no_step_is_refused(town):
    with pytest.raises(ScenarioError, match="every = 11 is beyond the 10 steps"):
        lpm.simulate(decay, town, key=0, every=11)
    with pytest.raises(ScenarioError, match="every = 11 is beyond the 10 steps"):
        lpm.ensemble(decay, town, keys=[0, 1], every=11)


def test_runs_can_be_mapped_by_the_caller(town):
    def well(rate):
        params = decay.params.replace(rate=rate)
        return lpm.simulate(decay, town, key=5, params=params, devices=1).observed["well"]

    rates = jnp.array([0.1, 0.4])
    mapped = jax.jit(jax.vmap(well))(rates)
    for row, rate in zip(mapped, (0.1, 0.4), strict=True):
        params = decay.params.replace(rate=rate)
        alone = lpm.simulate(decay, town, key=5, params=params, devices=1)
        assert np.allclose(row, alone.observed["well"])
