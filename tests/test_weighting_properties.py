"""What holds for every fit: totals, certificates, names, order, and drawn numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from lpm.population.integers import truncate_replicate_sample
from lpm.population.seeds import generator
from lpm.population.weighting import Level, Problem, fit_weights, reached_totals

seeds = st.integers(0, 2**31)
PARENT = np.array([0, 0, 1, 1, 1])


def survey(seed, records=20):
    """Four kinds of size, persons, and an income that may be negative or nothing."""
    rng = generator(seed)
    size = np.tile([1, 2, 3, 4], -(-records // 4))[:records]
    income = np.where(rng.random(records) < 0.2, 0.0, rng.normal(30.0, 40.0, records))
    return np.stack([np.ones(records), size == 1, size == 2, size >= 3, size, income], axis=1)


def place(seed, errors):
    """Tracts in two counties whose totals are those of some true weights; one may be empty."""
    rng, incidence = generator(seed), survey(seed)
    weights = rng.gamma(2.0, 10.0, (5, len(incidence)))
    weights[seed % 7 : seed % 7 + 1] = 0.0
    target = weights @ incidence
    county = np.zeros((2, 2))
    np.add.at(county, PARENT, target[:, [4, 5]])
    noise = errors * (1 + np.sqrt(np.abs(target[:, :5])))
    tracts = Level(
        "tract",
        tuple("abcde"),
        ("homes", "one", "two", "more", "persons"),
        incidence[:, :5],
        target[:, :5] + noise * rng.normal(size=noise.shape),
        noise,
        np.arange(5),
    )
    counties = Level(
        "county",
        ("x", "y"),
        ("persons", "income"),
        incidence[:, [4, 5]],
        county,
        errors * (1 + np.sqrt(np.abs(county))),
        PARENT,
    )
    return Problem(rng.gamma(2.0, size=len(incidence)), (tracts, counties))


def objective(problem, weights, prior):
    """What a fit makes small, written out: relative entropy and squared misses in errors."""
    ratio = np.divide(weights, prior, out=np.ones_like(weights), where=weights > 0)
    value = np.sum(weights * np.log(ratio) - weights + prior)
    for level in problem.levels:
        reached = np.zeros(level.target.shape)
        for zone, at in enumerate(level.zone_of):
            reached[at] += weights[zone] @ level.incidence
        soft = level.error > 0
        value += 0.5 * np.sum(((reached - level.target)[soft] / level.error[soft]) ** 2)
    return value


@given(seeds)
@settings(max_examples=15)
def test_exact_totals_of_all_levels_are_met(seed):
    problem = place(seed, 0.0)
    fitted = fit_weights(problem)
    assert fitted.infeasible.is_empty()
    assert (fitted.weights >= 0).all()
    for level in problem.levels:
        reached = reached_totals(level, fitted.weights)
        scale = np.abs(level.incidence).max(axis=0) * fitted.weights.sum()
        assert (np.abs(reached - level.target) <= 1e-8 * scale).all()


@given(seeds)
@settings(max_examples=15)
def test_no_weights_near_those_found_are_better_by_more_than_the_gap(seed):
    problem = place(seed, 0.5)
    fitted = fit_weights(problem)
    assert fitted.prior is not None
    best = objective(problem, fitted.weights, fitted.prior)
    rng = generator(seed)
    size = best + fitted.weights.sum()
    for width in (1e-3, 1e-1):
        tried = fitted.weights * np.exp(width * rng.normal(size=fitted.weights.shape))
        assert objective(problem, tried, fitted.prior) >= best - fitted.gap.max() * size - 1e-9


@given(seeds)
@settings(max_examples=15)
def test_names_and_order_of_zones_controls_and_records_do_not_matter(seed):
    problem = place(seed, 0.5)
    plain = fit_weights(problem).weights
    rng = generator(seed + 1)
    zones, records = rng.permutation(5), rng.permutation(len(problem.prior))
    levels = []
    for level in problem.levels:
        order = rng.permutation(len(level.controls))
        rows = zones if len(level.zones) == 5 else np.array([1, 0])
        levels.append(
            replace(
                level,
                name=level.name.upper(),
                zones=tuple(f"0{i}" for i in rows),
                controls=tuple(level.controls[i] for i in order),
                incidence=level.incidence[records][:, order],
                target=level.target[rows][:, order],
                error=level.error[rows][:, order],
                zone_of=np.arange(5) if len(level.zones) == 5 else 1 - PARENT[zones],
            )
        )
    again = fit_weights(Problem(problem.prior[records], tuple(levels))).weights
    np.testing.assert_allclose(again, plain[zones][:, records], rtol=1e-6, atol=1e-9)


@given(seeds, st.floats(0.01, 100))
@settings(max_examples=15)
def test_weights_grow_with_the_totals(seed, scale):
    # An error that grows as the root of its total weighs as much against the survey as before.
    problem = place(seed, 0.5)
    larger = [
        replace(level, target=scale * level.target, error=np.sqrt(scale) * level.error)
        for level in problem.levels
    ]
    prior = generator(seed).gamma(2.0, 10.0, (5, len(problem.prior)))
    plain = fit_weights(problem, prior=prior).weights
    again = fit_weights(Problem(problem.prior, tuple(larger)), prior=scale * prior).weights
    np.testing.assert_allclose(again, scale * plain, rtol=1e-6, atol=1e-9 * scale)


@given(seeds)
@settings(max_examples=15)
def test_a_record_split_in_two_changes_nothing(seed):
    problem = place(seed, 0.5)
    plain = fit_weights(problem).weights
    twice = [
        replace(level, incidence=np.concatenate([level.incidence, level.incidence[:1]]))
        for level in problem.levels
    ]
    prior = np.append(problem.prior, 0.3 * problem.prior[0])
    prior[0] *= 0.7
    again = fit_weights(Problem(prior, tuple(twice))).weights
    np.testing.assert_allclose(again[:, 0] + again[:, -1], plain[:, 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(again[:, 1:-1], plain[:, 1:], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_whole_numbers_of_a_fit_have_its_whole_totals(seed):
    problem = place(seed, 0.0)
    homes = np.rint(problem.levels[0].target[:, 0])
    tracts = replace(
        problem.levels[0],
        controls=("homes",),
        incidence=np.ones((20, 1)),
        target=homes[:, None],
        error=np.zeros((5, 1)),
    )
    fitted = fit_weights(Problem(problem.prior, (tracts,)))
    kinds = np.zeros(20, int)
    counts = truncate_replicate_sample(fitted.weights, kinds, generator(seed))
    drawn = np.bincount(counts.zone, counts.count, minlength=5)
    assert drawn.tolist() == homes.tolist()
