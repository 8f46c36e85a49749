"""`pareto` against a trade-off that is known, and its figure."""

import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import lpm
from lpm import Array, Float
from lpm.analysis.picture import picture_of
from lpm.analysis.policy_plots import plot_pareto
from lpm.errors import FittingError
from lpm.fitting.lagrangian import at_least, at_most
from lpm.fitting.pareto import pareto, undominated


class Params(lpm.Params):
    plan: Float[Array, " element"] = lpm.policy(np.full(2, 0.8), within=(-1, 2))


class State(lpm.State):
    luck: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, luck=draw.normal("agent"))


def wait(state, params, draw):
    return state.replace(luck=state.luck)


def observe(state, params):
    noise = 0.1 * jnp.mean(state.luck, where=state.alive)
    return {
        "near": jnp.sum(params.plan**2) + noise,
        "far": jnp.sum((params.plan - 1) ** 2) + noise,
        "aside": jnp.sum(jnp.abs(params.plan[0] - params.plan[1])),
        "first": params.plan[0],
    }


model = lpm.Scenario(init, (wait,), observe, Params(), steps=1)
KINDS = ("near", "far", "aside")


def read(name):
    def last(trajectory):
        return trajectory.observed[name][-1]

    return last


BOTH = {name: read(name) for name in KINDS[:2]}


@pytest.fixture(scope="module")
def frames(town, keys):
    return {
        sweep: pareto(
            model, town, BOTH, keys=keys, points=5, sweep=sweep, budget=1500, step=0.1, fresh=16
        )
        for sweep in ("weights", "limits")
    }


@pytest.mark.parametrize("sweep", ["weights", "limits"])
def test_the_trade_off_of_two_distances_is_a_parabola(frames, sweep):
    # Between two points, sqrt(a) + sqrt(b) is their distance, here sqrt(2).
    frame = frames[sweep]
    assert len(frame) >= 4
    near, far = (np.maximum(frame[name].to_numpy(), 0) for name in KINDS[:2])
    assert np.allclose(np.sqrt(near) + np.sqrt(far), np.sqrt(2), atol=0.12)
    assert near.max() > 1
    assert far.max() > 1
    assert (np.diff(near) > 0).all()
    assert (np.diff(far) < 0).all()


def test_a_constraint_bends_the_frontier(town, keys, frames):
    limit = at_most(read("first"), 0.3, "first")
    frame = pareto(
        model,
        town,
        BOTH,
        keys=keys,
        points=3,
        budget=1500,
        step=0.1,
        fresh=16,
        constraints=[limit],
    )
    assert frame["first"].max() < 0.3 + 1e-3
    # The far end is then (0.3, 1), give or take what the search is short of: 0.49 instead of 0.
    assert frame["far"].min() == pytest.approx(0.49, abs=0.06)
    assert frames["weights"]["far"].min() < 0.2


def test_constraints_that_no_point_keeps_are_named(town, keys):
    limit = at_least(read("near"), 1e3, "near_enough")
    with pytest.raises(FittingError, match=r"no point of the sweep keeps \['near_enough at least"):
        pareto(model, town, BOTH, keys=keys, points=2, budget=200, fresh=4, constraints=[limit])


def test_errors_are_those_of_fresh_keys(frames):
    # The noise of a mean over 64 agents, over 16 keys: 0.1 / sqrt(64 x 16).
    found = frames["weights"]["near_standard_error"].to_numpy()
    assert np.allclose(found, 0.1 / 32, rtol=0.6)


def test_a_limit_is_swept_in_even_levels(frames):
    levels = np.sort(frames["limits"]["limit"].to_numpy())
    assert np.allclose(np.diff(levels), np.diff(levels)[0], rtol=0.01) or len(levels) == 4


def test_three_objectives_are_swept_by_weights(town, keys):
    objectives = {name: read(name) for name in KINDS}
    frame = pareto(model, town, objectives, keys=keys, points=4, budget=600, fresh=8)
    assert {"weight_near", "weight_far", "weight_aside", "plan[1]"} <= set(frame.columns)
    assert undominated(frame.select(KINDS).to_numpy()).all()


def test_what_is_dominated_is_left_out():
    means = np.array([[0.0, 3.0], [1.0, 1.0], [1.0, 2.0], [3.0, 0.0], [2.0, 2.0]])
    assert undominated(means).tolist() == [True, True, False, True, False]


@pytest.mark.parametrize(
    ("objectives", "more", "message"),
    [
        ({"near": read("near")}, {}, "at least two of each"),
        ({n: read(n) for n in KINDS}, {"sweep": "limits"}, "'limits' for two"),
        (BOTH, {"budget": 30}, "for each of the sweep"),
    ],
)
def test_a_wrong_request_is_refused(town, keys, objectives, more, message):
    with pytest.raises(lpm.FittingError, match=message):
        pareto(model, town, objectives, keys=keys, **more)


def test_a_figure_shows_every_point(frames):
    axes = plot_pareto(frames["weights"], units={"near": "km2"}, name="weight_near")
    assert axes.get_xlabel() == "near [km2]"
    assert len(axes.texts) == len(frames["weights"])
    assert picture_of(axes).png().startswith(b"\x89PNG")


def test_a_figure_of_one_objective_is_refused():
    frame = pl.DataFrame({"near": [1.0], "near_standard_error": [0.1]})
    with pytest.raises(lpm.DataError, match="a trade-off needs two"):
        plot_pareto(frame)
