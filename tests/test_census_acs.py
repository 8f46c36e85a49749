"""Published tables: files of data.census.gov, of the API, of the summary file, and their signs."""

import zipfile

import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population.census import read_acs

HEADER = "GEO_ID,NAME,B11016_001E,B11016_001M,B11016_001EA,B11016_001MA,B11016_002E,B11016_002M,\n"
LABELS = (
    'Geography,Geographic Area Name,Estimate!!Total:,"Margin of Error!!Total:",,,'
    "Estimate!!Total:!!Family households:,Margin of Error,\n"
)
ROWS = (
    '0500000US36061,"New York County, New York",760000,4935,,,300,*****,\n'
    '1400000US36061000100,"Census Tract 1, New York County",0,13,null,null,-666666666,-222222222,\n'
)


def write(path, text):
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    return path


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "ACSDT5Y2023.B11016-Data.csv", HEADER + LABELS + ROWS)
    write(tmp_path / "ACSDT5Y2023.B11016-Table-Notes.txt", "Notes, with commas\nand, lines, of any")
    return tmp_path


def cell(frame, place, name):
    return frame.filter((pl.col("geo_id") == place) & (pl.col("cell") == name)).row(0, named=True)


def test_a_downloaded_folder_is_read_long(folder):
    frame = read_acs(folder)
    assert frame.height == 4
    total = cell(frame, "36061", "B11016_001")
    assert total["summary_level"] == "050"
    assert total["label"] == "Total:"
    assert (total["estimate"], total["moe"]) == (760000, 4935)
    assert total["se"] == pytest.approx(3000)


def test_a_controlled_estimate_has_no_sampling_error(folder):
    assert cell(read_acs(folder), "36061", "B11016_002")["se"] == 0


def test_jam_values_are_no_numbers(folder):
    found = cell(read_acs(folder), "36061000100", "B11016_002")
    assert found["estimate"] is None
    assert found["moe"] is None
    assert found["annotation"] == "-"


def test_open_ended_medians_keep_their_bound(tmp_path):
    text = (
        "GEO_ID,NAME,B19013_001E,B19013_001M\n"
        'Geography,Geographic Area Name,Estimate!!Median,Margin\n0500000US36061,A,"250,000+",***\n'
        '0500000US36047,B,"2,500-",***\n0500000US36005,C,"47,036","±1,645"\n'
    )
    frame = read_acs(write(tmp_path / "ACSDT5Y2023.B19013-Data.csv", text))
    assert frame["estimate"].to_list() == [250000, 2500, 47036]
    assert frame["annotation"].to_list() == ["250,000+", "2,500-", None]
    assert frame["se"].to_list() == [None, None, 1000]


def test_the_summary_file_and_the_zip_hold_the_same(tmp_path, folder):
    dat = tmp_path / "acsdt5y2023-b11016.dat"
    dat.write_text(
        "GEO_ID|B11016_E001|B11016_M001|B11016_E002|B11016_M002\n"
        "0500000US36061|760000|4935|300|-555555555\n"
        "1400000US36061000100|0|13|-666666666|-222222222\n"
    )
    packed = tmp_path / "ACSDT5Y2023.B11016.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            if path.name.startswith("ACSDT5Y2023.B11016-"):
                archive.write(path, path.name)
    numbers = ["geo_id", "summary_level", "cell", "estimate", "moe", "se"]
    csv = read_acs(folder / "ACSDT5Y2023.B11016-Data.csv").select(numbers)
    assert read_acs(dat).select(numbers).equals(csv)
    assert read_acs(packed).select(numbers).equals(csv)


def test_answers_of_the_api_get_their_codes_from_their_parts(tmp_path):
    path = tmp_path / "answer.csv"
    path.write_text("NAME,B01003_001E,B01003_001M,state,county\nBronx,1400000,-555555555,36,005\n")
    frame = read_acs(path)
    assert frame["geo_id"].item() == "36005"
    assert frame["moe"].item() == 0


def test_places_of_every_kind_have_their_codes(tmp_path):
    path = tmp_path / "T-Data.csv"
    codes = ["0100000US", "860Z200US10001", "7950000US3604101", "05000US36061"]
    path.write_text("GEO_ID,B01003_001E\n" + "".join(f"{code},5\n" for code in codes))
    frame = read_acs(path)
    assert frame["geo_id"].to_list() == ["US", "10001", "3604101", "36061"]
    assert frame["summary_level"].to_list() == ["010", "860", "795", "050"]


def test_labels_come_from_the_metadata_where_the_table_has_none(tmp_path):
    (tmp_path / "T-Data.csv").write_text("GEO_ID,B01003_001E\n0500000US36005,5\n")
    (tmp_path / "T-Column-Metadata.csv").write_text(
        "Column Name,Label\nGEO_ID,Geography\nB01003_001E,Estimate!!Total\n"
    )
    assert read_acs(tmp_path)["label"].item() == "Total"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("GEO_ID,B01003_001E\n0500000US36005,many\n", r"rows\): 'many' in row 0 is no number"),
        ("GEO_ID,TOTAL\n0500000US36005,5\n", "hold no ACS table"),
        ("PLACE,B01003_001E\n36005,5\n", r"\(1 rows\) has no column GEO_ID"),
        ("GEO_ID,B01003_001E,B01003_001M\n36005,5,1\n36047,7\n", "cut short"),
        ("GEO_ID,B01003_001E\nGeography,Estimate\n", "has no places"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, text, match):
    path = tmp_path / "T-Data.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=match):
        read_acs(path)


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(DataError, match=r"has no file like \[\*-Data.csv"):
        read_acs(tmp_path)
