"""What scenarios/sir.py says of itself, measured from its own step."""

import numpy as np
import pytest

import lpm
from scenarios import sir

PAIRS = 10_000


@pytest.fixture(scope="module")
def couples():
    """Households of two, nobody at work."""
    people = np.arange(2 * PAIRS, dtype=np.int32)
    return lpm.Population({"household_id": people // 2, "workplace_id": np.full_like(people, -1)})


def init_one_of_each(population, params, draw):
    infectious = np.arange(population.capacity) % 2
    return sir.State.of(
        population,
        home=population.groups("household_id"),
        work=population.groups("workplace_id"),
        susceptible=1 - infectious,
        infectious=infectious,
    )


one_of_each = sir.scenario.replace(init=init_one_of_each)


def test_people_are_infectious_for_seven_days_on_average(couples):
    params = one_of_each.params.replace(beta_home=0)
    settings = {"key": 3, "steps": 150, "params": params, "devices": 1}
    for estimator, slack in (("mean_field", 1e-4), ("stop", 4 * 6.5 / np.sqrt(PAIRS))):
        run = lpm.simulate(one_of_each, couples, estimator=estimator, **settings)
        days = 1 + 2 * run.observed["prevalence"].sum()  # one person in two, the first day included
        assert days == pytest.approx(7, abs=slack), estimator


def test_a_case_infects_its_partner_as_often_as_seven_days_of_contact_say(couples):
    params = one_of_each.params.replace(beta_home=0.2)
    run = lpm.simulate(one_of_each, couples, key=4, steps=120, params=params, devices=1)
    infected = 2 * run.observed["attack_rate"][-1] - 1
    # Infection and recovery race from the state at the start of the day.
    daily, recovery = 1 - np.exp(-0.2), 1 / 7
    chance = daily / (1 - (1 - daily) * (1 - recovery))
    error = np.sqrt(chance * (1 - chance) / PAIRS)
    assert infected == pytest.approx(chance, abs=4 * error)  # 1 in 16,000 by chance
    six_days = daily / (1 - (1 - daily) * (1 - 1 / 6))
    assert abs(infected - six_days) > 4 * error
