"""Draw: one process's randomness in one step, and how a gradient passes through it."""

from collections.abc import Callable, Mapping
from math import prod
from typing import TypeAlias
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np
from jax import core
from jax.extend import core as extension
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from .axes import AGENT, Axis, Lengths, Scalar, axis_parts
from .counter import fold, integer_from, keys_from, uniform_from, uniform_pair, word_pair
from .distributions import (
    ROUNDING,
    Luck,
    beta_from,
    binomial_from,
    exponential_from,
    gamma_from,
    log_bernoulli,
    log_binomial,
    log_poisson,
    log_shares,
    normal_from,
    poisson_from,
    probable,
    shares,
    valid,
)
from .errors import ScenarioError, listing

Numbers: TypeAlias = Float[Array, "..."]
Bits: TypeAlias = UInt32[Array, "..."]

ESTIMATORS = ("stop", "straight_through", "mean_field", "score")
# Older releases have it in `jax.core`, where newer ones warn.
_OWNER = extension if hasattr(extension, "get_opaque_trace_state") else core
_trace_state = _OWNER.get_opaque_trace_state
_LOOP = 0x10000000  # sets the streams of `at` apart from those of the calls


class Draw:
    """Random numbers of one process in one step; each call has its own stream.

    Bits belong to slots: an agent's number depends on run key, step, process name, number of the
    call and its slot, and on nothing else. Renaming a process changes its numbers. In an inner
    loop use ``draw.at(i)``, for the number of the call is fixed when the loop is traced.

    Continuous draws are reparameterised. What a gradient sees of a discrete one is `estimator`:
    ``stop`` nothing; ``straight_through`` the derivative of its mean; ``mean_field`` the mean
    itself, in place of the draw; ``score`` nothing, but `log_probability` collects what the
    likelihood ratio needs. An ordinary object, not a PyTree: it never crosses a jit boundary.

    A parameter outside its domain gives NaN (an index: -1), which the run reports as a fault.

    Args:
        key: the two words of the run key.
        step: number of the step; may be traced.
        name: name of the process, which seeds its streams.
        slot: identity of each agent, in storage order.
        alive: who counts in `log_probability`; everyone when None.
        sizes: length of each axis.
        estimator: one of `ESTIMATORS`.
        generation: how often each slot has been reused, where slots are.

    Raises:
        ScenarioError: no such estimator.
    """

    def __init__(
        self,
        key: UInt32[Array, " 2"],
        step: ArrayLike,
        name: str,
        *,
        slot: Int[Array, " agent"],
        alive: Bool[Array, " agent"] | None = None,
        sizes: Mapping[str, int] | None = None,
        estimator: str = "stop",
        generation: Int[Array, " agent"] | None = None,
    ) -> None:
        if estimator not in ESTIMATORS:
            raise ScenarioError(f"no estimator {estimator!r}; there are {listing(ESTIMATORS)}")
        self._name, self._slot = name, slot
        self._alive = alive
        self._generation = generation
        self._lengths = Lengths(f"a draw in `{name}`", {AGENT: slot.shape[0], **(sizes or {})})
        self._estimator = estimator
        self._calls = 0
        self._words = fold(key, step, crc32(name.encode()))
        self._ledger = _Ledger()

    @property
    def estimator(self) -> str:
        """How a gradient passes a discrete draw in this run."""
        return self._estimator

    @property
    def log_probability(self) -> Scalar:
        """Summed log-probability of the discrete draws so far, under ``score``; else 0."""
        return self._ledger.total

    def at(self, i: ArrayLike) -> "Draw":
        """The randomness of iteration `i` of an inner loop; `i` may be traced."""
        self._calls += 1
        child = object.__new__(Draw)
        child.__dict__.update(self.__dict__, _calls=0)
        child._words = fold(fold(self._words, self._calls, _LOOP), i, _LOOP)
        return child

    def discount(self, due: Bool[Array, ""], before: Scalar) -> None:
        """Count draws since `log_probability` was `before` only where `due`."""
        self._ledger.total = before + jnp.where(due, self._ledger.total - before, 0.0)

    def shared(self, x: Numbers) -> Numbers:
        """`x` itself, marked as common to a whole population: `lineage` follows it in the mean."""
        return x

    def uniform(self, axis: Axis) -> Numbers:
        """Uniform in (0, 1), never 0 or 1; values near 0 are resolved to 2**-64."""
        return uniform_from(*self._bits(axis)(0))

    def normal(self, axis: Axis) -> Numbers:
        """Standard normal, by inversion; both tails reach 9 standard deviations."""
        bits = self._bits(axis)
        return normal_from(uniform_from(*bits(0)), bits(1)[0])

    def exponential(self, axis: Axis) -> Numbers:
        """Exponential of mean 1; exact in both tails, from 2**-65 to 45."""
        bits = self._bits(axis)
        return exponential_from(uniform_from(*bits(0)), bits(1)[0])

    def integers(self, axis: Axis, low: ArrayLike, high: ArrayLike) -> Int[Array, "..."]:
        """Int32 in [low, high), with bias below 2**-32; `low` where a traced range is empty.

        Raises:
            ScenarioError: the range is empty and known.
        """
        known = not isinstance(low, jax.Array) and not isinstance(high, jax.Array)
        if known and np.any(np.asarray(high) <= np.asarray(low)):
            raise ScenarioError(f"integers from {low} to {high} in `{self._name}` are none")
        shape = self._lengths.shape(axis)
        start = self._lengths.fit(low, shape, jnp.int32)
        stop = self._lengths.fit(high, shape, jnp.int32)
        span = jnp.where(stop > start, stop.astype(jnp.uint32) - start.astype(jnp.uint32), 0)
        drawn = integer_from(*self._bits(axis)(0), span)
        return (start.astype(jnp.uint32) + drawn).astype(jnp.int32)

    def bernoulli(self, p: ArrayLike, axis: Axis | None = None, *, among: ArrayLike = 1) -> Numbers:
        """Float 1 with probability `p` times `among`, else 0; NaN where that is outside [0, 1].

        Right to a relative 2**-23 down to 2**-40; it may leave [0, 1] by rounding, 1e-6. `among`,
        1 for whom it can happen and else 0, is a factor that `lineage` keeps apart.
        """
        parts, (p,) = self._parameters(axis, jnp.multiply(among, p))
        right = probable(p)
        p = valid(p, right)

        def coin() -> Numbers:
            tossed = uniform_from(*self._bits(parts)(0)) < p
            return valid(tossed.astype(jnp.float32), right)

        return self._discrete(parts, p, coin, lambda tossed: log_bernoulli(tossed, p))

    def categorical(
        self,
        *,
        logits: ArrayLike | None = None,
        probs: ArrayLike | None = None,
        one_hot: bool = False,
        axis: Axis | None = None,
    ) -> Array:
        """Index of the category drawn along the last axis; with `one_hot`, float 0/1 along it.

        An exponential race: one number per category, so that rare categories are as exact as
        common ones and one of probability 0 never wins. `probs` need not sum to 1. A row that is
        no distribution gives -1, or NaN with `one_hot`.

        Raises:
            ScenarioError: not exactly one of `logits` and `probs`, or an index under mean_field.
        """
        if (logits is None) == (probs is None):
            raise ScenarioError(f"categorical in `{self._name}` takes either logits or probs")
        if self._estimator == "mean_field" and not one_hot:
            raise ScenarioError(
                f"categorical in `{self._name}` draws an index, which has no mean field; "
                "use one_hot=True"
            )
        given = jnp.asarray(probs if logits is None else logits, jnp.float32)
        leading = self._lengths.axis_of(given.shape[:-1]) if axis is None else axis_parts(axis)
        parts, (given,) = self._parameters((*leading, given.shape[-1]), given)
        share, logs = shares(given) if logits is None else log_shares(given)

        def winner() -> Int[Array, "..."]:
            arrival = -jnp.log1p(-uniform_from(*self._bits(parts)(0)))
            index = jnp.argmax(jax.lax.stop_gradient(logs) - jnp.log(arrival), axis=-1)
            return jnp.where(jnp.isnan(share[..., 0]), -1, index).astype(jnp.int32)

        if not one_hot:
            index = winner()
            if self._estimator == "score":
                chosen = jnp.take_along_axis(logs, jnp.maximum(index, 0)[..., None], -1)[..., 0]
                self._record(parts[:-1], jnp.where(index >= 0, chosen, 0.0))
            return index

        def hot() -> Numbers:
            drawn = jax.nn.one_hot(winner(), given.shape[-1], dtype=jnp.float32)
            return valid(drawn, ~jnp.isnan(share))

        return self._discrete(parts, share, hot, lambda drawn: jnp.where(drawn > 0, logs, 0.0))

    def poisson(self, rate: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Poisson count as float32; `rate` is its mean; NaN where that is NaN or negative."""
        parts, (rate,) = self._parameters(axis, rate)
        right = (rate >= -ROUNDING) & (rate < jnp.inf)
        safe = jnp.where(right, jnp.maximum(rate, 0), 0.0)

        def count() -> Numbers:
            bits = self._bits(parts)
            return valid(poisson_from(uniform_from(*bits(0)), _luck(bits), safe), right)

        return self._discrete(
            parts, valid(rate, right), count, lambda drawn: log_poisson(drawn, safe)
        )

    def binomial(self, n: ArrayLike, p: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Successes in `n` trials as float32; NaN where `n` or `p` is outside its domain.

        `n` is rounded to a whole number. Good to the last digit of float32 up to 2**24 trials.
        """
        parts, (n, p) = self._parameters(axis, n, p)
        right = (n >= 0) & (n < jnp.inf) & probable(p)
        trials = jax.lax.stop_gradient(jnp.where(right, jnp.round(n), 0.0))
        safe = jnp.where(right, jnp.clip(p, 0, 1), 0.0)

        def count() -> Numbers:
            bits = self._bits(parts)
            uniform = uniform_from(*bits(0))
            return valid(binomial_from(uniform, _luck(bits), trials, safe), right)

        def log_probability(drawn: Numbers) -> Numbers:
            return log_binomial(jnp.where(right, drawn, 0.0), trials, safe)

        return self._discrete(parts, valid(n * p, right), count, log_probability)

    def gamma(self, shape: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Gamma of scale 1, with its derivative by `shape`; 0 where that is 0, NaN below."""
        parts, (shape,) = self._parameters(axis, shape)
        drawn = gamma_from(_keys(self._bits(parts)), jnp.where(shape > 0, shape, 0.0))
        return valid(drawn, shape >= 0)

    def beta(self, a: ArrayLike, b: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Beta, with its derivatives by `a` and `b`; 0 where `a` is 0, 1 where only `b` is."""
        parts, (a, b) = self._parameters(axis, a, b)
        right = (a >= 0) & (b >= 0)
        safe = (jnp.where(right, x, 0.0) for x in (a, b))
        return valid(beta_from(_keys(self._bits(parts)), *safe), right)

    def shuffle(self, alive: Bool[Array, " agent"]) -> Int[Array, " agent"]:
        """Indices of the living in random order, then those of the empty slots."""
        word = self._bits(AGENT)(0)[0] >> 1
        last = jnp.where(alive, word, word | jnp.uint32(0x80000000))
        index = jnp.arange(self._slot.shape[0], dtype=jnp.int32)
        return jax.lax.sort((last, self._slot, index), num_keys=2)[2]

    def pairs(self, alive: Bool[Array, " agent"]) -> Int[Array, " agent"]:
        """Each living agent's partner in a random matching of all; itself when left over."""
        order = self.shuffle(alive)
        place = jnp.arange(order.shape[0], dtype=jnp.int32)
        partner = jnp.where((place | 1) < jnp.sum(alive), place ^ 1, place)
        return jnp.zeros_like(order).at[order].set(order[partner])

    def _parameters(
        self, axis: Axis | None, *values: ArrayLike
    ) -> tuple[tuple[str | int, ...], list[Numbers]]:
        """The axes of a draw and its parameters as float32 along them."""
        arrays = [jnp.asarray(value, jnp.float32) for value in values]
        if axis is None:
            axis = self._lengths.axis_of(max((array.shape for array in arrays), key=len))
        shape = self._lengths.shape(axis)
        fitted = [self._lengths.fit(array, shape, jnp.float32) for array in arrays]
        return axis_parts(axis), fitted

    def _bits(self, axis: Axis) -> Callable[[int], tuple[Bits, Bits]]:
        """A new stream; call the result with 0, 1, 2 for independent word pairs along `axis`."""
        shape, parts = self._lengths.shape(axis), axis_parts(axis)
        lead = parts.index(AGENT) if AGENT in parts else 0  # it counts; the others are lanes
        self._calls += 1
        stream = fold(self._words, self._calls, 0)
        if not shape:
            return lambda lane: word_pair(stream, jnp.uint32(0), lane << 28)
        ours = parts[lead] == AGENT
        along = tuple(-1 if place == lead else 1 for place in range(len(shape)))
        counter = (self._slot if ours else jnp.arange(shape[lead])).reshape(along)
        generation = (
            self._generation.reshape(along) if ours and self._generation is not None else None
        )
        across = tuple(1 if place == lead else size for place, size in enumerate(shape))
        lanes = jnp.arange(prod(across), dtype=jnp.uint32).reshape(across) if len(shape) > 1 else 0
        return lambda lane: word_pair(stream, counter, lanes + (lane << 28), generation)

    def _discrete(
        self,
        axis: Axis,
        mean: Numbers,
        sample: Callable[[], Numbers],
        log_probability: Callable[[Numbers], Numbers],
    ) -> Numbers:
        """A discrete draw, seen by the gradient as the estimator says."""
        if self._estimator == "mean_field":
            self._calls += 1  # so that the draws after it stay those of the other estimators
            return mean
        value = jax.lax.stop_gradient(sample())
        if self._estimator == "score":
            self._record(axis, log_probability(value))
        return _carry(value, mean) if self._estimator == "straight_through" else value

    def _record(self, axis: Axis, log_probability: Numbers) -> None:
        """Add a draw's log-probability, of the living if it is the agents'."""
        if _trace_state() != self._ledger.trace:
            raise ScenarioError(
                f"a discrete draw in `{self._name}` stands inside an inner scan, vmap, cond or "
                "jit, where the score estimator cannot read it; move it out or use another "
                "estimator"
            )
        if self._alive is not None and AGENT in axis_parts(axis):
            along = tuple(-1 if part == AGENT else 1 for part in axis_parts(axis))
            alive = jnp.broadcast_to(self._alive.reshape(along), log_probability.shape)
            log_probability = jnp.where(alive, log_probability, 0.0)
        self._ledger.total = self._ledger.total + jnp.sum(log_probability)


class _Ledger:
    """The log-probability that a draw shares with its loops, and where they may add to it."""

    def __init__(self) -> None:
        self.total: Scalar = jnp.zeros(())
        self.trace = _trace_state()


def _keys(bits: Callable[[int], tuple[Bits, Bits]]) -> Key[Array, " draw"]:
    """A key of the library for each element of a stream, flat."""
    return keys_from(bits(1)[0].ravel(), bits(2)[0].ravel())


def _luck(bits: Callable[[int], tuple[Bits, Bits]]) -> Luck:
    """Pairs of uniforms for each element of a stream, round by round."""
    return lambda number: uniform_pair((bits(1)[0], bits(2)[0]), number)


@jax.custom_jvp
def _carry(value: Numbers, mean: Numbers) -> Numbers:  # noqa: ARG001 - for the derivative only
    """`value` with the derivative of `mean`."""
    return value


@_carry.defjvp
def _carry_jvp(
    primals: tuple[Numbers, Numbers], tangents: tuple[Numbers, Numbers]
) -> tuple[Numbers, Numbers]:
    return primals[0], tangents[1]
