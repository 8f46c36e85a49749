"""Surfaces: knots met exactly, curves against SciPy, derivatives against differences, errors."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from lpm.errors import PersonaError
from lpm.personas import Answers, make_surface, monotone, straight, surface_of

KNOTS = {"prevalence": (0.0, 0.01, 0.05, 0.2), "payment": (0.0, 0.4, 1.0)}
ACTIONS = ("go out", "stay at home", "leave town")
# A table that is neither additive nor monotone, from a formula of the indices.
P, J, K, A = np.ogrid[:5, :4, :3, :2]
RISING = np.sin(1.3 * P) + 0.3 * J * (A + 1) ** 0.5 + (0.5 + 0.1 * P) * np.sqrt(K) * (1 + A)
TABLE = np.sin(1.3 * P + 0.7 * J * (A + 1)) + 0.5 * np.cos(2.1 * K + P * J)


def test_straight_pieces_are_those_of_scipy_at_random_situations():
    surface = make_surface(TABLE, 0.2, KNOTS, ACTIONS)
    grid = tuple(np.array(levels) for levels in KNOTS.values())
    read = RegularGridInterpolator(grid, np.moveaxis(TABLE, 0, 2))
    for prevalence, payment in ((0.003, 0.1), (0.049, 0.95), (0.2, 0.0), (0.01, 0.4)):
        found = surface.odds(prevalence=prevalence, payment=payment)
        # Float32 of numbers of size 1 and steps of 0.01: some 1e-6.
        assert np.allclose(found, read((prevalence, payment)), atol=1e-5)


def test_the_monotone_curve_meets_its_knots_and_rises_only_with_them():
    knots = jnp.array([0.0, 0.1, 0.3, 0.4, 1.0])
    table = jnp.array([[0.0, 1.0, 1.1, 4.0, 4.5], [0.0, 2.0, 1.0, 1.0, 3.0]])
    x = jnp.linspace(0, 1, 401)
    curve = np.asarray(jax.vmap(lambda at: monotone(table, knots, at))(x))
    at = np.searchsorted(np.asarray(x), np.asarray(knots) - 1e-6)
    assert np.allclose(curve[at], table.T, atol=1e-5)
    assert (np.diff(curve[:, 0]) > -1e-6).all()
    for low, high in itertools.pairwise(at):
        piece = curve[low : high + 1, 1]
        assert piece.min() > min(piece[0], piece[-1]) - 1e-5  # no overshoot
        assert piece.max() < max(piece[0], piece[-1]) + 1e-5


def test_the_monotone_curve_has_the_slopes_of_fritsch_and_butland():
    """A cubic in s from two values and two slopes, the slopes from the published formula."""
    h, y = np.array([0.5, 2.0, 1.0]), np.array([0.0, 1.0, 2.0, 5.0])
    knots = np.concatenate([[0.0], np.cumsum(h)])
    d = np.diff(y) / h
    alpha = (h[:-1] + 2 * h[1:]) / (3 * (h[:-1] + h[1:]))
    slopes = d[:-1] * d[1:] / (alpha * d[1:] + (1 - alpha) * d[:-1])
    s, width = 0.3, h[1]
    basis = (2 * s**3 - 3 * s**2 + 1, s**3 - 2 * s**2 + s, 3 * s**2 - 2 * s**3, s**3 - s**2)
    parts = (y[1], width * slopes[0], y[2], width * slopes[1])
    expected = sum(b * p for b, p in zip(basis, parts, strict=True))
    x = jnp.float32(knots[1] + s * width)
    found = monotone(jnp.asarray(y, jnp.float32), jnp.asarray(knots, jnp.float32), x)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def slope_along(total, x, mean, i, h):
    step = jnp.zeros(2).at[i].set(h)
    return float(total(x + step, mean) - total(x - step, mean)) / (2 * h)


@pytest.mark.parametrize("curve", [straight, monotone])
def test_derivatives_by_situation_and_answers_are_those_of_differences(curve):
    surface = make_surface(RISING, 0.2, KNOTS, ACTIONS, curve=curve)
    cell = jnp.asarray(np.arange(40) * 7 % 5)
    weight = jnp.asarray(1 + np.arange(40) % 3, jnp.float32)

    def total(x, mean):
        moved = make_surface(RISING, 0.2, KNOTS, ACTIONS, curve=curve)
        object.__setattr__(moved, "mean", mean)
        shares = moved.share("stay at home", cell, prevalence=x[0], payment=x[1])
        return jnp.sum(weight * shares)

    x = jnp.array([0.03, 0.7])
    by_x, by_mean = jax.grad(total, argnums=(0, 1))(x, surface.mean)
    for i, h in enumerate((2e-3, 2e-2)):
        far, near = (slope_along(total, x, surface.mean, i, width) for width in (h, h / 2))
        # Richardson: 1e-4 of truncation left; float32 sums of size 30 are off by 0.05 % of it.
        assert float(by_x[i]) == pytest.approx((4 * near - far) / 3, rel=1e-3)
    way = jnp.cos(jnp.arange(surface.mean.size) * 1.0).reshape(surface.mean.shape)
    slope = (total(x, surface.mean + 0.02 * way) - total(x, surface.mean - 0.02 * way)) / 0.04
    assert float(jnp.sum(by_mean * way)) == pytest.approx(float(slope), rel=1e-3)
    touched = int(jnp.sum(jnp.any(by_mean != 0, axis=(0, 3))))
    assert touched == {straight: 4, monotone: 12}[curve]  # two knots an axis, or two more


def test_the_derivative_on_the_outer_knot_is_that_of_the_inside():
    surface = make_surface(TABLE, 0.2, KNOTS, ACTIONS)

    def first(payment):
        return surface.odds(prevalence=0.0, payment=payment)[0, 0]

    expected = (TABLE[0, 0, 1, 0] - TABLE[0, 0, 0, 0]) / 0.4
    assert float(jax.grad(first)(0.0)) == pytest.approx(expected, rel=1e-4)
    assert float(jax.grad(first)(1.5)) == 0.0
    assert [float(surface.outside(prevalence=0.1, payment=p)) for p in (0.0, 1.0, 1.01)] == [
        0,
        0,
        1,
    ]


def replicates(shares):
    """[paraphrase, action] for one persona and two levels, in one option order."""
    both = np.stack([shares, shares[:, ::-1]])  # level
    return both[None, :, :, None, :]


def test_mean_and_spread_are_those_of_the_log_odds():
    shares = np.array([[0.8, 0.2], [0.6, 0.4], [0.7, 0.3]])
    answers = Answers({"x": (0.0, 1.0)}, ("a", "b"), replicates(shares))
    surface = surface_of(answers, floor=0.3, out_of=np.inf)
    odds = np.log(shares[:, 1] / shares[:, 0])
    assert float(surface.mean[0, 0, 0]) == pytest.approx(odds.mean(), rel=1e-5)
    assert float(surface.mean[0, 1, 0]) == pytest.approx(-odds.mean(), rel=1e-5)
    expected = np.sqrt(odds.var(ddof=1) + 0.09)
    assert float(surface.spread[0, 0, 0]) == pytest.approx(expected, rel=1e-5)


def test_nobody_of_a_hundred_stays_finite():
    answers = Answers({"x": (0.0, 1.0)}, ("a", "b"), replicates(np.array([[1.0, 0.0]])))
    surface = surface_of(answers)
    assert float(surface.mean[0, 0, 0]) == pytest.approx(np.log(0.5 / 100.5), rel=1e-5)
    with pytest.raises(PersonaError, match="a share of 0 has no log-odds"):
        surface_of(answers, out_of=np.inf)


def test_a_bounded_number_comes_back_as_it_was_given():
    hours = np.array([10.0, 30.0]).reshape(1, 2, 1, 1, 1)
    answers = Answers({"tax": (0.0, 1.0)}, ("hours",), hours, bounds=(0.0, 60.0))
    surface = surface_of(answers, out_of=np.inf)
    assert float(surface.number(tax=0.0)[0]) == pytest.approx(10.0, rel=1e-5)
    assert float(surface.number(tax=1.0)[0]) == pytest.approx(30.0, rel=1e-5)
    with pytest.raises(PersonaError, match="is a number, not a choice"):
        surface.shares(tax=0.0)


def test_temperature_and_shift_move_the_log_odds_about_their_centre():
    surface = make_surface(TABLE, 0.2, KNOTS, ACTIONS).shifted(temperature=2.0, shift=0.3)
    centre = TABLE.mean(axis=(0, 1, 2))
    assert np.allclose(surface.mean, centre + (TABLE - centre) / 2 + 0.3, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.full((1, 2, 1, 1, 2), 0.6)}, "sum to 1.2, not to 1"),
        ({"values": np.full((1, 3, 1, 1, 2), 0.5)}, r"wanted \[persona, x, paraphrase"),
        ({"values": np.full((1, 2, 1, 1, 2), np.nan)}, "answer of persona 0 .* is nan, outside"),
        ({"knots": {"x": (1.0, 0.0)}}, "give two or more, rising"),
        ({"actions": ("a",)}, "give two or more, or one name with bounds"),
    ],
)
def test_bad_answers_are_refused_in_words(change, message):
    sound = {
        "knots": {"x": (0.0, 1.0)},
        "actions": ("a", "b"),
        "values": np.full((1, 2, 1, 1, 2), 0.5),
    }
    Answers(**sound)
    with pytest.raises(PersonaError, match=message):
        Answers(**(sound | change))


def test_a_situation_must_be_whole():
    surface = make_surface(TABLE, 0.2, KNOTS, ACTIONS)
    with pytest.raises(PersonaError, match=r"asks for \[prevalence, payment\]"):
        surface.odds(prevalence=0.1)
    with pytest.raises(PersonaError, match="did you mean"):
        surface.share("stay at hom", jnp.zeros(2, int), prevalence=0.1, payment=0.1)
