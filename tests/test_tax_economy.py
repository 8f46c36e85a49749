"""The tax economy: as observed under the law, money conserved, the same in any order."""

import functools

import numpy as np
import pytest

import lpm
from lpm.errors import DataError
from lpm.population import workers
from scenarios import tax_economy as economy

SIZE, YEARS = 400, 4
TODAY = economy.scenario.params.replace(**economy.TODAY)
CALM = TODAY.replace(rates=[0.3] * 8, rebate=0.5, shock=0.0)


@functools.cache
def columns():
    """Workers of unequal survey weights."""
    people = workers(SIZE, seed=2)
    found = {name: people.host(name) for name in people.columns}
    found["weight"] = found["weight"] * (0.5 + np.arange(SIZE) % 7)
    return found


def run(given, params, steps=YEARS, **settings):
    people = lpm.Population(given, **settings)
    return lpm.simulate(economy.scenario, people, key=3, steps=steps, params=params, devices=1)


def series(found, name):
    return np.asarray(found.observed[name], np.float64)


def alike(one, other):
    """To a millionth of the largest of each observable.

    Where a decile ends is a sum of shares in float32, good to 1e-7 of all and 1e-6 of a decile, and
    the richest counts there for ten times the mean.
    """
    for name in one.observed:
        x, y = series(one, name), series(other, name)
        close = 1e-5 if name.endswith("decile") else 1e-6
        assert np.max(np.abs(x - y)) <= close * np.max(np.abs(x)), name


def test_under_the_law_everybody_works_and_earns_as_observed():
    given = columns()
    first = run(given, TODAY, steps=1)
    income, earned = (np.asarray(x, np.float64) for x in (first.state.income, given["earnings"]))
    assert income == pytest.approx(earned, rel=1e-5)
    share = given["weight"].astype(np.float64) / given["weight"].sum(dtype=np.float64)
    assert series(first, "income")[0] == pytest.approx(share @ earned, rel=1e-6)
    tax = economy.LAW.exact()(earned)
    assert series(first, "revenue")[0] == pytest.approx(share @ tax, rel=1e-6)
    hours = given["hours"].astype(np.float64) * given["weeks"]
    assert series(first, "hours")[0] == pytest.approx(share @ hours / 52, rel=1e-5)
    # Equal weights are other people: the weights are felt.
    assert abs(earned.mean() / (share @ earned) - 1) > 0.005


def test_money_is_conserved_in_every_year():
    """Output, means and interest are consumed, saved or kept by the state; 1e-6 of output."""
    params = TODAY.replace(rates=[0.45] * 8, rebate=0.7)
    found = run(columns(), params, steps=8)
    income, rebate, revenue = (series(found, n) for n in ("income", "rebate", "revenue"))
    kept = float(0.3 * found.state.today)
    assert np.all(np.abs(revenue - rebate - kept) < 1e-6 * income)
    wealth = series(found, "wealth")
    before = np.append(0, wealth[:-1])
    spent = series(found, "consumption") + (wealth - before) + kept
    assert np.all(np.abs(income + 12_000 + 0.02 * before - spent) < 1e-6 * income)
    assert np.ptp(income) > 0.001 * income[0]  # shocks came, and it still adds up


def test_copies_and_order_change_nothing():
    given = columns()
    whole = run(given, CALM)
    order = np.random.Generator(np.random.PCG64(1)).permutation(SIZE)  # noqa: TID251
    moved = {name: x[order] for name, x in given.items()}
    twice = {name: np.concatenate([x, x]) for name, x in given.items()}
    for other in (run(moved, CALM), run(twice, CALM)):
        alike(whole, other)
    # Luck goes with the person, not with the row.
    shocked = CALM.replace(shock=0.2)
    there, here = run(moved, shocked, slot=order), run(given, shocked)
    alike(here, there)
    assert abs(series(here, "deadweight_loss") / series(whole, "deadweight_loss") - 1)[-1] > 1e-3


def test_where_nobody_responds_the_best_rate_is_the_highest():
    """And where people do respond it is not."""
    rates = np.tile(np.linspace(0.1, 0.98, 12)[:, None], (1, 8))
    people = lpm.Population(columns())
    found = {}
    for e in (0.01, 0.8):
        params = TODAY.replace(rates=rates, rebate=1.0, elasticity=e, participation=e)
        many = lpm.ensemble(economy.scenario, people, keys=[0], steps=1, params=params)
        found[e] = [np.argmax(series(many, f"welfare_{n}")) for n in ("rawlsian", "inverse_income")]
    assert found[0.01] == [11, 11]
    assert max(found[0.8]) < 8


def test_the_idle_do_not_outweigh_everybody():
    """1 of 400 people without earnings moves welfare of inverse income by what 1 of 400 can.

    The control: without a floor on the income that weights go by, he is all of it.
    """
    given = {name: x.copy() for name, x in columns().items()}
    given["weight"][:] = 1
    given["earnings"] = given["could_earn"].copy()
    given["chance"][:] = 1
    working = run(given, CALM, steps=1)
    given["earnings"][5], given["chance"][:] = 0, 399 / 400
    given["luck"][:] = 0.9  # nobody else is near to giving up work
    for floor, alone in ((10_000, False), (1e-3, True)):
        one = run(given, CALM.replace(floor=floor, participation=0.01), steps=1)
        assert series(one, "working")[0] == pytest.approx(399 / 400)
        idle = series(one, "rebate")[0] + 12_000
        seen = series(one, "welfare_inverse_income")[0]
        if alone:
            assert seen == pytest.approx(idle, rel=0.01)
        else:
            assert seen == pytest.approx(series(working, "welfare_inverse_income")[0], rel=0.05)
            assert seen > 1.3 * idle


def test_a_policy_with_too_few_rates_is_refused():
    with pytest.raises(DataError, match="7 incomes at which the next rate begins and 2 rates"):
        run(columns(), TODAY.replace(rates=[0.1, 0.2]))
