"""simulate and ensemble: repeatable, observed as promised, with faults in words and gradients."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Scalar, simulation
from lpm.engine import advance
from lpm.errors import ScenarioError, SimulationError
from lpm.launch import key_words, make_plan, start
from lpm.segments import fit_rows
from scenarios.sir import scenario as sir


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.1, within=(0, 1))
    skill: Scalar = lpm.constant(2.0)


class State(lpm.State):
    home: lpm.Groups
    well: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    trait: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(
        population,
        home=population.groups("household_id"),
        well=1,
        trait=draw.uniform("agent") * params.skill,
    )


def fall(state, params, draw):
    """Each of the well falls ill for good: after T steps a share (1 - rate)**T is well."""
    return state.replace(well=state.well - draw.bernoulli(state.well * params.rate))


def observe(state, params):
    return {"well": lpm.share(state.well, state.alive), "each": state.well}


decay = lpm.Scenario(init, (fall,), observe, Params(), steps=10, unit="day")


def well(params, key=0, estimator="stop", town=None, **changes):
    return lpm.simulate(
        decay, town, key=key, params=params, estimator=estimator, devices=1, **changes
    ).observed["well"][-1]


def same(a, b):
    return all((np.asarray(a.observed[n]) == np.asarray(b.observed[n])).all() for n in a.observed)


def test_the_same_key_gives_the_same_run_and_another_does_not(town):
    first = lpm.simulate(decay, town, key=3)
    assert same(first, lpm.simulate(decay, town, key=jax.random.key(3)))
    assert not same(first, lpm.simulate(decay, town, key=4))


def test_rows_come_after_every_kth_step_and_trailing_steps_are_run(town):
    whole = lpm.simulate(decay, town, key=0)
    third = lpm.simulate(decay, town, key=0, every=3)
    assert third.time.tolist() == [3, 6, 9]
    assert (third.observed["well"] == whole.observed["well"][2::3]).all()
    assert int(third.state.t) == 10
    assert (np.asarray(third.state.well) == np.asarray(whole.state.well)).all()
    with pytest.raises(ScenarioError, match="every = 0"):
        lpm.simulate(decay, town, key=0, every=0)


def test_snapshots_are_whole_states_and_the_first_is_the_initial_one(town):
    run = lpm.simulate(decay, town, key=0, snapshots=(0, 4, 10))
    assert run.snapshots[0].well.all()
    assert run.snapshots[4].well.mean() == pytest.approx(run.observed["well"][3])
    assert (run.snapshots[10].well == np.asarray(run.state.well)).all()
    with pytest.raises(ScenarioError, match=r"snapshots \[11\]"):
        lpm.simulate(decay, town, key=0, snapshots=(11,))


def test_leaves_that_no_process_replaces_stay_out_of_the_carry(town):
    plan = make_plan(decay, decay.params, "stop", False, 1, None)
    plan, state = start(decay, town, plan, decay.params, key_words(0))
    moving, fixed = plan.split(state)
    assert len(moving) == 1
    assert any(x is state.trait for x in fixed)


def test_two_keys_two_values_and_two_horizons_share_one_compilation(town):
    lpm.simulate(sir, town, key=0, steps=40, devices=1)
    before = advance._cache_size()
    lpm.simulate(sir, town, key=1, steps=40, devices=1)
    lpm.simulate(sir, town, key=1, devices=1, steps=700, params=sir.params.replace(beta_home=0.5))
    lpm.simulate(sir, town, key=1, devices=1, steps=1)
    assert advance._cache_size() == before


def test_one_compilation_for_all_horizons_holds_a_few_floats_an_agent():
    town = lpm.Population.toy(20_000)
    plan = make_plan(sir, sir.params, "stop", False, 1, None)
    plan, state = start(sir, town, plan, sir.params, key_words(0))
    plan = fit_rows(plan, state, sir.params)
    moving, fixed = plan.split(state)
    faults, zero = jnp.full(len(plan.checks), -1, jnp.int32), jnp.int32(0)
    lowered = advance.lower(plan, moving, fixed, zero, faults, sir.params, key_words(0), zero)
    memory = lowered.compile().memory_analysis()
    assert memory.temp_size_in_bytes + memory.output_size_in_bytes < 12 * 4 * 20_000


def test_resident_memory_does_not_grow_with_the_number_of_steps():
    script = (
        "import resource, lpm; from scenarios.sir import scenario as s\n"
        "town = lpm.Population.toy(200_000)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "lpm.simulate(s, town, key=0, steps=100); a = peak()\n"
        "lpm.simulate(s, town, key=0, steps=1000); print(peak() - a)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    # 900 further states of two floats an agent would be 1.4 GB; allocators keep some slack.
    assert int(done.stdout) < 60_000, "kilobytes"


def test_a_run_leaves_the_population_and_the_next_run_as_they_were(town):
    before = {name: np.array(x) for name, x in town.arrays().items()}
    first = lpm.simulate(sir, town, key=0, steps=5)
    assert same(first, lpm.simulate(sir, town, key=0, steps=5))
    assert all((before[name] == x).all() for name, x in town.arrays().items())


def overshoot(state, params, draw):
    return state.replace(well=state.well - jnp.where(state.t == 3, 2.0, 0.0))


def divide(state, params, draw):
    return state.replace(trait=state.trait / (state.t - 2))


def test_a_variable_that_leaves_its_bounds_is_named_with_the_day(town):
    broken = decay.replace(processes=(fall, overshoot))
    with pytest.raises(SimulationError, match=r"State.well left \[0, 1\] at day 4"):
        lpm.simulate(broken, town, key=0)
    with pytest.raises(SimulationError, match="at day 4, after process `overshoot`"):
        lpm.simulate(broken, town, key=0, debug=True)
    run = lpm.simulate(broken, town, key=0, throw=False)
    assert run.faults["well"] == 4
    with pytest.raises(SimulationError, match=r"State.trait was not finite at day 3"):
        lpm.simulate(decay.replace(processes=(divide,)), town, key=0)


def test_bad_arguments_are_named(town):
    with pytest.raises(SimulationError, match=r"give an int or a jax.random.key"):
        lpm.simulate(decay, town, key=None)
    with pytest.raises(SimulationError, match=r"use lpm\.ensemble"):
        lpm.simulate(decay, town, key=jax.random.split(jax.random.key(0), 2))
    with pytest.raises(SimulationError, match="takes several keys"):
        lpm.ensemble(decay, town, keys=0)
    with pytest.raises(ScenarioError, match="estimator = 'none'; it is one of"):
        lpm.simulate(decay, town, key=0, estimator="none")
    with pytest.raises(SimulationError, match="this machine has 4"):
        lpm.simulate(decay, town, key=0, devices=5)
    with pytest.raises(ScenarioError, match="several variants"):
        lpm.simulate(decay, town, key=0, params=decay.params.replace(rate=[0.1, 0.2]))


def test_more_agents_than_memory_are_refused_before_they_are_made(monkeypatch, town):
    monkeypatch.setattr("lpm.launch.free_memory", lambda: 100)
    with pytest.raises(SimulationError, match=r"needs about .* GB, but 0.0 GB are free"):
        lpm.simulate(decay, town, key=0)


def test_progress_can_be_a_function_of_the_run_so_far(town):
    seen = []
    lpm.simulate(decay, town, key=0, progress=lambda run: seen.append(len(run.time)))
    assert seen == sorted(seen)
    assert seen[-1] == 10


def test_a_bar_shows_when_asked_for_and_nothing_when_piped(town, capfd):
    lpm.simulate(decay, town, key=0)
    assert capfd.readouterr() == ("", "")
    lpm.simulate(decay, town, key=0, progress=True)
    assert "10/10" in capfd.readouterr().err


def test_each_run_of_an_ensemble_is_that_of_its_key(town):
    many = lpm.ensemble(sir, town, keys=[5, 6, 7], steps=20)
    for row, key in enumerate((5, 6, 7)):
        alone = lpm.simulate(sir, town, key=key, steps=20)
        assert np.allclose(many.observed["attack_rate"][row], alone.observed["attack_rate"])
    assert many.lead == ("run",)
    assert many.state.susceptible.shape == (3, 64)
    assert many.state.home.member_of.shape == (64,), "what all runs share is kept once"


@pytest.mark.parametrize("drawn", [True, False])
def test_runs_in_which_nothing_moves_are_runs(drawn, town):
    def start(population, params, draw):
        state = init(population, params, draw)
        return state if drawn else state.replace(trait=jnp.ones_like(state.trait))

    def rest(state, params, draw):
        return state

    def see(state, params):
        return {"mean": jnp.mean(state.trait, where=state.alive)}

    still = lpm.Scenario(start, (rest,), see, Params(), steps=3, unit="day")
    alone = lpm.simulate(still, town, key=1).observed["mean"]
    assert (lpm.ensemble(still, town, keys=[0, 1]).observed["mean"][1] == alone).all()


def test_large_runs_one_after_the_other_equal_runs_together(town, monkeypatch):
    together = lpm.ensemble(sir, town, keys=[0, 1, 2], steps=12)
    monkeypatch.setattr(simulation, "_TOGETHER", 64)
    apart = lpm.ensemble(sir, town, keys=[0, 1, 2], steps=12)
    assert np.allclose(together.observed["prevalence"], apart.observed["prevalence"])
    assert apart.state.susceptible.shape == (3, 64)
    monkeypatch.setattr(simulation, "_TOGETHER", 128)
    pairs = lpm.ensemble(sir, town, keys=[0, 1, 2], steps=12)
    assert np.allclose(together.observed["prevalence"], pairs.observed["prevalence"])


def test_variants_and_populations_add_leading_axes(town):
    params = decay.params.replace(rate=[0.0, 0.5])
    grid = lpm.ensemble(decay, town, keys=[0, 1, 2], params=params)
    assert grid.observed["well"].shape == (2, 3, 10)
    assert (grid.observed["well"][0] == 1).all()
    alone = lpm.ensemble(decay, town, keys=[0, 1, 2], params=decay.params.replace(rate=0.5))
    assert np.allclose(grid.observed["well"][1], alone.observed["well"])
    assert grid.state.well.shape == (2, 3, 64)
    two = lpm.ensemble(decay, [town, lpm.Population.toy(64, seed=5)], keys=[0, 1])
    assert two.observed["well"].shape == (2, 2, 10)
    assert two.lead == ("population", "run")
    assert lpm.ensemble(decay, town, keys=[0, 1], keep_state=False).state is None


def slope(estimator, town, keys=(0,)):
    def mean(rate):
        params = decay.params.replace(rate=rate)
        return jnp.mean(jnp.stack([well(params, k, estimator, town) for k in keys]))

    return float(jax.grad(mean)(0.1))


def test_the_gradient_of_a_coin_is_what_the_estimator_says(town):
    exact = -10 * 0.9**9
    assert slope("stop", town) == 0
    assert slope("mean_field", town) == pytest.approx(exact, rel=1e-5)
    assert np.isfinite(slope("straight_through", town))


@pytest.mark.parametrize("power", [1, 2])
def test_the_score_is_unbiased_also_for_a_loss_that_is_not_linear(power, town):
    def loss(trajectory):
        return trajectory.observed["well"][-1] ** power

    def surrogate(rate, key):
        params = decay.params.replace(rate=rate)
        run = lpm.simulate(decay, town, key=key, params=params, estimator="score", devices=1)
        return run.surrogate(loss)

    keys = jax.random.key_data(jax.random.split(jax.random.key(1), 4000))
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(surrogate), (None, 0)))(jnp.float32(0.1), keys))
    n, p = town.size, 0.9**10
    mean_slope = -10 * 0.9**9
    # E[share] = p, E[share**2] = p**2 + p (1 - p) / n for independent agents.
    exact = mean_slope if power == 1 else mean_slope * (2 * p + (1 - 2 * p) / n)
    error = slopes.std() / np.sqrt(len(slopes))
    assert abs(slopes.mean() - exact) < 4 * error  # 1 in 16,000 by chance
    assert error < 0.25 * abs(exact)


def test_a_plain_gradient_under_the_score_is_that_of_a_linear_loss(town):
    def value(rate, key):
        return well(decay.params.replace(rate=rate), key, "score", town)

    keys = jax.random.key_data(jax.random.split(jax.random.key(2), 4000))
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(value), (None, 0)))(jnp.float32(0.1), keys))
    error = slopes.std() / np.sqrt(len(slopes))
    assert abs(slopes.mean() + 10 * 0.9**9) < 4 * error


def test_a_traced_run_equals_an_ordinary_one_and_reports_faults(town):
    run = jax.jit(lambda key: lpm.simulate(decay, town, key=key, devices=1).observed["well"])
    plain = lpm.simulate(decay, town, key=9, devices=1).observed["well"]
    assert np.allclose(run(jax.random.key_data(jax.random.key(9))), plain)
    broken = decay.replace(processes=(fall, overshoot))
    faults = jax.jit(lambda key: lpm.simulate(broken, town, key=key, devices=1).faults)
    assert faults(jax.random.key_data(jax.random.key(0)))["well"] == 4


def test_ensembles_can_be_differentiated_with_variants(town):
    keys = jax.random.key_data(jax.random.split(jax.random.key(0), 3))

    def mean(rate):
        run = lpm.ensemble(
            decay, town, keys=keys, params=decay.params.replace(rate=rate), estimator="mean_field"
        )
        assert run.observed["well"].shape == (3, 10)
        return jnp.mean(run.observed["well"][:, -1])

    assert float(jax.grad(mean)(0.1)) == pytest.approx(-10 * 0.9**9, rel=1e-5)


def test_reverse_mode_memory_grows_like_the_root_of_the_horizon(town):
    def bytes_at(steps):
        def loss(rate):
            return well(decay.params.replace(rate=rate), 0, "mean_field", town, steps=steps)

        compiled = jax.jit(jax.grad(loss)).lower(jnp.float32(0.1)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    short, long = bytes_at(64), bytes_at(1024)
    # Sixteen times the steps: four times the stored states, plus the observables themselves.
    rows = 1024 * 65 * 4
    assert long - rows < 6 * short
