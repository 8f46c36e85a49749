"""The made-up town behind `Population.toy`."""

import numpy as np
from jaxtyping import Shaped

from lpm.errors import DataError

from .seeds import Generator, generator

_SHARE_OF_SIZE = (0.28, 0.32, 0.16, 0.14, 0.07, 0.03)  # households of 1 to 6, mean 2.49
_TEAM = 20
_SHARE_AT_WORK = 0.7


def build_town(n: int, seed: int) -> dict[str, Shaped[np.ndarray, " person"]]:
    """Columns of `n` made-up people; see `Population.toy`.

    Raises:
        DataError: `n` below 1.
    """
    if n < 1:
        raise DataError(f"a toy population needs at least one person, not {n}")
    rng = generator(seed)
    household, member = _households(n, rng)
    age = _ages(household, member, rng)
    adult = age >= 18
    at_work = adult & (age < 67) & (rng.random(n) < _SHARE_AT_WORK)
    return {
        "age": age.astype(np.float32),
        "income": np.where(adult, rng.lognormal(10.2, 0.6, n), 0).astype(np.float32),
        "household_id": household.astype(np.int32),
        "workplace_id": _workplaces(at_work, rng),
        "persona": rng.integers(0, 3, n, dtype=np.int32),
    }


def _households(n: int, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Household of each person and the person's place in it; the last household may be cut."""
    sizes = rng.choice(np.arange(1, 7), size=n, p=_SHARE_OF_SIZE)
    household = np.repeat(np.arange(n), sizes)[:n]
    first = np.cumsum(sizes) - sizes
    return household, np.arange(n) - first[household]


def _ages(household: np.ndarray, member: np.ndarray, rng: Generator) -> np.ndarray:
    """Head, partner within a few years, then children 22 to 38 years younger than the head."""
    n = len(household)
    head = 20 + 75 * rng.beta(1.6, 2.2, n)
    of_head = head[np.flatnonzero(member == 0)][household]
    partner = of_head + rng.normal(0, 4, n)
    child = of_head - rng.uniform(22, 38, n)
    age = np.select([member == 0, member == 1], [of_head, partner], child)
    # A child that would come out unborn is a baby; a partner is an adult.
    return np.clip(np.floor(age), np.where(member == 1, 18, 0), 99)


def _workplaces(at_work: np.ndarray, rng: Generator) -> np.ndarray:
    """Teams of about twenty, filled in random order; -1 for those who do not work."""
    workers = np.flatnonzero(at_work)
    teams = max(1, round(len(workers) / _TEAM))
    workplace = np.full(len(at_work), -1, np.int32)
    workplace[rng.permutation(workers)] = np.arange(len(workers)) % teams
    return workplace
