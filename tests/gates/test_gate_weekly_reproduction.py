"""Reproduction numbers by week come back from the infections of each day."""

import pytest

from tests.studies.weekly_reproduction import recover

pytestmark = pytest.mark.gate


def test_weekly_reproduction_numbers_are_recovered():
    found = recover(agents=20_000, weeks=6, keys=2, budget=200, seed=0)
    # The luck of the data is 1 / sqrt(2,000 infections), 2.2 %, with that of two runs 2.7 %: the
    # median error of a normal law is two thirds of that, the largest of six below four times.
    assert found["weeks_with_enough"] >= 5
    assert found["median_error"] < 0.03
    assert found["max_error"] < 0.11
    # The control ignores who is immune and who came before, and is far off.
    assert found["naive_median_error"] > 0.15
