"""A recipe: from which files, by which controls and with which places a population is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import polars as pl

from lpm.errors import DataError, listing, unknown

from .census.control_file import read_controls
from .census.controls import Control
from .census.schema import read_toml

_SECTIONS = ("name", "survey", "tables", "zones", "controls", "columns", "fit", "draw", "places")
_NEEDED = ("survey", "tables", "zones", "controls", "columns")
_SURVEY = ("households", "persons", "schema", "duplicates")
_TABLE = ("acs", "long", "wide")
_FIT = ("slack", "smallest", "largest")
_DRAW = ("rounding", "quarters_by", "zone_as", "age")
_PLACES = ("employed", "works_from_home", "enrolled", "flows", "friends")
ROUNDINGS = ("truncate", "controlled")
SHIPPED = Path(__file__).parent / "recipes"


@final
@dataclass(frozen=True)
class Recipe:
    """What `read_recipe` found, with every path settled.

    Attributes:
        path: the file it was read from.
        name: of the place.
        survey: `households` and `persons` (official PUMS files) or `schema`, and `duplicates`.
        tables: kind (acs, long or wide) and file of the totals; of each level, or under "" of all.
        zones: zones, a column for each level and `area`; further columns are of no level.
        controls: what zones have to meet.
        columns: columns of the drawn people by name, as SQL over persons and their households.
        fit: `slack` (a number, or "errors" for the one the errors imply), `smallest` and `largest`
            factor on a design weight.
        draw: `rounding`, `quarters_by`, `zone_as` (a column of zones that people get, or a new name
            for the zone itself), `age`.
        places: columns `employed`, `works_from_home`, `enrolled`; `flows` (file); `friends` (mean
            number); empty where people are given no places.
    """

    path: Path
    name: str
    survey: Mapping[str, Any]
    tables: Mapping[str, tuple[str, Path]]
    zones: pl.DataFrame
    controls: Sequence[Control]
    columns: Mapping[str, str] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    draw: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slack(self) -> float | None:
        """Factor on the standard errors; `None` for the one that they imply themselves."""
        given = self.fit.get("slack", 1.0)
        return None if given == "errors" else float(given)

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest factor on a design weight."""
        return float(self.fit.get("smallest", 0)), float(self.fit.get("largest", float("inf")))


def find_recipe(name: str | Path) -> Path:
    """Path of a recipe: a TOML file, or the name of one that comes with lpm.

    Raises:
        DataError: neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = {p.parent.name: p for p in SHIPPED.glob("*/recipe.toml")}
    if str(name) in shipped:
        return shipped[str(name)]
    raise DataError(
        f"there is no file {name}, and no recipe of that name; those that come with lpm are "
        f"{listing(sorted(shipped))}"
    )


def read_recipe(path: str | Path, data: str | Path | None = None) -> Recipe:
    """The recipe in a TOML file; files it names are looked for in `data`, then beside it.

    ```toml
    name = "Somewhere"
    controls = "controls.toml"        # see lpm.population.census.read_controls
    zones = "zones.csv"               # a column for each level, the finest first, and area

    [survey]                          # official ACS PUMS files, or schema = "survey.toml"
    households = "csv_hvt.zip"
    persons = "csv_pvt.zip"

    [tables]                          # for all levels, or [tables.tract], [tables.county], ...
    acs = "acs"                       # a folder of tables as downloaded; or long = , wide = FILE

    [columns]                         # of the people drawn: SQL over persons and their households
    age = "AGEP"
    employed = "ESR IN ('1', '2', '4', '5')"

    [fit]                             # optional
    slack = "errors"                  # or a factor on all standard errors

    [draw]                            # optional
    rounding = "controlled"           # or "truncate"

    [places]                          # optional
    employed = "employed"
    ```

    Raises:
        DataError: the file is no recipe, or a file it names is not there.
    """
    path = Path(path)
    table = read_toml(path)
    _known(table, _SECTIONS, path.name)
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise DataError(f"{path.name} does not say {listing(missing)}")
    finder = _Finder(path, None if data is None else Path(data))
    places = _section(table, "places", _PLACES, path.name)
    if "flows" in places:
        places = places | {"flows": finder.find(places["flows"], "[places] flows")}
    recipe = Recipe(
        path=path,
        name=str(table.get("name", path.stem)),
        survey=_survey(table, finder),
        tables=_tables(table["tables"], finder),
        zones=_zones(finder.find(table["zones"], "zones")),
        controls=read_controls(finder.find(table["controls"], "controls")),
        columns=_section(table, "columns", None, path.name),
        fit=_section(table, "fit", _FIT, path.name),
        draw=_section(table, "draw", _DRAW, path.name),
        places=places,
    )
    _check(recipe)
    return recipe


@dataclass(frozen=True)
class _Finder:
    """Finds what a recipe names: in the folder of data first, then beside the recipe."""

    path: Path
    data: Path | None

    def find(self, name: Any, key: str) -> Path:
        tries = [folder / str(name) for folder in (self.data, self.path.parent) if folder]
        for each in tries:
            if each.exists():
                return each
        raise DataError(
            f"{self.path.name}: {key} names {name}, but there is neither "
            f"{' nor '.join(map(str, tries))}; put it there, or say where it is with --data"
        )


def _survey(table: Mapping[str, Any], finder: _Finder) -> dict[str, Any]:
    survey = _section(table, "survey", _SURVEY, finder.path.name)
    if ("schema" in survey) == ("households" in survey):
        raise DataError(
            f"{finder.path.name} [survey] needs either households (PUMS files) or schema"
        )
    for key in ("households", "persons", "schema"):
        if key in survey:
            names = survey[key] if isinstance(survey[key], list) else [survey[key]]
            survey[key] = [finder.find(name, f"[survey] {key}") for name in names]
    return survey


def _tables(tables: Any, finder: _Finder) -> dict[str, tuple[str, Path]]:
    owner = f"{finder.path.name} [tables]"
    if not isinstance(tables, Mapping) or not tables:
        raise DataError(f"{owner} must name a file as one of {listing(_TABLE)}")
    levels = {"": tables} if set(tables) <= set(_TABLE) else tables
    found = {}
    for level, given in levels.items():
        if not isinstance(given, Mapping) or len(given) != 1 or not set(given) <= set(_TABLE):
            raise DataError(f"{owner} {level} must name one file as one of {listing(_TABLE)}")
        ((kind, name),) = given.items()
        found[level] = (kind, finder.find(name, f"[tables] {level} {kind}"))
    return found


def _zones(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as zones: {error}") from error


def _section(
    table: Mapping[str, Any], name: str, known: Sequence[str] | None, owner: str
) -> dict[str, Any]:
    section = table.get(name, {})
    if not isinstance(section, Mapping):
        raise DataError(f"{owner}: {name} is a section, [{name}], not {section!r}")
    if known is not None:
        _known(section, known, f"{owner} [{name}]")
    return dict(section)


def _check(recipe: Recipe) -> None:
    """Refuse values that only show when hours have passed."""
    owner = recipe.path.name
    rounding = recipe.draw.get("rounding", ROUNDINGS[0])
    if rounding not in ROUNDINGS:
        raise DataError(f"{owner} [draw] rounding is {rounding!r}; say {' or '.join(ROUNDINGS)}")
    slack = recipe.fit.get("slack", 1.0)
    if slack != "errors" and not (_is_number(slack) and slack > 0):
        raise DataError(f'{owner} [fit] slack is {slack!r}; give a number above 0, or "errors"')
    low, high = recipe.fit.get("smallest", 0), recipe.fit.get("largest", float("inf"))
    if not (_is_number(low) and _is_number(high) and 0 <= low < high):
        raise DataError(
            f"{owner} [fit] smallest is {low!r} and largest {high!r}; give two numbers of 0 "
            "or more, the smaller first"
        )
    _check_names(recipe, owner)
    used = {
        f"[places] {key}": recipe.places[key]
        for key in ("employed", "works_from_home", "enrolled")
        if key in recipe.places
    }
    used["[draw] age"] = recipe.draw.get("age", "age")
    for key, column in used.items():
        if column not in recipe.columns:
            raise DataError(unknown(f"{owner} {key}", "column", [column], recipe.columns))
    if recipe.places and "employed" not in recipe.places:
        raise DataError(f"{owner} [places] does not say employed, the column of who works")
    friends = recipe.places.get("friends", 1)
    if not (_is_number(friends) and friends >= 0):
        raise DataError(
            f"{owner} [places] friends is {friends!r}; give a number above 0, or leave it out"
        )


def _check_names(recipe: Recipe, owner: str) -> None:
    for name, text in recipe.columns.items():
        if not isinstance(text, str):
            raise DataError(f"{owner} [columns] {name} is {text!r}; give SQL as text")
    zone_as, sorts = recipe.draw.get("zone_as", ""), recipe.draw.get("quarters_by", [])
    if not isinstance(zone_as, str):
        raise DataError(f"{owner} [draw] zone_as is {zone_as!r}; give a name for the column")
    if zone_as in recipe.columns:
        raise DataError(f"{owner} [draw] zone_as is {zone_as!r}, which is one of [columns]")
    if not isinstance(sorts, list) or not all(isinstance(name, str) for name in sorts):
        raise DataError(f"{owner} [draw] quarters_by is {sorts!r}; give a list of columns")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(table: Mapping[str, Any], known: Sequence[str], owner: str) -> None:
    wrong = [name for name in table if name not in known]
    if wrong:
        raise DataError(unknown(owner, "key", wrong, known))
