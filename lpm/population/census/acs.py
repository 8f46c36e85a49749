"""Published tables of the American Community Survey as one long frame."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from lpm.errors import DataError, listing

from ..variance import PER_MARGIN
from .files import Source, Sources, Table, open_tables
from .published import estimate, margin

_CELL = re.compile(r"^([BC]\d{5}[A-Z]{0,3})_(E|M)?(\d{3})(EA|MA|E|M)?$")
_GEO_ID = r"^(\w{3})\w{2,4}US(\w*)$"  # Level, variant and component, then the place.
_PATTERNS = ("*-Data.csv", "*.dat", "*.zip")
_PLACE_PARTS = ("state", "county", "tract", "block group")
COLUMNS = (
    *("geo_id", "summary_level", "name", "table", "cell", "label"),
    *("estimate", "moe", "se", "annotation"),
)


def read_acs(source: Sources) -> pl.DataFrame:
    """Detailed tables as downloaded, one row per place and cell.

    Reads a folder of them, or files: `ACSDT5Y2023.B11016-Data.csv` of data.census.gov (or its
    zip), answers of the Census API saved as csv, and `acsdt5y2023-b11016.dat` of the table-based
    summary file.

    Columns: geo_id (what follows `US`; `US` for the nation), summary_level, name, table, cell
    (`B11016_001`), label, estimate, moe (90% margin of error), se (moe / 1.645) and annotation
    (what stands in place of a number). Estimates that are not published are null. The margin of a
    controlled estimate (`*****`) is 0; one that could not be computed is null. Of an open-ended
    median, such as `250,000+`, the bound is kept and annotated.

    Raises:
        DataError: a file is no such table, or a value no such number.
    """
    with ExitStack() as stack:
        tables = open_tables(_files(source), stack)
        labels = _shells(tables)
        data = [table for table in tables if _cells(table)]
        if not data:
            raise DataError(
                f"{listing(t.name for t in tables)} hold no ACS table; its columns are called "
                "GEO_ID, NAME, B11016_001E, B11016_001M (or B11016_E001, B11016_M001)"
            )
        return pl.concat([_read(table, labels) for table in data]).unique(maintain_order=True)


def _files(source: Sources) -> list[Source]:
    """The tables of a folder; files as they are, without notes and metadata."""
    if isinstance(source, str | Path) and Path(source).is_dir():
        found = sorted({path for p in _PATTERNS for path in Path(source).glob(p)})
        if not found:
            raise DataError(f"folder {source} has no file like {listing(_PATTERNS)}")
        return [*found, *sorted(Path(source).glob("*-Column-Metadata.csv"))]
    if isinstance(source, Sequence) and not isinstance(source, str):
        return list(source)
    return [source]


def _cells(table: Table) -> dict[str, dict[str, str]]:
    """Columns of each cell by what they hold: E, M, EA, MA."""
    cells: dict[str, dict[str, str]] = {}
    for column in table.columns:
        if hit := _CELL.match(column):
            name, before, number, after = hit.groups()
            cells.setdefault(f"{name}_{number}", {})[before or after or "E"] = column
    return {cell: columns for cell, columns in cells.items() if "E" in columns}


def _shells(tables: Sequence[Table]) -> dict[str, str]:
    """Labels of cells from the metadata files of data.census.gov."""
    labels = {}
    for table in tables:
        if {"Column Name", "Label"} <= set(table.columns):
            rows = table.collect(pl.col("Column Name"), pl.col("Label")).rows()
            labels |= {name[:-1]: label for name, label in rows if name and _CELL.match(name)}
    return labels


def _read(table: Table, labels: Mapping[str, str]) -> pl.DataFrame:
    cells = _cells(table)
    frame = table.collect(pl.all()).cast(pl.String)
    places = _places(frame, table)
    heading = places["geo_id"].str.to_lowercase().is_in(["geography", "id"])
    first = frame.filter(heading)
    frame, places = frame.filter(~heading), places.filter(~heading)
    if frame.is_empty():
        raise DataError(f"{table.name} has no places (0 rows below its headings)")
    parts = []
    for cell, columns in cells.items():
        label = first[columns["E"]][0] if first.height else labels.get(cell, "")
        parts.append(
            places.with_columns(
                pl.lit(cell.split("_")[0]).alias("table"),
                pl.lit(cell).alias("cell"),
                pl.lit((label or "").removeprefix("Estimate!!")).alias("label"),
                *_values(frame, columns, table.name),
            )
        )
    return pl.concat(parts).select(COLUMNS)


def _values(frame: pl.DataFrame, columns: Mapping[str, str], owner: str) -> list[pl.Series]:
    """Estimate, margin, standard error and annotation of one cell."""
    text = frame[columns["E"]]
    if "EA" in columns:
        text = frame.select(_instead(columns["EA"], columns["E"])).to_series()
    numbers, remark = estimate(text, f"{owner}, column {columns['E']}")
    if "M" not in columns:
        moe = pl.Series("moe", [None] * frame.height, dtype=pl.Float64)
    else:
        spread = frame[columns["M"]]
        if "MA" in columns:
            spread = frame.select(_instead(columns["MA"], columns["M"])).to_series()
        moe = margin(spread, f"{owner}, column {columns['M']}")
        meant = numbers.is_not_null() & remark.is_null()
        moe = pl.select(moe=pl.when(meant).then(moe)).to_series()
    return [
        numbers.alias("estimate"),
        moe.alias("moe"),
        (moe / PER_MARGIN).alias("se"),
        remark.alias("annotation"),
    ]


def _instead(annotation: str, number: str) -> pl.Expr:
    """An annotation where there is one; blank and `null` are none."""
    told = pl.col(annotation).str.strip_chars()
    return pl.when(~told.is_in(["", "null"])).then(told).otherwise(pl.col(number)).alias(number)


def _places(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Codes and names of the places, whatever the shape of the file."""
    if "GEO_ID" in frame.columns:
        code = pl.col("GEO_ID")
    elif "state" in frame.columns:
        code = pl.concat_str([n for n in _PLACE_PARTS if n in frame.columns])
    else:
        raise DataError(f"{table.count()} has no column GEO_ID; it has {listing(table.columns)}")
    digits = code.str.extract(_GEO_ID, 2)
    name = pl.col("NAME") if "NAME" in frame.columns else pl.lit(None, dtype=pl.String)
    return frame.select(
        geo_id=pl.when(digits == "").then(pl.lit("US")).otherwise(pl.coalesce(digits, code)),
        summary_level=code.str.extract(_GEO_ID, 1),
        name=name,
    )
