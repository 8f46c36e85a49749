"""Ages, sexes and sizes of households: of a drawn population, and of the survey behind it."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from lpm.errors import DataError, unknown

from .population import Population
from .sample import Sample
from .tables import require

EDGES = tuple(range(0, 90, 5))
OPEN_SIZE = 7


def drawn_ages(
    population: Population, edges: Sequence[int] = EDGES, *, age: str = "age", sex: str = "sex"
) -> pl.DataFrame:
    """People by sex and band of age: `sex` (text), `from` (the band's first year), `people`.

    Args:
        population: with columns `age` and `sex`.
        edges: first years of the bands; the last is open.
        age: column of ages in years.
        sex: column of sexes.

    Raises:
        DataError: a column is missing, or somebody is younger than the first band.
    """
    _check_columns(population, [age, sex])
    people = population.frame().select(age, sex).with_columns(weight=pl.lit(1.0))
    return _ages(people, edges, age, sex)


def survey_ages(
    sample: Sample, edges: Sequence[int] = EDGES, *, age: str = "age", sex: str = "sex"
) -> pl.DataFrame:
    """The same of everyone in a survey, weighted, in households and in group quarters.

    Raises:
        DataError: as `drawn_ages`.
    """
    parts = []
    for owner, frame in (("persons", sample.persons), ("quarters", sample.quarters)):
        if not frame.is_empty():
            require(frame, owner, [age, sex, "weight"])
            parts.append(frame.select(age, sex, pl.col("weight").cast(pl.Float64)))
    if not parts:
        raise DataError("the sample has no persons and no people in quarters")
    return _ages(pl.concat(parts, how="vertical_relaxed"), edges, age, sex)


def drawn_sizes(population: Population, open_size: int = OPEN_SIZE) -> pl.DataFrame:
    """Households by number of people: `size` (the last is open) and `households`.

    Raises:
        DataError: no column `household_id`, or nobody lives in a household.
    """
    _check_columns(population, ["household_id"])
    home = population.host("household_id")
    if not (home >= 0).any():
        raise DataError("nobody lives in a household: every household_id is -1")
    lived = np.bincount(home[home >= 0])
    return _sizes(lived[lived > 0], np.ones(int((lived > 0).sum())), open_size)


def survey_sizes(sample: Sample, open_size: int = OPEN_SIZE) -> pl.DataFrame:
    """The same of the households of a survey, weighted, by the persons listed in each.

    Raises:
        DataError: no persons are listed.
    """
    require(sample.persons, "persons", ["household_id"])
    listed = sample.persons.group_by("household_id").agg(size=pl.len())
    homes = sample.households.join(listed, on="household_id", how="inner")
    return _sizes(homes["size"].to_numpy(), homes["weight"].cast(pl.Float64).to_numpy(), open_size)


def _ages(people: pl.DataFrame, edges: Sequence[int], age: str, sex: str) -> pl.DataFrame:
    years = people[age].to_numpy()
    if years.min() < edges[0]:
        raise DataError(
            f"{age} = {years.min()} is below the first band, which begins at {edges[0]}"
        )
    band = np.array(edges)[np.searchsorted(np.array(edges), years, side="right") - 1]
    counted = (
        people.select(pl.col(sex).cast(pl.String).alias("sex"), "weight")
        .with_columns(pl.Series("from", band, dtype=pl.Int64))
        .group_by("sex", "from")
        .agg(people=pl.col("weight").sum())
    )
    every = counted.select(pl.col("sex").unique().sort()).join(
        pl.DataFrame({"from": list(edges)}), how="cross"
    )
    both = every.join(counted, on=["sex", "from"], how="left", maintain_order="left")
    return both.with_columns(pl.col("people").fill_null(0.0))


def _sizes(size: np.ndarray, weight: np.ndarray, open_size: int) -> pl.DataFrame:
    counted = np.bincount(np.minimum(size, open_size), weight, minlength=open_size + 1)[1:]
    return pl.DataFrame({"size": np.arange(1, open_size + 1), "households": counted})


def _check_columns(population: Population, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in population]
    if missing:
        raise DataError(unknown("population", "column", missing, population.columns))
