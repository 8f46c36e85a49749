"""Make the transcript and the observables anew: python -m tests.golden.panel.write [--replay].

With `--replay` the answers stay and the observables alone are made anew. Without, it needs
`pip install 'lpm[test]'` for the server. Both are for a change of results that is meant.
"""

import json
import platform
import sys
from contextlib import chdir
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np

import lpm
from lpm import personas
from scenarios.opinion import scenario
from tests.small_model import serve_model, write_model

FOLDER = Path(__file__).resolve().parent
TRANSCRIPT, OBSERVABLES = FOLDER / "transcript.jsonl", FOLDER / "observables.json"
MODEL = "random-weights"


NEWS = personas.Event(10, "Floods in the valley; the ministry speaks of a dividend.", "made up")


def run(respondent: Any) -> lpm.Trajectory:
    """Sixty-five days of a small town: interviews by the calendar, by a headline and by drift.

    The model is asked at temperature 1: at 0 random weights say the same to everybody.
    """
    assert scenario.panel is not None
    hot = replace(scenario.panel, events=(NEWS,), settings=personas.Settings(temperature=1.0))
    people = lpm.Population.toy(300, seed=5)
    return lpm.simulate(
        scenario.replace(panel=hot), people, key=11, steps=65, respondent=respondent, devices=1
    )


def exact(trajectory: lpm.Trajectory) -> dict[str, list[str]]:
    """Every tenth row of the observables, to the last bit."""
    return {
        name: [float(v).hex() for v in np.asarray(x, float)[9::10].ravel()]
        for name, x in trajectory.observed.items()
    }


def backend() -> str:
    """What bitwise equality holds for: one version of jaxlib on one kind of processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = sorted({line for line in lines if line.startswith(("flags", "Features"))})
    except OSError:
        cpu = [platform.processor()]
    mark = sha256("".join(cpu).encode()).hexdigest()[:12]
    return f"jaxlib {version('jaxlib')} {jax.default_backend()} {platform.machine()} {mark}"


def ask() -> lpm.Trajectory:
    """The run with a real server, which writes the transcript."""
    TRANSCRIPT.unlink(missing_ok=True)
    with (
        TemporaryDirectory() as folder,
        chdir(folder),  # So that no path enters the record.
        serve_model(write_model(Path("small.gguf"), seed=7)) as address,
    ):
        respondent = personas.Http(MODEL, f"{address}/v1", at_once=1)
        return run(personas.Interviewer(respondent, transcript=TRANSCRIPT))


def main() -> None:
    if "--replay" in sys.argv[1:]:
        found = run(personas.Replay(TRANSCRIPT))
        record = json.loads(OBSERVABLES.read_text(encoding="utf-8"))
    else:
        found = ask()
        record = {name: found.provenance["panel"][name] for name in ("head", "rounds")}
    record |= {"backend": backend(), "observed": exact(found)}
    OBSERVABLES.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
