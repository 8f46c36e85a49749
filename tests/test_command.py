"""The command line: what each verb writes, every message, and a run that survives a kill."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lpm
from lpm.__main__ import main
from lpm.command import (
    memory,
    run as run_module,
    scenarios as scenarios_module,
    sweep as sweep_module,
)
from lpm.command.folder import RunFolder, Spec
from lpm.command.scenarios import find
from lpm.command.values import changes, grid, whole
from lpm.errors import ScenarioError

SMALL = ["--agents", "600", "--steps", "12", "--runs", "2"]
FILE = '''"""A town. More words."""
import jax.numpy as jnp
import lpm
from lpm import Float, Array, Int, Scalar


class Params(lpm.Params):
    rate: Scalar = lpm.policy(0.1, within=(0, 1), unit="1/day")
    limit: Scalar = lpm.constant(1e9)
    order: Int[Array, " band"] = lpm.constant([0, 1, 2])
    rounds: Int[Array, ""] = lpm.constant(3)


class State(lpm.State):
    x: Float[Array, " agent"] = lpm.variable(within=(0, 100))


def init(population, params, draw):
    return State.of(population, x=0)


def grow(state, params, draw):
    return state.replace(x=state.x + draw.bernoulli(params.rate, "agent"))


def observe(state, params):
    x = jnp.mean(state.x)
    return {"level": x, "parts": jnp.stack([x, 2 * x])}


LABELS = {"parts": ["one", "two"]}
scenario = lpm.Scenario(
    init, (grow,), observe, Params(), steps=8, unit="day", baseline={"rate": 0}
)
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with the file `town.py` and a finished run of it, `out`."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "town.py").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "load", lambda name: load_once(name, find(name).read_bytes()))
        assert main(["run", str(folder / "town.py"), *SMALL, "--out", str(folder / "out")]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def out(made, here) -> Path:
    """A copy of the finished run in the current folder."""
    shutil.copytree(made / "out", here / "out")
    return Path("out")


@pytest.fixture
def file(here) -> Path:
    path = here / "town.py"
    path.write_text(FILE)
    return path


@pytest.fixture
def town(made, tmp_path, monkeypatch) -> Path:
    """The file behind `made`, whose step is compiled already; not to be changed."""
    monkeypatch.chdir(tmp_path)
    return made / "town.py"


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    """Leave the figures out, which take longer than the runs, and load an unchanged file once."""
    monkeypatch.setattr(run_module, "figures", lambda _: [])
    monkeypatch.setattr(run_module, "load", lambda name: load_once(name, find(name).read_bytes()))


@cache
def load_once(name: str, _: bytes) -> scenarios_module.Loaded:
    return scenarios_module.load(name)


def call(capsys, *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def fails(capsys, *words: object) -> str:
    code, _, err = call(capsys, *words)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def tables(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.glob("*/*.parquet")}


def test_run_leaves_one_folder_with_everything_in_it(out):
    names = {p.name for p in out.iterdir()}
    assert names == {
        "policy", "baseline", "spec.json", "report.html", "overview.png", "difference.png",
        "parts.png",
    }  # fmt: skip
    policy, baseline = lpm.load(out / "policy"), lpm.load(out / "baseline")
    assert policy.observed["level"].shape == (2, 12)
    assert policy.provenance["key"] == baseline.provenance["key"]
    assert baseline.observed["level"].max() == 0
    assert ">two<" in (out / "report.html").read_text()


def test_run_prints_baseline_policy_and_paired_difference(capsys, town):
    code, text, _ = call(capsys, "run", town, *SMALL, "--out", "out")
    assert code == 0
    assert "difference, same luck" in text
    assert "report: out/report.html" in text


def test_runs_without_out_get_folders_of_their_own(capsys, town):
    for _ in range(2):
        assert call(capsys, "run", town, *SMALL, "--no-baseline")[0] == 0
    folders = sorted(p.name for p in Path("runs").iterdir())
    assert len(folders) == 2
    assert all(name.startswith("town-2") for name in folders)


def test_run_equals_the_library(capsys, town):
    call(capsys, "run", town, *SMALL, "--seed", "5", "--set", "rate=0.25", "--out", "out")
    scenario = scenarios_module.load(str(town)).scenario
    people = scenario.population(600, seed=5)
    params = scenario.params.replace(rate=0.25)
    expected = lpm.ensemble(scenario, people, keys=[5, 6], params=params, steps=12)
    found = lpm.load("out/policy")
    for name, values in expected.observed.items():
        assert np.array_equal(found.observed[name], values)


def test_every_thins_what_is_observed(capsys, town):
    call(capsys, "run", town, *SMALL, "--every", "4", "--no-baseline", "--out", "out")
    assert lpm.load("out/policy").time.tolist() == [4, 8, 12]
    assert not Path("out/baseline").exists()


def test_a_folder_is_never_overwritten(capsys, town, here):
    (here / "out").mkdir()
    assert "out exists already" in fails(capsys, "run", town, *SMALL, "--out", "out")
    assert list((here / "out").iterdir()) == []


def test_a_killed_run_resumes_bit_for_bit(capsys, town, here):
    size = ["--agents", "500", "--steps", "60000", "--runs", "2", "--set", "rate=1e-4"]
    kill(["run", str(town), *size, "--out", "killed"], here / "killed/checkpoint/policy/runs-0")
    assert not (here / "killed" / "report.html").exists(), "the run was over before the kill"
    assert call(capsys, "run", "--resume", "killed")[0] == 0
    assert call(capsys, "run", town, *size, "--out", "whole")[0] == 0
    assert tables(here / "killed") == tables(here / "whole") != {}
    assert names_in("killed") == names_in("whole")


def test_a_killed_sweep_resumes_bit_for_bit(capsys, town, here):
    size = ["--agents", "500", "--steps", "60000", "--runs", "2", "--set", "rate=1e-4,2e-4"]
    kill(["sweep", str(town), *size, "--out", "killed"], here / "killed/checkpoint/runs-0")
    assert not (here / "killed" / "sweep.parquet").exists(), "the sweep was over before the kill"
    assert "--resume killed" in fails(capsys, "sweep", town, *size, "--out", "killed")
    assert call(capsys, "sweep", "--resume", "killed")[0] == 0
    assert call(capsys, "sweep", town, *size, "--out", "whole")[0] == 0
    assert tables(here / "killed") == tables(here / "whole") != {}
    assert Path("killed/sweep.parquet").read_bytes() == Path("whole/sweep.parquet").read_bytes()
    assert names_in("killed") == names_in("whole") == {"sweep.json", "sweep.parquet", "trajectory"}


def kill(words: list[str], saved: Path) -> None:
    """Run a command and kill it at some moment after its first checkpoint in `saved`."""
    root = str(Path(lpm.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "lpm", *words]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(saved.glob("[0-9]*")):
        wait(process, 0.01)
    wait(process, random.uniform(0, 0.3))
    process.kill()
    process.wait()
    assert list(saved.glob("[0-9]*")), "killed without a checkpoint"


def wait(process: subprocess.Popen, seconds: float) -> None:
    """Give a process some time, without minding whether it ends in it."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def names_in(folder: str) -> set[str]:
    return {p.name for p in Path(folder).iterdir()}


def test_a_folder_without_a_checkpoint_restarts_from_its_record(capsys, out):
    RunFolder.claim(Path("bare"), "town", Spec.read(out))
    assert call(capsys, "run", "--resume", "bare")[0] == 0
    assert tables(Path("bare")) == tables(out) != {}


def test_results_of_a_finished_part_are_not_computed_again(capsys, out, monkeypatch):
    (out / "report.html").unlink()
    monkeypatch.setattr(run_module, "ensemble", None)
    assert call(capsys, "run", "--resume", "out")[0] == 0
    assert (out / "report.html").exists()


def test_what_a_kill_left_half_written_is_cleared_away(capsys, out):
    (out / "checkpoint").mkdir()
    (out / ".report.html.part").write_text("half")
    (out / ".policy-abc").mkdir()
    assert call(capsys, "run", "--resume", "out")[0] == 0
    assert not [name for name in names_in("out") if name.startswith((".", "checkpoint"))]


def test_resuming_a_finished_run_says_so(capsys, out):
    before = tables(out)
    code, text, _ = call(capsys, "run", "--resume", "out")
    assert code == 0
    assert "out is finished" in text
    assert tables(out) == before


def test_an_interrupted_run_says_how_to_go_on(capsys, town, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "ensemble", stop)
    code, _, err = call(capsys, "run", town, *SMALL, "--out", "out")
    assert code == 130
    assert "lpm run --resume out" in err
    assert names_in("out") == {"spec.json"}


def test_a_run_that_fails_frees_its_folder(capsys, file):
    file.write_text(FILE.replace("within=(0, 100)", "within=(0, 0.5)"))
    assert "State.x left [0, 0.5] at day" in fails(capsys, "run", file, *SMALL, "--out", "out")
    assert not Path("out").exists()


def test_resume_takes_the_same_options_and_refuses_others(capsys, made, out):
    resume = ["--resume", out]
    assert call(capsys, "run", made / "town.py", *SMALL, *resume)[0] == 0
    assert "--agents 7 is not what" in fails(capsys, "run", *resume, "--agents", "7")
    assert "--runs 9 is not what" in fails(capsys, "run", *resume, "--runs", "9")
    assert "leave out --set" in fails(capsys, "run", *resume, "--set", "rate=0.5")
    assert "leave out --out" in fails(capsys, "run", *resume, "--out", "other")
    assert "is a run of" in fails(capsys, "run", "sir", *resume)


def test_resume_refuses_a_scenario_that_changed(capsys, out):
    spec = replace(Spec.read(out), scenario_sha256="0" * 16)
    RunFolder.claim(Path("bare"), "town", spec)
    assert "has changed since bare was begun" in fails(capsys, "run", "--resume", "bare")


def test_resume_needs_the_record_of_a_run(capsys, here):
    assert "nowhere holds no spec.json" in fails(capsys, "run", "--resume", "nowhere")
    (here / "odd").mkdir()
    (here / "odd" / "spec.json").write_text("[]")
    assert "is not the record of a run" in fails(capsys, "run", "--resume", "odd")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "clozure=1"], r"no parameter [clozure]; it has [beta_home"),
        (["--set", "clozure=1"], "did you mean [closure]?"),
        (["--set", "closure=2"], "Params.closure = 2 is outside [0, 1] (share of work contacts)"),
        (["--set", "closure=half"], "'half' is not a number"),
        (["--set", "closure"], "'closure' is not of the form name=value"),
        (["--set", "closure=0,1"], "closure has 2 numbers, but takes one number"),
        (["--set", "closure=0", "--set", "closure=1"], "closure is given twice"),
        (["--set", "closure=nan"], "Params.closure = nan is outside [0, 1]"),
        (["--steps", "0"], "steps = 0; give a whole number of steps, at least 1"),
        (["--agents", "0"], "--agents 0: a population needs at least one person"),
        (["--agents", "many"], "--agents 'many' is not a whole number"),
        (["--runs", "0"], "--runs 0: give at least one run"),
        (["--every", "13"], "--every 13: give a number between 1 and 12"),
        (["--every", "0"], "--every 0: give a number between 1 and 12"),
    ],
)
def test_wrong_options_are_told_before_anything_is_made(capsys, here, words, message):
    assert message in fails(capsys, "run", "sir", *SMALL, *words, "--out", "out")
    assert list(here.iterdir()) == []


def test_more_agents_than_memory_are_refused_before_they_are_made(capsys, town, here, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * 10**9)
    message = fails(capsys, "run", town, "--agents", "1e9", "--out", "out")
    assert "1,000,000,000 agents need about" in message
    assert "2.0 GB are free; about " in message
    assert list(here.iterdir()) == []
    message = fails(capsys, "run", town, "--agents", "8e9", "--out", "out")
    assert "8,000,000,000: agents are numbered in 32 bits, so there are 2,147,483,647" in message


def test_force_runs_although_memory_looks_too_small(capsys, town, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    monkeypatch.setattr(memory, "_SMALL", 100)
    monkeypatch.setattr(memory, "_SAMPLE", 500)
    monkeypatch.setattr(memory, "_PROCESS", 10**12)
    words = ("run", town, *SMALL, "--no-baseline", "--out", "out")
    assert "GB are free" in fails(capsys, *words)
    assert call(capsys, *words, "--force")[0] == 0


def test_memory_of_an_accelerator_is_counted_apart(monkeypatch):
    need = memory.Need(building=100.0, columns=20.0, state=20.0, starting=0.0, working=10.0)
    monkeypatch.setattr(memory, "available", lambda: (10**12, 10**9))
    fits, told = memory.verdict(need, 10**8)
    assert not fits
    assert "of the accelerator, 1.0 GB are free; about 25,000,000 would fit" in told
    assert need.device(10**8, devices=8) == 10**8 // 8 * 40
    fits, told = memory.verdict(need, 10**8, devices=8)
    assert fits
    assert "about 0.5 GB of each accelerator, 1.0 GB are free" in told


def test_freed_columns_count_until_the_allocator_gives_them_back():
    need = memory.Need(building=100.0, columns=20.0, state=20.0, starting=0.0, working=10.0)
    # 200 MB of Python, 200 MB of the compiler, and 40 bytes of a run beside 100 that stay.
    assert need.total(10**6) == 4 * 10**8 + 10**6 * 140
    # Nothing stays of larger ones, so that building takes the most, before anything is compiled.
    assert need.total(10**7) == 2 * 10**8 + 10**7 * 100


def test_small_runs_advance_together_and_need_memory_for_all():
    need = memory.Need(building=0.0, columns=0.0, state=10.0, starting=0.0, working=0.0)
    assert need.device(1_000, runs=8) == 80_000
    assert need.device(2_000_000, runs=8) == 20_000_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "must define `scenario = lpm.Scenario(...)`; it has nothing of that name"),
        ("scenario = 3", "it has a int"),
        ("def f(:", "odd.py, line 1: "),
        ("import nothing_of_the_kind", "odd.py cannot be imported: No module named"),
        ("import lpm\nlpm.policy(1, within=(2, 1))", "odd.py: within=(2, 1) is empty"),
        (FILE.replace("LABELS =", "UNITS ="), "odd.py"),
    ],
)
def test_a_bad_file_is_named_with_what_it_lacks(capsys, here, text, message):
    (here / "odd.py").write_text(text if "UNITS" not in text else text + "\nUNITS = 3\n")
    if "UNITS" in text:
        message = "UNITS must be a dict by observable, not int"
    assert message in fails(capsys, "params", "odd.py")


def test_labels_that_do_not_fit_are_refused(capsys, file):
    file.write_text(FILE.replace('["one", "two"]', '["one"]'))
    assert "LABELS['parts'] has 1 names" in fails(capsys, "run", file, *SMALL, "--out", "out")


def test_a_scenario_is_found_by_path_then_here_then_in_the_package(here):
    assert scenarios_module.find("sir").parent.name in ("scenarios", "_scenarios")
    (here / "scenarios").mkdir()
    mine = here / "scenarios" / "sir.py"
    mine.write_text(FILE)
    assert scenarios_module.find("sir") == mine.resolve()
    assert scenarios_module.find("scenarios/sir.py") == mine.resolve()


def test_an_unknown_scenario_names_the_nearest(capsys):
    message = fails(capsys, "run", "epidemc")
    assert "there is no file epidemc" in message
    assert "did you mean epidemic?" in message
    assert "give a scenario" in fails(capsys, "run")


def test_a_file_that_is_not_python_is_refused(capsys, here):
    (here / "model.txt").write_text("x")
    assert "model.txt is not a Python file" in fails(capsys, "params", "model.txt")


def test_params_lists_role_value_baseline_bounds_and_unit(capsys, town):
    code, out, _ = call(capsys, "params", town)
    assert code == 0
    line = next(line for line in out.splitlines() if " rate " in line)
    assert line.split() == ["rate", "policy", "0.1", "0", "[0,", "1]", "1/day"]


def test_check_reports_promises_and_memory(capsys, town, monkeypatch):
    seen = []
    monkeypatch.setattr("lpm.command.check.check_scenario", lambda *given: seen.append(given))
    code, out, _ = call(capsys, "check", town, "--agents", "2_000_000")
    assert code == 0
    assert [people.size for _, people in seen] == [500]
    assert "bytes of state" in out
    assert "2,000,000 agents need about" in out


def test_check_takes_more_people_where_few_cannot_be_drawn(capsys, file, monkeypatch):
    file.write_text(
        FILE
        + """

def city(size, *, seed, capacity=None):
    if size < 10_000:
        raise lpm.DataError(f"a city has more than {size} people")
    return lpm.Population.toy(size, seed=seed)

scenario = scenario.replace(population=city)
"""
    )
    seen = []
    monkeypatch.setattr("lpm.command.check.check_scenario", lambda *given: seen.append(given))
    assert call(capsys, "check", file)[0] == 0
    assert [people.size for _, people in seen] == [10_000]
    assert "a city has more than 600 people" in fails(capsys, "run", file, *SMALL)
    assert names_in(".") == {"town.py"}


def test_a_run_takes_all_people_where_it_is_known_how_many_there_are(capsys, file):
    file.write_text(
        FILE
        + """

class Village:
    size = 320
    def __call__(self, size, *, seed, capacity=None):
        return lpm.Population.toy(size, seed=seed)

scenario = scenario.replace(population=Village())
"""
    )
    call(capsys, "run", file, "--steps", "3", "--runs", "1", "--out", "all")
    assert Spec.read(Path("all")).agents == 320
    call(capsys, "run", file, "--agents", "64", "--steps", "3", "--runs", "1", "--out", "some")
    assert Spec.read(Path("some")).agents == 64


def test_check_names_the_promise_that_is_broken(capsys, file):
    file.write_text(FILE.replace("jnp.mean(state.x)", "jnp.mean(state.x) / 0"))
    assert "is not finite" in fails(capsys, "check", file)


def test_sweep_writes_one_row_per_point_and_run(capsys, town):
    words = ["--set", "rate=0.1,0.4", "--set", "limit=1,2,3", "--out", "out"]
    code, text, _ = call(capsys, "sweep", town, *SMALL, *words)
    assert code == 0
    table = pl.read_parquet("out/sweep.parquet")
    assert table.shape == (12, 3 + 3)
    assert table["seed"].to_list()[:4] == [0, 1, 0, 1]
    assert text.count("±") == 6
    call(capsys, "run", town, *SMALL, "--no-baseline", "--set", "rate=0.4", "--out", "one")
    part = table.filter((pl.col("rate") > 0.3) & (pl.col("limit") == 2))
    one = lpm.load("one/policy").observed["level"][:, -1]
    assert np.array_equal(part["level_end"].to_numpy(), one)


def test_an_interrupted_sweep_says_how_to_go_on_and_goes_on(capsys, town, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    words = ["sweep", town, *SMALL, "--set", "rate=0.1,0.4", "--out", "out"]
    with monkeypatch.context() as patch:
        patch.setattr(sweep_module, "ensemble", stop)
        code, _, err = call(capsys, *words)
    assert code == 130
    assert "lpm sweep --resume out" in err
    assert names_in("out") == {"sweep.json"}
    assert "--runs 9 is not what" in fails(capsys, "sweep", "--resume", "out", "--runs", "9")
    assert "leave out --set" in fails(capsys, "sweep", "--resume", "out", "--set", "rate=1")
    assert call(capsys, "sweep", "--resume", "out")[0] == 0
    before = Path("out/sweep.parquet").read_bytes()
    assert "out is finished" in call(capsys, "sweep", "--resume", "out")[1]
    assert Path("out/sweep.parquet").read_bytes() == before


def test_sweep_resumes_sweeps_only(capsys, out):
    assert "out holds no sweep.json" in fails(capsys, "sweep", "--resume", out)
    assert "give a scenario" in fails(capsys, "sweep")


def test_sweep_refuses_what_makes_no_grid(capsys, town):
    assert "nothing to sweep over" in fails(capsys, "sweep", town)
    assert "order is an array" in fails(capsys, "sweep", town, "--set", "order=1,2")
    assert "rate is given twice" in fails(
        capsys, "sweep", town, "--set", "rate=0", "--set", "rate=1"
    )
    many = ",".join(["0.5"] * 101)
    assert "the grid has 10,201 points" in fails(
        capsys, "sweep", town, "--set", f"rate={many}", "--set", f"limit={many}"
    )


def test_compare_tells_what_differs_and_draws_both(capsys, made, out):
    words = ["run", made / "town.py", *SMALL, "--no-baseline"]
    call(capsys, *words, "--set", "rate=0.5", "--out", "fast")
    code, text, err = call(capsys, "compare", out, "fast")
    assert (code, err) == (0, "")
    assert "rate" in text
    assert "difference, same luck" in text
    assert Path("out-fast.png").read_bytes().startswith(b"\x89PNG")
    call(capsys, "compare", out, "fast")
    assert Path("out-fast-2.png").exists()
    call(capsys, *words, "--seed", "9", "--out", "other")
    assert "between independent runs" in call(capsys, "compare", out, "other")[1]
    assert "out-fast.png exists already" in fails(
        capsys, "compare", out, "fast", "--out", "out-fast.png"
    )


def test_compare_needs_two_finished_runs_with_something_in_common(capsys, out, file):
    file.write_text(FILE.replace('"level"', '"height"'))
    call(capsys, "run", file, *SMALL, "--no-baseline", "--out", "else")
    assert "observe nothing in common" in fails(capsys, "compare", out, "else")
    RunFolder.claim(Path("bare"), "town", Spec.read(out))
    assert "go on with: lpm run --resume bare" in fails(capsys, "compare", out, "bare")
    assert "nowhere holds no spec.json" in fails(capsys, "compare", out, "nowhere")


def test_usage_errors_and_help_keep_their_codes(capsys):
    assert main(["walk"]) == 2
    assert main(["--help"]) == 0
    assert "lpm run epidemic" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "number"), [("1000", 1000), ("1_000", 1000), ("1,000", 1000), ("1e6", 10**6)]
)
def test_whole_numbers_may_be_written_for_people(text, number):
    assert whole(text) == number


@pytest.mark.parametrize("text", ["1.5", "x", "", "nan", "inf", "1e-3"])
def test_other_numbers_are_not_whole(text):
    with pytest.raises(ValueError, match="is not a whole number"):
        whole(text)


def test_settings_are_read_by_the_kind_of_the_parameter(town):
    params = scenarios_module.load(str(town)).scenario.params
    assert changes(params, ["order=2,1,0", "rounds=4", "rate=1e-1"]) == {
        "order": [2, 1, 0],
        "rounds": 4,
        "rate": 0.1,
    }
    assert changes(params, ["order=1"]) == {"order": [1, 1, 1]}
    assert grid(params, ["rate=0,1", "rounds=2"]) == {"rate": [0.0, 1.0], "rounds": [2, 2]}
    with pytest.raises(ScenarioError, match=r"'2\.5' is not a whole number"):
        changes(params, ["rounds=2.5"])
    with pytest.raises(ScenarioError, match="order has 2 numbers, but takes 3 numbers"):
        changes(params, ["order=1,2"])


def test_the_record_of_a_run_is_plain_json(capsys, town):
    call(capsys, "run", town, *SMALL, "--no-baseline", "--set", "rate=0.5", "--out", "out")
    record = json.loads(Path("out/spec.json").read_text())
    assert record["changes"] == {"rate": 0.5}
    assert record["agents"] == 600
