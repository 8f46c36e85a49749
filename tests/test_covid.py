"""The COVID-19 scenario: a closed form of its growth, even draws, and late changes."""

import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Draw, epidemiology as epi
from lpm.launch import key_words
from lpm.population import new_york
from scenarios import covid

AGENTS = 10_000


@pytest.fixture(scope="module")
def city():
    return new_york(AGENTS, seed=1)


def draw_of(step, size):
    words = jnp.asarray(key_words(3))
    return Draw(words, step, "infect", slot=jnp.arange(size, dtype=jnp.int32))


def test_everybody_is_drawn_with_their_chance_and_the_number_hardly_scatters():
    size, rounds = 500, 2000
    chance = np.linspace(0.001, 0.4, size).astype(np.float32)
    slot = jnp.arange(size, dtype=jnp.int32)
    hits = np.stack(
        [
            np.asarray(covid.draw_evenly(draw_of(i, size), jnp.asarray(chance), slot))
            for i in range(rounds)
        ]
    )
    error = np.sqrt(chance * (1 - chance) / rounds)
    assert np.abs((hits.mean(axis=0) - chance) / error).max() < 4.5  # Of 500, p = 0.003.
    whole = hits.sum(axis=1)
    assert np.abs(whole - chance.sum()).max() < 1.001
    coins = np.sqrt((chance * (1 - chance)).sum())
    assert whole.std() < 0.1 * coins  # The control: independent coins scatter by 8.6.


def test_the_order_of_storage_does_not_matter():
    size = 64
    chance = jnp.linspace(0.0, 0.5, size)
    slot = jnp.arange(size, dtype=jnp.int32)
    order = np.asarray(jnp.argsort(jnp.sin(slot * 7.0)))
    draw = draw_of(0, size)
    plain = np.asarray(covid.draw_evenly(draw, chance, slot))
    other = covid.draw_evenly(draw_of(0, size), chance[order], slot[order])
    assert np.array_equal(plain[order], np.asarray(other))


def growth(scenario, city, keys, **changes):
    """Growth a day from day 14 to 24, and the mean share susceptible then."""
    params = scenario.params.replace(
        reproduction=np.full(4, 2.0), seeded=0.004, importation=0.0, **changes
    )
    runs = lpm.ensemble(scenario, city, keys=keys, params=params, steps=25)
    new = np.asarray(runs.observed["infections"]).sum(axis=-1).mean(axis=0)
    left = np.asarray(runs.observed["susceptible"]).mean(axis=0)
    return np.log(new[24] / new[14]) / 10, float(left[14:24].mean())


def wanted_growth(reproduction):
    profile = epi.gamma_profile(
        5.5, 2.4, latent=3, infectious=5, while_latent=0.33, while_infectious=0.72
    )
    return epi.growth_rate(reproduction, np.asarray(profile))


def radius_by_person(city, params):
    """Reproduction number of people who meet the same others again and again, by iteration."""
    band = city.host("age_band")
    catch = np.asarray(params.susceptibility)[band]
    households = city.num_groups("household_id")
    homes = covid.homes_of(city.host("household_id"), city.host("quarters_id"), households)
    rates = params.contacts_home, params.contacts_school, params.contacts_work
    groups = list(
        zip((homes, city.host("class_id"), city.host("workplace_id")), rates, strict=True)
    )
    people = np.bincount(band, minlength=covid.BANDS)
    table = covid.mixing(people.astype(np.float32))

    def reached(x):
        """Infections among all, per unit of transmission; pairs within a borough as in the city."""
        total = (table @ (np.bincount(band, x, covid.BANDS) / people))[band]
        for member_of, contacts in groups:
            inside = member_of >= 0
            ids = member_of[inside]
            others = np.bincount(ids, x[inside])[ids] - x[inside]
            total[inside] += contacts * others / np.maximum(np.bincount(ids)[ids] - 1, 1)
        return catch * total

    x = np.ones(len(band))
    for _ in range(60):
        y = reached(x)
        radius, x = np.linalg.norm(y) / np.linalg.norm(x), y / np.linalg.norm(y)
    return radius


def test_shares_grow_between_their_reproduction_number_and_that_of_fixed_circles(city):
    found, left = growth(covid.smooth, city, [0])
    params = covid.smooth.params
    small = jnp.float32(1e-3)
    radius = float(epi.spectral_radius(covid.next_generation(city, params, small)) / small)
    ratio = radius_by_person(city, params) / radius
    # Shares are never used up in a home, and gather where the most susceptible live together.
    assert 1 < ratio < 1.5
    assert wanted_growth(2.0 * left) < found < wanted_growth(2.0 * ratio * left)
    assert not wanted_growth(1.4 * left) < found < wanted_growth(1.4 * ratio * left)


def test_whole_people_grow_as_their_reproduction_number_says(city):
    found, left = growth(covid.scenario, city, range(12))
    # Pairs in homes are used up as infection goes round, so that growth falls short.
    assert found == pytest.approx(wanted_growth(2.0 * left), rel=0.2)
    assert found != pytest.approx(wanted_growth(1.4), rel=0.2)


def test_a_slope_through_shares_is_that_of_differences(city):
    def deaths(run):
        return run.observed["deaths"].sum() / 1e3

    check = lpm.check_gradient(
        covid.smooth,
        city,
        deaths,
        keys=range(4),
        fields=("seeded", "lethality"),
        estimator="straight_through",
        steps=20,
    )
    assert check.passed, str(check)


def test_what_follows_is_counted_on_the_day_of_infection(city):
    params = covid.scenario.params.replace(seeded=0.02, severity=2.0, reported=np.array([0.5, 0.5]))
    run = lpm.simulate(covid.scenario, city, key=0, params=params, steps=10, progress=False)
    infections = np.asarray(run.observed["infections"])
    ages = np.asarray(run.observed["infections_by_age"])
    assert np.allclose(np.asarray(run.observed["cases"]), 0.5 * infections, rtol=1e-5)
    assert np.allclose(ages.sum(axis=1), infections.sum(axis=1), rtol=1e-4)
    admissions = (ages * 2 * covid.HOSPITAL).sum(axis=1)
    assert np.allclose(np.asarray(run.observed["admissions"]).sum(axis=1), admissions, rtol=1e-4)


def test_late_knots_leave_what_came_before(city):
    late = {"late": np.array([6.0, 8.0]), "recent": np.array([3.0, 3.0])}
    runs = [
        lpm.simulate(
            covid.scenario,
            city,
            key=0,
            params=covid.scenario.params.replace(seeded=0.02, **more),
            steps=10,
            progress=False,
        )
        for more in ({}, late)
    ]
    plain, other = (np.asarray(run.observed["infections"]).sum(axis=1) for run in runs)
    assert np.array_equal(plain[:6], other[:6])
    assert other[8] > 1.5 * plain[8]


def test_an_estimator_that_cannot_follow_is_refused(city):
    with pytest.raises(lpm.ScenarioError, match="draws its infections evenly"):
        lpm.simulate(covid.scenario, city, key=0, steps=2, estimator="mean_field")
