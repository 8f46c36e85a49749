"""The correction against dense algebra of its own, and what must come out in the limits."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from lpm.errors import PersonaError
from lpm.personas import Survey, correct, design_effect_of, fit_persistence, leaning, make_surface
from lpm.personas.posterior import Scales, find_mode
from lpm.personas.terms import make_terms
from lpm.population.seeds import generator

KNOTS = {"x": (0.0, 0.5, 1.0)}
CELLS, LEVELS = 14, 3


def world(actions=3, seed=0, people=40):
    rng = generator(seed)
    odds = actions - 1
    mean = rng.standard_normal((CELLS, LEVELS, odds))
    surface = make_surface(mean, 0.3 + 0.2 * rng.random(mean.shape), KNOTS, tuple("abc"[:actions]))
    features = rng.standard_normal((CELLS, 2))
    truth = mean + 0.5 * features[:, :1, None] - 0.3
    every = np.concatenate([np.zeros((CELLS, LEVELS, 1)), truth], axis=-1)
    chance = np.exp(every) / np.exp(every).sum(axis=-1, keepdims=True)
    counts = rng.multinomial(people, chance).astype(float)
    counts[8:] = 0  # the last six cells are left out
    return surface, Survey(counts), features, truth


@pytest.mark.parametrize("actions", [2, 3])
def test_mode_and_errors_are_those_of_dense_algebra(actions):
    """One long vector, a numerical minimiser, the inverse of the whole curvature."""
    surface, survey, features, _ = world(actions)
    scales = Scales(1.3, np.array([0.3, 0.2, 0.15, 0.15, 0.15]))
    found = correct(surface, survey, features, scales=scales)
    terms = make_terms(surface, features, 2, np.ones(CELLS))
    odds, width, effects = actions - 1, terms.columns.shape[-1], terms.own.shape[1]
    size, rest = odds * width, CELLS * odds * effects
    design = np.zeros((odds, CELLS, LEVELS, size + rest))
    for a in range(odds):
        design[a, ..., a * width : (a + 1) * width] = terms.columns[a]
        for c in range(CELLS):
            start = size + (c * odds + a) * effects
            design[a, c, :, start : start + effects] = terms.own
    prior = np.zeros((size + rest, size + rest))
    for a in range(odds):
        block = slice(a * width, (a + 1) * width)
        prior[block, block] = terms.precision[a] / 1.3**2
    own = (terms.spread.T[..., None] * scales.own).ravel()
    prior[range(size, size + rest), range(size, size + rest)] = 1 / own**2
    counts = survey.counts

    def shares(point):
        moved = terms.panel + design @ point
        every = np.concatenate([np.zeros((1, CELLS, LEVELS)), moved])
        return np.exp(every) / np.exp(every).sum(axis=0), moved

    def loss(point):
        share, _ = shares(point)
        log = np.moveaxis(np.log(share), 0, -1)
        slope = np.moveaxis(counts, -1, 0)[1:] - counts.sum(axis=-1) * share[1:]
        value = (counts * log).sum() - point @ prior @ point / 2
        return -value, -(np.einsum("acx,acxk->k", slope, design) - prior @ point)

    best = minimize(loss, np.zeros(size + rest), jac=True, method="BFGS", options={"gtol": 1e-7})
    share, mean = shares(best.x)
    curvature = prior.copy()
    for a in range(odds):
        for b in range(odds):
            weight = counts.sum(axis=-1) * share[a + 1] * ((a == b) - share[b + 1])
            curvature += np.einsum("cx,cxi,cxj->ij", weight, design[a], design[b], optimize=True)
    covariance = np.linalg.inv(curvature)
    variance = np.einsum("acxi,ij,acxj->acx", design, covariance, design, optimize=True)
    # The minimiser stops at slopes of 1e-7 or so; results are held in float32.
    assert np.allclose(np.moveaxis(np.asarray(found.surface.mean), -1, 0), mean, atol=2e-4)
    spread = np.moveaxis(np.asarray(found.surface.spread), -1, 0)
    assert np.allclose(spread, np.sqrt(variance), rtol=1e-3)
    evidence = -best.fun - np.linalg.slogdet(curvature)[1] / 2 + np.linalg.slogdet(prior)[1] / 2
    assert found.evidence == pytest.approx(evidence, abs=1e-3)


def test_draws_have_the_mean_and_spread_of_the_posterior():
    surface, survey, features, _ = world(2)
    scales = Scales(1.0, np.array([0.3, 0.2, 0.1, 0.1, 0.1]))
    found = correct(surface, survey, features, scales=scales)
    drawn = np.stack([np.asarray(found.draw(i).mean) for i in range(600)])
    spread = np.asarray(found.surface.spread)
    # 600 draws: means to 4 %, deviations to 3 % of a deviation; five and four of those errors.
    assert np.abs((drawn.mean(axis=0) - np.asarray(found.surface.mean)) / spread).max() < 0.2
    assert np.abs(drawn.std(axis=0) / spread - 1).max() < 0.13


def test_a_large_survey_finds_the_temperature_of_the_panel():
    rng = generator(4)
    truth = rng.standard_normal((CELLS, LEVELS, 1))
    panel = make_surface(0.5 * truth, 0.2, KNOTS, ("a", "b"))
    chance = 1 / (1 + np.exp(-truth[..., 0]))
    stay = rng.binomial(20_000, chance).astype(float)
    survey = Survey(np.stack([20_000 - stay, stay], axis=-1))
    found = correct(panel, survey, np.zeros((CELLS, 0)), rank=1)
    assert found.contrast[0] == pytest.approx(2.0, rel=0.02)
    assert np.abs(np.asarray(found.surface.mean) - truth).max() < 0.1


def test_a_stiff_panel_does_not_move_and_a_soft_one_does():
    surface, survey, features, truth = world(2, people=400)
    none = np.full(5, 1e-4)
    stiff = correct(surface, survey, features, scales=Scales(1e-4, none))
    assert np.allclose(stiff.surface.mean, surface.mean, atol=1e-3)
    soft = correct(surface, survey, features, scales=Scales(5.0, none))
    assert np.abs(np.asarray(soft.surface.mean) - truth)[8:].mean() < 0.3
    # Cells that nobody asked have wider intervals than those asked.
    free = correct(surface, survey, features)
    spread = np.asarray(free.surface.spread)
    assert spread[8:].mean() > spread[:8].mean()
    low, high = free.interval(0.9)
    assert (low < high).all()


def test_a_design_effect_widens_as_fewer_answers_would():
    surface, survey, features, _ = world(2, people=200)
    scales = Scales(1.0, np.full(5, 0.2))
    half = correct(surface, Survey(survey.counts / 2), features, scales=scales)
    clustered = correct(surface, Survey(survey.counts, 2.0), features, scales=scales)
    assert np.allclose(half.surface.spread, clustered.surface.spread, rtol=1e-5)


def repeated(persistence, people=20_000, seed=6):
    """Answers of people with a lasting inclination, by thresholds of normals."""
    rng = generator(seed)
    level = np.array([-0.5, 0.0, 0.8])
    own, luck = rng.standard_normal((people, 1)), rng.standard_normal((people, 3))
    latent = np.sqrt(persistence) * own + np.sqrt(1 - persistence) * luck
    return (latent < level).astype(float), level


@pytest.mark.parametrize("persistence", [0.0, 0.5])
def test_persistence_is_found_from_repeated_answers(persistence):
    answers, level = repeated(persistence)
    shares = np.broadcast_to(norm.cdf(level), answers.shape)
    # 60,000 pairs of 20,000 people: an error of about 0.01.
    assert fit_persistence(answers, shares) == pytest.approx(persistence, abs=0.04)
    effect = design_effect_of(answers)
    assert (effect > 1.4) == (persistence > 0)


def test_inclinations_leave_the_share_of_a_cell_alone():
    own = jnp.asarray(generator(1).standard_normal(200_000), jnp.float32)
    for share in (0.1, 0.6):
        lean = leaning(jnp.full(own.shape, share), own, 0.7)
        assert float(jnp.mean(lean)) == pytest.approx(share, abs=0.004)  # 4 errors of 0.001
        assert float(jnp.std(lean)) > 0.15
        flat = leaning(jnp.full(own.shape, share), own, 0.0)
        assert np.allclose(flat, share, atol=1e-5)


def test_bad_surveys_are_refused_in_words():
    surface, survey, features, _ = world(2)
    with pytest.raises(PersonaError, match="asked nobody"):
        Survey(np.zeros((CELLS, LEVELS, 2)))
    with pytest.raises(PersonaError, match="give 0 or more people"):
        Survey(survey.counts - 100)
    with pytest.raises(PersonaError, match=r"asks for \[14, 3, 2\]"):
        correct(surface, Survey(survey.counts[:, :2]), features)
    with pytest.raises(PersonaError, match="features have shape"):
        correct(surface, survey, features[:3])
    with pytest.raises(PersonaError, match="rank = 9"):
        correct(surface, survey, features, rank=9)
    with pytest.raises(PersonaError, match="weights of shape"):
        correct(surface, survey, features, weights=np.ones(3))
    with pytest.raises(PersonaError, match="nobody answered twice"):
        design_effect_of(np.array([[1.0, -1.0]]))
    scales = Scales(1.0, np.full(5, 0.2))
    terms = make_terms(surface, features, 2, np.ones(CELLS))
    counts = survey.counts[survey.asked].reshape(8, 3, 2)
    assert np.isfinite(find_mode(terms, survey.asked, counts, scales).evidence)
