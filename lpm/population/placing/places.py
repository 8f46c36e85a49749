"""Places of drawn people: one call that gives schools, classes, workplaces and care homes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from lpm.errors import DataError, listing, unknown

from ..columns import NONE
from ..places import Level, Schools, staff_rooms
from ..population import Population
from ..seeds import generator
from ..shipped import read_table
from .flows import gravity_flows
from .schools import draw_enrolled, place_schools, shipped_levels
from .workplaces import place_care_homes, place_workplaces
from .zones import Zones

OLD = 65
_FOUND = ("school_id", "class_id", "workplace_id", "care_home_id", "work_zone_id")


def place_people(
    population: Population,
    zones: Zones,
    seed: int,
    *,
    age: str = "age",
    employed: str = "employed",
    works_from_home: str | None = None,
    enrolled: str | None = None,
    flows: Float[np.ndarray, "zone zone"] | None = None,
    levels: Sequence[Level] | None = None,
    sizes: Sequence[tuple[int, int, float]] | None = None,
    cared_for: Any = None,
) -> Population:
    """The same people with places where they spend the day.

    New columns, -1 for who has none: `school_id` and `class_id` of pupils and teachers,
    `workplace_id` (team of at most 20; staff rooms of teachers and the carers of a home are teams
    as well), `work_zone_id` (labelled), and `care_home_id` of residents and carers.

    Args:
        population: drawn people with `zone_id`.
        zones: `read_zones(table, population.labels["zone_id"])`.
        seed: same seed, same places.
        age: column of ages in years.
        employed: yes or no column; who is employed and not from home has a workplace.
        works_from_home: yes or no column; nobody works from home if not given.
        enrolled: yes or no column of pupils and students; by the shipped shares of ages if not
            given.
        flows: share of workers of each zone by zone of work; the gravity rule with employed
            residents for jobs if not given.
        levels: kinds of school; the shipped ones if not given.
        sizes: workplaces by size (from, to, share of workers); the shipped ones if not given.
        cared_for: who lives in care homes, one yes or no a person; those of 65 and over in
            `quarters_id` if not given.

    Raises:
        DataError: a column is missing or not yes or no, zones are not those of the population, or
            there are fewer adults at work than teachers and carers needed.
    """
    _check(population, zones, [age, employed, works_from_home, enrolled])
    rng = generator(seed)
    years = population.host(age).astype(np.int16)
    zone = population.host("zone_id")
    at_work = _yes(population, employed) & ~_yes(population, works_from_home)
    learns = draw_enrolled(years, rng) if enrolled is None else _yes(population, enrolled)
    if flows is None:
        flows = gravity_flows(zones, np.bincount(zone[at_work], minlength=len(zones.names)) * 1.0)
    levels = shipped_levels() if levels is None else levels
    schools = place_schools(years, zone, learns, at_work, zones, levels, rng)
    free = at_work.copy()
    free[schools.teachers] = False
    unit = _units(population, years, cared_for)
    care_home, carers = place_care_homes(unit, zone, free & (unit < 0), years, zones, rng)
    free[carers] = False
    workers = np.flatnonzero(free)
    table = read_table("workplaces").rows() if sizes is None else sizes
    team, work = place_workplaces(zone[workers], flows, table, zones, rng)
    workplace, work_zone = _gather(zone, schools, care_home, carers, workers, team, work)
    found = (schools.school, schools.classroom, workplace, care_home, work_zone)
    return _with(population, dict(zip(_FOUND, found, strict=True)), f"placed with seed {seed}")


def _gather(
    zone: np.ndarray,
    schools: Schools,
    care_home: np.ndarray,
    carers: np.ndarray,
    workers: np.ndarray,
    team: np.ndarray,
    work: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Team and zone of work of all who work: workers, then teachers, then carers."""
    workplace = np.full(len(zone), NONE, np.int32)
    work_zone = np.full(len(zone), NONE, np.int32)
    workplace[workers], work_zone[workers] = team, work
    teachers = schools.teachers
    workplace[teachers] = staff_rooms(schools.school[teachers], int(team.max(initial=-1)) + 1)
    first = int(workplace.max(initial=-1)) + 1
    workplace[carers] = staff_rooms(care_home[carers], first)
    of_school = np.zeros(int(schools.school.max(initial=-1)) + 1, np.int32)
    of_home = np.zeros(int(care_home.max(initial=-1)) + 1, np.int32)
    pupils = np.flatnonzero(schools.school >= 0)
    residents = np.setdiff1d(np.flatnonzero(care_home >= 0), carers)
    of_school[schools.school[pupils[::-1]]] = zone[pupils[::-1]]
    of_home[care_home[residents]] = zone[residents]
    work_zone[teachers] = of_school[schools.school[teachers]]
    work_zone[carers] = of_home[care_home[carers]]
    return workplace, work_zone


def _yes(population: Population, name: str | None) -> Bool[np.ndarray, " person"]:
    """A yes or no column, or no for everybody."""
    if name is None:
        return np.zeros(population.size, bool)
    values = population.host(name)
    if name in population.labels or not np.isin(values, (0, 1)).all():
        named = f", of {listing(population.labels[name])}" if name in population.labels else ""
        raise DataError(
            f"column {name!r} holds codes{named}; give a yes or no column, such as one made in the "
            "survey's persons before drawing"
        )
    return values.astype(bool)


def _units(population: Population, years: np.ndarray, cared_for: Any) -> np.ndarray:
    if "quarters_id" not in population:
        return np.full(population.size, NONE, np.int32)
    unit = population.host("quarters_id")
    old = years >= OLD if cared_for is None else np.asarray(cared_for, bool)
    if old.shape != unit.shape:
        raise DataError(f"cared_for has {old.size} values for {population.size} people")
    return np.where(old, unit, NONE)


def _check(population: Population, zones: Zones, columns: Sequence[str | None]) -> None:
    wanted = [name for name in (*columns, "zone_id") if name is not None]
    missing = [name for name in wanted if name not in population]
    if missing:
        raise DataError(unknown("population", "column", missing, population.columns))
    if population.labels.get("zone_id") != zones.names:
        raise DataError(
            "zones are not those of the population; read them with "
            'read_zones(table, population.labels["zone_id"])'
        )


def _with(
    population: Population, found: dict[str, Shaped[np.ndarray, " person"]], source: str
) -> Population:
    kept = population.arrays()
    old = {name: kept[name][: population.size] for name in population.columns}
    return Population(
        {**old, **found},
        capacity=population.capacity,
        slot=np.asarray(population.slot)[: population.size],
        labels={**population.labels, "work_zone_id": population.labels["zone_id"]},
        recycle=population.recycle,
        provenance=(*population.provenance, source),
    )
