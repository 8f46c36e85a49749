"""Rows of PUMS files, of either kind, with today's names and types."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import final

import polars as pl

from lpm.errors import DataError, listing

from .dictionary import variables
from .files import Table
from .replicates import gather, replicate_names
from .vintages import (
    FACTORS,
    PUMAS,
    canonical,
    former,
    in_one_years_dollars,
    recode,
    survey_years,
    typed,
)

PLACE = ("RT", "DIVISION", "REGION", "STATE", "PUMA", *PUMAS)
# Codes that were the same from 2017 to 2024: anything else in them is a damaged or foreign file.
_FIXED = (
    *("TYPEHUGQ", "SEX", "TEN", "BLD", "VEH", "HHT", "RAC1P", "HISP", "SCHL", "ESR", "MAR", "CIT"),
    *("COW", "NATIVITY", "DIS", "HICOV", "SCH", "MIG", "MIL"),
)


@final
@dataclass(frozen=True)
class Kind:
    """One of the two files of a survey.

    Attributes:
        name: housing or person.
        weight: its weight; those of its replicates are numbered after it.
        keys: columns it must have.
        carried: columns read along where there.
        dropped: columns left to the other file.
    """

    name: str
    weight: str
    keys: tuple[str, ...]
    carried: tuple[str, ...]
    dropped: tuple[str, ...] = ()


HOUSING = Kind(
    "housing",
    "WGTP",
    ("SERIALNO", "WGTP", "NP", "STATE"),
    ("TYPEHUGQ", "PUMA", *PUMAS, "ADJINC", "ADJHSG"),
)
PERSON = Kind("person", "PWGTP", ("SERIALNO", "SPORDER", "PWGTP"), ("ADJINC",), PLACE)
_OTHER = {"housing": PERSON, "person": HOUSING}


def check_kind(table: Table, kind: Kind) -> None:
    """Insist that a table is a file of this kind.

    Raises:
        DataError: it is the other file, or lacks a column that every file of the kind has.
    """
    names = set(canonical(table.columns).values())
    other = _OTHER[kind.name]
    if kind.weight not in names and other.weight in names:
        raise DataError(
            f"{table.count()} was given as {kind.name} file but is the {other.name} file: it has "
            f"{listing(n for n in other.keys if n in names)} and no {kind.weight}; swap the two"
        )
    missing = [name for name in kind.keys if name not in names]
    if kind is HOUSING and not names & {"PUMA", *PUMAS}:
        missing.append("PUMA")
    if missing:
        raise DataError(
            f"{table.count()} has no column {listing(map(former, missing))}; "
            f"it has {listing(table.columns)}"
        )


def read_records(
    tables: Sequence[Table], kind: Kind, wanted: Collection[str] | None, *, replicates: bool
) -> tuple[pl.DataFrame, list[str]]:
    """Rows of all tables below each other, and what was done to them.

    Raises:
        DataError: a value is no number, or no code of its variable.
    """
    notes = [table.note for table in tables if table.note]
    frames, renamed = [], {}
    for table in tables:
        titles = canonical(table.columns)
        chosen = _choose(titles, kind, wanted)
        frames.append(_read(table, chosen, kind, titles, replicates=replicates))
        renamed |= {s.upper(): n for s, n in chosen.items() if s.upper() != n}
    owner = ", ".join(table.name for table in tables)
    frame = pl.concat(frames, how="diagonal_relaxed")
    partial = sorted({n for n in frame.columns if any(n not in f.columns for f in frames)})
    if partial:
        notes.append(f"{owner}: {listing(partial)} are not in every file and null in the others")
    frame, recoded = recode(frame, renamed)
    frame, adjusted = in_one_years_dollars(frame, owner)
    notes += [f"{owner}: {note}" for note in recoded] + adjusted
    return frame, notes + _check_codes(frame, owner)


def _choose(titles: dict[str, str], kind: Kind, wanted: Collection[str] | None) -> dict[str, str]:
    """Source and name of the columns to read; allocation flags only where asked for."""
    known = variables()
    chosen = {}
    repeated = set(replicate_names(kind.weight))
    for source, name in titles.items():
        flag = name in known and known[name].kind == "flag"
        asked = not flag if wanted is None else name in wanted
        carried = name in kind.keys or name in kind.carried
        if (carried or asked) and name not in kind.dropped and name not in repeated:
            chosen[source] = name
    return {source: name for source, name in chosen.items() if source}


def _read(
    table: Table, chosen: dict[str, str], kind: Kind, titles: dict[str, str], *, replicates: bool
) -> pl.DataFrame:
    like = pl.DataFrame(schema=table.scan.collect_schema())
    columns = [typed(source, name, like) for source, name in chosen.items()]
    gathered = gather(titles, kind.weight, table.name) if replicates else None
    if gathered is not None:
        columns.append(gathered)
    try:
        return table.scan.select(columns).collect(engine="streaming")
    except pl.exceptions.InvalidOperationError as error:
        raise _no_number(table, chosen, error) from error
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{table.name} cannot be read: {str(error).splitlines()[0]}") from error


def _no_number(table: Table, chosen: dict[str, str], error: Exception) -> DataError:
    """The first value that is no number."""
    schema, known = table.scan.collect_schema(), variables()
    for source, name in chosen.items():
        number = name in FACTORS or (name in known and known[name].kind == "number")
        if schema[source] != pl.String or not number:
            continue
        text = table.collect(pl.col(source).str.strip_chars().alias("text"))["text"]
        wrong = text.cast(pl.Int64, strict=False).is_null() & (text.fill_null("") != "")
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            return DataError(
                f"{table.name} ({text.len():,} rows): column {source} is {text[row]!r} in row "
                f"{row} and no number in {wrong.sum()} rows; {name} holds whole numbers or blanks"
            )
    return DataError(f"{table.name} cannot be read: {str(error).splitlines()[0]}")


def _check_codes(frame: pl.DataFrame, owner: str) -> list[str]:
    """Notes on codes the dictionary of 2023 does not list; an error where codes never changed."""
    notes = []
    for name in frame.columns:
        variable = variables().get(name)
        if variable is None or not variable.codes or name in ("STATE", "PUMA"):
            continue
        strange = [c for c in frame[name].drop_nulls().unique().sort() if not variable.allows(c)]
        if not strange:
            continue
        where = frame[name].is_in(strange).fill_null(value=False)
        row = int(where.to_numpy().argmax())
        message = (
            f"{owner} ({frame.height:,} rows): column {name} is {frame[name][row]!r} in row {row}, "
            f"one of the unknown codes {listing(strange)} in {where.sum()} rows; the dictionary of "
            f"2023 has {variable.codes}"
        )
        if name in _FIXED:
            raise DataError(message)
        notes.append(message)
    return notes


def describe_survey(serials: pl.Series) -> str:
    """Survey and years, as serial numbers tell them."""
    years = survey_years(serials)
    span = years[0] if len(years) == 1 else f"{years[0]}-{years[-1]}"
    return f"ACS PUMS {span}, {len(years)}-year" if years[0].isdigit() else "ACS PUMS"
