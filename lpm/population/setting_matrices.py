"""Who meets whom by age in a population, setting by setting, and beside published matrices."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError, listing, unknown

from .mixing import contact_shares
from .placing.ties import read_ties
from .population import Population

SINGLE_YEARS = tuple(range(85))
COLUMNS = {"household": "household_id", "school": "class_id", "work": "workplace_id"}


def setting_matrix(
    population: Population,
    column: str,
    *,
    age: str = "age",
    bands: Sequence[int] = SINGLE_YEARS,
) -> Float[np.ndarray, "mine theirs"]:
    """Contacts of a person of each age with people of each age, one contact a person in company.

    Entry [a, b] is the sum over groups s of `n_sa (n_sb - [a = b]) / (n_s - 1)`, divided by the
    people of age a: everybody who is not alone in a group has one contact, shared out evenly among
    its other members. So a row sums to the share of people of that age who are in company, and
    `people[a] * matrix[a, b]` is symmetric. Multiply by the daily contacts of a setting, such as
    `4.11` in the household, `11.41` in school, `8.07` at work and `2.79` at large.

    Args:
        population: the people.
        column: the groups, such as `household_id`; or a network, whose neighbours are the group.
        age: column of ages in years.
        bands: lower ends of age bands, the last one open; single years up to 84 if not given.

    Raises:
        DataError: no such column or network, or bands that do not start at 0 and rise.

    Source: Mistry et al. (2021), Nature Communications 12:323, per capita probability of contact.
    That it is `n_s - 1` below was checked on their matrices: rows of children at home sum to 1.
    """
    band = age_bands(population, age, bands)
    if column in population.networks:
        mine, theirs = read_ties(population.network(column))
        degree = np.bincount(mine, minlength=population.capacity)
        cell = band[mine] * len(bands) + band[theirs]
        pairs = np.bincount(cell, 1 / degree[mine], minlength=len(bands) ** 2)
        people = np.maximum(np.bincount(band, minlength=len(bands)), 1)
        return pairs.reshape(len(bands), -1) / people[:, None]
    groups = population.num_groups(column)
    return contact_shares(population.host(column), groups, band, len(bands))


def at_large_matrix(
    population: Population, *, age: str = "age", bands: Sequence[int] = SINGLE_YEARS
) -> Float[np.ndarray, "mine theirs"]:
    """Contacts of people who meet others of the population at random, one contact a person.

    Raises:
        DataError: no such column, or bands that do not start at 0 and rise.
    """
    share = np.bincount(age_bands(population, age, bands), minlength=len(bands)) / population.size
    return np.tile(share, (len(bands), 1))


def setting_matrices(
    population: Population,
    columns: Mapping[str, str] = COLUMNS,
    *,
    age: str = "age",
    bands: Sequence[int] = SINGLE_YEARS,
) -> dict[str, Float[np.ndarray, "mine theirs"]]:
    """`setting_matrix` by setting, with `community` for who meets anybody.

    Raises:
        DataError: see `setting_matrix`.
    """
    found = {
        name: setting_matrix(population, column, age=age, bands=bands)
        for name, column in columns.items()
    }
    return {**found, "community": at_large_matrix(population, age=age, bands=bands)}


def age_bands(population: Population, age: str, bands: Sequence[int]) -> Int[np.ndarray, " person"]:
    """Band of each person.

    Raises:
        DataError: no such column, or bands that do not start at 0 and rise.
    """
    check_bands(bands)
    return np.digitize(population.host(age), bands) - 1


def check_bands(bands: Sequence[int]) -> None:
    """Refuse bands that leave ages out.

    Raises:
        DataError: bands do not start at 0 and rise.
    """
    if not bands or bands[0] != 0 or np.any(np.diff(bands) <= 0):
        raise DataError(f"bands {list(bands)[:6]} must start at 0 and rise; give lower ends")


def compare_matrices(
    mine: Mapping[str, Float[np.ndarray, "_ _"]],
    published: Mapping[str, Float[np.ndarray, "_ _"]],
    people: Float[np.ndarray, " _"] | Int[np.ndarray, " _"],
    published_people: Float[np.ndarray, " _"] | Int[np.ndarray, " _"],
) -> pl.DataFrame:
    """How near the contact matrices of two populations are, a row per setting of `mine`.

    Columns: `correlation` of the entries; `mean` and `published_mean`, contacts of a person;
    `ratio`, the one by the other; `variation`, the total variation distance between how contacts
    are spread over pairs of ages, which is 0 for equal and 1 for disjoint ones; and `by_age`, the
    same between whom people of one age meet, averaged over the people of `mine` who meet anybody.

    Args:
        mine: matrices by setting.
        published: the same, in the same bands.
        people: in each band of `mine`.
        published_people: in each band of `published`.

    Raises:
        DataError: a setting is not published, or bands differ.
    """
    missing = [name for name in mine if name not in published]
    if missing:
        raise DataError(unknown("published matrices", "setting", missing, published))
    odd = [n for n in mine if not mine[n].shape == published[n].shape == (len(people),) * 2]
    if odd or len(people) != len(published_people):
        raise DataError(f"matrices of {listing(odd)} and people differ in their number of bands")
    rows = [
        {"setting": name, **_nearness(mine[name], published[name], people, published_people)}
        for name in mine
    ]
    return pl.DataFrame(rows)


def _nearness(
    mine: np.ndarray, theirs: np.ndarray, people: np.ndarray, their_people: np.ndarray
) -> dict[str, float]:
    total, their_total = people[:, None] * mine, their_people[:, None] * theirs
    mean = total.sum() / people.sum()
    their_mean = their_total.sum() / their_people.sum()
    rows, their_rows = mine.sum(axis=1), theirs.sum(axis=1)
    both = (rows > 0) & (their_rows > 0)
    apart = np.abs(mine[both] / rows[both, None] - theirs[both] / their_rows[both, None])
    weight = (people * rows)[both]
    return {
        "correlation": float(np.corrcoef(mine.ravel(), theirs.ravel())[0, 1]),
        "mean": float(mean),
        "published_mean": float(their_mean),
        "ratio": float(mean / their_mean),
        "variation": float(np.abs(total / total.sum() - their_total / their_total.sum()).sum() / 2),
        "by_age": float(np.sum(weight * apart.sum(axis=1)) / np.sum(weight) / 2),
    }
