"""Intervals of the synthetic likelihood of few keys hold the truth; those of the average do not."""

import pytest

import lpm
from lpm.fitting.coverage import check_coverage

from ..test_synthetic import WORLDS, counts, shaken

pytestmark = pytest.mark.gate


def test_synthetic_intervals_cover_where_averages_do_not(report):
    """60 truths, 4 keys. Binomial: 90 % within 0.77 and 0.98 but once in 200."""

    def covered(average):
        found = check_coverage(
            shaken,
            lpm.Population.toy(1),
            counts,
            keys=list(range(WORLDS)),
            truths=60,
            method="smc",
            budget=6000,
            average=average,
        )
        return found.coverage.filter(found.coverage["level"] == 0.9)["covered"][0]

    synthetic, exact = covered("synthetic"), covered("log_mean_exp")
    report("90 % intervals, synthetic, 4 keys", synthetic, 0.9)
    report("90 % intervals, log_mean_exp, 4 keys", exact, 0.9)
    assert 0.77 <= synthetic <= 0.98
    assert exact < 0.77
