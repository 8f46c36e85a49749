"""The economy of closed regions against the same equations in double precision by other code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import lpm
from lpm.economics import revealed_tradeoff
from lpm.errors import DataError
from scenarios.covid_economy import Params, drawn, places, scenario

PARAMS = scenario.params
TOWN = places(4)
FIELDS = ("stringency", "subsidy", "intercept", "slope", "seeded", "filters", "level", "early")


def run(params=PARAMS, steps=120, which=scenario, town=TOWN, **more):
    return lpm.simulate(which, town, key=0, steps=steps, params=params, devices=1, **more)


def plain(params: Params) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(params, name), np.float64) for name in FIELDS}


def by_other_code(x, steps, lag=29, period=14.0):
    """Days by regions of each quantity; unemployment by a sum over all changes of 600 days."""
    first = 700
    days = np.arange(-first, steps)
    block = np.clip(days // 28, 0, len(x["stringency"]) - 1)
    level = np.where(days[:, None] < 0, x["early"], x["stringency"][block])
    changes = np.diff(level, axis=0, prepend=level[:1])
    constants = np.array([14.0, 28.0, 56.0, 112.0, 224.0])
    ages = np.arange(600)
    kernel = np.einsum("ka,kr->ar", np.exp(-ages / constants[:, None]), x["filters"])
    s, i = 1 - x["seeded"], x["seeded"].copy()
    dead, economy, spent = np.zeros((3, len(s)))
    found = {name: [] for name in ("susceptible", "infected", "unemployment", "output")}
    found |= {name: [] for name in ("deaths", "economy", "spent")}
    for t in range(steps):
        beta = x["intercept"] + x["slope"] * level[first + t - lag]
        new, gone = s * (1 - np.exp(-beta * i)), i / period
        s, i, dead = s - new, i + new - gone, dead + 0.02 * gone
        past = changes[first + t - ages]
        rate = (x["level"] + np.log1p(np.exp((kernel * past).sum(axis=0)))) / 100
        usual = (x["level"] + np.log(2)) / 100
        output = 65_300 * (1 - i - dead) * (1 - rate) / (1 - usual)
        subsidy = x["subsidy"][min(t // 90, len(x["subsidy"]) - 1)]
        has = output / (1 - dead) + subsidy
        economy = economy + (1 - dead) * 65_300 * (1 - 65_300 / has) / 365
        spent = spent + (1 - dead) * subsidy / 365
        values = (s, i, rate, output, dead, economy, spent)
        for name, value in zip(found, values, strict=True):
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def welfare_by_other_code(x, steps, **more):
    people = np.array([19e6, 12e6, 7e6, 3e6])
    found, weight = by_other_code(x, steps, **more), people / people.sum()
    last = {name: weight @ values[-1] for name, values in found.items()}
    return 0.5 * (-1e7 * last["deaths"]) + 0.5 * (last["economy"] - last["spent"])


def test_all_quantities_follow_the_equations_written_once_more():
    seen, known = run().observed, by_other_code(plain(PARAMS), 120)
    for name in ("susceptible", "infected", "unemployment", "output", "economy", "spent"):
        # Float32 through 120 days; sums of daily utilities lose a digit more.
        rtol, atol = (1e-4, 0.1) if name == "economy" else (3e-5, 1e-7)
        assert np.allclose(seen[name], known[name], rtol=rtol, atol=atol), name
    assert np.allclose(seen["health"], -1e7 * known["deaths"], rtol=3e-5)
    sooner = by_other_code(plain(PARAMS), 120, lag=28)
    assert not np.allclose(seen["infected"], sooner["infected"], rtol=1e-3)


@pytest.mark.parametrize("which", [scenario, drawn])
def test_nobody_is_lost_and_nobody_is_made(which):
    state = run(which=which, town=places(4_000), steps=150).state
    parts = [np.asarray(x) for x in (state.susceptible, state.infected, state.recovered)]
    whole = sum(parts) + np.asarray(state.dead)
    # Five roundings of a float32 a day, at random.
    assert np.abs(whole - 1).max() < (0 if which is drawn else 5e-6) + 1e-12
    assert np.asarray(state.dead).sum() > 0
    assert abs(sum(parts) - 1).max() > 1e-4  # Without the dead the sum would show it.


def test_the_epidemic_ends_at_the_final_size_of_theory():
    level, slope, intercept = 0.3, -0.1, np.array([0.03, 0.12, 0.2, 0.3])
    still = PARAMS.replace(
        stringency=np.full((20, 4), level),
        early=np.full(4, level),
        intercept=intercept,
        slope=np.full(4, slope),
        seeded=np.full(4, 1e-3),
    )
    seen = run(still, steps=1_500).observed
    size = 1 - np.asarray(seen["susceptible"])[-1]

    def known(r0):
        return optimize.brentq(lambda z: 1 - z - (1 - 1e-3) * np.exp(-r0 * z), 1e-9, 1 - 1e-12)

    reproduction = (intercept + slope * level) * 14
    assert reproduction.min() < 1 < reproduction.max()
    theory = np.array([known(r0) for r0 in reproduction])
    # 1,500 daily roundings of what is left of the susceptible.
    assert np.abs(size - theory).max() < 1e-4
    assert np.abs(size - [known(r0 * 15 / 14) for r0 in reproduction])[1:].min() > 5e-3
    # Herd immunity: infections fall once fewer than 1 / R0 are susceptible, to half a day's hazard.
    peak = np.asarray(seen["infected"]).argmax(axis=0)[1:]
    at_peak = np.asarray(seen["susceptible"])[peak, [1, 2, 3]]
    assert np.abs(at_peak * reproduction[1:] - 1).max() < 0.06
    assert np.asarray(seen["dead"])[-1] == pytest.approx(0.02 * size * [19e6, 12e6, 7e6, 3e6], 1e-3)


def test_unemployment_is_the_convolution_with_600_days_and_no_more():
    rising = PARAMS.replace(stringency=np.concatenate([np.full((1, 4), 0.9), PARAMS.stringency]))
    seen = np.asarray(run(rising, steps=660).observed["unemployment"])
    known = by_other_code(plain(rising), 660)["unemployment"]
    assert np.abs(seen - known).max() < 1e-6  # 660 roundings of sums near 1, in points
    # The first change left the window on day 600: remembered for good, it would show.
    forgotten = 0.75 * np.exp(-630 / 224) * 4 / 100 / 2
    assert forgotten > 100 * 1e-6
    assert np.abs(np.diff(seen, axis=0)[599, 0]) > 0.5 * forgotten


def slopes(params=PARAMS, steps=120):
    """Gradient of federal welfare by both schedules."""

    def welfare(stringency, subsidy):
        moved = params.replace(stringency=stringency, subsidy=subsidy)
        return run(moved, steps).observed["welfare"][-1]

    given = jnp.asarray(params.stringency), jnp.asarray(params.subsidy)
    return [np.asarray(g) for g in jax.jit(jax.grad(welfare, argnums=(0, 1)))(*given)]


def difference(x, name, at, width, **more):
    ends = []
    for sign in (1, -1):
        moved = x[name].copy()
        moved[at] += sign * width
        ends.append(welfare_by_other_code(x | {name: moved}, 120, **more))
    return (ends[0] - ends[1]) / (2 * width)


def test_slopes_by_both_schedules_are_those_of_differences_of_other_code():
    by_stringency, by_subsidy = slopes()
    x = plain(PARAMS)
    for at in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0)]:
        known = difference(x, "stringency", at, 1e-4)
        assert by_stringency[at] == pytest.approx(known, rel=1e-3), at
    for at in (0, 1):
        assert by_subsidy[at] == pytest.approx(difference(x, "subsidy", at, 1.0), rel=1e-3)
    assert (by_stringency[5:] == 0).all()  # after the last day
    other_lag = difference(x, "stringency", (1, 1), 1e-4, lag=0)
    assert abs(by_stringency[1, 1] / other_lag - 1) > 0.05


@pytest.mark.gate
def test_the_best_subsidy_makes_marginal_utility_the_price_of_money():
    x = plain(PARAMS)
    people = np.array([19e6, 12e6, 7e6, 3e6])

    def margin(amount):
        """Weighted mean of (consumption / usual)**-2 over the first 90 days, less the price."""
        found = by_other_code(x | {"subsidy": np.full(6, amount)}, 90)
        living = 1 - found["deaths"]
        has = found["output"] / living + amount
        heads = people * living
        return (heads * (has / 65_300) ** -2.0).sum() / heads.sum() - 1

    best = optimize.brentq(margin, 0, 20_000)
    assert 1_000 < best < 20_000

    def slope(amount):
        return slopes(PARAMS.replace(subsidy=np.full(6, amount)), 90)[1][0]

    assert abs(slope(best)) < 1e-3 * abs(slope(0.5 * best))
    assert slope(0.5 * best) > 0 > slope(1.5 * best)


def test_a_tradeoff_is_the_weight_at_which_slopes_cancel():
    one = np.array([[1.0, -2.0], [3.0, 0.5]])
    found = revealed_tradeoff(one, -0.25 * one)
    assert found.weight == pytest.approx(0.2)
    assert found.misfit == pytest.approx(0, abs=1e-7)
    crooked = -0.25 * one + np.array([[0.0, 0.0], [0.0, 3.0]])
    free = np.array([[True, True], [True, False]])
    assert revealed_tradeoff(one, crooked).misfit > 0.5
    assert revealed_tradeoff(one, crooked, free).weight == pytest.approx(0.2)
    assert np.isnan(revealed_tradeoff(one, one).weight)
    assert np.isnan(revealed_tradeoff(one, 0 * one).weight)


@pytest.mark.parametrize(
    ("one", "other", "free", "message"),
    [
        (np.ones(2), np.ones(3), None, r"slopes are \[2\] and \[3\]"),
        (np.ones(2), np.ones(2), np.zeros(2, bool), "no choice is free"),
        (np.array([np.nan, 1]), np.ones(2), None, "a slope is not finite"),
    ],
)
def test_slopes_that_say_nothing_are_refused(one, other, free, message):
    with pytest.raises(DataError, match=message):
        revealed_tradeoff(one, other, free)
