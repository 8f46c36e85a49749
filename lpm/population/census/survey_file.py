"""One file of a declared survey, with the names and types of a sample."""

from contextlib import ExitStack

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import DataError, listing, unknown

from .expressions import evaluate
from .files import open_tables
from .replicates import matching, standardise, variance_factor
from .schema import Column, Replicates, SurveyFile

SIZE, MARK = "__size", "__quarters"  # Dropped before a sample is made.
_RESERVED = ("household_id", "person_number", "area", "weight", "replicates")


def read_survey_file(file: SurveyFile, quarters: str = "") -> tuple[pl.DataFrame, str, list[str]]:
    """Rows, the name of the file, and notes on what was done.

    The frame has household_id, the other columns of a sample that the schema declares, those to
    keep, and `SIZE` and `MARK` (whether it is a placeholder of group quarters) where those are.

    Raises:
        DataError: a column is missing, or holds what it should not.
    """
    with ExitStack() as stack:
        tables = open_tables(file.files, stack)
        raw = pl.concat([table.collect(pl.all()) for table in tables], how="diagonal_relaxed")
        notes = [table.note for table in tables if table.note]
        owner = ", ".join(table.name for table in tables)
    _require(raw, file, owner)
    found = [convert(raw[file.key], Column("code"), owner).alias("household_id")]
    if file.number:
        found.append(convert(raw[file.number], Column("number"), owner).alias("person_number"))
    if file.area:
        parts = [convert(raw[name], Column("code"), owner) for name in file.area]
        found.append(pl.DataFrame(parts).select(area=pl.concat_str(pl.all())).to_series())
    if file.weight:
        weight = convert(raw[file.weight], Column("number"), owner).cast(pl.Float64)
        found.append(weight.alias("weight"))
    if file.replicates is not None:
        found.append(_gather(raw, file.replicates, owner))
    if file.size:
        found.append(convert(raw[file.size], Column("number"), owner).alias(SIZE))
    if quarters:
        mark = evaluate(raw, quarters, owner, "what marks group quarters")
        found.append(mark.cast(pl.Boolean).alias(MARK))
    frame = pl.DataFrame([*found, *_kept(raw, file, owner)])
    missing = [s.name for s in found if s.name != "replicates" and s.null_count()]
    if missing:
        raise DataError(f"{owner} ({raw.height:,} rows) has blanks in {listing(missing)}")
    return frame, owner, notes


def convert(series: pl.Series, column: Column, owner: str) -> pl.Series:
    """A column as numbers or text; blanks are null, codes have their labels.

    Raises:
        DataError: a value is no number, or a code without a label.
    """
    if series.dtype == pl.String:
        plain = series.str.strip_chars()
        series = pl.select(pl.when(plain != "").then(plain).alias(series.name)).to_series()
    if column.kind == "number":
        return _number(series, owner)
    if series.dtype.is_float():
        whole = series.cast(pl.Int64, strict=False)
        series = whole if (whole == series).all() else series
    series = series.cast(pl.String)
    return _labelled(series, column, owner) if column.labels else series


def _number(series: pl.Series, owner: str) -> pl.Series:
    if series.dtype.is_numeric():
        return series.fill_nan(None) if series.dtype.is_float() else series
    whole = series.cast(pl.Int64, strict=False)
    if whole.null_count() == series.null_count():
        return whole
    numbers = series.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & series.is_not_null()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{owner} ({series.len():,} rows): column {series.name} is {series[row]!r} in row "
            f"{row} and no number in {wrong.sum()} rows; declare it as code or text, or mend it"
        )
    return numbers


def _labelled(series: pl.Series, column: Column, owner: str) -> pl.Series:
    strange = ~series.is_in(list(column.labels)) & series.is_not_null()
    if strange.any():
        row = int(strange.to_numpy().argmax())
        raise DataError(
            f"{owner} ({series.len():,} rows): column {series.name} is {series[row]!r} in row "
            f"{row}, a code without a label in {strange.sum()} rows; labels are given for "
            f"{listing(column.labels)}"
        )
    return series.replace(column.labels)


def _kept(raw: pl.DataFrame, file: SurveyFile, owner: str) -> list[pl.Series]:
    """Columns to keep; all that are not used otherwise where none are declared."""
    if file.columns:
        return [
            convert(raw[column.source or name], column, owner).alias(name)
            for name, column in file.columns.items()
        ]
    used = {file.key, file.weight, file.number, *_RESERVED}
    if file.replicates is not None:
        used |= set(matching(raw.columns, file.replicates.columns))
    return [raw[name] for name in raw.columns if name not in used]


def with_standard_replicates(
    frame: pl.DataFrame, replicates: Replicates | None
) -> tuple[pl.DataFrame, list[str]]:
    """Replicates whose errors are those of successive differences; after records were merged."""
    if replicates is None:
        return frame, []
    values = frame["replicates"].to_numpy()
    factor = variance_factor(replicates.method, values.shape[1], replicates.fay)
    moved = standardise(frame["weight"].to_numpy(), values, factor)
    note = f"replicates are by {replicates.method}; moved, so that their factor is 4 / replicates"
    return frame.with_columns(replicates=_array(moved)), [note]


def _gather(raw: pl.DataFrame, replicates: Replicates, owner: str) -> pl.Series:
    names = matching(raw.columns, replicates.columns)
    if not names:
        raise DataError(unknown(owner, "column", [replicates.columns], raw.columns))
    values = np.stack([convert(raw[n], Column("number"), owner).to_numpy() for n in names], axis=1)
    return _array(values.astype(np.float64))


def _array(values: Float[np.ndarray, "row replicate"]) -> pl.Series:
    return pl.Series("replicates", values, dtype=pl.Array(pl.Float64, values.shape[1]))


def _require(raw: pl.DataFrame, file: SurveyFile, owner: str) -> None:
    named = [file.key, file.weight, file.number, *file.area, file.size]
    named += [column.source or name for name, column in file.columns.items()]
    missing = [name for name in named if name and name not in raw.columns]
    if missing:
        where = f"{owner} ({raw.height:,} rows)"
        raise DataError(unknown(where, "column", missing, raw.columns))
    taken = [name for name in file.columns if name in _RESERVED]
    if taken:
        raise DataError(f"{owner}: {listing(taken)} are names of a sample; keep them as another")
