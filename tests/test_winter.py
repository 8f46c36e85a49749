"""The winter scenario against the chances that its hazards and stays imply."""

import numpy as np
import pytest

import lpm
from lpm import Graph, Population
from scenarios.winter import scenario

PAIRS = 4_000
QUIET = {"school": 0.0, "work": 0.0, "care": 0.0, "friends": 0.0, "doses": 0.0, "closure": 0.0}


@pytest.fixture(scope="module")
def pairs() -> Population:
    """Homes of two of one age, and nobody else to meet."""
    count = 2 * PAIRS
    alone = np.full(count, -1)
    people = Population(
        {
            "age": np.repeat(np.resize([2, 10, 30, 60, 80], PAIRS), 2),
            "household_id": np.repeat(np.arange(PAIRS), 2),
            **dict.fromkeys(("class_id", "workplace_id", "care_home_id"), alone),
        }
    )
    nobody = np.zeros(0, int)
    return people.connect("friends", Graph(nobody, nobody, num_agents=count))


def test_housemates_are_infected_with_the_chance_of_geometric_stays(pairs):
    severity = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    params = scenario.params.replace(**QUIET, home=0.3, seeded=0.1, severity=severity)
    run = lpm.simulate(scenario, pairs, key=1, params=params, snapshots=[0], devices=1)
    assert run.state is not None
    seeds = np.asarray(run.snapshots[0].exposed).reshape(PAIRS, 2)
    ever = 1 - np.asarray(run.state.susceptible).reshape(PAIRS, 2)
    one = seeds.sum(axis=1) == 1
    # Infectious for N days, geometric with mean 1 / r: the other escapes with exp(-0.3 N).
    r, escape = 1 - np.exp(-1 / 3.8), np.exp(-0.3)
    expected = 1 - r * escape / (1 - (1 - r) * escape)
    share = ever[one].sum(axis=1).mean() - 1
    error = np.sqrt(expected * (1 - expected) / one.sum())
    assert abs(share - expected) < 3.5 * error  # Fails by chance 1 time in 2,000.
    assert not ever[seeds.sum(axis=1) == 0].any()
    infected = ever.reshape(-1, 5, 2).sum(axis=(0, 2))
    chance = 0.67 * severity
    taken = run.observed["admitted_by_age"][-1] - infected * chance
    assert (np.abs(taken) < 3.5 * np.sqrt(infected * chance * (1 - chance))).all()
    assert run.observed["admitted"][-1] == run.observed["admitted_by_age"][-1].sum()


def test_the_oldest_are_vaccinated_first_and_those_who_refuse_never(pairs):
    params = scenario.params.replace(**QUIET | {"doses": 0.01}, home=0.0)
    run = lpm.simulate(scenario, pairs, key=2, params=params, steps=10, devices=1)
    assert run.state is not None
    age, given = pairs.host("age"), np.asarray(run.state.dosed) >= 0
    assert given[age < 80].sum() == 0
    assert run.observed["vaccinated"][-1] == pytest.approx(0.1, abs=0.015)
    later = lpm.simulate(scenario, pairs, key=2, params=params, steps=100, devices=1)
    assert later.observed["vaccinated"][-1] == pytest.approx(0.6, abs=0.02)


def test_closed_schools_are_schools_where_nobody_is_infected():
    town = scenario.population(600, seed=2)
    closed = scenario.params.replace(seeded=0.1, closure=1.0, closure_start=0.0, closure_end=99.0)
    none = scenario.params.replace(seeded=0.1, closure=0.0, school=0.0)
    runs = [lpm.simulate(scenario, town, key=3, params=p, steps=20) for p in (closed, none)]
    assert np.array_equal(*(run.observed["attack_rate"] for run in runs))


def test_the_mean_field_is_refused(pairs):
    with pytest.raises(lpm.ScenarioError, match="has no mean field"):
        lpm.simulate(scenario, pairs, key=0, steps=2, estimator="mean_field")
