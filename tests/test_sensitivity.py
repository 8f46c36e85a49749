"""Elasticities and Sobol indices against closed forms; estimators that hide luck must disagree."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from SALib.analyze import sobol as salib
from scipy import stats

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import FittingError, SimulationError
from lpm.fitting import elasticities, sobol, sobol_design
from lpm.fitting.seam import PerRun
from lpm.fitting.sobol_indices import RowSums
from lpm.population.seeds import generator

PI = float(np.pi)
PEOPLE = lpm.Population.toy(16)
COINS = np.array([0.0, 1.0, 4.5, 9.0, 99.0])


class Params(lpm.Params):
    """Three arguments of a function, the noise on it, and the coefficients of another."""

    x: Scalar = lpm.parameter(0.5, within=(-PI, PI))
    y: Scalar = lpm.parameter(0.5, within=(-PI, PI))
    z: Scalar = lpm.parameter(0.5, within=(-PI, PI))
    noise: Scalar = lpm.constant(0.0)
    g: Float[Array, " factor"] = lpm.parameter(np.full(len(COINS), 0.5), within=(0, 1))
    scale: Scalar = lpm.parameter(2.0, within=(0, None))


class State(lpm.State):
    luck: Float[Array, " agent"] = lpm.variable()


def init(population, params, draw):
    return State.of(population, luck=0)


def toss(state, params, draw):
    return state.replace(luck=draw.normal("agent"))


def ishigami(params):
    return jnp.sin(params.x) + 7 * jnp.sin(params.y) ** 2 + 0.1 * params.z**4 * jnp.sin(params.x)


def observe(state, params):
    standard = jnp.mean(state.luck) * jnp.sqrt(16.0)
    factors = (jnp.abs(4 * params.g - 2) + COINS) / (1 + COINS)
    return {
        "ishigami": ishigami(params) + params.noise * params.z * standard,
        "g": jnp.prod(factors),
        "power": params.scale**3 * jnp.exp(0.5 * params.x) * (1 + 0.1 * standard),
        "signed": params.scale * params.x + 0.1 * standard,
    }


scenario = lpm.Scenario(init, (toss,), observe, Params(), steps=1)

# Variances of the Ishigami function (1990) and its parts, for a = 7, b = 0.1.
PART = {
    "x": 0.5 * (1 + 0.1 * PI**4 / 5) ** 2,
    "y": 49 / 8,
    "z": 0.0,
    "xz": 0.01 * PI**8 * (1 / 18 - 1 / 50),
}
WHOLE = sum(PART.values())
FIRST = np.array([PART["x"], PART["y"], 0.0])
TOTAL = np.array([PART["x"] + PART["xz"], PART["y"], PART["xz"]])
XYZ = ("x", "y", "z")


def test_indices_of_the_ishigami_function_are_those_of_its_closed_form():
    found = sobol(scenario, PEOPLE, "ishigami", keys=[0, 1], fields=XYZ, budget=20_480)
    assert found.runs == 20_480
    rows = found.table.head(3)
    # 2048 rows; the classic estimators err by about two per cent at this size.
    assert rows["first"].to_numpy() == pytest.approx(FIRST / WHOLE, abs=0.05)
    assert rows["total"].to_numpy() == pytest.approx(TOTAL / WHOLE, abs=0.05)
    inside = (rows["total_low"] < TOTAL / WHOLE) & (rows["total_high"] > TOTAL / WHOLE)
    assert inside.all()
    assert found.table["first"][3] == pytest.approx(1)
    assert found.table["first"][4] == 0
    assert found.expected["total"].to_list() == rows["total"].to_list()
    # Without luck they are close to the estimators of SALib, written by others.
    values = found.values[:, :, 0, 0]
    theirs = salib.analyze(
        {"num_vars": 3, "names": list(XYZ), "bounds": [[0, 1]] * 3},
        values.ravel(),
        calc_second_order=False,
        seed=1,
    )
    assert rows["first"].to_numpy() == pytest.approx(theirs["S1"], abs=0.01)
    assert rows["total"].to_numpy() == pytest.approx(theirs["ST"], abs=0.01)


def test_indices_of_a_product_are_those_of_its_closed_form():
    found = sobol(scenario, PEOPLE, "g", keys=[0, 1], fields="g", budget=28_672)
    parts = 1 / (3 * (1 + COINS) ** 2)  # Of the g-function, Saltelli & Sobol (1995).
    whole = np.prod(1 + parts) - 1
    total = parts * np.prod(1 + parts) / (1 + parts)
    rows = found.table.head(5)
    assert rows["source"].to_list() == [f"g[{i}]" for i in range(5)]
    assert rows["first"].to_numpy() == pytest.approx(parts / whole, abs=0.06)
    assert rows["total"].to_numpy() == pytest.approx(total / whole, abs=0.06)


@pytest.fixture(scope="module")
def noisy():
    """The Ishigami function with luck whose spread is proportional to z."""
    loud = Params(noise=2.0)
    return sobol(scenario, PEOPLE, "ishigami", keys=[0, 1], fields=XYZ, budget=40_960, params=loud)


def test_luck_has_its_own_row_and_enters_no_index(noisy):
    luck = 4 * PI**2 / 3  # Expected square of 2 z.
    whole = WHOLE + luck
    row = noisy.table.row(4, named=True)
    assert row["source"] == "luck"
    assert row["first"] == pytest.approx(luck / whole, abs=0.04)
    assert row["first_low"] < luck / whole < row["first_high"]
    together = noisy.table.row(3, named=True)
    assert together["first"] + row["first"] == pytest.approx(1)
    rows = noisy.table.head(3)
    assert rows["first"].to_numpy() == pytest.approx(FIRST / whole, abs=0.05)
    assert rows["total"].to_numpy() == pytest.approx(TOTAL / whole, abs=0.05)
    assert noisy.expected["total"].to_numpy() == pytest.approx(TOTAL / WHOLE, abs=0.1)


def test_one_run_a_point_hides_luck_in_every_total_effect(noisy):
    """Negative control: the usual estimator, with one key for each row and with one for each point.

    The luck of the latter is as large on average, and unlike at every point.
    """
    luck = 4 * PI**2 / 3
    problem = {"num_vars": 3, "names": list(XYZ), "bounds": [[0, 1]] * 3}
    values = noisy.values[:, :, 0, 0]
    shared = salib.analyze(problem, values.ravel(), calc_second_order=False, seed=1)
    fresh = generator(0).standard_normal(values.shape) * np.sqrt(luck)
    quiet = sobol(scenario, PEOPLE, "ishigami", keys=[0, 1], fields=XYZ, budget=40_960)
    apart = salib.analyze(
        problem, (quiet.values[:, :, 0, 0] + fresh).ravel(), calc_second_order=False, seed=1
    )
    whole = WHOLE + luck
    assert apart["ST"][1] == pytest.approx((TOTAL[1] + luck) / whole, abs=0.05)
    assert apart["ST"][1] > noisy.table["total_high"][1] + 0.2
    # With a shared key it is z that takes what luck does more where z is large.
    assert shared["ST"][2] > noisy.table["total_high"][2] + 0.1
    assert shared["ST"][1] == pytest.approx(TOTAL[1] / whole, abs=0.05)


def test_shared_keys_keep_indices_precise_where_luck_is_nearly_all():
    rows, rng = 512, generator(1)
    levels = sobol_design.draw_design(rows, 3, generator(2))
    x, y, z = np.moveaxis((2 * levels - 1) * PI, 2, 0)
    function = np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)
    luck = 5 * np.sqrt(WHOLE) * rng.standard_normal((rows, 1, 2))
    sums = RowSums.of(function[:, :, None] + luck)
    # Errors of 0.03 over repetitions; formulas without differences err by more than 1 here.
    assert sums.expected.mean() / WHOLE == pytest.approx(1, abs=0.12)
    assert sums.first.mean(axis=0) / WHOLE == pytest.approx(FIRST / WHOLE, abs=0.12)
    assert sums.luck.mean() / WHOLE == pytest.approx(25, rel=0.25)


def test_an_interrupted_design_goes_on_where_it_was(tmp_path, monkeypatch):
    asked = {"keys": [0, 1], "fields": XYZ, "budget": 640}
    whole = sobol(scenario, PEOPLE, "ishigami", **asked)
    real, calls = sobol_design._run, []

    def stop(*args):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(sobol_design, "_run", stop)
    with pytest.raises(KeyboardInterrupt):
        sobol(scenario, PEOPLE, "ishigami", **asked, out=tmp_path / "a")
    calls.clear()
    monkeypatch.setattr(sobol_design, "_run", lambda *args: calls.append(1) or real(*args))
    again = sobol(scenario, PEOPLE, "ishigami", **asked, out=tmp_path / "a")
    assert len(calls) == 11
    assert again.table.equals(whole.table)
    assert pl.read_csv(tmp_path / "a" / "sobol.csv").height == 5
    with pytest.raises(FittingError, match="holds another fit: its rows is 64"):
        sobol(scenario, PEOPLE, "ishigami", **asked | {"budget": 400}, out=tmp_path / "a")


def test_several_outcomes_share_their_runs_and_a_missing_prior_is_told():
    found = sobol(
        scenario,
        PEOPLE,
        {"a": lambda run: run.observed["power"][-1], "b": lambda run: run.observed["signed"]},
        keys=[0, 1],
        fields=("x", "scale"),
        budget=512,
    )
    assert found.table["outcome"].to_list() == ["a"] * 4 + ["b"] * 4
    assert found.values.shape == (64, 4, 2, 2)
    assert "scale: no prior and an open side" in str(found)
    assert "give a larger budget" in str(found)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"keys": [0]}, "one key cannot tell luck"),
        ({"budget": 100}, "need at least 320"),
        ({"level": 1.5}, "give a level between 0 and 1"),
        ({"outcome": {}}, "there is no outcome"),
        ({"outcome": "tide"}, "outcome 'tide': trajectory has no observable"),
        ({"outcome": {"c": lambda run: run.observed["g"][-1]}}, "'c' is the same in all 320 runs"),
        (
            {"outcome": {"c": lambda run: 1 / (run.observed["g"][-1] * 0)}},
            "the loss is not finite in a run with x = ",
        ),
    ],
)
def test_a_request_that_says_nothing_is_refused(change, match):
    asked = {"outcome": "ishigami", "keys": [0, 1], "fields": XYZ, "budget": 320} | change
    with pytest.raises(FittingError, match=match):
        sobol(scenario, PEOPLE, asked.pop("outcome"), **asked)


def test_without_salib_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "SALib.sample", None)
    with pytest.raises(FittingError, match=r"sobol needs SALib: pip install 'lpm\[sa\]'"):
        sobol(scenario, PEOPLE, "ishigami", keys=[0, 1], fields=XYZ, budget=320)


def test_a_variable_out_of_bounds_is_told_with_its_point():
    class Bounded(lpm.State):
        level: Float[Array, " agent"] = lpm.variable(within=(0, 3))

    def begin(population, params, draw):
        return Bounded.of(population, level=1)

    def lift(state, params, draw):
        return state.replace(level=state.level + params.x)

    def see(state, params):
        return {"level": jnp.mean(state.level)}

    steep = lpm.Scenario(begin, (lift,), see, Params(), steps=1)
    with pytest.raises(SimulationError, match=r"State.level left its bounds.*with x = "):
        sobol(steep, PEOPLE, "level", keys=[0, 1], fields="x", budget=256)


KEYS = jax.random.split(jax.random.key(0), 32)


def test_elasticities_of_a_power_are_its_exponents():
    found = elasticities(scenario, PEOPLE, "power", keys=KEYS, fields=("scale", "x"))
    rows = {row["field"]: row for row in found.table.to_dicts()}
    assert rows["scale"]["measure"] == "d log y / d log x"
    assert rows["x"]["measure"] == "d log y / d x"  # It may be negative.
    # Luck multiplies the outcome and cancels; what is left is the bias of differences and rounding.
    assert rows["scale"]["estimate"] == pytest.approx(3, rel=0.01)
    assert rows["x"]["estimate"] == pytest.approx(0.5, rel=0.02)
    for row in rows.values():
        assert row["standard_error"] < 1e-3
        wanted = 3 if row["field"] == "scale" else 0.5
        assert row["estimate"] - row["bias"] == pytest.approx(wanted, rel=2e-3)
    assert found.runs == 9 * 32


def test_an_outcome_that_may_be_negative_keeps_its_unit():
    found = elasticities(
        scenario,
        PEOPLE,
        ["signed", "power"],
        keys=KEYS,
        fields=("scale", "x"),
        params=Params(x=0.0),
    )
    rows = {(row["outcome"], row["field"]): row for row in found.table.to_dicts()}
    assert rows["signed", "scale"]["measure"] == "d y / d log x"
    assert rows["signed", "x"]["measure"] == "d y / d x"
    assert rows["signed", "x"]["estimate"] == pytest.approx(2, rel=0.01)
    assert rows["power", "scale"]["measure"] == "d log y / d log x"
    assert found.runs == 9 * 32  # For both outcomes together.
    assert "signed by x, d y / d x: 2" in str(found)


def test_the_error_is_that_of_a_ratio_of_means():
    def risky(run):
        """Luck hits slope and level unlike: mean 1 + s, slope by scale 1 / 2 each."""
        return run.observed["signed"][-1] ** 2

    found = elasticities(scenario, PEOPLE, {"risky": risky}, keys=KEYS, fields="scale")
    row = found.table.row(0, named=True)
    luck = np.array(
        [float(lpm.simulate(scenario, PEOPLE, key=k).observed["signed"][-1]) for k in KEYS]
    )
    value, slope = luck**2, 2 * luck * 0.5 * 2
    truth = slope.mean() / value.mean()
    leave = [np.delete(slope, i).mean() / np.delete(value, i).mean() for i in range(32)]
    error = np.sqrt(31 / 32 * ((leave - np.mean(leave)) ** 2).sum())  # Jackknife.
    assert row["estimate"] == pytest.approx(truth, rel=0.01)
    assert row["standard_error"] == pytest.approx(error, rel=0.1)
    reach = stats.t.ppf(0.975, 31) * row["standard_error"]
    assert row["high"] - row["estimate"] == pytest.approx(reach)


class Coin(lpm.Params):
    rate: Scalar = lpm.parameter(0.3, within=(0, 1))
    weights: Float[Array, " week"] = lpm.parameter(np.ones(11), within=(0, None))


class Well(lpm.State):
    ill: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def start(population, params, draw):
    return Well.of(population, ill=0)


def fall(state, params, draw):
    return state.replace(ill=draw.bernoulli(jnp.ones_like(state.ill) * params.rate))


def both(state, params):
    """Whether more than half fell: a step function of a mean, through which no tangent passes."""
    share = jnp.mean(state.ill)
    return {"share": share, "most": jnp.round(share + 0.2), "sum": share * jnp.sum(params.weights)}


tossed = lpm.Scenario(start, (fall,), both, Coin(), steps=1)


def test_the_bias_of_an_estimator_is_measured_against_differences():
    town = lpm.Population.toy(200)
    right = elasticities(
        tossed, town, "share", keys=KEYS, estimator="straight_through", fields="rate"
    ).table.row(0, named=True)
    assert right["estimate"] == pytest.approx(1, abs=4 * right["standard_error"])
    assert abs(right["bias"]) < 4 * right["bias_standard_error"] + 0.02
    wrong = elasticities(
        tossed, town, "most", keys=KEYS, estimator="straight_through", fields="rate"
    ).table.row(0, named=True)
    assert wrong["estimate"] == 0
    assert wrong["bias"] < -3 * wrong["bias_standard_error"]


def test_the_bias_is_unknown_where_differences_would_cost_too_much():
    town = lpm.Population.toy(64)
    found = elasticities(tossed, town, "sum", keys=KEYS[:4], estimator="straight_through")
    assert found.table["bias"].is_null().all()
    assert "The bias of straight_through is not known" in str(found)
    assert found.table.height == 12
    assert found.table["estimate"][5] == pytest.approx(1 / 11, rel=1e-3)
    assert "<table" in found._repr_html_()


def test_a_gradient_that_is_not_finite_is_named():
    def torn(scenario, population, loss, keys, params, fields, steps, every):
        return PerRun({"rate": np.array([1.0, np.nan])}, np.ones(2), 1.0)

    with pytest.raises(FittingError, match=r"the gradient of 'share' by rate is not finite.*run 1"):
        elasticities(
            tossed, lpm.Population.toy(64), "share", keys=[0, 1], estimator=torn, fields="rate"
        )
