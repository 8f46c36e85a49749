"""Several processes of one run: the same numbers as one, and words where it cannot be."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import lpm
from lpm.command import several
from lpm.command.entry import main
from lpm.errors import SimulationError
from lpm.processes import by_leader, join
from scenarios.sir import scenario as sir

SMALL = ("--agents", "2001", "--steps", "8", "--runs", "1", "--no-baseline")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment():
    return os.environ | {"PYTHONPATH": str(Path.cwd()), "XLA_FLAGS": ""}


def test_two_processes_write_what_one_does(tmp_path):
    words = [sys.executable, "-m", "lpm", "run", "sir", *SMALL, "--set", "seeded=0.05"]
    two = subprocess.run(
        [*words, "--processes", "2", "--out", str(tmp_path / "two")],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert two.returncode == 0, two.stderr
    both = lpm.load(tmp_path / "two" / "policy")
    params, people = sir.params.replace(seeded=0.05), sir.population(2001, seed=0)
    one = lpm.ensemble(sir, people, keys=[0], steps=8, params=params, devices=1)
    assert one.observed["attack_rate"].max() > 0.05
    for name, x in one.observed.items():
        assert x.tobytes() == both.observed[name].tobytes(), name
    assert (tmp_path / "two" / "report.html").is_file()
    assert not (tmp_path / "two" / "checkpoint").exists()


def test_a_coordinator_that_does_not_answer_is_named():
    port = free_port()
    with pytest.raises(SimulationError, match=rf"127.0.0.1:{port} did not answer within 0.3 s"):
        join(f"127.0.0.1:{port}", 2, 1, patience=0.3)


@pytest.mark.parametrize(
    ("coordinator", "processes", "process_id", "words"),
    [
        ("nowhere", 2, 1, "coordinator = 'nowhere'; give HOST:PORT, or auto"),
        ("host:port", 2, 1, "give HOST:PORT"),
        ("127.0.0.1:1", None, 1, "processes = None; say how many"),
        ("127.0.0.1:1", 0, 0, "processes = 0; say how many"),
        ("127.0.0.1:1", 2, None, "process id = None; it is between 0 and 1"),
        ("127.0.0.1:1", 2, 2, "process id = 2; it is between 0 and 1"),
    ],
)
def test_processes_that_cannot_be_are_refused(coordinator, processes, process_id, words):
    with pytest.raises(SimulationError, match=re.escape(words)):
        join(coordinator, processes, process_id)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--processes", "0"], "--processes 0: give at least 1"),
        (["--process-id", "1"], "--process-id 1 needs --coordinator HOST:PORT"),
        (["--devices", "99"], "devices = 99, but this machine has"),
    ],
)
def test_the_command_refuses_what_cannot_be(capsys, tmp_path, options, words):
    out = tmp_path / "out"
    assert main(["run", "sir", *SMALL, "--out", str(out), *options]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_process_alone_leads_itself():
    assert by_leader(lambda: 3) == 3
    with pytest.raises(OSError, match="full"):
        by_leader(full)


def full():
    raise OSError("the disk is full")


_FIRST_ENDS = """
import sys, time
number = int(sys.argv[sys.argv.index("--process-id") + 1])
if number == 1:
    sys.exit("error: no such file")
time.sleep(600)
"""
_FIRST_IS_KILLED = """
import os, signal, sys, time
number = int(sys.argv[sys.argv.index("--process-id") + 1])
if number == 0:
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("script", "words"),
    [(_FIRST_ENDS, "no such file"), (_FIRST_IS_KILLED, "process 0 of 3 was ended by SIGKILL")],
)
def test_one_process_that_ends_ends_the_others(monkeypatch, tmp_path, script, words):
    file = tmp_path / "child.py"
    file.write_text(script)
    started = []

    class Child(subprocess.Popen):
        def __init__(self, command, **rest):
            super().__init__([sys.executable, str(file), *command[3:]], **rest)
            started.append(self)

    monkeypatch.setattr(several.subprocess, "Popen", Child)
    monkeypatch.setattr(several, "_GRACE", 0.2)
    with pytest.raises(SimulationError, match=words):
        several.start_here(["run"], 3)
    assert len(started) == 3
    assert all(child.poll() is not None for child in started), "nobody is left behind"


def test_waiting_for_processes_that_do_not_come_ends_in_one_line():
    script = (
        "from lpm.processes import _deadline\n"
        "import time\n"
        "with _deadline(0.2, 'all 2 processes'):\n    time.sleep(600)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: waited 0.2 s for all 2 processes, in vain"
