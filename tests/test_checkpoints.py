"""Checkpoints: a killed run goes on bit for bit; torn and foreign ones are refused in words."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lpm
from lpm.errors import SimulationError
from scenarios.sir import scenario as sir
from tests.plain import decay

_SCRIPT = """
import sys, lpm
from scenarios.sir import scenario
town = lpm.Population.toy(20_000)
lpm.simulate(scenario, town, key=4, steps=3000, checkpoint=sys.argv[1], devices=1)
"""


class Stop(Exception):
    """Raised between two segments."""


def stop_at(day):
    def progress(run):
        if len(run.time) >= day:
            raise Stop

    return progress


def test_a_run_killed_at_some_moment_ends_with_the_same_numbers(tmp_path):
    folder = tmp_path / "saved"
    child = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(folder)], cwd=Path.cwd())
    until = time.monotonic() + 60
    while time.monotonic() < until and not list(folder.glob("[0-9]*")) and child.poll() is None:
        time.sleep(0.02)
    assert child.poll() is None, "the run ended before it could be killed"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    town = lpm.Population.toy(20_000)
    resumed = lpm.simulate(sir, town, key=4, steps=3000, checkpoint=folder, devices=1)
    whole = lpm.simulate(sir, town, key=4, steps=3000, devices=1)
    for name, x in whole.observed.items():
        assert x.tobytes() == resumed.observed[name].tobytes(), name
    assert np.array_equal(whole.state.susceptible, resumed.state.susceptible)


def test_an_ensemble_goes_on_where_it_stopped(town, tmp_path):
    whole = lpm.ensemble(decay, town, keys=[0, 1], devices=1)
    first = lpm.ensemble(decay, town, keys=[0, 1], devices=1, checkpoint=tmp_path / "e")
    again = lpm.ensemble(decay, town, keys=[0, 1], devices=1, checkpoint=tmp_path / "e")
    for run in (first, again):
        assert (run.observed["well"] == whole.observed["well"]).all()


def interrupted(town, folder, **changes):
    with pytest.raises(Stop):
        lpm.simulate(
            decay, town, key=0, steps=400, checkpoint=folder, progress=stop_at(200), **changes
        )


def test_a_checkpoint_of_another_run_is_refused(town, tmp_path):
    interrupted(town, tmp_path / "run")
    with pytest.raises(SimulationError, match=r"of another run: they differ in \['key'\]"):
        lpm.simulate(decay, town, key=1, steps=400, checkpoint=tmp_path / "run")
    other = decay.params.replace(rate=0.5)
    with pytest.raises(SimulationError, match="params"):
        lpm.simulate(decay, town, key=0, steps=400, params=other, checkpoint=tmp_path / "run")


def test_a_torn_checkpoint_is_refused_and_the_one_before_it_serves(town, tmp_path, monkeypatch):
    monkeypatch.setattr("lpm.checkpoints._SHARE", 1e9)  # save after every segment
    folder = tmp_path / "run"
    interrupted(town, folder)
    saves = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())
    assert len(saves) == 2, "the last two are kept"
    arrays = [p for p in (folder / str(saves[-1])).rglob("*") if p.is_file() and p.stat().st_size]
    largest = max(arrays, key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with pytest.raises(SimulationError, match=rf"delete {saves[-1]} to go on from the save before"):
        lpm.simulate(decay, town, key=0, steps=400, checkpoint=folder)
    (folder / str(saves[-1])).rename(folder / "aside")
    resumed = lpm.simulate(decay, town, key=0, steps=400, checkpoint=folder)
    whole = lpm.simulate(decay, town, key=0, steps=400)
    assert (resumed.observed["well"] == whole.observed["well"]).all()


def test_a_folder_of_something_else_is_left_alone(town, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(SimulationError, match="not empty and holds no checkpoint"):
        lpm.simulate(decay, town, key=0, checkpoint=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]
    (tmp_path / "about.json").write_text("nonsense")
    with pytest.raises(SimulationError, match="is not a checkpoint of lpm"):
        lpm.simulate(decay, town, key=0, checkpoint=tmp_path)
