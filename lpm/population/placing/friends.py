"""Friendship ties by age and distance."""

import numpy as np
from jaxtyping import Float

from lpm.errors import DataError, unknown
from lpm.networks import Graph

from ..population import Population
from ..seeds import Generator, generator
from .flows import draw_zones, gravity_flows
from .ties import Ends
from .zones import Zones

# Assumptions, all of them: that friends are of an age and live near each other is well attested
# (McPherson et al. 2001; Liben-Nowell et al. 2005), how many there are and how near is not.
DEGREE = 8.0
SHAPE = 2.0
YEARS = 5.0
SCALE_KM = 2.0
EXPONENT = 3.0
YOUNGEST = 6

_PERSON_BITS, _CHANCE_BITS, _AGE_BITS = 27, 10, 10
_STEPS_A_YEAR, _LEAST_AGE = 7, -25
_AT_ONCE = 1 << 20


def tie_friends(
    population: Population,
    zones: Zones,
    seed: int,
    *,
    age: str = "age",
    degree: float | int = DEGREE,
    shape: float | int = SHAPE,
    years: float | int = YEARS,
    scale: float | int = SCALE_KM,
    exponent: float | int = EXPONENT,
) -> Graph:
    """Friendships: who they are between depends on age, distance and how sociable people are.

    Everybody of 6 years and over is given a number of friends, negative binomial with mean
    `degree` and a gamma of `shape` behind it (variance `degree + degree**2 / shape`). For each,
    they go to a meeting: in a zone near home, with people of about their age. Those next to each
    other there become friends. So two friends' ages differ by a normal of `years * sqrt(2)`, and
    their homes lie two draws of the distance rule apart. Ties that come out double, and the odd
    ones, are lost: below 1 % in a city, more where a zone has few people of an age. Friends of
    friends are not more often friends than chance has it.

    Connect the result under a name: `population.connect("friends", tie_friends(...))`.

    Args:
        population: drawn people with `zone_id`.
        zones: those of the population; without centroids people meet within the parent.
        seed: same seed, same ties.
        age: column of ages in years.
        degree: mean number of friends.
        shape: of the gamma; the smaller, the more unequal.
        years: standard deviation of a meeting's age around one's own.
        scale: km at which a zone is half as attractive as one's own.
        exponent: how fast that falls off further out; see `gravity_flows`.

    Raises:
        DataError: a column is missing, zones are not those of the population, there are too many
            zones or people, or values are not above 0.
    """
    missing = [name for name in (age, "zone_id") if name not in population]
    if missing:
        raise DataError(unknown("population", "column", missing, population.columns))
    if population.labels.get("zone_id", zones.names) != zones.names:
        raise DataError(
            "zones are not those of the population; read them with "
            'read_zones(table, population.labels["zone_id"])'
        )
    if not (degree > 0 and shape > 0 and years > 0):
        raise DataError(f"degree {degree}, shape {shape} and years {years} must be above 0")
    rng = generator(seed)
    old = population.host(age)
    zone = population.host("zone_id").astype(np.int64)
    people = np.flatnonzero(old >= YOUNGEST)
    number = rng.poisson(rng.gamma(shape, degree / shape, len(people)))
    people = np.repeat(people.astype(np.int32), number)
    residents = np.bincount(zone, minlength=len(zones.names)).astype(float)
    near = gravity_flows(zones, residents, scale=scale, exponent=exponent)
    _check_bits(population.size, len(zones.names))
    meetings = np.concatenate(
        [np.zeros(0, np.uint64)]
        + [
            _meetings(people[i : i + _AT_ONCE], old, zone, years, near, zones, rng)
            for i in range(0, len(people), _AT_ONCE)
        ]
    )
    one, other = pair_up(meetings)
    return Graph(one, other, num_agents=population.capacity)


def pair_up(meetings: np.ndarray) -> Ends:
    """Neighbours in the order of meetings, two by two; nobody with themselves if avoidable."""
    meetings.sort()
    guests = (meetings & np.uint64((1 << _PERSON_BITS) - 1)).astype(np.int32)
    guests = guests[: len(guests) // 2 * 2]
    one, other = guests[0::2].copy(), guests[1::2].copy()
    for _ in range(3):
        alone = np.flatnonzero(one == other)
        alone = alone[(np.diff(alone, prepend=-2) > 1) & (alone < len(one) - 1)]
        other[alone], other[alone + 1] = other[alone + 1], other[alone]
    apart = one != other
    return one[apart], other[apart]


def _meetings(
    people: np.ndarray,
    old: np.ndarray,
    zone: np.ndarray,
    years: float | int,
    near: Float[np.ndarray, "zone zone"],
    zones: Zones,
    rng: Generator,
) -> np.ndarray:
    """Zone, age, chance and person in the bits of one number: sorting it makes people meet."""
    where = draw_zones(zone[people], near, zones, rng).astype(np.uint64)
    about = old[people] + years * rng.standard_normal(len(people), dtype=np.float32) - _LEAST_AGE
    most = (1 << _AGE_BITS) - 1
    when = np.clip(about * _STEPS_A_YEAR, 0, most).astype(np.uint64)
    chance = rng.integers(0, 1 << _CHANCE_BITS, len(people), dtype=np.uint16).astype(np.uint64)
    key = (where << np.uint64(_AGE_BITS)) | when
    key = (key << np.uint64(_CHANCE_BITS)) | chance
    return (key << np.uint64(_PERSON_BITS)) | people.astype(np.uint64)


def _check_bits(people: int, zones: int) -> None:
    most = 1 << (64 - _PERSON_BITS - _CHANCE_BITS - _AGE_BITS)
    if people > 1 << _PERSON_BITS or zones > most:
        raise DataError(
            f"{people:,} people in {zones:,} zones are too many to tie at once; at most "
            f"{1 << _PERSON_BITS:,} in {most:,}"
        )
