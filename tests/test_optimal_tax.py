"""Closed forms of optimal taxation against quadrature, brute force and published values."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from lpm.economics.optimal_tax import (
    incomes_of,
    linear_rate,
    marginal_rates,
    median_voter_rate,
    sample_linear_rate,
    solve_linear_rate,
    top_rate,
    weight_on_income,
    weights_from_incomes,
    welfare_weights,
)
from lpm.economics.skills import GeneralisedBeta, Lognormal, Pareto
from lpm.errors import DataError
from lpm.fitting.chance import generator_for

# Personal income in the United States, 2023, as Karten et al. (2025) fit it.
US_2023 = GeneralisedBeta(2.07211, 72_402.78, 0.486519, 1.141040)
KINDS = [Lognormal(0.7, 0.2), Pareto(3.5, 2.0), GeneralisedBeta(2.5, 3.0, 0.8, 1.6)]


@pytest.mark.parametrize("law", KINDS, ids=lambda law: type(law).__name__)
def test_a_distribution_agrees_with_quadrature_of_its_density(law):
    start = law.least if isinstance(law, Pareto) else 0.0
    mass = integrate.quad(law.density, start, np.inf, limit=200)[0]
    assert mass == pytest.approx(1, abs=1e-7)
    for power in (1, -0.5):
        value = integrate.quad(lambda x, k=power: x**k * law.density(x), start, np.inf, limit=200)
        assert law.moment(power) == pytest.approx(value[0], rel=1e-6)
    at = law.quantile(np.array([0.2, 0.9]))
    assert law.above(at) == pytest.approx([0.8, 0.1], rel=1e-9)
    top = integrate.quad(lambda x: x * law.density(x), at[1], np.inf, limit=200)[0]
    assert law.moment_above(at[1], 1) == pytest.approx(top, rel=1e-6)


def test_the_fit_of_incomes_has_its_quantiles():
    # The same quantile by the F distribution, in the parametrisation that the fit was made in.
    share = np.array([0.1, 0.5, 0.9, 0.999])
    ratio = 0.486519 / 1.141040
    f = stats.f.ppf(share, 2 * 0.486519, 2 * 1.141040)
    assert US_2023.quantile(share) == pytest.approx(72_402.78 * (ratio * f) ** (1 / 2.07211))
    assert linear_rate(weight_on_income(US_2023, 1), 0.4) == pytest.approx(0.7124, abs=5e-5)


def test_moments_that_do_not_exist_are_infinite():
    assert Pareto(2.0).moment(2) == np.inf
    assert US_2023.moment(-1.1) == np.inf


def test_coefficients_of_gini_are_those_of_many_people():
    for law in (Lognormal(0.7), Pareto(3.0)):
        x = law.quantile((np.arange(400_000) + 0.5) / 400_000)
        rank = (np.arange(len(x)) + 0.5) / len(x)
        found = 2 * np.mean(x * (rank - 0.5)) / x.mean()
        assert law.gini() == pytest.approx(found, abs=2e-4)  # the grid cuts the tail


@pytest.mark.parametrize(("e", "rate"), [(0.25, 0.60777), (0.4, 0.49198)])
def test_the_best_flat_rate_is_found_by_brute_force(e, rate):
    untaxed = Lognormal(0.7).quantile((np.arange(20_000) + 0.5) / 20_000)
    weight = 1 / untaxed

    def loss(t: float) -> float:
        z = untaxed * (1 - t) ** e
        utility = untaxed * (1 - t) ** (1 + e) / (1 + e) + t * z.mean()
        return -np.average(utility, weights=weight)

    best = optimize.minimize_scalar(loss, bounds=(0.01, 0.99), method="bounded").x
    found = sample_linear_rate(untaxed, e)
    assert found.value == pytest.approx(best, abs=1e-5)
    assert linear_rate(weight_on_income(Lognormal(0.7), 1), e) == pytest.approx(rate, abs=5e-6)


def test_its_standard_error_is_the_spread_over_samples():
    draws = generator_for(jnp.array([[1, 2]], jnp.uint32), "samples")
    found = [
        sample_linear_rate(np.exp(0.7 * draws.standard_normal(2_000)), 0.4) for _ in range(400)
    ]
    spread = np.std([one.value for one in found], ddof=1)
    # The spread of 400 has a relative standard error of 3.5 %.
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.12)


def test_weights_stand_for_people():
    income = np.array([1.0, 2.0, 5.0])
    twice = sample_linear_rate(income, 0.3, weight=np.array([1.0, 2.0, 1.0]))
    assert twice.value == pytest.approx(sample_linear_rate(income[[0, 1, 1, 2]], 0.3).value)


def test_the_median_voter_is_the_middle_of_mean():
    income = np.array([1.0, 2.0, 6.0])
    assert median_voter_rate(income, 0.5) == pytest.approx((1 / 3) / (1 / 3 + 0.5))
    assert median_voter_rate(income, 0.5, np.array([5.0, 1.0, 1.0])) == pytest.approx(
        linear_rate(1 / (13 / 7), 0.5)
    )


@pytest.mark.parametrize(
    ("tail", "e", "rate"), [(1.5, 0.25, 0.7273), (2, 0.25, 0.6667), (2, 0.4, 0.5556), (3, 0.5, 0.4)]
)
def test_the_top_rate_is_that_of_the_highest_revenue(tail, e, rate):
    """With a Pareto tail, bunchers counted, revenue above the threshold peaks at the formula."""
    z0 = Pareto(tail).quantile((np.arange(200_000) + 0.5) / 200_000)

    def loss(t: float) -> float:
        # Below 3 the rate is 0.2; the others stay at 3 or go beyond, whichever is best for them.
        low, high = z0 * 0.8**e, z0 * (1 - t) ** e
        return -float(np.mean(t * np.maximum(np.where(low > 3, np.maximum(high, 3), 3) - 3, 0)))

    best = optimize.minimize_scalar(loss, bounds=(0.25, 0.95), method="bounded").x
    assert top_rate(tail, e) == pytest.approx(rate, abs=5e-5)
    # The grid of quantiles cuts the tail, the more the heavier it is.
    assert best == pytest.approx(top_rate(tail, e), abs=4e-3)


def test_the_schedule_of_lognormal_skills_is_that_of_the_literature():
    law = Lognormal(0.6)
    at = law.quantile(np.array([0.1, 0.5, 0.9, 0.99, 0.999]))
    found = marginal_rates(law, at, 0.25)
    assert found == pytest.approx([0.939, 0.790, 0.631, 0.530, 0.471], abs=5e-4)
    assert np.all(np.diff(incomes_of(at, found, 0.25)) > 0)


def test_the_schedule_of_pareto_skills_starts_at_zero_and_ends_at_the_top_rate():
    law, e = Pareto(4.0), 0.5
    found = marginal_rates(law, np.array([1.0, 1e6]), e, power=2)
    assert found[0] == pytest.approx(0, abs=1e-12)
    assert found[1] == pytest.approx(top_rate(4.0 / (1 + e), e), abs=1e-6)
    assert marginal_rates(law, np.array([1.5]), e) == pytest.approx(top_rate(4 / (1 + e), e))


def test_no_small_reform_of_the_best_schedule_raises_welfare():
    """Raise T' by a little around one skill: what is gained is lost, and not at another level."""
    law, e, k = Pareto(4.0), 0.5, 2.0
    n = law.quantile((np.arange(400_000) + 0.5) / 400_000)
    weight = n**-k / np.mean(n**-k)

    def gain(at: float, scale: float) -> float:
        t = scale * marginal_rates(law, n, e, power=k)
        z = incomes_of(n, t, e)
        inside = (n > at) & (n < 1.02 * at)
        width = np.ptp(z[inside])
        # A unit of revenue is worth its mean weight, 1. Who is inside earns less, and moves along
        # the schedule, whose own slope lessens or adds to that.
        above = np.mean((n >= 1.02 * at) * (1 - weight)) * width
        answer = e * z / (1 - t + e * z * np.gradient(t, z))
        return above - np.mean(inside * t * answer)

    for at in (1.2, 1.6):
        loss = gain(at, 0.5), gain(at, 1.0), gain(at, 1.3)
        assert abs(loss[1]) < 0.06 * min(abs(loss[0]), abs(loss[2]))
        assert loss[0] > 0 > loss[2]


def test_the_weights_of_a_best_schedule_are_recovered():
    law, e, k = Pareto(4.0), 0.5, 2.0
    n = np.geomspace(1.05, 8, 30)
    found = welfare_weights(law, lambda at: marginal_rates(law, at, e, power=k), n, e)
    assert found == pytest.approx(n**-k / law.moment(-k), abs=1e-5)


def test_the_weights_behind_a_flat_tax_on_a_pareto_tail_are_known():
    income = Pareto(2.0).quantile((np.arange(100_000) + 0.5) / 100_000)
    at, found = weights_from_incomes(income, np.full(len(income), 0.3), 0.25)
    inside = (at > 1.5) & (at < 6)
    expected = 1 - 2 * 0.25 * 0.3 / 0.7
    # The kernel smooths over its width, and its edge at the lowest income reaches further down.
    assert found[inside] == pytest.approx(expected, abs=0.02)


def test_a_rate_that_moves_its_own_weights_meets_its_formula():
    rate = solve_linear_rate(lambda t: 0.6 - 0.2 * t, 0.3)
    assert rate == pytest.approx(linear_rate(0.6 - 0.2 * rate, 0.3), abs=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Lognormal(0.0), r"Lognormal.sigma = 0.0; it must be a positive"),
        (lambda: Pareto(-1.0), r"Pareto.alpha = -1.0"),
        (lambda: linear_rate(-0.1, 0.4), r"g = -0.1; a mean weight"),
        (lambda: linear_rate(0.1, 0.0), r"elasticity = 0.0; it must be"),
        (lambda: top_rate(1.0, 0.4), r"tail = 1.0; a Pareto index"),
        (lambda: sample_linear_rate(np.array([1.0, -2.0]), 0.4), r"income of person 1 is -2.0"),
        (lambda: sample_linear_rate(np.ones(2), 0.4, weight=np.zeros(2)), r"sum to more than 0"),
        (lambda: incomes_of(np.array([1.0, 1.01]), np.array([0.1, 0.9]), 0.5), r"rise with skill"),
        (lambda: weights_from_incomes(np.ones(3), np.full(3, 1.2), 0.5), r"must lie in \[0, 1\)"),
        (lambda: weights_from_incomes(np.zeros(3), np.zeros(3), 0.5), r"need positive incomes"),
        (lambda: solve_linear_rate(lambda t: -1 / (1 - t), 0.3), r"weight on income|no flat rate"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
