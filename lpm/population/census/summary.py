"""What a sample stands for: rows, weighted totals and their standard errors."""

import polars as pl

from ..sample import Sample
from ..variance import standard_error


def summary(sample: Sample) -> pl.DataFrame:
    """Totals of a sample, one row per kind of record.

    Columns: what, rows, total (sum of the weights), standard_error (null without replicates),
    smallest and largest weight. The persons' total is in persons and includes group quarters.
    """
    everybody = pl.concat(
        [part.select(_columns(part)) for part in (sample.persons, sample.quarters)],
        how="diagonal_relaxed",
    )
    parts = {
        "households": sample.households,
        "household persons": sample.persons,
        "quarters persons": sample.quarters,
        "persons": everybody,
    }
    rows = [_describe(what, part) for what, part in parts.items()]
    return pl.DataFrame(rows, schema_overrides={"standard_error": pl.Float64})


def _columns(part: pl.DataFrame) -> list[str]:
    return [name for name in ("weight", "replicates") if name in part.columns]


def _describe(what: str, part: pl.DataFrame) -> dict[str, str | int | float | None]:
    total = float(part["weight"].sum())
    error = None
    if "replicates" in part.columns and part.height and not part["replicates"].null_count():
        error = float(standard_error(total, part["replicates"].to_numpy().sum(axis=0)))
    return {
        "what": what,
        "rows": part.height,
        "total": total,
        "standard_error": error,
        "smallest": min(part["weight"], default=None),
        "largest": max(part["weight"], default=None),
    }
