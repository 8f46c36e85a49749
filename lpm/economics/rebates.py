"""What is done with the revenue: paid back so that the budget balances."""

from typing import TypeAlias

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Bool, Float

from ..axes import Array, Number, Scalar
from ..errors import DataError
from .sums import total

Amounts: TypeAlias = Float[Array, " agent"]


def equal_rebate(
    tax: Amounts,
    weight: Amounts | None = None,
    alive: Bool[Array, " agent"] | None = None,
    *,
    spending: Number = 0.0,
) -> Scalar:
    """The same amount for everybody, R, so that sum of tax = N (R + spending).

    Balanced to 1e-6 of the sum of tax sizes. Negative where there is less revenue than spending.

    Args:
        tax: of each agent.
        weight: how many people an agent stands for; 1 if not given.
        alive: who counts; all if not given.
        spending: what the state keeps, per head.

    Raises:
        DataError: weights that are negative or sum to 0, nobody alive, a tax that is not finite.
            Inside `jit`, where nothing can be raised, the rebate is NaN instead.
    """
    heads = _heads(tax, weight, alive)
    people, revenue = total(heads), total(heads * jnp.where(heads != 0, tax, 0.0))
    return _balanced(revenue, people, heads, "people") - spending


def targeted_rebate(
    tax: Amounts,
    share: Amounts,
    weight: Amounts | None = None,
    alive: Bool[Array, " agent"] | None = None,
    *,
    spending: Number = 0.0,
) -> Amounts:
    """Amounts in proportion to `share`, such as 1 for the eligible and 0 for others, or need.

    The sum over people is revenue less spending. Arguments as in `equal_rebate`.

    Raises:
        DataError: as there, and shares that are negative or 0 for everybody.
    """
    heads = _heads(tax, weight, alive)
    revenue = total(heads * jnp.where(heads != 0, tax, 0.0)) - spending * total(heads)
    claims = heads * share
    unit = _balanced(revenue, total(claims), claims, "shares")
    return jnp.where(heads > 0, unit * share, 0.0)


def _heads(tax: Amounts, weight: Amounts | None, alive: Bool[Array, " agent"] | None) -> Amounts:
    heads = jnp.ones_like(tax) if weight is None else weight
    return heads if alive is None else jnp.where(alive, heads, 0.0)


def _balanced(revenue: Scalar, claims: Scalar, each: Amounts, what: str) -> Scalar:
    """Revenue per claim; an error, or NaN inside `jit`, where that cannot balance the budget."""
    least = jnp.min(each)
    fine = (claims > 0) & (least >= 0) & jnp.isfinite(revenue)
    if not isinstance(fine, Tracer) and not bool(fine):
        raise DataError(
            f"a rebate of {float(revenue):g} over {what} that sum to {float(claims):g}, the least "
            f"{float(least):g}: it cannot balance; revenue must be finite, {what} not negative and "
            "their sum above 0"
        )
    return jnp.where(fine, revenue / jnp.where(fine, claims, 1.0), jnp.nan)
