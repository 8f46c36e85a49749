"""Elections: counts by hand, circles, ties, and what a scenario of votes comes to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special, stats

import lpm
from lpm.economics import (
    Schedule,
    Workforce,
    brackets,
    by_group,
    favourite,
    logit,
    majority,
    plurality,
    utilities,
)
from lpm.errors import DataError
from scenarios import tax_vote

E = 0.4
POTENTIAL = np.exp(0.7 * stats.norm.ppf((np.arange(801) + 0.5) / 801))
WORKERS = Workforce.of(POTENTIAL, E)
ONE = jnp.ones(3)


def flat(rates):
    return by_group([Schedule([0.0], [float(t)]) for t in rates])


def by_hand(t, m=POTENTIAL):
    return m * (1 - t) ** (1 + E) / (1 + E) + t * (1 - t) ** E * m.mean()


def test_utilities_under_platforms_are_those_by_hand():
    found = utilities(WORKERS, flat([0.0, 0.3, 0.6]))
    expected = [by_hand(t) for t in (0.0, 0.3, 0.6)]
    assert np.asarray(found) == pytest.approx(np.array(expected), rel=2e-6)
    less = utilities(WORKERS, flat([0.0, 0.3]), spending=0.1)
    assert np.asarray(less) == pytest.approx(np.array(expected[:2]) - 0.1, rel=2e-6)
    with pytest.raises(DataError, match=r"platforms is one schedule"):
        utilities(WORKERS, Schedule([0.0], [0.3]))


def test_votes_are_counted_as_by_hand():
    draws = np.asarray(jnp.sin(jnp.arange(5 * 300.0) * 1.7).reshape(5, 300))
    heads = 1.0 + np.arange(300) % 4
    lots = jnp.linspace(0, 1, 5)
    most = plurality(jnp.asarray(draws), jnp.asarray(heads, jnp.float32), lots)
    expected = np.bincount(draws.argmax(axis=0), weights=heads, minlength=5) / heads.sum()
    assert np.asarray(most.votes) == pytest.approx(expected, abs=1e-6)
    assert int(most.winner) == expected.argmax()
    duel = majority(jnp.asarray(draws), jnp.asarray(heads, jnp.float32), lots)
    beats = [[np.average((a > b) + 0.5 * (a == b), weights=heads) for b in draws] for a in draws]
    assert np.asarray(duel.beats) == pytest.approx(np.array(beats), abs=1e-6)
    soft = logit(jnp.asarray(draws), jnp.asarray(heads, jnp.float32), lots, 0.3)
    share = special.softmax(draws / 0.3, axis=0) @ heads / heads.sum()
    assert np.asarray(soft.votes) == pytest.approx(share, abs=1e-6)


def test_votes_that_are_cast_at_random_have_the_logit_shares():
    """20,000 alike vote with Gumbel luck: within four errors of the probabilities."""
    utility, noise, n = jnp.array([1.0, 1.5, 0.2]), 0.8, 20_000
    luck = jax.random.gumbel(jax.random.key(3), (3, n))
    cast = plurality(utility[:, None] + noise * luck, jnp.ones(n), ONE)
    expected = special.softmax(np.asarray(utility) / noise)
    assert np.asarray(cast.votes) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / n))


def test_a_circle_has_no_condorcet_winner_and_a_lot_decides():
    """Condorcet's own: three voters, each pair of platforms two to one, round and round."""
    ranks = jnp.array([[3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [1.0, 2.0, 3.0]])
    for lot in range(3):
        lots = jnp.zeros(3).at[lot].set(1.0)
        found = majority(ranks, jnp.ones(3), lots)
        assert not bool(found.decided)
        assert int(found.winner) == lot
    # With a fourth platform that all like less there is still none, and it never wins.
    more = jnp.concatenate([ranks, jnp.zeros((1, 3))])
    found = majority(more, jnp.ones(3), jnp.array([0.0, 0.1, 0.2, 1.0]))
    assert int(found.winner) == 2


def test_a_condorcet_winner_may_lose_a_plurality():
    """Four tenths like A best, three and a half C; B is second for all and beats both in duels."""
    ranks = np.repeat([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]], [40, 35, 25], axis=0)
    utility = jnp.asarray(ranks.T)
    assert int(plurality(utility, jnp.ones(100), ONE).winner) == 0
    found = majority(utility, jnp.ones(100), ONE)
    assert int(found.winner) == 1
    assert bool(found.decided)


def test_equal_votes_are_settled_by_lot_and_halves_are_shared():
    utility = jnp.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    found = plurality(utility, jnp.ones(3), jnp.array([0.2, 0.9, 1.0]))
    assert found.votes == pytest.approx([0.5, 0.5, 0.0])
    assert int(found.winner) == 1
    assert not bool(found.decided)
    assert int(plurality(utility, jnp.ones(3), jnp.array([0.9, 0.2, 1.0])).winner) == 0


@pytest.mark.parametrize("who", [100, 800])
def test_what_one_worker_would_choose_for_all_is_known(who):
    ratio = POTENTIAL[who] / POTENTIAL.mean()
    found = favourite(WORKERS, brackets([0.0]), who)
    expected = max(0.0, (1 - ratio) / (1 - ratio + E)) if ratio < 1 else 0.0
    assert found.values[0] == pytest.approx(expected, abs=1e-4)
    best = optimize.minimize_scalar(lambda t: -by_hand(t)[who], bounds=(0, 0.9), method="bounded").x
    assert found.values[0] == pytest.approx(best, abs=1e-4)
    with pytest.raises(DataError, match=r"worker = 801; there are 801"):
        favourite(WORKERS, brackets([0.0]), 801)


def test_the_law_walks_to_the_median_voter():
    town = lpm.Population.toy(501)
    income = np.sort(town["income"])
    middle = income[250] / income.mean()
    theory = (1 - middle) / (1 - middle + E)
    params = tax_vote.Params().replace(start=[0.8], thresholds=[0.0], move=0.02)
    run = lpm.simulate(tax_vote.scenario, town, key=0, params=params, steps=40)
    rates = np.asarray(run.observed["rates"])[:, 0]
    assert np.diff(rates[:20]).max() < 0
    assert np.ptp(rates[-5:]) == 0
    assert rates[-1] == pytest.approx(theory, abs=0.0101)
    # Where promises do not bind, the lot does not let it rest.
    loose = params.replace(binding=0.0, start=[rates[-1]])
    again = lpm.simulate(tax_vote.scenario, town, key=0, params=loose, steps=40)
    assert np.ptp(np.asarray(again.observed["rates"])[-20:]) > 0.03


@pytest.mark.gate
def test_a_plurality_need_not_choose_what_a_majority_does():
    town = lpm.Population.toy(501)
    duel = lpm.simulate(tax_vote.scenario, town, key=0, steps=12)
    first = lpm.simulate(tax_vote.by_plurality, town, key=0, steps=12)
    assert not np.allclose(duel.observed["rates"][-1], first.observed["rates"][-1])
    # An option that a limit makes the same as another ties with it.
    assert float(duel.observed["support"][-1]) > 0.9
    assert float(first.observed["support"][-1]) < 0.6


@pytest.mark.gate
def test_much_noise_makes_votes_a_matter_of_luck():
    town = lpm.Population.toy(501)
    params = tax_vote.Params().replace(noise=1e9)
    run = lpm.simulate(tax_vote.by_plurality, town, key=0, params=params, steps=10)
    assert np.asarray(run.observed["support"]) == pytest.approx(np.full(10, 1 / 9), abs=0.06)
