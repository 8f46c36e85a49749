"""check_gradient: passes what is right, fails what is wrong, and says what it cannot tell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import FittingError
from lpm.fitting.intervals import cosine_interval, ratio_interval
from lpm.fitting.stencils import place_stencil, unit_length
from scenarios.kermack_mckendrick import scenario as mixed
from scenarios.sir import scenario as sir


class Params(lpm.Params):
    pull: Scalar = lpm.parameter(0.2, within=(0, 1))
    aim: Scalar = lpm.parameter(2.0)


class State(lpm.State):
    view: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, view=draw.normal("agent"))


def drift(state, params, draw):
    return state.replace(view=state.view + params.pull * (params.aim - state.view))


def observe(state, params):
    return {"view": jnp.mean(state.view)}


smooth = lpm.Scenario(init, (drift,), observe, Params(), steps=9, unit="day")


def view(run):
    return run.observed["view"][-1]


def attack(run):
    return run.observed["attack_rate"][-1]


def test_a_smooth_model_passes_and_its_tangents_are_those_of_the_closed_form(town):
    check = lpm.check_gradient(
        smooth, town, view, keys=[0, 1, 2, 3], estimator="straight_through", every=3
    )
    assert check.passed is True
    assert check.table["verdict"].to_list() == ["right", "right"]
    assert check.cosine[0] == pytest.approx(1, abs=1e-3)
    assert check.tangent["day"].to_list() == [3, 6, 9]
    aim_only = lpm.check_gradient(
        smooth, town, view, keys=[0, 1, 2], estimator="mean_field", fields=["aim"]
    )
    # One unconstrained unit of `aim` is its default; after t days a share 1 - 0.8**t of it is seen.
    seen = 2.0 * (1 - 0.8 ** np.arange(1, 10))
    assert aim_only.tangent["norm"].to_numpy() == pytest.approx(seen, rel=1e-3)
    assert "passes against crn, over 4 keys" in str(check)
    assert "passes against crn" in check._repr_html_()


def test_straight_through_fails_on_a_household_epidemic_and_its_tangents_explode():
    town = lpm.Population.toy(300)
    check = lpm.check_gradient(
        sir,
        town,
        attack,
        keys=jax.random.split(jax.random.key(0), 12),
        estimator="straight_through",
        params=sir.params.replace(seeded=0.03),
        steps=40,
        fields=["beta_home"],
    )
    assert check.passed is False
    assert check.table["ratio"][0] > 10
    assert check.table["verdict"][0] in ("wrong", "too noisy")
    norms = check.tangent["norm"].to_numpy()
    assert norms[-1] > 1e3 * norms[norms > 0][0]
    assert "FAILS" in str(check)
    assert "Tangents explode" in str(check)


@pytest.mark.gate
def test_few_keys_leave_it_undecided(town):
    check = lpm.check_gradient(
        mixed,
        town,
        attack,
        keys=[0, 1, 2],
        estimator="score",
        steps=8,
        params=mixed.params.replace(seeded=0.1),
    )
    assert check.passed is None
    assert check.tangent is None
    assert "More keys would decide" in str(check)


def test_a_check_weighs_runs_as_the_gradient_does(town):
    """Runs differ by where they start, which the views at the end tell by the closed form."""
    keys, steep = [0, 1, 2, 3], 60
    seen = np.asarray(lpm.ensemble(smooth, town, keys=keys).observed["view"], np.float64)[:, -1]
    kept = 0.8**9
    start = (seen - 2.0 * (1 - kept)) / kept
    slopes = steep * 9 * 0.8**8 * (2.0 - start)
    weights = np.exp(steep * (seen - seen.max()))
    check = lpm.check_gradient(
        smooth,
        town,
        lambda run: steep * view(run),
        keys=keys,
        estimator="straight_through",
        fields=["pull"],
        combine="log_mean_exp",
        step=0.005,  # Exponentials of steep losses curve.
    )
    wanted = weights @ slopes / weights.sum()
    assert abs(wanted / slopes.mean() - 1) > 0.01  # Else nothing is told.
    assert check.table["estimate"][0] == pytest.approx(wanted, rel=1e-3)
    assert check.table["crn"][0] == pytest.approx(wanted, rel=5e-3)
    assert check.passed is True
    with pytest.raises(FittingError, match="'mean' or 'log_mean_exp'"):
        lpm.check_gradient(
            smooth, town, view, keys=keys, estimator="straight_through", combine="median"
        )


def overflow(state, params, draw):
    return state.replace(view=state.view + 1e-30 * jnp.sqrt(0.0 * params.pull))


def test_a_gradient_that_is_not_finite_fails(town):
    broken = smooth.replace(processes=(overflow,))
    check = lpm.check_gradient(
        broken, town, view, keys=[0, 1, 2], estimator="mean_field", fields=["pull"]
    )
    assert check.passed is False
    assert "not finite from day 1 on" in str(check)


def test_the_reference_is_not_checked_against_itself(town):
    with pytest.raises(FittingError, match="crn is the reference"):
        lpm.check_gradient(smooth, town, view, keys=[0, 1], estimator="crn")


def test_the_interval_of_a_ratio_covers_as_it_says():
    """Pairs with a common part, drawn from one fixed stream; 400 trials, 1 in 1,000 by chance."""
    drawn = np.asarray(jax.random.normal(jax.random.key(0), (3, 12, 400)), np.float64)
    mine, reference = 2 + drawn[0] + 0.5 * drawn[2], 1 + 0.4 * drawn[1] + 0.5 * drawn[2]
    low, high = ratio_interval(mine, reference)
    assert 0.915 < np.mean((low <= 2) & (high >= 2)) < 0.985
    sure = reference + 5
    assert np.allclose(ratio_interval(3 * sure, sure), 3)
    zero = np.zeros((5, 1))
    assert ratio_interval(zero, zero)[0] == 1
    wide = ratio_interval(drawn[0, :5, :1], zero)
    assert np.isinf(wide).all()
    huge = ratio_interval(1e300 * sure, sure)
    assert np.allclose(np.array(huge) / 1e300, 1)


def test_a_cosine_knows_how_sure_it_is():
    runs = np.tile([[1.0, 2.0]], (4, 1))
    assert cosine_interval(runs, 3 * runs) == pytest.approx((1, 1, 1))
    assert cosine_interval(runs, -runs) == pytest.approx((-1, -1, -1))
    assert cosine_interval(runs[:2], runs[:2])[1:] == (-1, 1)
    noise = runs + np.array([[3.0], [-3.0], [1.0], [-1.0]]) * [1, -1]
    value, low, high = cosine_interval(noise, runs)
    assert value == pytest.approx(1)
    assert low < 0.8 < 1 == high


def test_stencils_differentiate_parabolas_exactly_and_stay_inside():
    knob = Params.knobs()["pull"]
    for x in (0.0, 1.0, 1e-7, 0.3, 0.999):
        value = np.array([x], np.float32)
        stencil = place_stencil(knob, value, 0.05)
        at = np.concatenate([stencil.points, value[None]]).astype(np.float64)
        assert ((at >= 0) & (at <= 1)).all()
        slope = float((stencil.weights * (at**2 + at)).sum())
        # Central in the unconstrained scale: the skew of the logistic is left, of order step**2.
        assert slope == pytest.approx(1 + 2 * x, rel=1e-3)
    assert unit_length(knob, np.array([0.5], np.float32)) == pytest.approx(0.25, rel=1e-3)


@pytest.mark.gate
def test_straight_through_passes_where_everybody_meets_everybody():
    town = lpm.Population.toy(4_000)
    check = lpm.check_gradient(
        mixed,
        town,
        attack,
        keys=jax.random.split(jax.random.key(2), 48),
        estimator="straight_through",
        params=mixed.params.replace(seeded=0.02),
        steps=40,
    )
    assert check.passed is True, str(check)
