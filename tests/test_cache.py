"""Compiled programs on disk: there at the second start, out of the way where they cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

import lpm
from lpm import cache
from scenarios import sir
from tests.plain import decay

_SCRIPT = """
import sys
import lpm
heavy = {"scipy", "optax", "flax", "matplotlib", "orbax", "optimistix"} & set(sys.modules)
assert not heavy, f"the door loads {heavy}"
import jax
hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None
)
from scenarios.sir import scenario
run = lpm.simulate(scenario, lpm.Population.toy(64), key=0, steps=8, progress=False)
print(len(hits), run.observed["prevalence"].sum(), lpm.posterior.__name__)
"""


@pytest.fixture
def settings(monkeypatch):
    """JAX without a cache folder of anybody's, and as it was before once the test is done."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    monkeypatch.setattr(cache, "_chosen", {})
    monkeypatch.delenv("LPM_CACHE", raising=False)
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    yield monkeypatch
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def start(**given):
    """What a fresh Python prints: programs found, the sum of an observable, a fit's name."""
    left = ("LPM_CACHE", "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    env = {name: value for name, value in os.environ.items() if name not in left}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env=env | {"PYTHONPATH": str(Path.cwd())} | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_second_start_finds_the_programs_of_the_first(tmp_path):
    first = start(XDG_CACHE_HOME=str(tmp_path))
    again = start(XDG_CACHE_HOME=str(tmp_path))
    assert first[0] == "0"
    assert int(again[0]) > 0
    assert first[1:] == again[1:], "a program from disk computes the same"
    kept = list((tmp_path / "lpm" / "compiled").rglob("*-cache"))
    assert kept, "the programs lie in the user's cache folder"
    assert all(cache.processor() in str(path) for path in kept)


def test_a_folder_is_chosen_by_variable_and_by_keyword(settings, tmp_path, town):
    settings.setenv("LPM_CACHE", str(tmp_path / "by variable"))
    lpm.simulate(decay, town, key=0, steps=2)
    assert "by variable" in jax.config.jax_compilation_cache_dir
    lpm.ensemble(decay, town, keys=[0, 1], steps=2, cache=tmp_path / "by keyword")
    assert "by keyword" in jax.config.jax_compilation_cache_dir
    lpm.simulate(decay, town, key=0, steps=2)
    assert "by keyword" in jax.config.jax_compilation_cache_dir, "it holds from there on"
    lpm.simulate(decay, town, key=0, steps=2, cache=False)
    assert not jax.config.jax_compilation_cache_dir


def test_programs_are_written_also_when_something_was_compiled_before(settings, tmp_path):
    jax.jit(lambda x: x + 1)(jnp.float32(1))
    folder = cache.keep_compiled(tmp_path)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.jit(lambda x: x * 2 + 1)(jnp.float32(1))
    assert list(folder.glob("*-cache"))


@pytest.mark.parametrize("word", ["off", "0", "No", "false"])
def test_the_variable_turns_it_off(settings, word):
    settings.setenv("LPM_CACHE", word)
    assert cache.keep_compiled() is None
    assert not jax.config.jax_compilation_cache_dir


def test_a_cache_that_jax_was_given_stays(settings, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    settings.setenv("LPM_CACHE", str(tmp_path / "other"))
    assert cache.keep_compiled() == tmp_path / "mine"
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine")


def test_a_folder_that_cannot_be_written_is_done_without(settings, tmp_path, town):
    (tmp_path / "file").write_text("in the way")
    settings.setenv("LPM_CACHE", str(tmp_path / "file" / "below"))
    assert lpm.simulate(decay, town, key=0, steps=2).observed["well"].shape == (2,)
    assert not jax.config.jax_compilation_cache_dir
    assert cache.keep_compiled(tmp_path / "file") is None


def test_the_users_folder_follows_the_system(settings, tmp_path):
    settings.setenv("XDG_CACHE_HOME", "not/absolute")
    settings.setattr("pathlib.Path.home", lambda: tmp_path)
    settings.setattr("sys.platform", "linux")
    assert cache.user_folder() == tmp_path / ".cache" / "lpm" / "compiled"
    settings.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.user_folder() == tmp_path / "xdg" / "lpm" / "compiled"
    settings.setattr("sys.platform", "darwin")
    assert cache.user_folder() == tmp_path / "Library" / "Caches" / "lpm" / "compiled"
    settings.setattr("sys.platform", "win32")
    settings.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache.user_folder() == tmp_path / "local" / "lpm" / "compiled"

    def homeless():
        raise RuntimeError("no home")

    settings.setattr("pathlib.Path.home", homeless)
    assert cache.user_folder() is None


def test_the_oldest_programs_go_where_there_are_too_many(settings, tmp_path):
    folder = tmp_path / cache.processor()
    folder.mkdir()
    for age in range(6):
        (folder / f"{age}-cache").write_bytes(bytes(100))
        os.utime(folder / f"{age}-cache", (1e9 - age, 1e9 - age))
    settings.setattr(cache, "_MOST", 500)
    cache.keep_compiled(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["0-cache", "1-cache"]


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="the system does not tell")
def test_programs_are_forgotten_before_the_process_runs_out_of_mappings(monkeypatch):
    def mappings():
        with open("/proc/self/maps", "rb") as maps:
            return sum(1 for _ in maps)

    def run(size):
        return lpm.simulate(sir.scenario, lpm.Population.toy(size), key=1, steps=3, progress=False)

    first = run(301).observed
    before = mappings()
    assert not cache.forget_if_full(0.9)
    assert cache.forget_if_full(0.0)
    assert mappings() < before - 50
    # A process at its limit forgets by itself, before a new program, and runs on as it did.
    asked = []
    monkeypatch.setattr(
        "lpm.launch.forget_if_full", lambda: asked.append(cache.forget_if_full(0.0))
    )
    again = run(301).observed
    assert asked == [True]
    assert all((again[name] == first[name]).all() for name in first)


def test_the_door_lists_and_refuses_names():
    assert {"calibrate", "posterior", "simulate"} <= set(dir(lpm))
    assert lpm.calibrate.__module__ == "lpm.fitting.calibration"
    with pytest.raises(AttributeError, match="no attribute 'calibrat'"):
        lpm.calibrat  # noqa: B018
