"""Measures: closed forms, other code's answers, masks and weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from lpm.analysis import gini, lorenz, mean, quantile, rate, top_share, variance

N = 20_000
LEVELS = (np.arange(N) + 0.5) / N

# One length, so that each measure is compiled once.
values = st.lists(st.integers(0, 100), min_size=24, max_size=24)


def levels_of(distribution) -> jax.Array:
    return jnp.asarray(distribution.ppf(LEVELS), jnp.float32)


def relative_difference(x: np.ndarray) -> float:
    """Half the mean absolute difference of all pairs, over the mean."""
    return np.abs(x[:, None] - x).mean() / (2 * x.mean()) if x.any() else 0.0


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (stats.expon(), 1 / 2),
        (stats.uniform(), 1 / 3),
        (stats.pareto(3), 1 / 5),  # 1 / (2 a - 1)
        (stats.lognorm(0.8), 2 * stats.norm.cdf(0.8 / np.sqrt(2)) - 1),
    ],
)
def test_gini_meets_the_closed_form(distribution, expected):
    assert float(gini(levels_of(distribution))) == pytest.approx(expected, abs=2e-3)


def test_gini_of_equal_people_is_zero_and_of_one_who_has_all_is_one_less_one_in_n():
    assert float(gini(jnp.full(50, 7.0))) == pytest.approx(0, abs=1e-6)
    assert float(gini(jnp.zeros(50).at[3].set(9.0))) == pytest.approx(1 - 1 / 50, abs=1e-6)


@given(values)
def test_gini_is_half_the_relative_mean_difference(found):
    expected = relative_difference(np.array(found, np.float64))
    assert float(gini(jnp.asarray(found, jnp.float32))) == pytest.approx(expected, abs=1e-5)


def test_lorenz_curve_of_a_uniform_distribution_is_a_parabola():
    points = jnp.linspace(0, 1, 11)
    curve = lorenz(levels_of(stats.uniform()), points)
    assert np.allclose(curve, points**2, atol=1e-3)


def test_top_tenth_of_a_pareto_tail_holds_what_the_formula_says():
    share = float(top_share(levels_of(stats.pareto(3)), 0.1))
    assert share == pytest.approx(0.1 ** (1 - 1 / 3), abs=5e-3)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), min_size=24, max_size=24))
def test_a_weight_counts_as_that_many_people(pairs):
    x = np.array([p[0] for p in pairs], np.float32)
    weight = np.array([p[1] for p in pairs], np.float32)
    weight[0] = 1
    people = np.repeat(x, weight.astype(int)).astype(np.float64)
    q = jnp.asarray([0.05, 0.5, 0.95])
    for measure, other in ((mean, np.mean), (variance, np.var), (gini, relative_difference)):
        weighted = measure(jnp.asarray(x), jnp.asarray(weight))
        assert float(weighted) == pytest.approx(float(other(people)), abs=1e-3, rel=1e-4)
    expected = np.quantile(x, q, weights=weight, method="inverted_cdf")
    assert quantile(jnp.asarray(x), q, jnp.asarray(weight)).tolist() == expected.tolist()


@given(values)
def test_moments_and_quantiles_agree_with_numpy(found):
    x = jnp.asarray(found, jnp.float32)
    q = jnp.asarray([0.0, 0.1, 0.5, 0.9, 1.0])
    assert float(mean(x)) == pytest.approx(np.mean(found), rel=1e-5, abs=1e-5)
    assert float(variance(x)) == pytest.approx(np.var(found), rel=1e-4, abs=1e-3)
    assert quantile(x, q).tolist() == np.quantile(found, q, method="inverted_cdf").tolist()


@pytest.mark.parametrize("measure", [mean, variance, gini])
def test_empty_slots_count_for_nothing_whatever_they_hold(measure):
    x = jnp.asarray([1.0, 5.0, 2.0])
    padded = jnp.asarray([jnp.nan, 1.0, 5.0, -9.0, 2.0])
    alive = jnp.asarray([False, True, True, False, True])
    assert float(measure(padded, where=alive)) == pytest.approx(float(measure(x)), rel=1e-6)


def test_quantiles_skip_empty_slots():
    x, alive = jnp.asarray([0.0, 3.0, 4.0, 99.0]), jnp.asarray([False, True, True, False])
    assert quantile(x, jnp.asarray([0.0, 0.5, 1.0]), where=alive).tolist() == [3.0, 3.0, 4.0]


def test_a_measure_of_nobody_is_zero():
    x, nobody = jnp.asarray([1.0, 2.0]), jnp.zeros(2, bool)
    assert float(mean(x, where=nobody)) == 0
    assert float(gini(x, where=nobody)) == 0
    assert float(rate(x, x, where=nobody)) == 0


def test_rate_is_events_per_exposure():
    deaths, years = jnp.asarray([1.0, 0.0, 1.0]), jnp.asarray([0.5, 1.0, 1.0])
    assert float(rate(deaths, years)) == pytest.approx(2 / 2.5)
    assert float(rate(deaths, years, where=jnp.asarray([True, True, False]))) == pytest.approx(
        2 / 3
    )


def test_gradient_of_gini_is_that_of_differences():
    x = jnp.asarray([1.0, 4.0, 2.5, 8.0])
    slope = jax.grad(gini)(x)
    for i in range(4):
        step = 1e-2
        change = gini(x.at[i].add(step)) - gini(x.at[i].add(-step))
        assert float(slope[i]) == pytest.approx(float(change) / (2 * step), abs=1e-4)
