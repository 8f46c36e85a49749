"""Discrepancies: chi-square laws where data are normal, and what each of them sees."""

import numpy as np
import pytest
from scipy import stats

from lpm.fitting.discrepancies import (
    ALL,
    ORDERS,
    Discrepancy,
    Places,
    Setting,
    combine,
    measure,
    scale,
    stretch,
    unscale,
)
from lpm.fitting.losses import Series
from lpm.population.seeds import generator

PERIODS, ELEMENTS = 60, 3
rng = generator(5)


def wave(t):
    return 5 + 400 * np.exp(-0.5 * ((t - 30) / 8.0) ** 2)


@pytest.fixture(scope="module")
def setting() -> Setting:
    """A wave with scatter that neighbours share, and three parameters."""
    t = np.arange(PERIODS, dtype=float)
    luck = 0.5 * np.exp(-np.abs(t[:, None] - t) / 10)
    slope = np.stack([np.ones(PERIODS), t / 30 - 1, np.cos(t / 9)])
    places = Places.of([Series("cases", np.ones(PERIODS))])
    return Setting(places, scale(wave(t)), luck + np.eye(PERIODS), slope)


def replicates(setting, count):
    """Normal misses, with parameters anywhere: what they do is projected out."""
    root = np.linalg.cholesky(setting.scatter)
    moved = 5 * rng.standard_normal((count, ELEMENTS)) @ setting.slope
    return rng.standard_normal((count, PERIODS)) @ root.T + moved


def test_the_scale_is_even_and_goes_back():
    numbers = np.array([0.0, 0.5, 3.0, 400.0, 1e6])
    assert unscale(scale(numbers)) == pytest.approx(numbers, rel=1e-9)
    counts = rng.poisson(np.array([[4.0], [9.0]]), (2, 20_000)).astype(float)
    # Roots of Poisson counts have a variance of 1/4, twice the root one of 1; near 0 a bit more.
    assert scale(counts).var(axis=1) == pytest.approx([1, 1], abs=0.3)
    up = (scale(wave(np.arange(3.0)) * 1.001) - scale(wave(np.arange(3.0)))) / np.log(1.001)
    assert stretch(wave(np.arange(3.0))) == pytest.approx(up, rel=1e-3)


def test_normal_data_give_chi_squares_whose_freedom_is_counted(setting):
    """2,000 cases, a Kolmogorov-Smirnov test: 1 in 1,000 by chance."""
    size, shape, order = measure(setting, replicates(setting, 2000))
    assert stats.kstest(size.values, stats.chi2(PERIODS - ELEMENTS).cdf).pvalue > 0.001
    assert stats.kstest(shape.values, stats.chi2(ORDERS).cdf).pvalue > 0.001
    # Unrelated but for the parameters, each of which took out one smooth course.
    assert order.values.mean() == pytest.approx(-ELEMENTS / PERIODS, abs=0.02)
    assert order.two_sided
    # Control: freedom that forgets the parameters.
    assert stats.kstest(size.values, stats.chi2(PERIODS).cdf).pvalue < 0.001


def test_p_values_of_right_data_are_uniform_alone_and_together(setting):
    alone, together = [], []
    for _ in range(200):
        found = measure(setting, replicates(setting, 200))
        alone.append([one.p_values[0] for one in found])
        together.append(combine(found))
    for column in [*np.transpose(alone), together]:
        assert stats.kstest(column, "uniform").pvalue > 0.001
    # Control: the smallest, uncorrected, is too small too often.
    assert (np.min(alone, axis=1) < 0.05).mean() > 0.1


def test_a_course_a_little_off_is_seen_by_shape_and_hardly_by_size(setting):
    """Too few before the peak and too many after it."""
    t = np.arange(PERIODS)
    bent = scale(wave(t) * np.exp(0.45 * np.tanh((t - 30) / 5.0))) - setting.centre
    p = []
    for _ in range(20):
        cases = replicates(setting, 400)
        cases[0] += bent
        p.append([one.p_values[0] for one in measure(setting, cases)])
    size, shape, _ = np.median(p, axis=0)
    assert shape < 0.01 < size


def test_neighbours_that_follow_each_other_are_seen_by_order(setting):
    cases = replicates(setting, 400)
    root = np.linalg.cholesky(setting.scatter)
    cases[0] = root @ np.where(np.arange(PERIODS) % 4 < 2, 1.0, -1.0)
    size, _, order = measure(setting, cases)
    cases[0] = root @ np.where(np.arange(PERIODS) % 2 < 1, 1.0, -1.0)
    assert measure(setting, cases)[2].p_values[0] < 0.01
    assert size.p_values[0] > 0.05
    assert order.values[0] < 0.2


def test_series_that_contradict_each_other_are_seen_together():
    """Each alone is followed by the one parameter, but not both at once."""
    both = [Series("cases", np.ones(20)), Series("ill", np.ones((20, 2)))]
    places = Places.of(both)
    assert places.label.max() == 1
    one = np.ones((1, 60))
    setting = Setting(places, scale(np.full(60, 50.0)), np.eye(60), one)
    cases = rng.standard_normal((400, 60))
    cases[0, :20] += 2.0
    found = {(d.series, d.what): d.p_values[0] for d in measure(setting, cases)}
    assert found[ALL, "size"] < 0.01
    assert found[ALL, "shape"] < 0.01
    assert found["cases", "size"] > 0.01
    assert (ALL, "order") not in found


def test_ties_count_as_at_least_as_far():
    same = Discrepancy("cases", "size", np.ones(10))
    assert (same.p_values == 1).all()
    assert combine([same]) == 1
