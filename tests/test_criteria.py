"""The misfit of a mean run, its noise told by fewer runs than there are data."""

import jax
import numpy as np
import pytest

from lpm.fitting.chance import generator_for
from lpm.fitting.criteria import Synthetic, joint_noise, shrunk_covariance

DATA, RUNS, WORLDS = 60, 40, 2


def luck(number):
    return generator_for(jax.random.key_data(jax.random.key(number))[None], "criteria")


def noise_between_runs():
    """A smooth mode that all share, and luck of each datum: [datum, datum]."""
    bend = np.sin(np.arange(DATA) / 9)
    return 1.5 * np.eye(DATA) + 8 * np.outer(bend, bend)


def slopes():
    at = np.arange(DATA) / DATA
    return 10 * np.stack([np.ones(DATA), at, np.sin(6 * at)], axis=1)


def outputs_at_0(residuals):
    return np.concatenate([np.zeros((len(residuals), 1)), residuals], axis=1)


def draw(rng, count):
    return rng.standard_normal((count, DATA)) @ np.linalg.cholesky(noise_between_runs()).T


def test_correlations_shrink_by_their_own_noise():
    """Against the sums of Schäfer & Strimmer (2005), pair by pair."""
    runs = draw(luck(1), 12)[:, :6]
    found = shrunk_covariance(runs)
    sd = np.sqrt((runs**2).mean(axis=0))
    unit, noise, signal = runs / sd, 0.0, 0.0
    for i in range(6):
        for j in range(6):
            if i != j:
                products = unit[:, i] * unit[:, j]
                noise += products.var(ddof=1) / len(products)
                signal += products.mean() ** 2
    share = noise / signal
    assert 0 < share < 1
    plain = runs.T @ runs / len(runs)
    apart = ~np.eye(6, dtype=bool)
    np.testing.assert_allclose(found[apart], (1 - share) * plain[apart], rtol=1e-9)
    np.testing.assert_allclose(np.diag(found), np.diag(plain), rtol=1e-9)


def test_a_datum_that_never_varies_has_no_variance():
    runs = draw(luck(2), 8)
    runs[:, 3] = 0
    found = shrunk_covariance(runs)
    assert np.isfinite(found).all()
    assert not found[3].any()


def measured(criterion):
    """Mean chi-square over data of a right model; said and true errors of its fit."""
    truth = noise_between_runs() * (1 + 1 / RUNS) + np.eye(DATA)
    weight = criterion.root.T @ criterion.root
    slope = slopes()
    whole = np.linalg.inv(slope.T @ weight @ slope)
    gain = whole @ slope.T @ weight
    here = outputs_at_0(np.zeros((WORLDS, DATA)))
    scatter = criterion.scatter(here, np.repeat(slope[None], WORLDS, axis=0))
    said = whole + whole @ scatter @ whole * (1 + 1 / criterion.told_by(here))
    chi = np.trace((weight - weight @ slope @ gain) @ truth) / (DATA - 3)
    return chi, np.sqrt(np.diag(said) / np.diag(gain @ truth @ gain.T))


def test_few_runs_give_honest_chi_squares_and_errors():
    found = []
    for number in range(20):
        here = outputs_at_0(draw(luck(100 + number), WORLDS))
        found.append(measured(joint_noise(draw(luck(number), RUNS), here)))
    chi, ratio = np.array([x[0] for x in found]), np.mean([x[1] for x in found], axis=0)
    # Within a fifth: a variance from 40 runs is known to sqrt(2 / 40), 22 %, and 20 are averaged.
    assert chi.mean() == pytest.approx(1, abs=0.2)
    assert (ratio > 0.95).all()
    assert (ratio < 1.35).all()


def test_an_unshrunk_covariance_is_caught():
    """Control: so few runs leave directions without variance."""
    chis, ratios = [], []
    for number in range(20):
        values, vectors = np.linalg.eigh(np.cov(draw(luck(number), RUNS), rowvar=False))
        scale = np.sqrt(1 + np.maximum(values, 0) * (1 + 1 / RUNS))
        chi, ratio = measured(Synthetic((vectors / scale) @ vectors.T))
        chis.append(chi)
        ratios.append(ratio)
    assert np.mean(chis) > 1.3
    assert np.mean(ratios, axis=0).min() < 0.9


def test_the_mean_is_that_of_the_many_runs():
    runs, worlds = draw(luck(3), RUNS) + 2.0, draw(luck(4), WORLDS)
    criterion = joint_noise(runs, outputs_at_0(worlds))
    wanted = 0.5 * ((criterion.root @ runs.mean(axis=0)) ** 2).sum()
    assert criterion.values(outputs_at_0(worlds)[None])[0] == pytest.approx(wanted, rel=1e-9)
    assert criterion.told_by(outputs_at_0(worlds)) == RUNS
    # Fewer runs than worlds tell the noise, but not the mean.
    few = joint_noise(runs[:5], outputs_at_0(draw(luck(5), 8)))
    assert few.shift is None
    assert few.told_by(outputs_at_0(draw(luck(5), 8))) == 8
