"""The length of a gradient from differences along it: closed forms, and what stays as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Population, Scalar
from lpm.fitting.lineage.anchor import anchor
from lpm.launch import key_words


class Params(lpm.Params):
    pull: Scalar = lpm.parameter(0.5, within=(0, 1))
    aims: Float[Array, " aim"] = lpm.parameter(np.array([1.0, 2.0, 4.0], np.float32))


class State(lpm.State):
    view: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, view=draw.normal("agent"))


def drift(state, params, draw):
    """Without noise in the derivative: all runs share their first views with their twins."""
    return state.replace(view=state.view + params.pull * (jnp.sum(params.aims) - state.view))


def observe(state, params):
    return {"view": jnp.mean(state.view)}


smooth = lpm.Scenario(init, (drift,), observe, Params(), steps=3, unit="day")
PEOPLE = Population({"zone": np.zeros(50, int)})
WORDS = key_words(jax.random.split(jax.random.key(0), 4))


def view(run):
    return run.observed["view"][-1]


def anchored(gradients, params=smooth.params):
    return anchor(smooth, PEOPLE, view, WORDS, params, gradients, 3, 1)


def test_a_gradient_of_the_right_direction_gets_the_right_length():
    """By each aim 1 - (1 - pull)**3 = 7/8; the gradient given is five times too long."""
    given = {"aims": np.full((4, 3), 5 * 7 / 8)}
    found = anchored(given)["aims"]
    assert found == pytest.approx(np.full((4, 3), 7 / 8), rel=2e-3)


def test_what_is_at_right_angles_stays():
    """An aim moves as far as its default, 1, 2 or 4, for one unit of its scale."""
    across = np.array([4.0, -1.0, 0.0])
    given = {"aims": np.full((4, 3), 7 / 8) + np.array([[1.0], [-1.0], [0], [0]]) * across}
    found = anchored(given)["aims"]
    assert found - 7 / 8 == pytest.approx(given["aims"] - 7 / 8, abs=5e-3)


def test_an_element_on_its_bound_keeps_its_part():
    """`pull` at 1 cannot be moved to both sides; the aims then count in full."""
    params = smooth.params.replace(pull=1.0)
    given = {"pull": np.full(4, 7.0), "aims": np.full((4, 3), 3.0)}
    found = anchored(given, params)
    assert (found["pull"] == 7).all()
    assert found["aims"] == pytest.approx(np.ones((4, 3)), rel=2e-3)


def test_nothing_is_done_without_a_direction():
    given = {"aims": np.zeros((4, 3))}
    assert (anchored(given)["aims"] == 0).all()
