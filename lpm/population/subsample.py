"""A smaller city of the same density: fewer households, classes and teams, each of its size."""

import numpy as np

from lpm.errors import DataError, unknown
from lpm.networks import Graph

from .columns import NONE, is_id
from .places import staff_rooms
from .placing.ties import read_ties
from .population import Population
from .regroup import describe, fill, keep_units, ranked, refill, renumbered
from .rewire import rewire
from .seeds import Generator, generator

HOME, QUARTERS, CARE = "household_id", "quarters_id", "care_home_id"
SCHOOL, CLASS, WORK = "school_id", "class_id", "workplace_id"
# Members of a class whose age is this far from its median teach there.
_YEARS_APART = 12
_YEARS_OF_LEVEL = 5  # Schools whose pupils' median ages agree to this are of one level.


def subsample(
    population: Population,
    share: float | int,
    seed: int,
    *,
    age: str = "age",
    zone: str = "zone_id",
    work_zone: str = "work_zone_id",
) -> Population:
    """A part of the people who live, learn and work in groups as large as before.

    Whole households and whole units of quarters are kept, evenly over zones and sizes. Other groups
    are formed again from those next to each other: classes of one age, schools of one level, teams
    of one zone of work are put together and cut into the sizes of every so-manieth of them, pupils
    and teachers each by themselves. Teachers and carers get staff rooms again. Ties to people who
    are gone are joined with such as miss the like, so that nearly everybody keeps their degree.

    So the city is smaller at constant density: sizes of groups, ages and contacts stay. What does
    not: there are fewer groups to choose from, a zone's groups may reach into the next zone, paths
    between people are shorter, and who has a school but no class has no school.

    Args:
        population: people with `household_id`.
        share: of the people to keep, above 0 and up to 1.
        seed: same seed, same people.
        age: column of ages in years.
        zone: column of the zone people live in; all in one if there is none.
        work_zone: column of the zone they work in; that they live in if there is none.

    Raises:
        DataError: a share outside (0, 1], a column is missing, or ties with weights.
    """
    _check(population, share, age)
    rng = generator(seed)
    years = population.host(age).astype(np.int64)
    home = _zone(population, zone)
    kept = np.flatnonzero(_stays(population, home, share, rng))
    columns = {name: values[kept] for name, values in _people(population).items()}
    columns |= _groups(population, years, home, work_zone, kept, share, rng)
    smaller = Population(
        columns,
        labels=population.labels,
        recycle=population.recycle,
        provenance=(*population.provenance, f"subsample of {share}, seed {seed}"),
    )
    new = np.full(population.size, NONE, np.int64)
    new[kept] = np.arange(len(kept))
    for name in population.networks:
        ends = rewire(read_ties(population.network(name)), new, years, home, rng)
        smaller = smaller.connect(name, Graph(*ends, num_agents=smaller.capacity))
    return smaller


def _groups(
    population: Population,
    years: np.ndarray,
    home: np.ndarray,
    work_zone: str,
    kept: np.ndarray,
    share: float | int,
    rng: Generator,
) -> dict[str, np.ndarray]:
    """All columns of groups, of those kept."""
    old = {name: x for name, x in _people(population).items() if is_id(name)}
    found = {name: renumbered(old[name][kept]) for name in (HOME, QUARTERS) if name in old}
    if CARE in old:
        found[CARE] = _care(old[CARE], old[QUARTERS] >= 0, kept)
    if CLASS in old or SCHOOL in old:
        found |= _schools(old, years, home, kept, share, rng)
    work = _zone(population, work_zone) if work_zone in population else home
    others = [n for n in old if n not in (*found, work_zone) and n not in population.labels]
    staff = _staff(old, years) if WORK in old else np.zeros(len(years), bool)
    for name in others:
        group = np.where(staff, NONE, old[name]) if name == WORK else old[name]
        where = describe(group, years, np.maximum(work, 0)).zone
        number = np.arange(len(where))
        everyone = np.zeros(len(years), bool)
        new, _ = refill(group, ranked(where, number), everyone, kept, share, rng)
        found[name] = renumbered(new)
    if WORK in old:
        found[WORK] = _staff_rooms(found, staff[kept])
        if work_zone in population:
            found[work_zone] = _one_zone(found[WORK], work[kept]).astype(np.int32)
    return found


def _schools(
    old: dict[str, np.ndarray],
    years: np.ndarray,
    home: np.ndarray,
    kept: np.ndarray,
    share: float | int,
    rng: Generator,
) -> dict[str, np.ndarray]:
    """Classes of one age formed again, and schools of one level from those classes."""
    name = CLASS if CLASS in old else SCHOOL
    group = old[name]
    standing = describe(group, years, home)
    apart = _apart(group, standing.age, years)
    new, taken = refill(group, ranked(standing.age, standing.zone), apart, kept, share, rng)
    found = {name: renumbered(new)}
    if name == CLASS and SCHOOL in old:
        building = np.full(len(standing.age), NONE, np.int64)
        inside = group >= 0
        building[group[inside]] = old[SCHOOL][inside]
        level = describe(old[SCHOOL], years, home)
        rank = ranked(level.age // _YEARS_OF_LEVEL, level.zone)
        nobody = np.zeros(len(building), bool)
        # A class is a member of its school; those taken for their size are the classes there are.
        school, _ = refill(building, rank, nobody, taken, share, rng)
        found[SCHOOL] = renumbered(np.where(new >= 0, school[np.maximum(new, 0)], NONE))
    return found


def _care(group: np.ndarray, resident: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Care homes whose residents stay, with as many carers as before, in the order of homes."""
    mine, lives_in = group[kept], resident[kept]
    homes = np.unique(mine[lives_in & (mine >= 0)])
    carers = np.flatnonzero((mine >= 0) & ~lives_in)
    carers = carers[np.argsort(mine[carers], kind="stable")]
    new = np.where(lives_in, mine, NONE)
    if len(homes):
        sizes = np.bincount(group[(group >= 0) & ~resident], minlength=int(homes[-1]) + 1)[homes]
        at = fill(sizes, len(carers))
        new[carers] = np.where(at >= 0, homes[np.maximum(at, 0)], NONE)
    return renumbered(new)


def _apart(group: np.ndarray, median: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Who is much older or younger than the rest of the group."""
    return (group >= 0) & (np.abs(years - median[np.maximum(group, 0)]) > _YEARS_APART)


def _staff(old: dict[str, np.ndarray], years: np.ndarray) -> np.ndarray:
    """Teachers and carers with a team: they get one of their new school or home."""
    staff = np.zeros(len(years), bool)
    if CLASS in old and SCHOOL in old:
        group = old[CLASS]
        staff |= _apart(group, describe(group, years, np.zeros(len(years), np.int64)).age, years)
    if CARE in old:
        staff |= (old[CARE] >= 0) & (old[QUARTERS] < 0)
    return staff & (old[WORK] >= 0)


def _staff_rooms(found: dict[str, np.ndarray], staff: np.ndarray) -> np.ndarray:
    team = found[WORK].astype(np.int64)
    for name in (CARE, SCHOOL):
        if name in found:
            rows = np.flatnonzero(staff & (found[name] >= 0) & (team < 0))
            team[rows] = staff_rooms(found[name][rows].astype(np.int64), int(team.max()) + 1)
    return renumbered(team)


def _one_zone(team: np.ndarray, zone: np.ndarray) -> np.ndarray:
    """Zone of work of each, where a team works in the zone of its first member."""
    _, first, number = np.unique(team, return_index=True, return_inverse=True)
    return np.where(team >= 0, zone[first][number], zone)


def _stays(
    population: Population, home: np.ndarray, share: float | int, rng: Generator
) -> np.ndarray:
    """Whole households, then whole units of quarters; who is in neither is a unit of one."""
    unit = population.host(HOME).astype(np.int64)
    at_home, beyond = unit >= 0, population.num_groups(HOME)
    stratum = home * 3
    if QUARTERS in population:
        outside = ~at_home & (population.host(QUARTERS) >= 0)
        unit = np.where(outside, beyond + population.host(QUARTERS), unit)
        beyond += population.num_groups(QUARTERS)
        stratum = stratum + outside
    alone = unit < 0
    unit[alone] = beyond + np.arange(np.count_nonzero(alone))
    return keep_units(unit, stratum + 2 * alone, share, rng)


def _people(population: Population) -> dict[str, np.ndarray]:
    """The columns as they are kept, without empty rows."""
    arrays = population.arrays()
    return {name: np.asarray(arrays[name])[: population.size] for name in population.columns}


def _zone(population: Population, name: str) -> np.ndarray:
    if name not in population:
        return np.zeros(population.size, np.int64)
    return population.host(name).astype(np.int64)


def _check(population: Population, share: float | int, age: str) -> None:
    if not 0 < share <= 1:
        raise DataError(f"share is {share}; it is a part of the people, above 0 and up to 1")
    missing = [name for name in (age, HOME) if name not in population]
    if missing:
        raise DataError(unknown("population", "column", missing, population.columns))
    if CARE in population and QUARTERS not in population:
        raise DataError(f"{CARE} needs {QUARTERS}, which says who lives there")
