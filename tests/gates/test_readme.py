"""The README's Python runs, block after block, as a reader would paste it."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.gate

BLOCKS = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.S)


def test_all_blocks_run_in_order(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # some leave files
    names: dict[str, object] = {"__name__": "readme"}
    for number, block in enumerate(BLOCKS):
        # A block that is a whole file of its own shows what a scenario looks like.
        exec(compile(block, f"README.md, block {number}", "exec"), names)
    told = capsys.readouterr().out
    assert "straight_through FAILS against crn" in told
    assert names["policy"].against_random.verdict == "better"
    assert float(names["fit"].params.R0) == pytest.approx(2.4, rel=0.1)
