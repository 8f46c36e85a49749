"""Progress: a bar in a terminal or notebook, nothing in a pipe, or the caller's own function."""

import os
import pty
import subprocess
import sys
import threading
from functools import partial

from rich.console import Console

import lpm
from lpm.progress import open_progress
from tests.plain import decay


def test_the_caller_gets_a_trajectory_after_each_segment(town):
    seen = []
    whole = lpm.simulate(decay, town, key=0, progress=seen.append)
    assert len(seen) == 10
    for rows, part in enumerate(seen, 1):
        assert len(part.frame()) == rows
        assert (part.observed["well"] == whole.observed["well"][:rows]).all()
        assert part.provenance["scenario"] == "plain"


def test_a_notebook_shows_a_bar(monkeypatch, capsys):
    shown = []
    notebook = partial(Console, force_jupyter=True)
    monkeypatch.setattr("lpm.progress.Console", notebook)
    monkeypatch.setattr("lpm.progress.Progress", lambda *_, console: _Bar(shown, console))
    with open_progress(None, 10, "day", "plain") as advance:
        advance(4, None)
        advance(6, None)
    assert shown == [("plain", 10), 4, 6]
    assert capsys.readouterr().out == ""


class _Bar:
    def __init__(self, shown, console):
        self.shown = shown

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def add_task(self, title, total):
        self.shown.append((title, total))
        return 0

    def advance(self, task, steps):
        self.shown.append(steps)


_RUN = (
    "import lpm; from tests.plain import decay; lpm.simulate(decay, lpm.Population.toy(8), key=0)"
)


def test_a_terminal_shows_a_bar_and_its_end():
    outer, inner = pty.openpty()
    text = bytearray()

    def drain():
        while True:
            try:
                part = os.read(outer, 4096)
            except OSError:
                return
            if not part:
                return
            text.extend(part)

    reader = threading.Thread(target=drain)
    reader.start()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", _RUN], stderr=inner, env=environment, check=True)
    os.close(inner)
    reader.join(timeout=10)
    os.close(outer)
    assert b"10/10" in text
    assert b"day" in text


def test_a_pipe_shows_nothing():
    done = subprocess.run([sys.executable, "-c", _RUN], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
