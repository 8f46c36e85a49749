"""The lineage adjoint on epidemics of hundreds of people, against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm.fitting import Lineage

from ..outbreak import (
    FIELDS,
    Params,
    by_differences,
    epidemic,
    init,
    last_attack,
    spread,
    town_of,
    words,
)

pytestmark = pytest.mark.gate


def run_once(model, fields=("home",), steps=6):
    return Lineage(rate=0.1, twins=2)(
        model, town_of(300), last_attack, words(2, 2), model.params, fields, steps, steps
    )


def test_a_threshold_in_the_state_is_refused():
    """A household with two cases is sent away: the derivative of a comparison is lost."""

    def isolate(state, params, draw):
        many = (state.house.sum(state.infectious) > 0.5).astype(jnp.float32)
        return state.replace(infectious=state.infectious * (1 - many))

    model = epidemic.replace(processes=(spread, isolate), steps=6)
    model = model.replace(params=model.params.replace(home=0.8))
    with pytest.raises(lpm.FittingError, match="differences between worlds are not sums"):
        run_once(model, steps=20)


def test_a_threshold_in_what_is_seen_is_refused():
    def watch(state, params):
        hit = state.house.sum(1 - state.susceptible) > 0.5
        return {"attack": lpm.share(hit.astype(jnp.float32), state.alive)}

    model = lpm.Scenario(init, (spread,), watch, Params(), steps=6, unit="day")
    with pytest.raises(lpm.FittingError, match="differences between worlds are not sums"):
        run_once(model)


def test_an_epidemic_meets_differences(report):
    """600 people, 30 days, all three ways to meet."""
    people = town_of(600)
    model = epidemic.replace(steps=30)
    gradients = Lineage(rate=0.01)(
        model, people, last_attack, words(4, 200), model.params, tuple(FIELDS), 30, 30
    ).gradients
    for name in FIELDS:
        value, error = by_differences(model, people, name, 1500, 30)
        wide = np.hypot(error, gradients[name].std() / 200**0.5)
        report(f"derivative by {name}", float(gradients[name].mean()), float(value))
        assert abs(gradients[name].mean() - value) < 3.5 * wide + 0.07 * abs(value)


def test_straight_through_fails_where_lineages_do_not():
    """The negative control: the same contacts are met again, day after day."""
    people = town_of(300)
    model = epidemic.replace(steps=40)
    value, error = by_differences(model, people, "home", 600, 40, share=0.2)
    found = Lineage(rate=0.02)(
        model, people, last_attack, words(5, 60), model.params, ("home",), 40, 40
    ).gradients["home"]
    assert abs(found.mean() - value) < 4 * np.hypot(error, found.std() / 60**0.5) + 0.1 * value

    def straight(home, key):
        params = model.params.replace(home=home)
        return last_attack(
            lpm.simulate(
                model, people, key=key, params=params, steps=40, estimator="straight_through"
            )
        )

    slopes = jax.vmap(jax.grad(straight), in_axes=(None, 0))(jnp.float32(0.15), words(5, 30))
    assert slopes.mean() > 1.5 * value
