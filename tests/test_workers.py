"""Workers: as the survey has them, from tables alone."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population import reweighted, workers, workers_from
from lpm.population.derive_workers import derive, read_people, weighted_quantiles
from lpm.population.workers import FOLDER

DATA = Path(os.environ.get("LPM_DATA") or Path(__file__).parents[2] / "shared" / "data")
survey_at_hand = pytest.mark.skipif(
    not (DATA / "pums_acs1_2024" / "p_36.parquet").exists(),
    reason="needs pums_acs1_2024/p_36.parquet in LPM_DATA",
)


@survey_at_hand
def test_the_shipped_tables_are_the_derived_ones():
    for name, table in derive(DATA).items():
        shipped = pl.read_csv((FOLDER / f"{name}.csv").read_bytes())
        assert shipped.columns == table.columns
        for column in table.columns:
            assert shipped[column].to_numpy() == pytest.approx(table[column].to_numpy(), abs=1e-9)


@survey_at_hand
def test_drawn_workers_earn_what_the_survey_says():
    survey = read_people(DATA).filter("works")
    people = workers(100_000, seed=1)
    drawn = np.asarray(people["earnings"])[np.asarray(people["hours"]) > 0]
    middle = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    expected = weighted_quantiles(survey["WAGP"], survey["weight"], middle)
    # What is drawn independently moves quantiles by up to a tenth; sampling adds a per cent.
    assert np.quantile(drawn, middle) == pytest.approx(expected, rel=0.11)
    mean = (survey["WAGP"] * survey["weight"]).sum() / survey["weight"].sum()
    assert drawn.mean() == pytest.approx(mean, rel=0.04)
    share = survey["weight"].sum() / read_people(DATA)["weight"].sum()
    assert np.mean(np.asarray(people["hours"]) > 0) == pytest.approx(share, abs=0.002)
    # Wages shuffled over people would not keep the gap between degrees.
    degree = np.asarray(people["education"])[np.asarray(people["hours"]) > 0]
    ratio = np.median(drawn[degree == 3]) / np.median(drawn[degree == 0])
    filed = [
        weighted_quantiles(cell["WAGP"], cell["weight"], [0.5])[0]
        for cell in (survey.filter(education=3), survey.filter(education=0))
    ]
    assert ratio == pytest.approx(filed[0] / filed[1], rel=0.1)


def test_who_works_has_hours_and_an_occupation():
    people = workers(20_000, seed=3)
    hours, occupation = np.asarray(people["hours"]), np.asarray(people["occupation"])
    assert np.array_equal(hours > 0, occupation >= 0)
    earned = hours * np.asarray(people["weeks"]) * np.asarray(people["wage"])
    assert np.asarray(people["earnings"]) == pytest.approx(earned, rel=1e-5)
    assert people.labels["occupation"][0] == "management, science and arts"
    # 16.4 million people of 16 and over, whatever the number of rows.
    assert float(np.sum(people["weight"])) == pytest.approx(16.37e6, rel=1e-3)
    assert np.all(np.asarray(workers(500, seed=3, only_working=True)["hours"]) > 0)


def test_everybody_could_earn_something_and_workers_what_they_do():
    people = workers(20_000, seed=3)
    earned, could = people.host("earnings"), people.host("could_earn")
    works = earned > 0
    assert np.array_equal(could[works], earned[works])
    assert np.all(could > 0)
    time = people.host("hours") * people.host("weeks")
    assert people.host("could_work")[works] == pytest.approx(time[works], rel=1e-6)
    # By hand: the share who work among women of 35 to 44 with a bachelor's degree.
    age, sex, education = (people.host(n) for n in ("age", "sex", "education"))
    alike = (sex == 1) & (age >= 35) & (age < 45) & (education == 2)
    assert people.host("chance")[alike] == pytest.approx(works[alike].mean(), rel=1e-6)
    luck = people.host("luck")
    assert np.all((luck > 0) & (luck < 1))
    assert abs(luck.mean() - 0.5) < 4 / np.sqrt(12 * 20_000)
    assert workers(50, seed=1, capacity=64).capacity == 64


def test_the_same_seed_gives_the_same_people():
    a, b, c = workers(300, seed=5), workers(300, seed=5), workers(300, seed=6)
    assert a.fingerprint == b.fingerprint != c.fingerprint


RECORDS = pl.DataFrame(
    {
        "weight": [10.0, 20.0],
        "age": [30, 70],
        "sex": [0, 1],
        "education": [1, 3],
        "hours": [40, 0],
        "weeks": [50, 0],
        "wage": [20.0, 0.0],
        "children": [2, 0],
    }
)


def test_records_keep_their_weights_and_what_else_they_have():
    people = workers_from(RECORDS)
    assert np.asarray(people["weight"]).tolist() == [10, 20]
    assert np.asarray(people["earnings"]).tolist() == [40_000, 0]
    assert np.asarray(people["children"]).tolist() == [2, 0]
    assert workers_from(RECORDS, ages=(16, 65)).size == 1


def test_who_does_not_work_could_do_what_workers_alike_do():
    rows = pl.concat([RECORDS] * 3).with_columns(
        hours=pl.Series([40, 0, 20, 30, 0, 0]), education=pl.Series([1, 1, 1, 3, 3, 0])
    )
    rows = rows.with_columns(
        weeks=pl.when(pl.col("hours") > 0).then(50).otherwise(0),
        wage=pl.when(pl.col("hours") > 0).then(20.0).otherwise(0.0),
        sex=pl.lit(0),
        age=pl.lit(30),
    )
    seen = set()
    for seed in range(20):
        people = workers_from(rows, seed=seed)
        could = people.host("could_earn").tolist()
        # Of the own education where somebody works there, else of all.
        assert could[1] in (40_000, 20_000)
        assert could[4] == 30_000
        seen.add(could[5])
        assert people.host("chance").tolist() == pytest.approx([0.5, 0.5, 0.5, 2 / 3, 2 / 3, 0])
    assert seen == {40_000, 20_000, 30_000}


def test_other_weights_are_other_shares_of_the_same_people():
    rows = pl.concat([RECORDS, RECORDS]).with_columns(
        sex=pl.lit(0), age=pl.lit(30), education=pl.lit(1), again=pl.Series([1.0, 3.0, -2.0, 0.0])
    )
    people = workers_from(rows)
    other = reweighted(people, "again")
    assert other.host("weight").tolist() == [1, 3, 0, 0]
    assert other.host("chance").tolist() == [0.25] * 4
    for name in ("could_earn", "luck", "earnings"):
        assert np.array_equal(other.host(name), people.host(name))
    with pytest.raises(DataError, match="luck2"):
        reweighted(people, "luck2")
    with pytest.raises(DataError, match="none is above 0 for nobody"):
        reweighted(workers_from(rows.with_columns(none=pl.lit(0.0))), "none")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (RECORDS.drop("wage"), r"no column \[wage\]"),
        (RECORDS.with_columns(wage=pl.lit(-1.0)), r"wage of row 0 is -1.0; give 0 or more"),
        (RECORDS.with_columns(hours=pl.Series([40, None])), r"hours of row 1 is None"),
        (RECORDS.with_columns(weight=pl.lit(0.0)), r"weights of the records sum to 0"),
        (RECORDS.with_columns(hours=pl.lit(0)), r"nobody in the records earns anything"),
    ],
)
def test_bad_records_are_named(records, message):
    with pytest.raises(DataError, match=message):
        workers_from(records)


def test_nobody_is_too_few():
    with pytest.raises(DataError, match="size = 0; give at least one"):
        workers(0)


def test_deriving_without_the_file_says_which(tmp_path):
    with pytest.raises(DataError, match=r"no file .*p_36.parquet"):
        derive(tmp_path)
