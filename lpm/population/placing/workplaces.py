"""Workplaces and care homes of drawn people."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from ..columns import NONE
from ..places import team_sizes
from ..seeds import Generator
from .flows import draw_zones
from .parts import shuffled_by
from .staff import recruit
from .zones import Zones

# Nurses and aides give about 3.7 hours a resident and day (CMS Payroll-Based Journal, 2020s);
# at 36 hours a week that is 0.72 people a resident. Rounded up for the kitchen: an assumption.
STAFF_PER_RESIDENT = 0.75
_CARING_AGES = (18, 70)


def place_workplaces(
    home: Int[np.ndarray, " worker"],
    flows: Float[np.ndarray, "home work"],
    sizes: Sequence[tuple[int, int, float]],
    zones: Zones,
    rng: Generator,
) -> tuple[Int[np.ndarray, " worker"], Int[np.ndarray, " worker"]]:
    """Team and zone of work of each worker.

    Zones of work are drawn by `flows`; there, workplaces of sizes drawn from `sizes` (from, to,
    share of workers) are filled at random, and those of more than 20 are split into even teams,
    the group that meets. A workplace does not reach beyond its zone, so that zones with few workers
    have few large ones.

    Raises:
        DataError: workers live in a zone that no flow leaves.
    """
    work = draw_zones(home, flows, zones, rng)
    order = shuffled_by(work, len(flows), rng)
    workers = np.bincount(work, minlength=len(flows))
    teams = [team_sizes(count, sizes, rng) for count in workers.tolist() if count]
    members = np.concatenate(teams) if teams else np.zeros(0, np.int64)
    team = np.empty(len(home), np.int64)
    team[order] = np.repeat(np.arange(len(members)), members)
    return team, work


def place_care_homes(
    unit: Int[np.ndarray, " person"],
    zone: Int[np.ndarray, " person"],
    able: Bool[np.ndarray, " person"],
    age: Int[np.ndarray, " person"],
    zones: Zones,
    rng: Generator,
) -> tuple[Int[np.ndarray, " person"], Int[np.ndarray, " carer"]]:
    """Care home of residents and carers, and the rows of the carers; -1 for others.

    Args:
        unit: the care home a resident lives in; -1 for who does not.
        zone: where each lives.
        able: who may care, if of 18 to 69 years.
        age: in years.
        zones: where they are.
        rng: where chance comes from.

    Raises:
        DataError: more carers are needed than there are adults at work.
    """
    residents = np.flatnonzero(unit >= 0)
    _, first, number, people = np.unique(
        unit[residents], return_index=True, return_inverse=True, return_counts=True
    )
    care_home = np.full(len(unit), NONE, np.int32)
    care_home[residents] = number
    wanted = np.ceil(people * STAFF_PER_RESIDENT).astype(np.int64)
    place = np.repeat(np.arange(len(people)), wanted)
    adults = np.flatnonzero(able & (age >= _CARING_AGES[0]) & (age < _CARING_AGES[1]))
    posts = zone[residents[first]][place].astype(np.int64)
    carers = recruit(posts, adults, zone[adults], zones, rng, what="carers")
    care_home[carers] = place
    return care_home, carers
