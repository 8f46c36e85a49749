"""The study of 51 states: what it fits is what the scenario runs, and made-up truths come back."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lpm
from calibration import covid_economy as study

DATA = Path(os.environ.get("LPM_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
FOLDERS = ("oxcgrt_us_policy", "oi_economic_tracker", "flusight_admissions")
TABLE = pl.read_csv(study.TABLE)


def of(row) -> study.Observed:
    levels = np.array([row[name] for name in study.LEVELS])
    weeks = np.arange(5.0, study.DAYS, 7)
    return study.Observed(
        row["state"], row["people"], row["early"], levels, np.zeros(40), 0 * weeks, weeks
    )


def moved(row):
    return np.array([row["intercept"], row["slope"], np.log(row["seeded"])])


def test_the_scenario_runs_what_was_fitted():
    fitted, people = study.states_of(TABLE)
    run = lpm.simulate(fitted, people, key=0, devices=1)
    rows = list(TABLE.iter_rows(named=True))
    dead = np.array([study.deaths_of(moved(row), of(row)).sum() for row in rows])
    # Float32 through 280 days of growth.
    assert np.asarray(run.observed["dead"])[-1] == pytest.approx(dead, rel=2e-3)
    rate = 100 * np.asarray(run.observed["unemployment"], np.float64)[5::7]
    weights = TABLE.select(study.WEIGHTS).to_numpy()
    known = np.stack(
        [np.logaddexp(0, study.filtered(of(x)) @ w) for x, w in zip(rows, weights, strict=True)]
    )
    gap = rate.T - known - (study.BEFORE - np.log(2))
    assert np.abs(gap).max() < 5e-3  # points; weights of 100 that cancel
    later = np.stack([moved(row) * [1, 1.05, 1] for row in rows])
    others = np.array([study.deaths_of(x, of(r)).sum() for x, r in zip(later, rows, strict=True)])
    assert np.abs(others / dead - 1).max() > 0.02


def test_made_up_transmission_comes_back():
    row = TABLE.row(by_predicate=pl.col("state") == "OH", named=True)
    truth = np.array([0.21, -0.2, np.log(4e-4)])
    made = replace(of(row), deaths=study.deaths_of(truth, of(row)))
    found, explained = study.fit_transmission(made)
    assert found[:2] == pytest.approx(truth[:2], rel=1e-3)
    assert np.log(found[2]) == pytest.approx(truth[2], rel=1e-3)
    assert explained > 1 - 1e-6
    turned = replace(made, stringency=made.stringency[::-1].copy())
    assert study.fit_transmission(turned)[1] < 0.98


def test_made_up_unemployment_comes_back():
    row = TABLE.row(by_predicate=pl.col("state") == "OH", named=True)
    weights = np.array([row[name] for name in study.WEIGHTS])
    fallen = np.logaddexp(0, study.filtered(of(row)) @ weights) - np.log(2)
    made = replace(of(row), fallen=fallen)
    found, explained = study.fit_unemployment([made])
    again = np.logaddexp(0, study.filtered(made) @ found) - np.log(2)
    assert np.abs(again - fallen).max() < 0.3  # points: what the penalty on weights takes
    assert explained > 0.99


def test_the_table_is_whole():
    assert TABLE.height == 51
    assert TABLE["state"].is_unique().all()
    numbers = TABLE.drop("state", "jobs_explained")
    assert numbers.null_count().sum_horizontal().item() == 0
    levels = TABLE.select(study.LEVELS).to_numpy()
    assert ((levels >= 0) & (levels <= 1)).all()
    assert TABLE["deaths_explained"].median() > 0.75


@pytest.mark.skipif(
    not all((DATA / name).exists() for name in FOLDERS),
    reason="the public files are not here; name their folder in LPM_DATA",
)
def test_rows_are_those_of_the_public_files():
    states = {x.state: x for x in study.read(DATA)}
    for name in ("MA", "NY"):
        row = TABLE.row(by_predicate=pl.col("state") == name, named=True)
        found, explained = study.fit_transmission(states[name])
        assert found == pytest.approx([row[x] for x in study.FITTED], rel=1e-3)
        assert explained == pytest.approx(row["deaths_explained"], rel=1e-3)
        assert study.fit_unemployment([states[name]])[1] == pytest.approx(
            row["jobs_explained"], abs=1e-3
        )
        assert states[name].stringency == pytest.approx([row[x] for x in study.LEVELS], rel=1e-4)
    assert states["NY"].deaths.sum() > 20_000
