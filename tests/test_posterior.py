"""posterior: what four methods make of a posterior known in closed form, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import lpm
from lpm import Float, Scalar
from lpm.axes import Array
from lpm.errors import FittingError, ScenarioError
from lpm.fitting.losses import Series, together
from lpm.fitting.noise import (
    BetaBinomial,
    DirichletMultinomial,
    LogNormal,
    NegativeBinomial,
    Poisson,
)
from lpm.fitting.posterior import Posterior, posterior
from lpm.fitting.psis import pareto_k
from scenarios.sir import scenario as sir

SHAPE, RATE = 4.0, 0.2  # Of the prior of `rate`.
COUNTS = np.array([31.0, 24.0, 28.0, np.nan, 35.0, 26.0, 30.0, 22.0])
# Gamma prior, Poisson counts: conjugate.
EXACT = stats.gamma(SHAPE + np.nansum(COUNTS), scale=1 / (RATE + 7))


class Gamma:
    """A prior of no library: all that is asked of one."""

    def log_prob(self, x):
        return dist.Gamma(SHAPE, RATE).log_prob(x)

    def icdf(self, u):
        return stats.gamma(SHAPE, scale=1 / RATE).ppf(np.asarray(u))


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(20.0, within=(0, None), prior=Gamma())
    chance: Scalar = lpm.parameter(0.5, within=(0, 1))


class State(lpm.State):
    level: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, level=0)


def stay(state, params, draw):
    return state


def observe(state, params):
    return {"cases": params.rate, "positive": params.chance}


still = lpm.Scenario(init, (stay,), observe, Params(), steps=8)
series = Series("cases", COUNTS, Poisson(), background=0.0)


@pytest.fixture(scope="module")
def one() -> lpm.Population:
    return lpm.Population.toy(1)


def close(found: Posterior, mean: float, sd: float) -> None:
    """Within a quarter of a standard deviation, and 20 % of the spread."""
    row = found.summary().row(0, named=True)
    assert row["mean"] == pytest.approx(EXACT.mean(), abs=mean * EXACT.std())
    assert row["sd"] == pytest.approx(EXACT.std(), rel=sd)


def test_tempered_finds_the_gamma_posterior(one):
    found = posterior(
        still,
        one,
        series,
        keys=[0, 1],
        method="smc",
        budget=24_000,
        fields=["rate"],
        particles=1000,
    )
    # 1,000 particles, several moves each: the mean to about 0.05 sd, the spread to about 4 %.
    close(found, 0.2, 0.15)
    assert found.runs <= 24_000
    assert found.diagnostics["power"] == 1
    low, high = found.summary().select("5 %", "95 %").row(0)
    assert EXACT.cdf(low) == pytest.approx(0.05, abs=0.03)
    assert EXACT.cdf(high) == pytest.approx(0.95, abs=0.03)


def test_tempered_finds_the_beta_posterior_of_a_plain_function(one):
    def binomial(run):
        p = run.observed["positive"][-1]
        return 14 * jnp.log(p) + 6 * jnp.log1p(-p)

    found = posterior(
        still,
        one,
        binomial,
        keys=[0, 1],
        method="smc",
        budget=24_000,
        fields=["chance"],
        particles=1000,
    )
    exact = stats.beta(15, 7)
    row = found.summary().row(0, named=True)
    assert row["mean"] == pytest.approx(exact.mean(), abs=0.2 * exact.std())
    assert row["sd"] == pytest.approx(exact.std(), rel=0.15)


def test_the_guide_finds_the_gamma_posterior(one):
    found = posterior(still, one, series, keys=[0, 1], budget=1600, fields=["rate"])
    # Skewness 0.14: the nearest normal law of the log differs by less than 2 % in the spread;
    # 4,000 draws leave 1.1 % of it.
    close(found, 0.03, 0.05)
    assert found.runs <= 1600
    assert found.diagnostics["pareto_k"] < 0.7


class Plane(lpm.Params):
    u: Scalar = lpm.parameter(0.0, within=(None, None), prior=dist.Normal(0.0, 1.0))
    v: Scalar = lpm.parameter(0.0, within=(None, None), prior=dist.Normal(0.0, 2.0))


def show(state, params):
    return {"u": params.u, "v": params.v}


plane = lpm.Scenario(init, (stay,), show, Plane(), steps=1)


def tilted(run):
    """Two correlated measurements, of 0.3 and -0.2, with sd 0.1 and correlation 0.9."""
    x = jnp.stack([run.observed["u"][-1] - 0.3, run.observed["v"][-1] + 0.2])
    return -0.5 * x @ jnp.linalg.inv(jnp.array([[0.01, 0.009], [0.009, 0.01]])) @ x


def bent(run):
    """A measurement of v - u^2, which is 0 with sd 0.3: a banana."""
    u, v = run.observed["u"][-1], run.observed["v"][-1]
    return -0.5 * ((v - u**2) / 0.3) ** 2


def test_the_guide_is_exact_where_the_posterior_is_normal(one):
    """Of quadratics the regression leaves nothing: only the 4,000 draws are luck (1.1 %)."""
    found = posterior(plane, one, tilted, keys=[0], budget=400)
    noise = np.array([[0.01, 0.009], [0.009, 0.01]])
    cov = np.linalg.inv(np.linalg.inv(noise) + np.diag([1, 0.25]))
    mean = cov @ np.linalg.solve(noise, [0.3, -0.2])
    seen = np.cov(found.points, rowvar=False)
    root = np.linalg.cholesky(cov)
    # Mirrored draws have the guide's mean, up to the single precision of the run.
    assert np.abs(np.linalg.solve(root, found.points.mean(axis=0) - mean)).max() < 0.02
    spreads = np.linalg.eigvalsh(np.linalg.solve(root, np.linalg.solve(root, seen).T))
    np.testing.assert_allclose(np.sqrt(spreads), 1, atol=0.05)


@pytest.mark.gate
def test_a_flow_bends_as_the_posterior_and_a_normal_guide_cannot(one):
    u, v = np.meshgrid(np.linspace(-5, 5, 801), np.linspace(-3, 12, 1201), indexing="ij")
    exact = np.exp(-0.5 * (u**2 + (v / 2) ** 2 + ((v - u**2) / 0.3) ** 2))
    exact /= exact.sum()
    sd = np.sqrt((exact * u**2).sum())
    middle = (exact * v).sum()

    def misses(guide):
        found = posterior(plane, one, bent, keys=[0], budget=4000, guide=guide)
        x, y = found.points.T
        return abs(x.std() / sd - 1), abs(y.mean() / middle - 1), (y - x**2).std()

    flow, normal = misses("flow"), misses("normal")
    # Spreads of flows are mostly 3 to 14 % short here, those of normal guides 30 to 60 %. A key
    # in ten or so ends farther off, with a Pareto k above 1.
    assert flow[0] < 0.15
    assert flow[1] < 0.25
    assert flow[2] == pytest.approx(np.sqrt((exact * (v - u**2) ** 2).sum()), rel=0.25)
    assert normal[0] > 0.25
    assert normal[1] > 0.25


def test_the_ensemble_finds_the_gamma_posterior_in_few_runs(one):
    found = posterior(
        still, one, series, keys=[0, 1], method="ensemble", budget=300, fields=["rate"]
    )
    # The law of the summaries is learnt from 105 runs: its spread to about 1 / sqrt(2 * 105).
    close(found, 0.35, 0.25)
    assert found.runs <= 300
    assert found.summary()["left"][0] == pytest.approx(EXACT.var() / (SHAPE / RATE**2), rel=0.6)
    assert not found.notes


def test_an_ensemble_that_was_told_nothing_says_so(one):
    found = posterior(
        still, one, series, keys=[0, 1], method="ensemble", budget=100, fields=["chance"]
    )
    assert "keeps" in found.notes[0]
    assert "lpm.calibrate" in str(found)
    assert found.summary()["sd"][0] == pytest.approx(1 / np.sqrt(12), rel=0.1)


def test_the_amortised_is_right_for_other_data_too(one, tmp_path):
    found = posterior(
        still, one, series, keys=[0, 1], method="amortised", budget=2000, fields=["rate"]
    )
    row = found.summary().row(0, named=True)
    assert row["mean"] == pytest.approx(EXACT.mean(), abs=0.5 * EXACT.std())
    assert row["sd"] == pytest.approx(EXACT.std(), rel=0.35)
    fewer = found.condition(Series("cases", np.round(COUNTS / 2), Poisson(), background=0.0))
    half = stats.gamma(SHAPE + np.nansum(np.round(COUNTS / 2)), scale=1 / (RATE + 7))
    assert fewer.summary()["mean"][0] == pytest.approx(half.mean(), abs=0.5 * half.std())
    assert fewer.runs == found.runs
    found.save(tmp_path)
    again = Posterior.load(tmp_path, still, one)
    assert np.array_equal(again.points, found.points)
    halved = Series("cases", np.round(COUNTS / 2), Poisson(), background=0.0)
    assert np.array_equal(again.condition(halved).points, fewer.points)
    whole = (tmp_path / "amortised.eqx").read_bytes()
    (tmp_path / "amortised.eqx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FittingError, match="cannot be read"):
        Posterior.load(tmp_path, still, one)
    with pytest.raises(FittingError, match="missing others"):
        found.condition(Series("cases", np.ones(8), Poisson()))


@pytest.fixture(scope="module")
def found(one, tmp_path_factory) -> Posterior:
    folder = tmp_path_factory.mktemp("fit") / "out"
    first = posterior(still, one, series, keys=[0, 1], method="ensemble", budget=150, out=folder)
    again = posterior(still, one, series, keys=[0, 1], method="ensemble", budget=150, out=folder)
    assert np.array_equal(first.points, again.points)
    loaded = Posterior.load(folder, still, one)
    assert np.array_equal(loaded.points, first.points)
    assert loaded.summary().equals(first.summary())
    with pytest.raises(FittingError, match="another"):
        Posterior.load(folder, sir, one)
    return first


def test_what_data_say_nothing_of_keeps_its_prior(found):
    left = dict(found.summary().select("element", "left").iter_rows())
    assert left["chance"] == pytest.approx(1, abs=0.3)
    assert left["rate"] < 0.3


def test_a_posterior_is_sampled_run_and_shown(found, one):
    drawn = found.sample(jax.random.key(0), 50)
    assert drawn["rate"].shape == (50,)
    assert ((drawn["chance"] >= 0) & (drawn["chance"] <= 1)).all()
    runs = found.predictive(keys=[0, 1], n=5)
    assert runs.observed["cases"].shape == (5, 2, 8)
    assert np.ptp(runs.observed["cases"]) > 0
    assert "of the prior's variance left" in str(found)
    assert "<table>" in found._repr_html_()
    with pytest.raises(FittingError, match="is of its data"):
        found.condition(series)


def test_requests_that_cannot_succeed_are_refused_before_a_run(one, tmp_path):
    def wrong(match, loss=series, error=FittingError, **choices):
        with pytest.raises(error, match=match):
            posterior(still, one, loss, **{"keys": [0, 1], **choices})

    wrong("it is one of", method="nuts")
    wrong("needs at least 120", method="ensemble", budget=100)
    wrong("needs at least 300", method="variational", budget=100)
    wrong("guide = 'square'; it is one of", guide="square")
    wrong("guide = 'flow' goes with method='variational'", guide="flow", method="smc")
    wrong("needs at least 200", method="smc", budget=100)
    wrong("can simulate", lambda run: run.observed["cases"][-1], method="ensemble")
    wrong("can simulate", lambda run: run.observed["cases"][-1], method="amortised", budget=5000)
    wrong("no weight", Series("cases", COUNTS, weight=2.0), method="ensemble")
    wrong("no sample", Series("cases", COUNTS, _Silent()), method="ensemble")
    wrong("nothing to infer|name each", error=(FittingError, ScenarioError), fields=[])
    with pytest.raises(FittingError, match="holds no"):
        Posterior.load(tmp_path, still, one)


def test_a_guide_keeps_away_from_where_runs_fail(one):
    def half(run):
        """A measurement of v with sd 0.1, and no number where u is below 0."""
        u, v = run.observed["u"][-1], run.observed["v"][-1]
        return jnp.where(u < 0, jnp.nan, -50 * v**2)

    found = posterior(plane, one, half, keys=[0], budget=1000)
    # Half a normal law has mean 0.80 and sd 0.60: a normal one of these holds 9 % below 0.
    assert (found.points[:, 0] < 0).mean() < 0.1
    assert found.points[:, 0].mean() == pytest.approx(0.8, abs=0.3)  # Half its sd.
    assert found.points[:, 1].std() == pytest.approx(0.1, rel=0.05)  # Four times 1.1 %.


def test_a_likelihood_that_fails_everywhere_is_named(one):
    def never(run):
        return jnp.where(run.observed["u"][-1] == 0, 0.0, jnp.nan)

    with pytest.raises(FittingError, match="at any of 60 places that were tried"):
        posterior(plane, one, never, keys=[0], budget=400)


class _Silent:
    def log_likelihood(self, observed, mean):
        return jnp.zeros(mean.shape)


def test_numbers_drawn_by_a_law_have_its_mean_and_its_likelihood():
    """4,000 draws: means within 4 standard errors, 1 in 10,000 by chance."""
    mean = jnp.full((4000,), 12.0)
    for law, sd in ((Poisson(), 12**0.5), (NegativeBinomial(5.0), (12 + 144 / 5) ** 0.5)):
        drawn = np.asarray(law.sample(jax.random.key(1), mean))
        assert drawn.mean() == pytest.approx(12, abs=4 * sd / 4000**0.5)
        assert drawn.std() == pytest.approx(sd, rel=0.1)
    logs = np.log1p(np.asarray(LogNormal(0.2).sample(jax.random.key(2), mean)))
    assert logs.mean() == pytest.approx(np.log(13), abs=4 * 0.2 / 4000**0.5)
    chance = jnp.full((4000,), 0.3)
    drawn = np.asarray(BetaBinomial(40.0, 20.0).sample(jax.random.key(3), chance))
    sd = (40 * 0.3 * 0.7 * (1 + 39 / 21)) ** 0.5
    assert drawn.mean() == pytest.approx(12, abs=4 * sd / 4000**0.5)
    assert drawn.std() == pytest.approx(sd, rel=0.1)
    observed = np.full((2000, 2), 10.0)
    shares = jnp.asarray(np.tile([[1.0, 3.0]], (2000, 1)), jnp.float32)
    classes = DirichletMultinomial(30.0)
    drawn = np.asarray(classes.sample(jax.random.key(4), shares, observed))
    assert (drawn.sum(axis=1) == 20).all()
    assert drawn[:, 0].mean() == pytest.approx(5, abs=0.3)
    with pytest.raises(FittingError, match="totals"):
        classes.sample(jax.random.key(4), shares)


def test_a_simulated_series_keeps_what_is_missing(one):
    run = lpm.simulate(still, one, key=0, progress=False)
    drawn = series.simulate(run, jax.random.key(0))
    assert (np.isnan(drawn.target) == np.isnan(COUNTS)).all()
    assert np.nanmean(drawn.target) == pytest.approx(20, abs=4 * (20 / 7) ** 0.5)
    both = together(series, series).simulate(run, jax.random.key(0))
    assert not np.array_equal(both.series[0].target, both.series[1].target, equal_nan=True)
    with pytest.raises(FittingError, match="has no sample"):
        Series("cases", COUNTS, _Silent()).simulate(run, jax.random.key(0))


def test_the_tail_of_importance_ratios_is_told():
    """Ratios Pareto of shape 1/a have k = 1/a; 4,000 draws tell it to about 0.15."""
    uniform = np.asarray(jax.random.uniform(jax.random.key(0), (4000,)), np.float64)
    for k in (0.3, 1.0):
        assert pareto_k(-k * np.log(uniform)) == pytest.approx(k, abs=0.2)
    assert pareto_k(np.full(10, -np.inf)) == float("inf")
