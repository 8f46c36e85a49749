"""Worths smoothed over steps and runs, and the fields of many elements made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Population
from lpm.fitting import Lineage
from lpm.fitting.lineage.smoothing import shrink, smooth
from lpm.launch import key_words


def roots_worth(worth, runs=3, number=30):
    """As many roots in every run and step, all of weight 2."""
    one = np.stack(
        [2 * number * worth, np.full_like(worth, 2 * number), np.full_like(worth, number)]
    )
    return np.broadcast_to(one.T[None, :, None], (runs, len(worth), 1, 3))


def test_a_line_in_time_stays_as_it_is_but_at_its_ends():
    line = 3.0 - 0.1 * np.arange(20)
    fit, by_run = smooth(roots_worth(line))
    assert np.allclose(fit[6:-6, 0], line[6:-6])
    assert np.abs(fit[:, 0] - line).max() < 0.1
    assert by_run.shape == (3, 20, 1)


def test_windows_close_where_roots_are_many():
    bump = np.where(np.arange(20) == 9, 5.0, 1.0)
    few, many = (smooth(roots_worth(bump, number=n))[0][9, 0] for n in (10, 100_000))
    assert few < 2.5
    assert many > 4.0


def test_a_step_without_roots_is_filled_and_none_at_all_is_worth_nothing():
    found = roots_worth(np.ones(6)).copy()
    found[:, 2] = 0
    assert np.allclose(smooth(found)[0], 1)
    assert (smooth(0 * found)[0] == 0).all()


def test_influence_of_runs_cancels_on_average():
    wave = 1 + 0.5 * np.sin(np.arange(80) ** 2).reshape(2, 5, 8, 1)
    found = roots_worth(np.ones(8), runs=5) * wave[0][..., None]
    found[..., 0] *= wave[1]
    fit, by_run = smooth(found)
    assert np.abs(by_run.std(axis=0)).max() > 0.1
    assert np.abs(by_run.mean(axis=0) - fit).max() < 0.1


def test_shape_is_kept_from_roots_without_noise_and_smoothed_under_noise():
    shape = np.array([1.0, 2.0, 3.0, 6.0])
    runs, equal = np.arange(50)[:, None], np.ones((50, 4))
    clear = shape + 1e-3 * (-1.0) ** runs
    assert np.allclose(shrink(clear, equal, equal).mean(axis=0), shape, atol=1e-3)
    noise = np.sin(np.arange(200) ** 2).reshape(50, 4)
    noise -= noise.mean(axis=0)
    blurred = shrink(3 + 0.1 * shape + 10 * noise, equal, equal).mean(axis=0)
    assert np.ptp(blurred) < 1e-6
    assert np.allclose(blurred.sum(), (3 + 0.1 * shape).sum())


class Params(lpm.Params):
    daily: Float[Array, "step class"] = lpm.parameter(np.full((8, 3), 0.1, np.float32))


class State(lpm.State):
    group: lpm.Int[Array, " agent"]
    well: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population, params, draw):
    return State.of(population, group=population["group"], well=1.0)


def fall_ill(state, params, draw):
    hazard = params.daily[state.t][state.group]
    return state.replace(well=state.well * (1 - draw.bernoulli(state.well * -jnp.expm1(-hazard))))


def observe(state, params):
    return {"well": lpm.share(state.well, state.alive)}


@pytest.mark.parametrize("pay", [(1.0, 1.0, 1.0), (1.0, 1.0, 4.0)])
def test_hazards_by_step_and_group_meet_the_closed_form(pay):
    """A third of the people in each group; who is well at the end has escaped all hazards.

    A group that counts four times has other worths, which the roots must show.
    """
    people = Population({"group": np.arange(600) % 3, "pay": np.array(pay)[np.arange(600) % 3]})

    def watch(state, params):
        return {"well": jnp.mean(state.well * jnp.asarray(pay)[state.group])}

    model = lpm.Scenario(init, (fall_ill,), watch, Params(), steps=8, unit="day")
    words = key_words(jax.random.split(jax.random.key(3), 60))
    found = Lineage(rate=0.1)(
        model, people, lambda run: run.observed["well"][-1], words, model.params, ("daily",), 8, 8
    ).gradients["daily"]
    exact = -np.exp(-0.8) / 3 * np.broadcast_to(pay, (8, 3))
    assert np.linalg.norm(found.mean(axis=0) - exact) < 0.1 * np.linalg.norm(exact)
    assert abs(found.sum(axis=(1, 2)).mean() / exact.sum() - 1) < 0.06
