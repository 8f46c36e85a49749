"""Zones, the zones they lie in, and the survey areas whose records they may have."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Int

from lpm.errors import DataError, listing

from ..tables import as_table, require


@final
@dataclass(frozen=True)
class Geography:
    """Zones at several levels.

    Attributes:
        levels: their names, the finest first.
        zones: names of the zones of the finest level.
        inside: per level, the name of the zone in which each finest zone lies.
        areas: survey areas of each finest zone.
        block: which finest zones belong together: they share an area, or a zone of a level.
    """

    levels: tuple[str, ...]
    zones: tuple[str, ...]
    inside: tuple[tuple[str, ...], ...]
    areas: tuple[frozenset[str], ...]
    block: Int[np.ndarray, " finest"]


def read_geography(zones: pl.DataFrame, levels: Collection[str]) -> Geography:
    """Zones from a frame with a column for each level, the finest first, and `area`.

    `area` is text or a list; or a zone has a row for each of its areas. Levels without controls
    are left out, except the finest.

    Raises:
        DataError: a column is missing or has blanks, or a zone lies in two zones of one level.
    """
    frame = as_table(zones, "zones")
    require(frame, "zones", ["area", *levels])
    if isinstance(frame["area"].dtype, pl.List):
        frame = frame.explode("area")
    names = [name for name in frame.columns if name != "area"]
    if not names:
        raise DataError("zones has no column but area; name the zones of each level")
    kept = [name for i, name in enumerate(names) if i == 0 or name in levels]
    frame = frame.select(*kept, "area").cast(pl.String)
    blank = [name for name in frame.columns if frame[name].null_count()]
    if blank:
        raise DataError(f"zones ({frame.height:,} rows) has blanks in {listing(blank)}")
    finest = kept[0]
    grouped = frame.group_by(finest, maintain_order=True).agg(
        *(pl.col(name).unique() for name in kept[1:]), pl.col("area").unique()
    )
    for name in kept[1:]:
        _check_nested(grouped, finest, name)
    inside = [tuple(grouped[finest]), *(tuple(grouped[n].list.first()) for n in kept[1:])]
    areas = tuple(frozenset(found) for found in grouped["area"].to_list())
    ties = [[("area", a) for a in found] for found in areas]
    for row, tie in enumerate(ties):
        tie += [(kept[i], names[row]) for i, names in enumerate(inside)]
    return Geography(tuple(kept), inside[0], tuple(inside), areas, _components(ties))


def _check_nested(grouped: pl.DataFrame, finest: str, level: str) -> None:
    split = grouped.filter(pl.col(level).list.len() > 1)
    if split.height:
        raise DataError(
            f"zones: {finest} {split[finest][0]!r} lies in several zones of {level}, "
            f"{listing(split[level][0])}, and so do {split.height} in all; levels must be nested"
        )


def _components(ties: Sequence[Sequence[tuple[str, str]]]) -> Int[np.ndarray, " finest"]:
    """Number of the group of each row; rows with a tie in common are in one group."""
    root = list(range(len(ties)))

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    holder: dict[tuple[str, str], int] = {}
    for row, tied in enumerate(ties):
        for tie in tied:
            first = holder.setdefault(tie, row)
            low, high = sorted((find(first), find(row)))
            root[high] = low
    return np.unique([find(row) for row in range(len(ties))], return_inverse=True)[1]
