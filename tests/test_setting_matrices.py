"""Contact matrices by setting: a double loop, symmetry, and published ones."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lpm.errors import DataError
from lpm.networks import Graph
from lpm.population import Population, new_york
from lpm.population.diaries import diary_matrix
from lpm.population.setting_matrices import (
    SINGLE_YEARS,
    age_bands,
    compare_matrices,
    setting_matrices,
    setting_matrix,
)

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LPM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "contacts_us_states").exists(),
    reason="the contact files are not here; name their folder in LPM_DATA",
)
BANDS = (0, 10, 20)
members = st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 30)), min_size=1, max_size=40)


def double_loop(groups, band):
    """What everybody's one contact, shared out, adds up to."""
    total = np.zeros((3, 3))
    for i, (mine, group) in enumerate(zip(band, groups, strict=True)):
        others = [j for j, other in enumerate(groups) if other == group >= 0 and j != i]
        for j in others:
            total[mine, band[j]] += 1 / len(others)
    return total / np.maximum(np.bincount(band, minlength=3), 1)[:, None]


@given(members)
def test_matrices_are_those_of_a_double_loop(people):
    group, age = (np.array(part) for part in zip(*people, strict=True))
    population = Population({"age": age, "household_id": group}, capacity=50)
    found = setting_matrix(population, "household_id", bands=BANDS)
    band = np.digitize(age, BANDS) - 1
    np.testing.assert_allclose(found, double_loop(group, band), atol=1e-12)
    total = np.bincount(band, minlength=3)[:, None] * found
    np.testing.assert_allclose(total, total.T, atol=1e-12)


def test_a_network_is_a_group_of_neighbours():
    population = Population({"age": [5, 15, 25, 25]}, capacity=6)
    star = Graph(np.array([0, 0, 0]), np.array([1, 2, 3]), num_agents=6)
    found = setting_matrix(population.connect("friends", star), "friends", bands=BANDS)
    np.testing.assert_allclose(found, [[0, 1 / 3, 2 / 3], [1, 0, 0], [1, 0, 0]])


def test_rows_sum_to_the_share_in_company():
    city = new_york(10_000)
    found = setting_matrices(city)
    band = age_bands(city, "age", SINGLE_YEARS)
    for name, column in (("household", "household_id"), ("work", "workplace_id")):
        group = city[column]
        size = np.bincount(group[group >= 0])
        company = (group >= 0) & (size[group] > 1)
        share = np.bincount(band, company, minlength=85) / np.bincount(band, minlength=85)
        np.testing.assert_allclose(found[name].sum(1), share, atol=1e-12)
    np.testing.assert_allclose(found["community"].sum(1), 1)


def test_equal_matrices_are_at_no_distance_and_disjoint_ones_at_one():
    one = np.array([[1.0, 0.0], [0.0, 1.0]])
    people = np.array([10.0, 10.0])
    rows = compare_matrices({"a": one, "b": one}, {"a": one, "b": 2 * one[::-1]}, people, people)
    assert rows["variation"].to_list() == [0, 1]
    assert rows["by_age"].to_list() == [0, 1]
    assert rows["ratio"].to_list() == [1, 0.5]
    assert rows["correlation"].to_list() == pytest.approx([1, -1])


def published(name):
    table = pl.read_parquet(DATA / "contacts_us_states" / f"new_york_F_{name}_setting_85.parquet")
    return table.to_numpy().astype(float)


@pytest.fixture(scope="module")
def published_people():
    table = pl.read_csv(DATA / "contacts_us_states" / "new_york_age_distribution_85.csv")
    return table["population"].to_numpy().astype(float)


@needs_data
def test_published_matrices_have_one_contact_a_person_in_company(published_people):
    people = published_people
    np.testing.assert_allclose(
        published("community"), np.tile(people / people.sum(), (85, 1)), 1e-3
    )
    for name in ("household", "school", "work"):
        total = people[:, None] * published(name)
        np.testing.assert_allclose(total, total.T, atol=1e-6 * total.max())
        assert published(name).sum(1).max() < 1 + 1e-6


@needs_data
def test_new_york_mixes_as_published(published_people):
    city = new_york(100_000)
    names = ("household", "school", "work", "community")
    columns = {"household": "household_id", "school": "school_id", "work": "workplace_id"}
    found = compare_matrices(
        setting_matrices(city, columns),
        {name: published(name) for name in names},
        np.bincount(age_bands(city, "age", SINGLE_YEARS), minlength=85),
        published_people,
    )
    row = {r["setting"]: r for r in found.iter_rows(named=True)}
    # The published state is that of about 2010, younger and with fewer people living alone; its
    # schools have twice the staff.
    assert row["household"]["correlation"] > 0.8
    assert row["school"]["correlation"] > 0.85
    assert row["work"]["correlation"] > 0.9
    assert row["household"]["ratio"] == pytest.approx(0.94, abs=0.03)
    assert row["work"]["ratio"] == pytest.approx(1.1, abs=0.05)
    assert row["school"]["ratio"] == pytest.approx(0.78, abs=0.05)
    assert row["household"]["variation"] < 0.25
    mixed = {"household": setting_matrices(city, columns)["community"]}
    far = compare_matrices(
        mixed, {"household": published("household")}, published_people, published_people
    )
    assert far["correlation"].item() < 0.4
    assert far["by_age"].item() > 0.3


@needs_data
def test_diaries_have_thirteen_contacts_a_day():
    tables = [
        pl.read_parquet(DATA / "contacts_polymod" / f"{name}.parquet")
        for name in ("participants", "contacts")
    ]
    every, people = diary_matrix(*tables, SINGLE_YEARS)
    # Mossong et al. (2008), table 1: 13.4 on average over all participants, also those of no age.
    assert (people @ every.sum(1)) / people.sum() == pytest.approx(13.4, abs=0.1)
    home, _ = diary_matrix(*tables, SINGLE_YEARS, ["home"])
    assert 3 < (people @ home.sum(1)) / people.sum() < 4


def test_diaries_share_out_contacts_of_unknown_age():
    participants = {"part_id": [1, 2, 3], "part_age_exact": [5, 15, None]}
    contacts = {
        "part_id": [1, 1, 1, 2, 3],
        "cnt_age_exact": [4, None, None, 40, 1],
        "cnt_age_est_min": [None, 20, None, None, None],
        "cnt_age_est_max": [None, 40, None, None, None],
        "cnt_home": [1, 0, 0, 1, 1],
    }
    found, people = diary_matrix(participants, contacts, BANDS)
    np.testing.assert_allclose(found, [[1.5, 0, 1.5], [0, 0, 1], [0, 0, 0]])
    assert people.tolist() == [1, 1, 0]
    at_home, _ = diary_matrix(participants, contacts, BANDS, ["home"])
    np.testing.assert_allclose(at_home, [[1, 0, 0], [0, 0, 1], [0, 0, 0]])
    with pytest.raises(DataError, match=r"diaries has no place \[garden\]"):
        diary_matrix(participants, contacts, BANDS, ["garden"])
    for bands in ([], [10, 18]):
        with pytest.raises(DataError, match="must start at 0 and rise"):
            diary_matrix(participants, contacts, bands)
    with pytest.raises(DataError, match=r"part_id 1 stands in several of 3 rows; each takes part"):
        diary_matrix({**participants, "part_id": [1, 1, 3]}, contacts, BANDS)


def test_bad_settings_and_bands_are_refused(town):
    with pytest.raises(DataError, match="no group column 'school_id'"):
        setting_matrix(town, "school_id")
    with pytest.raises(DataError, match=r"bands \[5, 10\] must start at 0 and rise"):
        setting_matrix(town, "household_id", bands=(5, 10))
    one = np.eye(2)
    with pytest.raises(DataError, match=r"published matrices has no setting \[b\]"):
        compare_matrices({"b": one}, {"a": one}, np.ones(2), np.ones(2))
    with pytest.raises(DataError, match=r"matrices of \[a\] and people differ"):
        compare_matrices({"a": one}, {"a": np.eye(3)}, np.ones(2), np.ones(3))
