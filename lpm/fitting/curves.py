"""Parameters by region and week as functions of weights: a network, or pieces that are constant."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

_SCALE = 26  # Weeks that are one unit of time for a network.

Weights = Any
Weekly = Float[Array, "region week number"]
Steady = Float[Array, "region constant"]
Mix = Float[Array, "region known"]
Inputs = Float[Array, "region week covariate"]


@runtime_checkable
class Curve(Protocol):
    """A way to give unconstrained parameters, as moves from where the fit starts.

    `mix` says of which regions one is made: a row of an identity for a region that was fitted,
    equal shares for one that was not.
    """

    def begin(self, key: Key[Array, ""]) -> Weights:
        """Weights that move nothing."""
        ...

    def __call__(self, weights: Weights, covariates: Inputs, mix: Mix) -> tuple[Weekly, Steady]:
        """Moves by week, and moves that stay."""
        ...

    def penalty(self, weights: Weights, weekly: Weekly) -> Float[Array, ""]:
        """Negative log of the prior of weights and moves, but for a constant."""
        ...

    def misses(self, weekly: Weekly) -> Float[Array, " miss"]:
        """What the prior of the moves adds to a fit without gradients, as further residuals."""
        ...

    def split(self, weights: Weights) -> tuple[Weights, Weights]:
        """The weights that a fit without gradients moves, and the others."""
        ...

    def merge(self, moved: Weights, others: Weights) -> Weights:
        """Back together."""
        ...


class _Encoder(nn.Module):
    """A recurrent network over covariates, region and time; its last layer starts at zero."""

    hidden: int
    embedding: int
    regions: int
    weekly: int
    steady: int

    @nn.compact
    def __call__(self, covariates: Array, mix: Array, clock: Array) -> tuple[Array, Array]:
        table = self.param("embedding", nn.initializers.normal(0.1), (self.regions, self.embedding))
        own = mix @ table
        count, weeks = covariates.shape[:2]
        wide = jnp.broadcast_to(own[:, None], (count, weeks, self.embedding))
        time = jnp.broadcast_to(clock[None, :, None], (count, weeks, 1))
        told = jnp.concatenate([covariates, wide, time], axis=-1)
        seen: Any = nn.RNN(nn.GRUCell(self.hidden), name="memory")(
            nn.tanh(nn.Dense(self.hidden, name="entry")(told))
        )
        # Covariates also pass by the memory, so that what is linear in them goes on beyond the
        # values that were seen.
        features = jnp.concatenate([seen, covariates, wide], axis=-1)
        zero = nn.initializers.zeros
        weekly = nn.Dense(self.weekly, kernel_init=zero, name="head")(features)
        steady = jnp.zeros((count, 0))
        if self.steady:
            steady = nn.Dense(self.steady, kernel_init=zero, name="constant")(own)
        return weekly, steady


@dataclass(frozen=True)
class Network:
    """Covariates, a vector for each region and time, through a gated recurrent unit.

    Beyond the weeks that are fitted time stands still, since nothing is known of it there.

    Attributes:
        regions: that are fitted.
        weekly, steady: numbers by week, and once.
        weeks: that are fitted.
        covariates: of a week.
        hidden: width of the memory.
        embedding: length of a region's vector.
        smoothness: expected move of a parameter from one week to the next.
        spread: expected size of the entries of a region's vector.
        decay: of the other weights, whose prior variance is its inverse.

    Source: Cho et al. (2014), arXiv 1406.1078, for the unit.
    """

    regions: int
    weekly: int
    steady: int
    weeks: int
    covariates: int
    hidden: int = 16
    embedding: int = 2
    smoothness: float = 0.25
    spread: float = 0.3
    decay: float = 1.0

    @property
    def _module(self) -> _Encoder:
        return _Encoder(self.hidden, self.embedding, self.regions, self.weekly, self.steady)

    def begin(self, key: Key[Array, ""]) -> Weights:
        """Weights whose last layer is zero."""
        covariates = jnp.zeros((self.regions, 1, self.covariates))
        return self._module.init(key, covariates, jnp.eye(self.regions), jnp.zeros(1))

    def __call__(self, weights: Weights, covariates: Inputs, mix: Mix) -> tuple[Weekly, Steady]:
        """Moves by week, and moves that stay."""
        clock = jnp.minimum(jnp.arange(covariates.shape[1]), self.weeks - 1) / _SCALE
        return self._module.apply(weights, covariates, mix, clock)  # pyright: ignore[reportReturnType]

    def penalty(self, weights: Weights, weekly: Weekly) -> Float[Array, ""]:
        """Smooth in time, regions near each other, small weights."""
        inner = dict(weights["params"])
        own = inner.pop("embedding")
        total = 0.5 * jnp.sum(self.misses(weekly) ** 2) + jnp.sum(own**2) / (2 * self.spread**2)
        others = sum(jnp.sum(x**2) for x in jax.tree.leaves(inner))
        return total + 0.5 * self.decay * others

    def misses(self, weekly: Weekly) -> Float[Array, " miss"]:
        """Moves from week to week, in the size that is expected of them."""
        return jnp.diff(weekly, axis=1).ravel() / self.smoothness

    def split(self, weights: Weights) -> tuple[Weights, Weights]:
        """The last layers, and all that is behind them."""
        inner = weights["params"]
        last = ("head", "constant")
        moved = {name: x for name, x in inner.items() if name in last}
        return moved, {name: x for name, x in inner.items() if name not in last}

    def merge(self, moved: Weights, others: Weights) -> Weights:
        """Back together."""
        return {"params": {**others, **moved}}


@dataclass(frozen=True)
class Pieces:
    """Parameters of each region that stay the same for some weeks, without covariates.

    Beyond the weeks that are fitted the last piece goes on; a region that was not fitted has the
    mean of those that were.

    Attributes:
        regions, weekly, steady, weeks: as of `Network`.
        count: pieces; one is a constant.
    """

    regions: int
    weekly: int
    steady: int
    weeks: int
    count: int = 1

    def begin(self, key: Key[Array, ""]) -> Weights:  # noqa: ARG002
        """Zeros."""
        return {
            "weekly": jnp.zeros((self.regions, self.count, self.weekly)),
            "steady": jnp.zeros((self.regions, self.steady)),
        }

    def __call__(self, weights: Weights, covariates: Inputs, mix: Mix) -> tuple[Weekly, Steady]:
        """Moves by week, and moves that stay."""
        week = np.arange(covariates.shape[1])
        piece = np.minimum(week * self.count // self.weeks, self.count - 1)
        weekly = jnp.einsum("rk,kpn->rpn", mix, weights["weekly"])
        return weekly[:, piece], mix @ weights["steady"]

    def penalty(self, weights: Weights, weekly: Weekly) -> Float[Array, ""]:  # noqa: ARG002
        """None but a wide prior, which keeps a piece without data where it starts."""
        return sum((0.02 * jnp.sum(x**2) for x in jax.tree.leaves(weights)), jnp.zeros(()))

    def misses(self, weekly: Weekly) -> Float[Array, " miss"]:
        """None."""
        return weekly.ravel()[:0]

    def split(self, weights: Weights) -> tuple[Weights, Weights]:
        """All of them, and nothing."""
        return weights, {}

    def merge(self, moved: Weights, others: Weights) -> Weights:  # noqa: ARG002
        """Back together."""
        return moved
