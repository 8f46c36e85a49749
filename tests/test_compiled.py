"""Compiled cost of every benchmarked scenario against what is on record: no clock, no luck."""

import json
from pathlib import Path

import jax
import pytest

from tests.benchmarks.compiled import NAMES, RECORD, cost

KEPT = json.loads(Path(RECORD).read_text(encoding="utf-8"))
same_compiler = pytest.mark.skipif(
    jax.__version__ != KEPT["jax"] or jax.default_backend() != "cpu",
    reason=f"the record is of jax {KEPT['jax']} on a CPU; python -m tests.benchmarks.compiled",
)


@same_compiler
@pytest.mark.parametrize("name", NAMES)
def test_compiled_work_and_memory_stay_within_a_tenth_of_the_record(name):
    found = cost(name)
    for measure, recorded in KEPT[name].items():
        assert found[measure] <= 1.1 * recorded, f"{measure} rose; explain it and renew the record"


@same_compiler
def test_a_million_new_yorkers_take_below_a_hundred_bytes_each():
    assert cost("epidemic")["bytes_per_agent"] < 100
