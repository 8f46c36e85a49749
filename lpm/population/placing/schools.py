"""Schools and classes of drawn people, near where they live."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from ..columns import NONE
from ..places import TEACHING_AGES, Level, Schools, class_numbers
from ..seeds import Generator
from ..shipped import read_table
from .parts import shuffled_by, split_evenly
from .staff import recruit
from .zones import Zones

_CHOICE = 8  # Schools among which an older pupil chooses; an assumption.
_NEIGHBOURHOOD_UNTIL = 13  # Age to which children go to the nearest school; an assumption.


def shipped_levels() -> list[Level]:
    """Levels of school with class and school sizes: `data/new_york/README.md`."""
    return [
        Level(low, high, in_class, in_school, by_neighbourhood=high <= _NEIGHBOURHOOD_UNTIL)
        for _, low, high, in_class, in_school in read_table("schools").rows()
    ]


def draw_enrolled(age: Int[np.ndarray, " person"], rng: Generator) -> Bool[np.ndarray, " person"]:
    """Who goes to school, by age alone: the national shares of `data/new_york/README.md`."""
    share = np.zeros(256)
    for low, high, value in read_table("enrolment").rows():
        share[low : high + 1] = value
    return rng.random(len(age), dtype=np.float32) < share[age]


def place_schools(
    age: Int[np.ndarray, " person"],
    zone: Int[np.ndarray, " person"],
    enrolled: Bool[np.ndarray, " person"],
    at_work: Bool[np.ndarray, " person"],
    zones: Zones,
    levels: Sequence[Level],
    rng: Generator,
) -> Schools:
    """Pupils into schools and classes, with one teacher each.

    Each level of school cuts the pupils, in the order of `zones.rank`, into stretches of its size:
    one school after the other, near to all its pupils, and brothers and sisters together. It is not
    the nearest school for each, but schools are of the size they should be. A stretch stays within
    one parent. In levels that are not of the neighbourhood, pupils choose at random among eight
    schools. Teachers are employed adults of 22 to 69 who live near.

    Args:
        age: in years.
        zone: where each lives.
        enrolled: who learns.
        at_work: who may teach.
        zones: where they are.
        levels: kinds of school.
        rng: where chance comes from.

    Raises:
        DataError: more teachers are needed than there are adults at work.
    """
    school = np.full(len(age), NONE, np.int32)
    classroom = np.full(len(age), NONE, np.int32)
    building, where = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    num_schools = num_classes = 0
    rank = zones.rank
    for level in levels:
        pupils = np.flatnonzero(enrolled & (age >= level.age_from) & (age <= level.age_to))
        if len(pupils) == 0:
            continue
        pupils, house, schools = _catchments(pupils, zone, zones.parent, rank, level, rng)
        number, classes = class_numbers(age[pupils].astype(np.int64), house, level)
        school[pupils], classroom[pupils] = num_schools + house, num_classes + number
        first = np.empty(classes, np.int64)
        first[number] = np.arange(len(pupils))
        building.append(num_schools + house[first])
        where.append(zone[pupils[first]].astype(np.int64))
        num_schools, num_classes = num_schools + schools, num_classes + classes
    low, high = TEACHING_AGES
    able = np.flatnonzero(at_work & ~enrolled & (age >= low) & (age < high))
    posts = np.concatenate(where)
    teachers = recruit(posts, able, zone[able], zones, rng, what="teachers")
    school[teachers] = np.concatenate(building)
    classroom[teachers] = np.arange(num_classes)
    return Schools(school, classroom, teachers)


def _catchments(
    pupils: np.ndarray,
    zone: np.ndarray,
    parent: np.ndarray,
    rank: np.ndarray,
    level: Level,
    rng: Generator,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pupils school by school, the school of each, and how many there are."""
    pupils = pupils[np.argsort(rank[zone[pupils]], kind="stable")]
    area = parent[zone[pupils]]
    if not level.by_neighbourhood:
        area, areas = split_evenly(area, level.school_size * _CHOICE)
        order = shuffled_by(area, areas, rng)
        pupils, area = pupils[order], area[order]
    return pupils, *split_evenly(area, level.school_size)
