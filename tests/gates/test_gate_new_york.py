"""The fitted city follows an epidemic that turns, and its forecasts hold what comes."""

import numpy as np
import pytest

import lpm
from calibration import new_york_covid as study, new_york_forecasts as ahead
from lpm.population import new_york
from scenarios import covid

pytestmark = pytest.mark.gate

KNOTS, WEEKS, ORIGIN = np.array([0.0, 15, 25, 45, 60, 84, 112]), 16, 12


def params_of(last):
    return covid.smooth.params.replace(
        knots=KNOTS,
        drift=np.ones(7),
        reproduction=np.array([1.5, 1.5, 0.6, 1.0, 0.7, last, last]),
        seeded=0.01,
    )


def weekly(params):
    run = lpm.simulate(covid.smooth, new_york(10_000), key=0, params=params, steps=7 * WEEKS)
    row = np.asarray(ahead.Expected(WEEKS)(run)).reshape(3, WEEKS, 5)
    return dict(zip(study.TARGETS, row.astype(float), strict=True))


def test_a_turn_is_followed_and_the_next_weeks_are_inside():
    truth, before = weekly(params_of(1.1)), weekly(params_of(0.7))
    data = study.Weekly(truth, study.read().start)
    city = ahead.City(params_of(0.7), data, since=ORIGIN)
    draws = city.forecast(ORIGIN)
    wanted = np.stack([truth[name][ORIGIN:] for name in study.TARGETS])
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975], axis=-1)
    # Sixty numbers without noise of their own, of one course: most are inside 95 % intervals.
    assert ((wanted >= low) & (wanted <= high)).mean() > 0.85
    miss = np.abs(np.log((middle + 1) / (wanted + 1))).mean()
    # The control has not seen the turn. Delays show only part of it by the origin, and what has not
    # been seen a random walk expects to stay as it is.
    stale = np.stack([before[name][ORIGIN:] for name in study.TARGETS])
    assert miss < 0.6 * np.abs(np.log((stale + 1) / (wanted + 1))).mean()
