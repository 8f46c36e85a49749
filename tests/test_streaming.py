"""Ensembles on disk against those in memory: the same runs, resumable, nothing overwritten."""

import inspect
import shutil

import jax
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import lpm
from lpm import streaming
from lpm.errors import ScenarioError, SimulationError
from scenarios import sir, sirs_ages

TOWN = lpm.Population.toy(300)
KEYS = list(range(7))


def stored(folder, **options):
    asked = {"keys": KEYS, "steps": 12, "batch": 3, "progress": False} | options
    return lpm.ensemble_to_parquet(sir.scenario, TOWN, folder, **asked)


def test_runs_on_disk_are_those_in_memory(tmp_path):
    runs = stored(tmp_path / "runs")
    whole = lpm.ensemble(sir.scenario, TOWN, keys=KEYS, steps=12, progress=False)
    assert_frame_equal(runs.scan().collect(), whole.frame())
    assert [len(part.observed["prevalence"]) for part in runs.batches()] == [3, 3, 1]
    mean = runs.scan().group_by("day").agg(pl.col("prevalence").mean()).sort("day").collect()
    np.testing.assert_allclose(
        mean["prevalence"], whole.observed["prevalence"].mean(axis=0), rtol=1e-5
    )
    again = lpm.load_ensemble(tmp_path / "runs")
    assert_frame_equal(again.scan().collect(), whole.frame())


def test_arrays_and_variants_have_their_place(tmp_path):
    town = sirs_ages.scenario.population(400, seed=0)
    one = sirs_ages.scenario.params
    params = jax.tree.map(lambda x: np.stack([x, x]), one)
    options = {"keys": KEYS, "steps": 8, "params": params, "progress": False}
    runs = lpm.ensemble_to_parquet(sirs_ages.scenario, town, tmp_path / "r", batch=4, **options)
    whole = lpm.ensemble(sirs_ages.scenario, town, **options)
    arrays = [n for n, x in whole.observed.items() if x.ndim > 3]
    assert arrays
    order = ["variant", "run", sirs_ages.scenario.unit, "index"]
    assert_frame_equal(
        runs.scan(arrays[0]).sort(order).collect(), whole.frame(arrays[0]).sort(order)
    )


def test_an_interrupted_ensemble_goes_on_and_runs_nothing_twice(tmp_path, monkeypatch):
    whole = stored(tmp_path / "whole").scan().collect()
    asked = []

    def broken(*args, **options):
        asked.append(len(options["keys"]))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return lpm.ensemble(*args, **options)

    monkeypatch.setattr(streaming, "ensemble", broken)
    with pytest.raises(KeyboardInterrupt):
        stored(tmp_path / "runs")
    with pytest.raises(SimulationError, match="lacks 2 batches from batch-000003; go on"):
        lpm.load_ensemble(tmp_path / "runs")
    assert_frame_equal(stored(tmp_path / "runs").scan().collect(), whole)
    assert asked == [3, 3, 3, 1]
    shutil.rmtree(tmp_path / "runs" / "batch-000003")
    assert_frame_equal(stored(tmp_path / "runs").scan().collect(), whole)
    assert asked[4:] == [3]


def test_another_ensemble_is_not_written_over(tmp_path):
    stored(tmp_path / "runs")
    with pytest.raises(SimulationError, match="another ensemble: it differs in key"):
        stored(tmp_path / "runs", keys=[9, 8, 7, 6, 5, 4, 3])
    with pytest.raises(SimulationError, match="differs in params"):
        stored(tmp_path / "runs", params=sir.scenario.params.replace(beta_home=0.3))
    with pytest.raises(SimulationError, match="differs in batch"):
        stored(tmp_path / "runs", batch=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(SimulationError, match="holds no ensemble"):
        stored(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(SimulationError, match="several keys"):
        stored(tmp_path / "runs", keys=jax.random.key(0))
    with pytest.raises(SimulationError, match="batch = 0; give at least one run"):
        stored(tmp_path / "runs", batch=0)
    with pytest.raises(ScenarioError, match="population is a list; give one"):
        # Past the checks of types, which users run without.
        inspect.unwrap(lpm.ensemble_to_parquet)(sir.scenario, [TOWN], tmp_path / "runs", keys=KEYS)
    runs = stored(tmp_path / "runs")
    with pytest.raises(SimulationError, match="holds no array 'deaths'"):
        runs.scan("deaths")


def test_a_batch_holds_what_fits_into_memory(tmp_path, monkeypatch):
    # Two scalars of 12 steps are 96 bytes a run.
    monkeypatch.setattr(streaming, "_BATCH_BYTES", 5 * 96)
    assert stored(tmp_path / "runs", batch=None, keys=range(11)).batch == 5
    variants = sir.scenario.params.replace(closure=[0.0, 0.5])
    options = {"batch": None, "keys": range(11), "params": variants}
    assert stored(tmp_path / "variants", **options).batch == 2
