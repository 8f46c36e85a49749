"""Populations on disk: what is written comes back, and what is torn is named."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import lpm
from lpm.errors import DataError
from lpm.population import Population, load_population, save_population


@pytest.fixture
def town() -> Population:
    people = pl.DataFrame(
        {
            "household_id": [1, 0, 1, 0, -1],
            "age": [30.0, 41.5, 2.0, 39.0, 80.0],
            "sex": ["f", "m", "f", "f", "m"],
        }
    )
    read = Population.from_frame(people, capacity=8, provenance=("made up",))
    weighted = lpm.Graph(
        np.array([0, 1, 0]), np.array([1, 2, 3]), num_agents=8, weight=np.array([0.5, 2.0, 1.0])
    )
    friends = lpm.Graph(np.array([0, 2]), np.array([4, 3]), num_agents=8)
    return read.connect("weighted", weighted).connect("friends", friends)


def test_people_ties_labels_and_identities_come_back(town, tmp_path):
    found = load_population(save_population(town, tmp_path / "town"))
    assert found.fingerprint == town.fingerprint
    assert (found.size, found.capacity) == (5, 8)
    assert found.labels == town.labels
    assert found.provenance == town.provenance
    assert np.array_equal(found.slot, town.slot)
    for name in town.columns:
        assert np.array_equal(found[name], town[name])
    x = jnp.arange(8.0)
    for name in ("weighted", "friends"):
        assert np.array_equal(found.network(name).sum(x), town.network(name).sum(x))
        assert np.array_equal(found.network(name).degree(), town.network(name).degree())


def test_narrow_columns_stay_narrow(tmp_path):
    small = Population({"age": np.array([3, 90], np.int8), "band": np.array([0, 9], np.int16)})
    found = load_population(save_population(small, tmp_path / "small"))
    assert [x.dtype for x in found.stored().values()] == [np.int8, np.int16]


def test_a_table_of_persons_is_a_population_too(tmp_path):
    people = pl.DataFrame({"household_id": [0, 0, 1], "age": [1, 2, 3]})
    people.write_csv(tmp_path / "people.csv")
    people.write_parquet(tmp_path / "people.parquet")
    for name in ("people.csv", "people.parquet"):
        assert load_population(tmp_path / name).host("age").tolist() == [1, 2, 3]


def test_nothing_is_overwritten_and_nothing_half_written(town, tmp_path):
    save_population(town, tmp_path / "town")
    with pytest.raises(DataError, match="exists already"):
        save_population(town, tmp_path / "town")
    groups = town.connect("home", town.groups("household_id"))
    with pytest.raises(DataError, match="network 'home' is a Groups; only Graph and Lattice"):
        save_population(groups, tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir()] == ["town"]


def test_what_is_missing_or_torn_is_named(town, tmp_path):
    folder = save_population(town, tmp_path / "town")
    with pytest.raises(DataError, match="nowhere is no population"):
        load_population(tmp_path / "nowhere")
    ties, people = folder / "ties-friends.npz", folder / "people.parquet"
    whole = ties.read_bytes()
    ties.write_bytes(whole[:50])
    with pytest.raises(DataError, match=r"ties-friends\.npz cannot be read as the ties of a Graph"):
        load_population(folder)
    ties.write_bytes(whole)
    table = pl.read_parquet(people)
    people.write_bytes(people.read_bytes()[:100])
    with pytest.raises(DataError, match=r"people\.parquet cannot be read as \[household_id"):
        load_population(folder)
    table.head(4).write_parquet(people)
    with pytest.raises(DataError, match=r"has 4 rows, but population\.json says 5"):
        load_population(folder)
    table.with_columns(age=pl.col("age") + 1).write_parquet(people)
    with pytest.raises(DataError, match="write the population anew"):
        load_population(folder)


def test_a_record_of_another_format_is_refused(town, tmp_path):
    about = save_population(town, tmp_path / "town") / "population.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 99}))
    with pytest.raises(DataError, match="format 99; this version of lpm reads 1"):
        load_population(tmp_path / "town")
    whole = json.loads(about.read_text()) | {"format": 1}
    for name in ("labels", "networks", "fingerprint"):
        about.write_text(json.dumps({key: x for key, x in whole.items() if key != name}))
        with pytest.raises(DataError, match=rf"population\.json does not say \[{name}\]"):
            load_population(tmp_path / "town")
    about.write_bytes(b"\xff\xfe{")
    with pytest.raises(DataError, match="is not the record of a population"):
        load_population(tmp_path / "town")
    about.write_text("[]")
    with pytest.raises(DataError, match="is not the record of a population"):
        load_population(Path(tmp_path / "town"))
