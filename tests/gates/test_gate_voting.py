"""A million voters: the flat rate that beats all others is the median voter's."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import lpm
from lpm.economics import Schedule, Workforce, majority, plurality, utilities
from lpm.economics.optimal_tax import median_voter_rate
from lpm.economics.skills import GeneralisedBeta
from scenarios import tax_vote

pytestmark = pytest.mark.gate
N, E = 1_000_000, 0.4
SHARES = (np.arange(N) + 0.5) / N


def ballot(workers, rates):
    number = len(rates)
    platforms = Schedule(
        jnp.zeros((number, 1)), jnp.asarray(rates, jnp.float32)[:, None], jnp.zeros(number)
    )
    return utilities(workers, platforms), jnp.linspace(0, 1, number)


@pytest.mark.parametrize("law", ["lognormal", "gb2"])
def test_r7_no_flat_rate_beats_that_of_the_median_voter(law, report):
    """Specification R7: tau = (1 - med/mean) / (1 - med/mean + e), within 0.2 points."""
    if law == "lognormal":
        income = np.exp(0.7 * stats.norm.ppf(SHARES))
    else:
        fit = GeneralisedBeta(2.07211, 72_402.78, 0.486519, 1.141040)
        income = fit.quantile(SHARES) / 1e4
    middle = np.median(income) / income.mean()
    theory = (1 - middle) / (1 - middle + E)
    workers = Workforce.of(income, E)
    rates = np.concatenate([np.arange(0, 1, 0.1), theory + 0.0015 * np.arange(-8, 9)])
    utility, lots = ballot(workers, rates)
    found = majority(utility, workers.weight, lots)
    report(f"rate that wins all duels, {law}", float(rates[int(found.winner)]), theory)
    assert bool(found.decided)
    assert rates[int(found.winner)] == pytest.approx(theory, abs=0.002)
    assert median_voter_rate(income, E) == pytest.approx(theory, abs=1e-4)
    # The control: first choices among the same options end elsewhere.
    first = plurality(utility, workers.weight, lots)
    assert abs(rates[int(first.winner)] - theory) > 0.01


def test_votes_by_weight_move_the_median(report):
    """Survey weights that favour the poor: the median of heads, not of records."""
    income = np.exp(0.7 * stats.norm.ppf(SHARES[::50] + 0.5 / N))
    weight = np.where(income < 1.2, 3.0, 1.0)
    theory = median_voter_rate(income, E, weight)
    plain = median_voter_rate(income, E)
    workers = Workforce.of(income, E, weight=weight)
    rates = np.concatenate([[plain], theory + 0.001 * np.arange(-15, 16)])
    utility, lots = ballot(workers, rates)
    found = majority(utility, workers.weight, lots)
    report("rate that wins", float(rates[int(found.winner)]), theory)
    assert rates[int(found.winner)] == pytest.approx(theory, abs=0.002)
    assert abs(plain - theory) > 0.004


def test_a_year_by_year_vote_ends_at_the_median_voter_and_a_lottery_does_not(report):
    """The scenario with binding promises, and the paper's variant beside it."""
    town = lpm.Population.toy(100_000)
    income = np.asarray(town["income"], np.float64)
    theory = median_voter_rate(income, E)
    params = tax_vote.Params().replace(start=[0.6], thresholds=[0.0], move=0.02)
    bound = lpm.simulate(tax_vote.scenario, town, key=1, params=params, steps=40)
    rates = np.asarray(bound.observed["rates"])[:, 0]
    report("rate after 40 votes", float(rates[-1]), theory)
    assert rates[-1] == pytest.approx(theory, abs=0.0101)
    loose = params.replace(binding=0.0)
    free = lpm.simulate(tax_vote.scenario, town, key=1, params=loose, steps=200)
    walk = np.asarray(free.observed["rates"])[50:, 0]
    report("rates without binding promises, lowest", float(walk.min()))
    report("rates without binding promises, highest", float(walk.max()))
    assert walk.std() > 0.02
