"""calibrate: closed-form fits, honest errors, what trades off, and a journal to resume from."""

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import FittingError, ScenarioError
from lpm.fitting import LogNormal, NegativeBinomial, Series, calibrate


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.1, within=(0, 1))
    times: Scalar = lpm.parameter(1.0, within=(0, None))
    weekly: Float[Array, " week"] = lpm.parameter(np.zeros(12), within=(None, None))
    known: Scalar = lpm.constant(1.0)


class State(lpm.State):
    well: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    level: Float[Array, " agent"] = lpm.variable()


def init(population, params, draw):
    return State.of(population, well=1, level=0)


def fall(state, params, draw):
    """A constant hazard: what falls in step t has mean n rate times (1 - rate times)**t."""
    chance = jnp.minimum(params.rate * params.times, 1)
    return state.replace(well=state.well - draw.bernoulli(state.well * chance))


def climb(state, params, draw):
    return state.replace(level=state.level + params.weekly[state.t])


def observe(state, params):
    return {"well": lpm.count(state.well), "level": jnp.mean(state.level)}


def fallen_of(run, size):
    well = run.observed["well"]
    return -jnp.diff(jnp.concatenate([jnp.array([float(size)]), jnp.asarray(well, float)]))


decay = lpm.Scenario(init, (fall,), observe, Params(), steps=12, unit="day")
climbing = decay.replace(processes=(climb,))
TOWN = lpm.Population.toy(2000)
DATA = np.array([300.0, 270, 230, 190, 165, 140, 118, 100, 84, 72, 60, 50])
# Of all who fell: each waits a geometric time, cut after twelve days.
FELL = Series("well", 2000 - np.cumsum(DATA), noise=NegativeBinomial(1e4))


@pytest.fixture(scope="module")
def fitted():
    return calibrate(decay, TOWN, FELL, keys=range(8), fields="rate", budget=400)


def test_one_rate_agrees_with_the_likelihood_of_waiting_times(fitted):
    # The maximum of n log p + sum over days of survivors log(1 - p), by other means.
    survived = 2000 - np.cumsum(DATA)
    exposed = np.concatenate([[2000], survived[:-1]]).sum()
    truth = DATA.sum() / exposed
    error = np.sqrt(truth * (1 - truth) / exposed)
    found = fitted.table.row(0, named=True)
    # Stocks in place of waiting times lose some precision, and eight runs add their luck.
    assert found["estimate"] == pytest.approx(truth, abs=3 * error * np.sqrt(1 + 1 / 8))
    assert 0.8 * error < found["standard_error"] < 2 * error
    assert found["low"] < truth < found["high"]
    assert fitted.finished
    assert fitted.runs <= 400
    assert fitted.estimator == "crn"
    assert 0.001 < fitted.p_value < 1


def test_what_only_enters_as_a_product_is_said_to_trade_off():
    fit = calibrate(decay, TOWN, FELL, keys=range(4), fields=("rate", "times"), budget=600)
    said = " ".join(fit.trade_offs)
    assert "trade off" in said or "hardly tell" in said
    values = fit.curvature.eigenvalues
    assert values[1] < 0.05 * values[0]
    product = np.prod(fit.table["estimate"].to_numpy())
    assert product == pytest.approx(0.162, rel=0.1)


def test_a_profile_rises_as_the_likelihood_does(fitted):
    profile = fitted.profile("rate", points=5, width=2)
    sd = fitted.table["standard_error"][0]
    rise, at = profile["rise"].to_numpy(), profile["rate"].to_numpy()
    assert rise[2] == rise.min() == 0
    # Half a squared number of standard errors, on a scale on which it is nearly a parabola.
    wanted = 0.5 * ((at - at[2]) / sd) ** 2
    assert rise == pytest.approx(wanted, rel=0.4, abs=0.3)
    with pytest.raises(FittingError, match=r"has no element .wrong"):
        fitted.profile("wrong")


def test_residuals_stand_beside_the_data(fitted):
    table = fitted.residuals()
    assert table["observed"].to_list() == FELL.target.tolist()
    assert table["residual"].abs().max() < 4
    assert (table["low"] <= table["expected"]).all()
    assert table.columns[:3] == ["series", "period", "class"]


def test_residuals_of_another_fit_to_the_same_people_are_its_own(fitted):
    other = Series("well", FELL.target + 50, noise=NegativeBinomial(1e4))
    fit = calibrate(decay, TOWN, other, keys=range(8), fields="rate", budget=60)
    assert fitted.residuals()["observed"].to_list() == FELL.target.tolist()
    table = fit.residuals()
    assert table["observed"].to_list() == other.target.tolist()
    assert table["expected"].to_list() != fitted.residuals()["expected"].to_list()


def square(run):
    """Lowest where the level is 1, 2, ..., 12, that is, where every week adds 1."""
    return jnp.sum((run.observed["level"] - jnp.arange(1.0, 13)) ** 2)


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_a_smooth_loss_is_lowered_to_its_minimum(optimiser):
    fit = calibrate(
        climbing,
        TOWN,
        square,
        keys=[0, 1],
        fields="weekly",
        budget=1000,
        optimiser=optimiser,
        estimator="straight_through",
        starts=1,
        rate=0.3,
    )
    assert fit.loss < 0.05
    assert fit.loss < 1e-3 * fit.start_loss
    assert fit.table["estimate"].to_numpy() == pytest.approx(np.ones(12), abs=0.2)


def test_many_elements_take_a_gradient_that_passes_its_check():
    fit = calibrate(climbing, TOWN, square, keys=[0, 1], fields="weekly", budget=500, starts=1)
    assert fit.estimator == "straight_through"
    assert any("straight_through passes" in note for note in fit.notes)


def opposed(run):
    """A loss whose gradient in reverse points up: what a wrong estimator looks like."""
    level = run.observed["level"]
    return jnp.sum((2 * jax.lax.stop_gradient(level) - level - jnp.arange(1.0, 13)) ** 2)


def test_a_wrong_gradient_is_refused_and_replaced():
    ask = {"keys": [0, 1], "fields": "weekly", "budget": 500, "starts": 1}
    with pytest.raises(FittingError, match="straight_through fails against crn: ratio -1"):
        calibrate(climbing, TOWN, opposed, estimator="straight_through", **ask)
    fit = calibrate(climbing, TOWN, opposed, **ask)
    assert fit.estimator == "crn, random directions"
    assert fit.loss < fit.start_loss


def test_without_a_gradient_the_ensemble_finds_the_rate():
    fit = calibrate(decay, TOWN, FELL, keys=[0, 1], fields="rate", budget=500, optimiser="kalman")
    assert fit.estimator == "ensemble Kalman inversion"
    assert fit.table["estimate"][0] == pytest.approx(0.162, rel=0.06)


def test_an_interrupted_fit_goes_on_where_it_stopped(tmp_path):
    ask = {"keys": range(2), "fields": "rate", "budget": 120}
    whole = calibrate(decay, TOWN, FELL, out=tmp_path / "fit", **ask)
    entries = sorted((tmp_path / "fit" / "journal").iterdir())
    for entry in entries[len(entries) // 2 :]:
        entry.unlink()
    again = calibrate(decay, TOWN, FELL, out=tmp_path / "fit", **ask)
    assert again.history.equals(whole.history)
    assert again.table.equals(whole.table)
    assert (tmp_path / "fit" / "result.json").exists()
    assert pl.read_csv(tmp_path / "fit" / "history.csv").height == whole.history.height
    # Questions put to a fit leave its journal as it is.
    whole.profile("rate", points=3)
    assert calibrate(decay, TOWN, FELL, out=tmp_path / "fit", **ask).table.equals(whole.table)


def test_a_result_is_not_written_over(tmp_path, fitted):
    fitted.save(tmp_path / "one")
    fitted.save(tmp_path / "one")  # The same again is no loss.
    other = calibrate(decay, TOWN, FELL, keys=[7, 8], fields="rate", budget=60)
    assert other.runs <= 60
    with pytest.raises(FittingError, match="result of another fit"):
        other.save(tmp_path / "one")


def test_a_folder_belongs_to_one_fit(tmp_path):
    ask = {"keys": range(2), "fields": "rate", "budget": 60}
    calibrate(decay, TOWN, FELL, out=tmp_path / "fit", **ask)
    with pytest.raises(FittingError, match="holds another fit: its budget is 60, here it is 80"):
        calibrate(decay, TOWN, FELL, out=tmp_path / "fit", **ask | {"budget": 80})
    other = Series("well", 1900 - np.cumsum(DATA), noise=NegativeBinomial(1e4))
    with pytest.raises(FittingError, match="other results than when this fit began"):
        calibrate(decay, TOWN, other, out=tmp_path / "fit", **ask)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(FittingError, match="not empty and holds no fit"):
        calibrate(decay, TOWN, FELL, out=tmp_path / "mine", **ask)


def test_ctrl_c_keeps_what_was_found(monkeypatch, tmp_path):
    from lpm.fitting import stages

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "search", interrupted)
    fit = calibrate(
        decay, TOWN, FELL, keys=range(2), fields="rate", budget=200, out=tmp_path / "fit"
    )
    assert not fit.finished
    assert "resumes it" in " ".join(fit.notes)
    assert fit.loss <= fit.start_loss


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"budget": 11}, FittingError, "give at least 12 runs"),
        (
            {"budget": 15, "optimiser": "least_squares"},
            FittingError,
            "needs at least 16 for one step",
        ),
        ({"optimiser": "magic"}, FittingError, "it is one of"),
        ({"estimator": "magic", "optimiser": "adam"}, ScenarioError, "no estimator .magic"),
        ({"combine": "median"}, FittingError, "combine = 'median'"),
        ({"combine": "synthetic", "optimiser": "adam"}, FittingError, "goes with least_squares"),
        ({"fields": "known"}, ScenarioError, "is a constant"),
        ({"fields": "wrong"}, ScenarioError, "wrong"),
        ({"keys": 3}, FittingError, "single key"),
        ({"steps": 6}, FittingError, "needs 12 rows, but the run has 6"),
    ],
)
def test_wrong_asks_are_refused_in_words(change, error, words):
    ask = {"keys": range(2), "fields": "rate", "budget": 100} | change
    with pytest.raises(error, match=words):
        calibrate(decay, TOWN, FELL, **ask)


def test_what_is_not_finite_at_the_start_is_named():
    week = np.zeros(12)
    week[3] = -2  # The level falls to -2, of which log(1 + x) is not a number.
    low = climbing.replace(params=Params(weekly=week))
    data = Series("level", np.ones(12), noise=LogNormal())
    with pytest.raises(FittingError, match=r"level, period 3 is not finite at the start, in run 0"):
        calibrate(low, TOWN, data, keys=range(2), fields="weekly", budget=100)
    with pytest.raises(FittingError, match="the loss is not finite at the start"):
        calibrate(
            decay, TOWN, lambda run: jnp.log(-run.observed["well"][-1]), keys=[0], fields="rate"
        )


def test_plain_functions_have_no_least_squares():
    with pytest.raises(FittingError, match="needs a loss with residuals"):
        calibrate(
            decay,
            TOWN,
            lambda run: fallen_of(run, 2000).var(),
            keys=[0, 1],
            fields="rate",
            optimiser="least_squares",
        )
