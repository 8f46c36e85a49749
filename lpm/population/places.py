"""Schools, classes and workplaces: where people of a synthetic city spend the day."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from .columns import NONE
from .seeds import Generator

TEAM = 20
TEACHING_AGES = (22, 70)
_FULL = 0.6  # Below this share of a class per year, years are taught together.


@dataclass(frozen=True)
class Level:
    """A kind of school: ages taught, and how many children share a class and a building."""

    age_from: int
    age_to: int
    class_size: int
    school_size: int
    by_neighbourhood: bool


@dataclass(frozen=True)
class Schools:
    """Who learns and teaches where; -1 for who does neither.

    Attributes:
        school: building of pupils and their teachers.
        classroom: class of pupils and of its teacher.
        teachers: row and school of each teacher.
    """

    school: Int[np.ndarray, " person"]
    classroom: Int[np.ndarray, " person"]
    teachers: Int[np.ndarray, " teacher"]


def assign_schools(
    age: Int[np.ndarray, " person"],
    borough: Int[np.ndarray, " person"],
    enrolled: Bool[np.ndarray, " person"],
    employed: Bool[np.ndarray, " person"],
    levels: Sequence[Level],
    rng: Generator,
) -> Schools:
    """Pupils into schools of their borough and into classes of their year, with one teacher each.

    Younger children go to the school of their neighbourhood: households next to each other in
    storage share it, and so do siblings. Older ones choose any of the borough.
    """
    school = np.full(len(age), NONE, np.int32)
    classroom = np.full(len(age), NONE, np.int32)
    num_schools = num_classes = 0
    where: list[np.ndarray] = []
    for level in levels:
        of_level = enrolled & (age >= level.age_from) & (age <= level.age_to)
        for place in np.unique(borough):
            pupils = np.flatnonzero(of_level & (borough == place))
            if len(pupils) == 0:
                continue
            if not level.by_neighbourhood:
                pupils = rng.permutation(pupils)
            buildings = max(1, round(len(pupils) / level.school_size))
            school[pupils] = num_schools + np.arange(len(pupils)) * buildings // len(pupils)
            number, classes = class_numbers(age[pupils], school[pupils], level)
            classroom[pupils] = num_classes + number
            where.append(np.stack([np.full(classes, place), np.empty(classes, int)]))
            where[-1][1, number] = school[pupils]
            num_schools, num_classes = num_schools + buildings, num_classes + classes
    if not where:
        return Schools(school, classroom, np.empty(0, np.int64))
    teachers = _teachers(age, borough, employed, np.concatenate(where, axis=1), rng)
    there = teachers >= 0
    school[teachers[there]] = np.concatenate(where, axis=1)[1, there]
    classroom[teachers[there]] = np.flatnonzero(there)
    return Schools(school, classroom, teachers[there])


def class_numbers(
    age: Int[np.ndarray, " pupil"], school: Int[np.ndarray, " pupil"], level: Level
) -> tuple[Int[np.ndarray, " pupil"], int]:
    """Class of each pupil, and how many there are.

    A year of a school is cut into even parts of at most `class_size`. Where a school's years
    would not fill classes, pupils next to each other in age share one.
    """
    order = np.lexsort((age, school))
    school, age = school[order].astype(np.int64), age[order]
    years = level.age_to - level.age_from + 1
    fills = np.bincount(school)[school] >= _FULL * level.class_size * years
    year = np.cumsum(np.diff(school * 200 + np.where(fills, age, 0), prepend=-1) != 0) - 1
    pupils = np.bincount(year)
    parts = -(-pupils // level.class_size)
    first = np.cumsum(parts) - parts
    rank = np.arange(len(age)) - (np.cumsum(pupils) - pupils)[year]
    number = np.empty(len(age), np.int64)
    number[order] = first[year] + rank * parts[year] // pupils[year]
    return number, int(parts.sum())


def _teachers(
    age: np.ndarray, borough: np.ndarray, employed: np.ndarray, where: np.ndarray, rng: Generator
) -> np.ndarray:
    """An employed adult of the borough for each class; -1 where there are too few."""
    able = employed & (age >= TEACHING_AGES[0]) & (age < TEACHING_AGES[1])
    chosen = np.full(where.shape[1], NONE, np.int64)
    for place in np.unique(where[0]):
        wanted = np.flatnonzero(where[0] == place)
        adults = np.flatnonzero(able & (borough == place))
        found = rng.choice(adults, min(len(wanted), len(adults)), replace=False)
        chosen[wanted[: len(found)]] = found
    return chosen


def assign_workplaces(
    commuters: Int[np.ndarray, " worker"],
    home: Int[np.ndarray, " worker"],
    commuting: Float[np.ndarray, "home work"],
    sizes: Sequence[tuple[int, int, float]],
    rng: Generator,
) -> tuple[Int[np.ndarray, " worker"], Int[np.ndarray, " worker"]]:
    """Team and borough of work of each worker.

    Workplaces are filled at random with those who work in their borough; one of more than `TEAM`
    people is split into even teams, and the team is the group that meets.
    """
    work = np.empty(len(home), np.int64)
    for place in range(len(commuting)):
        rows = np.flatnonzero(home == place)
        upto = np.cumsum(commuting[place]) / commuting[place].sum()
        work[rows] = np.minimum(np.searchsorted(upto, rng.random(len(rows))), len(upto) - 1)
    team = np.empty(len(commuters), np.int64)
    first = 0
    for place in range(commuting.shape[1]):
        rows = rng.permutation(np.flatnonzero(work == place))
        if len(rows) == 0:
            continue
        teams = team_sizes(len(rows), sizes, rng)
        team[rows] = first + np.repeat(np.arange(len(teams)), teams)
        first += len(teams)
    return team, work


def team_sizes(
    workers: int, sizes: Sequence[tuple[int, int, float]], rng: Generator
) -> Int[np.ndarray, " team"]:
    """Teams that hold so many workers, by the size of the workplaces they belong to.

    A size class holds its share of workers; within it, a workplace's size falls off as 1/size.
    """
    size = np.arange(sizes[0][0], sizes[-1][1] + 1)
    weight = np.zeros(len(size))
    for low, high, share in sizes:
        inside = (size >= low) & (size <= high)
        weight[inside] = share / np.count_nonzero(inside) / size[inside]
    mean = float(np.sum(weight * size) / weight.sum())
    drawn = np.empty(0, np.int64)
    while drawn.sum() < workers:
        more = rng.choice(size, size=int(workers / mean) + 16, p=weight / weight.sum())
        drawn = np.concatenate([drawn, more])
    drawn = drawn[: int(np.searchsorted(np.cumsum(drawn), workers)) + 1]
    drawn[-1] -= int(drawn.sum()) - workers
    parts = -(-drawn // TEAM)
    of = np.repeat(np.arange(len(drawn)), parts)
    rank = np.arange(len(of)) - np.repeat(np.cumsum(parts) - parts, parts)
    return (drawn[of] * (rank + 1)) // parts[of] - (drawn[of] * rank) // parts[of]


def staff_rooms(school: Int[np.ndarray, " teacher"], first: int) -> Int[np.ndarray, " teacher"]:
    """Teams of at most `TEAM` among the teachers of each school, numbered from `first`."""
    order = np.argsort(school, kind="stable")
    _, at, count = np.unique(school[order], return_index=True, return_counts=True)
    parts = -(-count // TEAM)
    begin = np.cumsum(parts) - parts
    of = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(school)) - at[of]
    team = np.empty(len(school), np.int64)
    team[order] = first + begin[of] + rank * parts[of] // count[of]
    return team
