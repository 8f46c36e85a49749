"""Totals that cannot be met are proven so and named; zeros, empty zones, and wrong problems."""

from dataclasses import replace

import numpy as np
import pytest

from lpm.errors import DataError
from lpm.population.weighting import (
    Problem,
    explain_fit,
    fit_weights,
    ipf,
    reached_totals,
)
from tests.made_up_survey import CONTROLS, households, level, misses, true_weights


def test_a_planted_impossibility_is_named_and_spares_the_others():
    incidence = households()
    whole = level(incidence[:, :7], true_weights())
    target = whole.target.copy()
    target[1, 6] = target[1, 0] * 6  # no household has more than five persons
    fitted = fit_weights(Problem(np.ones(24), (replace(whole, target=target),)))
    alone = fit_weights(Problem(np.ones(24), (whole,)))
    assert fitted.infeasible["zone"].unique().to_list() == ["tract 1"]
    assert "persons" in fitted.infeasible["control"]
    assert fitted.infeasible["proven"].all()
    np.testing.assert_allclose(fitted.weights[[0, 2]], alone.weights[[0, 2]], rtol=1e-10)
    assert fitted.gap.max() < 1e-9
    assert reached_totals(whole, fitted.weights)[1, 0] == pytest.approx(target[1, 0], rel=1e-6)


def test_an_impossible_county_is_named_and_its_tracts_are_met():
    incidence, weights = households(), true_weights(4)
    parent = np.array([0, 0, 1, 1])
    tracts = level(incidence[:, :4], weights)
    county = level(incidence[:, [6]], weights, "county", parent)
    county = replace(county, controls=("persons",), target=county.target * [[1.0], [9.0]])
    fitted = fit_weights(Problem(np.ones(24), (tracts, county)))
    assert fitted.infeasible["zone"].to_list() == ["county 1"]
    row = fitted.infeasible.row(0, named=True)
    assert row["proven"]
    assert row["target"] - row["reached"] == pytest.approx(row["missing"])
    assert np.abs(reached_totals(tracts, fitted.weights) - tracts.target).max() < 1e-6


def test_a_zone_without_records_of_its_own_is_named_and_spares_its_county():
    incidence, weights = households(), true_weights()
    tracts = level(incidence[:, :4], weights)
    county = level(incidence[:, [6]], weights, "county", np.zeros(3, int))
    county = replace(county, controls=("persons",))
    prior = np.ones((3, 24))
    prior[1] = 0.0
    fitted = fit_weights(Problem(np.ones(24), (tracts, county)), prior=prior)
    named = fitted.infeasible.filter(fitted.infeasible["level"] == "tract")
    assert named["zone"].unique().to_list() == ["tract 1"]
    assert sorted(named["control"]) == sorted(CONTROLS[:4])
    assert fitted.infeasible["proven"].all()
    assert fitted.infeasible["zone"].to_list().count("county 0") == 1
    assert (fitted.weights[1] == 0).all()
    reached = reached_totals(tracts, fitted.weights)
    np.testing.assert_allclose(reached[[0, 2]], tracts.target[[0, 2]], rtol=1e-7)


def test_an_empty_zone_gets_nothing_and_zero_cells_exclude_their_records():
    incidence, weights = households(), true_weights()
    weights[0] = 0.0
    weights[1, incidence[:, 1] == 1] = 0.0
    fitted = fit_weights(Problem(np.ones(24), (level(incidence, weights),)))
    assert (fitted.weights[0] == 0).all()
    assert (fitted.weights[1, incidence[:, 1] == 1] == 0).all()
    assert fitted.infeasible.is_empty()
    reached = reached_totals(fitted.problem.levels[0], fitted.weights)
    np.testing.assert_allclose(reached, fitted.problem.levels[0].target, rtol=1e-10)


def test_totals_that_leave_only_some_records_are_met():
    # All households are single, which the persons say without a zero in the table.
    incidence, weights = households(), true_weights(2)
    weights[0, incidence[:, 1] == 0] = 0.0
    chosen = level(incidence[:, [0, 6]], weights)
    fitted = fit_weights(Problem(np.ones(24), (chosen,)))
    assert fitted.infeasible.is_empty()
    assert max(misses(fitted)) < 1e-8
    assert fitted.weights[0, incidence[:, 1] == 0].sum() < 1e-6


def test_a_record_without_positive_weight_is_left_out_and_noted():
    prior = np.ones(24)
    prior[:2] = 0.0, -3.0
    fitted = fit_weights(Problem(prior, (level(households(), true_weights()),)))
    assert (fitted.weights[:, :2] == 0).all()
    assert fitted.notes == ("2 records have no positive weight and were left out",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"target": np.full((3, 8), np.nan)},
            r"target must be finite; not at \[tract 0: households",
        ),
        ({"error": np.full((3, 8), -1.0)}, "error must be finite and not negative"),
        ({"controls": ("n",)}, r"incidence has shape \(24, 8\), not \(24, 1\)"),
        ({"zone_of": np.array([0, 2, 1])}, "zone_of must be 0, 1, 2"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    whole = replace(level(households(), true_weights()), **change)
    with pytest.raises(DataError, match=message):
        fit_weights(Problem(np.ones(24), (whole,)))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"slack": -1.0}, "slack is -1.0; give a factor"),
        ({"slack": np.nan}, "slack is nan; give a factor"),
        ({"bounds": (2.0, 1.0)}, "bounds are 2 and 1; give the smallest and the largest"),
        ({"bounds": (-1.0, 2.0)}, "bounds are -1 and 2"),
        ({"tolerance": 0.0}, "tolerance is 0.0; give a small number above 0"),
        ({"prior": np.ones((2, 24))}, r"prior has shape \[2, 24\], but the problem has 3 zones"),
    ],
)
def test_rules_that_mean_nothing_are_refused(rule, message):
    whole = level(households(), true_weights())
    with pytest.raises(DataError, match=message):
        fit_weights(Problem(np.ones(24), (whole,)), **rule)


def test_zones_across_two_counties_are_refused():
    incidence, weights = households(), true_weights(4)
    levels = (
        level(incidence, weights),
        level(incidence, weights, "county", np.array([0, 0, 1, 1])),
        level(incidence, weights, "region", np.array([0, 1, 1, 1])),
    )
    with pytest.raises(DataError, match=r"'county' lie in several of 'region': \[county 0\]"):
        fit_weights(Problem(np.ones(24), levels))


def test_raking_gives_the_same_weights_for_categories():
    incidence = households()[:, [1, 2, 3, 4, 5]]
    whole = level(incidence, true_weights())
    problem = Problem(np.linspace(1.0, 3.0, 24), (whole,))
    np.testing.assert_allclose(ipf(problem), fit_weights(problem).weights, rtol=1e-8)


def test_tables_that_differ_by_rounding_follow_the_stated_total_and_are_reported():
    whole = level(households()[:, :6], np.round(true_weights()))
    target = whole.target.copy()
    target[0, 3] += 1.0
    fitted = fit_weights(Problem(np.ones(24), (replace(whole, target=target),)))
    used = fitted.problem.levels[0].target
    np.testing.assert_array_equal(used[1:], target[1:])
    assert used[0, 0] == target[0, 0]
    np.testing.assert_allclose(used[0, 1:4], target[0, 1:4] * target[0, 0] / target[0, 1:4].sum())
    assert fitted.reconciled["control"].to_list() == ["one", "two", "more"]
    assert fitted.reconciled["published"].to_list() == target[0, 1:4].tolist()
    assert "3 totals of 1 zones contradicted others by rounding" in explain_fit(fitted)


def test_tables_that_differ_by_more_than_rounding_are_named_and_not_reconciled():
    whole = level(households()[:, :6], true_weights())
    target = whole.target.copy()
    target[1, 2] *= 1.5
    fitted = fit_weights(Problem(np.ones(24), (replace(whole, target=target),)))
    assert fitted.reconciled.is_empty()
    assert fitted.infeasible["zone"].unique().to_list() == ["tract 1"]
    assert fitted.infeasible["control"][0] == "two"
    assert fitted.infeasible["proven"].all()
    assert explain_fit(fitted).startswith(
        "tract tract 1: No weights meet all its totals; off are two"
    )


def test_tracts_of_a_county_decide_where_the_county_differs_by_rounding():
    incidence, weights = households()[:, :4], np.round(true_weights(4))
    tracts = level(incidence, weights)
    county = level(incidence, weights, "county", np.array([0, 0, 1, 1]))
    county = replace(county, target=county.target + np.eye(2, 4))
    fitted = fit_weights(Problem(np.ones(24), (tracts, county)))
    np.testing.assert_array_equal(fitted.problem.levels[0].target, tracts.target)
    np.testing.assert_allclose(fitted.problem.levels[1].target, county.target - np.eye(2, 4))
    assert fitted.infeasible.is_empty()
    assert fitted.reconciled["level"].unique().to_list() == ["county"]
