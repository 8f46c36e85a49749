"""Reports as they were filed: a frame or files, read and checked."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from ...errors import FittingError, unknown

_COLUMNS = ("series", "date", "value")


def read_reports(reports: Any) -> pl.DataFrame:
    """Reports with columns series, date, value and as_of, in the order in which they were filed.

    Raises:
        FittingError: no such file or column, a value that is negative or not finite, an `as_of`
            before its date, two values of one report, or dates out of order.
    """
    if isinstance(reports, pl.DataFrame):
        frame = _order(reports)
    elif isinstance(reports, str | Path):
        frame = _read_files(Path(reports))
    else:
        raise FittingError(f"reports are a {type(reports).__name__}; give a polars frame or a path")
    _check_values(frame)
    frame = frame.unique(maintain_order=True)
    _check_single(frame)
    return frame


def say(row: dict[str, Any]) -> str:
    """How an error names a report."""
    return f"the report of {row['series']!r} for {row['date']} as of {row['as_of']}"


def _read_files(path: Path) -> pl.DataFrame:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in files if file.suffix in (".csv", ".parquet") and file.is_file()]
    if not files:
        raise FittingError(f"{path} is, or holds, no CSV or parquet file of reports")
    return pl.concat([_read_file(file) for file in files])


def _read_file(file: Path) -> pl.DataFrame:
    try:
        return _order((pl.read_csv if file.suffix == ".csv" else pl.read_parquet)(file))
    except (FittingError, pl.exceptions.PolarsError) as error:
        raise FittingError(f"{file}: {error}") from error


def _order(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of a report, of the right types."""
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise FittingError(unknown("reports", "column", missing, frame.columns))
    if not len(frame):
        raise FittingError("there are no reports")
    dated = "as_of" in frame.columns
    frame = frame if dated else frame.with_columns(as_of="date")
    try:
        frame = frame.select(
            pl.col("series").cast(pl.String),
            _days(frame, "date"),
            pl.col("value").cast(pl.Float64).fill_nan(None),
            _days(frame, "as_of"),
        )
    except pl.exceptions.PolarsError as error:
        raise FittingError(
            f"reports cannot be read: {error}; give text, a date, a number and a date"
        ) from error
    if not dated:
        _check_increasing(frame)
    return frame


def _days(frame: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    return column.str.to_date() if frame[name].dtype == pl.String else column.cast(pl.Date)


def _check_values(frame: pl.DataFrame) -> None:
    """Refuse values that no report can have."""
    for name in ("series", "date", "as_of"):
        if frame[name].null_count():
            raise FittingError(f"{frame[name].null_count()} reports have no {name}")
    wrong = frame.filter((pl.col("value") < 0) | pl.col("value").is_infinite())
    if len(wrong):
        row = wrong.row(0, named=True)
        raise FittingError(
            f"{say(row)} is {row['value']}; give a number from 0 on, or none where missing"
        )
    early = frame.filter(pl.col("as_of") < pl.col("date"))
    if len(early):
        raise FittingError(
            f"{say(early.row(0, named=True))} was known before its period ended; mend as_of or date"
        )


def _check_increasing(frame: pl.DataFrame) -> None:
    """Refuse dates of one series that do not increase, where nothing says when they were known."""
    for _, part in frame.group_by("series", maintain_order=True):
        for before, row in pairwise(part.rows(named=True)):
            if row["date"] is not None and row["date"] <= before["date"]:
                raise FittingError(
                    f"the report of {row['series']!r} for {row['date']} comes after that for "
                    f"{before['date']}: dates of a series must increase; for revisions, add a "
                    "column as_of with the day on which each was known"
                )


def _check_single(frame: pl.DataFrame) -> None:
    """Refuse two values of one day, known on the same day."""
    double = frame.filter(pl.struct("series", "date", "as_of").is_duplicated())
    if len(double):
        raise FittingError(
            f"{say(double.row(0, named=True))} is there with two values, {double['value'][0]} and "
            f"{double['value'][1]}; a revision has a later as_of"
        )
