"""The labour market against roots and best responses in double precision by other code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import lpm
from lpm.economics import best_response_gap
from scenarios.labour_market import curved, learn, scenario

PARAMS = scenario.params
TOWN = lpm.Population.toy(600)


def one_year(**changes):
    """State after a year; arrays of people in double precision."""
    run = lpm.simulate(scenario, TOWN, key=0, steps=1, params=PARAMS.replace(**changes), devices=1)
    state = run.state
    alive = np.asarray(state.alive)
    people = ("kind", "skill", "income", "tax", "utility", "coin", "wealth")
    found = {name: np.asarray(getattr(state, name), np.float64)[alive] for name in people}
    found["kind"] = found["kind"].astype(int)
    return found | {"wage": np.asarray(state.wage, np.float64), "rebate": float(state.rebate)}


def value(z, able, tax, e):
    """Utility without the rebate of income z; the schedule as (thresholds, rates)."""
    edges, rates = tax
    parts = np.clip(z[..., None] - edges, 0, np.append(np.diff(edges), np.inf))
    return z - parts @ rates - e / (1 + e) * able * (z / able) ** (1 + 1 / e)


def earn(able, tax, e):
    """The best of all brackets' first-order conditions and of all thresholds."""
    edges, rates = tax
    tops = np.append(edges[1:], np.inf)
    inner = np.clip(able[:, None] * (1 - rates) ** e, edges, tops)
    values = np.stack([value(z, able, tax, e) for z in inner.T])
    return inner[np.arange(len(able)), values.argmax(axis=0)]


def by_other_code(people, technology, substitution, tax, e=0.4, cost=2e-5):
    """Wages and output per head of the same people: a root in the wages themselves."""
    kinds = len(technology)
    r = 1 - 1 / substitution

    def inputs(wage):
        able = (wage[people["kind"]] * people["skill"]) ** (1 + e) * (cost * (1 + 1 / e)) ** -e
        income = earn(able, tax, e)
        return np.bincount(people["kind"], income, kinds) / wage / len(able)

    def output(labour):
        return (technology @ labour**r) ** (1 / r)

    def gap(wage):
        labour = inputs(wage)
        return technology * (output(labour) / labour) ** (1 - r) - wage

    wage = optimize.fsolve(gap, np.ones(kinds), xtol=1e-13)
    assert np.abs(gap(wage)).max() < 1e-9
    return wage, output(inputs(wage))


TAX = np.array([0.0, 20, 40, 80]), np.array([0.1, 0.2, 0.3, 0.4])
TWO = {"technology": np.array([0.5, 0.8]), "share": np.array([0.6, 0.4])}


@pytest.mark.parametrize("substitution", [0.6, 1.5, 5.0])
def test_wages_of_two_kinds_are_the_root_of_other_code(substitution):
    found = one_year(substitution=substitution, **TWO)
    wage, _ = by_other_code(found, TWO["technology"], substitution, TAX)
    # The market clears to 1e-5 of labour.
    assert found["wage"] == pytest.approx(wage, rel=3e-5)


def test_perfect_substitutes_have_the_wages_of_technology():
    found = one_year(substitution=1e6)
    assert found["wage"] == pytest.approx(np.asarray(PARAMS.technology), rel=1e-4)
    # Control: with complements the scarcer kinds earn more than that.
    assert one_year()["wage"][2] > 1.2 * float(PARAMS.technology[2])


def test_a_single_kind_has_a_wage_that_taxes_do_not_move():
    one = {"technology": np.array([1.2]), "share": np.array([1.0])}
    wages = [one_year(**one, rates=np.array(r))["wage"] for r in ([0.0] * 4, [0.1, 0.4, 0.4, 0.6])]
    assert np.concatenate(wages) == pytest.approx(1.2**3, rel=1e-5)  # a**(s/(s-1)), s = 1.5


def test_everything_that_is_made_is_paid_and_all_taxes_come_back():
    found = one_year()
    a, r = np.asarray(PARAMS.technology, np.float64), 1 / 3
    labour = np.bincount(found["kind"], found["income"], 3) / found["wage"]
    assert found["income"].sum() == pytest.approx((a @ labour**r) ** (1 / r), rel=2e-5)
    assert found["tax"].sum() == pytest.approx(600 * found["rebate"], rel=1e-6)
    assert found["coin"].sum() == pytest.approx(found["income"].sum(), rel=1e-6)
    assert found["wealth"] == pytest.approx(0.2 * found["coin"], rel=1e-6)


MOVED = [("technology", 0), ("substitution", None), ("elasticity", None), ("rates", 2)]


@pytest.fixture(scope="module")
def slopes():
    """Of output and the wage of the third kind, as the scenario has them."""

    def run(given):
        year = lpm.simulate(
            scenario, TOWN, key=0, steps=1, params=PARAMS.replace(**given), devices=1
        )
        return jnp.stack([year.observed["output"][-1], year.observed["wages"][-1, 2]])

    return jax.jacrev(run)({name: jnp.asarray(getattr(PARAMS, name)) for name, _ in MOVED})


@pytest.mark.parametrize(("name", "at"), MOVED)
def test_gradients_pass_the_equilibrium(name, at, slopes):
    """Against differences of roots in double precision, people and skills being the same."""
    people = one_year()
    given = {
        "technology": np.asarray(PARAMS.technology, np.float64),
        "substitution": np.array(1.5),
        "elasticity": np.array(0.4),
        "rates": TAX[1],
    }

    def reference(step):
        moved = given[name].copy()
        moved[() if at is None else at] += step
        now = given | {name: moved}
        tax = TAX[0], now["rates"]
        e = float(now["elasticity"])
        found = by_other_code(people, now["technology"], float(now["substitution"]), tax, e)
        return np.array([found[1], found[0][2]])

    step = 1e-5
    expected = (reference(step) - reference(-step)) / (2 * step)
    mine = np.asarray(slopes[name])
    # Single precision, with incomes to 1e-6 of themselves under powers of 2.5.
    assert (mine if at is None else mine[:, at]) == pytest.approx(expected, rel=2e-3)


def gains(found, actions, tax=TAX):
    able = (found["wage"][found["kind"]] * found["skill"]) ** 1.4 * (2e-5 * 3.5) ** -0.4

    def utility(z, who):
        return value(z, able[who], tax, 0.4)

    asked = np.arange(0, 600, 6)
    top = 1.5 * float(actions.max())
    return best_response_gap(utility, actions, 1e-3, top, agents=asked, points=801)


def test_nobody_gains_by_other_hours_at_these_wages():
    found = one_year()
    gap = gains(found, found["income"])
    # Incomes in single precision, and losses are of their square.
    assert gap.largest < 1e-6
    # Control: one tenth less work, and the choices of a world without taxes.
    assert gains(found, 0.9 * found["income"]).exploitability > 1e-3
    untaxed = one_year(rates=np.zeros(4))["income"]
    assert gains(found, untaxed).exploitability > 1e-3


def test_falling_rates_clear_as_well():
    rates = np.array([0.7, 0.5, 0.3, 0.1])
    found = one_year(rates=rates)
    assert np.isfinite(found["wage"]).all()
    # Whoever may be on either side of a jump is indifferent.
    assert gains(found, found["income"], (TAX[0], rates)).largest < 1e-5


def test_equality_is_that_of_all_pairs():
    found = one_year()
    run = lpm.simulate(scenario, TOWN, key=0, steps=1, devices=1)
    coin = found["coin"]
    apart = np.abs(coin[:, None] - coin[None]).sum() / (600 * 599)
    assert float(run.observed["equality"][-1]) == pytest.approx(
        1 - apart / (2 * coin.mean()), abs=1e-5
    )


def test_skills_keep_their_spread():
    alone = scenario.replace(
        processes=(learn,), observe=lambda state, params: {"t": lpm.count(state.alive)}
    )
    run = lpm.simulate(alone, lpm.Population.toy(20_000), key=1, steps=10, devices=1)
    logs = np.log(np.asarray(run.state.skill))
    # Standard error of a standard deviation is 1/sqrt(2n) of it; four of them.
    assert logs.std() == pytest.approx(0.5, rel=4 / np.sqrt(40_000))


def curved_years(steps, **changes):
    params = PARAMS.replace(**changes)
    return lpm.simulate(curved, TOWN, key=0, steps=steps, params=params, devices=1)


@pytest.mark.gate
def test_with_income_effects_nobody_could_do_better_and_the_budget_balances():
    state = curved_years(2).state
    alive = np.asarray(state.alive)
    people = ("kind", "skill", "income", "tax", "wealth")
    kind, skill, income, tax, wealth = (
        np.asarray(getattr(state, name), np.float64)[alive] for name in people
    )
    wage, rebate = np.asarray(state.wage, np.float64), float(state.rebate)
    assert rebate == pytest.approx(tax.mean(), rel=1e-3)
    # Wealth at the start of the year: what is left when this year's saving is taken off.
    before = (wealth - 0.2 * (income - tax + rebate)) / 1.02
    able = (wage[kind.astype(int)] * skill) ** 1.4 * (2e-5 * 3.5) ** -0.4
    edges, rates = np.asarray(PARAMS.thresholds, float), np.asarray(PARAMS.rates, float)

    def utility(z, who, aversion=1.0):
        parts = np.clip(z[:, None] - edges, 0, np.append(np.diff(edges), np.inf))
        has = z - parts @ rates + rebate + 0.02 * before[who]
        worth = 30 * np.log(has / 30) if aversion == 1 else has
        return worth - 0.4 / 1.4 * able[who] * (z / able[who]) ** 3.5

    everybody = np.arange(len(able))
    assert best_response_gap(utility, income, 1e-3, 500.0, agents=everybody).largest < 1e-5

    def linear(z, who):
        return utility(z, who, aversion=0.0)

    assert best_response_gap(linear, income, 1e-3, 500.0, agents=everybody).largest > 1e-3


@pytest.mark.gate
def test_without_aversion_the_two_markets_are_one():
    plain = one_year()
    state = curved_years(1, aversion=0.0).state
    assert np.asarray(state.wage) == pytest.approx(plain["wage"], rel=1e-4)
    assert float(state.rebate) == pytest.approx(plain["rebate"], rel=1e-4)
    averse = curved_years(1, aversion=1.0).state
    assert abs(float(averse.rebate) / plain["rebate"] - 1) > 0.02


@pytest.mark.gate
def test_slopes_pass_through_wages_and_rebate_together():
    def rebate(rate):
        rates = jnp.asarray([0.1, rate, 0.35, 0.4])
        return curved_years(1, rates=rates).observed["rebate"][-1]

    slope = float(jax.grad(rebate)(jnp.asarray(0.25)))
    width = 0.01
    known = float(rebate(jnp.asarray(0.25 + width)) - rebate(jnp.asarray(0.25 - width))) / 0.02
    assert slope == pytest.approx(known, rel=0.02)  # differences of kinked sums of 600 people
    state = curved_years(1, rates=[0.1, 0.25, 0.35, 0.4]).state
    income = np.asarray(state.income, np.float64)[np.asarray(state.alive)]
    without_answers = np.clip(income - 20, 0, 20).mean()
    assert abs(without_answers / slope - 1) > 0.05
