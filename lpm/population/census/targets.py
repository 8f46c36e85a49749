"""Published totals of any origin in one shape: zone, control, target, error."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import DataError, listing

from ..tables import as_numbers, as_table, require

_NAMES = {"geo_id": "zone", "cell": "control", "estimate": "target", "se": "error"}
_SHAPE = ("zone", "control", "target")


def as_targets(table: pl.DataFrame) -> pl.DataFrame:
    """Columns zone, control, target and error (null where not known) of a long table.

    Takes them as they are, or from a table of `read_acs`.

    Raises:
        DataError: a column is missing, a value is no number, or a zone has two targets for one
            control.
    """
    frame = as_table(table, "targets")
    if "geo_id" in frame.columns and "zone" not in frame.columns:
        frame = frame.rename(_NAMES, strict=False)
    require(frame, "targets", _SHAPE)
    if "error" not in frame.columns:
        frame = frame.with_columns(error=pl.lit(None, dtype=pl.Float64))
    numbers = [as_numbers(frame, "targets", name) for name in ("target", "error")]
    frame = frame.select(pl.col("zone", "control").cast(pl.String), *numbers)
    double = frame.select("zone", "control").is_duplicated()
    if double.any():
        zone, control = frame.filter(double).select("zone", "control").row(0)
        raise DataError(
            f"targets ({frame.height:,} rows) has {double.sum()} rows with the same zone and "
            f"control, the first {zone!r}, {control!r}; each total is given once"
        )
    return frame


def wide_targets(table: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Targets of a table with one row per zone and one column per control; errors are null.

    Columns of text are left out.

    Raises:
        DataError: the table has no column `zone`.
    """
    require(as_table(table, "targets"), "targets", [zone])
    numbers = [n for n in table.columns if n != zone and table[n].dtype.is_numeric()]
    long = table.unpivot(numbers, index=zone, variable_name="control", value_name="target")
    return as_targets(long.rename({zone: "zone"}))


def bracket_targets(source: str | Path | pl.DataFrame, table: str) -> pl.DataFrame:
    """Targets of a tidy table with a row per place and bracket: geo_id, bracket_index, units.

    Cells are called after `table` and the index, such as `B11016 1`. Errors are null.

    Raises:
        DataError: a column is missing.
    """
    frame = source if isinstance(source, pl.DataFrame) else pl.read_parquet(source)
    require(frame, table, ["geo_id", "bracket_index", "units"])
    return as_targets(
        frame.select(
            zone="geo_id",
            control=pl.lit(f"{table} ") + pl.col("bracket_index").cast(pl.String),
            target="units",
        )
    )


def matrix(
    targets: pl.DataFrame, zones: Sequence[str], cells: Sequence[str], level: str
) -> tuple[Float[np.ndarray, "zone cell"], Float[np.ndarray, "zone cell"]]:
    """Targets and errors of zones and cells; errors that are not known are not a number.

    Raises:
        DataError: a total is not there, or not published.
    """
    grid = pl.DataFrame({"zone": zones}).join(pl.DataFrame({"control": cells}), how="cross")
    found = grid.join(targets, on=["zone", "control"], how="left", maintain_order="left")
    lost = found.filter(pl.col("target").is_null())
    if lost.height:
        zone, control = lost.select("zone", "control").row(0)
        known = targets["control"].unique().sort()
        raise DataError(
            f"level {level}: {lost.height:,} targets are missing, the first {control!r} of zone "
            f"{zone!r}; the tables ({targets.height:,} rows) have {listing(known)}"
        )
    shape = len(zones), len(cells)
    errors = found["error"].fill_null(float("nan"))
    return found["target"].to_numpy().reshape(shape), errors.to_numpy().reshape(shape)
