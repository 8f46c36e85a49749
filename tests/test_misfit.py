"""check_fit: silent where the model is right, and loud where it is not."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import kstest

import lpm
from lpm import Float, Scalar
from lpm.axes import Array
from lpm.errors import FittingError
from lpm.fitting.losses import Series, together
from lpm.fitting.misfit import check_fit
from lpm.fitting.noise import LogNormal, NegativeBinomial
from lpm.fitting.posterior import posterior


class Params(lpm.Params):
    level: Scalar = lpm.parameter(100.0, within=(20, 400))
    slope: Scalar = lpm.parameter(0.0, within=(-0.3, 0.3))
    bend: Scalar = lpm.constant(0.0)


class State(lpm.State):
    height: Float[Array, " agent"]
    walk: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, height=0, walk=0)


def grow(state, params, draw):
    """Log-cases on a line, plus a random walk: luck that neighbours share."""
    walk = state.walk + 0.05 * draw.normal("agent")
    t = state.t + 1.0 - 6.0
    return state.replace(walk=walk, height=params.slope * t + params.bend * t**2 + walk)


def observe(state, params):
    return {"cases": params.level * jnp.exp(jnp.sum(state.height))}


line = lpm.Scenario(init, (grow,), observe, Params(), steps=12)
bent = line.params.replace(bend=-0.06)
blank = Series("cases", np.ones(12), NegativeBinomial(50.0))


@pytest.fixture(scope="module")
def one() -> lpm.Population:
    return lpm.Population.toy(1)


def data(one, params, number):
    run = lpm.simulate(line, one, key=1000 + number, params=params, progress=False)
    return blank.simulate(run, jax.random.key(number))


def fitted(one, series, number):
    return posterior(line, one, series, keys=[number, number + 1], method="ensemble", budget=120)


@pytest.mark.gate
def test_p_values_are_uniform_under_the_right_model(one):
    """20 fits of data with level and slope drawn about their defaults; 1 in 1,000 by chance."""
    found = []
    for number in range(20):
        slope = 0.1 * np.sin(number)
        series = data(one, line.params.replace(slope=slope), number)
        found.append(check_fit(line, one, series, fitted(one, series, number), keys=[1, 2]))
    for row in range(3):
        assert kstest([one.table["p_value"][row] for one in found], "uniform").pvalue > 0.001
    assert kstest([one.p_value for one in found], "uniform").pvalue > 0.001
    # Binomial, 20 times 5 %: more than 5 once in 3,000.
    assert sum(one.rings for one in found) <= 5


@pytest.mark.gate
def test_a_curve_bent_the_wrong_way_rings(one):
    series = data(one, bent, 3)
    found = check_fit(line, one, series, fitted(one, series, 3), keys=[1, 2])
    assert found.rings
    assert found.p_values["cases"] == found.p_value < 0.02
    assert "the course of cases is off: data are" in found.sentence
    # A parabola below its straight line at both ends.
    off = dict(found.phases.select("phase", "off").iter_rows())
    assert off["in the middle"] > 0 > off["at first"]
    assert str(found).startswith("RINGS (p = ")
    assert "after 400 runs" in str(found)
    assert "<table>" in found._repr_html_()
    frame = found.residuals
    assert frame["observed"].to_list() == series.target.tolist()
    assert (frame["low"] < frame["expected"]).all()
    assert (frame["expected"] < frame["high"]).all()


def test_params_will_do_and_each_series_has_its_own_p_value(one):
    good, bad = data(one, line.params, 5), data(one, line.params, 6)
    bad = Series("cases", np.where(np.arange(12) == 4, 900.0, bad.target), LogNormal(0.2))
    found = check_fit(line, one, together(good, bad), line.params, keys=[1, 2])
    assert found.table.height == 8
    assert found.rings
    assert found.table["series"].to_list()[-2:] == ["all series", "all series"]
    quiet = check_fit(line, one, good, line.params, keys=[1, 2])
    assert not quiet.rings
    assert quiet.sentence == "The data look like data of this model."
    assert str(quiet).startswith("Silent (p = ")


def test_a_calibration_is_checked_with_its_own_errors(one):
    fit = lpm.calibrate(line, one, data(one, line.params, 8), keys=[0, 1, 2, 3], budget=400)
    assert not check_fit(line, one, data(one, line.params, 8), fit, keys=[1, 2]).rings
    fit = lpm.calibrate(line, one, data(one, bent, 8), keys=[0, 1, 2, 3], budget=400)
    assert check_fit(line, one, data(one, bent, 8), fit, keys=[1, 2]).rings
    with pytest.raises(FittingError, match="no standard errors"):
        check_fit(line, one, blank, replace(fit, curvature=None), keys=[1, 2])


class Told(lpm.Params):
    level: Scalar = lpm.parameter(100.0, within=(20, 400), prior=dist.LogNormal(np.log(100), 0.1))
    slope: Scalar = lpm.parameter(0.0, within=(-0.3, 0.3))
    bend: Scalar = lpm.constant(0.0)


@pytest.mark.gate
def test_a_parameter_far_from_what_is_known_of_it_rings(one):
    known = line.replace(params=Told())
    for level, rings in ((100.0, False), (250.0, True)):
        series = data(one, line.params.replace(level=level), 11)
        fit = posterior(known, one, series, keys=[3, 4], method="ensemble", budget=150)
        found = check_fit(known, one, series, fit, keys=[1, 2])
        assert found.rings == rings
        assert found.table.filter(found.table["what"] == "prior")["series"].to_list() == ["level"]
    assert "level lies" in found.sentence
    assert "standard deviations from its prior" in found.sentence


def test_what_cannot_be_checked_is_refused(one):
    with pytest.raises(FittingError, match="at least 100"):
        check_fit(line, one, blank, line.params, keys=[1, 2], runs=50)
    weighed = Series("cases", np.ones(12), weight=2.0)
    with pytest.raises(FittingError, match="no weight"):
        check_fit(line, one, weighed, line.params, keys=[1, 2])
