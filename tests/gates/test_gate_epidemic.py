"""The rich epidemic: R0 is R0, people add up, and nobody is infected twice."""

import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import epidemiology as epi
from scenarios import epidemic

pytestmark = pytest.mark.gate
BARE = epidemic.BASELINE | {"importation": 0, "prior_immunity": 0}


def first_generation(R0, population, runs, seeded=5e-4):
    """Infections caused by typical cases in a wholly susceptible city, per case."""
    params = epidemic.scenario.params.replace(R0=R0, seeded=0, **BARE)
    shape = lpm.simulate(epidemic.scenario, population, key=0, steps=1, params=params).state
    matrix = epidemic.next_generation(population, params, shape.transmissibility)
    typical = np.asarray(epi.typical_infected(matrix))
    people = np.bincount(population.host("age_band"), minlength=9)
    chance = jnp.asarray(seeded * population.size * typical / people, jnp.float32)

    def init(population, params, draw):
        state = epidemic.init(population, params, draw)
        case = draw.bernoulli(chance[state.community.class_of])
        return state.replace(infected=case, day=case, susceptible=1 - case)

    def remove_secondary(state, params, draw):
        # Whoever is in the first day of infection was infected by a case: out of the game.
        return state.replace(infected=state.infected * (state.day != 1))

    model = epidemic.scenario.replace(init=init, processes=(epidemic.transmit, remove_secondary))
    run = lpm.ensemble(
        model, population, keys=list(range(runs)), params=params, steps=9, snapshots=(0,)
    )
    cases = np.asarray(run.snapshots[0].infected).sum(axis=1)
    caught = population.size - cases - run.observed["susceptible"][:, -1]
    per_case = caught.sum() / cases.sum()
    spread = (caught - per_case * cases).std(ddof=1) * np.sqrt(runs) / cases.sum()
    return per_case, spread


@pytest.mark.parametrize("R0", [1.3, 2.5])
def test_the_configured_R0_is_what_typical_cases_cause(R0):
    population = lpm.population.new_york(100_000, seed=3)
    found, error = first_generation(R0, population, runs=60)
    assert error < 0.02 * R0
    # Three standard errors, and 0.3 % for people reached by two cases at once.
    assert abs(found - R0) < 3 * error + 0.003 * R0
    # Control: cases typed by their share of the people, as in a well-mixed city, are told apart
    # from a scale that is a tenth too large.
    assert abs(found - 1.1 * R0) > 3 * error


def test_the_next_generation_matrix_is_that_of_the_people_counted_one_by_one():
    population = lpm.population.new_york(10_000, seed=1)
    params, scale = epidemic.scenario.params, 0.2
    matrix = np.asarray(epidemic.next_generation(population, params, scale), float)
    band = population.host("age_band")
    people = np.bincount(band, minlength=9).astype(float)
    expected = np.zeros((9, 9))
    quarters, homes = population.host("quarters_id"), population.host("household_id")
    together = np.where(homes >= 0, homes, quarters + homes.max() + 1)
    layers = [
        (together, params.contacts_home),
        (population.host("class_id"), params.contacts_school),
        (population.host("workplace_id"), params.contacts_work),
    ]
    for member_of, contacts in layers:
        for group in np.unique(member_of[member_of >= 0]):
            inside = np.flatnonzero(member_of == group)
            if len(inside) > 1:
                hazard = scale * params.susceptibility[band[inside]] * contacts / (len(inside) - 1)
                chance = 1 - np.exp(-hazard)
                for mine, p in zip(band[inside], chance, strict=True):
                    np.add.at(expected[mine], band[inside], p)
                    # Nobody meets himself.
                np.subtract.at(expected, (band[inside], band[inside]), chance)
    expected /= people
    mixing = epidemic.mixing(people.astype(np.float32)).astype(float)
    at_large = scale * params.susceptibility[:, None] * mixing * people[:, None] / people
    assert np.allclose(matrix, expected + at_large, rtol=2e-4, atol=1e-6)
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    assert float(epi.spectral_radius(jnp.asarray(matrix, jnp.float32))) == pytest.approx(radius)


def test_people_add_up_and_nobody_is_infected_twice_or_after_death():
    population = lpm.population.new_york(10_000, seed=2)
    params = epidemic.scenario.params.replace(R0=4.0, lethality=10.0, seeded=0.01)
    run = lpm.simulate(
        epidemic.scenario, population, key=0, params=params, steps=60, snapshots=range(61)
    )
    stages = ("susceptible", "exposed", "infectious", "recovered", "dead")
    total = sum(run.observed[name] for name in stages)
    assert (total == population.size).all()
    assert (np.diff(run.observed["dead"]) >= 0).all()
    assert run.observed["dead"][-1] > 50
    left = 0.0
    for day in range(60):
        now, then = run.snapshots[day + 1], run.snapshots[day]
        new = (now.day == 1) & (now.infected > 0) & ~((then.day > 0) & (then.infected > 0))
        assert (then.susceptible[new] == 1).all(), "only the susceptible are infected"
        assert not (now.infected * now.dead).any()
        assert not (now.susceptible * now.infected).any()
        left += (then.infected > now.infected).sum()
        assert now.dead.sum() <= left
    again = (run.snapshots[60].infected > 0) & (run.snapshots[5].dead > 0)
    assert not again.any()


def test_measures_lower_the_epidemic_with_the_same_luck():
    population = lpm.population.new_york(50_000, seed=4)
    keys = [0, 1, 2]
    runs = {}
    for name, changes in {
        "none": {},
        "closure": {"school_closure": 0.9, "closure_start": 0, "closure_end": 200},
        "isolation": {"testing": 0.9, "compliance": 0.95, "test_delay": 0},
        "tracing": {"testing": 0.9, "compliance": 0.95, "test_delay": 0, "tracing": 0.8},
        "vaccine": {"doses": 0.02, "vaccine_start": 0},
    }.items():
        params = epidemic.scenario.params.replace(
            **(epidemic.BASELINE | {"seeded": 1e-3} | changes)
        )
        run = lpm.ensemble(
            epidemic.scenario, population, keys=keys, params=params, every=180, keep_state=False
        )
        runs[name] = population.size - run.observed["susceptible"][:, -1].mean()
    assert runs["closure"] < 0.98 * runs["none"]
    assert runs["isolation"] < 0.95 * runs["none"]
    assert runs["tracing"] < runs["isolation"]
    assert runs["vaccine"] < 0.8 * runs["none"]
