"""Surveys of any country through a declared schema."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population.census import (
    Column,
    Replicates,
    SurveyFile,
    SurveySchema,
    read_schema,
    read_survey,
    summary,
)
from lpm.population.census.checks import merge_duplicates

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LPM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "popsim_calm_oregon").exists(),
    reason="the survey files are not here; name their folder in LPM_DATA",
)

SCHEMA = """
name = "Survey of the Isles 2021"
quarters = "kind = 'hostel'"

[households]
files = "homes.csv"
key = "home"
weight = "w"
area = ["island", "parish"]
size = "people"

[households.columns]
people = "number"
rent = {kind = "number", source = "rent_month", unit = "pounds"}
tenure = {kind = "code", labels = {1 = "owns", 2 = "rents"}}

[persons]
files = ["people_1.csv", "people_2.csv"]
key = "home"
number = "line"
weight = "w"

[persons.columns]
age = "number"
"""
HOMES = (
    "home,w,island,parish,people,rent_month,tenure,kind\n"
    "a,10,N,1,2,500.5,2,house\nb,20,S,3,1,,1,house\nh,0,S,3,1,,,hostel\nv,7,S,3,0,,1,house\n"
)


@pytest.fixture
def isles(tmp_path):
    (tmp_path / "isles.toml").write_text(SCHEMA)
    (tmp_path / "homes.csv").write_text(HOMES)
    (tmp_path / "people_1.csv").write_text("home,line,w,age\na,1,10,40\na,2,10,9\n")
    (tmp_path / "people_2.csv").write_text("home,line,w,age\nb,1,20,71\nh,1,3,22\n")
    return tmp_path / "isles.toml"


def test_a_toml_names_the_files_beside_it(isles):
    sample = read_survey(isles)
    assert sample.households["household_id"].to_list() == ["a", "b"]
    assert sample.households["area"].to_list() == ["N1", "S3"]
    assert sample.households["tenure"].to_list() == ["rents", "owns"]
    assert sample.households["rent"].to_list() == [500.5, None]
    assert sample.persons["age"].to_list() == [40, 9, 71]
    assert sample.quarters.select("household_id", "area", "weight").row(0) == ("h", "S3", 3.0)
    assert sample.provenance[-1] == "Survey of the Isles 2021"
    assert any("1 vacant units dropped" in note for note in sample.notes)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('weight = "w"\narea', 'weigth = "w"\narea', r"no key \[weigth\].*did you mean \[weight\]"),
        ('key = "home"', 'key = "house"', r"homes.csv \(4 rows\) has no column \[house\]"),
        ('rent = {kind = "number"', 'rent = {kind = "money"', "kind 'money'; it is one of"),
        ('2 = "rents"', '3 = "rents"', "tenure is '2' in row 0, a code without a label in 1 rows"),
        (
            'key = "home"',
            'key = "home"\norphans = "keep"',
            r"orphans is 'keep'; it is one of \[ref",
        ),
        ("kind = 'hostel'", "kind = 'hostle'", r"kind is never 'hostle'; its values are \[hostel"),
        ('"people_2.csv"', '"people_3.csv"', "people_3.csv is not there"),
        ('name = "Survey', 'name = Survey"', "isles.toml is no TOML"),
        ('age = "number"', 'weight = {source = "age"}', r"\[weight\] are names of a sample"),
    ],
)
def test_a_wrong_schema_is_told(isles, old, new, match):
    text = isles.read_text()
    assert old in text
    isles.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=match):
        read_survey(isles)


@pytest.mark.parametrize(
    ("name", "old", "new", "match"),
    [
        ("people_2.csv", "h,1", "x,1", r"1 persons have a household_id that is not in homes.csv"),
        (
            "people_1.csv",
            "a,2,10,9\n",
            "",
            r"people is 2 in row 0 \(household_id 'a'\) but .* has 1 persons of it",
        ),
        ("people_1.csv", "a,2,10", "a,2,-1", r"weight is -1.0 in row 1 and not positive in 1 rows"),
        ("people_1.csv", "a,2,10,9", "a,2,10,nine", "age is 'nine' in row 1 and no number"),
        ("homes.csv", "b,20", "a,20", r"\[household_id\] occur more than once, in 2 rows"),
        ("homes.csv", "b,20,S", "b,,S", r"has blanks in \[weight\]"),
    ],
)
def test_bad_rows_are_told(isles, name, old, new, match):
    path = isles.parent / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=match):
        read_survey(isles)


@pytest.mark.parametrize(
    ("method", "fay", "factor"),
    [("bootstrap", 0, 1 / 3), ("jackknife", 0, 2 / 3), ("balanced", 0.5, 4 / 3)],
)
def test_replicates_of_any_method_give_its_error(method, fay, factor):
    homes = pl.DataFrame(
        {"id": [1, 2], "w": [10.0, 20.0], "r1": [12, 19], "r2": [8, 23], "r3": [10, 20]}
    )
    file = SurveyFile(homes, "id", "w", replicates=Replicates("r{}", method, fay))
    found = summary(read_survey(SurveySchema("s", file)))
    deviations = np.array([31, 31, 30]) - 30
    expected = np.sqrt(factor * np.sum(deviations**2))
    assert found["standard_error"][0] == pytest.approx(expected)


def test_an_unknown_method_is_told():
    homes = pl.DataFrame({"id": [1], "w": [10.0], "r1": [12]})
    file = SurveyFile(homes, "id", "w", replicates=Replicates("r{}", "guess"))
    with pytest.raises(DataError, match=r"'guess' is unknown; it is one of \[successive"):
        read_survey(SurveySchema("s", file))


def test_a_schema_is_the_same_in_python(isles):
    schema = read_schema(isles)
    assert schema.households.columns["rent"] == Column("number", "rent_month", "pounds")
    assert schema.persons is not None
    assert schema.persons.number == "line"


def test_split_records_that_say_nothing_else_are_merged():
    split = pl.DataFrame({"home": ["a", "a", "b"], "w": [1.0, 2.0, 4.0]})
    merged, notes = merge_duplicates(split, ["home"], "w", "homes.csv", "merge")
    assert merged.rows() == [("a", 3.0), ("b", 4.0)]
    assert "homes.csv (3 rows): 1 [home] occur more than once, in 2 rows" in notes[0]


@needs_data
def test_split_households_have_their_error_once_merged():
    folder = DATA / "popsim_calm_oregon"
    file = SurveyFile(
        folder / "seed_households.parquet",
        key="SERIALNO",
        weight="WGTP",
        area=("PUMA",),
        replicates=Replicates("WGTP{}", "successive differences"),
        columns={"NP": Column("number"), "HINCP": Column("number"), "VEH": Column("code")},
    )
    with pytest.raises(DataError, match=r"628 .*occur more than once, in 1,256 rows"):
        read_survey(SurveySchema("CALM", file))
    merged = SurveyFile(**{**vars(file), "duplicates": "merge", "zero_weights": "drop"})
    sample = read_survey(SurveySchema("CALM", merged))
    homes = summary(sample).row(0, named=True)
    # 869 with the one household whose weight is 0.
    assert (homes["rows"], homes["total"]) == (4212, 77536)
    assert homes["standard_error"] == pytest.approx(869, rel=0.01)
    assert sample.persons.is_empty()
    assert any("no person file" in note for note in sample.notes)


@needs_data
def test_a_travel_survey_is_read():
    folder = DATA / "popsim_survey_weighting"
    sample = read_survey(
        SurveySchema(
            "travel survey",
            SurveyFile(
                folder / "seed_households.parquet",
                "hhID",
                "HHweight",
                area=("SUBREGCluster",),
                columns={"HHSize": Column("number"), "HHDwelling": Column("code")},
            ),
            SurveyFile(folder / "seed_persons.parquet", "hhID", "Pweight", number="per_num"),
        )
    )
    assert (sample.households.height, sample.persons.height) == (27_980, 59_762)
    assert sample.quarters.is_empty()


@needs_data
def test_a_survey_without_weights_stands_for_itself():
    folder = DATA / "urbansim_synthpop_demo"
    sample = read_survey(
        SurveySchema(
            "demo",
            SurveyFile(folder / "household_sample.parquet", "serialno", area=("sample_geog",)),
            SurveyFile(
                folder / "person_sample.parquet",
                "serialno",
                columns={"AGEP": Column("number"), "sex": Column()},
                orphans="drop",
            ),
        )
    )
    assert sample.households["weight"].sum() == 3149
    assert sample.persons.height == 7924 - 544
    assert any("544 persons without household dropped" in note for note in sample.notes)
    assert sample.persons["AGEP"].dtype == pl.Int64
