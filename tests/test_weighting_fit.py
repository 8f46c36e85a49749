"""Weights of survey records: totals met, nearest to the survey, nothing left to chance."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lpm.population.weighting import Level, Problem, explain_fit, fit_weights, reached_totals
from tests.made_up_survey import generator, households, level, misses, true_weights


def test_exact_totals_of_households_persons_and_income_are_met():
    incidence = households()
    fitted = fit_weights(Problem(np.ones(24), (level(incidence, true_weights()),)))
    assert max(misses(fitted)) < 1e-11
    assert fitted.gap.max() < 1e-12
    assert fitted.infeasible.is_empty()
    assert fitted.reconciled.is_empty()
    assert (fitted.weights > 0).all()


def test_several_levels_are_met_together():
    incidence, weights = households(), true_weights(4)
    parent = np.array([0, 0, 1, 1])
    levels = (
        level(incidence[:, :4], weights),
        level(incidence[:, :6], weights, "county", parent),
        level(incidence, weights, "state", np.zeros(4, int)),
    )
    fitted = fit_weights(Problem(np.ones(24), levels))
    assert max(misses(fitted)) < 1e-10
    assert fitted.gap.max() < 1e-12


def test_one_control_has_a_closed_form():
    target = np.array([[30.0], [70.0]])
    only = Level("zone", ("a", "b"), ("n",), np.ones((4, 1)), target, 0 * target, np.arange(2))
    fitted = fit_weights(Problem(np.array([1.0, 2.0, 3.0, 4.0]), (only,)))
    np.testing.assert_allclose(fitted.weights, target * np.arange(1, 5) / 10, rtol=1e-12)


def test_a_standard_error_shares_the_miss_with_the_survey():
    # One record with prior weight 10: w solves log(w / 10) = (20 - w) / error**2.
    one = Level(
        "zone",
        ("a",),
        ("n",),
        np.ones((1, 1)),
        np.full((1, 1), 20.0),
        np.full((1, 1), 3.0),
        np.arange(1),
    )
    fitted = fit_weights(Problem(np.ones(1), (one,)), prior=np.full((1, 1), 10.0))
    weight = fitted.weights.item()
    assert np.log(weight / 10) == pytest.approx((20 - weight) / 9, rel=1e-10)


def test_it_is_the_nearest_of_all_weights_with_those_totals():
    incidence, prior = households(), true_weights(1, seed=5)[0]
    fitted = fit_weights(Problem(prior, (level(incidence, true_weights(1)),)))
    found, start = fitted.weights[0], fitted.prior[0]
    free = np.linalg.svd(incidence.T)[2][np.linalg.matrix_rank(incidence) :]

    def entropy(w):
        return (w * np.log(w / start) - w + start).sum()

    for line in free:
        way = line * 0.1 * found.min() / np.abs(line).max()
        assert entropy(found + way) > entropy(found)
        assert entropy(found - way) > entropy(found)


def test_a_wrong_total_within_its_error_is_not_met():
    whole = level(households(), true_weights(), error=5.0)
    target = whole.target + np.eye(3, 8) * 20
    fitted = fit_weights(Problem(np.ones(24), (replace(whole, target=target),)))
    assert np.abs(reached_totals(whole, fitted.weights) - target).max() > 1.0
    assert fitted.gap.max() < 1e-12
    assert fitted.infeasible.is_empty()


@given(st.integers(0, 2**31), st.floats(0.1, 100))
def test_names_order_and_scale_of_the_totals_do_not_matter(seed, scale):
    rng = generator(seed)
    incidence, prior = households(seed), rng.gamma(2.0, size=24)
    whole = level(incidence, true_weights(seed=seed))
    plain = fit_weights(Problem(prior, (whole,)))
    records, zones = rng.permutation(24), rng.permutation(3)
    moved = replace(
        whole,
        incidence=incidence[records],
        target=whole.target[zones] * scale,
        zones=tuple("cab"),
        error=whole.error,
    )
    again = fit_weights(Problem(prior[records], (moved,)))
    np.testing.assert_allclose(
        again.weights, scale * plain.weights[zones][:, records], rtol=1e-7, atol=1e-12
    )


@given(st.integers(0, 2**31))
def test_doubled_design_weights_change_nothing(seed):
    whole = level(households(seed), true_weights(seed=seed))
    prior = generator(seed).gamma(2.0, size=24)
    once = fit_weights(Problem(prior, (whole,)))
    twice = fit_weights(Problem(2 * prior, (whole,)))
    np.testing.assert_allclose(once.weights, twice.weights, rtol=1e-9)


def test_the_same_problem_gives_the_same_bits():
    problem = Problem(np.ones(24), (level(households(), true_weights()),))
    np.testing.assert_array_equal(fit_weights(problem).weights, fit_weights(problem).weights)


def test_equal_records_share_like_their_design_weights():
    incidence = np.repeat(households(count=12), 2, axis=0)
    prior = np.tile([1.0, 3.0], 12)
    fitted = fit_weights(Problem(prior, (level(incidence, true_weights()),)))
    np.testing.assert_allclose(fitted.weights[:, 1::2], 3 * fitted.weights[:, ::2], rtol=1e-12)


def test_progress_is_told():
    told = []
    fit_weights(
        Problem(np.ones(24), (level(households(), true_weights()),)),
        progress=lambda done, some: told.append((done, some)),
    )
    assert told[-1] == (3, 3)


def test_words_tell_how_many_uncertain_totals_are_within_their_errors():
    incidence = np.eye(2)
    near = Level("town", ("A",), ("one", "two"), incidence, np.array([[10.0, 20.0]]),
                 np.array([[0.0, 2.0]]), np.zeros(1, int))  # fmt: skip
    told = explain_fit(fit_weights(Problem(np.array([10.0, 21.0]), (near,))))
    assert told == (
        "All 1 exact totals are met.\n1 of 1 totals with an error are within 1.645 of it (100%)."
    )
    exact = replace(near, error=np.zeros((1, 2)))
    assert explain_fit(fit_weights(Problem(np.ones(2), (exact,)))) == (
        "All 2 exact totals are met."
    )
