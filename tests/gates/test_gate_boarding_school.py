"""The boarding-school study: least squares as a solver of the equations has them."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, optimize

from calibration import boarding_school as school

pytestmark = pytest.mark.gate
DATA = Path(os.environ.get("LPM_DATA", "../shared/data"))

# An epidemic of the same shape as the school's, made by other code, so that no data are needed.
TRUE = (1.8, 0.45, 3.0)


def equations(transmission, recovery, first, days=14):
    def slopes(_, y):
        new = transmission * y[0] * y[1] / school.BOYS
        return [-new, new - recovery * y[1]]

    start = [school.BOYS - first, first]
    found = integrate.solve_ivp(slopes, (0, days - 1), start, t_eval=np.arange(days), rtol=1e-8)
    return found.y[1]


def by_other_code(counts):
    """Scipy's solver and scipy's least squares."""
    return optimize.least_squares(lambda p: equations(*p)[1:] - counts[1:], x0=[1.5, 0.4, 2.0]).x


def test_least_squares_agree_with_a_solver_of_the_equations():
    counts = np.round(equations(*TRUE))
    fit = school.least_squares(counts)
    truth = by_other_code(counts)
    # 49,000 boys leave luck of some two per cent in when the epidemic starts.
    assert fit.table["estimate"].to_numpy()[:2] == pytest.approx(truth[:2], rel=0.03)


def test_the_published_counts_give_the_known_answer():
    path = DATA / "outbreaks_classic" / "influenza_england_1978_school.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there; LPM_DATA names the folder that holds outbreaks_classic")
    fit = school.least_squares(school.read(path))
    assert fit.table["estimate"].to_numpy()[:2] == pytest.approx([1.79, 0.456], rel=0.03)
