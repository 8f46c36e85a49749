"""The planner against brute force in double precision, theory, and limits that stop him."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

from lpm.economics import (
    InverseIncome,
    ParetoWeights,
    Rawlsian,
    Schedule,
    Utilitarian,
    Workforce,
    brackets,
    plan,
    plan_revenue,
    revealed_weights,
    smooth,
)
from lpm.economics.ascent import climb, finish
from lpm.economics.optimal_tax import linear_rate, sample_linear_rate
from lpm.errors import DataError

N, E = 4_000, 0.4
POTENTIAL = np.exp(0.7 * stats.norm.ppf((np.arange(N) + 0.5) / N))
WORKERS = Workforce.of(POTENTIAL, E)
CARED = ParetoWeights(1 / WORKERS.potential)
FLAT, THREE = brackets([0.0]), brackets([0.0, 0.8, 2.0])


def answers(rates, edges, m=POTENTIAL, e=E):
    """Incomes, taxes and utilities by trying the best point of every bracket."""
    ends = np.append(edges, np.inf)
    bases = np.cumsum([0, *rates[:-1] * np.diff(edges)])
    best, income, tax = np.full(m.shape, -np.inf), np.zeros(m.shape), np.zeros(m.shape)
    for low, high, rate, base in zip(edges, ends[1:], rates, bases, strict=True):
        z = np.clip(m * max(1 - rate, 1e-12) ** e, low, high)
        due = base + rate * (z - low)
        u = z - due - e / (1 + e) * m * (z / m) ** (1 + 1 / e)
        income, tax = np.where(u > best, z, income), np.where(u > best, due, tax)
        best = np.maximum(best, u)
    return income, tax, best


def worth(rates, edges, weigh, m=POTENTIAL):
    z, tax, u = answers(np.asarray(rates), np.asarray(edges), m)
    cared = weigh(z, u)
    return np.average(u, weights=cared) + tax.mean()


def worst(z, u):
    return u <= np.sort(u)[len(u) // 10 - 1]


AIMS = {
    "pareto": (CARED, lambda z, u: 1 / POTENTIAL),
    "inverse": (InverseIncome(0.5), lambda z, u: 1 / np.maximum(z, 0.5)),
    "rawls": (Rawlsian(0.1), worst),
}


@pytest.mark.parametrize("name", AIMS)
def test_the_best_flat_rate_is_that_of_brute_force(name):
    aim, weigh = AIMS[name]
    found = plan(WORKERS, aim, FLAT, errors=False)
    best = optimize.minimize_scalar(
        lambda t: -worth([t], [0.0], weigh), bounds=(0.01, 0.98), method="bounded"
    )
    # Values of the reference are flat to 1e-9 of welfare over 3e-5 of the rate.
    assert found.values[0] == pytest.approx(best.x, abs=1e-4)
    assert found.welfare == pytest.approx(-best.fun, rel=1e-6)
    assert found.converged
    assert found.is_peak
    assert found.spread < 2e-3


@pytest.mark.gate
@pytest.mark.parametrize("name", ["inverse", "rawls"])
def test_three_brackets_are_those_of_a_search_without_gradients(name):
    """Rates that fall included, where a gradient that missed who jumps would end elsewhere."""
    aim, weigh = AIMS[name]
    found = plan(WORKERS, aim, THREE, errors=False)
    edges = np.array([0.0, 0.8, 2.0])
    best = optimize.minimize(
        lambda t: -worth(np.clip(t, 0, 0.99), edges, weigh), [0.5, 0.5, 0.4], method="Nelder-Mead"
    )
    # Among 4,000 each who jumps is a step of up to 7e-5, which the search may stand on.
    assert worth(found.values, edges, weigh) >= -best.fun - 1e-4
    assert found.values == pytest.approx(best.x, abs=0.02)
    assert found.is_peak
    assert np.diff(found.values).min() < 0


def test_the_closed_form_is_met_where_there_is_one():
    expected = sample_linear_rate(POTENTIAL, E)
    found = plan(WORKERS, CARED, FLAT)
    assert found.values[0] == pytest.approx(expected.value, abs=1e-5)
    assert found.closed_form == pytest.approx([expected.value], abs=1e-5)
    assert found.standard_error[0] == pytest.approx(expected.standard_error, rel=2e-3)
    # Weights that move with all incomes alike do not move; below a floor they do.
    low = plan(WORKERS, InverseIncome(1e-3), FLAT, errors=False)
    assert low.closed_form == pytest.approx([expected.value], abs=1e-5)
    assert plan(WORKERS, InverseIncome(0.5), FLAT, errors=False).closed_form is None
    assert "theory within" in str(found)


def test_a_worker_of_weight_two_is_two_workers_and_one_of_weight_zero_is_none():
    few = POTENTIAL[::2]
    heavy = Workforce.of(np.append(few, few[::-1]), E, weight=np.repeat([2.0, 0.0], N // 2))
    once = plan(heavy, InverseIncome(0.5), FLAT, errors=False)
    again = plan(Workforce.of(np.append(few, few), E), InverseIncome(0.5), FLAT, errors=False)
    assert once.values == pytest.approx(again.values, abs=1e-6)
    assert once.rebate == pytest.approx(again.rebate, rel=1e-5)
    assert once.values != pytest.approx(
        plan(WORKERS, InverseIncome(0.5), FLAT, errors=False).values, abs=1e-6
    )


@pytest.mark.gate
def test_scouts_find_what_everybody_finds():
    few = plan(WORKERS, CARED, THREE, scout=500, errors=False)
    every = plan(WORKERS, CARED, THREE, errors=False)
    assert few.values == pytest.approx(every.values, abs=2e-4)
    assert few.ends != pytest.approx(every.ends, abs=1e-5)


def test_limits_hold_where_nothing_else_stops_the_planner():
    """Controls: nobody to redistribute to, and workers who hardly answer."""
    upwards = plan(WORKERS, ParetoWeights(WORKERS.potential), FLAT)
    assert upwards.values.tolist() == [0]
    assert upwards.held.tolist() == [-1]
    assert np.isnan(upwards.standard_error).all()
    rigid = Workforce.of(POTENTIAL, 0.05)
    taken = plan(rigid, Rawlsian(0.1), brackets([0.0], high=0.8))
    assert taken.held.tolist() == [1]
    assert "at its upper limit" in str(taken)
    # The same people with an elasticity stop short of it.
    assert plan(WORKERS, Rawlsian(0.1), brackets([0.0], high=0.8)).held.tolist() == [0]


@pytest.mark.gate
def test_public_money_has_its_price_where_it_is_not_handed_back():
    """Flat and utilitarian: 1 / (1 - e t / (1-t)), at the rate that raises as much."""
    need = 0.2
    fair = plan(WORKERS, Utilitarian(), FLAT, errors=False)
    assert fair.values == pytest.approx([0], abs=1e-5)
    found = plan_revenue(WORKERS, Utilitarian(), FLAT, revenue=need)
    mean = POTENTIAL.mean()
    rate = optimize.brentq(lambda t: t * (1 - t) ** E * mean - need, 0, 0.5)
    assert found.values[0] == pytest.approx(rate, abs=1e-5)
    assert found.price == pytest.approx(1 / (1 - E * rate / (1 - rate)), rel=1e-4)
    assert found.revenue == pytest.approx(need, rel=1e-5)
    assert found.rebate == 0
    # How far the rate that raises as much varies over samples is that of the mean income.
    slope = mean * (1 - rate) ** E * (1 - E * rate / (1 - rate))
    error = rate * (1 - rate) ** E * POTENTIAL.std() / slope / np.sqrt(N)
    assert found.standard_error[0] == pytest.approx(error, rel=1e-3)
    with pytest.raises(DataError, match=r"no rates that raise 3 per head; the most found is 0.5"):
        plan_revenue(WORKERS, Utilitarian(), FLAT, revenue=3.0)


def test_spending_lowers_the_rebate_and_no_rate():
    kept = plan(WORKERS, CARED, FLAT, spending=0.1, errors=False)
    free = plan(WORKERS, CARED, FLAT, errors=False)
    assert kept.values == pytest.approx(free.values, abs=1e-6)
    assert kept.rebate == pytest.approx(free.rebate - 0.1, abs=1e-6)
    assert kept.welfare == pytest.approx(free.welfare - 0.1, abs=1e-6)


def test_a_smooth_design_is_linear_in_log_income():
    design = smooth([0.5, 1.0, 4.0], pieces=4)
    schedule = design.schedule(jnp.asarray([0.1, 0.3, 0.7]))
    at = np.array([0.2, 1.0, 2.0, 9.0])
    step = 0.2 / 8 + 1e-6, 0.4 / 8 + 1e-6
    expected = np.interp(np.log(at), np.log([0.5, 1.0, 4.0]), [0.1, 0.3, 0.7])
    assert schedule.marginal(jnp.asarray(at)) == pytest.approx(expected, abs=max(step))
    assert design.size == 3
    assert not design.bracketed


def test_weights_behind_a_law_are_those_it_is_best_for():
    flat = Schedule([0.0], [0.3])
    assert revealed_weights(flat, WORKERS) == pytest.approx([1 - E * 0.3 / 0.7], abs=1e-5)
    found = plan(WORKERS, CARED, FLAT, errors=False)
    mean = np.average(POTENTIAL, weights=1 / POTENTIAL) / POTENTIAL.mean()
    assert revealed_weights(found.schedule, WORKERS) == pytest.approx([mean], abs=1e-4)
    assert linear_rate(mean, E) == pytest.approx(found.values[0], abs=1e-5)
    # At the best rate a unit of revenue is worth as much as what it is taken from.
    rates, edges, step = np.array([0.1, 0.2, 0.45]), np.array([0.0, 0.8, 2.0]), 1e-2
    z = answers(rates, edges)[0]
    revenue = [
        (answers(rates + d, edges)[1].mean() - answers(rates - d, edges)[1].mean()) / (2 * step)
        for d in step * np.eye(3)
    ]
    parts = [np.clip(z - a, 0, b).mean() for a, b in ((0, 0.8), (0.8, 1.2), (2.0, np.inf))]
    expected = np.array(revenue) / parts
    assert revealed_weights(Schedule(edges, rates), WORKERS) == pytest.approx(expected, abs=4e-3)
    falls = revealed_weights(Schedule([0.0, 1.0], [0.6, 0.2]), WORKERS)
    assert np.isnan(falls).all()


def test_a_search_ends_on_a_peak_a_limit_or_says_that_it_is_neither():
    def look(x, hill=(-2.0, -1.0)):
        hill, top = np.array(hill), np.array([0.3, 1.4])
        return 0.5 * hill @ (x - top) ** 2, hill * (x - top), 0.0, np.zeros(2)

    near, _ = climb(look, np.array([0.8, 0.1]), 0.0, 1.0, False)
    peak = finish(look, near, 0.0, 1.0, False)
    assert peak.values == pytest.approx([0.3, 1.0], abs=1e-6)
    assert peak.held.tolist() == [0, 1]
    assert peak.second == pytest.approx(np.diag([-2.0, -1.0]), abs=1e-6)
    saddle = finish(lambda x: look(x, (-2.0, 1.0)), np.array([0.2, 0.9]), 0.0, 2.0, False)
    assert saddle.values == pytest.approx([0.3, 1.4], abs=1e-6)
    assert np.linalg.eigvalsh(saddle.second).max() > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Workforce.of(np.array([1.0, -2.0]), 0.4), r"potential of worker 1 is -2"),
        (lambda: Workforce.of(POTENTIAL, 0.0), r"elasticity is 0; it must be above 0"),
        (lambda: Workforce.of(POTENTIAL, np.ones(3)), r"elasticity is \[3\]; give one or 4000"),
        (lambda: Workforce.of(POTENTIAL, E, weight=np.ones(3)), r"3 weights for 4000 workers"),
        (lambda: Workforce.of(np.ones(2), E, weight=np.zeros(2)), r"weights sum to 0"),
        (lambda: Workforce.of(np.ones((2, 2)), E), r"potential is \[2, 2\]"),
        (lambda: brackets([1.0, 2.0]), r"the first threshold is 0"),
        (lambda: brackets([0.0, 2.0], low=0.5, high=0.2), r"rates from 0.5 to 0.2"),
        (lambda: smooth([1.0]), r"two or more positive incomes"),
        (lambda: smooth([1.0, 2.0], pieces=0), r"pieces = 0"),
        (lambda: InverseIncome(0.0), r"InverseIncome.floor = 0.0; it is positive"),
        (lambda: InverseIncome(1.0, -1.0), r"InverseIncome.power = -1.0; it is 0 or more"),
        (lambda: Rawlsian(0.0), r"Rawlsian.share = 0.0"),
        (lambda: ParetoWeights(-WORKERS.potential), r"weights are 0 or more"),
        (lambda: plan(WORKERS, ParetoWeights(jnp.ones(3)), FLAT), r"\[3\] workers; there are 4000"),
        (lambda: plan(WORKERS, CARED, FLAT, starts=0), r"starts = 0"),
        (lambda: plan(WORKERS, CARED, FLAT, starts=[[0.2, 0.3]]), r"give 1 numbers in \[0.0"),
        (lambda: plan(WORKERS, CARED, FLAT, starts=[]), r"there are no starts"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
