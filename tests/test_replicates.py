"""Populations from replicate weights and redrawn margins, against closed forms."""

import math
import os
from pathlib import Path

import jax
import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

import lpm
from lpm.analysis.variance_split import split_values
from lpm.errors import DataError
from lpm.population.census.checks import merge_duplicates
from lpm.population.replicates import (
    absent_records,
    population_scale,
    redrawn_fits,
    replicate_fits,
    replicate_populations,
    replicate_weights,
)
from lpm.population.sample import Sample
from lpm.population.seeds import generator
from lpm.population.variance import (
    jackknife,
    read_weights,
    standard_error,
    successive_differences,
)
from lpm.population.weighting import Fitted, Level, Problem, fit_weights

DATA = Path(os.environ.get("LPM_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
CALM = DATA / "popsim_calm_oregon"
needs_calm = pytest.mark.skipif(
    not CALM.exists(), reason="the survey files are not here; name their folder in LPM_DATA"
)

KIND = np.repeat([0, 1], [12, 20])


def problem(target=(600.0, 400.0), error=(0.0, 0.0)) -> Problem:
    """One zone whose 1,000 homes are of two kinds, and 32 records."""
    level = Level(
        "tract", ("A",), ("kind 0", "kind 1"), np.eye(2)[KIND], np.array([target]),
        np.array([error]), np.zeros(1, int),
    )  # fmt: skip
    return Problem(np.full(32, 31.25), (level,))


def post_stratified(prior: np.ndarray, target=(600.0, 400.0)) -> np.ndarray:
    """The exact answer where each record is in one control."""
    found = np.bincount(KIND, prior)
    return prior * (np.array(target) / found)[KIND]


def deleted() -> np.ndarray:
    """Delete-one jackknife weights of the design weights."""
    return (1 - np.eye(32)) * 31.25 * 32 / 31


def draw(fitted: Fitted, seed: int, homes: int = 60) -> lpm.Population:
    """Some homes, whole, systematically along the running sum of the weights."""
    steps = fitted.weights[0] * homes / fitted.weights[0].sum()
    points = np.arange(homes) + generator(seed).random()
    record = np.searchsorted(np.cumsum(steps), np.minimum(points, steps.sum() - 1e-9))
    return lpm.Population({"household_id": np.arange(homes), "record": record})


def test_refitted_replicates_have_the_error_of_a_post_stratified_mean():
    x = generator(1).lognormal(size=32)
    fitted = fit_weights(problem())
    again = list(replicate_fits(fitted, deleted()))
    theta = fitted.weights[0] @ x / 1000
    error = math.sqrt(jackknife(32) * sum((f.weights[0] @ x / 1000 - theta) ** 2 for f in again))
    # Without record i of stratum h its mean moves by (mean - x_i) / (n_h - 1).
    known = sum(
        share**2 * np.sum((y - y.mean()) ** 2) / (len(y) - 1) ** 2
        for y, share in ((x[:12], 0.6), (x[12:], 0.4))
    )
    assert error == pytest.approx(math.sqrt(known * 31 / 32))
    for prior, fit in zip(deleted(), again, strict=True):
        assert fit.weights[0] == pytest.approx(post_stratified(prior), rel=1e-6)


def test_a_record_that_is_needed_is_missed_or_kept_at_the_floor():
    # The fifth record is the only one of its kind.
    kind = np.arange(32) == 4
    level = Level(
        "tract", ("A",), ("rare", "other"), np.column_stack([kind, ~kind]).astype(float),
        np.array([[30.0, 970.0]]), np.zeros((1, 2)), np.zeros(1, int),
    )  # fmt: skip
    rare = fit_weights(Problem(np.full(32, 31.25), (level,)))
    weights = deleted()[4:5]
    weights[0, 7] = -3.0
    without = next(replicate_fits(rare, weights))
    assert without.infeasible["control"].to_list() == ["rare"]
    assert without.weights[0, [4, 7]].tolist() == [0, 0]
    kept = next(replicate_fits(rare, weights, floor=1e-3))
    assert kept.infeasible.is_empty()
    assert kept.weights[0, 4] == pytest.approx(30)
    assert 0 < kept.weights[0, 7] < 0.1
    table = absent_records(weights)
    assert table.row(0) == (0, 1, 1, 2 / 32)


def calm() -> tuple[pl.DataFrame, Problem]:
    """Households of the survey, and households by size and income in 35 tracts."""
    names = [f"WGTP{i}" for i in range(1, 81)]
    homes = pl.read_parquet(CALM / "seed_households.parquet").select(
        "SERIALNO", "NP", "HHINCADJ", "HTYPE",
        weight=pl.col("WGTP").cast(pl.Float64),
        replicates=pl.concat_list(names).list.to_array(80),
    )  # fmt: skip
    homes, _ = merge_duplicates(homes, ["SERIALNO"], "weight", "homes", "merge")
    homes = homes.filter(pl.col("weight") > 0)
    controls = [f"HHSIZE{i}" for i in range(1, 5)] + [f"HHINC{i}" for i in range(1, 5)]
    zones = pl.read_csv(CALM / "control_totals_taz.csv").group_by("TRACTCE").agg(
        pl.col(controls).sum()
    ).sort("TRACTCE")  # fmt: skip
    size = np.minimum(homes["NP"].to_numpy(), 4) - 1
    income = np.searchsorted([21_297, 42_593, 85_185], homes["HHINCADJ"].to_numpy())
    level = Level(
        "tract", tuple(map(str, zones["TRACTCE"])), tuple(controls),
        np.hstack([np.eye(4)[size], np.eye(4)[income]]),
        zones.select(controls).to_numpy().astype(float),
        np.zeros((zones.height, 8)), np.arange(zones.height),
    )  # fmt: skip
    return homes, Problem(homes["weight"].to_numpy(), (level,))


@needs_calm
@pytest.mark.gate
def test_fitting_takes_away_the_sampling_error_of_what_is_fitted_and_no_other():
    homes, given = calm()
    weights = read_weights(homes)[:, 1:].T
    assert (weights < 0).any()
    fitted_once = fit_weights(given)
    whole = fitted_once.weights.sum(axis=0)
    again = np.array([f.weights.sum(axis=0) for f in replicate_fits(fitted_once, weights)])

    def relative(values):
        fitted, design = whole @ values, given.prior @ values
        return (
            float(standard_error(float(fitted), again @ values)) / fitted,
            float(standard_error(float(design), weights @ values)) / design,
        )

    fitted, design = relative(np.ones(homes.height))
    assert fitted < 1e-9
    assert design == pytest.approx(0.0112, abs=1e-4)
    # People are nearly known from sizes, mobile homes are told by neither size nor income.
    fitted, design = relative(homes["NP"].to_numpy())
    assert fitted < design / 3
    fitted, design = relative((homes["HTYPE"] == 3).to_numpy().astype(float))
    assert 0.8 < fitted / design < 1.3


def test_populations_come_one_at_a_time_with_seeds_of_their_own():
    asked: list[int] = []

    def noted(fitted, seed):
        asked.append(seed)
        return draw(fitted, seed)

    fits = replicate_fits(fit_weights(problem()), deleted())
    towns = replicate_populations(fits, noted, seed=7)
    assert asked == []
    first = next(towns)
    assert asked == [7]
    # The record left out is not drawn, and the kinds keep their shares.
    assert 0 not in first["record"]
    assert np.sum(KIND[first["record"]] == 0) in (35, 36, 37)
    assert len(list(towns)) == 31
    assert asked == list(range(7, 39))


def test_fits_to_redrawn_totals_follow_them_as_far_as_the_fit_trusts_them():
    given = fit_weights(problem((600.0, 400.0), (25.0, 10.0)))
    wanted = [f.problem.levels[0].target[0] for f in redrawn_fits(given, jax.random.key(1), 400)]
    # Spread of 400 draws: known to 3.5%, five errors.
    assert np.std(wanted, axis=0) == pytest.approx([25, 10], rel=0.18)
    assert np.mean(wanted, axis=0) == pytest.approx([600, 400], abs=5 * 25 / 20)
    reached = [np.bincount(KIND, f.weights[0]) for f in redrawn_fits(given, jax.random.key(1), 400)]
    # Least of W log(W / 375) - W + (t - W)^2 / 1250, 375 homes by design: dW/dt = W / (W + 625).
    met = brentq(lambda total: np.log(total / 375) - (600 - total) / 625, 375, 600)
    slope = np.polyfit(np.array(wanted)[:, 0], np.array(reached)[:, 0], 1)[0]
    assert slope == pytest.approx(met / (met + 625), abs=0.005)


def test_the_scale_turns_the_spread_of_replicates_into_the_variance_of_the_survey():
    assert population_scale(80) == pytest.approx(4)
    assert population_scale(50, 1 / 50) == 1
    rng = generator(5)
    # Successive differences: replicates lie half as far from the estimate as the truth does.
    theta = 10 + 1.5 * rng.normal(size=400)[:, None] + 0.3 * rng.normal(size=(400, 6))
    split = split_values(theta, ("population", "run"), population_scale=population_scale(80))
    known = successive_differences(400) * np.sum((theta.mean(axis=1) - theta.mean()) ** 2)
    noise = 4 * 0.3**2 / 6
    assert split["variance"][0] == pytest.approx(known * 400 / 399 - noise, rel=0.01)


def test_replicate_populations_run_as_an_ensemble():
    fitted = fit_weights(problem((600.0, 400.0), (20.0, 20.0)))
    towns = replicate_populations(
        redrawn_fits(fitted, jax.random.key(2), 3), lambda f, seed: draw(f, seed, 500)
    )

    class Params(lpm.Params):
        pass

    class State(lpm.State):
        kind: lpm.Float[lpm.Array, " agent"] = lpm.variable(within=(0, 1))

    def init(population, params, draw):
        return State.of(population, kind=1.0 * (population["record"] < 12))

    def wait(state, params, draw):
        return state.replace(kind=state.kind * (1 - draw.bernoulli(state.kind * 0.0)))

    def observe(state, params):
        return {"kind": lpm.share(state.kind, state.alive)}

    still = lpm.Scenario(init, (wait,), observe, Params(), steps=1)
    runs = lpm.ensemble(still, list(towns), keys=[0, 1])
    assert runs.lead == ("population", "run")
    shares = runs.observed["kind"][:, 0, 0]
    assert len(set(shares.tolist())) > 1
    assert shares == pytest.approx(0.5, abs=0.1)


def test_weights_of_a_sample_put_households_before_quarters():
    def rows(name, values):
        return pl.DataFrame(
            {"household_id": [name], "weight": [2.0], "replicates": [values]},
            schema_overrides={"replicates": pl.Array(pl.Float64, len(values))},
        )

    homes, none = rows("1", [1.0, 3.0]), pl.DataFrame()
    sample = Sample(homes, none, rows("2", [4.0, 0.0]))
    assert replicate_weights(sample).tolist() == [[1, 4], [3, 0]]
    assert replicate_weights(Sample(homes, none, none)).tolist() == [[1], [3]]
    with pytest.raises(DataError, match="households have 2 replicate weights and quarters 1"):
        replicate_weights(Sample(homes, none, rows("2", [4.0])))


def test_bad_input_is_refused():
    exact = fit_weights(problem())
    with pytest.raises(DataError, match="are of 3 records; the problem has 32"):
        replicate_fits(exact, np.ones((2, 3)))
    with pytest.raises(DataError, match="floor is 1"):
        replicate_fits(exact, deleted(), floor=1.0)
    with pytest.raises(DataError, match="replicate 1 has weights that are not finite, or none"):
        replicate_fits(exact, np.stack([np.ones(32), np.zeros(32)]))
    with pytest.raises(DataError, match="0 sets of totals"):
        redrawn_fits(exact, jax.random.key(0), 0)
    with pytest.raises(DataError, match="every total is exact"):
        redrawn_fits(exact, jax.random.key(0), 3)
