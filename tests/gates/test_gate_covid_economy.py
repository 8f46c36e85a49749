"""Weights that a planner's schedule reveals, and people drawn one by one beside shares of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import lpm
from lpm.economics import revealed_tradeoff
from lpm.testing import check_scenario
from scenarios.covid_economy import drawn, places, scenario

pytestmark = pytest.mark.gate

PERIODS, DAYS = 8, 8 * 28
WEIGHTS = np.array([0.05, 0.08, 0.12, 0.2])
# Measures that leave some transmission: where it reaches 0 there is a kink, and a limit, as at 1.
PARAMS = scenario.params.replace(
    governor=WEIGHTS, subsidy=np.zeros(6), slope=-0.8 * np.asarray(scenario.params.intercept)
)
TOWN = places(4)


def seen(stringency, params=PARAMS):
    moved = params.replace(stringency=stringency)
    run = lpm.simulate(scenario, TOWN, key=0, steps=DAYS, params=moved, devices=1)
    return {name: x[-1] for name, x in run.observed.items()}


# Outcomes of a region hang on its own schedule alone: the gradient of the sum is all of them.
@jax.jit
def aims(stringency):
    """Slopes of health and of the economy by the schedule of each region."""
    return [
        jax.grad(lambda x, name=name: seen(x)[name].sum())(stringency)
        for name in ("health", "economy")
    ]


@jax.jit
def governors(stringency):
    return jax.value_and_grad(lambda x: seen(x)["governors"].sum())(stringency)


@pytest.fixture(scope="module")
def chosen():
    """Schedules that each governor likes best, by a search that sees welfare and its slope."""

    def cost(x):
        value, slope = governors(jnp.asarray(x.reshape(PERIODS, 4), jnp.float32))
        return -float(value) / 1e3, -np.asarray(slope, np.float64).ravel() / 1e3

    start = np.full(PERIODS * 4, 0.4)
    options = {"maxiter": 400, "ftol": 1e-12, "gtol": 1e-7}
    found = optimize.minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * start.size, options=options
    )
    return found.x.reshape(PERIODS, 4)


def revealed(stringency):
    health, economy = (np.asarray(x) for x in aims(jnp.asarray(stringency, jnp.float32)))
    free = (stringency > 1e-4) & (stringency < 1 - 1e-4)
    return [revealed_tradeoff(health[:, r], economy[:, r], free[:, r]) for r in range(4)], free


def test_the_weights_of_governors_come_back_from_what_they_choose(chosen):
    found, free = revealed(chosen)
    assert (free.sum(axis=0) >= 3).all()
    weights = np.array([one.weight for one in found])
    # The search ends where slopes are a thousandth of what they were, as digits of welfare allow.
    assert weights == pytest.approx(WEIGHTS, rel=5e-3)
    assert max(one.misfit for one in found) < 5e-3


def test_a_schedule_that_nobody_would_choose_reveals_that(chosen):
    flat, _ = revealed(np.full((PERIODS, 4), 0.4))
    turned, _ = revealed(np.clip(chosen[::-1], 1e-3, 1 - 1e-3))
    for found in (flat, turned):
        assert max(one.misfit for one in found) > 0.2


def test_people_drawn_one_by_one_follow_the_shares():
    many, runs = 8_000, 12
    params = scenario.params.replace(seeded=np.full(4, 0.02))
    one = lpm.simulate(scenario, TOWN, key=0, steps=120, params=params, devices=1)
    all_of = lpm.ensemble(drawn, places(many), keys=range(runs), params=params, steps=120)
    for name in ("susceptible", "infected", "output"):
        lucky = np.asarray(all_of.observed[name], np.float64)[:, -1]
        error = lucky.std(axis=0, ddof=1) / np.sqrt(runs)
        # Four errors, and what 2,000 people a region differ by from infinitely many.
        gap = np.abs(lucky.mean(axis=0) - np.asarray(one.observed[name])[-1])
        assert (gap < 4 * error + 2e-3 * np.abs(lucky.mean(axis=0))).all(), name
    other = lpm.simulate(
        scenario, TOWN, key=0, steps=120, params=params.replace(infectious=12), devices=1
    )
    lucky = np.asarray(all_of.observed["susceptible"], np.float64)[:, -1]
    error = lucky.std(axis=0, ddof=1) / np.sqrt(runs)
    assert (
        np.abs(lucky.mean(axis=0) - np.asarray(other.observed["susceptible"])[-1]) > 8 * error
    ).any()


def test_people_drawn_one_by_one_conform():
    check_scenario(drawn, agents=300, steps=6)
