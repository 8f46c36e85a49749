"""Ages and sizes of drawn people and of the survey, counted by hand."""

import numpy as np
import polars as pl
import pytest

import lpm
from lpm.errors import DataError
from lpm.population.composition import drawn_ages, drawn_sizes, survey_ages, survey_sizes
from lpm.population.sample import Sample

PEOPLE = lpm.Population(
    {
        "age": np.array([3, 41, 88, 90, 20]),
        "sex": np.array([0, 1, 1, 1, 0]),
        "household_id": np.array([0, 0, 2, 2, -1]),
    },
    capacity=8,
    labels={"sex": ("male", "female")},
)
PERSONS = pl.DataFrame(
    {
        "household_id": ["a", "a", "b"],
        "age": [3, 41, 88],
        "sex": ["male", "female", "female"],
        "weight": [10.0, 12.0, 5.0],
    }
)
SAMPLE = Sample(
    households=pl.DataFrame({"household_id": ["a", "b"], "weight": [11.0, 5.0]}),
    persons=PERSONS,
    quarters=PERSONS.head(1).with_columns(age=pl.lit(20, pl.Int64), weight=pl.lit(2.0)),
)


def count(table: pl.DataFrame, sex: str, band: int) -> float:
    return table.filter((pl.col("sex") == sex) & (pl.col("from") == band))["people"].item()


def test_people_are_counted_by_sex_and_band():
    table = drawn_ages(PEOPLE)
    assert table.height == 2 * 18
    assert table["people"].sum() == 5
    assert (count(table, "male", 0), count(table, "male", 20)) == (1, 1)
    assert (count(table, "female", 40), count(table, "female", 85)) == (1, 2)
    assert count(drawn_ages(PEOPLE, [0, 18, 65]), "female", 65) == 2


def test_the_survey_counts_by_weight_with_those_in_quarters():
    table = survey_ages(SAMPLE)
    assert (count(table, "male", 0), count(table, "male", 20)) == (10, 2)
    assert count(table, "female", 85) == 5
    assert table.select("sex", "from").equals(drawn_ages(PEOPLE).select("sex", "from"))


def test_sizes_count_households_not_people():
    assert drawn_sizes(PEOPLE)["households"].to_list() == [0, 2, 0, 0, 0, 0, 0]
    assert survey_sizes(SAMPLE)["households"].to_list() == [5, 11, 0, 0, 0, 0, 0]
    assert drawn_sizes(PEOPLE, 2)["households"].to_list() == [0, 2]
    assert survey_sizes(SAMPLE, 1)["households"].to_list() == [16]


def test_bad_input_is_refused():
    with pytest.raises(DataError, match=r"population has no column \[gender\]"):
        drawn_ages(PEOPLE, sex="gender")
    with pytest.raises(DataError, match="age = 3 is below the first band, which begins at 18"):
        drawn_ages(PEOPLE, [18, 65])
    with pytest.raises(DataError, match="nobody lives in a household"):
        drawn_sizes(lpm.Population({"household_id": np.array([-1, -1])}))
    with pytest.raises(DataError, match=r"persons has no column \[gender\]"):
        survey_ages(SAMPLE, sex="gender")
    nobody = Sample(SAMPLE.households, PERSONS.head(0), PERSONS.head(0))
    with pytest.raises(DataError, match="no persons and no people in quarters"):
        survey_ages(nobody)
