"""Parts of a policy against sums and probabilities that can be written down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from lpm import Draw, Graph, Groups, interventions as act
from lpm.errors import ScenarioError
from lpm.launch import key_words

N = 400


def draws(estimator="stop", n=N):
    return Draw(key_words(1), 0, "test", slot=jnp.arange(n), estimator=estimator)


def test_a_window_opens_on_its_first_step_and_shuts_before_its_last():
    assert [float(act.window(jnp.int32(t), 3, 5)) for t in range(7)] == [0, 0, 0, 1, 1, 0, 0]


def test_a_season_is_one_on_average_and_highest_at_its_peak():
    factors = jax.vmap(lambda t: act.season(t, 0.3, 15.0))(jnp.arange(1461))
    assert float(jnp.mean(factors)) == pytest.approx(1, abs=1e-5)
    assert int(jnp.argmax(factors[:365])) == 15
    assert float(factors.max()) == pytest.approx(1.3, abs=1e-5)
    assert float(factors.min()) == pytest.approx(0.7, abs=1e-4)


@given(
    st.integers(0, 300), st.lists(st.booleans(), min_size=60, max_size=60), st.integers(0, 2**31)
)
def test_a_ration_hands_out_what_there_is_to_the_first_in_order(capacity, eligible, seed):
    eligible = np.array(eligible, np.float32)
    order = np.random.default_rng(seed).integers(0, 5, 60).astype(np.int32)  # noqa: TID251
    offered = np.asarray(act.ration(jnp.asarray(eligible), float(capacity), jnp.asarray(order), 5))
    assert offered.sum() == pytest.approx(min(capacity, eligible.sum()), abs=1e-3)
    assert not offered[eligible == 0].any()
    for rank in range(4):
        later = offered[(order > rank) & (eligible > 0)]
        mine = offered[(order == rank) & (eligible > 0)]
        assert not (later > 0).any() or np.allclose(mine, 1), "a later rank waits for all before it"
        assert len(set(mine.tolist())) <= 1, "a rank shares evenly"


def test_a_ration_without_ranks_is_refused():
    with pytest.raises(ScenarioError, match="num_ranks = 0; give at least one rank"):
        act.ration(jnp.ones(4), 1.0, jnp.zeros(4, jnp.int32), 0)


def test_tests_come_back_positive_as_often_as_their_errors_say():
    ill, well = jnp.arange(N) < 150, jnp.arange(N) >= 150
    settings = {"uptake": 0.5, "sensitivity": 0.8, "screening": 0.1, "specificity": 0.9}
    chance = act.confirmed_after(
        draws("mean_field"), ill.astype(jnp.float32), well.astype(jnp.float32), **settings
    )
    assert np.allclose(chance[:150], 0.4)
    assert np.allclose(chance[150:], 0.01)
    whole = act.confirmed_after(
        draws(), ill.astype(jnp.float32), well.astype(jnp.float32), **settings
    )
    assert set(np.unique(whole)) <= {0.0, 1.0}
    alone = act.confirmed_after(draws(), jnp.ones(N), jnp.zeros(N), uptake=1.0, sensitivity=1.0)
    assert (alone == 1).all()


def test_tracing_reaches_a_contact_of_n_cases_with_one_minus_the_nth_power():
    home = Groups(np.array([0, 0, 0, 1, 1, -1]))
    ties = Graph(np.array([0]), np.array([4]), num_agents=6)
    cases = jnp.array([1.0, 1, 0, 0, 0, 0])
    reached = act.traced(draws("mean_field", 6), cases, [(home, 0.3), (ties, 0.5)])
    # Agent 2 lives with two cases; 0 and 1 with one; 4 is tied to case 0.
    expected = [0.3, 0.3, 1 - 0.7**2, 0, 0.5, 0]
    assert np.allclose(reached, expected, atol=1e-6)
    sure = act.traced(draws("mean_field", 6), cases, [(home, 1.0)])
    assert np.allclose(sure, [1, 1, 1, 0, 0, 0], atol=1e-5)
    assert not act.traced(draws(n=6), jnp.zeros(6), [(home, 1.0)]).any()


def test_isolation_lasts_its_length_from_its_first_day():
    since = jnp.array([3.0, act.NEVER])
    away = [act.away(jnp.int32(t), since, 2).tolist() for t in range(6)]
    assert [day[0] for day in away] == [0, 0, 0, 1, 1, 0]
    assert not any(day[1] for day in away)


def test_doses_protect_from_their_onset_and_the_second_takes_over():
    first = jnp.array([2.0, act.NEVER])
    times = {"interval": 10, "onset": 4, "after_first": 0.5, "after_second": 0.9}
    shares = [act.dose_protection(jnp.int32(t), first, **times).tolist() for t in range(20)]
    assert np.allclose([day[0] for day in shares], [0] * 6 + [0.5] * 10 + [0.9] * 4)
    assert not any(day[1] for day in shares)


def test_a_dose_on_day_zero_counts():
    days = act.dose_protection(
        jnp.int32(5), jnp.zeros(1), interval=100, onset=5, after_first=0.4, after_second=0.9
    )
    assert np.allclose(days, 0.4)


def test_importation_is_a_hazard_of_the_susceptible():
    susceptible = jnp.array([1.0, 0.0])
    chance = act.importation(draws("mean_field", 2), susceptible, 0.5)
    assert np.allclose(chance, [1 - np.exp(-0.5), 0])
    slope = jax.grad(lambda r: act.importation(draws("mean_field", 2), susceptible, r).sum())(0.5)
    assert float(slope) == pytest.approx(np.exp(-0.5))
