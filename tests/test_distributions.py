"""Each law against SciPy's, at the 200,000 slots of one draw.

Keys are fixed; a new key fails a Kolmogorov-Smirnov or chi-square test once in 10,000.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lpm.distributions import log_binomial, log_poisson
from lpm.draw import Draw

N = 200_000
LEAST = 1e-4


@pytest.fixture
def draw():
    return Draw(jax.random.key_data(jax.random.key(5)), 3, "test", slot=jnp.arange(N))


def p_value(drawn, law):
    """Of a chi-square test on up to 43 classes of counts, both tails among them."""
    drawn = np.asarray(drawn)
    assert (drawn == np.round(drawn)).all()
    levels = np.concatenate([[2e-4], np.linspace(0, 1, 41)[1:-1], [1 - 2e-4]])
    edges = np.unique(np.concatenate([law.ppf(levels), [law.support()[0]]]))
    below = np.concatenate([[0], law.cdf(edges), [1]])
    keep = np.diff(below) * N > 10
    found = np.bincount(np.searchsorted(edges, drawn), minlength=edges.size + 1)
    assert found[~keep].sum() < 60
    scaled = np.diff(below)[keep] * found[keep].sum() / np.diff(below)[keep].sum()
    return stats.chisquare(found[keep], scaled).pvalue


@pytest.mark.parametrize(
    ("name", "law"),
    [("uniform", stats.uniform()), ("normal", stats.norm()), ("exponential", stats.expon())],
)
def test_continuous_draws_follow_their_law_in_both_halves(draw, name, law):
    drawn = np.asarray(getattr(draw, name)("agent"))
    assert stats.kstest(drawn, law.cdf).pvalue > LEAST
    assert abs(drawn.mean() - law.mean()) < 4 * law.std() / np.sqrt(N)
    assert abs(drawn.std() / law.std() - 1) < 0.012
    assert abs((drawn < law.median()).mean() - 0.5) < 2 / np.sqrt(N)


def test_normals_are_right_to_both_far_tails():
    """2**24 normals beyond +-4.5: Poisson counts of mean 57 within 4 standard errors."""

    @jax.jit
    def beyond():
        drawn = Draw(jnp.zeros(2, jnp.uint32), 0, "tail", slot=jnp.arange(2**24)).normal("agent")
        return jnp.sum(drawn > 4.5), jnp.sum(drawn < -4.5), jnp.all(jnp.isfinite(drawn))

    above, under, finite = beyond()
    expected = 2**24 * stats.norm.sf(4.5)
    assert abs(int(above) - expected) < 4 * np.sqrt(expected)
    assert abs(int(under) - expected) < 4 * np.sqrt(expected)
    assert finite


@pytest.mark.parametrize("shape", [0.05, 0.5, 1.0, 7.0, 300.0])
def test_gamma_follows_its_law(draw, shape):
    """Below 1e-30 a float32 ends, which 3 % of the draws of shape 0.05 reach."""
    law = stats.gamma(shape)
    drawn = np.asarray(draw.gamma(shape, "agent"), np.float64)
    inside = drawn > 1e-30
    least = law.cdf(1e-30)
    assert abs((~inside).mean() - least) < 2e-3
    assert stats.kstest((law.cdf(drawn[inside]) - least) / (1 - least), "uniform").pvalue > LEAST


@pytest.mark.parametrize(("a", "b"), [(2.0, 0.5), (0.3, 0.3), (30.0, 4.0)])
def test_beta_follows_its_law(draw, a, b):
    """Rounding to 1 where `b` is small is not held against it."""
    drawn = np.clip(np.asarray(draw.beta(a, b, "agent"), np.float64), 0, 1 - 2.0**-24)
    inside = drawn < 1 - 1e-6
    law = stats.beta(a, b)
    assert abs(inside.mean() - law.cdf(1 - 1e-6)) < 5e-3
    scaled = law.cdf(drawn[inside]) / law.cdf(1 - 1e-6)
    assert stats.kstest(scaled, "uniform").pvalue > LEAST


def test_beta_and_gamma_of_tiny_shapes_are_finite_with_finite_slopes():
    n = 5000
    draw = Draw(jax.random.key_data(jax.random.key(5)), 3, "test", slot=jnp.arange(n))
    for sample in (lambda a: draw.beta(a, a), lambda a: draw.beta(a, 1.0 + a), draw.gamma):
        drawn, pull = jax.jit(lambda a, sample=sample: jax.vjp(sample, a))(jnp.full(n, 1e-3))
        assert jnp.isfinite(drawn).all()
        assert jnp.isfinite(pull(jnp.ones(n))[0]).all()


def test_poisson_follows_its_law(draw):
    rates = (0.01, 0.7, 4.0, 9.99, 10.0, 33.0, 1000.0)
    drawn = draw.poisson(np.array(rates), ("agent", 7))
    for column, rate in enumerate(rates):
        assert p_value(drawn[:, column], stats.poisson(rate)) > LEAST, rate


def test_a_large_poisson_has_its_mean_variance_and_shape(draw):
    """Within 5 standard errors, and Kolmogorov-Smirnov against the normal limit."""
    means = np.array([1e5, 1e6])
    drawn = np.asarray(draw.poisson(means, ("agent", 2)), np.float64)
    for z in ((drawn - means) / np.sqrt(means)).T:
        assert abs(z.mean()) < 5 / np.sqrt(N)
        assert abs(z.var() - 1) < 5 * np.sqrt(2 / N)
        assert np.abs(np.sort(stats.norm.cdf(z)) - np.arange(N) / N).max() < 0.005


def test_binomial_follows_its_law(draw):
    n = (1, 5, 30, 19, 25, 100, 1000, 100_000, 3_000_000, 3_000_000, 3_000_000)
    p = (0.3, 0.02, 0.9, 0.5, 0.45, 0.4, 0.7, 0.2, 4e-6, 0.001, 0.3)
    drawn = draw.binomial(np.array(n), np.array(p), ("agent", len(n)))
    for column, law in enumerate(map(stats.binom, n, p)):
        assert p_value(drawn[:, column], law) > LEAST, (n[column], p[column])


def test_rare_counts_are_right():
    """Means of 4e-6 over 2**22 slots: Poisson of mean 17 (fails once in 1,000), never a pair."""

    @jax.jit
    def rare():
        draw = Draw(jnp.zeros(2, jnp.uint32), 0, "rare", slot=jnp.arange(2**22))
        return draw.poisson(4e-6, "agent"), draw.binomial(10.0, 4e-7, "agent")

    for drawn in rare():
        assert 5 <= float(jnp.sum(drawn)) <= 33
        assert float(jnp.max(drawn)) == 1


def test_counts_at_the_ends_of_their_domain():
    @jax.jit
    def ends():
        draw = Draw(jnp.zeros(2, jnp.uint32), 0, "ends", slot=jnp.arange(1000))
        n, p = np.array([7, 7, 1e6, 0]), np.array([0.0, 1.0, 1.0, 0.5])
        a, b = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])
        return (
            (draw.poisson(0.0, "agent")[:, None], [0]),
            (draw.binomial(n, p, ("agent", 4)), [0, 7, 1e6, 0]),
            (draw.gamma(0.0, "agent")[:, None], [0]),
            (draw.beta(a, b, ("agent", 3)), [0, 1, 0]),
        )

    for drawn, expected in ends():
        assert (np.asarray(drawn) == np.asarray(expected)).all()


def test_counts_of_mixed_size_are_each_right():
    def count(rate):
        draw = Draw(jax.random.key_data(jax.random.key(5)), 3, "test", slot=jnp.arange(1000))
        return draw.poisson(rate, "agent")

    drawn = count(jnp.where(jnp.arange(1000) % 2 == 0, 0.7, 33.0))
    assert (drawn[::2] == count(0.7)[::2]).all()
    assert (drawn[1::2] == count(33.0)[1::2]).all()


@pytest.mark.parametrize("p", [0.0, 1e-3, 0.3, 0.999, 1.0])
def test_bernoulli_is_zero_or_one_at_its_rate(draw, p):
    drawn = np.asarray(draw.bernoulli(p, "agent"))
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    assert abs(drawn.mean() - p) <= 4 * np.sqrt(p * (1 - p) / N)


@pytest.mark.parametrize("given", ["probs", "logits"])
def test_categorical_follows_its_law_and_never_draws_what_cannot_be(draw, given):
    probs = np.array([0.0, 0.5, 0.0, 0.001, 0.199, 0.3, 0.0])
    with np.errstate(divide="ignore"):
        row = probs if given == "probs" else np.log(probs) + 3
    found = np.bincount(np.asarray(draw.categorical(**{given: row}, axis="agent")), minlength=7)
    assert (found[probs == 0] == 0).all()
    assert stats.chisquare(found[probs > 0], probs[probs > 0] * N).pvalue > LEAST
    hot = draw.categorical(**{given: row}, axis="agent", one_hot=True)
    assert (hot.sum(-1) == 1).all()


def test_a_rare_category_between_common_ones_is_as_rare_as_it_should_be():
    """2**22 draws of a category at 2e-5: Poisson of mean 84 within 4 standard errors."""
    draw = Draw(jnp.zeros(2, jnp.uint32), 0, "rare", slot=jnp.arange(2**22))
    drawn = draw.categorical(probs=np.array([0.7, 2e-5, 0.3]), axis="agent")
    assert abs(int(jnp.sum(drawn == 1)) - 84) < 37


def test_integers_are_uniform_over_their_range(draw):
    drawn = np.asarray(draw.integers("agent", -3, 8))
    assert stats.chisquare(np.bincount(drawn + 3, minlength=11)).pvalue > LEAST
    wide = np.asarray(draw.integers("agent", -(2**31), 2**31 - 1), np.float64) / 2**32 + 0.5
    assert stats.kstest(wide, "uniform").pvalue > LEAST


def test_log_probabilities_of_counts_are_those_of_scipy():
    k = jnp.arange(12.0)
    rate, p = jnp.full(12, 3.3), jnp.full(12, 0.3)
    assert np.allclose(log_poisson(k, rate), stats.poisson(3.3).logpmf(k), atol=2e-5)
    assert np.allclose(
        log_binomial(k, jnp.full(12, 11.0), p), stats.binom(11, 0.3).logpmf(k), atol=2e-5
    )
