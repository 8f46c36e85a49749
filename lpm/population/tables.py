"""Reading persons and households from frames, with errors that name column, value and row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int, Shaped

from lpm.errors import DataError, listing, unknown

from .columns import NONE, is_id

_HOUSEHOLD = "household_id"
_PERSON = "person_id"


@dataclass(frozen=True)
class People:
    """Columns read from a frame, in the order of storage.

    Attributes:
        columns: one array per column.
        rows: the row each person had in the frame.
        labels: names of the codes of columns that were text.
    """

    columns: dict[str, Shaped[np.ndarray, " person"]]
    rows: Int[np.ndarray, " person"]
    labels: dict[str, tuple[str, ...]]


def read_people(persons: Any, households: Any, columns: Sequence[str] | None) -> People:
    """Persons with their household's columns, those of a household next to each other.

    Raises:
        DataError: see `Population.from_frame`.
    """
    people = as_table(persons, "persons")
    if _PERSON in people.columns:
        _check_unique(people, "persons", _PERSON)
        people = people.drop(_PERSON)
    if households is not None:
        people = _join(people, as_table(households, "households"))
    if columns is not None:
        require(people, "persons", columns)
        extra = [_HOUSEHOLD] if _HOUSEHOLD in people.columns else []
        people = people.select(list(dict.fromkeys([*columns, *extra])))
    found: dict[str, np.ndarray] = {}
    labels: dict[str, tuple[str, ...]] = {}
    for series in people.iter_columns():
        values, names = _read(series)
        found[series.name] = values
        if names:
            labels[series.name] = names
    rows = _storage_order(found.get(_HOUSEHOLD), people.height)
    if columns is not None:
        found = {name: found[name] for name in columns}
    return People({name: values[rows] for name, values in found.items()}, rows, labels)


def as_table(table: Any, owner: str) -> pl.DataFrame:
    """A polars frame of what the user gave.

    Raises:
        DataError: polars cannot read it, or it has no rows.
    """
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    try:
        frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{owner} is no table polars can read: {error}") from error
    if frame.is_empty():
        raise DataError(f"{owner} has no rows")
    return frame


def require(frame: pl.DataFrame, owner: str, names: Sequence[str]) -> None:
    """Insist on columns.

    Raises:
        DataError: some are not there; lists those that are.
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(unknown(owner, "column", missing, frame.columns))


def as_numbers(frame: pl.DataFrame, owner: str, name: str) -> pl.Series:
    """A column as float64; blanks stay null.

    Raises:
        DataError: a value is no number; names it and its row.
    """
    given = frame[name]
    numbers = given.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & given.is_not_null()
    if wrong.any():
        row = _first(wrong)
        raise DataError(
            f"{owner}: column {name} is {given[row]!r} in row {row} and no number in "
            f"{wrong.sum()} of {given.len():,} rows; write a number, or nothing where none is known"
        )
    return numbers


def _join(people: pl.DataFrame, households: pl.DataFrame) -> pl.DataFrame:
    require(people, "persons", [_HOUSEHOLD])
    require(households, "households", [_HOUSEHOLD])
    _check_unique(households, "households", _HOUSEHOLD)
    double = [n for n in households.columns if n in people.columns and n != _HOUSEHOLD]
    if double:
        raise DataError(f"columns {listing(double)} are in persons and in households; drop one")
    mine, theirs = people[_HOUSEHOLD], households[_HOUSEHOLD]
    if mine.dtype != theirs.dtype and not (mine.dtype.is_integer() and theirs.dtype.is_integer()):
        raise DataError(f"household_id is {mine.dtype} in persons but {theirs.dtype} in households")
    lost = ~mine.is_in(theirs.implode())
    if lost.any():
        row = _first(lost)
        raise DataError(
            f"{lost.sum()} persons live in households that are not in households, "
            f"the first household_id = {mine[row]} in row {row}"
        )
    households = households.with_columns(theirs.cast(mine.dtype))
    return people.join(households, on=_HOUSEHOLD, how="left", maintain_order="left")


def _check_unique(frame: pl.DataFrame, owner: str, name: str) -> None:
    double = ~frame[name].is_first_distinct()
    if double.any():
        row = _first(double)
        raise DataError(
            f"{owner} has {name} = {frame[name][row]} again in row {row}; ids are unique"
        )


def _first(wrong: pl.Series) -> int:
    return int(wrong.to_numpy().argmax())


def _read(series: pl.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    missing = series.is_null()
    if series.dtype.is_float():
        missing = missing | series.is_nan().fill_null(value=True)
    if missing.any():
        hint = "; write -1 for none" if is_id(series.name) else "; fill or drop them"
        raise DataError(
            f"column {series.name!r} has {missing.sum()} missing values, "
            f"the first in row {_first(missing)}{hint}"
        )
    if series.dtype == pl.Enum or series.dtype == pl.Categorical or series.dtype == pl.String:
        return _encode(series)
    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        raise DataError(f"column {series.name!r} is {series.dtype}; give numbers or text")
    values = series.to_numpy()
    return (_renumber(series.name, values), ()) if is_id(series.name) else (values, ())


def _encode(series: pl.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes of text: in the order of an Enum, else alphabetical. A group id needs no labels."""
    if isinstance(series.dtype, pl.Enum):
        names = series.dtype.categories.to_list()
    else:
        names = series.cast(pl.String).unique().sort().to_list()
    codes = series.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int32)
    return codes, () if is_id(series.name) else tuple(names)


def _renumber(name: str, values: np.ndarray) -> np.ndarray:
    """Ids 0, 1, ... in the order of the ids given; -1 stays."""
    wrong = (values < NONE) | (values != np.floor(values))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{name} = {values[row]} in row {row} is no id; ids are whole numbers from 0, "
            "and -1 means none"
        )
    known, codes = np.unique(values, return_inverse=True)
    return (codes - (known[0] == NONE)).astype(np.int32)


def _storage_order(household: np.ndarray | None, height: int) -> np.ndarray:
    """Rows sorted by household, in the order given within one; those without come last."""
    if household is None:
        return np.arange(height)
    last = np.iinfo(household.dtype).max
    return np.argsort(np.where(household == NONE, last, household), kind="stable")
