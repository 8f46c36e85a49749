"""Fitting problems made of a sample, controls, published totals and zones."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population.census import (
    Column,
    Control,
    Replicates,
    SurveyFile,
    SurveySchema,
    assemble,
    bracket_targets,
    family,
    read_acs,
    read_pums,
    read_survey,
    wide_targets,
    with_count,
    with_member,
)
from lpm.population.sample import Sample

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LPM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "pums_acs1_2024" / "p_36.parquet").exists(),
    reason="the survey files are not here; name their folder in LPM_DATA",
)


@pytest.fixture
def sample():
    return Sample(
        pl.DataFrame(
            {
                "household_id": ["a", "b", "c"],
                "area": ["1", "1", "2"],
                "weight": [10.0, 20.0, 30.0],
                "NP": [2, 1, 3],
                "HINCP": [50.0, None, 70.0],
                "VEH": ["1", "0", "2"],
                "TEN": ["1", "3", "1"],
            }
        ),
        pl.DataFrame(
            {
                "household_id": ["a", "a", "b", "c", "c", "c"],
                "person_number": [1, 2, 1, 1, 2, 3],
                "weight": [10.0, 11.0, 20.0, 30.0, 30.0, 30.0],
                "AGEP": [40, 9, 71, 30, 5, 2],
                "SEX": ["1", "2", "2", "1", "1", "2"],
            }
        ),
        pl.DataFrame(
            {
                "household_id": ["q"],
                "person_number": [1],
                "area": ["2"],
                "weight": [5.0],
                "AGEP": [22],
                "SEX": ["1"],
            }
        ),
        provenance=("h.csv",),
    )


ZONES = pl.DataFrame({"tract": ["t1", "t2"], "county": ["c", "c"], "area": ["1", "2"]})


def targets(*rows):
    return pl.DataFrame(rows, schema=["zone", "control", "target", "error"], orient="row")


def total(name="everything", level="tract", counts="household", **given):
    return Control(name, level, counts, ("T",), **{"hard": True, **given})


def column(sample, control):
    tables = targets(("t1", "T", 6.0, None), ("t2", "T", 6.0, None), ("c", "T", 6.0, None))
    zones = ZONES.with_columns(area=pl.lit(["1", "2"]))
    (block,) = assemble(sample, [control], tables, zones)
    level = next(level for level in block.problem.levels if level.controls)
    return level.incidence[:, 0].tolist()


@pytest.mark.parametrize(
    ("counts", "expression", "expected"),
    [
        ("household", "TRUE", [1, 1, 1, 0]),
        ("household", "NP >= 2", [1, 0, 1, 0]),
        ("household", "HINCP", [50, 0, 70, 0]),
        ("household", "VEH", [1, 0, 2, 0]),
        ("household", pl.col("NP") * 2, [4, 2, 6, 0]),
        ("person", "TRUE", [2, 1, 3, 1]),
        ("household person", "TRUE", [2, 1, 3, 0]),
        ("quarters person", "AGEP < 30", [0, 0, 0, 1]),
        ("person", "AGEP BETWEEN 5 AND 30 AND SEX = '1'", [0, 0, 2, 1]),
        ("household person", "TEN = '1' AND AGEP < 10", [1, 0, 2, 0]),
        ("person", pl.col("SEX") == "2", [1, 1, 1, 0]),
    ],
)
def test_records_add_what_they_hold(sample, counts, expression, expected):
    assert column(sample, total(counts=counts, expression=expression)) == expected


def test_households_get_attributes_of_their_persons(sample):
    sample = with_count(sample, "children", "AGEP < 18")
    sample = with_member(sample, {"head_age": "AGEP"}, pl.col("person_number") == 1)
    assert sample.households["children"].to_list() == [1, 0, 2]
    assert sample.households["head_age"].to_list() == [40, 71, 30]
    assert column(sample, total(expression="children = 2")) == [0, 0, 1, 0]


def test_attributes_that_cannot_be_made_are_told(sample):
    with pytest.raises(DataError, match=r"2 households have several persons with 'AGEP > 0'"):
        with_member(sample, {"age": "AGEP"}, "AGEP > 0")
    with pytest.raises(DataError, match=r"households have \[NP\] already"):
        with_count(sample, "NP", "TRUE")
    with pytest.raises(DataError, match=r"persons has no column \[AGE\].*did you mean \[AGEP\]"):
        with_member(sample, {"age": "AGE"}, "TRUE")


def test_zones_that_share_nothing_are_blocks_of_their_own(sample):
    tables = targets(("t1", "T", 30.0, 2.0), ("t2", "T", 35.0, 0.0))
    blocks = assemble(sample, [total(hard=False)], tables, ZONES.drop("county"))
    assert [block.problem.zones for block in blocks] == [("t1",), ("t2",)]
    assert [block.records.tolist() for block in blocks] == [[0, 1], [2, 3]]
    assert blocks[0].problem.prior.tolist() == [10, 20]
    assert blocks[0].problem.levels[0].error.tolist() == [[2.0]]
    assert blocks[1].areas == ("2",)


def test_published_tables_are_targets_as_they_are_read(sample, tmp_path):
    path = tmp_path / "ACSDT5Y2023.B11001-Data.csv"
    path.write_text("GEO_ID,B11001_001E,B11001_001M\n1400000US01,30,16.45\n1400000US02,35,*****\n")
    controls = [Control("households", "tract", "household", ("B11001_001",))]
    zones = pl.DataFrame({"tract": ["01", "02"], "area": [["1", "2"]] * 2})
    (block,) = assemble(sample, controls, read_acs(path), zones)
    assert block.problem.levels[0].target.tolist() == [[30.0], [35.0]]
    assert block.problem.levels[0].error.tolist() == [[10.0], [0.0]]


def test_a_county_with_controls_joins_its_tracts(sample):
    tables = targets(("t1", "T", 30.0, None), ("t2", "T", 30.0, None), ("c", "T", 60.0, None))
    controls = [total(), total(level="county")]
    (block,) = assemble(sample, controls, tables, ZONES)
    assert [level.name for level in block.problem.levels] == ["tract", "county"]
    assert block.problem.levels[1].zone_of.tolist() == [0, 0]
    assert block.eligible.tolist() == [[True, True, False, False], [False, False, True, True]]
    assert block.disagreements.is_empty()


def test_a_tract_across_areas_has_the_records_of_all(sample):
    zones = pl.DataFrame({"tract": ["t1", "t1", "t2"], "area": ["1", "2", "2"]})
    tables = targets(("t1", "T", 30.0, None), ("t2", "T", 30.0, None))
    (block,) = assemble(sample, [total()], tables, zones)
    assert block.eligible.sum(axis=1).tolist() == [4, 2]


def test_cells_are_added_up_with_their_errors(sample):
    tables = targets(("t1", "A", 3.0, 3.0), ("t1", "B", 4.0, 4.0))
    zones = pl.DataFrame({"tract": ["t1"], "area": ["1"]})
    (block,) = assemble(sample, [Control("c", "tract", "household", ("A", "B"))], tables, zones)
    level = block.problem.levels[0]
    assert (level.target.item(), level.error.item()) == (7.0, 5.0)


def test_a_share_of_error_is_at_least_one_and_stands_in_for_none(sample):
    zones = pl.DataFrame({"tract": ["a", "b", "c"], "area": ["1", "1", "1"]})
    rows = targets(("a", "T", 5000.0, None), ("b", "T", 0.0, None), ("c", "T", 300.0, 40.0))
    (block,) = assemble(sample, [total(hard=False, error=0.01)], rows, zones)
    assert block.problem.levels[0].error[:, 0].tolist() == [50, 1, 40]
    with pytest.raises(DataError, match=r"has error 0\.01; it is a share of the total"):
        total(hard=True, error=0.01)


def test_parts_that_leave_somebody_out_are_told(sample):
    tables = targets(("t1", "T", 30.0, None), ("t2", "T", 30.0, None))
    parts = family("size", "tract", "household", "NP", ["T", "T"], cuts=[2, 3], hard=True)
    match = (
        r"family 'size' .*: 1 of households of h.csv \(3 rows\) are in none or several .* NP = 1"
    )
    with pytest.raises(DataError, match=match):
        assemble(sample, parts, tables, ZONES.drop("county"))


def test_a_family_may_part_some(sample):
    parts = family("sex", "tract", "person", "SEX", ["T", "T"], universe="AGEP >= 16",
                   values={"men": ["1"], "women": ["2"]}, hard=True)  # fmt: skip
    tables = targets(("t1", "T", 30.0, None), ("t2", "T", 30.0, None))
    zones = ZONES.drop("county").with_columns(area=pl.lit(["1", "2"]))
    (block,) = assemble(sample, parts, tables, zones)
    assert block.problem.levels[0].incidence.T.tolist() == [[1, 0, 1, 1], [0, 1, 0, 0]]


def test_totals_that_should_agree_are_reported(sample):
    sizes = family("size", "tract", "household", "NP", ["A", "B"], cuts=[1, 2], hard=True)
    tables = targets(
        *(("t1", name, value, None) for name, value in [("T", 30.0), ("A", 20.0), ("B", 9.0)]),
        *(("t1", name, value, None) for name, value in [("P", 99.0), ("H", 90.0), ("Q", 5.0)]),
    )
    persons = [
        Control("everybody", "tract", "person", ("P",), hard=True),
        Control("in households", "tract", "household person", ("H",), hard=True),
        Control("in quarters", "tract", "quarters person", ("Q",), hard=True),
    ]
    zones = pl.DataFrame({"tract": ["t1"], "area": [["1", "2"]]})
    (block,) = assemble(sample, [total(), *sizes, *persons], tables, zones)
    found = block.disagreements.select("control", "total", "other", "other_total").rows()
    assert found == [
        ("everything", 30.0, "size", 29.0),
        ("everybody", 99.0, "in households and in quarters", 95.0),
    ]


def test_persons_in_households_are_not_more_than_all(sample):
    tables = targets(("t1", "P", 90.0, None), ("t1", "H", 95.0, None))
    persons = [
        Control("everybody", "tract", "person", ("P",), hard=True),
        Control("in households", "tract", "household person", ("H",), hard=True),
    ]
    zones = pl.DataFrame({"tract": ["t1"], "area": [["1", "2"]]})
    (block,) = assemble(sample, persons, tables, zones)
    assert block.disagreements["other"].to_list() == ["in households"]
    tables = targets(("t1", "P", 90.0, None), ("t1", "H", 85.0, None))
    assert assemble(sample, persons, tables, zones)[0].disagreements.is_empty()


def test_levels_that_should_agree_are_reported(sample):
    tables = targets(("t1", "T", 30.0, None), ("t2", "T", 30.0, None), ("c", "T", 61.0, None))
    (block,) = assemble(sample, [total(), total(level="county")], tables, ZONES)
    row = block.disagreements.row(0, named=True)
    assert (row["level"], row["zone"], row["total"], row["other_total"]) == ("county", "c", 61, 60)


WRONG = [
    ({"expression": "SEX = '1'"}, r"over households of h.csv \(3 rows\) has no column \[SEX\]"),
    ({"expression": "NP = '1'"}, r"control 'everything' of level tract.*cannot compare"),
    ({"expression": "TEN = 1"}, r"TEN holds text such as \[1, 3\]: write TEN = '...'"),
    ({"expression": "TEN = '9'"}, r"TEN is never '9'; its values are \[1, 3\]"),
    ({"expression": "TEN IN ('1', 'x')"}, r"TEN is never 'x'"),
    ({"expression": pl.col("TEN") == "9"}, r"TEN is never '9'"),
    ({"expression": "TEN ==== 1"}, "this is no SQL expression"),
    ({"expression": "household_id"}, r"gives text, 'a' in row 0; compare it with a code"),
    ({"expression": "NP > 8"}, r"no record has \[everything\] but zone 't1' must have 30 of"),
    ({"hard": False}, r"1 targets have no standard error, the first 'everything' of zone 't1'"),
]


@pytest.mark.parametrize(("given", "match"), WRONG)
def test_wrong_controls_are_told(sample, given, match):
    tables = targets(("t1", "T", 30.0, None), ("t2", "T", 30.0, None))
    with pytest.raises(DataError, match=match):
        assemble(sample, [total(**given)], tables, ZONES.drop("county"))


@pytest.mark.parametrize(
    ("tables", "zones", "match"),
    [
        (
            targets(("t1", "T", 1.0, None)),
            ZONES,
            r"1 targets are missing, the first 'T' of zone 't2'",
        ),
        (
            targets(("t1", "T", 1.0, None), ("t2", "T", 1.0, None)),
            pl.DataFrame({"tract": ["t1", "t2"], "area": ["1", "9"]}),
            r"1 zones of level tract, \[t2\], have no record: .* nothing|none from areas \[9\]",
        ),
        (
            targets(("t1", "T", 1.0, None), ("t1", "T", 1.0, None)),
            ZONES,
            "2 rows with the same zone",
        ),
        (targets(("t1", "T", 1.0, None)), ZONES.drop("area"), r"zones has no column \[area\]"),
    ],
)
def test_wrong_tables_are_told(sample, tables, zones, match):
    with pytest.raises(DataError, match=match):
        assemble(sample, [total()], tables, zones)


def test_zones_must_be_nested(sample):
    zones = pl.DataFrame({"tract": ["t", "t"], "county": ["c", "d"], "area": ["1", "1"]})
    with pytest.raises(DataError, match=r"tract 't' lies in several zones of county, \[[cd], [cd]"):
        assemble(sample, [total(level="county")], targets(("c", "T", 1.0, None)), zones)


@needs_data
def test_new_york_makes_a_problem_for_each_borough():
    folder, tables = DATA / "pums_acs1_2024", DATA / "acs5_county_2020_2024"
    sample = read_pums(
        folder / "h_36.parquet", folder / "p_36.parquet", columns=["HINCP", "TEN", "AGEP", "ESR"]
    )
    prefixes = {"36061": "041", "36005": "042", "36047": "043", "36081": "044", "36085": "045"}
    areas = sample.households["area"].unique().sort()
    zones = pl.DataFrame(
        {
            "county": list(prefixes),
            "area": [[a for a in areas if a[2:].startswith(p)] for p in prefixes.values()],
        }
    )
    published = pl.concat(
        bracket_targets(tables / f"{name.lower()}.parquet", name) for name in ("B11016", "B19001")
    )
    money = [0, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 75, 100, 125, 150, 200]
    controls = [
        *family("size", "county", "household", "NP", [f"B11016 {i}" for i in range(1, 8)],
                cuts=range(1, 8), hard=True),
        *family("income", "county", "household", "HINCP", [f"B19001 {i}" for i in range(1, 17)],
                cuts=[float("-inf"), *(1000 * m for m in money[1:])], hard=True),
    ]  # fmt: skip
    blocks = assemble(sample, controls, published, zones)
    assert [block.problem.zones for block in blocks] == [(county,) for county in prefixes]
    for block in blocks:
        level = block.problem.levels[0]
        assert level.incidence[: (block.records < sample.households.height).sum()].sum() == (
            2 * (block.records < sample.households.height).sum()
        )
        assert block.disagreements.is_empty()
        survey, published_sizes = block.problem.prior @ level.incidence[:, :7], level.target[0, :7]
        apart = survey / survey.sum() - published_sizes / published_sizes.sum()
        assert np.abs(apart).sum() / 2 < 0.04


@needs_data
def test_oregon_has_one_problem_of_three_levels():
    folder = DATA / "popsim_calm_oregon"
    file = SurveyFile(
        folder / "seed_households.parquet",
        key="SERIALNO",
        weight="WGTP",
        area=("PUMA",),
        replicates=Replicates("WGTP{}", "successive differences"),
        columns={
            "NP": Column("number"),
            "AGEHOH": Column("number"),
            "NWESR": Column("number"),
            "HTYPE": Column("number"),
        },
        duplicates="merge",
        zero_weights="drop",
    )
    sample = read_survey(SurveySchema("CALM", file))
    hard = {"hard": True}
    controls = [
        Control("households", "TAZ", "household", ("HHBASE",), **hard),
        *family("size", "TAZ", "household", "NP", [f"HHSIZE{i}" for i in range(1, 5)],
                cuts=[1, 2, 3, 4], **hard),
        *family("workers", "TRACT", "household", "NWESR", [f"HHWORK{i}" for i in range(4)],
                cuts=[0, 1, 2, 3], **hard),
    ]  # fmt: skip
    zones = pl.read_csv(folder / "geo_cross_walk.csv").select("TAZ", TRACT="GEOID", area="PUMA")
    tables = {
        "TAZ": wide_targets(pl.read_csv(folder / "control_totals_taz.csv"), "TAZ"),
        "TRACT": wide_targets(pl.read_csv(folder / "control_totals_tract.csv"), "TRACTGEOID"),
    }
    (block,) = assemble(sample, controls, tables, zones)
    assert len(block.problem.zones) == 930
    assert block.problem.levels[0].target[:, 0].sum() == 62_041
    assert block.problem.levels[1].incidence.shape == (4212, 4)
    assert block.disagreements.filter(pl.col("level") == "TAZ").is_empty()
