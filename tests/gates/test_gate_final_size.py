"""Final size, its width, thresholds and growth under full mixing, against closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

import lpm
from lpm import Array, Float, Int, Scalar
from scenarios.kermack_mckendrick import fixed, scenario
from tests.gates import closed_forms as theory

pytestmark = pytest.mark.gate
PERIOD = 5
# Coefficient of variation of the infectious period: geometric with mean 5, or always 5 steps.
MODELS = {"geometric": (scenario, np.sqrt(1 - 1 / PERIOD)), "fixed": (fixed, 0.0)}


def sizes(model, R0, runs, n=10_000, steps=220, **changes):
    params = model.params.replace(R0=R0, **changes)
    keys = list(range(runs))
    town = lpm.Population.toy(n)
    run = lpm.ensemble(
        model, town, keys=keys, params=params, steps=steps, every=steps, keep_state=False
    )
    return run.observed["attack_rate"][:, -1].astype(float)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("R0", [1.5, 2.0, 3.0])
def test_final_size_and_its_width_obey_theory(kind, R0):
    model, variation = MODELS[kind]
    runs, n = 200, 10_000
    z = sizes(model, R0, runs, n)
    # Three standard errors; the bias of a finite population is of order 1/N and far below.
    assert abs(z.mean() - theory.final_size(R0, 0.01)) < 3 * z.std(ddof=1) / np.sqrt(runs)
    # Interval of the chi-square law at 0.1 %, widened by 3 % for the seeding of 1 %.
    ratio = z.std(ddof=1) * np.sqrt(n) / theory.final_size_width(R0, variation)
    low, high = np.sqrt(stats.chi2.ppf([5e-4, 1 - 5e-4], runs - 1) / (runs - 1))
    assert 0.97 * low < ratio < 1.03 * high


def linearised(state, params, draw):
    """Wrong on purpose: the hazard taken for the probability."""
    hazard = params.R0 / params.period * state.everyone.sum(state.infectious)
    infected = draw.bernoulli(state.susceptible * jnp.minimum(hazard, 1))
    recovered = draw.bernoulli(state.infectious / params.period)
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=state.infectious + infected - recovered,
    )


def test_a_linearised_hazard_misses_the_final_size():
    z = sizes(scenario.replace(processes=(linearised,)), 2.0, 100)
    assert abs(z.mean() - theory.final_size(2.0, 0.01)) > 6 * z.std(ddof=1) / np.sqrt(100)


class Params(lpm.Params):
    R: Scalar = lpm.parameter(4.75)


class Banded(lpm.State):
    mixing: lpm.Mixing
    band: Int[Array, " agent"]
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))


SUSCEPTIBILITY = np.array([0.35, 0.69, 1.03, 1.03, 1.03, 1.03, 1.27, 1.52, 1.52], np.float32)
CONTACTS = (0.3 + np.eye(9) + 0.2 * np.eye(9, k=3)).astype(np.float32) / 4


def test_final_size_by_class_obeys_the_next_generation_matrix():
    def init(population, params, draw):
        band = jnp.where(population.alive, jnp.arange(population.capacity) % 9, -1)
        sick = draw.bernoulli(0.01, "agent")
        mixing = lpm.Mixing(band, CONTACTS)
        return Banded.of(
            population, mixing=mixing, band=band, susceptible=1 - sick, infectious=sick
        )

    def spread(state, params, draw):
        catch = params.R / PERIOD * jnp.asarray(SUSCEPTIBILITY)[state.band]
        infected = lpm.infections(
            draw, state.susceptible, [(state.mixing, catch, state.infectious)]
        )
        recovered = draw.bernoulli(state.infectious / PERIOD)
        return state.replace(
            susceptible=state.susceptible - infected,
            infectious=state.infectious + infected - recovered,
        )

    def observe(state, params):
        people = lpm.count_by(state.alive.astype(jnp.float32), state.band, 9)
        return {"attack": 1 - lpm.count_by(state.susceptible, state.band, 9) / people}

    model = lpm.Scenario(init, (spread,), observe, Params(), steps=150)
    town = lpm.Population.toy(450_000)
    run = lpm.ensemble(model, town, keys=[0, 1, 2, 3], every=150, keep_state=False)
    z = run.observed["attack"][:, -1].mean(axis=0)
    matrix = 4.75 * SUSCEPTIBILITY[:, None].astype(float) * CONTACTS
    # Standard error of a band's mean over 4 runs is about 0.002.
    assert np.abs(z - theory.multitype_final_size(matrix, 0.01)).max() < 0.005
    # Control: the transposed matrix is another epidemic, and the gate sees it.
    assert np.abs(z - theory.multitype_final_size(matrix.T, 0.01)).max() > 0.005


def test_early_growth_obeys_the_euler_lotka_equation_of_the_step():
    days = np.arange(1, 200)
    kernels = {"geometric": 0.2 * 0.8 ** (days - 1), "fixed": 0.2 * (days <= PERIOD)}
    town = lpm.Population.toy(1_000_000)
    for kind, kernel in kernels.items():
        model, _ = MODELS[kind]
        expected = brentq(lambda r, k=kernel: 2 * np.sum(k * np.exp(-r * days)) - 1, 1e-3, 2)
        params = model.params.replace(R0=2.0, seeded=1e-4)
        run = lpm.ensemble(
            model, town, keys=[0, 1, 2, 3], params=params, steps=30, keep_state=False
        )
        total = run.observed["infectious"].mean(axis=0)
        # Two doublings, after the first generation and below 0.3 % infectious.
        inside = (total > 500) & (total < 2_000) & (run.time > PERIOD)
        slope = np.polyfit(run.time[inside], np.log(total[inside]), 1)[0]
        assert abs(slope / expected - 1) < 0.02, kind
        # Control: the growth of continuous time is out by more than the tolerance.
        assert abs(slope / 0.2 - 1) > 0.02, kind


def one_case(model):
    def init(population, params, draw):
        first = (jnp.arange(population.capacity) == 0).astype(jnp.float32)
        state = model.init(population, params.replace(seeded=0.0), draw)
        return state.replace(
            susceptible=state.susceptible - first,
            infectious=first,
            steps_left=first * params.period,
        )

    return model.replace(init=init)


@pytest.mark.parametrize("kind", MODELS)
def test_one_case_starts_a_large_outbreak_as_often_as_its_branching_process_survives(kind):
    model, _ = MODELS[kind]
    runs = 2_000
    z = sizes(one_case(model), 2.0, runs, n=1_000, steps=80)
    q = theory.extinction(2.0, PERIOD, kind == "fixed")
    large = np.mean(z > 0.25)
    assert abs(large - (1 - q)) < 3 * np.sqrt(q * (1 - q) / runs)
    # Control: the other offspring law differs by more.
    other = theory.extinction(2.0, PERIOD, kind != "fixed")
    assert abs(large - (1 - other)) > 3 * np.sqrt(q * (1 - q) / runs)


def test_below_the_threshold_outbreaks_stay_small():
    z = sizes(one_case(scenario), 0.95, 400, n=10_000, steps=200) * 10_000
    # A critical branching process of mean 0.95 has 20 members on average.
    assert z.mean() < 20 * 1.6
    assert z.max() < 1_500
