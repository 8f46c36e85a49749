"""Who has how much: people in order of income, Gini coefficients and means by decile."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from ..axes import Array, Scalar
from .sums import running, total
from .welfare import head_shares


class Ranking(eqx.Module):
    """People in rising order of something; sorting is what costs, so rank once and use it often.

    Attributes:
        order: agents, from the lowest.
        share: of all heads, of each in that order; 0 for who does not count.
        upto: share of heads up to and with each.
    """

    order: Int[Array, " agent"]
    share: Float[Array, " agent"]
    upto: Float[Array, " agent"]

    @classmethod
    def of(
        cls,
        values: Float[Array, " agent"],
        weight: Float[Array, " agent"] | None = None,
        where: Bool[Array, " agent"] | None = None,
    ) -> "Ranking":
        """Rank by `values`; a gradient takes the order as given, which is right to first order."""
        order = jnp.argsort(jax.lax.stop_gradient(values))
        share = head_shares(values, weight, where)[order]
        return cls(order, share, running(share))

    def among(self, where: Bool[Array, " agent"]) -> "Ranking":
        """Of some of the people alone, in the same order."""
        kept = jnp.where(where[self.order], self.share, 0.0)
        whole = total(kept)
        share = kept / jnp.where(whole > 0, whole, 1.0)
        return Ranking(self.order, share, running(share))

    def gini(self, x: Float[Array, " agent"]) -> Scalar:
        """Gini coefficient of `x`, which must rise with what was ranked by.

        Half the mean difference between two heads over the mean. 0 where nobody has anything; not
        confined to 1 where some have less than nothing.
        """
        ordered = self.share * x[self.order]
        mean = total(ordered)
        some = jnp.abs(mean) > 0
        spread = total(ordered * (2 * self.upto - self.share - 1))
        return jnp.where(some, spread / jnp.where(some, mean, 1.0), 0.0)

    def means(self, x: Float[Array, " agent"], parts: int = 10) -> Float[Array, " part"]:
        """Mean of `x` in each of so many equal parts of the heads, from the lowest.

        Who is on the border between two parts counts in both, each with the share that falls there.
        """
        ordered = x[self.order]

        def mean(part: Int[Array, ""]) -> Scalar:
            low, high = part / parts, (part + 1) / parts
            held = jnp.clip(self.upto, low, high) - jnp.clip(self.upto - self.share, low, high)
            heads = total(held)
            return total(held * ordered) / jnp.where(heads > 0, heads, 1.0)

        return jax.lax.map(mean, jnp.arange(parts))
