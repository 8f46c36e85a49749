"""Invent the files of the example recipe: `python -m lpm.population.invent_example DIR`.

A whole valley of made-up people is drawn from the tables below. One home in twenty or so answers a
survey with replicate weights, and tables are published with the errors of a sample of one in six.
Nothing here describes a real place. Chance is Python's `random()` alone, whose numbers are the same
in every version, and all that is written is whole, so that the files come out byte for byte.
"""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeAlias

Row: TypeAlias = Sequence[int | float | str]

SEED = 20
ZONES = (  # Zone, name, district, x and y in km, homes, residents of care homes and of hostels.
    ("H1", "Quay", "Harbour", 0.0, 0.0, 820, 0, 0),
    ("H2", "Market", "Harbour", 0.8, 0.3, 900, 0, 220),
    ("H3", "Old Town", "Harbour", 0.3, 0.9, 760, 64, 0),
    ("H4", "Station", "Harbour", 1.2, -0.5, 700, 0, 0),
    ("R1", "Mill Lane", "Riverside", 2.5, 1.0, 840, 0, 0),
    ("R2", "Orchard", "Riverside", 3.2, 0.2, 930, 90, 0),
    ("R3", "Meadow", "Riverside", 2.8, 2.1, 780, 0, 0),
    ("R4", "Weir", "Riverside", 3.9, 1.3, 650, 0, 140),
    ("U1", "Stonebridge", "Uplands", 6.0, 4.5, 610, 48, 0),
    ("U2", "Larch", "Uplands", 7.5, 3.2, 420, 0, 0),
    ("U3", "High Moor", "Uplands", 8.1, 5.6, 330, 38, 0),
    ("U4", "Ford", "Uplands", 5.2, 6.9, 380, 0, 0),
)
# Per district: single, single and old, couple, old couple, family, one parent, shared, and three
# generations (weights); share of owners; factor on earnings; jobs for each who works there.
DISTRICTS = {
    "Harbour": ((24, 12, 16, 7, 17, 7, 14, 3), 0.40, 0.95, 1.5),
    "Riverside": ((9, 11, 18, 12, 34, 8, 3, 5), 0.70, 1.10, 0.8),
    "Uplands": ((5, 16, 16, 22, 28, 5, 1, 7), 0.80, 1.00, 0.6),
}
# From this age on: share who work, of those who do not learn, and share who learn.
BY_AGE = (
    (0, 0.00, 0.00), (3, 0.00, 0.70), (5, 0.00, 1.00), (16, 0.60, 0.97), (17, 0.65, 0.80),
    (19, 0.75, 0.40), (23, 0.83, 0.08), (30, 0.85, 0.00), (55, 0.68, 0.00), (65, 0.16, 0.00),
    (70, 0.03, 0.00),
)  # fmt: skip
OUTSIDE = ("care home", "hostel")
AGES, SIZES, INCOMES = (0, 5, 16, 25, 45, 65, 80), (1, 2, 3, 4, 5), (0, 20_000, 40_000, 70_000)
REPLICATES, EVERY, ANSWER = 20, 16, (0.70, 0.80, 0.85, 0.88, 0.85)  # Answers by size of home.
PUBLISHED = 5  # A table of one in six has the variance of 6 - 1 times a count.


class Person(NamedTuple):
    """Somebody, as the survey codes it: sex 1 or 2 (women), yes 1 and no 2."""

    age: int
    sex: int
    work: int
    tele: int
    learn: int
    income: int


class Home(NamedTuple):
    """A home, or one person in a care home or hostel."""

    zone: int
    kind: str
    tenure: str
    people: tuple[Person, ...]

    @property
    def income(self) -> int:
        """Of all who live here."""
        return sum(person.income for person in self.people)


class Chance(Random):
    """Draws made of `random()` alone."""

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self.random() * (max(high, low) - low + 1))

    def pick(self, weights: Sequence[float | int]) -> int:
        """Which of several, by weight."""
        left = self.random() * sum(weights)
        for i, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return i
        return len(weights) - 1

    def noise(self) -> float:
        """Nearly a standard normal: twelve uniforms."""
        return sum(self.random() for _ in range(12)) - 6


def invent(folder: Path) -> None:
    """Write zones, flows, survey and totals to a folder."""
    chance = Chance(SEED)
    homes = [home for zone in range(len(ZONES)) for home in settle(zone, chance)]
    rows = [(z, name, d, "valley", x, y) for z, name, d, x, y, *_ in ZONES]
    _write(folder / "zones.csv", ("zone", "name", "district", "area", "x", "y"), rows)
    _write(folder / "flows.csv", ("home", "work", "count"), commute(homes))
    survey(homes, chance, folder)
    header = ("zone", "control", "target", "error")
    _write(folder / "zone_totals.csv", header, publish_zones(homes, chance))
    _write(folder / "district_totals.csv", header, publish_districts(homes, chance))


def settle(zone: int, chance: Chance) -> list[Home]:
    """Everybody in a zone: homes, then care homes and hostels one by one."""
    district = ZONES[zone][2]
    mix, owners, pay, _ = DISTRICTS[district]
    found = []
    for _ in range(ZONES[zone][5]):
        kind = chance.pick(mix)
        ages = live_together(kind, chance)
        people = tuple(person(age, sex, pay, chance) for age, sex in ages)
        owned = owners if kind != 6 and ages[0][0] >= 30 else owners / 3
        found.append(Home(zone, "home", "own" if chance.random() < owned else "rent", people))
    for kind, number, ages, women in (
        ("care home", ZONES[zone][6], (72, 98), 0.7),
        ("hostel", ZONES[zone][7], (18, 24), 0.5),
    ):
        for _ in range(number):
            sex = 2 if chance.random() < women else 1
            one = person(chance.between(*ages), sex, 0.4, chance)
            one = one if kind == "hostel" else one._replace(work=2, tele=2)
            found.append(Home(zone, kind, "", (one,)))
    return found


def live_together(kind: int, chance: Chance) -> list[tuple[int, int]]:
    """Age and sex of each member of a kind of home; see `DISTRICTS`."""
    low, high = ((20, 64), (65, 94), (22, 64), (62, 90), (25, 50), (24, 50), (19, 32), (32, 52))[
        kind
    ]
    first = chance.between(low, high)
    sex = 2 if chance.random() < (0.52, 0.66, 0.5, 0.5, 0.5, 0.85, 0.5, 0.5)[kind] else 1
    found = [(first, sex)]
    if kind in (2, 3, 4, 7):
        other = sex if kind != 3 and chance.random() < 0.04 else 3 - sex
        found.append((max(18, first + chance.between(-4, 4)), other))
    if kind == 6:
        housemates = 1 + chance.pick((45, 35, 20))
        found += [(chance.between(19, 32), chance.between(1, 2)) for _ in range(housemates)]
    if kind in (4, 5, 7):
        children = 1 + chance.pick((42, 40, 14, 4) if kind != 5 else (60, 30, 10))
        oldest = min(first - 20, 22)
        found += [(chance.between(0, oldest), chance.between(1, 2)) for _ in range(children)]
    if kind == 7:
        found.append((first + chance.between(22, 32), 2 if chance.random() < 0.65 else 1))
    return found


def person(age: int, sex: int, pay: float, chance: Chance) -> Person:
    """Somebody of an age and sex, with work, school and income."""
    _, working, learning = max(row for row in BY_AGE if row[0] <= age)
    learns = chance.random() < learning
    works = chance.random() < working * (0.35 if learns else 1)
    u = chance.random()
    if works:
        few = u * u * u
        earned = pay * (14_000 + 30_000 * u + 60_000 * few * few) * (0.35 if learns else 1)
    else:
        earned = 8_000 + 14_000 * u if age >= 65 else 9_000 * u * u if age >= 18 else 0
    at_home = works and not learns and chance.random() < 0.12
    return Person(age, sex, 2 - works, 2 - at_home, 2 - learns, round(earned / 100) * 100)


def survey(homes: Sequence[Home], chance: Chance, folder: Path) -> None:
    """Write `households.csv` and `persons.csv`: one in twenty, weighted by kind and size."""
    asked = [home for i, home in enumerate(homes) if (i + 5) % EVERY == 0]
    answers = [
        home
        for home in asked
        if chance.random() < (0.8 if home.kind != "home" else ANSWER[min(len(home.people), 5) - 1])
    ]
    of, given = Counter(map(_stratum, homes)), Counter(map(_stratum, answers))
    kept = replicate_factors(len(answers))
    households, persons = [], []
    for i, home in enumerate(answers):
        weight = round(of[_stratum(home)] / given[_stratum(home)])
        replicates = [round(weight * factor) for factor in kept[i]]
        about = (home.kind, home.tenure, len(home.people), home.income)
        households.append((i, "valley", *about, weight, *replicates))
        for line, one in enumerate(home.people, 1):
            persons.append((i, line, home.kind, *one))
    names = [f"W{r}" for r in range(1, REPLICATES + 1)]
    header = ("HOME", "AREA", "TYPE", "TENURE", "SIZE", "HINC", "W", *names)
    _write(folder / "households.csv", header, households)
    header = ("HOME", "LINE", "PLACE", "AGE", "SEX", "WORK", "TELE", "LEARN", "INC")
    _write(folder / "persons.csv", header, persons)


def replicate_factors(records: int) -> list[list[float]]:
    """Factors on the weights by successive differences: 1.7, 1 or 0.3.

    Source: Fay & Train (1995), with Paley's Hadamard matrix of order 20.
    """
    squares = {i * i % 19 for i in range(1, 19)}
    rows = [
        [1, *(1 if j == i or (j - i) % 19 in squares else -1 for j in range(19))] for i in range(19)
    ]
    half = 1 / math.sqrt(8)
    return [
        [1 + half * (a - b) for a, b in zip(rows[i % 19], rows[(i + 1) % 19], strict=True)]
        for i in range(records)
    ]


def publish_zones(homes: Sequence[Home], chance: Chance) -> list[Row]:
    """Totals of every zone: registers' without error, and tables whose parts make up a whole."""
    rows: list[Row] = []
    for zone, (name, *_) in enumerate(ZONES):
        here = [home for home in homes if home.zone == zone]
        lived = [home for home in here if home.kind == "home"]
        people = [one for home in here for one in home.people]
        women = sum(one.sex == 2 for one in people)
        known = round(len(people) * (1 + 0.01 * chance.noise()))
        rows.append((name, "homes", len(lived), 0))
        rows += [(name, kind, sum(h.kind == kind for h in here), 0) for kind in OUTSIDE]
        rows.append((name, "people", known, round(0.01 * known)))
        for whole, table in (
            (len(lived), _bands("size", SIZES, [len(home.people) for home in lived])),
            (len(lived), [(t, sum(home.tenure == t for home in lived)) for t in ("own", "rent")]),
            (len(lived), _bands("income", INCOMES, [home.income for home in lived])),
            (known, _bands("age", AGES, [one.age for one in people])),
            (known, [("men", len(people) - women), ("women", women)]),
        ):
            rows += [(name, *row) for row in published(whole, table, chance)]
    return rows


def publish_districts(homes: Sequence[Home], chance: Chance) -> list[Row]:
    """Men and women at work in every district."""
    rows: list[Row] = []
    for district in DISTRICTS:
        here = [home for home in homes if ZONES[home.zone][2] == district]
        for sex, name in ((1, "men at work"), (2, "women at work")):
            count = sum(one.work == 1 and one.sex == sex for home in here for one in home.people)
            error = math.sqrt(PUBLISHED * count)
            rows.append((district, name, round(count + error * chance.noise()), round(error)))
    return rows


def published(whole: int, table: Sequence[tuple[str, int]], chance: Chance) -> list[Row]:
    """Parts of a whole with the noise of a sample, brought to the whole, and their errors."""
    people = sum(count for _, count in table)
    errors = [
        math.sqrt(PUBLISHED * max(n, 1) * (1 - min(n, people - 1) / people)) for _, n in table
    ]
    noisy = [
        max(0.0, count + error * chance.noise())
        for (_, count), error in zip(table, errors, strict=True)
    ]
    scaled = [value * whole / sum(noisy) for value in noisy]
    found = [int(value) for value in scaled]
    largest = sorted(range(len(table)), key=lambda i: found[i] - scaled[i])
    for i in largest[: whole - sum(found)]:
        found[i] += 1
    return [
        (name, n, round(error)) for (name, _), n, error in zip(table, found, errors, strict=True)
    ]


def commute(homes: Sequence[Home]) -> list[Row]:
    """Workers who go out, by zone of home and of work: jobs over a power of distance."""
    out = [0] * len(ZONES)
    for home in homes:
        out[home.zone] += sum(one.work == 1 and one.tele == 2 for one in home.people)
    rows: list[Row] = []
    for i, home in enumerate(ZONES):
        pull = []
        for j, work in enumerate(ZONES):
            across, along = home[3] - work[3], home[4] - work[4]
            apart = 0.25 if i == j else across * across + along * along
            pull.append(out[j] * DISTRICTS[work[2]][3] / (1 + apart / 9))
        share = out[i] / sum(pull)
        rows += [(home[0], ZONES[j][0], round(share * p)) for j, p in enumerate(pull)]
    return rows


def _bands(what: str, lows: Sequence[int], values: Sequence[int]) -> list[tuple[str, int]]:
    """How many values there are from each lower end up to the next."""
    counts = [0] * len(lows)
    for value in values:
        counts[max(i for i, low in enumerate(lows) if low <= value)] += 1
    return [(f"{what} {low}", count) for low, count in zip(lows, counts, strict=True)]


def _stratum(home: Home) -> tuple[str, int]:
    return home.kind, min(len(home.people), 5)


def _write(path: Path, header: Row, rows: Sequence[Row]) -> None:
    lines = [",".join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    invent(Path(sys.argv[1]))
