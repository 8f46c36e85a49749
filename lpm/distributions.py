"""Laws as functions: from random bits to numbers, and from numbers to log-probabilities.

Here nothing knows of slots, streams or estimators. Parameters lie in their domain, 0 included, and
have the shape of the result.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, ndtri, xlogy
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

Numbers: TypeAlias = Float[Array, "*shape"]
Flags: TypeAlias = Bool[Array, "*shape"]
# Two uniforms for each draw, independent of those of any other round.
Luck: TypeAlias = Callable[[Int[Array, ""]], tuple[Numbers, Numbers]]

ROUNDING = 1e-6  # how far a probability or a rate may leave its domain
_FEW = 10.0  # a mean below this is inverted term by term, above it draws are rejected
_TINY = float(jnp.finfo(jnp.float32).tiny)


def normal_from(uniform: Numbers, sign: UInt32[Array, "*shape"]) -> Numbers:
    """Standard normal from a uniform and the top bit of an independent word."""
    tail = ndtri(0.5 * uniform)
    return jnp.where(sign >> 31 == 0, tail, -tail)


def exponential_from(uniform: Numbers, side: UInt32[Array, "*shape"]) -> Numbers:
    """Exponential of mean 1 from a uniform and the top bit of an independent word."""
    tail = 0.5 * uniform
    return jnp.where(side >> 31 == 0, -jnp.log(tail), -jnp.log1p(-tail))


def poisson_from(uniform: Numbers, luck: Luck, rate: Numbers) -> Numbers:
    """Poisson counts: by inversion, and above a mean of 10 by rejection, if there are any."""
    many = rate >= _FEW
    few = jnp.where(many, 0.0, rate)
    counts = _invert(uniform, jnp.exp(-few), -jnp.expm1(-few), lambda k: few / (k + 1))

    def reject() -> Numbers:
        return _poisson(luck, many, jnp.maximum(rate, _FEW))

    return jnp.where(many, jax.lax.cond(jnp.any(many), reject, lambda: counts), counts)


def binomial_from(uniform: Numbers, luck: Luck, n: Numbers, p: Numbers) -> Numbers:
    """Binomial counts: by inversion, and above a mean of 10 by rejection, if there are any."""
    rarer = jnp.minimum(p, 1 - p)
    many = n * rarer >= _FEW
    few = jnp.where(many, 0.0, n)
    odds = rarer / (1 - rarer)
    none = few * jnp.log1p(-rarer)

    def ratio(k: Float[Array, ""]) -> Numbers:
        return jnp.maximum(few - k, 0) / (k + 1) * odds

    counts = _invert(uniform, jnp.exp(none), -jnp.expm1(none), ratio)

    def reject() -> Numbers:
        trials, chance = jnp.where(many, n, 100.0), jnp.where(many, rarer, 0.5)
        return _binomial(luck, many, trials, chance)

    counts = jnp.where(many, jax.lax.cond(jnp.any(many), reject, lambda: counts), counts)
    return jnp.where(p > 0.5, n - counts, counts)


def gamma_from(keys: Key[Array, " draw"], shape: Numbers) -> Numbers:
    """Gamma of scale 1 with its implicit derivative by `shape`; 0 where that is 0."""
    safe = jnp.where(shape > 0, shape, 1.0)
    drawn = jax.vmap(_gamma)(keys, safe.ravel())
    return jnp.where(shape > 0, drawn.reshape(shape.shape), 0.0)


def beta_from(keys: Key[Array, " draw"], a: Numbers, b: Numbers) -> Numbers:
    """Beta with its implicit derivatives; 0 where `a` is 0, and 1 where only `b` is."""
    inside = (a > 0) & (b > 0)
    safe = [jnp.where(inside, x, 1.0).ravel() for x in (a, b)]
    drawn = jax.vmap(_beta)(keys, *safe)
    return jnp.where(inside, drawn.reshape(a.shape), (a > 0).astype(jnp.float32))


def log_bernoulli(tossed: Numbers, p: Numbers) -> Numbers:
    """Log-probability of a coin; 0 without slope where it was certain."""
    inside = (p > _TINY) & (p < 1)
    safe = jnp.where(inside, p, 0.5)
    return jnp.where(inside, jnp.where(tossed > 0, jnp.log(safe), jnp.log1p(-safe)), 0.0)


def log_poisson(drawn: Numbers, rate: Numbers) -> Numbers:
    """Log-probability of a Poisson count; 0 without slope where the rate is 0."""
    inside = (rate > _TINY) & (rate < jnp.inf)
    safe = jnp.where(inside, rate, 1.0)
    return jnp.where(inside, xlogy(drawn, safe) - safe - gammaln(drawn + 1), 0.0)


def log_binomial(drawn: Numbers, n: Numbers, p: Numbers) -> Numbers:
    """Log-probability of a binomial count; 0 without slope where it was certain."""
    inside = (p > _TINY) & (p < 1) & (n > 0)
    safe = jnp.where(inside, p, 0.5)
    failed = n - drawn
    ways = gammaln(n + 1) - gammaln(drawn + 1) - gammaln(failed + 1)
    return jnp.where(inside, ways + drawn * jnp.log(safe) + failed * jnp.log1p(-safe), 0.0)


def shares(probs: Numbers) -> tuple[Numbers, Numbers]:
    """Probabilities that sum to 1, and their logarithms: -inf where 0.

    A row that is no distribution has NaN shares, and any logarithms.
    """
    total = jnp.sum(probs, axis=-1, keepdims=True)
    right = jnp.all(probs >= -ROUNDING, axis=-1, keepdims=True) & (total > 0) & (total < jnp.inf)
    share = valid(probs / jnp.where(right, total, 1.0), right)
    inside = share > _TINY
    return share, jnp.where(inside, jnp.log(jnp.where(inside, share, 1.0)), -jnp.inf)


def log_shares(logits: Numbers) -> tuple[Numbers, Numbers]:
    """The same two from logits."""
    right = jnp.isfinite(jnp.max(logits, axis=-1, keepdims=True))
    logs = jax.nn.log_softmax(jnp.where(right, logits, 0.0))
    return valid(jnp.exp(logs), right), logs


def probable(p: Numbers) -> Bool[Array, "*shape"]:
    """Where `p` is a probability, up to rounding."""
    return (p >= -ROUNDING) & (p <= 1 + ROUNDING)


def valid(value: Numbers, right: Bool[Array, "..."]) -> Numbers:
    """`value`, NaN where not `right`."""
    return jnp.where(right, value, jnp.nan)


def _invert(
    uniform: Numbers,
    mass: Numbers,
    above: Numbers,
    ratio: Callable[[Float[Array, ""]], Numbers],
) -> Numbers:
    """The count whose probability of being exceeded first falls to `uniform`.

    Small uniforms give large counts, because they are the finely resolved ones. `mass` is the
    probability of 0, `above` that of more, and `ratio(k)` the mass at k + 1 over that at k, which
    must fall with k. The tail is held between its first term and the geometric bound on it, so
    that rounding neither stretches nor cuts it.
    """

    def unfinished(state: tuple[Array, Array, Array, Array]) -> Array:
        return jnp.any(uniform < state[3])

    def advance(
        state: tuple[Array, Array, Array, Array],
    ) -> tuple[Array, Array, Array, Array]:
        k, count, mass, above = state
        count = count + (uniform < above)
        mass = mass * ratio(k)
        term, fall = mass * ratio(k + 1), ratio(k + 2)
        bound = jnp.where(fall < 1, term / jnp.where(fall < 1, 1 - fall, 1.0), 1.0)
        return k + 1, count, mass, jnp.clip(above - mass, term, bound)

    start = (jnp.zeros(()), jnp.zeros_like(uniform), mass, above)
    return jax.lax.while_loop(unfinished, advance, start)[1]


def _poisson(luck: Luck, wanted: Flags, mean: Numbers) -> Numbers:
    """Poisson counts of mean 10 or more, where wanted.

    The mass is taken relative to the mode by its deviance, so that single precision suffices.

    Source: Hörmann (1993), PTRS; Loader (2000) for the mass.
    """
    b = 0.931 + 2.53 * jnp.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2)

    def propose(u: Numbers, v: Numbers) -> tuple[Numbers, Flags]:
        side = 0.5 - jnp.abs(u)
        count = jnp.floor((2 * a / side + b) * u + mean + 0.43)
        height = jnp.log(v * inverse / (a / (side * side) + b))
        out = (count < 0) | ((side < 0.013) & (v > side))
        inside = jnp.maximum(count, 0)
        under = height <= _poisson_mass(inside, mean, inside - mean)
        return count, ((side >= 0.07) & (v <= squeeze)) | (~out & under)

    return _reject(luck, wanted, propose)


def _binomial(luck: Luck, wanted: Flags, n: Numbers, p: Numbers) -> Numbers:
    """Binomial counts of mean 10 or more with `p` up to a half, where wanted.

    The mass is that of two Poisson counts over that of their sum, each by its deviance.

    Source: Hörmann (1993), BTRS; Loader (2000) for the mass.
    """
    mean, rest = n * p, n * (1 - p)
    spread = jnp.sqrt(mean * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    height = (2.83 + 5.1 / b) * spread
    squeeze = 0.92 - 4.2 / b

    def mass(count: Numbers) -> Numbers:
        excess = count - mean
        return _poisson_mass(count, mean, excess) + _poisson_mass(n - count, rest, -excess)

    most = mass(jnp.floor((n + 1) * p))

    def propose(u: Numbers, v: Numbers) -> tuple[Numbers, Flags]:
        side = 0.5 - jnp.abs(u)
        count = jnp.floor((2 * a / side + b) * u + mean + 0.5)
        inside = (count >= 0) & (count <= n)
        under = jnp.log(v * height / (a / (side * side) + b)) <= mass(jnp.clip(count, 0, n)) - most
        return count, ((side >= 0.07) & (v <= squeeze)) | (inside & under)

    return _reject(luck, wanted, propose)


def _reject(
    luck: Luck, wanted: Flags, propose: Callable[[Numbers, Numbers], tuple[Numbers, Flags]]
) -> Numbers:
    """The first count of each draw that is taken; 0 where none is wanted.

    `propose` makes a count of a uniform about 0 and one above it, and says whether it is taken.
    All draws go through the rounds together, so that their bits cost what those of a uniform do.
    """

    def another(state: tuple[Array, Numbers, Flags]) -> tuple[Array, Numbers, Flags]:
        number, counts, missing = state
        u, v = luck(number)
        count, taken = propose(u - 0.5, v)
        return number + 1, jnp.where(missing & taken, count, counts), missing & ~taken

    start = (jnp.int32(0), jnp.zeros(wanted.shape, jnp.float32), wanted)
    return jax.lax.while_loop(lambda state: jnp.any(state[2]), another, start)[1]


def _poisson_mass(count: Numbers, mean: Numbers, more: Numbers) -> Numbers:
    """Log-probability of `count`, which is `more` above the mean; by Stirling's series from 5 on.

    `more` is given, since the difference of two large numbers has lost its digits.
    """
    excess = more / mean
    series = jnp.zeros(())
    for n in range(10, 1, -1):
        series = series * excess + (-1) ** n / (n * (n - 1))
    near = jnp.abs(excess) < 0.15
    ratio = jnp.maximum(1 + excess, _TINY)
    deviance = mean * jnp.where(near, series * excess**2, ratio * jnp.log(ratio) - excess)
    large = jnp.maximum(count, 5)
    remainder = 1 / (12 * large) - 1 / (360 * large**3)
    stirling = -deviance - remainder - 0.5 * jnp.log(2 * jnp.pi * large)
    # Nested, for a table look-up would keep the whole loop from vectorising.
    two, six, many = (float(np.log(n)) for n in (2, 6, 24))
    factorial = jnp.where(count < 3, two, jnp.where(count < 4, six, many))
    exact = count * jnp.log(mean) - mean - jnp.where(count < 2, 0.0, factorial)
    return jnp.where(count < 5, exact, stirling)


# Single precision is said here, for the library would follow the x64 flag.
def _gamma(key: Key[Array, ""], shape: Float[Array, ""]) -> Float[Array, ""]:
    """One gamma variate."""
    return jax.random.gamma(key, shape, dtype=jnp.float32)


def _beta(key: Key[Array, ""], a: Float[Array, ""], b: Float[Array, ""]) -> Float[Array, ""]:
    """One beta variate."""
    return jax.random.beta(key, a, b, dtype=jnp.float32)
