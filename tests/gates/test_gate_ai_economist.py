"""Schedules learned by gradients against the theory of optimal taxes, at 100 and 1,000,000 workers.

Skills are those of The AI Economist, and a fifth or a sixteenth of all people are at their cap.
Formulas give rates at each income, brackets one rate for all in them; compared are means in bracket
but for the first, which acts as a lump sum, and the last two: the people at the cap are taxed by
them as well, and would need a bracket of their own.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import lpm
from calibration import one_step_economy as economy, one_step_theory as theory
from calibration.ai_economist import diamond, fine_edges, fixed_weights, flat
from calibration.ten_year_economy import EDGES
from lpm.economics.optimal_tax import sample_linear_rate
from scenarios.labour_market import scenario

pytestmark = pytest.mark.gate
INNER = slice(1, 6)


def product(skill, edges, rates):
    """Equality times mean coin in double precision; the best of all brackets for each worker."""
    tops = np.append(edges[1:], np.inf)
    income = np.clip(skill[:, None] ** 2 / 2 * (1 - rates), edges, tops)
    tax = np.cumsum(np.append(0, np.diff(edges) * rates[:-1])) + rates * (income - edges)
    at = np.arange(len(skill)), (income - tax - (income / skill[:, None]) ** 2).argmax(axis=1)
    coin = np.sort(income[at] - tax[at] + tax[at].mean())
    n = len(coin)
    return 1 / n / (n - 1) * 2 * np.sum(np.arange(n)[::-1] * coin)


@pytest.fixture(scope="module")
def found():
    return diamond(economy.SKILLS["one step"], 1_000_000)


# Curvature within brackets, and of welfare in single precision; a hundred workers are few to a
# bracket, of whom each is a step.
@pytest.mark.parametrize(("people", "most"), [("100", 0.015), ("1000000", 0.005)])
def test_gradients_recover_diamonds_schedule(people, most, found):
    learned = found["learned"][people]["rates"]
    assert np.abs(learned - found["theory"])[INNER].max() < most
    # Control: the best flat rate is not that schedule.
    assert np.abs(learned.mean() - found["theory"])[INNER].max() > 2 * most


def test_they_reach_most_of_what_any_schedule_can(found):
    assert 0.7 < found["share_of_gain"] < 1


def test_more_unequal_skills_have_another_schedule(found):
    law = economy.SKILLS["builders"]
    best = theory.linear_optimum(theory.Grid.of(law), power=2)
    edges, skill = fine_edges(best), economy.skills_of(law, 10_001)
    one = economy.learn(skill, "linear", "weighted", edges, weights=fixed_weights(skill))
    # The densest brackets are narrow, and the lowest one spills over into the second.
    assert np.abs(one.rates - best.by_bracket(edges))[2:6].max() < 0.01
    # Control: the schedule of the other skills.
    assert np.abs(found["theory"] - best.by_bracket(edges))[2:6].min() > 0.1


def test_equality_times_productivity_taxes_only_the_well_off():
    law = economy.SKILLS["builders"]
    best = theory.linear_optimum(theory.Grid.of(law), product=True)
    edges = np.array([0, 1, 1.5, 2, 2.5, 3, 3.5])
    one = economy.learn(economy.skills_of(law, 10_001), "linear", "product", edges)
    assert best.by_bracket(edges)[:2] == pytest.approx([0, 0], abs=1e-3)
    assert one.rates[:2] == pytest.approx([0, 0], abs=0.01)
    # Theory rises from 0 to a third within a bracket or two, so that the best rates of brackets
    # are asked of another search in another economy.
    skill = law.quantile((np.arange(1_000) + 0.5) / 1_000)
    start = np.nan_to_num(best.by_bracket(edges))
    others = [
        optimize.minimize(
            lambda rates: -product(skill, edges, rates),
            at,
            method="Nelder-Mead",
            bounds=[(0, 0.9)] * 7,
            options={"maxiter": 4_000, "adaptive": True},
        )
        for at in (start, np.full(7, 0.2), np.linspace(0, 0.5, 7))
    ]
    most = max(-other.fun for other in others)
    # Those at the cap jump together, which no gradient sees: it ends within 0.3 % of the best.
    assert product(skill, edges, one.rates) > most - 2.5e-3
    # Control: the theory's means in brackets are not as good.
    assert product(skill, edges, start) < most - 5e-3
    # Control: where hours count, the poor are taxed as well.
    hours = theory.linear_optimum(theory.Grid.of(law), power=2).by_bracket(edges)
    assert np.abs(one.rates[:2] - hours[:2]).max() > 0.1


def test_at_their_default_scale_one_rate_has_a_closed_form():
    law = economy.SKILLS["one step"]
    one = flat(law, 10_001)
    assert one["highest_income"] < one["second_edge"]
    income = economy.skills_of(law, 10_001) ** 2 / 2
    exact = sample_linear_rate(income, 1.0)
    assert one["theory"] == pytest.approx(exact.value, abs=1e-4)
    # Welfare is flat at its top: single precision tells rates to about the root of 1e-7.
    assert one["learned"] == pytest.approx(exact.value, abs=2e-3)
    # Normalised weights give the same formula where all incomes fall alike.
    assert one["learned_with_moving_weights"] == pytest.approx(exact.value, abs=2e-3)


def test_a_gradient_passes_ten_years_of_wages_that_clear():
    town = lpm.Population.toy(500)

    def welfare(rates):
        params = scenario.params.replace(rates=rates, thresholds=EDGES)
        run = lpm.simulate(scenario, town, key=0, params=params, devices=1)
        return run.observed["equality_x_productivity"][-1]

    rates = np.array([0.1, 0.12, 0.22, 0.24, 0.32, 0.35, 0.37])
    both = jax.jit(jax.value_and_grad(welfare))
    slope = np.asarray(both(jnp.asarray(rates, jnp.float32))[1])
    for j in (1, 2, 3):
        step = 0.01 * (np.arange(7) == j)
        ends = [float(both(jnp.asarray(rates + s, jnp.float32))[0]) for s in (step, -step)]
        # Workers who cross a threshold bend the difference.
        assert slope[j] == pytest.approx((ends[0] - ends[1]) / 0.02, rel=0.02)
