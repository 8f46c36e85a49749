"""Prices that clear, fixed points and best responses against other solvers and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from lpm.economics.best_response import best_response_gap
from lpm.economics.equilibrium import between, clear, fixed_point
from lpm.economics.production import ces_output, ces_wages
from lpm.errors import DataError

SHARES = np.array([0.3, 0.25, 0.45])
PEOPLE = np.array([3.0, 2.0, 1.0])  # hours of each kind at a wage of 1


def wages(share, substitution=1.5, e=0.4):
    """Wages that clear when hours of kind k are people_k wage**e."""
    shares = jnp.asarray([share, 0.25, 0.75 - share])

    def excess(w):
        hours = jnp.asarray(PEOPLE) * w**e
        return jnp.log(ces_wages(hours, shares, substitution) / w)

    return clear(excess, jnp.ones(3))


def reference(share, substitution=1.5, e=0.4):
    """The same in double precision: w**(1 + e/s) = a Y**(1/s) B**(-1/s), Y from the adding-up."""
    a, s = np.array([share, 0.25, 0.75 - share]), substitution

    def at(y):
        return (a * (y / PEOPLE) ** (1 / s)) ** (1 / (1 + e / s))

    y = optimize.brentq(lambda y: np.sum(at(y) * PEOPLE * at(y) ** e) - y, 1e-6, 1e6, xtol=1e-13)
    return at(y)


def test_wages_clear_the_market_for_labour():
    assert np.asarray(jax.jit(wages)(0.3)) == pytest.approx(reference(0.3), rel=1e-5)


@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_their_derivative_is_that_of_the_reference(mode):
    expected = (reference(0.301) - reference(0.299)) / 0.002
    assert np.asarray(mode(wages)(0.3)) == pytest.approx(expected, rel=1e-3)


def test_many_markets_clear_at_once():
    found = jax.vmap(wages)(jnp.asarray([0.2, 0.5]))
    assert np.asarray(found) == pytest.approx(np.stack([reference(0.2), reference(0.5)]), rel=1e-5)


def test_a_gradient_keeps_no_iterations():
    """Temporary memory does not grow with the iterations that are allowed."""

    def total(people, most):
        def excess(p):
            return jnp.mean(jnp.tanh(people - p), keepdims=True)

        return clear(excess, jnp.ones(1), most=most)[0]

    people = jnp.linspace(0.5, 2, 10_000)
    sizes = [
        jax.jit(jax.grad(total), static_argnums=1)
        .lower(people, most)
        .compile()
        .memory_analysis()
        .temp_size_in_bytes
        for most in (8, 64)
    ]
    assert sizes[1] < 1.1 * sizes[0]


def test_what_does_not_clear_is_not_a_number():
    assert np.isnan(np.asarray(clear(jnp.ones_like, jnp.ones(2)))).all()
    # Compiled as a whole, exp(where(cleared, logs, nan)) came out as numbers on CPUs.
    assert np.isnan(np.asarray(jax.jit(lambda p: clear(jnp.ones_like, p))(jnp.ones(3)))).all()
    stepped = jax.jit(
        lambda c: jnp.exp(clear(lambda p: jnp.where(p > 1, 1.0, -1.0) * c, jnp.ones(3)))
    )
    assert np.isnan(np.asarray(stepped(1.0))).all()
    assert np.isnan(float(between(lambda x: x + 1, 0, 1)))
    assert np.isnan(float(fixed_point(lambda x: x + 1, jnp.asarray(1.0))))


def test_a_fixed_point_needs_no_contraction():
    # x -> 3.2 x (1 - x) has the unstable fixed point 1 - 1/3.2.
    found = jax.value_and_grad(lambda r: fixed_point(lambda x: r * x * (1 - x), jnp.asarray(0.6)))
    value, slope = found(3.2)
    assert float(value) == pytest.approx(1 - 1 / 3.2, abs=1e-6)
    assert float(slope) == pytest.approx(1 / 3.2**2, rel=1e-4)


def test_bisection_finds_the_corner_of_a_kink():
    value, slope = jax.value_and_grad(lambda c: between(lambda x: jnp.abs(x) * x - c, -1, 4))(2.0)
    assert float(value) == pytest.approx(np.sqrt(2), abs=1e-5)
    assert float(slope) == pytest.approx(1 / (2 * np.sqrt(2)), rel=1e-3)


@pytest.mark.parametrize("substitution", [0.5, 1.0, 1.0005, 1.5, 4.0])
def test_wages_are_marginal_products_and_use_up_output(substitution):
    inputs, shares = jnp.asarray(PEOPLE, jnp.float32), jnp.asarray(SHARES, jnp.float32)
    paid = ces_wages(inputs, shares, substitution)
    slopes = jax.grad(ces_output)(inputs, shares, substitution)
    assert np.asarray(paid) == pytest.approx(np.asarray(slopes), rel=1e-3)
    output = float(ces_output(inputs, shares, substitution))
    assert float(paid @ inputs) == pytest.approx(output, rel=1e-4)
    r = 1 - 1 / substitution
    exact = np.prod(PEOPLE**SHARES) if r == 0 else (SHARES @ PEOPLE**r) ** (1 / r)
    assert output == pytest.approx(exact, rel=2e-4)  # Cobb-Douglas stands in near 1


ABILITY = np.array([0.5, 1.0, 2.0, 3.0])


def kinked(hours, agents):
    """Utility with a tax of 0.5 above an income of 1: peaks, a kink, and two slopes."""
    income = ABILITY[agents] * hours
    kept = np.minimum(income, 1) + 0.5 * np.maximum(income - 1, 0)
    return kept - hours**2 / 2


def optimum():
    """By hand: n inside, the kink 1/n where it binds, n/2 above."""
    return np.clip(1 / ABILITY, ABILITY / 2, ABILITY)


def test_nobody_gains_at_a_best_response():
    agents = np.arange(4)
    gap = best_response_gap(kinked, optimum(), 0.0, 4.0, agents=agents)
    assert gap.exploitability < 1e-9
    assert gap.best == pytest.approx(optimum(), abs=1e-4)


def test_one_who_errs_is_found_with_what_it_costs():
    actions = optimum()
    actions[3] = 0.5
    gap = best_response_gap(kinked, actions, 0.0, 4.0, agents=np.array([0, 3]))
    lost = kinked(optimum(), np.arange(4))[3] - kinked(actions, np.arange(4))[3]
    assert gap.gains == pytest.approx([0, lost], abs=1e-9)
    assert gap.largest == gap.gains.max() / gap.scale
    assert "agent 3 by doing 1.5 instead of 0.5" in str(gap)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"agents": np.array([], int)}, r"0 agents, actions from 0.0 to 4.0"),
        ({"high": -1.0}, r"from 0.0 to -1.0"),
        ({"utility": lambda h, i: np.log(h - 1)}, r"utility of agent 0 is nan at action"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(more, message):
    given = {"utility": kinked, "actions": optimum(), "low": 0.0, "high": 4.0}
    with (
        np.errstate(invalid="ignore", divide="ignore"),
        pytest.raises(DataError, match=message),
    ):
        best_response_gap(**({"agents": np.arange(4)} | given | more))


def test_a_gradient_of_what_does_not_clear_is_no_number_and_stops_nothing():
    """Wages that no iteration finds must not end a search over policies."""
    for mode in (jax.grad, jax.jacfwd):
        slope = jax.jit(mode(lambda a: clear(lambda p: a + 0 * p, jnp.ones(2)).sum()))
        assert not float(slope(1.0)) > 0  # 0 or NaN


def test_curvature_passes_as_well():
    """Of log p: p**2 = c has d2/dc2 log p = -1 / (2 c**2)."""
    value = jax.hessian(lambda c: jnp.log(clear(lambda p: jnp.log(p**2 / c), jnp.ones(1)))[0])
    assert float(value(2.0)) == pytest.approx(-1 / 8, rel=1e-4)


def test_neither_does_a_gradient_of_a_bracket_without_root_stop_anything():
    slope = jax.jit(jax.grad(lambda c: between(lambda x: x + c, 0.0, 1.0)))
    assert not float(slope(1.0)) > 0
    assert float(slope(-0.25)) == pytest.approx(-1, rel=1e-3)
    lost = jax.jit(jax.grad(lambda c: jnp.nan * between(lambda x: x + c, 0.0, 1.0)))
    assert np.isnan(float(lost(-0.25)))
