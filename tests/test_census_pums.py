"""Public use files of the American Community Survey, of several years and in several wrappings."""

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population.census import read_pums, summary
from lpm.population.census.derive_dictionary import derive
from lpm.population.census.dictionary import variables

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LPM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "pums_acs1_2024" / "p_36.parquet").exists(),
    reason="the survey files are not here; name their folder in LPM_DATA",
)
needs_dictionary = pytest.mark.skipif(
    not (DATA / "pums_dictionary").exists(),
    reason="the dictionaries are not here; name their folder in LPM_DATA",
)
REPLICATES = range(1, 81)


def homes(**changes):
    """Two households, a vacant unit and a room in group quarters, as in the files of 2023."""
    table = {
        "RT": ["H"] * 4,
        "SERIALNO": ["2023HU0000001", "2023HU0000002", "2023HU0000003", "2023GQ0000004"],
        "PUMA": ["04101", "04101", "00100", "00100"],
        "STATE": ["36"] * 4,
        "ADJHSG": ["1000000"] * 4,
        "ADJINC": ["1019518"] * 4,
        "WGTP": ["10", "20", "30", "0"],
        "NP": ["2", "1", "0", "1"],
        "TYPEHUGQ": ["1", "1", "1", "3"],
        "TEN": ["1", "3", "", ""],
        "RNTP": ["", "900", "800", ""],
        "HINCP": ["50000", "-100", "", ""],
        "FINCP": ["50000", "", "", ""],
        "FTENP": ["0", "1", "", ""],
    }
    table |= {f"WGTP{i}": [str(10 + (-1) ** i), "20", "30", "0"] for i in REPLICATES}
    return table | changes


def people(**changes):
    table = {
        "RT": ["P"] * 4,
        "SERIALNO": ["2023HU0000001", "2023HU0000001", "2023HU0000002", "2023GQ0000004"],
        "SPORDER": ["1", "2", "1", "1"],
        "PUMA": ["04101", "04101", "04101", "00100"],
        "STATE": ["36"] * 4,
        "ADJINC": ["1019518"] * 4,
        "PWGTP": ["10", "11", "20", "5"],
        "AGEP": ["40", "9", "71", "22"],
        "SEX": ["1", "2", "2", "1"],
        "SCHL": ["21", "06", "16", "19"],
        "WAGP": ["50000", "", "0", "1000"],
        "RELSHIPP": ["20", "25", "20", "38"],
    }
    table |= {f"PWGTP{i}": ["10", "11", "20", "5"] for i in REPLICATES}
    return table | changes


def write(path, table):
    pl.DataFrame(table).write_csv(path, quote_style="never")
    return path


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "psam_h36.csv", homes()), write(tmp_path / "psam_p36.csv", people())


def without(table, *names):
    return {name: values for name, values in table.items() if name not in names}


def renamed(table, **names):
    return {names.get(name, name): values for name, values in table.items()}


def test_official_files_make_a_sample(files):
    sample = read_pums(*files)
    assert sample.households["household_id"].to_list() == ["2023HU0000001", "2023HU0000002"]
    assert sample.households["area"].to_list() == ["3604101", "3604101"]
    assert sample.households["weight"].to_list() == [10, 20]
    assert sample.households["TEN"].to_list() == ["1", "3"]
    assert sample.persons["AGEP"].to_list() == [40, 9, 71]
    assert sample.persons["SCHL"].to_list() == ["21", "06", "16"]
    assert sample.persons["WAGP"][1] is None
    found = sample.quarters.select("household_id", "area", "weight", "TYPEHUGQ").row(0)
    assert found == ("2023GQ0000004", "3600100", 5.0, "3")
    assert "FTENP" not in sample.households.columns
    assert any("1 vacant units (dropped)" in note for note in sample.notes)
    assert sample.provenance == ("psam_h36.csv", "psam_p36.csv", "ACS PUMS 2023, 1-year")


def test_dollars_are_adjusted_once_and_told(files):
    sample = read_pums(*files)
    assert sample.households["HINCP"].to_list() == pytest.approx([50975.9, -101.9518])
    assert sample.households["RNTP"].to_list() == [None, 900]
    assert "ADJINC" not in sample.households.columns
    assert "psam_h36.csv: [HINCP, FINCP] times ADJINC [1.019518]" in sample.notes


def test_only_columns_asked_for_are_read(files):
    sample = read_pums(*files, columns=["TEN", "AGEP", "FTENP"], replicates=False)
    assert sample.persons.columns == ["household_id", "person_number", "weight", "AGEP"]
    assert {"TEN", "FTENP", "NP"} <= set(sample.households.columns)
    assert "HINCP" not in sample.households.columns
    assert "replicates" not in sample.persons.columns


def test_replicates_give_the_error_of_successive_differences(files):
    table = summary(read_pums(*files))
    assert table["what"].to_list() == [
        "households",
        "household persons",
        "quarters persons",
        "persons",
    ]
    assert table["total"].to_list() == [30, 41, 5, 46]
    assert table["standard_error"][0] == pytest.approx(np.sqrt(4 / 80 * 80 * 1))
    assert table["standard_error"][3] == 0


@pytest.mark.parametrize("wrapping", ["zip", "gz", "parquet", "parts", "frame"])
def test_every_wrapping_gives_the_same(tmp_path, files, wrapping):
    expected = read_pums(*files)
    home, person = files
    if wrapping == "zip":
        first, second = pl.DataFrame(people()).head(2), pl.DataFrame(people()).tail(2)
        person = tmp_path / "csv_pny.zip"
        with zipfile.ZipFile(person, "w") as archive:
            archive.writestr("ACS2023_PUMS_README.pdf", b"%PDF-1.4")
            archive.writestr("psam_pusa.csv", first.write_csv())
            archive.writestr("psam_pusb.csv", second.write_csv())
    elif wrapping == "gz":
        home = tmp_path / "psam_h36.csv.gz"
        home.write_bytes(gzip.compress(files[0].read_bytes()))
    elif wrapping == "parquet":
        home = tmp_path / "h.parquet"
        pl.read_csv(files[0]).write_parquet(home)
    elif wrapping == "frame":
        home = pl.read_csv(files[0])
    else:
        write(tmp_path / "a.csv", pl.DataFrame(homes()).head(1).to_dict(as_series=False))
        write(tmp_path / "b.csv", pl.DataFrame(homes()).tail(3).to_dict(as_series=False))
        home = [tmp_path / "a.csv", tmp_path / "b.csv"]
    found = read_pums(home, person)
    assert found.households.equals(expected.households)
    assert found.persons.equals(expected.persons)
    assert found.quarters.equals(expected.quarters)


def test_files_of_2017_have_the_names_and_codes_of_today(tmp_path):
    serials = ["2017000000001", "2017000000002", "2017000000003", "2017000000004"]
    home = renamed(homes(), STATE="ST", TYPEHUGQ="TYPE") | {
        "SERIALNO": serials,
        "YBL": ["01", "14", "7", ""],
        "ELEP": ["1", "3", "", ""],
        "ADJHSG": ["1010000"] * 4,
    }
    person = renamed(people(), STATE="ST", RELSHIPP="RELP") | {
        "SERIALNO": [serials[0], serials[0], serials[1], serials[3]],
        "RELP": ["0", "1", "00", "17"],
        "JWTR": ["04", "", "05", "01"],
    }
    person = {name.lower() if name[-1].isdigit() else name: v for name, v in person.items()}
    sample = read_pums(
        write(tmp_path / "ss17hny.csv", home), write(tmp_path / "ss17pny.csv", person)
    )
    assert sample.households["YRBLT"].to_list() == ["1939", "2010"]
    assert sample.households["ELEP"].to_list() == [1, pytest.approx(3.03)]
    assert sample.persons["RELSHIPP"].to_list() == ["20", "01", "20"]
    assert sample.quarters["RELSHIPP"].to_list() == ["38"]
    assert sample.persons["JWTRNS"].to_list() == ["03", None, "04"]
    assert sample.persons["replicates"].dtype == pl.Array(pl.Float64, 80)
    notes = "\n".join(sample.notes)
    assert "RELP codes without a single successor in RELSHIPP are kept: [01: 1]" in notes
    assert "ST is called STATE" in notes
    assert "ACS PUMS 2017, 1-year" in sample.provenance


def test_areas_of_two_censuses_in_a_five_year_file_are_kept_apart(tmp_path):
    serials = ["2019HU0000001", "2022HU0000002", "2022HU0000003", "2021GQ0000004"]
    home = without(homes(), "PUMA") | {
        "SERIALNO": serials,
        "PUMA10": ["03801", "-0009", "-0009", "03802"],
        "PUMA20": ["-9", "04101", "04101", "-9"],
        "ADJINC": ["1207712", "1019518", "1019518", "1159185"],
    }
    person = people(SERIALNO=[serials[0], serials[0], serials[1], serials[3]])
    sample = read_pums(write(tmp_path / "h.csv", home), write(tmp_path / "p.csv", person))
    assert sample.households["area"].to_list() == ["3603801@2010", "3604101"]
    assert sample.quarters["area"].to_list() == ["3603802@2010"]
    assert sample.households["HINCP"][0] == pytest.approx(50000 * 1.207712)
    assert "h.csv: areas of an older census, marked @year: 2 rows of 2010" in sample.notes
    assert sample.provenance[-1] == "ACS PUMS 2019-2022, 3-year"


def test_split_records_are_refused_or_merged(tmp_path, files):
    double = pl.concat([pl.DataFrame(homes()).with_columns(WGTP=pl.lit("5")).head(1)] * 2)
    home = write(
        tmp_path / "h.csv",
        pl.concat([double, pl.DataFrame(homes()).tail(3)]).to_dict(as_series=False),
    )
    match = r"h.csv \(5 rows\): 1 \[SERIALNO\] occur more than once, in 2 rows"
    with pytest.raises(DataError, match=match):
        read_pums(home, files[1])
    merged = read_pums(home, files[1], duplicates="merge")
    assert merged.households.equals(read_pums(*files).households)
    assert any("weights added up, replicates kept once" in note for note in merged.notes)


def test_there_are_two_ways_with_split_records(files):
    with pytest.raises(DataError, match=r"duplicates is 'Merge'; it is one of \[refuse, merge\]"):
        read_pums(*files, duplicates="Merge")


def test_a_last_row_that_may_be_cut_is_noted(files):
    files[0].write_bytes(files[0].read_bytes().rstrip())
    assert "psam_h36.csv: the last row has no end of line" in read_pums(*files).notes


def test_names_may_be_in_capitals(tmp_path, files):
    assert read_pums(files[0].rename(tmp_path / "SS.CSV"), files[1]).num_records == 3


def test_records_that_differ_in_more_than_the_weight_are_not_merged(tmp_path, files):
    home = write(
        tmp_path / "h.csv",
        homes(SERIALNO=["2023HU0000001", "2023HU0000001", "2023HU0000002", "2023GQ0000004"]),
    )
    with pytest.raises(DataError, match=r"they differ in \[NP, PUMA, TYPEHUGQ|they differ in \["):
        read_pums(home, files[1], duplicates="merge")


HOME_FAULTS = [
    (
        {"WGTP": ["-1", "20", "30", "0"]},
        r"h.csv \(4 rows\): column WGTP is -1 in row 0 and not pos",
    ),
    ({"WGTP": ["0", "20", "30", "0"]}, r"column WGTP is 0 in row 0 and not positive in 1 rows"),
    ({"WGTP": ["x", "20", "30", "0"]}, r"h.csv \(4 rows\): column WGTP is 'x' in row 0 and no num"),
    ({"NP": ["3", "1", "0", "1"]}, r"NP is 3 in row 0 .* p.csv \(4 rows\) has 2 persons of it"),
    ({"TYPEHUGQ": ["1", "7", "1", "3"]}, r"TYPEHUGQ is '7' in row 1, one of the unknown codes"),
    ({"ADJINC": ["9", "9", "9", "9"]}, r"column ADJINC is 9.0 in row 0; it is a factor near 1"),
    ({"PUMA": ["04101", "", "1", "1"]}, r"1 rows have no \[STATE, PUMA\]"),
]
PERSON_FAULTS = [
    ({"PWGTP": ["10", "0", "20", "5"]}, r"p.csv \(4 rows\): column PWGTP is 0 in row 1"),
    ({"SEX": ["1", "2", "3", "1"]}, r"SEX is '3' in row 2, .* the dictionary of 2023 has 1-2"),
    ({"AGEP": ["40", "9", "old", "1"]}, r"p.csv \(4 rows\): column AGEP is 'old' in row 2"),
    ({"SPORDER": ["1", "1", "1", "1"]}, r"1 \[SERIALNO, SPORDER\] occur more than once"),
    (
        {"SERIALNO": ["2023HU0000001", "2023HU0000001", "2023HU0000002", "2023GQ0000009"]},
        r"1 persons have a SERIALNO that is not in h.csv \(4 rows\), the first '2023GQ0000009'",
    ),
]


@pytest.mark.parametrize(("changes", "match"), HOME_FAULTS)
def test_bad_housing_rows_are_told(tmp_path, changes, match):
    home = write(tmp_path / "h.csv", homes(**changes))
    with pytest.raises(DataError, match=match):
        read_pums(home, write(tmp_path / "p.csv", people()))


@pytest.mark.parametrize(("changes", "match"), PERSON_FAULTS)
def test_bad_person_rows_are_told(tmp_path, changes, match):
    person = write(tmp_path / "p.csv", people(**changes))
    with pytest.raises(DataError, match=match):
        read_pums(write(tmp_path / "h.csv", homes()), person)


def test_files_the_wrong_way_round_are_told(files):
    with pytest.raises(
        DataError, match=r"psam_p36.csv \(4 rows\) was given as housing file but is"
    ):
        read_pums(files[1], files[0])


def test_a_missing_column_is_told_with_its_other_names(tmp_path, files):
    home = write(tmp_path / "h.csv", without(homes(), "STATE", "PUMA"))
    match = r"h.csv \(4 rows\) has no column \[STATE \(until 2022: ST\), PUMA"
    with pytest.raises(DataError, match=match):
        read_pums(home, files[1])
    with pytest.raises(
        DataError,
        match=r"\(4 rows\) of \[2023\] has no column \[VACDUR \(in the dictionary of 2023\)\]",
    ):
        read_pums(*files, columns=["VACDUR"])
    with pytest.raises(DataError, match=r"no column \[JWTRNS \(until 2018: JWTR\)\]"):
        read_pums(*files, columns=["JWTR"])


def test_lost_replicates_are_told(tmp_path, files):
    home = write(tmp_path / "h.csv", without(homes(), "WGTP7"))
    with pytest.raises(DataError, match=r"79 of the 80 replicates of WGTP; it has no column \[WGT"):
        read_pums(home, files[1])


def test_dollars_of_several_years_need_their_factor(tmp_path, files):
    home = homes(SERIALNO=["2019HU0000001", "2023HU0000002", "2023HU0000003", "2023GQ0000004"])
    home = write(tmp_path / "h.csv", without(home, "ADJINC"))
    with pytest.raises(DataError, match=r"no column ADJINC but serial numbers of \[2019, 2023\]"):
        read_pums(home, files[1])


@pytest.mark.parametrize("name", ["h.csv", "h.csv.gz", "h.zip", "h.parquet", "empty.csv"])
def test_files_cut_short_are_told(tmp_path, files, name):
    path = tmp_path / name
    text = files[0].read_bytes()
    if name.endswith(".gz"):
        text = gzip.compress(text)
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(files[0], "psam_h36.csv")
        text = path.read_bytes()
    elif name.endswith(".parquet"):
        pl.read_csv(files[0]).write_parquet(path)
        text = path.read_bytes()
    path.write_bytes(b"" if name == "empty.csv" else text[: -len(text) // 10])
    match = f"{name}.* (cut short|is empty)"
    with pytest.raises(DataError, match=match):
        read_pums(path, files[1])


def test_other_files_are_told(tmp_path, files):
    (tmp_path / "h.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"h.xlsx is no table this reads; give csv, parquet"):
        read_pums(tmp_path / "h.xlsx", files[1])
    with pytest.raises(DataError, match="is a folder; name a file"):
        read_pums(tmp_path, files[1])
    with zipfile.ZipFile(tmp_path / "h.zip", "w") as archive:
        archive.writestr("README.pdf", b"")
    with pytest.raises(DataError, match=r"h.zip holds no csv or parquet file; it holds \[README"):
        read_pums(tmp_path / "h.zip", files[1])


def test_a_file_of_headings_only_is_told(tmp_path, files):
    path = tmp_path / "h.csv"
    path.write_text("SERIALNO,WGTP\n")
    with pytest.raises(DataError, match=r"h.csv is empty \(0 rows\); it has the columns \[SERIAL"):
        read_pums(path, files[1])


def test_households_may_come_without_persons(files):
    sample = read_pums(files[0], None)
    assert sample.persons.is_empty()
    assert sample.num_records == 2


def test_the_dictionary_knows_codes_of_their_width():
    known = variables()
    assert known["SCHL"].allows("06")
    assert not known["SCHL"].allows("6")
    assert not known["SEX"].allows("3")
    assert known["OCCP"].allows("0010")
    assert known["HINCP"].dollars == "income"


@needs_dictionary
def test_the_shipped_dictionary_is_the_derived_one():
    table = derive(DATA / "pums_dictionary")
    assert {row[0]: row[1:] for row in table.rows()} == {
        v.name: (v.kind, v.width, v.dollars, v.codes) for v in variables().values()
    }


@needs_data
@pytest.mark.parametrize(
    ("state", "housing", "persons", "total"),
    [("36", 102_908, 210_150, 19_867_248), ("50", 3_875, 6_938, 648_493)],
)
def test_states_have_their_published_totals(state, housing, persons, total):
    folder = DATA / "pums_acs1_2024"
    sample = read_pums(folder / f"h_{state}.parquet", folder / f"p_{state}.parquet")
    everybody = summary(sample).row(3, named=True)
    assert (everybody["rows"], everybody["total"]) == (persons, total)
    assert any(f"{housing:,} rows" in note for note in sample.notes)
    assert any("stay in dollars of the survey year" in note for note in sample.notes)
    assert sample.persons["HISP"].str.len_chars().unique().to_list() == [2]
