"""Bounded updates: the closed form of the average, cap and band against a density worked out."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lpm.errors import PersonaError
from lpm.personas import Pace, frontier, make_surface

FEW, MANY = 50_000, pytest.param(1_000_000, marks=pytest.mark.gate)


def settled(pace, people, rounds=24, sd=1.0):
    """Churn and mismatch of so many numbers after 24 rounds of independent normal answers."""

    def hear(now, key):
        told = sd * jax.random.normal(key, (people,))
        new = pace.move(now, told)
        return new, (jnp.mean((new - now) ** 2), jnp.mean((told - new) ** 2))

    # Near where the average settles.
    start = (
        sd
        * np.sqrt(pace.follow / (2 - pace.follow))
        * jax.random.normal(jax.random.key(9), (people,))
    )
    keys = jax.random.split(jax.random.key(0), rounds)
    _, seen = jax.jit(lambda s: jax.lax.scan(hear, s, keys))(start)
    return [float(np.asarray(x)[rounds // 2 :].mean()) for x in seen]


@pytest.mark.parametrize("people", [FEW, MANY])
@pytest.mark.parametrize("follow", [0.2, 0.6, 1.0])
def test_a_moving_average_lies_on_the_frontier(follow, people):
    churn, mismatch = settled(Pace(follow=follow), people, sd=1.5)
    closed = 2 * follow**2 * 2.25 / (2 - follow), 2 * (1 - follow) ** 2 * 2.25 / (2 - follow)
    # 12 rounds of 50,000: a mean square is known to 0.2 %.
    assert churn == pytest.approx(closed[0], rel=0.01)
    assert mismatch == pytest.approx(closed[1], rel=0.01, abs=1e-12)
    assert frontier(follow, 2.25) == pytest.approx(closed, rel=1e-12)


@functools.cache
def density(follow, cap, band):
    """Churn and mismatch at standard normal answers, by the density of the state on a grid."""
    s, u = np.linspace(-4, 4, 401), np.linspace(-6, 6, 1_201)
    w = stats.norm.pdf(u)  # the trapezoid is exact for it, but for kinks
    w /= w.sum()
    gap = u[None] - s[:, None]
    step = np.where(np.abs(gap) > band, np.clip(follow * gap, -cap, cap), 0)
    to = (s[:, None] + step - s[0]) / (s[1] - s[0])
    low = np.clip(np.floor(to).astype(int), 0, 399)
    part = to - low
    law = stats.norm.pdf(s)
    law /= law.sum()
    for _ in range(60):
        mass = law[:, None] * w
        law = np.bincount(low.ravel(), (mass * (1 - part)).ravel(), 401)
        law += np.bincount(low.ravel() + 1, (mass * part).ravel(), 401)
    mean = law @ (step**2 @ w), law @ (((gap - step) ** 2) @ w)
    return [float(x) for x in mean]


@pytest.mark.parametrize("people", [FEW, MANY])
@pytest.mark.parametrize(("cap", "band"), [(0.3, 0.0), (math.inf, 0.8), (0.25, 0.5)])
def test_cap_and_band_have_the_churn_of_the_density_of_states(cap, band, people):
    churn, mismatch = settled(Pace(follow=0.4, cap=cap, band=band), people)
    expected = density(0.4, cap, band)
    # The grid of 0.02 spreads states by a variance of up to 1e-4 a step; edges of the band fall
    # between answers 0.01 apart.
    assert churn == pytest.approx(expected[0], rel=0.01)
    assert mismatch == pytest.approx(expected[1], rel=0.01)


def test_the_closed_form_fails_where_a_band_holds():
    """The control: the frontier is of the average alone; a cap or band is told from it."""
    free = frontier(0.4)
    for cap, band in ((0.3, 0.0), (math.inf, 0.8)):
        churn, mismatch = density(0.4, cap, band)
        assert churn < 0.95 * free[0]
        assert mismatch > 1.02 * free[1]
    assert density(0.4, math.inf, 0.0) == pytest.approx(free, rel=2e-3)


def test_no_step_is_above_the_cap_and_none_is_made_within_the_band():
    pace = Pace(follow=0.7, cap=0.2, band=0.1)
    now, told = jnp.zeros(401), jnp.linspace(-2, 2, 401)
    step = np.asarray(pace.move(now, told))
    assert np.abs(step).max() == pytest.approx(0.2)
    inside = np.abs(np.linspace(-2, 2, 401)) < 0.0999
    assert (step[inside] == 0).all()
    assert (step[~inside] * np.linspace(-2, 2, 401)[~inside] >= 0).all()
    slopes = jax.grad(lambda x: pace.move(jnp.float32(0), x))
    assert [float(slopes(jnp.float32(x))) for x in (0.05, 0.2, 1.5)] == pytest.approx([0, 0.7, 0])


def test_a_panel_moves_towards_what_it_says_now():
    knots = {"cases": (0.0, 1.0)}
    old = make_surface(np.zeros((2, 2, 1)), 0.1, knots, ("no", "yes"))
    new = make_surface(np.array([[[0.05], [0.4]], [[4.0], [-4.0]]]), 0.3, knots, ("no", "yes"))
    found = Pace(follow=0.5, cap=1.0, band=0.1).refresh(old, new)
    assert np.asarray(found.mean)[..., 0] == pytest.approx(np.array([[0, 0.2], [1.0, -1.0]]))
    assert np.asarray(found.spread)[0, 0, 0] == pytest.approx(0.3)
    other = make_surface(np.zeros((3, 2, 1)), 0.1, knots, ("no", "yes"))
    with pytest.raises(PersonaError, match=r"\[3, 2, 1\].*cannot refresh one of \[2, 2, 1\]"):
        Pace().refresh(old, other)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"follow": 0.0}, "follow = 0.0"),
        ({"follow": 1.5}, "follow = 1.5"),
        ({"cap": 0.0}, "cap = 0.0"),
        ({"band": -0.1}, "band = -0.1"),
        ({"band": math.inf}, "band = inf"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(wrong, message):
    with pytest.raises(PersonaError, match=message):
        Pace(**wrong)


def test_a_frontier_of_nothing_is_refused():
    with pytest.raises(PersonaError, match="follow = 2"):
        frontier(2.0)
