"""What `lpm check` says of memory, held to what a run of that size really takes."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lpm.command.memory import measure

pytestmark = [
    pytest.mark.gate,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read a peak in"),
]

# The peak of the process itself; that of `getrusage` counts its parent in.
_SCRIPT = """
import importlib, sys, tempfile
import lpm
scenario = importlib.import_module(f"scenarios.{sys.argv[1]}").scenario
people = scenario.population(int(sys.argv[2]), seed=0)
with tempfile.TemporaryDirectory() as folder:
    lpm.ensemble(
        scenario, people, keys=[0], steps=3, devices=1, progress=False,
        checkpoint=folder + "/c", keep_state=False,
    )
with open("/proc/self/status") as lines:
    print([line.split()[1] for line in lines if line.startswith("VmHWM")][0])
"""


def peak(name, agents):
    """Bytes of main memory that a run on one device takes at most."""
    env = os.environ | {"PYTHONPATH": str(Path.cwd()), "XLA_FLAGS": ""}
    command = [sys.executable, "-c", _SCRIPT, name, str(agents)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


@pytest.mark.parametrize(
    ("name", "agents"), [("sir", 30_000_000), ("epidemic", 8_000_000), ("labour_tax", 10_000_000)]
)
def test_the_estimate_is_within_a_quarter_of_the_peak(report, name, agents):
    scenario = importlib.import_module(f"scenarios.{name}").scenario
    told = measure(scenario, scenario.params).total(agents)
    taken = peak(name, agents)
    report(f"{name}: estimate over peak", told / taken, 1.0)
    assert 0.75 < told / taken < 1.25
    assert not 0.75 < measure(scenario, scenario.params).total(agents // 10) / taken < 1.25
