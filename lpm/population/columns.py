"""One column: its type, its checks and its padding."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lpm.errors import DataError, listing

RESERVED = ("alive", "slot", "size", "capacity")
NONE = -1
# Kept as given, for memory, and read as int32: models would overflow them without a word.
NARROW = (np.int8, np.int16)
MOST_ROWS = 2**31 - 1
_MOST_GROUPS = 1_000_000


def is_id(name: str) -> bool:
    """Whether a column says which group a person belongs to."""
    return name.endswith("_id")


def check_names(columns: Mapping[str, Any]) -> None:
    """Refuse a population without columns, or with names that mean something else.

    Raises:
        DataError: no columns, or a reserved name.
    """
    if not columns:
        raise DataError("a population needs at least one column, such as age")
    taken = [name for name in columns if name in RESERVED]
    if taken:
        raise DataError(f"column names {listing(taken)} are taken by the population itself")


def settle(name: str, values: Any) -> np.ndarray:
    """One column as it is kept, checked: float32, int32, int8 or int16 if given so, or bool.

    Raises:
        DataError: not one value per person, text, missing or not finite values, or a bad id.
    """
    values = np.asarray(values)
    if values.ndim != 1:
        raise DataError(f"column {name!r} has shape {list(values.shape)}; give one value a person")
    if values.dtype == np.bool_:
        return values
    if values.dtype.kind not in "fiu":
        raise DataError(
            f"column {name!r} holds {values.dtype}, not numbers; "
            "read it with Population.from_frame, which turns text into codes"
        )
    if values.dtype.kind == "f":
        _check_finite(name, values)
    if is_id(name):
        return _settle_id(name, values)
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if values.dtype in NARROW:
        return values
    limits = np.iinfo(np.int32)
    _check(name, values, (values < limits.min) | (values > limits.max), "does not fit 32 bits")
    return values.astype(np.int32)


def widened(values: Any) -> Any:
    """Narrow whole numbers, on the host or traced, as int32; other values as they are."""
    return values.astype(np.int32) if values.dtype in NARROW else values


def padded(name: str, values: np.ndarray, capacity: int) -> np.ndarray:
    """`values` with -1 (a group id) or zero behind them, up to `capacity` rows."""
    out = np.full(capacity, NONE if is_id(name) else 0, values.dtype)
    out[: len(values)] = values
    return out


def checked_capacity(size: int, capacity: int | None) -> int:
    """The capacity given, or the size.

    Raises:
        DataError: nobody, fewer rows than people, or more than 32 bits can number.
    """
    if size < 1:
        raise DataError("a population needs at least one person")
    if capacity is not None and capacity < size:
        raise DataError(f"capacity {capacity} is below the {size} people")
    rows = size if capacity is None else int(capacity)
    if rows > MOST_ROWS:
        raise DataError(f"{rows:,} rows are more than 32 bits can number, {MOST_ROWS:,}")
    return rows


def checked_slot(slot: Any, size: int, rows: np.ndarray) -> np.ndarray:
    """Identity of each row; an empty row's is its number.

    Raises:
        DataError: not a permutation of the people.
    """
    if slot is None:
        return rows
    slot = np.asarray(slot)
    if slot.shape != (size,) or not np.array_equal(np.sort(slot), rows[:size]):
        raise DataError(f"slot must hold each of 0 .. {size - 1} once, one per person")
    return np.concatenate([slot.astype(np.int32), rows[size:]])


def _settle_id(name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        _check(name, values, values != np.floor(values), "is no whole number")
    _check(name, values, values < NONE, "is no id; ids start at 0, and -1 means none")
    most = max(10 * len(values), _MOST_GROUPS)
    _check(
        name,
        values,
        values >= most,
        f"is far above the {len(values)} people; renumber ids "
        "from 0, or read them with Population.from_frame, which does",
    )
    return values.astype(np.int32)


def _check_finite(name: str, values: np.ndarray) -> None:
    missing = np.isnan(values)
    if missing.any():
        raise DataError(
            f"column {name!r} has {missing.sum()} missing values, the first in row "
            f"{missing.argmax()}; fill or drop them"
        )
    _check(name, values, np.isinf(values), "is not finite")


def _check(name: str, values: np.ndarray, wrong: np.ndarray, reason: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{name} = {values[row]} in row {row} {reason}")
