"""check_coverage: passes posteriors that are right, and fails those that claim too much."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta

import lpm
from lpm import Float, Scalar
from lpm.axes import Array
from lpm.errors import FittingError
from lpm.fitting.coverage import certify, check_coverage
from lpm.fitting.losses import Series
from lpm.fitting.noise import Poisson
from lpm.fitting.space import Space


class Params(lpm.Params):
    chance: Scalar = lpm.parameter(0.5, within=(0, 1))


class State(lpm.State):
    count: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, count=0)


def toss(state, params, draw):
    """200 coins: the luck of the simulator."""
    ones = jnp.ones_like(state.count)
    return state.replace(count=draw.binomial(200 * ones, params.chance * ones, "agent"))


def observe(state, params):
    return {"heads": jnp.sum(state.count)}


coins = lpm.Scenario(init, (toss,), observe, Params(), steps=6)
space = Space(coins.params, ("chance",))


@pytest.fixture(scope="module")
def one() -> lpm.Population:
    return lpm.Population.toy(1)


def exact_posteriors(truths=200, draws=2000):
    """Truths of a uniform chance, and draws of their beta posteriors after 20 tosses."""
    keys = jax.random.split(jax.random.key(0), 3)
    chance = np.asarray(jax.random.uniform(keys[0], (truths,)), np.float64)
    heads = np.asarray(jax.random.binomial(keys[1], 20.0, jnp.asarray(chance)), np.float64)
    levels = np.asarray(jax.random.uniform(keys[2], (truths, draws)), np.float64)
    drawn = beta(1 + heads[:, None], 21 - heads[:, None]).ppf(np.clip(levels, 1e-6, 1 - 1e-6))
    scale = lambda x: np.log(x) - np.log1p(-x)  # noqa: E731
    return scale(chance)[:, None], list(scale(drawn)[:, :, None])


def test_exact_posteriors_pass_and_half_as_wide_ones_fail():
    """A right one fails once in fifty; this stream is fixed."""
    truths, drawn = exact_posteriors()
    right = certify(truths, drawn, space, {})
    assert right.passed
    row = right.coverage.filter(right.coverage["level"] == 0.9).row(0, named=True)
    assert row["low"] < row["covered"] < row["high"]
    narrow = [some.mean(axis=0) + 0.5 * (some - some.mean(axis=0)) for some in drawn]
    wrong = certify(truths, narrow, space, {"method": "narrow", "scenario": "coins"})
    assert not wrong.passed
    assert "FAILS" in str(wrong)
    shifted = certify(truths, [some + 0.5 for some in drawn], space, {})
    assert not shifted.passed


@pytest.mark.gate
def test_the_ensemble_covers_coins_and_leaves_a_certificate(one, tmp_path):
    series = Series("heads", np.ones(6), Poisson())
    found = check_coverage(
        coins, one, series, keys=[0, 1], truths=60, budget=100, out=tmp_path / "fit"
    )
    assert found.passed, str(found)
    assert found.ranks.shape == (60, 1)
    kept = json.loads((tmp_path / "fit" / "coverage.json").read_text())
    assert kept["passed"] is True
    assert len(kept["ranks"]) == 60
    assert "90 % intervals cover" in str(found)
    assert "<table>" in found._repr_html_()


@pytest.mark.gate
def test_data_of_a_plain_function_come_from_the_caller(one):
    """Heads in all 20 tosses of another coin; 12 truths say little, so only that it runs."""

    def simulate_data(run, key):
        heads = float(jax.random.binomial(key, 20.0, run.observed["heads"][-1] / 200))

        def law(run):
            p = jnp.clip(run.observed["heads"][-1] / 200, 1e-3, 1 - 1e-3)
            return heads * jnp.log(p) + (20 - heads) * jnp.log1p(-p)

        return law

    found = check_coverage(
        coins,
        one,
        lambda run: run.observed["heads"][-1],
        keys=[0, 1],
        truths=12,
        method="smc",
        budget=800,
        simulate_data=simulate_data,
    )
    assert 0.2 < found.ranks.mean() < 0.8


def test_what_cannot_be_checked_is_refused(one):
    def law(run):
        return run.observed["heads"][-1]

    with pytest.raises(FittingError, match="simulate_data"):
        check_coverage(coins, one, law, keys=[0, 1], method="smc")
    series = Series("heads", np.ones(6), Poisson())
    with pytest.raises(FittingError, match="at least 10"):
        check_coverage(coins, one, series, keys=[0, 1], truths=5)


def test_points_and_fields_agree():
    assert space.flat(np.array([[0.3]]))[0, 0] == pytest.approx(expit(0.3), rel=1e-5)
