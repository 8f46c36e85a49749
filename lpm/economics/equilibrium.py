"""Prices and other fixed points inside a step, differentiated through what they solve.

A gradient passes by the implicit function theorem: it costs one linear solve in as many unknowns as
there are prices, whatever the number of iterations, and memory does not grow with them. A solver
that has not arrived gives NaN, which the run reports as a fault of the variable that holds it.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import optimistix as optx

from ..axes import Array, Bool, Float, Number

Prices: TypeAlias = Float[Array, "*price"]


def clear(
    excess: Callable[[Prices], Prices],
    guess: Prices,
    *,
    tolerance: float = 1e-5,
    most: int = 64,
) -> Prices:
    """Positive prices at which excess demand is 0, by Newton's method on their logarithms.

    Args:
        excess: demand less supply at given prices, in units in which 1 is much, such as a share of
            supply. It may sum over millions of agents; its derivative is taken forwards, once per
            price.
        guess: positive, not far off: last step's prices, say.
        tolerance: largest excess that is taken for 0.
        most: iterations; NaN where they do not suffice.

    Newton's method is that of optimistix (Rader et al. 2024).
    """

    def gap(logs: Prices) -> Prices:
        return excess(jnp.exp(logs))

    logs, fine = _solve(gap, jnp.log(guess), tolerance, most)
    return _number(fine, jnp.exp(logs))


def fixed_point(
    update: Callable[[Prices], Prices],
    guess: Prices,
    *,
    tolerance: float = 1e-5,
    most: int = 64,
) -> Prices:
    """The value that `update` leaves as it is, by Newton's method; NaN where it is not found.

    Needs no contraction, unlike iterating `update`. `tolerance` is on the change, in the unit of
    the value.
    """
    found, fine = _solve(lambda x: update(x) - x, guess, tolerance, most)
    return _number(fine, found)


def between(
    excess: Callable[[Float[Array, ""]], Float[Array, ""]],
    low: Number,
    high: Number,
    *,
    tolerance: float = 1e-6,
    most: int = 64,
) -> Float[Array, ""]:
    """A single unknown in [low, high] at which `excess` is 0, by bisection; NaN if there is none.

    For what is not smooth enough for Newton's method. The derivative is that of the implicit
    function theorem; `tolerance` is relative to the width of the bracket.
    """
    low, high = (jnp.asarray(x, jnp.float32) for x in (low, high))

    def scaled(share: Float[Array, ""]) -> Float[Array, ""]:
        return excess(low + share * (high - low))

    zero, one = jnp.zeros(()), jnp.ones(())
    ends = jax.lax.stop_gradient(scaled(zero)), jax.lax.stop_gradient(scaled(one))
    inside = jnp.sign(ends[0]) * jnp.sign(ends[1]) <= 0

    def equation(share: Float[Array, ""]) -> Float[Array, ""]:
        # The solver would stop the program, from the device, where there is no root.
        return jnp.where(inside, scaled(share), share - 0.5)

    def find(
        equation: Callable[[Prices], Prices], start: Prices
    ) -> tuple[Prices, Float[Array, ""]]:
        found = optx.root_find(
            lambda share, _: equation(share),
            optx.Bisection(
                rtol=tolerance, atol=tolerance, flip="detect", expand_if_necessary=False
            ),
            start,
            options={"lower": zero, "upper": one},
            max_steps=most,
            throw=False,
        )
        return found.value, (found.result == optx.RESULTS.successful).astype(jnp.float32)

    half = jnp.asarray(0.5, jnp.float32)
    share, arrived = jax.lax.custom_root(equation, half, find, _solve_linear, has_aux=True)
    return _number(inside & (arrived > 0), low + share * (high - low))


def _solve(
    gap: Callable[[Prices], Prices], guess: Prices, tolerance: float, most: int
) -> tuple[Prices, Bool[Array, ""]]:
    """Where the solver stopped, and whether the gap is within the tolerance there."""

    def find(equation: Callable[[Prices], Prices], start: Prices) -> Prices:
        # The solver's own test is on its step; what counts here is the gap.
        return optx.root_find(
            lambda x, _: equation(x),
            optx.Newton(rtol=1e-6, atol=min(tolerance, 1e-6)),
            start,
            max_steps=most,
            throw=False,
        ).value

    found = jax.lax.custom_root(gap, guess, find, _solve_linear)
    size = jnp.max(jnp.abs(jax.lax.stop_gradient(gap(found))))
    return found, size <= tolerance


def _number(fine: Bool[Array, ""], value: Prices) -> Prices:
    """The value, or NaN.

    By 0/0, since exp(where(fine, value, nan)), compiled in one for CPUs, is neither of the two.
    """
    mark = fine.astype(value.dtype)
    return value * (mark / mark)


def _solve_linear(linear: Callable[[Prices], Prices], right: Prices) -> Prices:
    """Few unknowns, so the whole matrix; NaN, and no end of the program, where it is singular."""
    matrix = jax.jacfwd(linear)(right).reshape(right.size, right.size)
    return jnp.linalg.solve(matrix, right.reshape(-1)).reshape(right.shape)
