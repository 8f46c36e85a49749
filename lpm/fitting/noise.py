"""How a published number scatters about what the model expects: log-likelihoods of counts.

Each is the log-probability of the saturated model, worked out once in float64, less half the
deviance, written so that nothing large cancels in float32: counts in the millions keep their slope.
"""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betaln, gammaln
from jaxtyping import Float, Key
from scipy import special

from ..axes import Array
from ..errors import FittingError

Counts = Float[np.ndarray, "*shape"]
Means = Float[Array, "*shape"]


@runtime_checkable
class Noise(Protocol):
    """A law for observed numbers given their expectation.

    A law that also has `residuals(observed, mean)` of the same shape, half of whose squares stand
    for its negative log-likelihood up to a constant, can be fitted by least squares. One that has
    `sample(key, mean, observed)`, numbers drawn about their mean, can have its data replicated;
    `observed` gives the totals that some laws keep.
    """

    def log_likelihood(self, observed: Counts, mean: Means) -> Means:
        """Log-probability of each observed number; 0 where it is missing (not a number)."""
        ...


@final
@dataclass(frozen=True)
class Poisson:
    """Counts whose variance is their mean."""

    def log_likelihood(self, observed: Counts, mean: Means) -> Means:
        """Log-probability of each count."""
        y, there = _known(observed)
        best = special.xlogy(y, y) - y - special.gammaln(y + 1)
        return jnp.where(there, best.astype(np.float32) - _excess(y, mean, mean - y), 0.0)

    def sample(self, key: Key[Array, ""], mean: Means, observed: Counts | None = None) -> Means:  # noqa: ARG002
        """Counts about their means."""
        return jax.random.poisson(key, jnp.maximum(mean, 0.0)).astype(jnp.float32)

    def residuals(self, observed: Counts, mean: Means) -> Means:
        """Signed roots of the deviance; 0 where it is missing."""
        y, there = _known(observed)
        return jnp.where(there, _root(_excess(y, mean, mean - y), mean - y), 0.0)


@final
@dataclass(frozen=True)
class NegativeBinomial:
    """Counts with variance `mean + mean**2 / dispersion`; Poisson as dispersion grows.

    Raises:
        FittingError: dispersion is not above 0.
    """

    dispersion: float = 10.0

    def __post_init__(self) -> None:
        _positive("dispersion", self.dispersion)

    def log_likelihood(self, observed: Counts, mean: Means) -> Means:
        """Log-probability of each count."""
        y, there = _known(observed)
        k = self.dispersion
        best = special.gammaln(y + k) - special.gammaln(k) - special.gammaln(y + 1)
        best = best + special.xlogy(y, y) + k * np.log(k) - (y + k) * np.log(y + k)
        return jnp.where(there, best.astype(np.float32) - self._half(y, mean), 0.0)

    def sample(self, key: Key[Array, ""], mean: Means, observed: Counts | None = None) -> Means:  # noqa: ARG002
        """Counts about their means: Poisson, with a gamma-distributed mean."""
        uneven, count = jax.random.split(key)
        rate = jax.random.gamma(uneven, self.dispersion, mean.shape) / self.dispersion
        return jax.random.poisson(count, rate * jnp.maximum(mean, 0.0)).astype(jnp.float32)

    def residuals(self, observed: Counts, mean: Means) -> Means:
        """Signed roots of the deviance; 0 where it is missing."""
        y, there = _known(observed)
        return jnp.where(there, _root(self._half(y, mean), mean - y), 0.0)

    def _half(self, y: np.ndarray, mean: Means) -> Means:
        spread = jnp.asarray(y + self.dispersion, jnp.float32)
        return _excess(y, mean, spread * jnp.log1p((mean - y) / spread))


@final
@dataclass(frozen=True)
class Normal:
    """Numbers about their mean with one standard deviation: what least squares assume.

    Raises:
        FittingError: the standard deviation is not above 0.
    """

    sd: float = 1.0

    def __post_init__(self) -> None:
        _positive("sd", self.sd)

    def log_likelihood(self, observed: Counts, mean: Means) -> Means:
        """Log-density of each number."""
        there = ~np.isnan(observed)
        z = self.residuals(observed, mean)
        return jnp.where(there, -0.5 * z**2 - np.log(self.sd) - 0.5 * np.log(2 * np.pi), 0.0)

    def sample(self, key: Key[Array, ""], mean: Means, observed: Counts | None = None) -> Means:  # noqa: ARG002
        """Numbers about their means; what falls below 0, which no target may, is 0."""
        return jnp.maximum(mean + self.sd * jax.random.normal(key, mean.shape), 0.0)

    def residuals(self, observed: Counts, mean: Means) -> Means:
        """Misses in standard deviations; 0 where it is missing."""
        y, there = _known(observed)
        return jnp.where(there, (mean - y.astype(np.float32)) / self.sd, 0.0)


@final
@dataclass(frozen=True)
class LogNormal:
    """Numbers whose `log(1 + x)` is normal about that of their mean, with one standard deviation.

    A density of `log(1 + x)`, not of `x`.

    Raises:
        FittingError: the standard deviation is not above 0.
    """

    sd: float = 0.2

    def __post_init__(self) -> None:
        _positive("sd", self.sd)

    def log_likelihood(self, observed: Counts, mean: Means) -> Means:
        """Log-density of each `log(1 + x)`."""
        there = ~np.isnan(observed)
        z = self.residuals(observed, mean)
        return jnp.where(there, -0.5 * z**2 - np.log(self.sd) - 0.5 * np.log(2 * np.pi), 0.0)

    def sample(self, key: Key[Array, ""], mean: Means, observed: Counts | None = None) -> Means:  # noqa: ARG002
        """Numbers about their means; what falls below 0, which no target may, is 0."""
        z = self.sd * jax.random.normal(key, mean.shape)
        return jnp.maximum(jnp.expm1(jnp.log1p(mean) + z), 0.0)

    def residuals(self, observed: Counts, mean: Means) -> Means:
        """Misses of `log(1 + x)` in standard deviations; 0 where it is missing."""
        y, there = _known(observed)
        z = (jnp.log1p(mean) - np.log1p(y).astype(np.float32)) / self.sd
        return jnp.where(there, z, 0.0)


@final
@dataclass(frozen=True)
class BetaBinomial:
    """Positives among `trials`, the chance itself beta-distributed about its mean.

    `mean` is the chance, in (0, 1). As `concentration` grows the counts become binomial. Computed
    in float32, to about 1e-6 of `trials`.

    Raises:
        FittingError: concentration is not above 0, or trials below the count.
    """

    trials: float | Float[np.ndarray, "*shape"]
    concentration: float = 100.0

    def __post_init__(self) -> None:
        _positive("concentration", self.concentration)

    def log_likelihood(self, observed: Counts, mean: Means) -> Means:
        """Log-probability of each count."""
        y, there = _known(observed)
        n = np.broadcast_to(np.asarray(self.trials, float), y.shape)
        if (n[there] < y[there]).any():
            raise FittingError(f"observed {y[there].max():g} positives among {n[there].min():g}")
        chosen = special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)
        a = jnp.clip(mean, 1e-6, 1 - 1e-6) * self.concentration
        b = self.concentration - a
        found = betaln(jnp.asarray(y, jnp.float32) + a, jnp.asarray(n - y, jnp.float32) + b)
        return jnp.where(there, chosen.astype(np.float32) + found - betaln(a, b), 0.0)

    def sample(self, key: Key[Array, ""], mean: Means, observed: Counts | None = None) -> Means:  # noqa: ARG002
        """Positives among the trials."""
        first, second = jax.random.split(key)
        a = jnp.clip(mean, 1e-6, 1 - 1e-6) * self.concentration
        chance = jax.random.beta(first, a, self.concentration - a)
        trials = jnp.broadcast_to(jnp.asarray(self.trials, jnp.float32), mean.shape)
        return jax.random.binomial(second, trials, chance, dtype=jnp.float32)

    def residuals(self, observed: Counts, mean: Means) -> Means:
        """Misses in standard deviations (Pearson's); 0 where it is missing."""
        y, there = _known(observed)
        n = np.broadcast_to(np.asarray(self.trials, float), y.shape)
        chance = jnp.clip(mean, 1e-6, 1 - 1e-6)
        spread = n * (1 + (n - 1) / (self.concentration + 1))
        return jnp.where(there, (n * chance - y) / jnp.sqrt(spread * chance * (1 - chance)), 0.0)


@final
@dataclass(frozen=True)
class DirichletMultinomial:
    """Counts by class (the last axis) of a given total, classes more uneven than chance makes them.

    `mean` is in proportion to the expected share of each class. The log-probability of a period
    stands in its first class, the others hold 0; a period with a class missing counts nothing.

    Raises:
        FittingError: concentration is not above 0.
    """

    concentration: float = 100.0

    def __post_init__(self) -> None:
        _positive("concentration", self.concentration)

    def log_likelihood(self, observed: Counts, mean: Means) -> Means:
        """Log-probability of each period's counts."""
        y, there = _known(observed)
        whole = there.all(axis=-1)
        n = y.sum(axis=-1)
        ways = special.gammaln(n + 1) - special.gammaln(y + 1).sum(axis=-1)
        a = self.concentration * mean / jnp.maximum(mean.sum(axis=-1, keepdims=True), 1e-30)
        a = jnp.maximum(a, 1e-6)
        c = self.concentration
        total = special.gammaln(c) - special.gammaln(n + c)
        parts = (gammaln(jnp.asarray(y, jnp.float32) + a) - gammaln(a)).sum(axis=-1)
        found = jnp.where(whole, (ways + total).astype(np.float32) + parts, 0.0)
        return jnp.zeros(y.shape).at[..., 0].set(found)

    def sample(self, key: Key[Array, ""], mean: Means, observed: Counts | None = None) -> Means:
        """Counts by class, as many in a period as were `observed`.

        Raises:
            FittingError: no observed counts, whose totals it keeps.
        """
        if observed is None:
            raise FittingError("DirichletMultinomial draws given totals; pass the observed counts")
        first, second = jax.random.split(key)
        total = _known(observed)[0].sum(axis=-1).astype(np.float32)
        a = self.concentration * mean / jnp.maximum(mean.sum(axis=-1, keepdims=True), 1e-30)
        shares = jax.random.dirichlet(first, jnp.maximum(a, 1e-6))
        return jax.random.multinomial(second, jnp.asarray(total), shares, dtype=jnp.float32)

    def residuals(self, observed: Counts, mean: Means) -> Means:
        """Misses by class, whose squares add up to Pearson's chi-square over the dispersion."""
        y, there = _known(observed)
        whole = there.all(axis=-1, keepdims=True)
        n = y.sum(axis=-1, keepdims=True)
        p = mean / jnp.maximum(mean.sum(axis=-1, keepdims=True), 1e-30)
        p = jnp.maximum(p, 1e-6)
        wider = np.maximum(n, 1.0) * (n + self.concentration) / (1 + self.concentration)
        return jnp.where(whole, (n * p - y) / jnp.sqrt(wider * p), 0.0)


def _known(observed: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Observed numbers with 0 for the missing, and which are there."""
    there = ~np.isnan(observed)
    return np.where(there, observed, 0.0), there


def _excess(y: np.ndarray, mean: jax.Array, growth: jax.Array) -> jax.Array:
    """`growth - y log(mean / y)`, half a deviance, without taking large numbers from each other."""
    safe = jnp.asarray(np.where(y > 0, y, 1.0), jnp.float32)
    ratio = jnp.maximum((mean - safe) / safe, -1 + 1e-7)
    return growth - jnp.where(y > 0, safe * jnp.log1p(ratio), 0.0)


def _root(half: jax.Array, more: jax.Array) -> jax.Array:
    """The root of twice `half`, with the sign of `more`; its slope stays finite at 0."""
    tiny = half < 1e-12
    return jnp.where(tiny, 0.0, jnp.sign(more) * jnp.sqrt(2 * jnp.where(tiny, 1.0, half)))


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise FittingError(f"{name} is {value}; give a number above 0")
