"""People of one borough drawn into households and group quarters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from .ages import STATES, Chain, Composition, choose, tilted_shares
from .seeds import Generator

UNIT = 20


@dataclass(frozen=True)
class Place:
    """What is known of one borough.

    Attributes:
        people: residents.
        quarters: share of them in group quarters.
        sizes: share of households by size.
        compositions: shares of compositions by size, before the tilt.
        factor: the tilt, by state of age band and sex.
        residents: people in group quarters by state.
    """

    people: float | int
    quarters: float | int
    sizes: Mapping[int, float]
    compositions: Mapping[int, Sequence[tuple[Composition, float]]]
    factor: Float[np.ndarray, " state"]
    residents: Float[np.ndarray, " state"]


def apportion(total: int, shares: Shaped[np.ndarray, " part"]) -> Int[np.ndarray, " part"]:
    """Whole numbers in proportion to `shares` that add up to `total` (largest remainders)."""
    exact = total * shares / shares.sum()
    whole = np.floor(exact).astype(np.int64)
    rest = np.argsort(whole - exact, kind="stable")[: total - whole.sum()]
    whole[rest] += 1
    return whole


def scatter(
    total: int, shares: Shaped[np.ndarray, " part"], rng: Generator
) -> Int[np.ndarray, " part"]:
    """Like `apportion`, but which parts are rounded up is left to chance, without bias."""
    upto = np.cumsum(shares) / shares.sum() * total
    upto[-1] = total
    steps = np.floor(upto + rng.random())
    steps[-1] = total
    return np.diff(np.minimum(steps, total), prepend=0).astype(np.int64)


def household_counts(people: int, sizes: Mapping[int, float]) -> dict[int, int]:
    """Households of each size that hold exactly so many people.

    In proportion to `sizes`; the last few people, fewer than would fill one household of each
    size, go into the sizes that rounding cut most.
    """
    share = np.array(list(sizes.values()))
    size = np.array(list(sizes))
    exact = people * share / np.sum(share * size)
    counts = np.floor(exact).astype(np.int64)
    left = people - int(counts @ size)
    while left > 0:
        fitting = size <= left
        most = int(np.argmax(np.where(fitting, exact - counts, -np.inf)))
        counts[most] += 1
        left -= int(size[most])
    return dict(zip(size.tolist(), counts.tolist(), strict=True))


def draw_households(
    place: Place, chain: Chain, people: int, rng: Generator
) -> tuple[Int[np.ndarray, " person"], Int[np.ndarray, " household"]]:
    """State of each person, household after household, and the size of each household.

    Households of all kinds are in random order; within one, people go from oldest to youngest.
    """
    kinds: list[Composition] = []
    counts: list[int] = []
    for size, households in household_counts(people, place.sizes).items():
        options = place.compositions[size]
        shares = tilted_shares(chain, options, place.factor)
        kinds += [kind for kind, _ in options]
        counts += scatter(households, shares, rng).tolist()
    kind_of = rng.permutation(np.repeat(np.arange(len(kinds)), counts))
    sizes = np.array([sum(kind) for kind in kinds])[kind_of]
    first = np.cumsum(sizes) - sizes
    state = np.empty(int(sizes.sum()), np.int8)
    order = np.argsort(kind_of, kind="stable")
    ends = np.cumsum(counts)
    for kind, count, end in zip(kinds, counts, ends, strict=True):
        if count == 0:
            continue
        drawn = chain.sample(kind, place.factor, count, rng)
        rows = first[order[end - count : end]]
        for rank in range(drawn.shape[1]):
            state[rows + rank] = drawn[:, rank]
    return state, sizes


def draw_quarters(place: Place, people: int, rng: Generator) -> Int[np.ndarray, " person"]:
    """States of the residents of group quarters, youngest first."""
    counts = scatter(people, place.residents, rng)
    return np.repeat(np.arange(STATES, dtype=np.int8), counts)


def draw_ages(
    state: Int[np.ndarray, " person"], years: Float[np.ndarray, "band age"], rng: Generator
) -> Int[np.ndarray, " person"]:
    """A single year of age within the band of each state."""
    return choose(years, (state // 2).astype(np.int64), rng)


def quarters_units(
    age: Int[np.ndarray, " person"],
    borough: Int[np.ndarray, " person"],
    sort: Int[np.ndarray, " person"] | None = None,
) -> Int[np.ndarray, " person"]:
    """Units of about `UNIT` residents of one borough, by age class (under 18, 18-64, 65 up).

    Where a `sort` of quarters is given, such as institutional or not, a unit is of one sort.
    """
    kind = borough.astype(np.int64) * 3 + np.digitize(age, (18, 65))
    if sort is not None:
        kind = kind * (int(sort.max(initial=0)) + 1) + sort
    _, kind, residents = np.unique(kind, return_inverse=True, return_counts=True)
    units = np.maximum(1, np.rint(residents / UNIT)).astype(np.int64)
    order = np.argsort(kind, kind="stable")
    of = kind[order]
    rank = np.arange(len(of)) - (np.cumsum(residents) - residents)[of]
    unit = np.empty(len(age), np.int64)
    unit[order] = (np.cumsum(units) - units)[of] + rank * units[of] // residents[of]
    return unit
