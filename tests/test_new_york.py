"""New York: margins, realism, contact matrices, and the shipped tables against their sources."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population import Population, contact_ages, contact_matrix, fit_report, new_york
from lpm.population.contact_matrices import EDGES, SETTINGS
from lpm.population.derive_new_york import derive, main
from lpm.population.shipped import read_table

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LPM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "pums_acs1_2024" / "p_36.parquet").exists(),
    reason="the survey files are not here; name their folder in LPM_DATA",
)
FOLDER = ROOT / "lpm" / "population" / "data" / "new_york"
GIVEN = ("commuting", "enrolment", "schools", "workplaces")


@pytest.fixture(scope="module")
def city():
    return new_york(100_000, seed=1)


@pytest.fixture(scope="module")
def people(city):
    return city.frame()


def variation(report, table):
    """Total variation distance per borough, and what simple random sampling would give."""
    p = pl.col("published")
    spread = (2 * p * (1 - p) / (np.pi * pl.col("count"))).sqrt()
    return (
        report.filter(pl.col("table") == table)
        .group_by("borough", maintain_order=True)
        .agg(found=pl.col("difference").abs().sum() / 2, sampling=spread.sum() / 2)
    )


def test_ages_of_each_borough_are_within_sampling_error(city):
    report = fit_report(city)
    ages = variation(report, "age")
    # 19 cells: the distance of a multinomial sample is its mean to within about a third.
    assert ages.select((pl.col("found") < 1.6 * pl.col("sampling")).all()).item()
    assert report.filter(pl.col("table") == "age")["z"].abs().max() < 4.5
    assert report.filter(pl.col("table") == "sex")["z"].abs().max() < 4


@pytest.mark.parametrize(
    ("table", "most"), [("household size", 2e-3), ("borough", 1e-5), ("dwelling", 1e-4)]
)
def test_sizes_and_places_are_met_to_rounding(city, table, most):
    assert variation(fit_report(city), table)["found"].max() < most


def test_tables_that_were_not_fitted_come_out_close(city):
    left = fit_report(city).filter(~pl.col("fitted"))
    employed = left.filter(pl.col("table").str.starts_with("employed"))
    # The survey year has 1 to 2 points more employment than the five years it is held against.
    assert employed["difference"].abs().max() < 0.03
    assert left.filter(pl.col("table").str.starts_with("median"))["difference"].abs().max() < 0.015


def test_fit_report_needs_the_columns_of_a_city():
    with pytest.raises(DataError, match=r"population has no column \[sex, borough, .*\]"):
        fit_report(Population.toy(20))


def test_same_seed_same_city():
    city = new_york(10_000, seed=3)
    assert city.fingerprint == new_york(10_000, seed=3).fingerprint
    assert city.fingerprint != new_york(10_000, seed=4).fingerprint
    assert new_york(10_000, seed=3, capacity=10_500).fingerprint == city.fingerprint


@pytest.mark.parametrize("size", [9_999, 8_500_000])
def test_sizes_outside_the_range_are_refused(size):
    with pytest.raises(DataError, match=rf"10,000 to 8,481,844 people, not {size:,}"):
        new_york(size)


def test_households_lie_together_and_quarters_come_last(city):
    home = city["household_id"]
    outside = city["in_group_quarters"]
    assert np.all(np.diff(home[~outside]) >= 0)
    assert np.all(home[outside] == -1)
    assert np.all(np.diff(outside.astype(int)) >= 0)
    assert np.array_equal(city["quarters_id"] >= 0, outside)
    assert np.array_equal(city["age_band"], np.minimum(city["age"] // 10, 8))


def test_households_are_plausible(people):
    age = pl.col("age")
    homes = (
        people.filter(pl.col("household_id") >= 0)
        .group_by("household_id")
        .agg(
            size=pl.len(),
            oldest=age.max(),
            child=age.filter(age < 18).max(),
            gap=age.max() - age.min(),
            women=(pl.col("sex") == "female").sum(),
        )
    )
    assert homes["oldest"].min() >= 18
    with_children = homes.filter(pl.col("child").is_not_null())
    # A household's oldest member is rarely within 15 years of its oldest child.
    assert (with_children["oldest"] - with_children["child"] < 15).mean() < 0.03
    assert 0.2 < len(with_children) / len(homes) < 0.32
    pairs = homes.filter((pl.col("size") == 2) & pl.col("child").is_null())
    assert pairs["gap"].median() <= 7
    assert (pairs["women"] == 1).mean() > 0.7


def test_groups_keep_their_size_whatever_the_size_of_the_city(city):
    small = new_york(10_000)
    for column, least in (("household_id", 0.02), ("class_id", 5), ("workplace_id", 1.0)):
        mean = [np.bincount(c[column][c[column] >= 0]).mean() for c in (small, city)]
        assert mean[0] == pytest.approx(mean[1], abs=least)


def test_days_are_plausible(people):
    working = people.filter(pl.col("employed"))
    assert working["age"].min() >= 16
    commuting = working.filter(pl.col("workplace_id") >= 0)
    assert people.filter(~pl.col("employed"))["workplace_id"].max() == -1
    assert working.filter(pl.col("works_from_home"))["workplace_id"].max() == -1
    assert 1 - len(commuting) / len(working) == pytest.approx(0.125, abs=0.02)
    schooled = people.filter(pl.col("age").is_between(6, 15))
    assert (schooled["class_id"] >= 0).mean() > 0.95
    assert commuting.group_by("workplace_id").len()["len"].max() <= 20
    classes = people.filter(pl.col("class_id") >= 0).group_by("class_id").len()["len"]
    assert classes.max() <= 31


def test_commuting_follows_the_shipped_flows(people):
    shares = read_table("commuting").with_columns(
        share=pl.col("share") / pl.col("share").sum().over("home")
    )
    number = {name: i for i, name in enumerate(("Bronx", "Brooklyn", "Manhattan"))}
    found = people.filter((pl.col("work_borough") >= 0) & (pl.col("school_id") < 0))
    for home, work, share in shares.select("home", "work", "share").rows():
        if home in number and work in number:
            here = found.filter(pl.col("borough") == home)
            # Five standard errors of a share in the smallest of the three.
            assert (here["work_borough"] == number[work]).mean() == pytest.approx(share, abs=0.03)


def test_contact_matrices_are_reciprocal_and_add_up():
    people = contact_ages()
    for setting in (*SETTINGS, "overall"):
        pairs = contact_matrix(setting) * people[:, None]
        np.testing.assert_allclose(pairs, pairs.T, rtol=1e-2, atol=1e-4 * pairs.max())
    total = sum(contact_matrix(setting) for setting in SETTINGS)
    np.testing.assert_allclose(total, contact_matrix("overall"))
    coarse = contact_matrix("school", bands=range(0, 80, 10))
    assert coarse.shape == (8, 8)
    pupils = contact_ages((0, 20))[0]
    mean = people[:4] @ contact_matrix("school")[:4].sum(1) / pupils
    assert contact_matrix("school", (0, 20))[0].sum() == pytest.approx(mean)


def test_contact_matrices_refuse_what_they_do_not_have():
    with pytest.raises(DataError, match=r"no setting \[schol\].*did you mean \[school\]"):
        contact_matrix("schol")
    for bands in ((), (5, 10), (0, 7), (0, 10, 10), (0, 80)):
        with pytest.raises(DataError, match="cannot be had from five-year bands"):
            contact_matrix("work", bands)


def test_shipped_tables_are_small_and_described():
    files = sorted(FOLDER.glob("*.csv"))
    assert sum(file.stat().st_size for file in files) < 500_000
    described = (FOLDER / "README.md").read_text()
    assert all(f"`{file.stem}`" in described for file in files)


@needs_data
def test_shipped_tables_are_what_the_survey_files_give(tmp_path):
    tables = derive(DATA)
    assert set(tables) | set(GIVEN) == {file.stem for file in FOLDER.glob("*.csv")}
    for name, table in tables.items():
        table.write_csv(tmp_path / f"{name}.csv")
        again = pl.read_csv(tmp_path / f"{name}.csv")
        shipped = read_table(name)
        assert again.schema == shipped.schema, name
        assert again.shape == shipped.shape, name
        for column in again.iter_columns():
            if column.dtype.is_float():
                np.testing.assert_allclose(column, shipped[column.name], atol=3e-6, err_msg=name)
            else:
                assert column.to_list() == shipped[column.name].to_list(), name


def test_deriving_without_the_files_says_which_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"no file .*h_36.parquet; --data names the folder"):
        main(["--data", str(tmp_path), "--out", str(tmp_path / "out")])


def per_capita(household, age, weight):
    """Share of a person's housemates in each age band, each household counting as one contact."""
    band = np.minimum(age // 5, len(EDGES) - 1).astype(int)
    _, home = np.unique(household, return_inverse=True)
    counts = np.zeros((home.max() + 1, len(EDGES)))
    np.add.at(counts, (home, band), 1)
    of_home = np.zeros(home.max() + 1)
    of_home[home] = weight
    others = np.maximum(counts.sum(1) - 1, 1)
    pairs = np.einsum("ha,hb,h->ab", counts, counts, of_home / others)
    pairs -= np.diag(counts.T @ (of_home / others))
    return pairs / (counts.T @ of_home)[:, None]


@needs_data
def test_household_mixing_is_that_of_the_survey_and_near_the_published(people):
    at_home = people.filter(pl.col("household_id") >= 0)
    ours = per_capita(at_home["household_id"], at_home["age"].to_numpy(), np.ones(len(at_home)))
    folder = DATA / "pums_acs1_2024"
    homes = pl.read_parquet(folder / "h_36.parquet", columns=["SERIALNO", "WGTP", "TYPEHUGQ"])
    survey = pl.read_parquet(folder / "p_36.parquet", columns=["SERIALNO", "PUMA", "AGEP"])
    survey = survey.join(homes.filter(pl.col("TYPEHUGQ") == 1), on="SERIALNO")
    survey = survey.filter(pl.col("PUMA").str.slice(0, 3).is_between(pl.lit("041"), pl.lit("045")))
    theirs = per_capita(survey["SERIALNO"], survey["AGEP"].to_numpy(), survey["WGTP"].to_numpy())
    published = contact_matrix("household") / 4.11

    def correlation(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    assert correlation(ours, theirs) > 0.97
    assert correlation(ours, published) > 0.90
    # The survey itself is no closer: the published matrix is of the state, about 2010 to 2018.
    assert correlation(theirs, published) < correlation(ours, published) + 0.02
