"""Runs over several processes that are killed, disagree, and go on elsewhere, counts unchanged."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.gate

_SCRIPT = """
import os, sys, jax, lpm
from lpm.processes import join
from scenarios.sir import scenario
address, number, folder, steps, seed = sys.argv[1:]
if address != "-":
    join(address, 2, int(number))
town = scenario.population(2001, seed=0)
try:
    run = lpm.simulate(
        scenario, town, key=int(seed), steps=int(steps), checkpoint=folder, progress=False,
        devices=len(jax.devices()),
    )
except lpm.SimulationError as error:
    print(error, file=sys.stderr, flush=True)
    os._exit(2)
print({name: x.tobytes().hex() for name, x in run.observed.items()})
"""


def start(address, number, folder, steps, seed=0, devices=1):
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [
            sys.executable, "-c", _SCRIPT,
            address, str(number), str(folder), str(steps), str(seed),
        ],
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "XLA_FLAGS": flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_process_killed_ends_the_other_and_the_run_goes_on_with_the_same_counts(tmp_path):
    folder, steps, where = tmp_path / "saved", 6_000, address()
    both = [start(where, i, folder, steps) for i in range(2)]
    until = time.monotonic() + 240
    while not list(folder.glob("[0-9]*")) and time.monotonic() < until:
        assert all(child.poll() is None for child in both), [c.communicate() for c in both]
        time.sleep(0.02)
    both[1].send_signal(signal.SIGKILL)
    _, said = both[0].communicate(timeout=60)
    both[1].communicate()
    assert both[0].returncode == 2, said
    assert "another process of this run has ended, and process 0 with it" in said
    saved = max(int(path.name) for path in folder.glob("[0-9]*"))
    assert 0 < saved < steps, "it was killed on the way"
    resumed, said = start("-", 0, folder, steps, devices=3).communicate()
    assert resumed, said
    whole, said = start("-", 0, tmp_path / "whole", steps, devices=1).communicate()
    assert resumed == whole


def test_processes_that_were_given_different_runs_all_stop_and_say_so(tmp_path):
    where = address()
    both = [start(where, i, tmp_path / "x", 50, seed=i) for i in range(2)]
    said = [child.communicate(timeout=240)[1] for child in both]
    for text in said:
        assert "the processes would not compute the same run; they differ in key" in text, text
        assert "in process 0" in text
        assert "in process 1" in text
    assert not (tmp_path / "x").exists(), "nothing was begun"
