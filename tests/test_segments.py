"""Segments: resuming keeps snapshots and faults, and a fault names the run it happened in."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, simulation
from lpm.errors import SimulationError
from tests.plain import decay


class Stop(Exception):
    """Raised between two segments."""


def stop_at(day):
    def progress(run):
        if len(run.time) >= day:
            raise Stop

    return progress


def overdraw(state, params, draw):
    """Leaves the bounds at day 3 in the variant with a rate above a half."""
    return state.replace(well=state.well - 2 * (state.t == 2) * (params.rate > 0.5))


broken = decay.replace(processes=(overdraw,))


def test_segments_of_any_length_give_the_same_rows(town):
    whole = lpm.simulate(decay, town, key=0, steps=100, every=3)
    parts = lpm.simulate(decay, town, key=0, steps=100, every=3, snapshots=(1, 2, 3, 50, 98, 99))
    assert (whole.observed["well"] == parts.observed["well"]).all()
    assert len(whole.time) == 33
    assert sorted(parts.snapshots) == [1, 2, 3, 50, 98, 99]


def test_a_resumed_run_has_all_its_snapshots(town, tmp_path, monkeypatch):
    monkeypatch.setattr("lpm.checkpoints._SHARE", 1e9)
    asked = {"key": 0, "steps": 60, "snapshots": (0, 3, 20, 58), "checkpoint": tmp_path / "run"}
    with pytest.raises(Stop):
        lpm.simulate(decay, town, progress=stop_at(30), **asked)
    resumed = lpm.simulate(decay, town, **asked)
    whole = lpm.simulate(decay, town, **(asked | {"checkpoint": None}))
    assert resumed.snapshots.keys() == whole.snapshots.keys()
    for step, state in whole.snapshots.items():
        assert np.array_equal(resumed.snapshots[step].well, state.well), step
        assert int(resumed.snapshots[step].t) == step
    with pytest.raises(SimulationError, match="they differ in \\['snapshots'\\]"):
        lpm.simulate(decay, town, **(asked | {"snapshots": (1,)}))


def test_a_finished_checkpoint_is_read_back_without_running(town, tmp_path):
    first = lpm.simulate(decay, town, key=0, checkpoint=tmp_path / "run")
    seen = []
    again = lpm.simulate(decay, town, key=0, checkpoint=tmp_path / "run", progress=seen.append)
    assert len(seen) == 1
    assert (again.observed["well"] == first.observed["well"]).all()
    assert np.array_equal(again.state.well, first.state.well)


def test_a_fault_stays_a_fault_when_the_run_is_resumed(town, tmp_path):
    asked = {"key": 0, "params": decay.params.replace(rate=0.9), "checkpoint": tmp_path / "run"}
    assert lpm.simulate(broken, town, throw=False, **asked).faults["well"] == 3
    with pytest.raises(SimulationError, match=r"State.well left \[0, 1\] at day 3"):
        lpm.simulate(broken, town, **asked)


class Market(lpm.State):
    price: Float[Array, " firm"]


def with_firms(number):
    def init(population, params, draw):
        return Market.of(population, price=jnp.ones(number))

    return lpm.Scenario(init, (raise_prices,), mean_price, decay.params, steps=4)


def raise_prices(state, params, draw):
    return state.replace(price=state.price + 1)


def mean_price(state, params):
    return {"price": jnp.mean(state.price)}


def test_a_checkpoint_of_another_shape_is_refused(town, tmp_path):
    lpm.simulate(with_firms(3), town, key=0, checkpoint=tmp_path / "run")
    with pytest.raises(SimulationError, match="a state of another shape than this scenario's"):
        lpm.simulate(with_firms(4), town, key=0, checkpoint=tmp_path / "run")


@pytest.mark.parametrize("together", [2**20, 64])
def test_a_fault_in_an_ensemble_names_variant_and_run(together, town, monkeypatch):
    monkeypatch.setattr(simulation, "_TOGETHER", together)
    params = decay.params.replace(rate=[0.1, 0.9])
    with pytest.raises(SimulationError, match="at day 3 in variant 1, run 0"):
        lpm.ensemble(broken, town, keys=[4, 5], params=params)
    with pytest.raises(SimulationError, match="at day 3 in run 0;"):
        lpm.ensemble(broken, town, keys=[4, 5], params=decay.params.replace(rate=0.9))
    calm = lpm.ensemble(broken, town, keys=[4, 5], params=params, throw=False)
    assert calm.faults["well"].tolist() == [[-1, -1], [3, 3]]


def test_an_ensemble_in_a_foreign_folder_is_refused(town, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(SimulationError, match="not empty and holds no checkpoint"):
        lpm.ensemble(decay, town, keys=[0, 1], checkpoint=tmp_path)


def test_an_ensemble_run_by_run_goes_on_after_a_stop(town, tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "_TOGETHER", 64)
    monkeypatch.setattr("lpm.checkpoints._SHARE", 1e9)
    whole = lpm.ensemble(decay, town, keys=[0, 1, 2], snapshots=(4,))
    saves = []
    real = lpm.checkpoints.Checkpoints.save

    def save(self, payload, *, last):
        saves.append(self.folder.name)
        if len(saves) > 14:
            raise Stop
        real(self, payload, last=last)

    monkeypatch.setattr("lpm.checkpoints.Checkpoints.save", save)
    with pytest.raises(Stop):
        lpm.ensemble(decay, town, keys=[0, 1, 2], snapshots=(4,), checkpoint=tmp_path / "e")
    monkeypatch.setattr("lpm.checkpoints.Checkpoints.save", real)
    resumed = lpm.ensemble(decay, town, keys=[0, 1, 2], snapshots=(4,), checkpoint=tmp_path / "e")
    assert set(saves) == {"runs-0", "runs-1"}
    assert (resumed.observed["well"] == whole.observed["well"]).all()
    assert np.array_equal(resumed.snapshots[4].well, whole.snapshots[4].well)
    assert np.array_equal(resumed.state.well, whole.state.well)


_ENSEMBLE = """
import sys, lpm
from tests.plain import decay
town = lpm.Population.toy(20_000, capacity=20_100)
params = decay.params.replace(rate=[0.001, 0.002])
lpm.ensemble(decay, town, keys=[0, 1], params=params, steps=4000, checkpoint=sys.argv[1], devices=1)
"""


def test_an_ensemble_killed_at_some_moment_ends_with_the_same_numbers(tmp_path):
    folder = tmp_path / "saved"
    child = subprocess.Popen([sys.executable, "-c", _ENSEMBLE, str(folder)], cwd=Path.cwd())
    until = time.monotonic() + 60
    while time.monotonic() < until and not list(folder.glob("runs-0/[0-9]*")):
        assert child.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    town = lpm.Population.toy(20_000, capacity=20_100)
    params = decay.params.replace(rate=[0.001, 0.002])
    asked = {"keys": [0, 1], "params": params, "steps": 4000, "devices": 1}
    resumed = lpm.ensemble(decay, town, checkpoint=folder, **asked)
    whole = lpm.ensemble(decay, town, **asked)
    for name, x in whole.observed.items():
        assert x.tobytes() == resumed.observed[name].tobytes(), name
    assert np.array_equal(whole.state.well, resumed.state.well)


def test_a_kill_before_the_first_save_leaves_a_folder_that_can_be_used(town, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "about.part").write_text('{"key": [0')
    assert lpm.simulate(decay, town, key=0, checkpoint=tmp_path / "run").observed
