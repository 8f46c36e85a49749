"""Workers with census wages and hours: drawn from shipped tables, or taken from survey records."""

from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError, listing

from .offers import AGES as AGES, chances, offers
from .population import Population
from .seeds import Generator, generator

SEXES = ("male", "female")
EDUCATION = ("no diploma", "diploma", "bachelor", "graduate")
OCCUPATIONS = (
    "management, science and arts",
    "service",
    "sales and office",
    "construction and maintenance",
    "production and transport",
)
BANDS_OF_HOURS = (1, 20, 35, 40, 41, 50)  # first usual weekly hour of each band
QUANTILES = (0.005, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
PARTS = 10  # of the people in a band of hours, by how long they work
CELL_OF_WORK = ("sex", "education", "occupation")
FOLDER = files("lpm.population") / "data" / "workers"
_OLDEST = 79
_PROVENANCE = (
    "Workers of New York State: lpm/population/data/workers/README.md",
    "U.S. Census Bureau, ACS PUMS 2024 1-year; public domain",
)
_NEEDED = ("weight", "age", "sex", "education", "hours", "weeks", "wage")


def workers(
    size: int = 100_000,
    *,
    seed: int = 0,
    capacity: int | None = None,
    only_working: bool = False,
) -> Population:
    """People of 16 and over with the wages and hours of New York State in 2024, made up.

    Sex, age band, education and whether one works are jointly as in the survey, by systematic
    sampling; occupation and hours given sex and education; hourly wages by sex, education and
    occupation, times a factor of age and one of hours within the education. Annual wages above the
    limit from which the survey files only their mean follow a Pareto law with that mean.

    Columns:
        age: years; sex: 0 male, 1 female.
        education: 0 no diploma, 1 diploma, 2 bachelor, 3 graduate.
        occupation: 0 to 4, named in `labels`, -1 for those who do not work.
        hours: usual hours a week; weeks: worked a year; both 0 for those who do not work.
        wage: USD an hour; earnings: USD a year, hours times weeks times wage.
        weight: people whom a row stands for.
        could_earn, could_work: USD and hours a year; for who does not work, those of a worker of
            the same sex and education, at the wages of the own age.
        chance: share who work among people of the same sex, age band and education.
        luck: even in (0, 1), for what differs between people alike.

    Args:
        size: rows.
        seed: of the draws.
        capacity: rows to make room for.
        only_working: leave out those without wages.

    Raises:
        DataError: a size below 1.
    """
    if size < 1:
        raise DataError(f"size = {size}; give at least one person")
    draws = generator(seed)
    cells = _table("people")
    people = cells["people"].to_numpy().astype(float)
    working = cells["working"].to_numpy()
    kinds = np.stack([people * working, people * (0 if only_working else 1 - working)], 1).ravel()
    # Systematic: every kind comes out as often as it should, to within one.
    points = (np.arange(size) + draws.random()) / size
    kind = np.searchsorted(np.cumsum(kinds) / kinds.sum(), points, side="right")
    kind = draws.permutation(np.minimum(kind, len(kinds) - 1))
    cell, works = kind // 2, kind % 2 == 0
    sex, band, education = (cells[n].to_numpy()[cell] for n in ("sex", "band", "education"))
    ends = np.append(AGES[1:], _OLDEST + 1)
    start = np.asarray(AGES)[band]
    age = start + np.floor(draws.random(size) * (ends[band] - start))
    columns = {"age": age, "sex": sex, "education": education, "band": band}
    labels = {"sex": SEXES, "education": EDUCATION, "occupation": OCCUPATIONS}
    columns = _with_work(columns, works, draws) | {"weight": np.full(size, kinds.sum() / size)}
    more = {"chance": chances(columns), "luck": _luck(size, draws)}
    return Population(columns | more, labels=labels, capacity=capacity, provenance=_PROVENANCE)


def workers_from(
    records: pl.DataFrame, *, ages: tuple[int, int] = (16, 120), seed: int = 0
) -> Population:
    """Workers as a frame of survey records has them, one row each, weights kept.

    Columns as `workers` has them. Who does not work could earn what a worker does who is drawn from
    the same sex, age band and education, or else education, or all: such records tell nothing about
    wages that are turned down.

    Args:
        records: columns weight, age, sex (0 or 1), education (0 to 3), hours (a week), weeks (a
            year) and wage (per hour); 0 hours for those who do not work. More columns go along,
            such as replicate weights for `reweighted`.
        ages: youngest and oldest to keep.
        seed: of the draws.

    Raises:
        DataError: a column is missing, or a value is: names column, row and what would be right;
            or nobody works.
    """
    missing = [name for name in _NEEDED if name not in records.columns]
    if missing:
        raise DataError(f"records have no column {listing(missing)}; there is {records.columns}")
    kept = records.filter(pl.col("age").is_between(*ages))
    for name in _NEEDED:
        values = kept[name].cast(pl.Float64)
        bad = (values.is_null() | ~values.is_finite() | (values < 0)).arg_true()
        if len(bad):
            raise DataError(f"{name} of row {bad[0]} is {kept[name][bad[0]]}; give 0 or more")
    if not kept["weight"].sum() > 0:
        raise DataError("the weights of the records sum to 0; nobody would be left")
    time = pl.col("hours") * pl.col("weeks")
    kept = kept.with_columns(earnings=time * pl.col("wage"))
    columns = {name: kept[name].to_numpy() for name in kept.columns}
    draws = generator(seed)
    earn, work = offers(columns, draws)
    more = {"could_earn": earn, "could_work": work, "chance": chances(columns)}
    luck = {"luck": _luck(len(kept), draws)}
    return Population(columns | more | luck, provenance=(f"{len(kept)} survey records",))


def reweighted(people: Population, weight: str) -> Population:
    """The same people with another column of theirs for `weight`, such as a replicate weight.

    What they could earn and their luck stay, so that runs differ by the weights alone; `chance` is
    that of the new weights. Weights below 0, which some replicates have, count as 0: the spread of
    what comes out is a little too small for it.

    Raises:
        DataError: no such column, or nobody has a weight above 0.
    """
    columns = {name: people.host(name) for name in people.columns}
    columns["weight"] = np.maximum(people.host(weight), 0)
    if not columns["weight"].sum() > 0:
        raise DataError(f"{weight} is above 0 for nobody; give weights of these people")
    columns["chance"] = chances(columns)
    return Population(
        columns,
        capacity=people.capacity,
        slot=np.asarray(people.slot)[: people.size],
        labels=people.labels,
        provenance=(*people.provenance, f"weights {weight}"),
    )


def _with_work(
    columns: dict[str, np.ndarray], works: np.ndarray, draws: Generator
) -> dict[str, np.ndarray]:
    """The columns with occupation, hours, weeks, wage and earnings."""
    sex, education = columns["sex"], columns["education"]
    size = len(sex)
    by_education = sex * len(EDUCATION) + education
    occupation = _pick(_cube("occupations", "share", len(OCCUPATIONS))[by_education], draws)
    cell = by_education * len(OCCUPATIONS) + occupation
    band = _pick(_cube("hours", "share", len(BANDS_OF_HOURS))[cell], draws)
    part = (draws.random((2, size)) * PARTS).astype(int)
    hours, weeks = (
        _cube("time", name, PARTS)[band, at]
        for name, at in zip(("usual", "weeks"), part, strict=True)
    )
    by_age = _cube("wage_by_age", "factor", len(AGES))[education, columns.pop("band")]
    by_hours = _cube("wage_by_hours", "factor", len(BANDS_OF_HOURS))[education, band]
    quantiles = _table("wages").drop(CELL_OF_WORK).to_numpy()
    wage = _between(quantiles[cell], draws.random(size)) * by_age * by_hours
    wage = _with_tail(wage, hours * weeks, draws)
    time = hours * weeks
    work = {"hours": hours, "weeks": weeks, "wage": wage, "earnings": time * wage}
    return (
        columns
        | {"occupation": np.where(works, occupation, -1)}
        | {name: np.where(works, values, 0.0) for name, values in work.items()}
        | {"could_earn": time * wage, "could_work": time}
    )


def _with_tail(
    wage: Float[np.ndarray, " person"], time: Float[np.ndarray, " person"], draws: Generator
) -> Float[np.ndarray, " person"]:
    """Wages whose annual sum lies above the tail's start, drawn again from its Pareto law."""
    start, alpha = (float(_table("tail")[name][0]) for name in ("above", "alpha"))
    drawn = start * (1 - draws.random(len(wage))) ** (-1 / alpha)
    return np.where(wage * time > start, drawn / time, wage)


def _luck(size: int, draws: Generator) -> Float[np.ndarray, " person"]:
    """Even in (0, 1), away from the ends so that float32 tells it from them."""
    return 1e-3 + (1 - 2e-3) * draws.random(size)


def _between(
    rows: Float[np.ndarray, "person quantile"], share: Float[np.ndarray, " person"]
) -> Float[np.ndarray, " person"]:
    """The quantile at `share` of each row, straight in logarithms between those given."""
    given = np.asarray(QUANTILES)
    upper = np.clip(np.searchsorted(given, share), 1, len(given) - 1)
    people = np.arange(len(share))
    low, high = given[upper - 1], given[upper]
    part = np.clip((share - low) / (high - low), 0, 1)
    logs = np.log(rows)
    return np.exp((1 - part) * logs[people, upper - 1] + part * logs[people, upper])


def _pick(shares: Float[np.ndarray, "person code"], draws: Generator) -> Int[np.ndarray, " person"]:
    """One code per row, by its shares."""
    edges = np.cumsum(shares, axis=1)
    point = draws.random(len(shares)) * edges[:, -1]
    return np.minimum((point[:, None] >= edges).sum(axis=1), shares.shape[1] - 1)


@cache
def _table(name: str) -> pl.DataFrame:
    return pl.read_csv((FOLDER / f"{name}.csv").read_bytes())


@cache
def _cube(name: str, column: str, codes: int) -> Float[np.ndarray, "cell code"]:
    """A column of a sorted table as [cell, code]."""
    return _table(name)[column].to_numpy().reshape(-1, codes)
