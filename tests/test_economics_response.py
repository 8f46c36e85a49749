"""Responses to taxes against grid search, closed forms and differences; rebates that balance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lpm.economics import (
    Schedule,
    by_group,
    check_jumps,
    equal_rebate,
    federal,
    potential_income,
    respond,
    targeted_rebate,
    total,
)
from lpm.errors import DataError
from lpm.fitting.chance import generator_for

RISING = Schedule([0, 1.5, 3.0], [0.1, 0.2, 0.5])
MIXED = Schedule([0, 1.0, 2.0, 3.0, 4.5], [0.1, 0.5, 0.2, 0.45, 0.3], -0.2)


answer = jax.jit(respond, static_argnames=("jumps", "bandwidth"))


def pareto(n, alpha=2.0):
    """Potential incomes at the middle of n equal shares of people."""
    return jnp.asarray((1 - (np.arange(n) + 0.5) / n) ** (-1 / alpha), jnp.float32)


def best_on_a_grid(potential, elasticity, schedule, points=20_001, most=1.3, cost=0.0, cap=None):
    """The best of many incomes for each worker, in double precision; utility as well."""
    tax = schedule.exact()
    found = []
    for i, m in enumerate(np.asarray(potential, np.float64)):
        e = elasticity if np.ndim(elasticity) == 0 else float(elasticity[i])
        z = np.linspace(0, min(most * m, np.inf if cap is None else float(cap[i])), points)
        u = z - tax(z) - e / (1 + e) * m * (z / m) ** ((1 + e) / e) - cost * (z > 0)
        at = u.argmax()
        found.append((z[at], u[at]))
    return np.array(found).T


def at_least_as_good(utility, on_grid, m):
    """Never worse than the grid but for rounding, nor better by more than a step of it."""
    better = np.asarray(utility, np.float64) - on_grid
    assert np.all(better > -3e-6 * (1 + np.abs(on_grid)))
    assert np.all(better < 1.3 * np.asarray(m) / 20_000)


@pytest.mark.parametrize("schedule", [RISING, MIXED], ids=["rising", "falling too"])
def test_response_is_the_best_of_a_fine_grid(schedule):
    m = pareto(200)
    e = jnp.asarray(np.linspace(0.15, 1.4, 200), jnp.float32)
    found = answer(schedule, m, e)
    income, utility = best_on_a_grid(m, np.asarray(e, np.float64), schedule)
    at_least_as_good(found.utility, utility, m)
    # Two incomes may be as good to seven digits; everywhere else they agree to the grid.
    apart = np.abs(np.asarray(found.income) - income) > 1.3 * np.asarray(m) / 20_000
    assert apart.sum() <= 1
    tax = schedule.exact()(np.asarray(found.income, np.float64))
    assert np.asarray(found.tax) == pytest.approx(tax, rel=1e-5, abs=1e-6)


def test_a_cap_on_hours_and_a_cost_of_working():
    m = pareto(200)
    cap = m * jnp.asarray(np.linspace(0.4, 1.2, 200), jnp.float32)
    found = answer(MIXED, m, 0.4, cap=cap, fixed_cost=0.35)
    income, utility = best_on_a_grid(m, 0.4, MIXED, cost=0.35, cap=np.asarray(cap, np.float64))
    at_least_as_good(found.utility, utility, m)
    assert (np.abs(np.asarray(found.income) - income) > 1e-4 * np.asarray(m)).sum() <= 1
    assert np.asarray(found.works).tolist() == (income > 0).tolist()
    assert 0 < found.works.mean() < 1


def test_nobody_is_near_a_threshold_where_rates_fall_and_many_are_on_it_where_they_rise():
    m = pareto(20_000)
    down = np.asarray(answer(Schedule([0, 3.0], [0.5, 0.2]), m, 0.4).income)
    up = np.asarray(answer(Schedule([0, 3.0], [0.2, 0.5]), m, 0.4).income)
    assert not np.any(np.abs(down - 3) < 0.1)
    share = (3 / 0.8**0.4) ** -2 - (3 / 0.5**0.4) ** -2
    assert np.mean(up == 3) == pytest.approx(share, rel=0.01)


def test_taxes_of_everything_and_people_without_skill():
    m = jnp.array([0.0, 1.0, 5.0])
    found = answer(Schedule([0, 3.0], [0.0, 1.0]), m, 0.5)
    assert np.asarray(found.income).tolist() == [0, 1, 3]
    slopes = jax.jit(jax.grad(lambda m: jnp.sum(respond(RISING, m, 0.5).utility)))(m)
    assert np.all(np.isfinite(slopes))


def test_groups_respond_to_their_own_schedule():
    kinds = [federal(2024, "single", credits=False), federal(2024, "head", 2, payroll=True)]
    m = jnp.asarray(np.geomspace(2_000, 4e5, 400), jnp.float32)
    group = jnp.arange(400) % 2
    found = np.asarray(answer(by_group(kinds), m, 0.3, group=group).utility)
    for g, one in enumerate(kinds):
        alone = np.asarray(answer(one, m, 0.3).utility)
        assert found[g::2] == pytest.approx(alone[g::2], rel=1e-5)


def test_ties_go_to_less_income():
    # Equal rates are one bracket, cut in two.
    split = answer(Schedule([0, 2.0, 2.5], [0.3, 0.3, 0.3]), pareto(50), 0.4)
    whole = answer(Schedule([0], [0.3]), pareto(50), 0.4)
    assert np.asarray(split.income) == pytest.approx(np.asarray(whole.income))
    idle = answer(Schedule([0], [0.0]), jnp.ones(1), 1.0, fixed_cost=0.5)
    assert not idle.works[0]


def test_the_gradient_of_utility_is_the_envelope():
    m = pareto(500)
    schedule = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), MIXED)
    slopes = jax.jit(jax.jacrev(lambda s: respond(s, m, 0.4).utility))(schedule)
    z = np.asarray(answer(schedule, m, 0.4).income, np.float64)
    edges = [*np.asarray(MIXED.thresholds), np.inf]
    for j in range(5):
        expected = -np.clip(z - edges[j], 0, edges[j + 1] - edges[j])
        assert np.asarray(slopes.rates[:, j]) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert np.asarray(slopes.intercept) == pytest.approx(-1)


def welfare(rates, edges, mode, m):
    found = answer(Schedule([0.0, *edges], rates), m, 0.4, jumps=mode)
    return total(found.utility + 2 * found.tax) / m.size


def differences(rates, edges, step=2e-3, n=1_000_000):
    """Central differences with the same workers, by plain NumPy in double precision."""
    m = (1 - (np.arange(n) + 0.5) / n) ** -0.5

    def value(rates, edge):
        (t0, t1), e = rates, 0.4
        z0, z1 = np.minimum(m * (1 - t0) ** e, edge), np.maximum(m * (1 - t1) ** e, edge)
        taxes = t0 * z0, t0 * edge + t1 * (z1 - edge)
        u = [
            z - t - e / (1 + e) * m * (z / m) ** ((1 + e) / e)
            for z, t in zip((z0, z1), taxes, strict=True)
        ]
        up = u[1] > u[0]
        return np.mean(np.where(up, u[1] + 2 * taxes[1], u[0] + 2 * taxes[0]))

    def slope(move):
        plus, minus = (value(rates + s * move[:2], edges + s * move[2]) for s in (step, -step))
        return (plus - minus) / (2 * step)

    return np.array([slope(move) for move in np.eye(3)])


def gradient(rates, edge, mode, n=200_000):
    slope = jax.jit(jax.grad(welfare, (0, 1)), static_argnums=2)
    slopes = slope(jnp.asarray(rates), [jnp.asarray(edge)], mode, pareto(n))
    return np.array([*slopes[0], slopes[1][0]])


def test_gradients_equal_differences_where_rates_rise():
    found = gradient([0.2, 0.5], 3.0, "pathwise")
    expected = differences(np.array([0.2, 0.5]), 3.0)
    # The grids of workers differ by their tails, where incomes have no variance: 1e-3.
    assert found == pytest.approx(expected, rel=2e-3)
    assert gradient([0.2, 0.5], 3.0, "corrected") == pytest.approx(found, rel=1e-6)


def test_gradients_are_corrected_where_rates_fall_and_wrong_without():
    expected = differences(np.array([0.5, 0.2]), 3.0)
    # The threshold's is what is left of two terms ten times as large.
    assert gradient([0.5, 0.2], 3.0, "corrected") == pytest.approx(expected, rel=0.01, abs=1e-4)
    assert gradient([0.5, 0.2], 3.0, "pathwise") != pytest.approx(expected, rel=0.01, abs=1e-4)


def test_those_who_stop_working_are_in_the_corrected_gradient():
    n, e, cost = 400_000, 0.4, 0.9
    m = pareto(n)

    def revenue(rate, mode):
        return total(respond(Schedule([0], [rate]), m, e, fixed_cost=cost, jumps=mode).tax) / n

    # Works if m (1-t)**(1+e) / (1+e) > cost; then pays t m (1-t)**e. Pareto of index 2.
    def exact(t):
        least = cost * (1 + e) / (1 - t) ** (1 + e)
        return t * (1 - t) ** e * 2 / least

    expected = (exact(0.3 + 1e-5) - exact(0.3 - 1e-5)) / 2e-5
    slope = jax.jit(jax.grad(revenue), static_argnums=1)
    assert slope(jnp.asarray([0.3])[0], "corrected") == pytest.approx(expected, rel=0.01)
    assert slope(jnp.asarray([0.3])[0], "pathwise") != pytest.approx(expected, rel=0.1)


def test_any_function_of_income_has_its_gradient_corrected():
    m = pareto(400_000)

    def mean(rate, kind):
        found = answer(Schedule([0, 3.0], [0.5, rate]), m, 0.4, jumps="corrected")
        if kind == "apply":
            return total(found.crossing.apply(jnp.log, found.income)) / m.size
        return total(jnp.log(found.income)) / m.size

    def reference(rate, n=2_000_000):
        m = (1 - (np.arange(n) + 0.5) / n) ** -0.5
        z0, z1 = np.minimum(m * 0.5**0.4, 3), np.maximum(m * (1 - rate) ** 0.4, 3)
        u0 = 0.5 * z0 - 0.4 / 1.4 * m * (z0 / m) ** 3.5
        u1 = z1 - 1.5 - rate * (z1 - 3) - 0.4 / 1.4 * m * (z1 / m) ** 3.5
        return np.log(np.where(u1 > u0, z1, z0)).mean()

    expected = (reference(0.202) - reference(0.198)) / 0.004
    at = jnp.asarray(0.2)
    assert jax.jit(jax.grad(mean), static_argnums=1)(at, "apply") == pytest.approx(
        expected, rel=0.01
    )


def test_jumps_are_reported_and_flagged():
    down = check_jumps(Schedule([0, 3.0], [0.5, 0.2]), pareto(50_000), 0.4)
    assert down.flagged
    assert 0 < down.share < 0.1
    assert "near a jump" in str(down)
    assert 'use jumps="corrected"' in str(down)
    up = check_jumps(Schedule([0, 3.0], [0.2, 0.5]), pareto(50_000), 0.4)
    assert not up.flagged
    assert up.share == 0
    assert up.bias < 1e-6
    assert "will do" in str(up)


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0.898), (0.5, 0.797), (0.9, 0.261)])
def test_most_workers_of_llm_economist_are_at_the_cap_of_a_hundred_hours(rate, share):
    """Skills: GB2 incomes over 40 hours; by the F distribution, as the paper's code has it."""
    sigma, mu, nu, tau = 2.07211, 72_402.78, 0.486519, 1.141040
    u = (np.arange(100_000) + 0.5) / 100_000
    income = mu * ((nu / tau) * stats.f.ppf(u, 2 * nu, 2 * tau)) ** (1 / sigma)
    skill = jnp.asarray(income / 40, jnp.float32)
    m = potential_income(skill, 0.4, 0.0005)
    hours = answer(Schedule([0], [rate]), m, 0.4, cap=100 * skill).income / skill
    assert float(jnp.mean(hours > 99.999)) == pytest.approx(share, abs=0.003)


def test_replicating_and_permuting_workers_changes_nothing():
    m = pareto(3_000)
    order = generator_for(jnp.zeros((1, 2), jnp.uint32), "order").permutation(3_000)
    weight = jnp.asarray(np.linspace(0.5, 2, 3_000), jnp.float32)

    @jax.jit
    @jax.grad
    def slopes(rates, m, weight):
        found = respond(Schedule(MIXED.thresholds, rates), m, 0.4, jumps="corrected")
        rebate = equal_rebate(found.tax, weight)
        return total(weight * (found.utility + rebate)) / total(weight)

    def slope(m, weight):
        return np.asarray(slopes(jnp.asarray(MIXED.rates, jnp.float32), m, weight))

    once = slope(m, weight)
    assert slope(m[order], weight[order]) == pytest.approx(once, rel=1e-5, abs=1e-6)
    twice = slope(jnp.concatenate([m, m]), jnp.concatenate([weight, weight]))
    assert twice == pytest.approx(once, rel=1e-5, abs=1e-6)


def test_rebates_balance_the_budget():
    m = np.asarray(pareto(1_000_000), np.float64) * 20_000
    tax = jnp.asarray(0.3 * m - 2_000, jnp.float32)
    weight = jnp.asarray(1 + np.arange(1_000_000) % 7, jnp.float32)
    alive = jnp.arange(1_000_000) % 3 > 0
    heads = np.where(alive, weight, 0.0).astype(np.float64)
    revenue = heads @ np.asarray(tax, np.float64)
    rebate = float(equal_rebate(tax, weight, alive))
    assert heads.sum() * rebate == pytest.approx(revenue, rel=1e-6)
    kept = float(equal_rebate(tax, weight, alive, spending=500.0))
    assert kept == pytest.approx(rebate - 500, rel=1e-5)
    need = jnp.asarray(m < 30_000, jnp.float32)
    paid = np.asarray(targeted_rebate(tax, need, weight, alive), np.float64)
    assert heads @ paid == pytest.approx(revenue, rel=1e-6)
    assert np.all(paid[(m >= 30_000) | ~np.asarray(alive)] == 0)


def test_sums_keep_their_digits():
    x = jnp.exp(3 * jax.random.normal(jax.random.key(0), (3_000_001,)))
    assert float(jax.jit(total)(x)) == pytest.approx(np.asarray(x, np.float64).sum(), rel=3e-7)
    assert float(total(jnp.zeros(0))) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, w: equal_rebate(t, 0 * w), "people that sum to 0"),
        (lambda t, w: equal_rebate(t, w - 1.5), "the least -0.5.*cannot balance"),
        (lambda t, w: equal_rebate(t / 0, w), "rebate of inf"),
        (lambda t, w: equal_rebate(t, w, w < 0), "cannot balance"),
        (lambda t, w: targeted_rebate(t, 0 * w, w), "shares that sum to 0"),
        (lambda t, w: targeted_rebate(t, w - 2, w), "shares that sum to -3, the least -1"),
        (lambda t, w: respond(RISING, w, 0.4, jumps="smooth"), "jumps = 'smooth'"),
        (lambda t, w: respond(RISING, w, 0.4, bandwidth=0.0), "bandwidth = 0.0; it is positive"),
        (lambda t, w: check_jumps(RISING, w, 0.4, weight=0 * w), "weights sum to 0"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call(jnp.ones(3), jnp.ones(3))


def test_inside_jit_a_rebate_that_cannot_balance_is_nan():
    assert np.isnan(jax.jit(equal_rebate)(jnp.ones(3), jnp.zeros(3)))
