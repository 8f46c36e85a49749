"""Skills and costs of working backed out, people ranked, and welfare that is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpm import economics as econ
from lpm.errors import DataError, FittingError
from lpm.fitting import Only
from lpm.fitting.shaped import Shaped
from lpm.fitting.stationary import stationary
from scenarios.tax_economy import Params

E = 0.3


def chance_of(seed, size):
    return np.random.Generator(np.random.PCG64(seed)).random(size)  # noqa: TID251


def test_backed_out_workers_earn_what_they_were_seen_to():
    law = econ.federal(2024, credits=False)
    income = jnp.asarray(np.exp(np.linspace(5, 14, 2_000)), jnp.float32)
    found = econ.back_out(law, income, E)
    again = econ.respond(law, found.potential, E).income
    assert np.asarray(again) == pytest.approx(np.asarray(income), rel=2e-6)
    assert bool(found.explained.all())
    assert not bool(found.bunching.any())
    # By hand at 30,000: 12 % on the next dollar.
    one = econ.back_out(law, jnp.asarray([30_000.0]), E).potential[0]
    assert float(one) == pytest.approx(30_000 * 0.88**-E, rel=1e-6)


def test_who_is_on_a_threshold_bunches_and_stays_there():
    law = econ.Schedule([0, 50_000], [0.1, 0.4])
    found = econ.back_out(law, jnp.asarray([49_000.0, 50_000.0, 51_000.0]), E)
    assert found.bunching.tolist() == [False, True, False]
    low, high = 50_000 * 0.9**-E, 50_000 * 0.6**-E
    assert float(found.potential[1]) == pytest.approx(np.sqrt(low * high), rel=1e-6)
    assert float(econ.respond(law, found.potential, E).income[1]) == 50_000


def test_where_rates_fall_some_incomes_have_no_explanation():
    """The worker who would earn just below 50,000 does better further up."""
    law = econ.Schedule([0, 50_000], [0.5, 0.1])
    found = econ.back_out(law, jnp.asarray([20_000.0, 49_900.0, 50_100.0, 90_000.0]), E)
    assert found.explained.tolist() == [True, False, False, True]


def test_costs_split_those_who_work_from_those_who_do_not():
    size = 10_000
    chance = jnp.full(size, 0.6)
    works = jnp.arange(size) < 0.6 * size
    luck = jnp.asarray((np.arange(size) * 0.61803398875) % 1 * 0.998 + 0.001, jnp.float32)
    gain = jnp.full(size, 1_000.0)
    costs = econ.costs_of_working(gain, works, chance, luck, 0.5)
    assert np.array_equal(np.asarray(costs < gain), np.asarray(works))
    # Log odds of working: those of 0.6, and half a unit more for each log point of gain.
    for factor in (0.5, 2.0):
        odds = 0.6 / 0.4 * factor**0.5
        share = float(jnp.mean(costs < factor * gain))
        assert share == pytest.approx(odds / (1 + odds), abs=0.003)
    everybody = econ.costs_of_working(gain, works | True, jnp.ones(size), luck, 0.5)
    assert not bool(everybody.any())


def test_participation_moves_as_much_as_asked_for():
    """Elasticity of the share who work by 1 - t, with two kinds of people of unequal weight."""
    size, asked = 60_000, 0.25
    kind = np.arange(size) % 2
    weight = jnp.asarray(np.where(kind, 3.0, 1.0), jnp.float32)
    chance = np.where(kind, 0.5, 0.8)
    works = chance_of(1, size) < chance
    chance = np.array([works[kind == k].mean() for k in (0, 1)])[kind].astype(np.float32)
    potential = jnp.asarray(np.exp(10 + chance_of(2, size)), jnp.float32)
    untaxed = econ.Schedule([0.0], [0.0])
    gain = econ.respond(untaxed, potential, E).utility
    slope = econ.slope_of_chance(asked, E, jnp.asarray(chance), weight)
    luck = jnp.asarray(0.001 + 0.998 * chance_of(3, size), jnp.float32)
    costs = econ.costs_of_working(gain, jnp.asarray(works), jnp.asarray(chance), luck, slope)

    def share(rate):
        there = econ.respond(econ.Schedule([0.0], [rate]), potential, E, fixed_cost=costs).works
        return float(econ.total(weight * there) / econ.total(weight))

    assert share(0.0) == pytest.approx(float(econ.total(weight * works) / econ.total(weight)))
    found = (np.log(share(0.1)) - np.log(share(0.0))) / np.log(0.9)
    # 1,000 people of 60,000 cross, which luck moves by 3 %; three of those.
    assert found == pytest.approx(asked, rel=0.1)


def test_gini_and_deciles_are_those_of_people_counted_one_by_one():
    values = np.exp(chance_of(5, 300) * 3)
    weight = 1 + (np.arange(300) % 4)
    rank = econ.Ranking.of(jnp.asarray(values, jnp.float32), jnp.asarray(weight, jnp.float32))
    people = np.sort(np.repeat(values, weight))
    apart = np.abs(people[:, None] - people).mean() / (2 * people.mean())
    x = jnp.asarray(values, jnp.float32)
    assert float(rank.gini(x)) == pytest.approx(apart, rel=1e-5)
    # 750 heads: 75 in each tenth.
    assert len(people) == 750
    tenths = people.reshape(10, 75).mean(axis=1)
    assert np.asarray(rank.means(x)) == pytest.approx(tenths, rel=1e-5)
    some = values > np.median(values)
    above = np.sort(np.repeat(values[some], weight[some]))
    found = rank.among(jnp.asarray(some)).means(x, 1)[0]
    assert float(found) == pytest.approx(above.mean(), rel=1e-5)
    wrong = econ.Ranking.of(x, jnp.ones(300)).gini(x)  # the control: weights forgotten
    assert abs(float(wrong) - apart) > 1e-3


def test_running_sums_keep_their_digits():
    x = np.exp(chance_of(6, 300_000) * 2).astype(np.float32)
    found = np.asarray(econ.running(jnp.asarray(x)), np.float64)
    assert np.max(np.abs(found - np.cumsum(x, dtype=np.float64))) < 1e-6 * x.sum(dtype=np.float64)


def test_welfare_whose_weights_move_must_normalise():
    with pytest.raises(DataError, match="a tax of all income would be best whatever the skills"):
        econ.SocialWelfare("inverse income", normalised=False)
    utility, income = jnp.asarray([1.0, 2.0, 6.0]), jnp.asarray([1.0, 2.0, 4.0])
    given = econ.SocialWelfare("inverse income", normalised=False, moving=False)
    assert float(given(utility, income)) == pytest.approx((1 + 1 + 1.5) / 3)
    whole = econ.SocialWelfare("inverse income")
    assert float(whole(utility, income)) == pytest.approx(3.5 / 1.75)
    assert float(econ.SocialWelfare("utilitarian")(utility, income)) == 3
    assert float(econ.SocialWelfare("rawlsian")(utility, income)) == 1
    assert float(econ.SocialWelfare("isoelastic")(utility, income)) == pytest.approx(12 ** (1 / 3))
    assert float(econ.SocialWelfare("isoelastic")(utility, income, aversion=0.0)) == pytest.approx(
        3
    )
    assert jax.grad(lambda z: given(utility, z))(income).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kind": "egalitarian"},
            r"no kind \[egalitarian\]; it has \[utilitarian, isoelastic, ",
        ),
        ({"floor": 0}, "floor = 0; give a positive income"),
        ({"aversion": -1}, "aversion = -1; give 0 or more"),
        ({"power": -1}, "power = -1; give 0 or more"),
        ({"worst": 0}, r"worst = 0; a share of people lies in \(0, 1\]"),
    ],
)
def test_what_welfare_cannot_be_is_named(settings, message):
    with pytest.raises(DataError, match=message):
        econ.SocialWelfare(**settings)


def test_edges_come_in_any_order_and_in_the_right_number():
    found = econ.from_edges(jnp.asarray([30.0, 10.0]), jnp.asarray([0.1, 0.2, 0.3]))
    assert np.asarray(found.thresholds).tolist() == [0, 10, 30]
    assert econ.from_edges(np.zeros(0), np.array([0.4])).brackets == 1
    with pytest.raises(DataError, match="1 incomes at which the next rate begins and 3 rates"):
        econ.from_edges([10.0], [0.1, 0.2, 0.3])


def test_only_some_rates_move():
    values = [0.1] * 7 + [0.4]
    space = Shaped.of(Params(), ("rates",), Only([7], values))
    assert space.labels == ["rates[7]"]
    assert space.start == pytest.approx(np.log(0.35 / 0.64), rel=1e-5)
    found = space.place(np.array([[0.0]]))["rates"][0]
    assert found == pytest.approx([0.1] * 7 + [0.495])
    slopes = np.tile(np.arange(8.0), (1, 1))
    assert space.pull_back(np.array([0.0]), slopes)[0] == pytest.approx([7 * 0.99 / 4])


@pytest.mark.parametrize(
    ("elements", "values", "message"),
    [
        ([], [0.1] * 8, "of 8 values; give one or more of the numbers 0 to 7"),
        ([8], [0.1] * 8, "numbers 0 to 7, each once"),
        ([1, 1], [0.1] * 8, "each once"),
        ([1], [0.1] * 3, r"rates is \[8\]; Only holds 3 values for it"),
        ([1], [1.5] * 8, "Only holds .* for rates; within"),
    ],
)
def test_what_only_cannot_hold_is_named(elements, values, message):
    with pytest.raises(FittingError, match=message):
        Shaped.of(Params(), ("rates",), Only(elements, values))


def test_the_last_digits_come_from_the_gradient():
    """Of a curve whose gradient is rounded to seven digits of what it is a difference of."""
    low = np.array([0.3, -0.2])

    def gradient(z):
        exact = np.array([[2.0, 0.5], [0.5, 1.0]]) @ (z - low) + (z - low) ** 3
        return np.float32(exact + 1).astype(np.float64) - 1

    found = stationary(gradient, low + np.array([0.05, -0.08]))
    assert found == pytest.approx(low, abs=1e-6)
    # At the top of a hill, or far from any bottom, it stays.
    top = low + np.array([0.05, 0.0])
    assert stationary(lambda z: -gradient(z), top) is top
    far = low + np.array([5.0, 5.0])
    assert np.linalg.norm(stationary(gradient, far) - far) < 1e-12
