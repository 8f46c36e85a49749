"""The American Community Survey's public files as a sample of households and persons."""

from collections.abc import Sequence
from contextlib import ExitStack

import polars as pl

from lpm.errors import DataError, listing, unknown

from ..sample import Sample
from .checks import check_homes, check_sizes, check_weights, merge_duplicates
from .files import Sources, Table, open_tables
from .records import (
    HOUSING,
    PERSON,
    PLACE,
    Kind,
    check_kind,
    describe_survey,
    read_records,
)
from .vintages import RENAMED, canonical, former, survey_years, with_area

_QUARTERS = ("2", "3")
_KEY = "SERIALNO"


def read_pums(
    households: Sources,
    persons: Sources | None,
    *,
    columns: Sequence[str] | None = None,
    replicates: bool = True,
    duplicates: str = "refuse",
) -> Sample:
    """The sample in a housing and a person file of the ACS PUMS, 1-year or 5-year, 2017 to 2024.

    Files are read as the Census Bureau offers them (csv, zip, gz) or as parquet or frames; of
    several parts, give a list. Only the columns asked for are read. Names, codes and dollars are
    brought to those of one year (`Sample.notes` says how); codes are text of the dictionary's
    width, amounts are in dollars of the last year of the file, blanks are null. Vacant units are
    dropped. Persons without a household but in group quarters are kept apart, with `TYPEHUGQ`
    (2 institutional, 3 other).

    Args:
        columns: variables of either file, by their present names; all but allocation flags where
            None.
        persons: None where there is no person file; then the sample has no persons.
        replicates: whether to read the 80 replicate weights where the file has them.
        duplicates: what to do with a SERIALNO that occurs twice: refuse the file, or merge rows
            that differ in nothing but a weight that was split.

    Raises:
        DataError: the files do not hold what they should; names file, rows, column and value.
    """
    with ExitStack() as stack:
        housing = open_tables(households, stack)
        people = [] if persons is None else open_tables(persons, stack)
        owners = _owners(housing), _owners(people)
        homes, members, notes = _read(housing, people, columns, replicates=replicates)
    homes, members, merged = _merge(homes, members, owners, duplicates)
    homes, placed = with_area(homes, owners[0])
    return _split(homes, members, owners, (*notes, *merged, *placed))


def _read(
    housing: Sequence[Table],
    people: Sequence[Table],
    columns: Sequence[str] | None,
    *,
    replicates: bool,
) -> tuple[pl.DataFrame, pl.DataFrame | None, list[str]]:
    for kind, tables in ((HOUSING, housing), (PERSON, people)):
        for table in tables:
            check_kind(table, kind)
    wanted = None if columns is None else _wanted(columns, [*housing, *people])
    homes, notes = read_records(housing, HOUSING, wanted, replicates=replicates)
    if not people:
        return homes, None, notes
    members, more = read_records(people, PERSON, wanted, replicates=replicates)
    return homes, members, notes + more


def _wanted(columns: Sequence[str], tables: Sequence[Table]) -> set[str]:
    """Present names of the columns asked for, all of them in one of the tables."""
    today = {old: new for old, new, _ in RENAMED}
    wanted = {today.get(name, name) for name in columns}
    found = {name for table in tables for name in canonical(table.columns).values()}
    missing = sorted(wanted - found)
    if missing:
        first = tables[0]
        key = next(source for source, name in canonical(first.columns).items() if name == _KEY)
        years = survey_years(first.collect(pl.col(key).cast(pl.String))[key])
        owner = f"{', '.join(table.count() for table in tables)} of {listing(years)}"
        raise DataError(unknown(owner, "column", [former(name) for name in missing], sorted(found)))
    return wanted


def _merge(
    homes: pl.DataFrame,
    people: pl.DataFrame | None,
    owners: tuple[str, str],
    duplicates: str,
) -> tuple[pl.DataFrame, pl.DataFrame | None, list[str]]:
    homes, notes = merge_duplicates(homes, [_KEY], HOUSING.weight, owners[0], duplicates)
    if people is None:
        return homes, None, notes
    keys = [_KEY, "SPORDER"]
    people, more = merge_duplicates(people, keys, PERSON.weight, owners[1], duplicates)
    check_homes(homes, people, _KEY, owners)
    check_sizes(homes, people, _KEY, "NP", owners)
    return homes, people, notes + more


def _split(
    homes: pl.DataFrame,
    people: pl.DataFrame | None,
    owners: tuple[str, str],
    notes: tuple[str, ...],
) -> Sample:
    """Occupied households, the persons in them, and those in group quarters."""
    more = []
    if "TYPEHUGQ" not in homes.columns:
        more.append(f"{owners[0]}: no TYPEHUGQ; rows with WGTP 0 are taken for group quarters")
        kind = pl.when(pl.col("WGTP") == 0).then(pl.lit("3")).otherwise(pl.lit("1"))
        homes = homes.with_columns(TYPEHUGQ=kind)
    placeholders = homes.filter(pl.col("TYPEHUGQ").is_in(_QUARTERS))
    units = homes.filter(~pl.col("TYPEHUGQ").is_in(_QUARTERS))
    occupied = units.filter(pl.col("NP") > 0)
    more.append(
        f"{owners[0]}: {homes.height:,} rows, of them {occupied.height:,} households, "
        f"{units.height - occupied.height:,} vacant units (dropped) and "
        f"{placeholders.height:,} placeholders of group quarters"
    )
    _check_household_weights(homes, owners[0])
    if people is None:
        more.append(f"{owners[0]}: no person file; persons and group quarters are empty")
        people = pl.DataFrame(schema={_KEY: pl.String, "SPORDER": pl.Int64, "PWGTP": pl.Float64})
    else:
        people, _ = check_weights(people, PERSON.weight, owners[1])
    inside = people.join(occupied.select(_KEY), on=_KEY, how="semi", maintain_order="left")
    where = placeholders.select(_KEY, "area", "TYPEHUGQ")
    quarters = people.join(where, on=_KEY, how="inner", maintain_order="left")
    provenance = (*(o for o in owners if o), describe_survey(homes[_KEY]))
    return Sample(
        _named(occupied, HOUSING),
        _named(inside, PERSON),
        _named(quarters, PERSON),
        (*notes, *more),
        provenance,
    )


def _check_household_weights(homes: pl.DataFrame, owner: str) -> None:
    """Insist on positive weights of households; the others stand for none."""
    counted = ~pl.col("TYPEHUGQ").is_in(_QUARTERS) & (pl.col("NP") > 0)
    weight = pl.when(counted).then(HOUSING.weight).otherwise(1).alias(HOUSING.weight)
    check_weights(homes.with_columns(weight), HOUSING.weight, owner)


def _named(frame: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """The columns of a sample: key, number, area and weight first."""
    names = {_KEY: "household_id", "SPORDER": "person_number", kind.weight: "weight"}
    frame = frame.rename(names, strict=False).with_columns(pl.col("weight").cast(pl.Float64))
    first = [n for n in ("household_id", "person_number", "area", "weight") if n in frame.columns]
    dropped = {"RT", *first} if kind is HOUSING else {*PLACE, *first}
    return frame.select(*first, *(n for n in frame.columns if n not in dropped))


def _owners(tables: Sequence[Table]) -> str:
    names = [table.name for table in tables]
    return names[0] if len(names) == 1 else listing(names) if names else ""
