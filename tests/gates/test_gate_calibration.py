"""calibrate: standard errors are those of repeated data."""

import numpy as np
import pytest

import lpm
from lpm.fitting import NegativeBinomial, Series, calibrate
from tests.plain import decay

pytestmark = pytest.mark.gate


def observe(state, params):
    return {"well": lpm.count(state.well)}


counted = decay.replace(observe=observe, steps=12)


def test_errors_of_the_fit_are_those_of_repeated_data():
    town, estimates, errors = lpm.Population.toy(2000), [], []
    for seed in range(24):
        run = lpm.simulate(counted, town, key=1000 + seed)
        data = Series("well", np.asarray(run.observed["well"], float), noise=NegativeBinomial(1e4))
        fit = calibrate(counted, town, data, keys=range(4), budget=150, starts=1)
        estimates.append(fit.table["estimate"][0])
        errors.append(fit.table["standard_error"][0])
    z = (np.array(estimates) - 0.1) / np.array(errors)
    # Runs of the fit are shared, so that all are off together by a fifth of their variance.
    assert np.abs(z.mean()) < 3 * np.sqrt(1 / 24 + 1 / 5)
    # The spread that is not shared is sqrt(4/5), known to one part in sqrt(2 * 23); within three.
    assert 0.49 < z.std(ddof=1) < 1.3
