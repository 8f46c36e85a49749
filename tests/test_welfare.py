"""Ways to add people up: closed forms, invariances, and the traps the literature fell into."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lpm.economics import welfare

LOGNORMAL = np.exp(0.7 * stats.norm.ppf((np.arange(50_000) + 0.5) / 50_000)).astype(np.float32)
MEASURES = {
    "utilitarian": welfare.utilitarian,
    "weighted": lambda x, *more: welfare.weighted(x, welfare.inverse_income(x, 0.5), *more),
    "rawlsian": lambda x, *more: welfare.rawlsian(x, *more, share=0.1),
    "isoelastic": lambda x, *more: welfare.isoelastic(x, 2.0, *more),
}


@pytest.mark.parametrize("name", MEASURES)
def test_copies_order_and_the_absent_change_nothing(name):
    measure = MEASURES[name]
    x = jnp.asarray(LOGNORMAL[::50])
    once = float(measure(x))
    assert float(measure(jnp.concatenate([x, x])[::-1])) == pytest.approx(once, rel=1e-5)
    assert float(measure(x, jnp.full(x.shape, 3.0))) == pytest.approx(once, rel=1e-5)
    padded, there = jnp.append(x, jnp.zeros(7)), jnp.arange(len(x) + 7) < len(x)
    assert float(measure(padded, None, there)) == pytest.approx(once, rel=1e-5)
    weight = jnp.asarray([1.0, 3.0, 2.0])
    spread = measure(jnp.asarray([1.0, 4.0, 4.0, 4.0, 9.0, 9.0]))
    assert float(measure(jnp.asarray([1.0, 4.0, 9.0]), weight)) == pytest.approx(float(spread))


def test_atkinson_of_lognormal_incomes_is_known():
    mean = LOGNORMAL.mean()
    for aversion in (0.5, 1.0, 2.0):
        found = 1 - float(welfare.isoelastic(jnp.asarray(LOGNORMAL), aversion)) / mean
        # The grid of quantiles has a variance that is short by 2e-4.
        assert found == pytest.approx(1 - np.exp(-aversion * 0.49 / 2), abs=1e-3)


def test_no_aversion_is_the_mean():
    assert float(welfare.isoelastic(jnp.asarray(LOGNORMAL), 0.0)) == pytest.approx(
        LOGNORMAL.mean(), rel=1e-5
    )


def test_the_worst_off_person_is_the_limit_of_the_worst_off_share():
    x = jnp.asarray([3.0, -1.0, 2.0, 5.0])
    assert float(welfare.rawlsian(x, share=1e-6)) == -1
    assert float(welfare.rawlsian(x, share=0.5)) == 0.5
    assert float(welfare.rawlsian(x, share=1.0)) == pytest.approx(2.25)


def flat(rate, e):
    """Incomes and utilities under a flat tax with an equal rebate."""
    income = jnp.asarray(LOGNORMAL.astype(np.float64))
    z = income * (1 - rate) ** e
    utility = income * (1 - rate) ** (1 + e) / (1 + e) + rate * jnp.mean(z)
    return z, utility


def test_gradients_are_those_of_differences():
    def total(rate, cared=None):
        z, utility = flat(rate, 0.4)
        cared = welfare.inverse_income(z, 0.2) if cared is None else cared
        return welfare.weighted(utility, cared)

    for more in ((), (welfare.inverse_income(flat(0.3, 0.4)[0], 0.2),)):
        with jax.enable_x64(True):
            slope = float(jax.grad(total)(0.3, *more))
            difference = (float(total(0.301, *more)) - float(total(0.299, *more))) / 0.002
        assert slope == pytest.approx(difference, rel=2e-4)


def test_normalised_weights_give_the_textbook_rate_and_raw_ones_take_everything():
    rates = np.linspace(0.3, 0.98, 69)
    found, raw = [], []
    for rate in rates:
        z, utility = flat(rate, 0.4)
        cared = welfare.inverse_income(z, 1e-6)
        found.append(float(welfare.weighted(utility, cared)))
        raw.append(float(jnp.mean(utility / z)))
    assert rates[np.argmax(found)] == pytest.approx(0.49198, abs=0.011)
    assert np.argmax(raw) == len(rates) - 1


def test_an_idle_person_does_not_outweigh_everybody():
    """With a floor, one who earns nothing weighs as much as one at the floor."""
    income = jnp.asarray([0.0, 10.0, 20.0, 40.0])
    cared = np.asarray(welfare.inverse_income(income, 10.0))
    assert cared.tolist() == [1.0, 1.0, 0.5, 0.25]
    lone = np.asarray(welfare.inverse_income(income, 1e-6))
    assert lone[0] / lone.sum() > 0.999999  # what happens without one


def test_what_a_flat_tax_wastes_is_the_triangle():
    """The loss is m [1 - (1-t)**(1+e)] / (1+e) - t m (1-t)**e, near e t**2 / 2 at small rates."""
    e, rate = 0.4, 0.1
    m = jnp.asarray(LOGNORMAL)
    z = m * (1 - rate) ** e
    kept = m * (1 - rate) ** (1 + e) / (1 + e)
    found = float(welfare.deadweight_loss(kept, m / (1 + e), rate * z)) / LOGNORMAL.mean()
    exact = (1 - 0.9**1.4) / 1.4 - 0.1 * 0.9**0.4
    assert found == pytest.approx(exact, rel=1e-3)
    assert found == pytest.approx(e * rate**2 / 2, rel=0.1)
    assert float(welfare.deadweight_loss(m / (1 + e), m / (1 + e), 0 * m)) == 0
