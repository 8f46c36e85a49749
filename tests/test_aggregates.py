"""Counts and shares: exact where floats are not, differentiable where they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from lpm.aggregates import count, count_by_segment, first_true, running_count, share


def test_count_of_flags_is_their_number():
    assert float(count(jnp.array([True, False, True]))) == 2
    assert float(count(jnp.array([3, -1, 4]))) == 6
    assert float(count(jnp.array([1.0, 0.0, 1.0]), jnp.array([False, True, True]))) == 1


def test_count_is_exact_beyond_24_bits():
    # Blocks of 1024 add up to 2**25 + 4; a float32 running sum of ones stops at 2**24.
    x = jnp.concatenate([jnp.full(2048, 2.0**14), jnp.ones(4)])
    assert float(count(x)) == np.float32(2**25 + 4)
    serial = np.float32(0)
    for value in np.asarray(x):
        serial += value
    assert serial != np.float32(2**25 + 4)  # what adding floats one by one gives


def test_count_of_a_large_population_does_not_depend_on_order():
    ones = jnp.ones(2**24 + 2**20, jnp.bool_)
    assert float(count(ones)) == 2**24 + 2**20


def test_fractions_are_added_as_floats():
    x = jnp.array([0.25, 1.5, -0.75, 3.0])
    assert float(count(x)) == 4.0


def test_a_total_beyond_32_bits_falls_back_to_floats():
    assert float(count(jnp.array([3e9, 2e9]))) == pytest.approx(5e9, rel=1e-6)
    assert float(count(jnp.array([2**30, 2**30, 2**30], jnp.int32))) == pytest.approx(3 * 2**30)


def test_not_a_number_is_passed_on():
    assert np.isnan(count(jnp.array([1.0, jnp.nan])))


def test_derivative_of_a_count_is_one_each():
    where = jnp.array([True, True, False])
    gradient = jax.grad(lambda x: count(x, where))(jnp.array([0.2, 1.0, 3.0]))
    assert gradient.tolist() == [1.0, 1.0, 0.0]
    assert float(jax.grad(lambda x: count(x) ** 2)(jnp.array([0.2, 1.4]))[0]) == pytest.approx(3.2)


def test_share_is_taken_over_the_living_and_is_zero_of_none():
    x, alive = jnp.array([1.0, 0.0, 0.0]), jnp.array([True, True, False])
    assert float(share(x, alive)) == 0.5
    assert float(share(x, jnp.zeros(3, bool))) == 0


def test_counts_batch_under_vmap():
    x = jnp.array([[1.0, 0.0], [0.5, 0.25]])
    assert jax.vmap(count)(x).tolist() == [1.0, 0.75]


@given(st.lists(st.integers(-1, 4), min_size=30, max_size=30))
def test_segment_counts_match_a_loop_over_members(ids):
    x = np.arange(len(ids), dtype=np.float32)
    got = count_by_segment(jnp.asarray(x), jnp.asarray(ids, jnp.int32), 5)
    expected = [sum(v for v, i in zip(x, ids, strict=True) if i == g) for g in range(5)]
    assert got.tolist() == expected


@given(st.lists(st.booleans(), min_size=60, max_size=60), st.sampled_from([3, 30]))
def test_first_true_lists_positions_in_order(flags, size):
    array = jnp.asarray(flags)
    assert running_count(array).tolist() == np.cumsum(flags).tolist()
    places = np.flatnonzero(flags)[:size].tolist()
    assert first_true(array, size).tolist() == places + [-1] * (size - len(places))


def test_segments_of_a_large_population_are_counted_exactly():
    n = 2**20 + 5  # more than one block
    ids = (np.arange(n) * 7919) % 5 - 1
    x = (np.arange(n) % 3 == 0).astype(np.float32)
    expected = np.bincount(ids[ids >= 0], weights=x[ids >= 0], minlength=4)
    assert count_by_segment(jnp.asarray(x), jnp.asarray(ids, jnp.int32), 4).tolist() == list(
        expected
    )


@pytest.mark.parametrize("people", [3, 49, 300, 4096])
def test_shares_of_many_runs_are_those_of_each_to_the_bit(people):
    # Everybody is a share of 1: times a rounded inverse 300 of 300 would be 1.00000002.
    alive = jnp.ones(people, bool)
    runs = jnp.arange(people)[None] < jnp.array([[people], [people // 2 + 1], [0]])
    together = jax.jit(jax.vmap(share, in_axes=(0, None)))(runs.astype(jnp.float32), alive)
    expected = np.float32(runs.sum(axis=1)) / np.float32(people)
    assert together.tolist() == expected.tolist()
    assert together[0] == 1
