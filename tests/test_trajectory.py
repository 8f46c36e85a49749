"""Trajectory: tidy frames, files that come back exactly, and nothing overwritten."""

import json

import numpy as np
import polars as pl
import pytest

import lpm
from lpm.errors import DataError, SimulationError
from lpm.provenance import source_hash
from tests.plain import decay


@pytest.fixture(scope="module")
def many(town):
    params = decay.params.replace(rate=[0.1, 0.2])
    return lpm.ensemble(decay, town, keys=[0, 1, 2], params=params)


def test_a_frame_has_one_row_per_run_and_time(many):
    frame = many.frame()
    assert frame.columns == ["variant", "run", "day", "well"]
    assert len(frame) == 2 * 3 * 10
    picked = frame.filter((pl.col("variant") == 1) & (pl.col("run") == 2) & (pl.col("day") == 7))
    assert picked["well"].item() == many.observed["well"][1, 2, 6]


def test_an_array_observable_becomes_rows(many):
    frame = many.frame("thirds")
    assert frame.columns == ["variant", "run", "day", "index", "thirds"]
    picked = frame.filter(
        (pl.col("variant") == 0)
        & (pl.col("run") == 1)
        & (pl.col("day") == 3)
        & (pl.col("index") == 2)
    )
    assert picked["thirds"].item() == many.observed["thirds"][0, 1, 2, 2]
    with pytest.raises(SimulationError, match=r"no observable \[wel\].*did you mean \[well\]"):
        many.frame("wel")


def test_an_observable_named_as_a_key_keeps_its_name(town):
    def observe(state, params):
        return {"population": lpm.count(state.alive), "day": lpm.count(state.well)}

    towns = [town, lpm.Population.toy(64, seed=5)]
    run = lpm.ensemble(decay.replace(observe=observe), towns, keys=[0, 1])
    frame = run.frame()
    assert frame.columns == ["population_index", "run", "day_index", "day", "population"]
    assert (frame["population"] == 64).all()
    assert frame["population_index"].to_list() == [0] * 20 + [1] * 20
    assert frame["day_index"].to_list() == list(range(1, 11)) * 4


def test_what_is_saved_comes_back_exactly_and_nothing_is_overwritten(many, tmp_path):
    folder = many.save(tmp_path / "deep" / "run")
    back = lpm.load(folder)
    assert back.lead == ("variant", "run")
    assert (back.time == many.time).all()
    for name, x in many.observed.items():
        assert back.observed[name].dtype == x.dtype
        assert (back.observed[name] == x).all()
    assert back.provenance["params"]["rate"]["unit"] == "1/day"
    assert json.dumps(back.provenance)
    with pytest.raises(SimulationError, match="exists already"):
        many.save(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["run"], "no scratch folder is left"


def test_a_folder_that_no_run_wrote_is_named(many, tmp_path):
    with pytest.raises(DataError, match=r"holds no provenance.json"):
        lpm.load(tmp_path)
    folder = many.save(tmp_path / "run")
    (folder / "observables.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=r"observables.parquet cannot be read"):
        lpm.load(folder)
    (folder / "provenance.json").write_text("{")
    with pytest.raises(DataError, match="is not a provenance file"):
        lpm.load(folder)


def test_provenance_says_all_that_a_repetition_needs(town):
    about = lpm.simulate(decay, town, key=5).provenance
    for name in ("scenario", "scenario_sha256", "key", "steps", "lpm", "jax", "device"):
        assert about[name] not in ("", None), name
    assert about["population"]["fingerprint"] == town.fingerprint
    other = lpm.simulate(decay, lpm.Population.toy(64, seed=9), key=5).provenance
    assert other["population"]["fingerprint"] != town.fingerprint


def test_a_notebook_has_a_source_hash_that_outlives_its_session():
    namespace = {"lpm": lpm, "State": type(decay), "__name__": "__main__"}
    source = "def init(population, params, draw): ...\ndef observe(state, params): ...\n"
    code = compile(source, "cell 1 of no file", "exec")
    hashes = []
    for _ in range(2):
        exec(code, namespace)
        scenario = decay.replace(init=namespace["init"], observe=namespace["observe"])
        hashes.append(source_hash(scenario))
    assert hashes[0] == hashes[1] != source_hash(decay)


def test_a_trajectory_renders_as_a_table(many):
    assert "well" in many._repr_html_()
    assert "10 rows" in repr(many)
    assert np.isfinite(many._last()["last"].to_numpy()).all()
