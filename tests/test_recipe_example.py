"""The recipe that comes with lpm: its files, its fit, and the people drawn from it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lpm.__main__ import main
from lpm.errors import DataError
from lpm.population import (
    draw_recipe,
    find_recipe,
    fit_recipe,
    load_population,
    people_of,
    read_recipe,
)
from lpm.population.accuracy import fit_cells
from lpm.population.invent_example import invent, replicate_factors
from lpm.population.recipe_people import count_records
from lpm.population.replicates import replicate_fits, replicate_weights

FOLDER = Path("lpm/population/recipes/example")
INVENTED = ("zones", "flows", "households", "persons", "zone_totals", "district_totals")


@pytest.fixture(scope="module")
def built():
    return fit_recipe(read_recipe(find_recipe("example")))


@pytest.fixture(scope="module")
def people(built):
    return draw_recipe(built, seed=0)


def test_the_script_gives_the_committed_files_to_the_byte(tmp_path):
    invent(tmp_path)
    assert {p.stem for p in tmp_path.iterdir()} == set(INVENTED)
    assert {p.stem for p in FOLDER.glob("*.csv")} == set(INVENTED)
    for name in INVENTED:
        file = f"{name}.csv"
        assert (tmp_path / file).read_bytes() == (FOLDER / file).read_bytes(), name


def test_the_files_are_small():
    sizes = [p.stat().st_size for p in FOLDER.iterdir()]
    assert max(sizes) < 100_000
    assert sum(sizes) < 200_000


def test_replicate_weights_come_from_a_hadamard_matrix():
    factors = np.array(replicate_factors(19))
    assert np.allclose(factors.mean(axis=1), 1)
    assert set(factors.round(3).ravel()) == {0.293, 1.0, 1.707}
    # Neighbours in the file share one row of the matrix, others none.
    covariance = (factors - 1) @ (factors - 1).T
    expected = 20 / 8 * (2 * np.eye(19) - np.eye(19, k=1) - np.eye(19, k=-1))
    expected[0, -1] = expected[-1, 0] = -20 / 8
    assert np.allclose(covariance, expected)


def test_registers_are_met_exactly_and_tables_within_their_errors(built):
    cells = fit_cells(built.fitted[0])
    exact = cells.filter(pl.col("error") == 0)
    assert exact.height == 36
    assert exact["difference"].abs().max() < 1e-6
    noisy = cells.filter(pl.col("error") > 0)
    assert noisy.height == 258
    assert (noisy["z"].abs() < 1.645).mean() > 0.9


def test_drawn_homes_are_exact_and_people_within_their_errors(built, people):
    totals = pl.read_csv(FOLDER / "zone_totals.csv")
    published = {(z, c): (n, e) for z, c, n, e in totals.iter_rows()}
    frame = people.frame().with_columns(pl.col("zone_id").cast(pl.String))
    for zone, in_zone in frame.group_by("zone_id"):
        lived = in_zone.filter(pl.col("household_id") >= 0)
        assert lived["household_id"].n_unique() == published[zone[0], "homes"][0]
        outside = in_zone.height - lived.height
        assert outside == sum(published[zone[0], kind][0] for kind in ("care home", "hostel"))
        # Whole homes are drawn, so a zone's people scatter about what was fitted by a few.
        target, error = published[zone[0], "people"]
        assert abs(in_zone.height - target) < 3 * np.hypot(error, 20)
    counts = count_records(built, 0)[0]
    problem = built.fitted[0].problem
    matrix = np.zeros((len(problem.zones), len(problem.prior)), int)
    matrix[counts.zone, counts.record] = counts.count
    level = problem.levels[0]
    miss = np.abs(matrix @ level.incidence - level.target) / np.where(level.error, level.error, 1)
    assert (miss < 2).mean() > 0.9


def test_everybody_has_the_places_of_their_age(people):
    age, employed = people.host("age"), people.host("employed")
    school, work = people.host("class_id"), people.host("workplace_id")
    assert (school[(age >= 6) & (age < 16)] >= 0).all()
    assert (work >= 0).sum() == (employed & ~people.host("works_from_home")).sum()
    resident = (people.host("quarters_id") >= 0) & (age >= 65)
    assert resident.sum() == 240
    assert (people.host("care_home_id")[resident] >= 0).all()
    assert people.labels["district"] == ("Harbour", "Riverside", "Uplands")
    assert people.labels["sex"] == ("female", "male")
    degree = np.asarray(people.network("friends").degree())
    assert degree[age >= 6].mean() == pytest.approx(8, abs=0.4)


def test_districts_are_those_of_the_zones(built, people):
    of = dict(built.recipe.zones.select("zone", "district").iter_rows())
    pairs = people.frame().select(pl.col("zone_id", "district").cast(pl.String)).unique()
    assert dict(pairs.iter_rows()) == of


def test_the_seed_decides_who_there_is(built, people):
    assert draw_recipe(built, seed=0).fingerprint == people.fingerprint
    assert draw_recipe(built, seed=1).fingerprint != people.fingerprint


def test_every_set_of_replicate_weights_can_be_fitted(built):
    weights = replicate_weights(built.sample)
    assert weights.shape == (20, built.sample.num_records)
    for again in replicate_fits(built.fitted[0], weights[:3]):
        assert again.infeasible.is_empty()
        assert again.weights.sum() == pytest.approx(built.fitted[0].weights.sum())


def test_a_scenario_gets_as_many_people_as_it_asks_for(people):
    town = people_of("example")
    assert town.size == pytest.approx(people.size, rel=0.01)
    assert town(town.size, seed=0).fingerprint == people.fingerprint
    few = town(400, seed=3, capacity=500)
    assert few.size == pytest.approx(400, rel=0.05)
    assert few.capacity == few.network("friends").num_agents == 500
    assert few.provenance == town(400, seed=3).provenance
    homes = np.bincount(few.host("household_id")[few.host("household_id") >= 0])
    assert homes.mean() == pytest.approx(20_000 / 8_120, rel=0.1)
    with pytest.raises(DataError, match=r"has 20,\d+ people, so 30,000 cannot be drawn"):
        town(30_000, seed=0)
    with pytest.raises(DataError, match=r"those that come with lpm are \[example, new_york"):
        people_of("exmaple").size  # noqa: B018


def test_drawn_people_are_told_as_they_are_and_go_on_to_a_run(capsys, tmp_path, people):
    out = tmp_path / "people"
    assert main(["population", "draw", "example", "--agents", "500", "--out", str(out)]) == 0
    assert "networks [friends]" in capsys.readouterr().out
    kept = load_population(out)
    assert kept.networks == ("friends",)
    assert kept.columns == people.columns
