"""Spread of weights by hand."""

import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population.weight_spread import (
    effective_size,
    expansion_factors,
    expansion_report,
    weight_report,
)
from lpm.population.weighting import Level, Problem

PRIOR = np.array([10.0, 20.0, 10.0, 60.0])
WEIGHTS = np.array([[4.0, 4.0, 0.0, 0.0], [6.0, 26.0, 0.0, 60.0]])
LEVEL = Level(
    "tract", ("A", "B"), ("homes",), np.ones((4, 1)), np.array([[8.0], [92.0]]),
    np.zeros((2, 1)), np.array([0, 1]),
)  # fmt: skip
PROBLEM = Problem(PRIOR, (LEVEL,))


def test_effective_size_is_kishs():
    assert float(effective_size(np.array([3.0, 1.0]))) == pytest.approx(16 / 10)
    assert effective_size(np.array([[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]])).tolist() == [3, 0]
    assert float(effective_size(np.array([5, 5, 0]))) == 2


def test_expansion_is_weight_over_design_weight():
    assert expansion_factors(PROBLEM, WEIGHTS).tolist() == [1, 1.5, 0, 1]
    table = expansion_report(PROBLEM, WEIGHTS, points=[0.5])
    assert table["expansion"].to_list() == [0, 1, 1.5]
    assert table["quantile"].to_list() == [0, 0.5, 1]


def test_records_without_design_weight_are_not_used_or_infinitely_stretched():
    problem = Problem(PRIOR * [1, 1, 1, 0], (LEVEL,))
    unused = WEIGHTS * [1, 1, 1, 0]
    assert expansion_factors(problem, unused).tolist() == [1, 1.5, 0, 0]
    assert weight_report(problem, unused)["largest"].is_finite().all()
    assert expansion_factors(problem, WEIGHTS)[3] == np.inf


def test_each_zone_and_all_have_their_row():
    table = weight_report(PROBLEM, WEIGHTS)
    assert table["zone"].to_list() == [None, "A", "B"]
    assert table["records"].to_list() == [3, 2, 3]
    assert table["records_share"].to_list() == [0.75, 0.5, 0.75]
    everything, first = table.row(0, named=True), table.row(1, named=True)
    assert first["effective"] == 2
    assert first["effective_share"] == 0.5
    # Half of zone A is of record 0, which has a tenth of the design weights.
    assert first["largest"] == pytest.approx(5)
    assert everything["total"] == 100
    assert everything["effective"] == pytest.approx(100**2 / (10**2 + 30**2 + 60**2))
    assert everything["largest"] == pytest.approx(1.5)


def test_design_weights_themselves_are_not_stretched():
    table = weight_report(PROBLEM, np.stack([PRIOR, 3 * PRIOR]))
    assert table["largest"].to_list() == pytest.approx([1, 1, 1])
    assert table.filter(pl.col("zone") == "B")["total"].item() == 300


def test_bad_weights_are_refused():
    with pytest.raises(DataError, match=r"\[1, 4\], but the problem has 2 zones and 4 records"):
        weight_report(PROBLEM, WEIGHTS[:1])
    with pytest.raises(DataError, match="1 weights are negative"):
        expansion_factors(PROBLEM, WEIGHTS - np.array([[0, 0, 0, 0], [0, 0, 1, 0]]))
