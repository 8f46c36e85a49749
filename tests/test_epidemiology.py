"""Reproduction numbers against loops over people, eigenvalues and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import gamma

import lpm
from lpm import epidemiology as epi
from lpm.errors import ScenarioError

STAGES = {"latent": 3, "infectious": 5, "while_latent": 0.33, "while_infectious": 0.72}


def test_a_profile_sums_to_one_and_ends_with_the_infectious_days():
    profile = np.asarray(epi.gamma_profile(5.5, 2.4, **STAGES))
    assert profile.sum() == pytest.approx(1, abs=1e-6)
    assert profile[0] == 0
    assert (profile[1:9] > 0).all()
    assert not profile[9:].any()


def test_a_profile_is_the_gamma_distribution_weighted_by_stage():
    day = np.arange(epi.LONGEST + 1)
    share = np.diff(gamma.cdf(day, (5.5 / 2.4) ** 2, scale=2.4**2 / 5.5), prepend=0.0)
    weight = share * np.where(day <= 3, 0.33, 0.72) * (day <= 8)
    found = epi.gamma_profile(5.5, 2.4, **STAGES)
    assert np.allclose(found, weight / weight.sum(), atol=2e-4)


def test_a_profile_has_the_derivative_of_its_differences():
    def mean_day(mean):
        profile = epi.gamma_profile(mean, 2.4, **STAGES)
        return jnp.sum(profile * jnp.arange(len(profile)))

    slope = float(jax.grad(mean_day)(5.5))
    assert slope == pytest.approx(float(mean_day(5.6) - mean_day(5.4)) / 0.2, rel=1e-2)


@pytest.fixture(scope="module")
def village():
    """300 people: household, workplace and one of three classes of age."""
    town = lpm.Population.toy(300, seed=2)
    return {
        "household_id": town.host("household_id"),
        "workplace_id": town.host("workplace_id"),
        "class": np.digitize(town.host("age"), [20, 60]).astype(np.int32),
    }


def rates_by_size(sizes, contacts):
    return jnp.asarray(contacts / (sizes - 1), jnp.float32)


MIXING = np.array([[3.0, 1.0, 0.5], [1.0, 4.0, 1.0], [0.5, 1.0, 2.0]])
SUSCEPTIBILITY = np.array([0.5, 1.0, 1.5])
CONTACTS = {"household_id": 4.0, "workplace_id": 8.0}


def by_formula(village, scale):
    people = np.bincount(village["class"], minlength=3)
    settings = []
    for column, contacts in CONTACTS.items():
        pairs = epi.setting(village[column], village["class"], 3)
        settings.append((pairs, rates_by_size(pairs.sizes, contacts)))
    return epi.next_generation(
        scale,
        jnp.asarray(SUSCEPTIBILITY, jnp.float32),
        settings,
        jnp.asarray(MIXING, jnp.float32),
        jnp.asarray(people, jnp.float32),
    )


def by_pairs(village, scale):
    """Expected infections of class a by each person of class b, one pair of people at a time."""
    kind = village["class"]
    people = np.bincount(kind, minlength=3)
    matrix = np.zeros((3, 3))
    for column, contacts in CONTACTS.items():
        group = village[column]
        size = np.bincount(group[group >= 0])
        for infector in range(300):
            for other in range(300):
                if infector != other and group[infector] == group[other] >= 0:
                    rate = contacts / (size[group[other]] - 1)
                    chance = 1 - np.exp(-scale * SUSCEPTIBILITY[kind[other]] * rate)
                    matrix[kind[other], kind[infector]] += chance / people[kind[infector]]
    for a in range(3):
        for b in range(3):
            # One infector is one in people[b] of the contacts that each of class a has there.
            matrix[a, b] += scale * SUSCEPTIBILITY[a] * MIXING[a, b] * people[a] / people[b]
    return matrix


def test_the_next_generation_matrix_is_that_of_all_pairs_of_people(village):
    for scale in (0.02, 0.5):
        assert np.allclose(by_formula(village, scale), by_pairs(village, scale), rtol=1e-4)


def test_groups_of_one_meet_nobody():
    alone = epi.setting(np.arange(5), np.zeros(5, np.int32), 2)
    assert not alone.others.any()
    assert np.isfinite(1 / (alone.sizes - 1)).all()
    none = epi.setting(np.full(5, -1), np.zeros(5, np.int32), 2)
    assert not none.others.any()


@given(st.integers(1, 9), st.integers(0, 2**31))
def test_the_spectral_radius_is_the_largest_eigenvalue(size, seed):
    matrix = np.random.default_rng(seed).gamma(0.3, size=(size, size))  # noqa: TID251
    largest = np.abs(np.linalg.eigvals(matrix)).max()
    found = float(epi.spectral_radius(jnp.asarray(matrix, jnp.float32)))
    assert found == pytest.approx(largest, rel=1e-4)


def test_infection_that_alternates_between_classes_has_its_radius():
    # From people to mosquitoes and back: sqrt(4 x 1) each generation.
    vectors = jnp.array([[0.0, 4.0], [1.0, 0.0]])
    assert float(epi.spectral_radius(vectors)) == pytest.approx(2, rel=1e-5)
    assert np.allclose(epi.typical_infected(vectors), [2 / 3, 1 / 3], atol=1e-5)


def test_the_radius_has_the_derivative_of_an_eigenvalue():
    matrix = jnp.array([[2.0, 1.0], [0.5, 1.5]])
    values, right = np.linalg.eig(np.asarray(matrix))
    _, left = np.linalg.eig(np.asarray(matrix).T)
    top = values.argmax()
    v, w = right[:, top], left[:, np.linalg.eig(np.asarray(matrix).T)[0].argmax()]
    assert np.allclose(jax.grad(epi.spectral_radius)(matrix), np.outer(w, v) / (w @ v), atol=1e-5)


def test_typical_cases_are_the_leading_eigenvector():
    matrix = jnp.asarray(MIXING, jnp.float32)
    values, vectors = np.linalg.eig(MIXING)
    v = np.abs(vectors[:, values.argmax()])
    assert np.allclose(epi.typical_infected(matrix), v / v.sum(), atol=1e-5)


@pytest.mark.parametrize("reproduction", [0.3, 1.0, 2.5, 6.0])
def test_a_solved_scale_gives_the_reproduction_number_asked_for(reproduction, village):
    scale = epi.solve_scale(reproduction, lambda s: by_formula(village, s))
    found = np.abs(np.linalg.eigvals(np.asarray(by_formula(village, scale)))).max()
    assert found == pytest.approx(reproduction, rel=1e-4)


def test_a_solved_scale_has_the_derivative_of_its_differences(village):
    def solve(reproduction, contacts):
        return epi.solve_scale(reproduction, lambda s: by_formula(village, s) * contacts)

    for i, (x, step) in enumerate(((2.5, 0.05), (1.0, 0.02))):
        at = [2.5, 1.0]
        slope = float(jax.grad(solve, argnums=i)(*at))
        high, low = ([*at[:i], x + sign * step, *at[i + 1 :]] for sign in (1, -1))
        assert slope == pytest.approx(float(solve(*high) - solve(*low)) / (2 * step), rel=5e-3)


@given(st.floats(0.2, 15))
def test_the_growth_rate_solves_the_renewal_equation(reproduction):
    profile = np.asarray(epi.gamma_profile(5.5, 2.4, **STAGES))
    rate = epi.growth_rate(reproduction, profile)
    day = np.arange(len(profile))
    assert reproduction * np.sum(profile * np.exp(-rate * day)) == pytest.approx(1, rel=1e-6)
    assert (rate > 0) == (reproduction > 1) or abs(rate) < 1e-6


def test_growth_needs_a_positive_reproduction_number():
    with pytest.raises(ScenarioError, match=r"reproduction = 0.0; give a positive number"):
        epi.growth_rate(0.0, np.ones(3) / 3)


def test_reproduction_is_constant_while_infections_grow_exponentially():
    profile = np.asarray(epi.gamma_profile(5.5, 2.4, **STAGES))
    rate = epi.growth_rate(2.5, profile)
    new = 10 * np.exp(rate * np.arange(60))
    found = epi.cohort_reproduction(new, profile)
    assert np.allclose(found[epi.LONGEST :], 2.5, rtol=1e-6)
    assert np.isnan(found[0]), "nobody was infectious before the first day"
    assert np.isnan(epi.cohort_reproduction(np.zeros(5), profile)).all()


def test_fatality_grows_with_age_as_in_the_source():
    # Levin et al. (2020), abstract: 0.4 % at 55, 1.4 % at 65, 4.6 % at 75, 15 % at 85.
    shares = epi.fatality_by_age(np.array([55.0, 65.0, 75.0, 85.0]))
    assert np.allclose(shares, [0.004, 0.014, 0.046, 0.15], rtol=0.05)
