"""Observation models against the laws of scipy, and what a series makes of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lpm.errors import FittingError
from lpm.fitting.distances import (
    energy_distance,
    moment_distance,
    moment_weight,
    quantile_distance,
)
from lpm.fitting.losses import Series, log_mean_exp, synthetic_likelihood, together
from lpm.fitting.noise import (
    BetaBinomial,
    DirichletMultinomial,
    LogNormal,
    NegativeBinomial,
    Poisson,
)
from lpm.trajectory import Trajectory

COUNTS = np.array([0.0, 1.0, 7.0, 250.0, 40_000.0, np.nan])
MEANS = np.array([0.5, 3.0, 6.5, 260.0, 39_000.0, 5.0])


def run(**observed):
    """A run that was observed so."""
    seen = {name: jnp.asarray(x, jnp.float32) for name, x in observed.items()}
    rows = len(next(iter(seen.values())))
    return Trajectory(
        time=np.arange(1, rows + 1),
        observed=seen,
        state=None,
        faults={},
        snapshots={},
        log_probability=np.zeros(rows, np.float32),
        plain=seen,
        unit="day",
    )


def expected(law):
    return np.where(np.isnan(COUNTS), 0, law(np.nan_to_num(COUNTS)))


def test_poisson_is_that_of_scipy_and_missing_counts_count_nothing():
    found = Poisson().log_likelihood(COUNTS, jnp.asarray(MEANS))
    # float32 keeps seven digits of half a deviance, here up to 13.
    assert found == pytest.approx(expected(lambda y: stats.poisson.logpmf(y, MEANS)), abs=1e-4)


def test_negative_binomial_is_that_of_scipy():
    k = 4.0
    found = NegativeBinomial(k).log_likelihood(COUNTS, jnp.asarray(MEANS))
    wanted = expected(lambda y: stats.nbinom.logpmf(y, k, k / (k + MEANS)))
    assert found == pytest.approx(wanted, abs=1e-4)


def test_many_counts_keep_their_slope_in_float32():
    y, m = 4e6, 4.1e6
    slope = jax.grad(lambda mean: Poisson().log_likelihood(np.array([y]), mean).sum())
    assert slope(jnp.array([m]))[0] == pytest.approx(y / m - 1, rel=1e-4)
    # The plain formula, for comparison: its value is wrong by more than one in float32.
    plain = y * jnp.log(jnp.float32(m)) - jnp.float32(m) - jax.scipy.special.gammaln(y + 1.0)
    assert abs(float(plain) - stats.poisson.logpmf(y, m)) > 1
    found = Poisson().log_likelihood(np.array([y]), jnp.array([m]))[0]
    assert found == pytest.approx(stats.poisson.logpmf(y, m), rel=1e-4)


def test_log_normal_is_normal_in_the_log():
    found = LogNormal(0.3).log_likelihood(COUNTS, jnp.asarray(MEANS))
    law = stats.norm(np.log1p(MEANS), 0.3)
    assert found == pytest.approx(expected(lambda y: law.logpdf(np.log1p(y))), rel=1e-4)


def test_beta_binomial_is_that_of_scipy():
    y, n, p, c = np.array([3.0, 40.0, 0.0]), 50.0, np.array([0.1, 0.7, 0.02]), 30.0
    found = BetaBinomial(n, c).log_likelihood(y, jnp.asarray(p))
    wanted = stats.betabinom.logpmf(y, 50, p * c, (1 - p) * c)
    assert found == pytest.approx(wanted, abs=1e-3)
    with pytest.raises(FittingError, match="observed 60 positives among 50"):
        BetaBinomial(n).log_likelihood(np.array([60.0]), jnp.array([0.5]))


def test_dirichlet_multinomial_is_that_of_scipy():
    y = np.array([[3.0, 5.0, 2.0], [0.0, 1.0, 9.0], [np.nan, 1.0, 2.0]])
    mean = np.array([[2.0, 5.0, 3.0], [1.0, 1.0, 8.0], [1.0, 1.0, 1.0]])
    found = np.asarray(DirichletMultinomial(20.0).log_likelihood(y, jnp.asarray(mean)))
    share = mean / mean.sum(axis=1, keepdims=True)
    wanted = [stats.dirichlet_multinomial.logpmf(y[i], 20 * share[i], 10) for i in (0, 1)]
    assert found.sum(axis=1) == pytest.approx([*wanted, 0], abs=1e-3)


def test_weeks_are_sums_of_days_reported_in_part_and_late():
    days = np.arange(1.0, 22.0)
    series = Series(
        "cases", [1, 1, 1], Poisson(), window=7, reported=[0.5, 0.5, 1.0], delay=(0.7, 0.0, 0.3),
        background=0.0,
    )  # fmt: skip
    late = 0.7 * days + 0.3 * np.concatenate([[0, 0], days[:-2]])
    wanted = late.reshape(3, 7).sum(axis=1) * [0.5, 0.5, 1.0]
    assert series.expected(run(cases=days)) == pytest.approx(wanted, rel=1e-6)


def test_each_period_counts_in_the_row_in_which_it_ends():
    series = Series("cases", [4, np.nan, 6], Poisson(), window=2, first=1, background=0.0)
    loss = series(run(cases=np.full(8, 2.0)))
    assert np.flatnonzero(loss).tolist() == [2, 6]
    assert loss[2] == pytest.approx(-stats.poisson.logpmf(4, 4), abs=1e-5)
    assert float(loss.sum()) == pytest.approx(-stats.poisson.logpmf([4, 6], 4).sum(), abs=1e-5)


def test_several_series_add_up_and_weights_scale_them():
    cases = Series("cases", [4, 6], Poisson())
    deaths = Series("deaths", [1, 0], Poisson(), weight=2.0)
    seen = run(cases=np.array([3.0, 7.0]), deaths=np.array([0.5, 0.5]))
    wanted = cases(seen) + deaths(seen)
    assert together(cases, deaths)(seen) == pytest.approx(np.asarray(wanted))
    plain = Series("deaths", [1, 0], Poisson())
    assert deaths(seen) == pytest.approx(2 * np.asarray(plain(seen)))


def test_a_loss_has_a_derivative_everywhere_also_at_nothing():
    series = Series("cases", [0, 5, np.nan], NegativeBinomial(3.0))

    def loss(scale):
        return series(run(cases=scale * jnp.array([0.0, 0.0, 1.0]))).sum()

    assert np.isfinite(jax.grad(loss)(1.0))


def test_the_likeliest_scale_is_the_true_one():
    rng = np.random.default_rng(5)  # noqa: TID251 - data from outside the model
    mean = np.linspace(20, 400, 60)
    series = Series("cases", rng.negative_binomial(8, 8 / (8 + 1.7 * mean)), NegativeBinomial(8.0))

    def loss(scale):
        return series(run(cases=scale * jnp.asarray(mean))).sum()

    scales = np.linspace(1.2, 2.4, 121)
    best = scales[int(np.argmin(jax.vmap(loss)(jnp.asarray(scales))))]
    # Fisher information of the scale: 60 periods of cv sqrt(1/8) give a standard error of 5 %.
    assert best == pytest.approx(1.7, abs=3 * 1.7 * 0.05)


def test_mean_likelihood_over_runs_is_not_ruled_by_the_worst():
    logs = jnp.array([-10.0, -500.0, -11.0])
    wanted = np.log(np.mean(np.exp(np.array([0.0, -490.0, -1.0])))) - 10
    assert log_mean_exp(logs) == pytest.approx(wanted, rel=1e-5)


def test_synthetic_likelihood_is_the_normal_law_of_the_runs():
    rng = np.random.default_rng(1)  # noqa: TID251
    found, seen = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)), np.ones(3)
    law = stats.multivariate_normal(found.mean(axis=0), np.cov(found, rowvar=False))
    value = synthetic_likelihood(jnp.asarray(found), jnp.asarray(seen))
    assert value == pytest.approx(law.logpdf(seen), rel=1e-3)
    with pytest.raises(FittingError, match="3 runs cannot tell the spread of 3 statistics"):
        synthetic_likelihood(jnp.asarray(found[:3]), jnp.asarray(seen))


def test_energy_distance_is_that_of_all_pairs():
    rng = np.random.default_rng(2)  # noqa: TID251
    x, y = rng.normal(size=30), rng.normal(1, 2, size=50)

    def pairs(a, b):
        return np.abs(a[:, None] - b[None]).mean()

    wanted = 2 * pairs(x, y) - pairs(x, x) - pairs(y, y)
    assert energy_distance(jnp.asarray(x), jnp.asarray(y)) == pytest.approx(wanted, rel=1e-4)
    assert energy_distance(jnp.asarray(x), jnp.asarray(x)) == pytest.approx(0, abs=1e-6)


def test_quantile_distance_of_a_shift_is_the_shift():
    x = jnp.linspace(0, 1, 200)
    assert quantile_distance(x, x + 0.25) == pytest.approx(0.25, rel=1e-4)


def test_moments_count_by_how_surely_they_are_known():
    rng = np.random.default_rng(3)  # noqa: TID251
    runs = rng.normal(size=(400, 2)) * [1.0, 10.0]
    weight = moment_weight(runs)
    assert np.diag(weight) == pytest.approx([1, 0.01], rel=0.25)
    near = moment_distance(jnp.array([0.0, 10.0]), jnp.zeros(2), jnp.asarray(weight))
    far = moment_distance(jnp.array([10.0, 0.0]), jnp.zeros(2), jnp.asarray(weight))
    assert near < far / 50
    with pytest.raises(FittingError, match="moment 1 is the same in all runs"):
        moment_weight(np.array([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": [1, -2]}, "target of 'cases' is negative in period 1"),
        ({"target": [np.nan]}, "0 known values"),
        ({"target": [1, np.inf]}, "give finite numbers"),
        ({"target": [1], "reported": 1.5}, r"must lie in \[0, 1\]"),
        ({"target": [1], "delay": (0.5, 0.2)}, "sums to 0.7; its shares must sum to 1"),
        ({"target": [1], "window": 0}, "window 0"),
    ],
)
def test_a_series_that_makes_no_sense_is_refused(given, message):
    with pytest.raises(FittingError, match=message):
        Series("cases", **given)


def test_a_run_that_does_not_fit_the_series_is_refused():
    seen = run(cases=np.ones(10), parts=np.ones((10, 2)))
    with pytest.raises(FittingError, match=r"no observable \[casis\].*did you mean \[cases\]"):
        Series("casis", [1])(seen)
    with pytest.raises(FittingError, match="needs 14 rows, but the run has 10"):
        Series("cases", [1, 2], window=7)(seen)
    with pytest.raises(FittingError, match=r"is \[2\], but the run gives \[2, 2\]"):
        Series("parts", [1, 2])(seen)


@pytest.mark.parametrize("noise", [NegativeBinomial, LogNormal, DirichletMultinomial])
def test_a_spread_of_nothing_is_refused(noise):
    with pytest.raises(FittingError, match=r"is 0\.0; give a number above 0"):
        noise(0.0)
