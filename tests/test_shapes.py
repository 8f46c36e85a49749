"""A shape stays within bounds, begins close to its field, and passes slopes back to its numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import BSpline

import lpm
from lpm import Float, Scalar
from lpm.fitting.shaped import Shaped
from lpm.fitting.shapes import FAR, Allocation, Free, Shape, Spline, Steps
from lpm.fitting.space import Space

SHAPES = [
    Free(),
    Spline(5),
    Spline(2),
    Spline(6, "rising"),
    Spline(4, "falling"),
    Allocation(1.0),
    Steps([3, 4, 5]),
]


class Params(lpm.Params):
    plan: Float[lpm.Array, " week"] = lpm.policy(np.linspace(0.2, 0.7, 12), within=(0, 1))
    table: Float[lpm.Array, "week group"] = lpm.policy(np.full((12, 3), 0.5), within=(0, 1))
    level: Scalar = lpm.policy(2.0, within=(0, None))
    known: Scalar = lpm.constant(1.0)


def shaped(shape, *fields):
    return Shaped.of(Params(), fields or ("plan",), shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_keeps_the_promise_of_one(shape):
    assert isinstance(shape, Shape)
    space = shaped(shape)
    assert len(space.labels) == space.size == len(space.start)
    assert space.place(space.start[None])["plan"].shape == (1, 12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_number_leads_out_of_bounds(shape):
    space = shaped(shape)
    rng = np.random.Generator(np.random.PCG64(1))  # noqa: TID251
    z = rng.uniform(-200, 200, (300, space.size)) * rng.random((300, 1)) ** 3
    plan = space.place(z)["plan"]
    assert np.isfinite(plan).all()
    assert (plan >= 0).all()
    assert (plan <= 1).all()
    if isinstance(shape, Allocation):
        assert np.allclose(plan.sum(axis=1), 1, atol=1e-5)
    if isinstance(shape, Spline) and shape.monotone:
        rise = np.diff(plan, axis=1) * (1 if shape.monotone == "rising" else -1)
        assert (rise >= -1e-6).all()


def test_without_shapes_the_space_is_the_plain_one():
    fields = ("plan", "level")
    mine, plain = Shaped.of(Params(), fields, None), Space(Params(), fields)
    z = np.linspace(-2, 2, mine.size)
    assert mine.labels == plain.labels
    assert np.allclose(mine.start, plain.start)
    assert np.allclose(mine.flat(z[None]), plain.flat(z[None]))
    assert np.allclose(mine.lengths(z), plain.lengths(z), atol=1e-6)


@pytest.mark.parametrize("shape", [Free(), Spline(5), Spline(6, "rising")], ids=str)
def test_a_straight_line_is_where_the_search_begins(shape):
    space = shaped(shape)
    found = space.place(space.start[None])["plan"][0]
    # A logistic bends the coefficients of a monotone curve a little.
    assert np.allclose(found, np.linspace(0.2, 0.7, 12), atol=0.05 if shape == SHAPES[3] else 1e-4)


def test_a_spline_is_that_of_its_coefficients():
    space, z = shaped(Spline(5)), np.array([-1.0, 2.0, 0.0, -3.0, 1.0])
    knots = [0, 0, 0, 0, 0.5, 1, 1, 1, 1]
    expected = BSpline(np.array(knots, float), 1 / (1 + np.exp(-z)), 3)(np.linspace(0, 1, 12))
    assert np.allclose(space.place(z[None])["plan"][0], expected, atol=1e-5)


def test_a_spline_runs_along_the_first_of_two_axes():
    space = shaped(Spline(4), "table")
    assert space.size == 12
    z = np.tile([-1.0, 0.0, 1.0], 4)
    table = space.place(z[None])["table"][0]
    assert np.allclose(table, 1 / (1 + np.exp(-np.array([-1.0, 0.0, 1.0]))), atol=1e-5)


def test_steps_repeat_their_levels():
    space = shaped(Steps([3, 4, 5]))
    plan = space.place(np.array([[0.0, 1.0, -1.0]]))["plan"][0]
    levels = 1 / (1 + np.exp(-np.array([0.0, 1.0, -1.0])))
    assert np.allclose(plan, np.repeat(levels, [3, 4, 5]), atol=1e-6)


def test_even_levels_cover_an_allocation_evenly():
    # Of a Dirichlet law of ones over 12 shares: mean 1/12, variance 11 / (144 * 13).
    levels = np.random.Generator(np.random.PCG64(0)).random((4096, 12))  # noqa: TID251
    space = shaped(Allocation())
    shares = space.place(space.quantiles(levels))["plan"]
    assert np.allclose(shares.mean(axis=0), 1 / 12, atol=0.005)
    assert np.allclose(shares.var(axis=0), 11 / 144 / 13, rtol=0.15)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_slopes_come_back_through_the_shape(shape):
    space = Shaped.of(Params(), ("plan", "level"), {"plan": shape})
    z = np.linspace(-1, 1, space.size)
    target = np.linspace(-1, 2, 13)

    def loss(z):
        placed = space.constrain(z)
        return jnp.sum(jnp.concatenate([placed["plan"], placed["level"][None]]) * target)

    expected = jax.grad(loss)(jnp.asarray(z, jnp.float32))
    assert np.allclose(space.pull_back(z, target[None])[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [Free(), Spline(5), Allocation(), Steps([3, 4, 5])], ids=str)
def test_an_end_is_the_bound_itself(shape):
    space = shaped(shape)
    z = np.zeros(space.size)
    z[0] = -8.0
    ends = space.ends(z)
    assert np.isnan(ends[1:]).all()
    assert ends[0] <= -FAR
    assert space.place(np.where(np.isnan(ends), z, ends)[None])["plan"][0, 0] == 0


@pytest.mark.parametrize(
    ("shape", "fields", "message"),
    [
        (Spline(13), ("plan",), "needs that many values"),
        (Allocation(2.0), ("plan",), "each free to lie in"),
        (Steps([3, 4]), ("plan",), "add up to its first axis"),
        (Spline(4), ("plan", "table"), "give shapes by name"),
        ({"plam": Spline(4)}, ("plan",), "plam"),
        (Spline(4), ("level",), "'none' are arrays|none are arrays"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(shape, fields, message):
    with pytest.raises(lpm.FittingError, match=message):
        Shaped.of(Params(), fields, shape)


def test_a_spline_of_one_knot_is_refused():
    with pytest.raises(lpm.FittingError, match="two knots or more"):
        Spline(1)
