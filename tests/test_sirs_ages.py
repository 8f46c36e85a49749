"""scenarios/sirs_ages.py against the differential equations, solved by other code."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import lpm
from lpm.population import contact_matrix
from scenarios import sirs_ages

EDGES, DAYS = (0, 20, 40, 60, 75), 60
TRUE = {"R0": 2.5, "infectious": 5.0, "immunity": 60.0, "children": 0.8, "old": 1.2}


@pytest.fixture(scope="module")
def town():
    return lpm.Population.toy(400)


def people_by_band(town):
    band = np.digitize(town.host("age")[: town.size], EDGES[1:])
    return np.bincount(band, minlength=5).astype(float)


def equations(people, R0, infectious, immunity, children, old, seeded=0.02):
    """Share susceptible and share infectious by day."""
    contacts = contact_matrix(bands=EDGES)
    relative = np.array([children, 1, 1, old, old])
    radius = np.abs(np.linalg.eigvals(relative[:, None] * contacts)).max()
    rate = R0 / infectious / radius * relative

    def slope(_, y):
        s, i = y.reshape(2, 5)
        new = s * rate * (contacts @ (i / people))
        return np.concatenate([(people - s - i) / immunity - new, new - i / infectious])

    start = np.concatenate([people * (1 - seeded), people * seeded])
    found = solve_ivp(
        slope, (0, DAYS), start, "LSODA", np.arange(1.0, DAYS + 1), rtol=1e-9, atol=1e-9
    )
    return found.y.reshape(2, 5, -1).sum(axis=1) / people.sum()


def farthest(town, day, **wrong):
    """Largest distance of the step's expectation from the equations, in shares of the town."""
    each = round(1 / day)
    run = lpm.simulate(
        sirs_ages.scenario,
        town,
        key=0,
        params=sirs_ages.scenario.params.replace(day=day),
        steps=DAYS * each,
        every=each,
        estimator="mean_field",
        progress=False,
        devices=1,
    )
    exact = equations(people_by_band(town), **(TRUE | wrong))
    seen = np.stack([run.observed["susceptible"], run.observed["prevalence"]])
    return float(np.abs(seen - exact).max())


def test_the_expected_step_approaches_the_equations_to_first_order(town):
    coarse, fine = farthest(town, 0.2), farthest(town, 0.1)
    assert fine < 0.02
    assert coarse / fine == pytest.approx(2, rel=0.2)
    # Control: other susceptibilities of the young are not approached.
    assert farthest(town, 0.1, children=1.0) > 2 * fine


def test_agents_follow_the_expected_step_within_their_luck():
    town = lpm.Population.toy(20_000)
    settings = {"key": 5, "steps": 40, "progress": False, "devices": 1}
    scenario = sirs_ages.scenario
    run = lpm.simulate(scenario, town, **settings)
    mean = lpm.simulate(scenario, town, estimator="mean_field", **settings)
    gap = np.abs(run.observed["prevalence"] - mean.observed["prevalence"]).max()
    # The luck of 20,000 in a growing epidemic: about 2 / sqrt(N) as sd, by its linear noise.
    assert gap < 8 / np.sqrt(20_000)
    other = scenario.params.replace(R0=3.2)
    wrong = lpm.simulate(scenario, town, estimator="mean_field", params=other, **settings)
    gap = np.abs(run.observed["prevalence"] - wrong.observed["prevalence"]).max()
    assert gap > 8 / np.sqrt(20_000)


def test_new_cases_by_age_are_those_who_left_the_susceptible():
    town = lpm.Population.toy(2_000)
    params = sirs_ages.scenario.params.replace(immunity=120.0)
    once = {"key": 6, "steps": 1, "params": params, "progress": False, "devices": 1}
    run = lpm.simulate(sirs_ages.scenario, town, snapshots=(0,), **once)
    before = run.snapshots[0].susceptible[: town.size].sum()
    left = float(before) - float(run.observed["susceptible"][0]) * town.size
    assert float(run.observed["new_by_age"][0].sum()) == pytest.approx(left, abs=0.1)
