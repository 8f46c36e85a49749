"""How well a synthetic New York meets what is published of the real one."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError, unknown

from .ages import BANDS, SEXES
from .population import Population
from .shipped import BOROUGHS, OPEN_SIZE, read_table

_NEEDED = ("age", "sex", "borough", "household_id", "in_group_quarters", "employed")


def fit_report(population: Population) -> pl.DataFrame:
    """Published and synthetic shares, cell by cell, of a population like `new_york`.

    Columns: `table`, `borough`, `cell`, `published` and `synthetic` (shares of the table's people
    or households in that borough), `difference`, `z` (the difference in standard errors of a
    simple random sample of that many), `count` (their number) and `fitted` (whether the synthesis
    was given the table). A city drawn from the tables has z of about one or less where `fitted`.

    Raises:
        DataError: the population lacks a column of `new_york`.
    """
    missing = [name for name in _NEEDED if name not in population]
    if missing:
        raise DataError(unknown("population", "column", missing, population.columns))
    people = population.frame().with_columns(
        borough=pl.Series(np.asarray(population["borough"])[: population.size]),
        sex=pl.Series(np.asarray(population["sex"])[: population.size]),
    )
    boroughs = read_table("boroughs")
    parts = [
        _compare(
            "borough",
            "New York City",
            BOROUGHS,
            boroughs["people"].to_numpy(),
            _count(people, "borough", len(BOROUGHS)),
        )
    ]
    for borough, facts in enumerate(boroughs.rows(named=True)):
        here = people.filter(pl.col("borough") == borough)
        parts += _tables(borough, facts["name"], facts, here)
    return pl.concat(parts)


def _tables(borough: int, name: str, facts: dict, people: pl.DataFrame) -> list[pl.DataFrame]:
    age_sex = read_table("age_sex").filter(pl.col("borough") == borough)
    by_age = age_sex.group_by("age_from", maintain_order=True).agg(pl.col("people").sum())
    by_sex = age_sex.group_by("sex", maintain_order=True).agg(pl.col("people").sum())
    band = np.digitize(people["age"].to_numpy(), BANDS) - 1
    ages = [f"{a}-{b - 1}" for a, b in pairwise(BANDS)] + [f"{BANDS[-1]}+"]
    sizes = read_table("household_sizes").filter(pl.col("borough") == borough)
    lived = people.filter(pl.col("household_id") >= 0).group_by("household_id").len()["len"]
    homes = np.bincount(np.minimum(lived.to_numpy(), OPEN_SIZE), minlength=OPEN_SIZE + 1)[1:]
    size_names = [*map(str, range(1, OPEN_SIZE)), f"{OPEN_SIZE}+"]
    quarters = facts["quarters"]
    grown = people.filter(pl.col("age") >= 16)
    working = facts["employed"] / facts["people_16"]
    older = people["age"] >= facts["median_age"]
    return [
        _compare("age", name, ages, by_age["people"].to_numpy(), np.bincount(band)),
        _compare("sex", name, SEXES, by_sex["people"].to_numpy(), _count(people, "sex", 2)),
        _compare("household size", name, size_names, sizes["households"].to_numpy(), homes),
        _compare(
            "dwelling", name, ("household", "group quarters"), np.array([1 - quarters, quarters]),
            _yes(people["in_group_quarters"]),
        ),
        _compare(
            "employed, 16 and over (ACS 5-year)", name, ("no", "yes"),
            np.array([1 - working, working]), _yes(grown["employed"]), fitted=False,
        ),
        _compare(
            "median age (ACS 5-year)", name, ("below", "above"), np.array([0.5, 0.5]),
            _yes(older), fitted=False,
        ),
    ]  # fmt: skip


def _compare(
    table: str,
    borough: str,
    cells: Sequence[str],
    published: Float[np.ndarray, " cell"] | Int[np.ndarray, " cell"],
    counts: Int[np.ndarray, " cell"],
    *,
    fitted: bool = True,
) -> pl.DataFrame:
    expected = published / published.sum()
    total = int(counts.sum())
    found = counts / max(total, 1)
    error = np.sqrt(expected * (1 - expected) / max(total, 1))
    return pl.DataFrame(
        {
            "table": table,
            "borough": borough,
            "cell": list(cells),
            "published": expected,
            "synthetic": found,
            "difference": found - expected,
            "z": (found - expected) / error,
            "count": total,
            "fitted": fitted,
        }
    )


def _count(people: pl.DataFrame, column: str, length: int) -> Int[np.ndarray, " cell"]:
    return np.bincount(people[column].to_numpy(), minlength=length)


def _yes(values: pl.Series) -> Int[np.ndarray, " cell"]:
    return np.bincount(values.to_numpy().astype(int), minlength=2)
