"""Satisfaction with a tax: utility that is felt less where the average rate is felt to be high."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from ..axes import Array, Number
from ..errors import DataError


@final
class Satisfaction(eqx.Module):
    """r = 1/2 + 1/2 sigmoid(k (b - average rate)): 1 for who is satisfied, 1/2 for who is not.

    LLM Economist (Karten et al. 2025) asks a language model whether a worker is satisfied, and
    multiplies the utility he learns from by 1 or 1/2; this is the mean of that by its chance. Where
    utility is negative a factor of 1/2 raises it, so that `felt` can also take an amount off.

    Attributes:
        steepness: k, above 0.
        bearable: b, the average rate at which half are satisfied; one or by agent.

    Raises:
        DataError: a steepness that is not above 0.
    """

    steepness: Number
    bearable: Number | Float[Array, " agent"]

    def __check_init__(self) -> None:
        if not isinstance(self.steepness, jax.Array) and not self.steepness > 0:
            raise DataError(f"Satisfaction.steepness = {self.steepness}; it is above 0")

    def __call__(
        self, tax: Float[Array, " agent"], income: Float[Array, " agent"]
    ) -> Float[Array, " agent"]:
        """Factor r of each; who has no income pays no rate."""
        some = income > 0
        rate = jnp.where(some, tax / jnp.where(some, income, 1.0), 0.0)
        return 0.5 + 0.5 * jax.nn.sigmoid(self.steepness * (self.bearable - rate))

    def felt(
        self,
        utility: Float[Array, " agent"],
        tax: Float[Array, " agent"],
        income: Float[Array, " agent"],
        *,
        amount: Number | None = None,
    ) -> Float[Array, " agent"]:
        """Utility times r, or, with an `amount` in money, utility less amount * (1 - r)."""
        r = self(tax, income)
        return r * utility if amount is None else utility - amount * (1 - r)
