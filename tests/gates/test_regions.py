"""Regions whose reproduction numbers follow a covariate, and a control where they follow none."""

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.fitting import NegativeBinomial, Series, calibrate_regions
from lpm.fitting.forecasts import persist, score, weighted_interval_score

pytestmark = pytest.mark.gate

NAMES = ("north", "east", "south", "west", "middle", "coast")
WEEKS, REACH, PEOPLE, HELD = 30, 30, 2000, 8  # Eight weeks, so that five regions can tell.
LEVEL, SLOPE = np.log(1.8), -0.3


class Params(lpm.Params):
    R: Float[Array, " week"] = lpm.parameter(np.full(REACH, 2.0), within=(0, 6))
    seeded: Scalar = lpm.constant(0.3)


class State(lpm.State):
    everyone: lpm.Mixing
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    cases: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population, params, draw):
    return State.of(
        population,
        everyone=lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]]),
        infectious=draw.bernoulli(params.seeded, "agent"),
        cases=0,
    )


def spread(state, params, draw):
    """Nobody stays immune, so that the epidemic goes on and follows R."""
    contacts = [(state.everyone, params.R[state.t] / 2, state.infectious)]
    infected = lpm.infections(draw, 1 - state.infectious, contacts)
    recovered = draw.bernoulli(state.infectious * 0.5)
    return state.replace(infectious=state.infectious + infected - recovered, cases=infected)


def observe(state, params):
    return {"cases": lpm.count(state.cases)}


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=WEEKS, unit="week")


@pytest.fixture(scope="module")
def data():
    rng = np.random.Generator(np.random.PCG64(11))  # noqa: TID251 - made-up data
    told = np.zeros((len(NAMES), REACH))
    for week in range(REACH):
        before = told[:, week - 1] if week else rng.standard_normal(len(NAMES))
        told[:, week] = 0.7 * before + 0.7 * rng.standard_normal(len(NAMES))
    truth = np.exp(LEVEL + SLOPE * told)
    town, series = lpm.Population.toy(PEOPLE), []
    for region in range(len(NAMES)):
        params = scenario.params.replace(R=np.clip(truth[region], 0, 5.9))
        run = lpm.simulate(scenario, town, key=500 + region, params=params)
        cases = np.asarray(run.observed["cases"], float)
        series.append(Series("cases", cases, noise=NegativeBinomial(100.0)))
    noise = rng.standard_normal((len(NAMES), REACH, 1))
    return town, series, told[:, :, None], noise, truth


def fit(town, series, covariates):
    return calibrate_regions(
        scenario,
        town,
        series,
        covariates,
        keys=jax.random.split(jax.random.key(2), 2),
        regions=NAMES,
        left_out="coast",
        members=3,
        budget=9000,
        horizons=(8,),
        held_out=HELD,
        hidden=8,
    )


@pytest.fixture(scope="module")
def found(data):
    return fit(data[0], data[1], data[2])


def test_the_schedule_behind_the_data_is_recovered_and_beats_constants(found, data):
    truth = data[4]
    fitted = found.schedules.filter(pl.col("region") != "coast")["mean"].to_numpy()
    error = np.log(fitted.reshape(5, REACH)) - np.log(truth[:5])
    spread_of_truth = np.std(np.log(truth[:5]))
    # Some 500 cases of a week say log R to 1 / sqrt(500) and a week's noise of 10 % beside it:
    # about 0.11, less what smoothing over weeks and regions takes off.
    assert np.sqrt((error**2).mean()) < 0.12
    assert np.sqrt((error**2).mean()) < 0.5 * spread_of_truth
    assert found.worthwhile
    assert "BEATS constant" in found.report
    assert "BEATS piecewise constant" in found.report
    assert found.estimator in ("straight_through", "mean_field")


def test_forecasts_cover_what_is_seen(found):
    mine = found.scores.filter((pl.col("fit") == "network") & ~pl.col("left_out"))
    # Forty weeks, 90 % intervals: 31 or fewer inside has a chance of 1.5 %.
    assert mine.height == 5 * HELD
    assert mine["inside"].sum() > 31


def test_a_region_left_out_is_predicted_better_than_by_its_own_last_week(found, data):
    cases = np.asarray(data[1][5].target)
    forecast = found.predict("coast")
    truth = pl.DataFrame(
        {"region": "coast", "target": "cases", "step": range(1, WEEKS + 1), "value": cases}
    )
    table = score(forecast, truth).filter(pl.col("step") > 8)
    ahead = [persist(cases[:week], 1) for week in range(8, WEEKS)]
    stays = weighted_interval_score(np.concatenate(ahead), cases[8:])
    assert table["score"].mean() < stays.mean()
    # Twenty-two weeks: 16 or fewer inside has a chance of 2 %.
    assert table["inside"].sum() > 16
    # A control: another region's covariates do worse.
    wrong = found.predict("coast", data[2][0], data[0])
    assert score(wrong, truth)["score"].mean() > score(forecast, truth)["score"].mean()


def test_covariates_that_are_noise_are_not_said_to_help(data):
    nothing = fit(data[0], data[1], data[3])
    assert not nothing.worthwhile
    assert "does NOT beat" in nothing.report
    assert "not borne out by forecasts" in nothing.report
