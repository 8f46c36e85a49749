"""New York City's five boroughs as a synthetic population, from shipped census aggregates."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int, Shaped

from lpm.errors import DataError

from .ages import BANDS, SEXES, STATES, Chain, FirstKey, NextKey, combine
from .columns import NONE
from .places import Level, Schools, assign_schools, assign_workplaces, staff_rooms
from .population import Population
from .seeds import Generator, generator
from .shipped import BOROUGHS, borough_shares, read_table
from .synthesis import (
    Place,
    apportion,
    draw_ages,
    draw_households,
    draw_quarters,
    quarters_units,
)

SMALLEST, LARGEST = 10_000, 8_481_844
AGE_BANDS = tuple(range(0, 90, 10))
_PROVENANCE = (
    "New York City, five boroughs: lpm/population/data/new_york/README.md",
    "U.S. Census Bureau, ACS PUMS 2024 1-year and ACS 2020-2024 5-year; public domain",
)
_NEIGHBOURHOOD_UNTIL = 13


def new_york(size: int = 1_000_000, *, seed: int = 0, capacity: int | None = None) -> Population:
    """A synthetic New York City of `size` people in households, schools and workplaces.

    A smaller city is a sample at constant density: households, classes and workplaces keep their
    sizes, and there are fewer of them. Boroughs and household sizes come out as published to
    within rounding, ages and sexes of each borough in expectation. The city is closed: those who
    work outside it are given work inside, and nobody comes in.

    Columns:
        age: years, 0 to 95 (95 stands for 92 and over); `age_band`: 0 for 0-9 to 8 for 80 and over.
        sex: 0 male, 1 female.
        borough: 0 Bronx, 1 Brooklyn, 2 Manhattan, 3 Queens, 4 Staten Island.
        household_id: households lie together in storage; -1 in group quarters, which come last.
        quarters_id: unit of about 20 residents of group quarters; -1 for all others.
        in_group_quarters, employed, works_from_home: yes or no.
        school_id: building of pupils, students and their teachers; class_id: class of at most 18
            (preschool) to 30 (college) and its teacher, the group that meets.
        workplace_id: team of at most 20, the group that meets; -1 for who does not work or works
            from home. Larger workplaces are split into teams; a teacher's team is of the staff.
        work_borough: borough of work; -1 for who has no workplace.

    What is published, what is assumed and under which licence: `data/new_york/README.md` beside
    this module. Employment, school and workplace hang on a person's own age, sex and borough, not
    on the rest of the household.

    Args:
        size: people, from 10,000 to 8,481,844 (the whole city).
        seed: same seed, same people.
        capacity: rows to make room for.

    Raises:
        DataError: a size outside the range, or a capacity below it.
    """
    if not SMALLEST <= size <= LARGEST:
        raise DataError(f"new_york has {SMALLEST:,} to {LARGEST:,} people, not {size:,}")
    rng = generator(seed)
    columns = _residents(size, rng)
    columns |= _days(columns, rng)
    return Population(
        columns,
        capacity=capacity,
        labels={"sex": SEXES, "borough": BOROUGHS},
        provenance=(*_PROVENANCE, f"size {size}, seed {seed}"),
    )


def _residents(size: int, rng: Generator) -> dict[str, Shaped[np.ndarray, " person"]]:
    """Age, sex, borough, household and quarters of everyone."""
    places = [place_of(borough) for borough in range(len(BOROUGHS))]
    people = apportion(size, np.array([place.people for place in places]))
    chain, years = read_chain(), _years()
    at_home: list[np.ndarray] = []
    in_quarters: list[np.ndarray] = []
    homes: list[np.ndarray] = []
    for place, count in zip(places, people.tolist(), strict=True):
        residents = round(count * place.quarters)
        states, sizes = draw_households(place, chain, count - residents, rng)
        at_home.append(states)
        homes.append(sizes)
        in_quarters.append(draw_quarters(place, residents, rng))
    state = np.concatenate([*at_home, *in_quarters])
    sizes = np.concatenate(homes)
    borough = np.repeat(
        np.tile(np.arange(len(BOROUGHS), dtype=np.int32), 2),
        [len(part) for part in (*at_home, *in_quarters)],
    )
    age = draw_ages(state, years, rng)
    outside = np.arange(size) >= sizes.sum()
    household = np.full(size, NONE, np.int32)
    household[~outside] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    quarters = np.full(size, NONE, np.int32)
    quarters[outside] = quarters_units(age[outside], borough[outside])
    return {
        "age": age.astype(np.float32),
        "age_band": np.minimum(age // 10, len(AGE_BANDS) - 1).astype(np.int32),
        "sex": (state % 2).astype(np.int32),
        "borough": borough,
        "household_id": household,
        "quarters_id": quarters,
        "in_group_quarters": outside,
    }


def _days(
    columns: Mapping[str, Shaped[np.ndarray, " person"]], rng: Generator
) -> dict[str, Shaped[np.ndarray, " person"]]:
    """Employment, school and work of everyone."""
    age, borough = columns["age"].astype(np.int16), columns["borough"]
    outside = columns["in_group_quarters"]
    employed = _employed(age, columns["sex"], np.where(outside, len(BOROUGHS), borough), rng)
    enrolled = rng.random(len(age)) < _enrolment()[age]
    from_home = read_table("boroughs")["works_from_home"].to_numpy()[borough]
    works_from_home = employed & (rng.random(len(age)) < from_home)
    schools = assign_schools(
        age, borough, enrolled, employed & ~works_from_home & ~enrolled, _levels(), rng
    )
    workplace, work_borough = _work(employed & ~works_from_home, borough, schools, rng)
    return {
        "employed": employed,
        "works_from_home": works_from_home,
        "school_id": schools.school,
        "class_id": schools.classroom,
        "workplace_id": workplace,
        "work_borough": work_borough,
    }


def _employed(
    age: Int[np.ndarray, " person"],
    sex: Int[np.ndarray, " person"],
    place: Int[np.ndarray, " person"],
    rng: Generator,
) -> Bool[np.ndarray, " person"]:
    """Coins by borough (or group quarters), age band and sex; nobody below 16."""
    table = read_table("employment")
    bands = [edge for edge in BANDS if edge >= 15]
    share = table["share"].to_numpy().reshape(-1, len(bands), len(SEXES)).copy()
    # The survey asks from 16 on, so the youngest band's share is that of two years in three.
    years = read_table("years")
    young = years.filter(pl.col("age").is_between(15, 17))["share"].to_numpy()
    share[:, 0] /= 1 - young[0]
    band = np.maximum(np.digitize(age, bands) - 1, 0)
    return (age >= 16) & (rng.random(len(age)) < share[place, band, sex])


def _work(
    commutes: Bool[np.ndarray, " person"],
    borough: Int[np.ndarray, " person"],
    schools: Schools,
    rng: Generator,
) -> tuple[Int[np.ndarray, " person"], Int[np.ndarray, " person"]]:
    teaches = np.zeros(len(commutes), bool)
    teaches[schools.teachers] = True
    workers = np.flatnonzero(commutes & ~teaches)
    sizes = read_table("workplaces").rows()
    team, work = assign_workplaces(workers, borough[workers], _commuting(), sizes, rng)
    workplace = np.full(len(commutes), NONE, np.int32)
    work_borough = np.full(len(commutes), NONE, np.int32)
    workplace[workers], work_borough[workers] = team, work
    teachers = schools.teachers
    first = int(team.max(initial=-1)) + 1
    workplace[teachers] = staff_rooms(schools.school[teachers], first)
    work_borough[teachers] = borough[teachers]
    return workplace, work_borough


@cache
def read_chain() -> Chain:
    """The shipped chain of ages and sexes of household members."""
    first: dict[FirstKey, Float[np.ndarray, " state"]] = {}
    for *key, state, share in read_table("first_member").rows():
        first.setdefault(tuple(key), np.zeros(STATES))[state] = share
    bands: dict[NextKey, Float[np.ndarray, "band next"]] = {}
    for *key, band, after, share in read_table("next_band").rows():
        bands.setdefault(tuple(key), np.zeros((len(BANDS), len(BANDS))))[band, after] = share
    females = {tuple(row[:5]): np.array(row[5:]) for row in read_table("next_sex").rows()}
    return Chain(first, combine(bands, females))


def place_of(borough: int) -> Place:
    """What the shipped tables say of a borough."""
    row = read_table("boroughs").row(borough, named=True)
    shares = borough_shares(
        borough,
        read_table("compositions"),
        read_table("household_sizes"),
        read_table("large_households"),
    )
    ages = read_table("age_sex").filter((pl.col("borough") == borough) & (pl.col("quarters") == 1))
    tilt = read_table("tilt").filter(pl.col("borough") == borough)
    by_size = {sum(kinds[0][0]): (share, kinds) for share, kinds in shares}
    return Place(
        people=row["people"],
        quarters=row["quarters"],
        sizes={size: share for size, (share, _) in by_size.items()},
        compositions={size: kinds for size, (_, kinds) in by_size.items()},
        factor=tilt["factor"].to_numpy(),
        residents=ages["people"].to_numpy(),
    )


def _years() -> Float[np.ndarray, "band age"]:
    table = read_table("years")
    age = table["age"].to_numpy()
    years = np.zeros((len(BANDS), age.max() + 1))
    years[np.digitize(age, BANDS) - 1, age] = table["share"].to_numpy()
    return years


def _enrolment() -> Float[np.ndarray, " age"]:
    share = np.zeros(100)
    for low, high, value in read_table("enrolment").rows():
        share[low : high + 1] = value
    return share


def _levels() -> list[Level]:
    return [
        Level(low, high, in_class, in_school, by_neighbourhood=high <= _NEIGHBOURHOOD_UNTIL)
        for _, low, high, in_class, in_school in read_table("schools").rows()
    ]


def _commuting() -> Float[np.ndarray, "home work"]:
    number = {name: i for i, name in enumerate(BOROUGHS)}
    shares = np.zeros((len(BOROUGHS), len(BOROUGHS)))
    for home, work, share, _ in read_table("commuting").rows():
        shares[number[home], number[work]] = share
    return shares
