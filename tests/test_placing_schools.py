"""Schools, workplaces and care homes of drawn people: near, of the right size, all seeded."""

import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population import Population
from lpm.population.places import Level
from lpm.population.placing import gravity_flows, place_people, read_flows, read_zones
from lpm.population.placing.zones import hilbert
from lpm.population.seeds import generator

LEVELS = [Level(5, 13, 25, 300, True), Level(14, 17, 27, 400, False)]
SIZES = ((1, 19, 0.3), (20, 99, 0.7))
SIDE = 6
NAMES = tuple(f"z{i:02}" for i in range(SIDE * SIDE))


def grid(parents=True):
    """Zones 2 km apart, in four parents, one per quarter of the square."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    columns = {"zone": NAMES, "x": 2.0 * x.ravel(), "y": 2.0 * y.ravel()}
    if parents:
        columns["parent"] = [f"p{i // 3}{j // 3}" for j, i in np.ndindex(SIDE, SIDE)]
    return read_zones(columns, NAMES)


def town(people=18_000, seed=0):
    """Households of three in random zones; some of the old live in quarters."""
    rng = generator(seed)
    zone = np.sort(rng.integers(0, len(NAMES), people // 3)).repeat(3)
    age = np.tile([40, 38, 11], people // 3) + rng.integers(-6, 7, people)
    age[rng.random(people) < 0.06] = 80
    outside = (age == 80) & (rng.random(people) < 0.3)
    order = np.argsort(outside, kind="stable")
    household = np.where(outside, -1, np.arange(people) // 3)[order]
    columns = {
        "age": age[order].astype(np.int8),
        "employed": ((age > 18) & (age < 70) & (rng.random(people) < 0.8))[order],
        "enrolled": ((age >= 5) & (age < 18))[order],
        "household_id": np.unique(household, return_inverse=True)[1] - 1,
        "zone_id": zone[order],
        "quarters_id": np.where(outside[order], zone[order], -1),
    }
    return Population(columns, labels={"zone_id": NAMES})


def place(population, zones, seed=1, **options):
    options = {"levels": LEVELS, "sizes": SIZES, "enrolled": "enrolled", **options}
    return place_people(population, zones, seed, **options)


@pytest.fixture(scope="module")
def placed():
    return place(town(), grid())


def groups(population, column, rows):
    ids = population[column]
    return [np.flatnonzero(rows & (ids == each)) for each in np.unique(ids[rows])]


def test_pupils_are_in_classes_of_their_school_with_one_teacher(placed):
    pupil = placed["enrolled"]
    school, classroom = placed["school_id"], placed["class_id"]
    assert np.all((school >= 0) == (classroom >= 0))
    assert np.all(classroom[pupil] >= 0)
    teacher = (classroom >= 0) & ~pupil
    assert np.array_equal(np.sort(classroom[teacher]), np.unique(classroom[pupil]))
    assert np.all(placed["age"][teacher] >= 22)
    assert np.all(placed["employed"][teacher])
    assert np.all(placed["workplace_id"][teacher] >= 0)
    for members in groups(placed, "class_id", classroom >= 0):
        assert len(set(school[members])) == 1
    assert np.bincount(classroom[pupil]).max() <= 27


def test_schools_are_of_their_size_and_stay_in_the_parent(placed):
    parent = grid().parent[placed["zone_id"]]
    pupil = placed["enrolled"]
    for low, high, size in ((5, 13, 300), (14, 17, 400)):
        rows = pupil & (placed["age"] >= low) & (placed["age"] <= high)
        sizes = np.array([len(each) for each in groups(placed, "school_id", rows)])
        wanted = [max(1, np.rint(np.sum(rows & (parent == p)) / size)) for p in range(4)]
        assert len(sizes) == sum(wanted)
    for members in groups(placed, "school_id", pupil):
        assert len(set(parent[members])) == 1


def test_brothers_and_sisters_share_the_school_of_the_neighbourhood(placed):
    rows = placed["enrolled"] & (placed["age"] < 14) & (placed["household_id"] >= 0)
    frame = pl.DataFrame({n: placed[n][rows] for n in ("household_id", "school_id")})
    homes = frame.group_by("household_id").agg(pl.len(), pl.col("school_id").n_unique())
    both = homes.filter(pl.col("len") > 1)
    # A school's border may run through a household: one household a school at most.
    split = (both["school_id"] > 1).sum() if both.height else 0
    assert split <= frame["school_id"].n_unique()


def distance_to_school(population, zones, rows):
    position = zones.position[population["zone_id"]]
    total = 0.0
    for members in groups(population, "school_id", rows):
        centre = position[members].mean(0)
        total += np.sqrt(((position[members] - centre) ** 2).sum(1)).sum()
    return total / rows.sum()


def test_schools_are_near_with_centroids_and_not_without():
    people, zones = town(), grid(parents=False)
    near = place(people, zones)
    pupil = near["enrolled"] & (near["age"] < 14)
    shuffled = generator(3).permutation(SIDE * SIDE)
    mixed = read_zones(
        {"zone": NAMES, "x": zones.position[shuffled, 0], "y": zones.position[shuffled, 1]}, NAMES
    )
    far = place(people, mixed)
    # Twenty schools share 12 x 12 km: a square of 2.7 km has its people 1 km from the middle.
    assert distance_to_school(near, zones, pupil) < 1.6
    assert distance_to_school(far, zones, pupil) > 2.3


def test_neighbours_on_the_curve_are_neighbours_on_the_map():
    position = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).reshape(-1, 2) * 1.0
    along = position[np.argsort(hilbert(position))]
    assert np.all(np.abs(np.diff(along, axis=0)).sum(1) == 1)


def test_teams_are_of_one_zone_and_at_most_twenty(placed):
    work = placed["workplace_id"] >= 0
    assert np.array_equal(work, placed["work_zone_id"] >= 0)
    assert np.all(placed["employed"][work])
    assert np.bincount(placed["workplace_id"][work]).max() <= 20
    for members in groups(placed, "workplace_id", work & (placed["class_id"] < 0))[:300]:
        assert len(set(placed["work_zone_id"][members])) == 1
    frame = placed.frame()
    assert frame["work_zone_id"].null_count() == np.sum(~work)


def test_workers_follow_the_flows():
    zones = grid()
    table = {
        "home": np.repeat(NAMES, 2),
        "work": np.array([(name, "z07") for name in NAMES]).ravel(),
        "count": np.tile([3, 1], len(NAMES)),
    }
    flows = read_flows(table, zones)
    people = place(town(), zones, flows=flows)
    worker = (people["workplace_id"] >= 0) & (people["class_id"] < 0) & (people["care_home_id"] < 0)
    worker &= people["zone_id"] != 7
    share = np.mean(people["work_zone_id"][worker] == 7)
    assert share == pytest.approx(0.25, abs=5 * np.sqrt(0.19 / worker.sum()))
    there = people["work_zone_id"][worker] == people["zone_id"][worker]
    assert np.mean(there) == pytest.approx(1 - share)


def test_the_gravity_rule_falls_off_with_distance_and_knows_jobs():
    zones = grid()
    jobs = np.ones(len(NAMES))
    jobs[35] = 50
    flows = gravity_flows(zones, jobs, scale=3, exponent=2)
    np.testing.assert_allclose(flows.sum(1), 1)
    near, far = flows[0, 1], flows[0, 4]
    assert near / far == pytest.approx((1 + (8 / 3) ** 2) / (1 + (2 / 3) ** 2))
    assert flows[0, 35] / flows[0, 5 * SIDE + 4] > 40
    plain = gravity_flows(
        read_zones({"zone": ["a", "b"], "parent": [1, 1]}, ["a", "b"]), np.ones(2)
    )
    np.testing.assert_allclose(plain, 0.5)
    alone = gravity_flows(read_zones({"zone": ["a", "b"]}, ["a", "b"]), np.ones(2))
    np.testing.assert_allclose(alone, np.eye(2))


def test_care_homes_have_residents_and_staff_of_working_age(placed):
    home, quarters, age = placed["care_home_id"], placed["quarters_id"], placed["age"]
    resident = (quarters >= 0) & (age >= 65)
    assert np.all(home[resident] >= 0)
    staff = (home >= 0) & ~resident
    assert np.all(placed["employed"][staff])
    assert np.all((age[staff] >= 18) & (age[staff] < 70))
    for each in np.unique(home[resident]):
        people = np.sum(resident & (home == each))
        assert np.sum(staff & (home == each)) == np.ceil(0.75 * people)
    assert np.all(placed["workplace_id"][staff] >= 0)
    assert np.all(placed["class_id"][staff] == -1)


def test_same_seed_same_places_and_columns_stay(placed):
    again = place(town(), grid())
    assert again.fingerprint == placed.fingerprint
    assert place(town(), grid(), seed=2).fingerprint != placed.fingerprint
    assert placed.arrays()["age"].dtype == np.int8
    assert placed.columns[:3] == ("age", "employed", "enrolled")


def test_shipped_shares_and_sizes_stand_in_for_what_is_not_given():
    people = place_people(town(), grid(), 0)
    pupil = (people["class_id"] >= 0) & (people["age"] < 18)
    assert 0.9 < pupil.sum() / people["enrolled"].sum() < 1


def test_too_few_teachers_are_told_with_their_number():
    people = town(900)
    only = {n: people[n] for n in people.columns} | {"employed": people["age"] == 41}
    few = Population(only, labels=people.labels)
    with pytest.raises(DataError, match=r"2\d\d teachers are needed.* has \d+ employed adults"):
        place(few, grid(), levels=[Level(5, 17, 1, 50, True)])


def test_a_parent_short_of_teachers_gets_them_from_others():
    people, zones = town(), grid()
    only = people["employed"] & (zones.parent[people["zone_id"]] != 0)
    some = Population(
        {n: people[n] for n in people.columns} | {"employed": only}, labels=people.labels
    )
    placed = place(some, zones)
    teacher = (placed["class_id"] >= 0) & ~placed["enrolled"]
    assert np.array_equal(
        np.sort(placed["class_id"][teacher]), np.unique(placed["class_id"][placed["enrolled"]])
    )


def test_bad_zones_and_flows_are_refused():
    zones = grid()
    table = {"home": ["z00", "x"], "work": ["z01", "z02"], "count": [1, 1]}
    with pytest.raises(DataError, match=r"flows name zones \[x\] that the population does not"):
        read_flows(table, zones)
    with pytest.raises(DataError, match=r"flows have count -1\.0 in row 0"):
        read_flows({"home": ["z00"], "work": ["z01"], "count": [-1]}, zones)
    with pytest.raises(DataError, match=r"flows has no column \[count\]"):
        read_flows({"home": ["z00"], "work": ["z01"]}, zones)
    one = read_flows({"home": ["z00"], "work": ["z01"], "count": [1]}, zones)
    with pytest.raises(DataError, match=r"live in zones \[z01, z02, .*\], but no flow leaves them"):
        place(town(900), zones, flows=one)
    with pytest.raises(DataError, match=r"zones lacks \[b\] and has \[a\] more than once"):
        read_zones({"zone": ["a", "a"]}, ["a", "b"])
    with pytest.raises(DataError, match="zone b has no x or y"):
        read_zones({"zone": ["a", "b"], "x": [1.0, None], "y": [1.0, 2.0]}, ["a", "b"])
    with pytest.raises(DataError, match="zones are not those of the population"):
        place(town(900), read_zones({"zone": ["a"]}, ["a"]))
    with pytest.raises(DataError, match=r"population has no column \[at_school\]"):
        place(town(900), zones, enrolled="at_school")
    with pytest.raises(DataError, match="column 'age' holds codes; give a yes or no column"):
        place(town(900), zones, employed="age")
    with pytest.raises(DataError, match=r"'zone_id' holds codes, of \[z00, z01, .*; give a yes"):
        place(town(900), zones, enrolled="zone_id")
    with pytest.raises(DataError, match=r"cared_for has 3 values for 900 people"):
        place(town(900), zones, cared_for=[True] * 3)
    with pytest.raises(DataError, match=r"scale 0 km and exponent 2.0 must be above 0"):
        gravity_flows(zones, np.ones(36), scale=0)
    with pytest.raises(DataError, match="jobs needs a number of 0 or more for each of 36 zones"):
        gravity_flows(zones, -np.ones(36))


def test_degrees_become_kilometres():
    zones = read_zones(
        {"zone": ["a", "b"], "longitude": [0.0, 0.0], "latitude": [40.0, 41.0]}, "ab"
    )
    assert zones.distance()[0, 1] == pytest.approx(111.195)
    assert zones.distance()[0, 0] == pytest.approx(111.195 / 2)
