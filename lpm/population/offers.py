"""What people who do not work could earn, and how likely people alike are to work."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from lpm.errors import DataError

from .seeds import Generator

AGES = (16, 25, 35, 45, 55, 65)  # first year of each band
_EDUCATIONS = 4
Amounts = Float[np.ndarray, " person"]


def cells(columns: Mapping[str, Any]) -> Int[np.ndarray, " person"]:
    """People alike: a number for each sex, age band and education."""
    band = np.searchsorted(AGES, columns["age"], side="right").clip(1) - 1
    sex, education = (np.asarray(columns[name]).astype(int) for name in ("sex", "education"))
    return (sex * len(AGES) + band) * _EDUCATIONS + education


def chances(columns: Mapping[str, Any]) -> Amounts:
    """The weighted share who work among people alike."""
    cell, weight = cells(columns), np.asarray(columns["weight"], np.float64)
    working = np.bincount(cell, weight * (np.asarray(columns["earnings"]) > 0))
    people = np.bincount(cell, weight)
    return (working / np.where(people > 0, people, 1))[cell]


def offers(columns: Mapping[str, Any], draws: Generator) -> tuple[Amounts, Amounts]:
    """Annual earnings and hours: own ones, or of a worker drawn from people alike.

    Drawn in proportion to weights, and where nobody alike works from the same education, or from
    all.

    Raises:
        DataError: nobody works.
    """
    weight, hours = (np.asarray(columns[n], np.float64) for n in ("weight", "hours"))
    work = hours * np.asarray(columns["weeks"], np.float64)
    earn = work * np.asarray(columns["wage"], np.float64)
    works = (earn > 0) & (weight > 0)
    if not works.any():
        raise DataError("nobody in the records earns anything; hours, weeks and wage are positive")
    education = np.asarray(columns["education"]).astype(int)
    donor = np.arange(len(hours))
    idle = earn <= 0
    for kind in (np.zeros_like(education), education, cells(columns)):
        donor = _draw(donor, kind, idle, works, weight, draws)
    return earn[donor], work[donor]


def _draw(
    donor: Int[np.ndarray, " person"],
    kind: Int[np.ndarray, " person"],
    idle: np.ndarray,
    works: np.ndarray,
    weight: Amounts,
    draws: Generator,
) -> Int[np.ndarray, " person"]:
    """Donors for those who are idle, from workers of the same kind where there are any."""
    found = donor.copy()
    for one in np.unique(kind[idle]):
        pool, asking = np.flatnonzero(works & (kind == one)), np.flatnonzero(idle & (kind == one))
        if len(pool):
            edges = np.cumsum(weight[pool])
            at = np.searchsorted(edges, draws.random(len(asking)) * edges[-1], side="right")
            found[asking] = pool[np.minimum(at, len(pool) - 1)]
    return found
