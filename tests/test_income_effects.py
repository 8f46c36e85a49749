"""Workers to whom money is worth less as they have more, against searches in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from lpm.economics import Schedule, best_response_gap, respond, respond_balanced, respond_curved
from lpm.errors import DataError
from lpm.population.seeds import generator

RISING = ([0.0, 1.0, 2.5], [0.1, 0.3, 0.5], -0.1)
FALLING = ([0.0, 0.8, 2.0], [0.5, 0.15, 0.35], 0.0)
E, G, C = 0.4, 1.5, 1.2


def some(size=400):
    draws = generator(3)
    able = np.exp(draws.normal(0.3, 0.7, size))
    return able.astype(np.float32), draws.uniform(0.05, 1.5, size).astype(np.float32)


def tax_of(z, law):
    edges, rates, intercept = (np.asarray(x, np.float64) for x in law)
    parts = np.clip(np.asarray(z)[..., None] - edges, 0, np.append(np.diff(edges), np.inf))
    return intercept + parts @ rates


def utility_of(z, able, other, law, e=E, g=G, c=C):
    has = other + z - tax_of(z, law)
    worth = c * np.log(has / c) if g == 1 else c * ((has / c) ** (1 - g) - 1) / (1 - g)
    return worth + c - e / (1 + e) * able * (np.maximum(z, 0) / able) ** (1 + 1 / e)


def best_by_search(able, other, law, e=E, g=G, c=C):
    """The best of bounded searches within each bracket, and of all thresholds."""
    tops = np.append(law[0][1:], 20.0)
    tried = [np.asarray(law[0], np.float64)[1:]]
    for low, high in zip(law[0], tops, strict=True):
        found = optimize.minimize_scalar(
            lambda z: -utility_of(z, able, other, law, e, g, c),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-12},
        )
        tried.append(np.array([found.x]))
    all_of = np.concatenate(tried)
    return all_of[np.argmax(utility_of(all_of, able, other, law, e, g, c))]


def answer(law=RISING, e=E, g=G, other=None, cap=None):
    able, beside = some()
    beside = beside if other is None else other
    return respond_curved(
        Schedule(*law),
        jnp.asarray(able),
        e,
        aversion=g,
        other=jnp.asarray(beside),
        reference=C,
        cap=cap,
    )


@pytest.mark.parametrize("law", [RISING, FALLING], ids=["rising", "falling"])
@pytest.mark.parametrize("g", [0.5, 1.0, 3.0])
def test_nobody_could_do_better(law, g):
    able, other = some()
    found = answer(law, g=g)

    def utility(z, who):
        return utility_of(z, able[who].astype(float), other[who].astype(float), law, g=g)

    z, everybody = np.asarray(found.income, np.float64), np.arange(len(able))
    gap = best_response_gap(utility, z, 0.0, 20.0, agents=everybody)
    assert gap.largest < 1e-6  # float32 incomes at a flat top, and a grid of 401
    assert np.asarray(found.utility) == pytest.approx(utility(z, everybody), rel=2e-5, abs=2e-6)
    assert np.asarray(found.tax) == pytest.approx(tax_of(z, law), rel=1e-5, abs=1e-6)
    linear = np.asarray(respond(Schedule(*law), jnp.asarray(able), E).income, np.float64)
    assert best_response_gap(utility, linear, 0.0, 20.0, agents=everybody).largest > 1e-2


def test_first_order_conditions_hold_on_both_sides_of_a_kink():
    able, other = some()
    found = answer()
    z, bunching = np.asarray(found.income, np.float64), np.asarray(found.bunching)
    assert 0.02 < bunching.mean() < 0.5
    assert set(np.unique(z[bunching])) <= {1.0, 2.5}

    def slack(rate):
        has = other + z - tax_of(z, RISING)
        return (1 - rate) * (has / C) ** -G - (z / able) ** (1 / E)

    rates = np.asarray(RISING[1])
    bracket = np.searchsorted(RISING[0], z, side="right") - 1
    inside = slack(rates[bracket])[~bunching]
    assert np.abs(inside).max() < 1e-4  # of marginal utilities up to a few
    below, above = slack(rates[bracket - 1])[bunching], slack(rates[bracket])[bunching]
    assert below.min() > -1e-4
    assert above.max() < 1e-4
    assert np.abs(slack(rates[bracket - 1])[~bunching]).max() > 1e-2


def test_without_aversion_it_is_the_quasi_linear_worker():
    able, _ = some()
    plain = respond(Schedule(*FALLING), jnp.asarray(able), E)
    found = answer(FALLING, g=0.0)
    assert np.asarray(found.income) == pytest.approx(np.asarray(plain.income), rel=1e-5)
    capped = answer(FALLING, g=0.0, cap=1.3)
    plain = respond(Schedule(*FALLING), jnp.asarray(able), E, cap=1.3)
    assert np.asarray(capped.income) == pytest.approx(np.asarray(plain.income), rel=1e-5)
    assert not np.asarray(capped.bunching)[np.asarray(capped.income) == np.float32(1.3)].any()


def test_under_a_flat_tax_incomes_have_their_closed_form():
    """(z/m)**(1/e) = (1-t) ((1-t) z / C)**-g: with logs the rate moves nothing."""
    able, _ = some()
    for g in (0.7, 1.0, 2.0):
        found = [
            np.asarray(answer(([0.0], [t], 0.0), g=g, other=0.0).income, np.float64)
            for t in (0.1, 0.6)
        ]
        for t, z in zip((0.1, 0.6), found, strict=True):
            known = (able ** (1 / E) * (1 - t) ** (1 - g) * C**g) ** (1 / (1 / E + g))
            assert z == pytest.approx(known, rel=1e-5)
        moved = np.log(found[1] / found[0]).mean()
        assert moved == pytest.approx(np.log(0.4 / 0.9) * (1 - g) / (1 / E + g), abs=1e-5)
    able0 = respond_curved(
        Schedule([0.0], [0.2]), jnp.zeros(2), E, aversion=1.0, other=1.0, reference=C
    )
    assert np.asarray(able0.income).tolist() == [0, 0]


@pytest.mark.gate
def test_slopes_are_those_of_differences_of_the_search():
    """Of mean income, tax, utility by all rates, the second threshold, other income, e and g."""
    able, other = (x[:60].astype(float) for x in some())
    knots = np.array([0.1, 0.3, 0.5, 1.0, 0.0, E, G])

    def law_of(x):
        return [0.0, x[3], 2.5], [x[0], x[1], x[2]], -0.1

    def ours(x):
        law = Schedule(jnp.stack([0.0, x[3], 2.5]), x[:3], jnp.asarray(-0.1))
        found = respond_curved(
            law,
            jnp.asarray(able, jnp.float32),
            x[5],
            aversion=x[6],
            other=jnp.asarray(other, jnp.float32) + x[4],
            reference=C,
        )
        return jnp.stack([found.income.mean(), found.tax.mean(), found.utility.mean()])

    def theirs(x):
        law = law_of(x)
        z = np.array(
            [best_by_search(m, y + x[4], law, x[5], x[6]) for m, y in zip(able, other, strict=True)]
        )
        utility = utility_of(z, able, other + x[4], law, x[5], x[6])
        return np.array([z.mean(), tax_of(z, law).mean(), utility.mean()])

    slopes = np.asarray(jax.jacobian(ours)(jnp.asarray(knots, jnp.float32)))
    width = 2e-3
    known = np.stack(
        [(theirs(knots + width * u) - theirs(knots - width * u)) / (2 * width) for u in np.eye(7)],
        axis=1,
    )
    # The search knows z to about 1e-8, the differences are of second order in the width.
    assert np.abs(slopes - known).max() < 4e-3
    assert (known[0, 4] < -0.05) & (slopes[0, 4] < -0.05)  # who has more earns less


@pytest.mark.gate
def test_a_balanced_budget_is_a_fixed_point_that_gradients_pass():
    able, other = some()
    weight = jnp.asarray(1 + able)

    def rebate(rate, e=E):
        law = Schedule(jnp.stack([0.0, 1.0]), jnp.stack([rate, rate + 0.2]))
        return respond_balanced(
            law,
            jnp.asarray(able),
            e,
            aversion=G,
            other=jnp.asarray(other),
            reference=C,
            weight=weight,
        )

    found, paid = rebate(jnp.asarray(0.3))
    heads = np.asarray(weight, np.float64)
    assert float(paid) == pytest.approx(np.asarray(found.tax) @ heads / heads.sum(), rel=2e-5)

    def by_search(rate):
        law = ([0.0, 1.0], [rate, rate + 0.2], 0.0)

        def gap(r):
            z = [best_by_search(m, y + r, law) for m, y in zip(able[:40], other[:40], strict=True)]
            return tax_of(np.array(z), law) @ heads[:40] / heads[:40].sum() - r

        return optimize.brentq(gap, 0.0, 2.0, xtol=1e-7)

    def of_forty(rate):
        law = Schedule(jnp.stack([0.0, 1.0]), jnp.stack([rate, rate + 0.2]))
        few = {
            "aversion": G,
            "other": jnp.asarray(other[:40]),
            "reference": C,
            "weight": weight[:40],
        }
        return respond_balanced(law, jnp.asarray(able[:40]), E, **few)[1]

    value, slope = jax.jit(jax.value_and_grad(of_forty))(0.3)
    assert float(value) == pytest.approx(by_search(0.3), rel=1e-4)
    known = (by_search(0.302) - by_search(0.298)) / 0.004
    assert float(slope) == pytest.approx(known, rel=1e-2)
    # At a rebate that is given, revenue would rise faster with the rate.
    still = jax.grad(
        lambda t: (
            respond_curved(
                Schedule(jnp.stack([0.0, 1.0]), jnp.stack([t, t + 0.2])),
                jnp.asarray(able[:40]),
                E,
                aversion=G,
                other=jnp.asarray(other[:40]) + value,
                reference=C,
            ).tax
            @ weight[:40]
            / weight[:40].sum()
        )
    )(0.3)
    assert float(still) > 1.02 * known


def test_a_reference_is_positive():
    with pytest.raises(DataError, match=r"reference = 0; give a positive consumption"):
        respond_curved(Schedule([0.0], [0.1]), jnp.ones(1), E, aversion=1.0, other=1.0, reference=0)
