"""A part of a city keeps the sizes of its groups; naive thinning does not."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lpm.errors import DataError
from lpm.graphs import random_graph
from lpm.networks import Graph
from lpm.population import Population, new_york
from lpm.population.places import TEAM
from lpm.population.placing import place_people, read_zones, tie_friends
from lpm.population.regroup import fill, refill
from lpm.population.rewire import match, rewire
from lpm.population.seeds import generator
from lpm.population.subsample import subsample

NAMES = tuple(f"z{i:02}" for i in range(12))
GROUPS = ("household_id", "class_id", "workplace_id")
# Groups are compared by the sizes people find themselves in, in these classes.
SIZES = (1, 2, 3, 4, 5, 7, 10, 15, 19, 23, 27)


@pytest.fixture(scope="module")
def city():
    city = new_york(100_000, seed=2)
    return city.connect("friends", random_graph(city, degree=8, seed=1))


@pytest.fixture(scope="module")
def part(city):
    return subsample(city, 0.1, 3, zone="borough", work_zone="work_borough")


def placed_town(people=12_000):
    """A small town with care homes and friends, placed in twelve zones."""
    rng = generator(5)
    zone = np.sort(rng.integers(0, 12, people // 3)).repeat(3)
    age = np.tile([40, 38, 11], people // 3) + rng.integers(-6, 7, people)
    outside = rng.random(people) < 0.03
    age[outside] = 80
    household = np.unique(np.where(outside, -1, np.arange(people) // 3), return_inverse=True)[1] - 1
    columns = {
        "age": age.astype(np.int8),
        "employed": (age > 18) & (age < 70),
        "household_id": household,
        "zone_id": zone,
        "quarters_id": np.where(outside, zone, -1),
    }
    town = Population(columns, labels={"zone_id": NAMES})
    zones = read_zones({"zone": NAMES, "parent": [n[1] for n in NAMES]}, NAMES)
    town = place_people(town, zones, 1)
    return town.connect("friends", tie_friends(town, zones, 2))


@pytest.fixture(scope="module")
def town():
    return placed_town()


@pytest.fixture(scope="module")
def fifth(town):
    return subsample(town, 0.2, 0)


def sizes_met(population, column):
    """Share of people by the size of the group they are in; 0 for none."""
    group = population.host(column)
    size = np.where(group >= 0, np.bincount(group[group >= 0])[group], 0)
    return np.bincount(np.digitize(size, SIZES), minlength=len(SIZES) + 1) / population.size


def distance(one, other, column):
    return np.abs(sizes_met(one, column) - sizes_met(other, column)).sum() / 2


def thinned(population, share, seed):
    """The naive way: people one by one."""
    rows = np.flatnonzero(generator(seed).random(population.size) < share)
    return Population({name: population.host(name)[rows] for name in population.columns})


def test_sizes_of_groups_stay_and_naive_thinning_fails(city, part):
    assert part.size == pytest.approx(0.1 * city.size, rel=0.01)
    naive = thinned(city, 0.1, 0)
    # Ten thousand people in a few hundred classes and teams, a tenth of which differ in size.
    for column, most in zip(GROUPS, (0.02, 0.15, 0.12), strict=True):
        assert distance(city, part, column) < most
        assert distance(city, naive, column) > most


def test_contacts_by_setting_stay_and_naive_thinning_fails(city, part):
    naive = thinned(city, 0.1, 0)
    for column, within in zip(GROUPS, (0.01, 0.08, 0.05), strict=True):
        whole, mine, theirs = (
            float(people.contact_counts(column, np.zeros(people.size, int), 1)[0, 0])
            for people in (city, part, naive)
        )
        assert mine == pytest.approx(whole, rel=within)
        assert theirs < 0.3 * whole


def test_whole_households_are_kept(city, part):
    key = pl.concat_str("age", "sex", "borough", "employed", separator=" ").alias("who")
    order = ("household_id", "age", "sex", "employed")
    homes = []
    for people in (city, part):
        inside = people.frame().sort(order).filter(pl.col("household_id") >= 0)
        who = inside.group_by("household_id", maintain_order=True).agg(key)["who"]
        homes.append(set(who.list.join(";")))
    assert homes[1] <= homes[0]


def test_classes_are_of_one_school_and_of_an_age(city, part):
    frame = part.frame().filter(pl.col("class_id") >= 0)
    assert frame.group_by("class_id").agg(pl.col("school_id").n_unique())["school_id"].max() == 1
    pupils = frame.filter(pl.col("age").is_between(6, 13))
    spread = pupils.group_by("class_id").agg(pl.col("age").max() - pl.col("age").min())["age"]
    assert spread.mean() < 0.5
    grown = frame.filter(pl.col("age") >= 35).group_by("class_id").len()["len"]
    assert grown.mean() == pytest.approx(1, abs=0.35)


def test_degrees_stay(city, part):
    before, after = (np.asarray(people.network("friends").degree()) for people in (city, part))
    assert after.mean() == pytest.approx(before.mean(), abs=0.1)
    assert after.std() == pytest.approx(before.std(), abs=0.1)


def test_carers_and_teachers_keep_a_team_of_their_own(town, fifth):
    frame = fifth.frame()
    assert (
        frame["workplace_id"].max() + 1
        == frame.filter(pl.col("workplace_id") >= 0)["workplace_id"].n_unique()
    )
    for people in (town, fifth):
        rows = people.frame().filter(pl.col("care_home_id") >= 0)
        per_home = rows.group_by("care_home_id").agg(
            residents=(pl.col("quarters_id") >= 0).sum(), carers=(pl.col("quarters_id") < 0).sum()
        )
        assert per_home["residents"].min() > 0
        assert per_home["carers"].sum() / per_home["residents"].sum() == pytest.approx(
            0.76, abs=0.15
        )
    teams = frame.filter(pl.col("workplace_id") >= 0).group_by("workplace_id")
    assert teams.agg(pl.col("work_zone_id").n_unique())["work_zone_id"].max() == 1
    assert teams.len()["len"].max() <= 1.5 * TEAM
    staff = frame.filter((pl.col("care_home_id") >= 0) & (pl.col("workplace_id") >= 0))
    assert (
        staff.group_by("workplace_id").agg(pl.col("care_home_id").n_unique())["care_home_id"].max()
        == 1
    )


def test_friends_stay_of_an_age_and_zone(town, fifth):
    def likeness(people):
        graph = people.network("friends")
        near = np.asarray(graph.neighbours)
        mine, column = np.nonzero(near < people.capacity)
        theirs = near[mine, column]
        age, zone = people.host("age"), people.host("zone_id")
        apart = np.abs(age[mine] - age[theirs]).mean()
        return apart, np.mean(zone[mine] == zone[theirs])

    before, after = likeness(town), likeness(fifth)
    assert after[0] < 1.3 * before[0] + 1
    assert after[1] > 0.7 * before[1]


def test_same_seed_same_part(town, fifth):
    assert subsample(town, 0.2, 0).fingerprint == fifth.fingerprint
    assert subsample(town, 0.2, 1).fingerprint != fifth.fingerprint
    assert fifth.arrays()["age"].dtype == np.int8
    assert fifth.labels == town.labels


def test_all_of_a_city_is_the_city(town):
    whole = subsample(town, 1, 0)
    assert whole.size == town.size
    assert np.array_equal(whole["household_id"], town["household_id"])
    for column in ("class_id", "workplace_id"):
        assert distance(town, whole, column) < 0.01
    assert np.array_equal(whole.network("friends").degree(), town.network("friends").degree())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(0, 200))
def test_filled_groups_hold_everybody_in_proportion(sizes, members):
    sizes = np.array(sizes)
    at = fill(sizes, members)
    assert len(at) == members
    if sizes.sum():
        filled = np.bincount(at, minlength=len(sizes))
        assert np.all(np.abs(filled - sizes * members / sizes.sum()) <= 1)


@given(st.integers(0, 1000), st.floats(0.05, 1.0))
def test_refilled_groups_hold_those_who_had_one(seed, share):
    rng = generator(seed)
    group = rng.integers(-1, 15, 120)
    kept = np.flatnonzero(rng.random(120) < share)
    new, taken = refill(group, np.arange(15), np.zeros(120, bool), kept, share, rng)
    assert np.array_equal(new >= 0, group[kept] >= 0)
    assert len(taken) == len(set(taken)) == max(1, round(len(set(group[group >= 0])) * share))


@given(st.integers(0, 1000))
def test_matched_stubs_are_what_each_other_wants(seed):
    rng = generator(seed)
    have, want = rng.integers(0, 4, (2, 60))
    one, other = match(have, want, rng)
    assert np.array_equal(have[one], want[other])
    assert np.array_equal(want[one], have[other])
    both = np.concatenate([one, other])
    assert len(set(both)) == len(both)


def test_ties_among_those_who_stay_stay():
    one, other = np.array([0, 1, 2, 3]), np.array([1, 0, 3, 2])
    new = np.array([0, 1, 2, -1])
    zero = np.zeros(4, int)
    found = rewire((one, other), new, zero, zero, generator(0))
    assert (found[0].tolist(), found[1].tolist()) == ([0], [1])


def test_bad_shares_and_ties_are_refused(town):
    with pytest.raises(DataError, match=r"share is 1.5; it is a part of the people"):
        subsample(town, 1.5, 0)
    with pytest.raises(DataError, match=r"population has no column \[years\]"):
        subsample(town, 0.5, 0, age="years")
    weighted = Graph(np.array([0]), np.array([1]), num_agents=town.capacity, weight=np.ones(1))
    with pytest.raises(DataError, match="ties have weights, which are not read back"):
        subsample(town.connect("money", weighted), 0.5, 0)
    alone = Population({"age": [1, 2], "household_id": [0, 0], "care_home_id": [0, 0]})
    with pytest.raises(DataError, match="care_home_id needs quarters_id"):
        subsample(alone, 0.5, 0)
