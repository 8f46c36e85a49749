"""A run that is killed outright goes on where it was: what is on record is not asked again."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lpm.personas import read_transcript
from tests.faulty_proxy import faulty_proxy
from tests.small_model import serve_model, write_model

pytestmark = pytest.mark.gate
pytest.importorskip("openai", reason="openai is missing: pip install 'lpm[personas]'")

PEOPLE = 40
AT_ONCE = 3
ENOUGH = 12  # Lines after which the run is killed.
PATIENCE = 80.0  # Seconds; a start takes five on an idle machine.


def sheet(folder: Path, url: str) -> Path:
    path = folder / "sheet.json"
    path.write_text(
        json.dumps(
            {
                "template": "Of 100?",
                "answer": {"numbers": {"home": {"within": [0, 100], "whole": True}}},
                "persona": [{"name": f"p{i}", "text": f"Group {i}."} for i in range(PEOPLE)],
                "settings": {"most_tokens": 120},
                "respondent": {"kind": "http", "model": "m", "url": url, "at_once": AT_ONCE},
            }
        )
    )
    return path


def run(path: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "lpm", "personas", "ask", str(path)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ})


def test_a_killed_run_resumes(tmp_path):
    with (
        serve_model(write_model(tmp_path / "small.gguf")) as server,
        # Each reply takes a moment, so that the kill falls into the run.
        faulty_proxy(
            server, {f"Group {i}.": ["slow"] * 3 for i in range(PEOPLE)}, slow=0.3
        ) as proxy,
    ):
        path = sheet(tmp_path, proxy.url)
        record, pause, waited = path.with_suffix(".jsonl"), threading.Event(), 0.0
        process = run(path)
        while not record.is_file() or record.read_bytes().count(b"\n") < ENOUGH:
            assert process.poll() is None
            assert waited < PATIENCE
            pause.wait(0.05)
            waited += 0.05
        process.send_signal(signal.SIGKILL)
        process.wait()
        whole = record.read_bytes()
        kept = whole[: whole.rfind(b"\n") + 1]
        known = {json.loads(line)["persona"] for line in kept.splitlines()}
        assert ENOUGH <= len(known) < PEOPLE
        before = dict(proxy.seen)
        assert sum(before.values()) <= len(known) + AT_ONCE
        assert run(path).wait(timeout=PATIENCE) == 0
        asked_again = {n for n in before if proxy.seen[n] > before[n]}
    # Only what was under way when it was killed is asked a second time.
    assert len(asked_again) <= AT_ONCE
    assert not {p for p in known for n in asked_again if n in p}
    attempts = read_transcript(record)
    assert record.read_bytes().startswith(kept)
    assert {a["name"] for a in attempts if a["verdict"] == "accepted"} == {
        f"p{i}" for i in range(PEOPLE)
    }
