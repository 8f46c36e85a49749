"""The study of The AI Economist: its skills, its responses and its formulas by other code."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize

from calibration import one_step_economy as economy, one_step_theory as theory
from calibration.ten_year_economy import saez_rates
from lpm.economics import Schedule, best_response_gap
from lpm.economics.optimal_tax import marginal_rates

LAWS = list(economy.SKILLS.values())


@pytest.mark.parametrize("law", LAWS)
def test_skills_are_capped_and_add_up(law):
    at_cap = float(law.above(3 - 1e-12))
    assert at_cap == pytest.approx((2 / (3 - law.shift)) ** 4)
    body, _ = integrate.quad(lambda n: float(law.density(n)), law.least, 3)
    assert body + at_cap == pytest.approx(1, abs=1e-8)
    mean, _ = integrate.quad(lambda n: n**-2 * float(law.density(n)), law.least, 3)
    assert law.moment(-2) == pytest.approx(mean + at_cap / 9, rel=1e-8)
    # Means of ordered draws keep the mean of skills; of 1,000 x 100 draws it has an error of 1e-3.
    few = economy.skills_of(law, 100)
    assert few.mean() == pytest.approx(law.moment(1), abs=5e-3)
    assert (np.diff(few) >= 0).all()
    assert few.max() <= 3


def test_the_formula_for_any_weights_is_that_for_powers_of_skill():
    """Weights as a function of untaxed income, 2/n**2, once without and once with the library."""
    grid = theory.Grid.of(economy.SKILLS["builders"], 4_000)
    power = theory.linear_optimum(grid, power=2)
    n = grid.n[1000:3999:500]
    assert np.interp(n, grid.n, power.rates) == pytest.approx(
        marginal_rates(grid.law, n, 1.0, power=2), abs=1e-6
    )
    cared = grid.n**-2.0
    held = theory.linear_optimum(grid, weights=lambda _: cared)
    assert held.rates == pytest.approx(power.rates, abs=1e-3)  # sums over 4,000 points
    # Control: without a taste for equality there is no tax.
    assert theory.linear_optimum(grid, power=0).rates.max() < 1e-3


def value(z, n, rates, rebate):
    """Of income z, whatever the shape of the tax."""
    edges = economy.EDGES
    parts = np.clip(z[:, None] - edges, 0, np.append(np.diff(edges), np.inf))
    coin = np.maximum(z - parts @ rates + rebate, 1e-9)
    return (coin**0.77 - 1) / 0.77 - z / n


RATES = np.array([0.1, 0.3, 0.2, 0.05, 0.0, 0.0, 0.0])


def test_nobody_gains_where_utility_is_concave():
    # Spread out, so that no more than one worker is at a jump.
    skill = np.linspace(2, 3, 400)
    tax = Schedule(jnp.asarray(economy.EDGES, jnp.float32), jnp.asarray(RATES, jnp.float32))
    free = Schedule(jnp.zeros(1), jnp.zeros(1))
    for schedule, rates in ((tax, RATES), (free, np.zeros(7))):
        found = economy.concave(jnp.asarray(skill, jnp.float32), schedule)
        if not np.isfinite(np.asarray(found.coin)).all():
            pytest.fail("no rebate balances")
        income, coin = (np.asarray(x, np.float64) for x in (found.income, found.coin))
        parts = np.clip(income[:, None] - economy.EDGES, 0, np.append(np.diff(economy.EDGES), 1e9))
        rebate = coin[0] - (income - parts @ rates)[0]
        assert coin.sum() == pytest.approx(income.sum(), rel=1e-4)  # what is taken is paid back

        def utility(z, who, rates=rates, rebate=rebate):
            return value(z, skill[who], rates, rebate)

        asked = np.arange(0, 400, 7)
        gap = best_response_gap(utility, income, 0.0, 200.0, agents=asked, points=2001)
        assert gap.largest < 1e-5
        worse = best_response_gap(utility, 0.8 * income, 0.0, 200.0, agents=asked, points=2001)
        assert worse.exploitability > 1e-4


def test_saez_rates_of_pareto_incomes():
    """Weights 1/z have a mean of least/z above z, and a is 2."""
    people = 200_000
    income = 5 / np.sqrt(1 - (np.arange(people) + 0.5) / people)
    bracket = np.searchsorted(economy.EDGES, income, "right") - 1
    left = 1 - 5 / income
    exact = left / (left + 2 * 0.4)
    expected = [exact[bracket == j].mean() for j in range(7)]
    # A kernel blurs the density, most of all at the end of the support.
    assert saez_rates(income)[1:5] == pytest.approx(expected[1:5], abs=0.03)


@pytest.mark.parametrize("law", LAWS)
def test_the_formula_for_the_product_is_the_best_of_skills_in_steps(law):
    """Rent of a step above: h**2 (1 - (n/n')**2); the planner's sum is a square in each h."""
    grid = theory.Grid.of(law, 4_000)
    n, share = grid.n, grid.share
    rank = 2 * (1 - np.cumsum(share)) + share
    higher = np.cumsum((share * rank - share)[::-1])[::-1] - (share * rank - share)
    rent = np.append(1 - (n[:-1] / n[1:]) ** 2, 0) * higher
    second = share * (rank - 1) + rent  # of h**2, beside share n h
    inner = np.where(second < 0, -share * n / (2 * np.where(second < 0, second, -1)), np.inf)
    rates = 1 - 2 * np.minimum(inner, n / 2) / n  # no subsidies
    # The derivative by skill is taken over steps, an error of their size: 3.5e-4 at 4,000. The step
    # to the cap is half of one, so that the last point below it is another problem.
    formula = theory.linear_optimum(grid, product=True).rates
    assert np.abs(formula - rates)[1:-2].max() < 1e-3
    without = theory.linear_optimum(grid, weights=lambda _: rank).rates  # hours counted
    assert np.abs(without - rates)[1:-2].max() > 0.1


@pytest.mark.parametrize("law", LAWS)
def test_the_concave_formula_is_the_best_of_skills_in_steps(law):
    """Welfare as it is, raised over all coins at once; from skill to skill n V rises by U dn."""
    grid = theory.Grid.of(law, 60)
    n, share = grid.n, grid.share
    power = 1 - economy.AVERSION
    cared = n ** (-1 / economy.AVERSION)
    cared = cared / (share @ cared)

    def loss(logs):
        enjoyed = (np.exp(power * logs) - 1) / power
        times = np.append(0, np.cumsum(enjoyed[:-1] * np.diff(n)))
        start = share @ (n * enjoyed - times - np.exp(logs))  # what is produced is consumed
        return -share @ (cared * (times + start) / n)

    least = np.log(0.95 * n) / economy.AVERSION
    found = optimize.minimize(loss, least, method="L-BFGS-B", options={"ftol": 1e-15}, tol=1e-15)
    rates = 1 - np.exp(economy.AVERSION * found.x) / n  # U'(c) (1 - T') = 1 / n
    # Steps again: 1.0e-2 with 60 of the builders, 0.5e-2 with 120, 0.26e-2 with 240.
    formula = theory.concave_optimum(grid, lambda _: cared).rates
    assert np.abs(formula - rates)[1:-2].max() < 1.5e-2
    other = theory.concave_optimum(grid, lambda _: n**-2.0).rates
    assert np.abs(other - rates)[1:-2].max() > 3e-2
