"""Measles in London: the particle filter meets the published log-likelihood."""

import os
from pathlib import Path

import numpy as np
import pytest

from calibration.measles_london import PUBLISHED, filters, load
from lpm.errors import DataError

pytestmark = pytest.mark.gate
FOLDER = os.environ.get("LPM_DATA") or str(Path(__file__).parents[3] / "shared" / "data")


def test_missing_files_are_asked_for_by_name(tmp_path):
    with pytest.raises(DataError, match=r"needs measles_uk_prevaccine/cases_by_town.csv"):
        load(str(tmp_path))


def test_the_filter_meets_the_published_likelihood_of_london():
    try:
        params, reports = load(FOLDER)
    except DataError as error:
        pytest.skip(str(error))
    assert reports.target.shape == (730,)
    assert params.entry.sum() == 14
    found = filters(params, reports, 1500, range(2))
    # A filter of 4000 particles scatters by 1.4, one of 1500 by more, and lies low by half its
    # variance.
    assert found["log_likelihood"] == pytest.approx(PUBLISHED, abs=6)
    # Schools that hardly close explain the weeks worse, by far more than that.
    dull = params.replace(amplitude=np.float32(0.1))
    assert filters(dull, reports, 1500, range(1))["log_likelihood"] < PUBLISHED - 30
