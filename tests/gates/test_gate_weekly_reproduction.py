"""Reproduction numbers by week come back from the infections of each day."""

import pytest

from tests.studies.weekly_reproduction import recover

pytestmark = pytest.mark.gate


def test_weekly_reproduction_numbers_are_recovered():
    found = recover(agents=20_000, weeks=6, keys=2, budget=200, seed=0)
    # The luck of some 800 infections a week, of the data and of the two runs, is 3.5 % times
    # sqrt(1.5), 4.3 %: the median error of a normal law is two thirds of that, and the largest of
    # five below three times.
    assert found["weeks_with_enough"] >= 4
    assert found["median_error"] < 0.045
    assert found["max_error"] < 0.13
    # The control ignores who is immune and who came before, and is far off.
    assert found["naive_median_error"] > 0.15
