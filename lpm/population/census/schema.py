"""What the files of any household survey hold, declared in Python or in TOML.

```toml
name = "Survey of the Isles 2021"
quarters = "kind = 'hostel'"      # SQL over the household file; leave out where there are none

[households]
files = "homes.csv"               # or a list of parts; csv, parquet, gz or zip
key = "home"
weight = "w"
area = ["island", "parish"]       # or one column; leave out where all records are for all zones
size = "people"                   # checked against the persons; 0 is vacant
duplicates = "merge"              # or refuse (the default); zero_weights = "drop" or refuse
replicates = {columns = "w_{}", method = "jackknife"}

[households.columns]              # leave out to keep everything as it is
people = "number"
rent = {kind = "number", source = "rent_month", unit = "pounds"}
tenure = {kind = "code", labels = {1 = "owns", 2 = "rents"}}

[persons]                         # leave out where there are none
files = ["people_1.csv", "people_2.csv"]
key = "home"
number = "line"
weight = "w"                      # orphans = "drop" leaves out persons without household
```
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from lpm.errors import DataError, listing, unknown

from .files import Sources

_KINDS = ("number", "code", "text")
_CHOICES = {
    "duplicates": ("refuse", "merge"),
    "zero_weights": ("refuse", "drop"),
    "orphans": ("refuse", "drop"),
}


@final
@dataclass(frozen=True)
class Column:
    """A column to keep.

    Attributes:
        kind: number, code (text) or text.
        source: its name in the file, where another.
        unit: of a number, such as US$.
        labels: names of its codes. Where given, the column holds the names, and other codes are
            errors.
    """

    kind: str = "text"
    source: str = ""
    unit: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Replicates:
    """Replicate weights of a survey.

    Attributes:
        columns: their names, with `{}` for the number, such as `WGTP{}`.
        method: successive differences, bootstrap, jackknife or balanced.
        fay: of `balanced`: how much weight the lighter half keeps.
    """

    columns: str
    method: str
    fay: float | int = 0.0


@final
@dataclass(frozen=True)
class SurveyFile:
    """One file of a survey, of households or of persons.

    Attributes:
        files: where it is; several parts are put below each other.
        key: column that names the household.
        weight: column of weights. Households without one stand for one each, persons have that
            of their household.
        number: of persons, column of their number in the household; their order where empty.
        area: of households, columns that together name the part of the country.
        size: of households, column with the number of persons; checked, and 0 is vacant.
        replicates: replicate weights, if any.
        columns: what to keep, by the name it gets; everything as it is where empty.
        duplicates: refuse or merge rows with one key (see `read_pums`).
        zero_weights: refuse or drop rows with weight 0.
        orphans: refuse or drop persons without a household.
    """

    files: Sources
    key: str
    weight: str = ""
    number: str = ""
    area: tuple[str, ...] = ()
    size: str = ""
    replicates: Replicates | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    duplicates: str = "refuse"
    zero_weights: str = "refuse"
    orphans: str = "refuse"


@final
@dataclass(frozen=True)
class SurveySchema:
    """A survey.

    Attributes:
        name: survey and year.
        households: its households.
        persons: its persons, if there are any.
        quarters: SQL over the columns of the household file that marks placeholders of group
            quarters, such as `TYPE IN ('2', '3')`.
    """

    name: str
    households: SurveyFile
    persons: SurveyFile | None = None
    quarters: str = ""


def read_schema(path: str | Path) -> SurveySchema:
    """A schema from TOML; its files are named relative to it.

    Keys are the fields of `SurveySchema`, `SurveyFile`, `Column` and `Replicates`; the top of this
    module shows them.

    Raises:
        DataError: the file is no TOML, or has other keys than a schema.
    """
    path = Path(path)
    table = read_toml(path)
    _known(table, ("name", "households", "persons", "quarters"), str(path.name))
    if "households" not in table:
        raise DataError(f"{path.name} has no table [households]; it has {listing(table)}")
    persons = table.get("persons")
    return SurveySchema(
        table.get("name", path.stem),
        _survey_file(table["households"], path, "households"),
        None if persons is None else _survey_file(persons, path, "persons"),
        table.get("quarters", ""),
    )


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        DataError: it is not there, or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is no TOML: {error}") from error


def _survey_file(table: Mapping[str, Any], path: Path, part: str) -> SurveyFile:
    owner = f"{path.name} [{part}]"
    known = tuple(SurveyFile.__dataclass_fields__)
    _known(table, known, owner)
    if missing := [name for name in ("files", "key") if name not in table]:
        raise DataError(f"{owner} does not say {listing(missing)}; every file has them")
    for name, choices in _CHOICES.items():
        if table.get(name, choices[0]) not in choices:
            raise DataError(f"{owner} {name} is {table[name]!r}; it is one of {listing(choices)}")
    names = [table["files"]] if isinstance(table["files"], str) else table["files"]
    area = table.get("area", [])
    declared = {
        **table,
        "files": [path.parent / name for name in names],
        "area": (area,) if isinstance(area, str) else tuple(area),
        "columns": {n: _column(c, f"{owner} {n}") for n, c in table.get("columns", {}).items()},
    }
    file = SurveyFile(**{**declared, "replicates": None})
    if "replicates" not in table:
        return file
    _known(table["replicates"], ("columns", "method", "fay"), f"{owner} replicates")
    return replace(file, replicates=Replicates(**table["replicates"]))


def _column(given: str | Mapping[str, Any], owner: str) -> Column:
    table: dict[str, Any] = {"kind": given} if isinstance(given, str) else dict(given)
    _known(table, tuple(Column.__dataclass_fields__), owner)
    column = Column(**table)
    if column.kind not in _KINDS:
        raise DataError(f"{owner} is of kind {column.kind!r}; it is one of {listing(_KINDS)}")
    return column


def _known(table: Mapping[str, Any], known: tuple[str, ...], owner: str) -> None:
    wrong = [name for name in table if name not in known]
    if wrong:
        raise DataError(unknown(owner, "key", wrong, known))
