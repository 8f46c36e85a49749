"""From counts of survey records to people: one row per person, households together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Int, Shaped

from lpm.errors import DataError, listing

from .columns import NONE
from .integers import Counts
from .sample import Sample
from .seeds import Generator
from .tables import require

HOUSEHOLD = "household_id"
NOBODY = "none"
_NARROW = (np.int8, np.int16, np.int32)
# Of a household or person of the survey; a drawn one has others.
_OF_THE_SURVEY = (HOUSEHOLD, "person_number", "weight", "replicates")


@final
@dataclass(frozen=True)
class Roster:
    """The people of a survey as columns, and which of them make up each record.

    Attributes:
        columns: one value per person asked, those of a record together.
        labels: names of the codes of columns that were text.
        first: where a record's people begin.
        size: how many they are; 1 in group quarters.
        households: number of records that are households; the others are people in quarters.
    """

    columns: Mapping[str, Shaped[np.ndarray, " asked"]]
    labels: Mapping[str, tuple[str, ...]]
    first: Int[np.ndarray, " record"]
    size: Int[np.ndarray, " record"]
    households: int


@final
@dataclass(frozen=True)
class Drawn:
    """Who was drawn: people of households first, then those in group quarters.

    Attributes:
        person: whose answers in the roster each one has.
        zone: number of the zone each one lives in.
        household: households numbered in the order of storage; -1 in group quarters.
    """

    person: Int[np.ndarray, " person"]
    zone: Int[np.ndarray, " person"]
    household: Int[np.ndarray, " person"]


def read_roster(sample: Sample, columns: Sequence[str]) -> Roster:
    """The named columns of a survey's people, with those of their households, as compact arrays.

    Whole numbers become int8, int16 or int32, the narrowest that holds them; other numbers float32;
    text becomes codes with labels, a blank the label `none`. In group quarters the columns of
    households hold 0, False or `none`.

    Raises:
        DataError: a column is not there, is of the survey itself, lacks numbers or holds large
            ones, or is in persons and households; a household has nobody in it.
    """
    taken = [name for name in columns if name in _OF_THE_SURVEY]
    if taken:
        raise DataError(f"columns {listing(taken)} are the survey's own; drawn people have others")
    persons, homes = sample.persons, sample.households.with_row_index("record")
    double = [n for n in columns if n in persons.columns and n in homes.columns and n != "area"]
    if double:
        raise DataError(f"columns {listing(double)} are in persons and in households; rename one")
    mine = [n for n in columns if n in persons.columns and n not in homes.columns]
    theirs = [n for n in columns if n not in mine]
    require(homes, "households", theirs)
    people = persons.join(homes.select(HOUSEHOLD, "record", *theirs), on=HOUSEHOLD, how="inner")
    order = [n for n in ("record", "person_number") if n in people.columns]
    people = people.sort(order, maintain_order=True)
    size = np.bincount(people["record"].to_numpy(), minlength=homes.height)
    _check_homes(size, homes)
    outside = _in_quarters(sample.quarters, homes, mine, theirs)
    parts = [people.select(columns)] + ([outside.select(columns)] if outside.height else [])
    people = pl.concat(parts, how="vertical_relaxed")
    found: dict[str, np.ndarray] = {}
    labels: dict[str, tuple[str, ...]] = {}
    for series in people.iter_columns():
        found[series.name], names = compact(series)
        if names:
            labels[series.name] = names
    size = np.concatenate([size, np.ones(outside.height, np.int64)])
    return Roster(found, labels, np.cumsum(size) - size, size, homes.height)


def compact(series: pl.Series) -> tuple[Shaped[np.ndarray, " row"], tuple[str, ...]]:
    """A column in the narrowest type that holds it, and the names of its codes if it was text.

    Raises:
        DataError: numbers that are null, not finite or beyond 32 bits, or neither numbers nor text.
    """
    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        return _encode(series)
    if series.null_count() or (series.dtype.is_float() and not series.is_finite().all()):
        raise DataError(
            f"column {series.name!r} has {series.null_count()} missing values, or some that are "
            "not finite; fill them before drawing, with 0 where a question does not apply"
        )
    if series.dtype == pl.Boolean:
        return series.to_numpy().copy(), ()
    if series.dtype.is_float():
        return series.to_numpy().astype(np.float32), ()
    if not series.dtype.is_integer():
        raise DataError(f"column {series.name!r} is {series.dtype}; give numbers or text")
    return _narrow(series.name, series.to_numpy().astype(np.int64)), ()


def _encode(series: pl.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes in the order of an Enum, else alphabetical; a blank is `none`, the last."""
    text = series.cast(pl.String).fill_null(NOBODY)
    there = text.unique()
    if isinstance(series.dtype, pl.Enum):
        names = series.dtype.categories.to_list()
        names += [NOBODY] if NOBODY not in names and NOBODY in there else []
    else:
        names = sorted(there, key=lambda name: (name == NOBODY, name))
    codes = text.cast(pl.Enum(names)).to_physical().to_numpy()
    return _narrow(series.name, codes.astype(np.int64)), tuple(names)


def draw_persons(roster: Roster, counts: Sequence[Counts], zones: int, rng: Generator) -> Drawn:
    """Households and people in quarters as often as counted, in random order within a zone.

    Args:
        roster: whom there is to draw.
        counts: their zones and records are numbered across all parts.
        zones: number of zones.
        rng: shuffles households, so that equal ones are not neighbours.

    Raises:
        DataError: nobody was drawn.
    """
    zone, record, times = (
        np.concatenate([np.asarray(getattr(part, name)) for part in counts])
        for name in ("zone", "record", "count")
    )
    if times.sum() == 0:
        raise DataError("nobody was drawn: all counts are zero; are the weights?")
    at_home = record < roster.households
    person, where, household = [], [], []
    for part in (at_home, ~at_home):
        records = np.repeat(record[part].astype(np.int32), times[part])
        live_in = np.repeat(zone[part].astype(np.int32), times[part])
        order = rng.permutation(len(records))
        order = order[np.argsort(narrowed(live_in[order], zones), kind="stable")]
        records, live_in = records[order], live_in[order]
        sizes = roster.size[records]
        of = np.repeat(np.arange(len(records), dtype=np.int32), sizes)
        rank = np.arange(len(of)) - (np.cumsum(sizes) - sizes)[of]
        person.append((roster.first[records][of] + rank).astype(np.int32))
        where.append(live_in[of])
        household.append(of)
    household[1] = np.full(len(household[1]), NONE, np.int32)
    return Drawn(*(np.concatenate(each) for each in (person, where, household)))


def narrowed(values: Shaped[np.ndarray, " any"], below: int) -> Shaped[np.ndarray, " any"]:
    """Whole numbers in 16 bits if they fit, which NumPy sorts by counting."""
    return values.astype(np.uint16) if below <= 2**16 else values


def _narrow(name: str, values: np.ndarray) -> np.ndarray:
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    for dtype in _NARROW:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return values.astype(dtype)
    raise DataError(f"column {name!r} holds numbers from {low} to {high}, beyond 32 bits")


def _check_homes(size: np.ndarray, homes: pl.DataFrame) -> None:
    if not size.all():
        row = int(np.argmin(size))
        raise DataError(
            f"{np.count_nonzero(size == 0)} households have no persons, the first household_id = "
            f"{homes[HOUSEHOLD][row]}; drop vacant ones, and keep households in group quarters out"
        )


def _in_quarters(
    quarters: pl.DataFrame, homes: pl.DataFrame, mine: Sequence[str], theirs: Sequence[str]
) -> pl.DataFrame:
    """People in quarters with the columns of households filled in."""
    if quarters.is_empty():
        return quarters
    require(quarters, "quarters", mine)
    filled = [_nothing(homes[name]).alias(name) for name in theirs if name not in quarters.columns]
    return quarters.with_columns(filled)


def _nothing(series: pl.Series) -> pl.Expr:
    if series.dtype == pl.Boolean:
        return pl.lit(value=False)
    return pl.lit(0, series.dtype) if series.dtype.is_numeric() else pl.lit(NOBODY)
