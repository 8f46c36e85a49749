"""Friendship ties: how many, between whom, how far apart."""

from dataclasses import replace

import numpy as np
import pytest

from lpm.errors import DataError
from lpm.graphs import random_graph
from lpm.population import Population
from lpm.population.placing import read_zones, tie_friends
from lpm.population.placing.friends import YOUNGEST, pair_up
from lpm.population.seeds import generator

NAMES = tuple(f"z{i:02}" for i in range(30))


@pytest.fixture(scope="module")
def zones():
    rng = generator(2)
    return read_zones(
        {"zone": NAMES, "x": rng.uniform(0, 40, 30), "y": rng.uniform(0, 40, 30)}, NAMES
    )


@pytest.fixture(scope="module")
def people():
    rng = generator(1)
    columns = {"age": rng.integers(0, 90, 20_000), "zone_id": np.sort(rng.integers(0, 30, 20_000))}
    return Population(columns, labels={"zone_id": NAMES}, capacity=20_100)


def ends(graph):
    rows, column = np.nonzero(np.asarray(graph.neighbours) < graph.num_agents)
    one = [rows, np.asarray(graph.owner).repeat(graph.extra.shape[1])]
    far = np.asarray(graph.extra).ravel()
    other = [np.asarray(graph.neighbours)[rows, column], far]
    one, other = np.concatenate(one), np.concatenate(other)
    there = other < graph.num_agents
    return one[there], other[there]


def test_degrees_are_negative_binomial_of_the_mean_asked(people, zones):
    graph = tie_friends(people, zones, 3, degree=6, shape=2)
    degree = np.asarray(graph.degree())[: people.size]
    old = people.host("age") >= YOUNGEST
    assert degree[~old].max() == 0
    # Five standard errors of the mean are 0.18; ties that repeat cost up to 1 %.
    assert degree[old].mean() == pytest.approx(6, abs=0.25)
    assert degree[old].var() == pytest.approx(6 + 36 / 2, rel=0.1)
    assert np.asarray(graph.degree())[people.size :].max() == 0


def test_friends_are_of_an_age_and_near(people, zones):
    age, zone = people.host("age"), people.host("zone_id")
    distance = zones.distance()
    one, other = ends(tie_friends(people, zones, 3, years=4))
    assert (age[one] - age[other]).std() == pytest.approx(4 * np.sqrt(2), rel=0.05)
    by_chance = ends(random_graph(people, degree=8, seed=0))
    assert (age[by_chance[0]] - age[by_chance[1]]).std() > 30
    near = distance[zone[one], zone[other]].mean()
    assert near < distance[zone[by_chance[0]], zone[by_chance[1]]].mean() * 0.6
    further = ends(tie_friends(people, zones, 3, scale=20))
    assert distance[zone[further[0]], zone[further[1]]].mean() > near * 1.2


def test_same_seed_same_friends(people, zones):
    one, two, other = (
        people.connect("friends", tie_friends(people, zones, seed)).fingerprint
        for seed in (1, 1, 2)
    )
    assert one == two != other


def test_without_centroids_friends_are_of_one_parent(people):
    parent = [f"p{i % 3}" for i in range(30)]
    zones = read_zones({"zone": NAMES, "parent": parent}, NAMES)
    zone = people.host("zone_id")
    one, other = ends(tie_friends(people, zones, 3))
    # The last of one parent may meet the first of the next.
    same = zones.parent[zone[one]] == zones.parent[zone[other]]
    assert np.mean(same) > 0.999


def test_nobody_befriends_themselves():
    meetings = np.array([5, 5, 7, 7, 7, 8, 9], np.uint64)
    one, other = pair_up(meetings)
    assert np.all(one != other)
    assert len(one) == 3
    assert sorted([*one, *other]) == [5, 5, 7, 7, 7, 8]


def test_zones_in_another_order_than_the_people_s_are_refused(people, zones):
    turned = replace(zones, names=zones.names[::-1])
    with pytest.raises(DataError, match="zones are not those of the population; read them with"):
        tie_friends(people, turned, 0)


def test_bad_numbers_are_refused(people, zones):
    with pytest.raises(DataError, match=r"degree 0, shape 2.0 and years 5.0 must be above 0"):
        tie_friends(people, zones, 0, degree=0)
    with pytest.raises(DataError, match=r"population has no column \[years\]"):
        tie_friends(people, zones, 0, age="years")
