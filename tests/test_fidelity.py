"""Joints that were not fitted, and copies: by hand, and against binomial tables."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from lpm.errors import DataError
from lpm.population.fidelity import copies, k_marginal, nearest_records, tell_copies
from lpm.population.seeds import generator

SURVEY = pl.DataFrame(
    {
        "tenure": ["own", "own", "rent", "rent"],
        "size": [1, 2, 1, 2],
        "rooms": [3, 3, 3, None],
        "weight": [40.0, 30.0, 20.0, 10.0],
    }
)
DRAWN = pl.DataFrame(
    {
        "tenure": ["own", "own", "own", "rent", "rent"],
        "size": [1, 1, 2, 1, 3],
        "rooms": [3, 3, 3, None, None],
    }
)


def test_distance_and_score_by_hand():
    table = k_marginal(SURVEY, DRAWN, ["tenure", "size"])
    # own 1: .4 .4; own 2: .3 .2; rent 1: .2 .2; rent 2: .1 0; rent 3: 0 .2.
    row = table.row(0, named=True)
    assert (row["variables"], row["cells"]) == ("tenure x size", 5)
    assert row["distance"] == pytest.approx(0.4)
    assert row["score"] == pytest.approx(800)
    single = k_marginal(SURVEY, DRAWN, ["tenure", "rooms"], 1)
    assert single["distance"].to_list() == pytest.approx([0.2, 0.6])
    assert k_marginal(SURVEY, DRAWN, ["tenure", "size", "rooms"], 2).height == 3


def test_the_same_records_score_a_thousand_and_strangers_nothing():
    again = SURVEY.with_columns(weight=pl.col("weight") * 3)
    assert k_marginal(SURVEY, again, ["tenure", "size"])["score"].item() == pytest.approx(1000)
    strangers = DRAWN.with_columns(tenure=pl.lit("free"))
    assert k_marginal(SURVEY, strangers, ["tenure", "size"])["score"].item() == pytest.approx(0)


def test_noise_is_that_of_a_simple_random_sample():
    survey = pl.DataFrame({"x": [0] * 3 + [1] * 7, "y": 0, "weight": 1.0})
    noise = k_marginal(survey, survey, ["x"], 1)["noise"].item()
    counts = np.arange(11)
    away = np.abs(counts / 10 - 0.3) @ stats.binom.pmf(counts, 10, 0.3)
    assert noise == pytest.approx(1000 * (1 - 2 * away / 2))
    rng = generator(1)
    people = pl.DataFrame({"a": rng.integers(0, 8, 400), "b": rng.integers(0, 6, 400)})
    survey = people.with_columns(weight=pl.lit(1.0))
    scores = []
    for _ in range(200):
        sample = people[rng.integers(0, 400, 400)]
        scores.append(k_marginal(survey, sample, ["a", "b"])["score"].item())
    expected = k_marginal(survey, survey, ["a", "b"])["noise"].item()
    # Five standard errors of the mean of 200.
    assert np.mean(scores) == pytest.approx(expected, abs=5 * np.std(scores) / np.sqrt(200))


def test_copies_by_hand():
    counts = np.array([[0, 1, 2, 0], [1, 0, 3, 0]])
    of = dict(copies(counts, often=[1, 4]).iter_rows())
    assert of["drawn"] == 7
    assert of["distinct source records"] == 3
    assert of["share of source records used"] == 0.75
    assert of["share of drawn that are the only copy"] == pytest.approx(2 / 7)
    assert of["share of drawn that are the only copy in their zone"] == pytest.approx(2 / 7)
    assert of["most copies of one record"] == 5
    assert of["mean copies"] == pytest.approx(7 / 3)
    assert of["source records with more than 1 copies"] == 1
    assert of["source records with more than 4 copies"] == 1
    told = tell_copies(copies(counts))
    assert told.startswith("7 records were drawn from 3 of the survey (75%)")
    assert "28.6% are the only copy" in told


def test_nearest_records_tell_one_match_from_several():
    table = nearest_records(SURVEY, DRAWN, ["tenure", "size"])
    # The home of three is nobody's; every other combination is one record's.
    assert table["drawn"].to_list() == [1, 4, 0]
    assert table["share"].sum() == pytest.approx(1)
    loose = nearest_records(SURVEY, DRAWN, ["tenure"])
    assert loose["drawn"].to_list() == [0, 0, 5]
    with_blanks = nearest_records(SURVEY, DRAWN, ["tenure", "rooms"])
    assert with_blanks["drawn"].to_list() == [0, 2, 3]


def test_bad_input_is_refused():
    with pytest.raises(DataError, match=r"survey has no column \[income\]"):
        k_marginal(SURVEY, DRAWN, ["income"], 1)
    with pytest.raises(DataError, match="joints of 3 need 3 variables or more; there are 2"):
        k_marginal(SURVEY, DRAWN, ["tenure", "size"], 3)
    with pytest.raises(DataError, match="drawn has no weight to compare"):
        k_marginal(SURVEY, DRAWN.head(0), ["tenure", "size"])
    codes = DRAWN.with_columns(tenure=pl.lit(1))
    for compare in (k_marginal, nearest_records):
        with pytest.raises(DataError, match="column 'tenure' is String in survey but Int32 in dra"):
            compare(SURVEY, codes, ["tenure", "size"])
    narrow = DRAWN.with_columns(pl.col("size").cast(pl.Int8))
    assert k_marginal(SURVEY, narrow, ["tenure", "size"])["cells"].item() == 5
    with pytest.raises(DataError, match="nobody was drawn"):
        copies(np.zeros((2, 3), int))
    with pytest.raises(DataError, match="nobody was drawn"):
        nearest_records(SURVEY, DRAWN.head(0), ["tenure"])
