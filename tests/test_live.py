"""The live figure in a real notebook kernel: drawn once, then replaced in place."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
CELL = """
import lpm
from lpm.analysis import LivePlot
from scenarios.sir import scenario

town = lpm.Population.toy(500)
run = lpm.simulate(scenario, town, key=0, steps=700, progress=LivePlot(["prevalence"]))
"""


@pytest.mark.filterwarnings("ignore")  # the notebook machinery warns about its own event loop
def test_a_live_plot_is_one_figure_that_grows():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    seen: list[str] = []

    class Watching(NotebookClient):
        def process_message(self, message, cell, number):
            seen.append(message["msg_type"])
            return super().process_message(message, cell, number)

    Watching(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert seen.count("display_data") == 1
    assert seen.count("update_display_data") >= 1
    (output,) = notebook.cells[0].outputs
    assert "image/png" in output.data
