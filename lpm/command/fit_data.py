"""Read published series from a table, in step with the rows of a run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import DataError, FittingError, unknown
from ..fitting import LogNormal, NegativeBinomial, Normal, Poisson, Series

_WEEK = 7
_DAYS = {"day": 1, "week": 7}
_MISSING = ("", "na", "nan", "null")
_NOISES: dict[str, Any] = {
    "negative_binomial": NegativeBinomial,
    "poisson": Poisson,
    "normal": Normal,
    "log_normal": LogNormal,
}


@dataclass(frozen=True)
class Request:
    """One `--series`: a column of the table, the observable behind it, and its noise."""

    column: str
    observable: str
    noise: Any

    @classmethod
    def parse(cls, text: str) -> "Request":
        """Read `column=observable[:noise[:size]]`.

        Raises:
            FittingError: another form, an unknown noise, or a size it cannot have.
        """
        column, equals, rest = text.partition("=")
        observable, *law = rest.split(":")
        if not equals or not column.strip() or not observable.strip() or len(law) > 2:
            raise FittingError(
                f"--series {text!r} is not of the form column=observable[:noise[:size]]"
            )
        name = law[0].strip() if law else "negative_binomial"
        if name not in _NOISES:
            raise FittingError(unknown(f"--series {text!r}", "noise", [name], _NOISES))
        try:
            sizes = [float(part) for part in law[1:]]
        except ValueError:
            raise FittingError(f"--series {text!r}: {law[1]!r} is not a number") from None
        if name == "poisson" and sizes:
            raise FittingError(f"--series {text!r}: poisson noise has no size; leave it out")
        return cls(column.strip(), observable.strip(), _NOISES[name](*sizes))


@dataclass(frozen=True)
class Data:
    """Series that are in step with a run.

    Attributes:
        series: one per request.
        steps: the horizon they need.
        notes: what was left out, in words.
    """

    series: tuple[Series, ...]
    steps: int
    notes: tuple[str, ...] = ()


def read_data(
    path: Path,
    requests: Sequence[Request],
    unit: str,
    *,
    window: int = 1,
    first: int | None = None,
    weekly: bool = False,
) -> Data:
    """The columns of a table as series of a run.

    A row belongs to the period that ends after so many steps (`step`), or to that beginning on a
    day (`date`); the first date is the first period. Rows may be missing and in any order.

    Args:
        path: CSV or parquet.
        requests: what to read.
        unit: what a step of the scenario is.
        window: steps that a row of the table covers.
        first: steps of the run before the first row; by default none, or as `step` says.
        weekly: add up daily rows into weeks.

    Raises:
        DataError: names the file, the column, the row and the value.
        FittingError: a window below one, or weeks of rows that are no days.
    """
    if window < 1 or (weekly and (window > 1 or unit != "day")):
        raise FittingError(
            f"--window {window} with a step of one {unit}: give at least 1, and --weekly only for "
            "daily rows of a scenario whose step is a day"
        )
    frame = _read(path)
    for request in requests:
        if request.column not in frame.columns:
            raise DataError(unknown(str(path), "column", [request.column], frame.columns))
    period, start = _periods(path, frame, unit, window)
    first = start if first is None else first
    rows = int(period.max()) + 1
    columns = [np.full(rows, np.nan) for _ in requests]
    for column, request in zip(columns, requests, strict=True):
        column[period] = _numbers(path, frame, request.column)
    notes: tuple[str, ...] = ()
    if weekly:
        columns, notes = _add_up(path, columns)
        window = _WEEK
    series = tuple(
        Series(one.observable, column, noise=one.noise, window=window, first=first)
        for one, column in zip(requests, columns, strict=True)
    )
    return Data(series, first + len(columns[0]) * window, notes)


def fingerprint(path: Path) -> str:
    """Hash of a file.

    Raises:
        DataError: there is none.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}; give --data a CSV or parquet table")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DataError(f"there is no file {path}; give --data a CSV or parquet table")
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            frame = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    if not frame.height:
        raise DataError(f"{path} has no rows")
    return frame


def _periods(path: Path, frame: pl.DataFrame, unit: str, window: int) -> tuple[np.ndarray, int]:
    """Period of each row, and steps of the run before the first of them."""
    there = [name for name in ("step", "date") if name in frame.columns]
    if len(there) != 1:
        raise DataError(
            f"{path} has {there or 'neither step nor date'} among its columns {frame.columns}; "
            "give one of them: step, or date as 2020-03-01"
        )
    name, start = there[0], 0
    if name == "step":
        ends = [_whole(path, i, value) for i, value in enumerate(frame[name])]
        start = min(ends) - window
        if start < 0:
            row = _row(ends.index(min(ends)))
            raise DataError(
                f"{path}, column step, row {row}: a period of {window} steps cannot end after step "
                f"{min(ends)}"
            )
        away, size = [end - min(ends) for end in ends], window
    else:
        if unit not in _DAYS:
            raise DataError(f"{path}: dates need a step of a day or a week, not a {unit}; use step")
        days = [_date(path, i, value).toordinal() for i, value in enumerate(frame[name])]
        away, size = [day - min(days) for day in days], window * _DAYS[unit]
    seen: dict[int, int] = {}
    for i, gap in enumerate(away):
        value = frame[name][i]
        if gap % size:
            raise DataError(
                f"{path}, column {name}, row {_row(i)}: {value} is not a whole number of periods "
                f"after the first; see --window"
            )
        if gap in seen:
            raise DataError(
                f"{path}, column {name}, row {_row(i)}: {value} is there already in row "
                f"{_row(seen[gap])}; give each period one row"
            )
        seen[gap] = i
    return np.array(away) // size, start


def _numbers(path: Path, frame: pl.DataFrame, column: str) -> np.ndarray:
    found = np.full(frame.height, np.nan)
    for i, value in enumerate(frame[column]):
        if value is None or str(value).strip().lower() in _MISSING:
            continue
        try:
            found[i] = float(value)
        except (TypeError, ValueError):
            raise DataError(
                f"{path}, column {column}, row {_row(i)}: {value!r} is not a number"
            ) from None
        if not np.isfinite(found[i]) or found[i] < 0:
            raise DataError(
                f"{path}, column {column}, row {_row(i)}: {value} is not a number of at least 0"
            )
    if np.isnan(found).all():
        raise DataError(f"{path}, column {column}: every value is missing")
    return found


def _add_up(path: Path, columns: list[np.ndarray]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Weeks of days; a week with a missing day is missing."""
    weeks, left = divmod(len(columns[0]), _WEEK)
    if not weeks:
        raise DataError(f"{path} covers {left} days; --weekly needs at least {_WEEK}")
    notes = (f"The last {left} days are no whole week and are left out.",) if left else ()
    return [x[: weeks * _WEEK].reshape(weeks, _WEEK).sum(axis=1) for x in columns], notes


def _whole(path: Path, i: int, value: Any) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not number.is_integer():
        raise DataError(f"{path}, column step, row {_row(i)}: {value!r} is not a whole number")
    return int(number)


def _date(path: Path, i: int, value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value).strip())
    except ValueError:
        raise DataError(
            f"{path}, column date, row {_row(i)}: {value!r} is not a date such as 2020-03-01"
        ) from None


def _row(i: int) -> int:
    """Number of a row as a spreadsheet shows it: the header is row 1."""
    return i + 2
