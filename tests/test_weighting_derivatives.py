"""Derivatives of the weights by totals and priors, redrawn totals, refits, and slack."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from lpm.errors import DataError, FittingError
from lpm.population.weighting import (
    Level,
    Problem,
    choose_slack,
    fit_weights,
    importance_errors,
    margin_gradient,
    prior_gradient,
    reached_totals,
    redraw_targets,
    refit,
    refit_draws,
)

RECORDS, ZONES = 16, 3


def survey(levels=2, error=0.0):
    """Independent controls that count and add; true weights give the totals."""
    rng = np.random.default_rng(3)  # noqa: TID251 - made-up surveys are made on the host
    size = np.tile([1.0, 2.0, 3.0, 4.0], 4)
    old = np.repeat([0.0, 1.0, 0.0, 1.0], 4)
    incidence = np.stack([np.ones(RECORDS), size, old, rng.gamma(2.0, size=RECORDS)], axis=1)
    weights = rng.gamma(3.0, 4.0, (ZONES, RECORDS))
    zones = np.arange(ZONES)
    made = [_level("tract", incidence[:, :3], weights, zones, error)]
    if levels > 1:
        made.append(_level("county", incidence[:, 2:], weights, np.array([0, 0, 1]), error))
        made[0] = replace(
            made[0],
            controls=made[0].controls[:2],
            **{name: getattr(made[0], name)[:, :2] for name in ("incidence", "target", "error")},
        )
    return Problem(rng.gamma(2.0, size=RECORDS), tuple(made))


def _level(name, incidence, weights, zone_of, error):
    target = np.zeros((zone_of.max() + 1, incidence.shape[1]))
    np.add.at(target, zone_of, weights @ incidence)
    zones = tuple(f"{name} {i}" for i in range(len(target)))
    controls = tuple("abcd"[: incidence.shape[1]])
    return Level(name, zones, controls, incidence, target, np.full_like(target, error), zone_of)


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("error", [0.0, 4.0])
def test_slopes_by_totals_are_those_of_differences(levels, error):
    problem = survey(levels, error)
    if error:
        shifted = replace(problem.levels[0], target=problem.levels[0].target * 1.2)
        problem = replace(problem, levels=(shifted, *problem.levels[1:]))
    fitted = fit_weights(problem)
    outcome = np.linspace(0.0, 1.0, ZONES * RECORDS).reshape(ZONES, RECORDS) ** 2
    slopes = margin_gradient(fitted, outcome)
    for number, level in enumerate(problem.levels):
        for place in np.ndindex(*level.target.shape):
            step = 1e-4 * level.target[place]
            ends = []
            for sign in (1, -1):
                targets = [x.target.copy() for x in problem.levels]
                targets[number][place] += sign * step
                ends.append((refit(fitted, targets=targets).weights * outcome).sum())
            difference = (ends[0] - ends[1]) / 2 / step
            assert slopes[number][place] == pytest.approx(difference, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("error", [0.0, 4.0])
def test_slopes_by_priors_are_those_of_differences(error):
    fitted = fit_weights(survey(2, error))
    outcome = np.linspace(0.0, 1.0, RECORDS) ** 2
    slopes = prior_gradient(fitted, outcome)
    for place in [(0, 0), (1, 7), (2, 15)]:
        ends = []
        for sign in (1, -1):
            prior = fitted.prior.copy()
            prior[place] *= 1 + sign * 1e-4
            ends.append((fit_weights(fitted.problem, prior=prior).weights @ outcome).sum())
        difference = (ends[0] - ends[1]) / 2e-4 / fitted.prior[place]
        assert slopes[place] == pytest.approx(difference, rel=1e-5)


def test_a_total_held_at_zero_has_no_slope():
    problem = survey(1)
    level = problem.levels[0]
    weights = np.ones((ZONES, RECORDS))
    weights[1, level.incidence[:, 2] > 0] = 0.0
    target = weights @ level.incidence
    fitted = fit_weights(replace(problem, levels=(replace(level, target=target),)))
    (slope,) = margin_gradient(fitted, np.ones(RECORDS))
    assert np.isnan(slope[1, 2])
    assert np.isnan(slope).sum() == 1
    np.testing.assert_allclose(slope[0], [1.0, 0.0, 0.0], atol=1e-8)


def test_a_refit_to_the_same_totals_changes_nothing():
    fitted = fit_weights(survey(2, 4.0))
    again = refit(fitted, targets=[level.target for level in fitted.problem.levels])
    np.testing.assert_allclose(again.weights, fitted.weights, rtol=1e-9)


def test_draws_are_fitted_together_as_they_are_alone():
    fitted = fit_weights(survey(2, 4.0))
    targets = redraw_targets(fitted.problem, jax.random.key(1), 3)
    priors = np.stack([fitted.problem.prior * (1 + 0.1 * i) ** np.arange(16) for i in range(3)])
    for draw, found in enumerate(refit_draws(fitted, targets=targets, priors=priors)):
        alone = refit(fitted, targets=[x[draw] for x in targets], prior=priors[draw])
        np.testing.assert_allclose(found.weights, alone.weights, rtol=1e-9)
        assert found.gap.max() < 1e-9
        assert found.problem.levels[1].zones == ("county 0", "county 1")


def test_replicate_weights_below_zero_leave_their_records_out():
    fitted = fit_weights(survey(1))
    replicate = fitted.problem.prior.copy()
    replicate[[2, 5]] = -1.0, 0.0
    found = refit(fitted, prior=replicate)
    assert (found.weights[:, [2, 5]] == 0).all()
    assert found.notes == ("2 records have no positive weight and were left out",)
    level = found.problem.levels[0]
    np.testing.assert_allclose(reached_totals(level, found.weights), level.target, rtol=1e-9)


def test_draws_without_totals_or_weights_are_refused():
    fitted = fit_weights(survey(1))
    with pytest.raises(DataError, match="Give draws of totals, of design weights"):
        next(refit_draws(fitted))


def table(count=2000):
    """A table of three cells and their sum; one cell is zero, one small."""
    incidence = np.concatenate([np.eye(3), np.ones((3, 1))], axis=1)
    target = np.array([[400.0, 5.0, 0.0, 405.0]])
    error = np.array([[30.0, 6.0, 7.0, 25.0]])
    level = Level("tract", ("t",), ("a", "b", "c", "all"), incidence, target, error, np.arange(1))
    return Problem(np.ones(3), (level,)), redraw_targets(
        Problem(np.ones(3), (level,)), jax.random.key(0), count
    )[0][:, 0]


def test_redrawn_totals_keep_mean_zero_and_sign():
    problem, drawn = table()
    assert drawn.min() >= 0
    assert (drawn[:, 2] == 0).all()
    # Four standard errors of a mean of 2000 draws.
    spread = 4 * problem.levels[0].error[0] / np.sqrt(2000)
    assert (np.abs(drawn.mean(axis=0) - problem.levels[0].target[0]) < spread).all()


def test_redrawn_tables_add_up_where_nothing_is_cut_off():
    _, drawn = table()
    whole = drawn[:, 0] + drawn[:, 1] + drawn[:, 2]
    cut = (drawn[:, 1] == 0) | (drawn[:, 1] == 10)
    # The zero cell's error was part of the sum before it was cut off.
    assert np.median(np.abs(whole - drawn[:, 3])[~cut]) < 7
    assert np.corrcoef(whole, drawn[:, 3])[0, 1] > 0.9


def test_exact_totals_are_not_redrawn():
    problem = survey(2)
    drawn = redraw_targets(problem, jax.random.key(0), 2)
    for level, targets in zip(problem.levels, drawn, strict=True):
        np.testing.assert_array_equal(targets, np.stack([level.target] * 2))


def test_slack_makes_misses_as_large_as_errors():
    problem = survey(1, 2.0)
    noise = np.array([[5.0, 30.0, -9.0], [-8.0, -20.0, 6.0], [3.0, 14.0, -4.0]])
    level = replace(problem.levels[0], target=problem.levels[0].target + noise)
    problem = replace(problem, levels=(level,))
    fitted = fit_weights(problem, slack=choose_slack(problem))
    miss = (reached_totals(level, fitted.weights) - level.target) / level.error
    assert (miss**2).mean() == pytest.approx(1.0, rel=0.03)


def test_slack_without_errors_is_refused():
    with pytest.raises(DataError, match="no slack to choose"):
        choose_slack(survey(1))


def test_importances_become_errors():
    errors = importance_errors(np.array([[400.0, 0.0]]), np.array([4.0, 100.0]))
    np.testing.assert_allclose(errors, [[10.0, 0.1]])


def test_bounds_hold_and_are_named_when_they_cannot():
    problem = survey(1, 4.0)
    fitted = fit_weights(problem, bounds=(0.8, 1.25))
    factor = fitted.weights / fitted.prior
    assert factor.min() >= 0.8 * (1 - 1e-12)
    assert factor.max() <= 1.25 * (1 + 1e-12)
    assert fitted.gap.max() < 1e-9
    with pytest.raises(FittingError, match="cannot be met in tract"):
        fit_weights(survey(1), bounds=(0.99, 1.01))
