"""Every notebook runs from top to bottom, and is stored without output."""

import json
import os
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted(Path("notebooks").glob("*.ipynb"))
# They draw a city's people, fit a city, and clear its taxes: minutes of two cores.
SLOW = ("02_populations", "03_fitting", "04_taxes")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.gate] if path.stem in SLOW else [], id=path.stem)
        for path in NOTEBOOKS
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client", "ignore:.*unclosed.*")
def test_a_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.setenv("LPM_WORKERS", "5000")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()


def test_the_slow_ones_are_there():
    assert set(SLOW) <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_output(path):
    cells = json.loads(path.read_text())["cells"]
    assert len(cells) <= 15
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
