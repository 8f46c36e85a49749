"""Draw: one process's randomness in one step, and how a gradient passes through it."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, TypeAlias
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import get_opaque_trace_state
from jax.scipy.special import gammaln, xlogy
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from .axes import AGENT, Scalar
from .counter import (
    count_from,
    exponential_from,
    fold,
    integer_from,
    normal_from,
    uniform_from,
    word_pair,
)
from .errors import ScenarioError, listing, unknown

Axis: TypeAlias = str | tuple[str | int, ...]
Numbers: TypeAlias = Float[Array, "..."]
Bits: TypeAlias = UInt32[Array, "..."]

ESTIMATORS = ("stop", "straight_through", "mean_field", "score")
_FEW = 10.0  # a mean below this is inverted term by term, above it the library rejects
_ROUNDING = 1e-6
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
        self._name = name
        self._slot = slot
        self._alive = alive
        self._generation = generation
        self._sizes = {AGENT: slot.shape[0], **(sizes or {})}
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
        if not isinstance(low, jax.Array) and not isinstance(high, jax.Array):
            if np.any(np.asarray(high) <= np.asarray(low)):
                raise ScenarioError(f"integers from {low} to {high} in `{self._name}` are none")
        shape = self._shape(axis)
        start = self._fit(low, shape, jnp.int32)
        stop = self._fit(high, shape, jnp.int32)
        span = jnp.where(stop > start, stop.astype(jnp.uint32) - start.astype(jnp.uint32), 0)
        drawn = integer_from(*self._bits(axis)(0), span)
        return (start.astype(jnp.uint32) + drawn).astype(jnp.int32)

    def bernoulli(self, p: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Float 1 with probability `p`, else 0; NaN where `p` is NaN or outside [0, 1].

        Right to a relative 2**-23 for `p` down to 2**-40. `p` may leave [0, 1] by rounding, 1e-6.
        """
        axis, p = self._parameters(axis, p)
        p = _valid(p, (p >= -_ROUNDING) & (p <= 1 + _ROUNDING))

        def coin() -> Numbers:
            tossed = (uniform_from(*self._bits(axis)(0)) < p).astype(jnp.float32)
            return _valid(tossed, ~jnp.isnan(p))

        def log_probability(tossed: Numbers) -> Numbers:
            inside = (p > jnp.finfo(jnp.float32).tiny) & (p < 1)
            safe = jnp.where(inside, p, 0.5)
            return jnp.where(inside, jnp.where(tossed > 0, jnp.log(safe), jnp.log1p(-safe)), 0.0)

        return self._discrete(axis, p, coin, log_probability)

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
        axis = self._axis_of(given.shape[:-1]) if axis is None else _parts(axis)
        axis, given = self._parameters((*axis, given.shape[-1]), given)
        shares, log_shares = _shares(given) if logits is None else _log_shares(given)

        def winner() -> Int[Array, "..."]:
            arrival = -jnp.log1p(-uniform_from(*self._bits(axis)(0)))
            index = jnp.argmax(jax.lax.stop_gradient(log_shares) - jnp.log(arrival), axis=-1)
            return jnp.where(jnp.isnan(shares[..., 0]), -1, index).astype(jnp.int32)

        if not one_hot:
            index = winner()
            if self._estimator == "score":
                chosen = jnp.take_along_axis(log_shares, jnp.maximum(index, 0)[..., None], -1)
                self._record(axis[:-1], jnp.where(index >= 0, chosen[..., 0], 0.0))
            return index

        def hot() -> Numbers:
            drawn = jax.nn.one_hot(winner(), given.shape[-1], dtype=jnp.float32)
            return _valid(drawn, ~jnp.isnan(shares))

        return self._discrete(axis, shares, hot, lambda drawn: jnp.where(drawn > 0, log_shares, 0))

    def poisson(self, rate: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Poisson count as float32; `rate` is its mean; NaN where that is NaN or negative."""
        axis, rate = self._parameters(axis, rate)
        rate = _valid(rate, rate >= -_ROUNDING)

        def count() -> Numbers:
            mean = jnp.nan_to_num(jax.lax.stop_gradient(jnp.maximum(rate, 0)))
            few = jnp.minimum(mean, _FEW)
            drawn = self._count(
                axis,
                (jnp.exp(-few), -jnp.expm1(-few)),
                lambda k: few / (k + 1),
                mean >= _FEW,
                lambda keys: jax.vmap(jax.random.poisson)(keys, mean.ravel()),
            )
            return _valid(drawn, jnp.isfinite(rate))

        def log_probability(drawn: Numbers) -> Numbers:
            inside = rate > jnp.finfo(jnp.float32).tiny
            safe = jnp.where(inside, rate, 1.0)
            return jnp.where(inside, xlogy(drawn, safe) - safe - gammaln(drawn + 1), 0.0)

        return self._discrete(axis, rate, count, log_probability)

    def binomial(self, n: ArrayLike, p: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Successes in `n` trials as float32; NaN where `p` or `n` is outside its domain."""
        axis, n, p = self._parameters(axis, n, p)
        right = (n >= 0) & (n < jnp.inf) & (p >= -_ROUNDING) & (p <= 1 + _ROUNDING)
        n, p = _valid(n, right), _valid(p, right)

        def count() -> Numbers:
            trials = jnp.nan_to_num(jax.lax.stop_gradient(jnp.round(n)))
            chance = jnp.nan_to_num(jax.lax.stop_gradient(jnp.clip(p, 0, 1)))
            rarer = jnp.minimum(chance, 1 - chance)
            many = trials * rarer >= _FEW
            few = jnp.where(many, 0.0, trials)
            none = few * jnp.log1p(-rarer)
            drawn = self._count(
                axis,
                (jnp.exp(none), -jnp.expm1(none)),
                lambda k: jnp.maximum(few - k, 0) / (k + 1) * (rarer / (1 - rarer)),
                many,
                lambda keys: jax.vmap(jax.random.binomial)(keys, trials.ravel(), rarer.ravel()),
            )
            return _valid(jnp.where(chance > 0.5, trials - drawn, drawn), right)

        def log_probability(drawn: Numbers) -> Numbers:
            inside = (p > jnp.finfo(jnp.float32).tiny) & (p < 1) & (n > 0)
            safe = jnp.where(inside, p, 0.5)
            trials = jax.lax.stop_gradient(n)
            ways = gammaln(trials + 1) - gammaln(drawn + 1) - gammaln(trials - drawn + 1)
            likely = drawn * jnp.log(safe) + (trials - drawn) * jnp.log1p(-safe)
            return jnp.where(inside, ways + likely, 0.0)

        return self._discrete(axis, n * p, count, log_probability)

    def gamma(self, shape: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Gamma of scale 1, with its derivative by `shape`; 0 where that is 0, NaN below."""
        axis, shape = self._parameters(axis, shape)
        safe = jnp.where(shape > 0, shape, 1.0)
        drawn = jax.vmap(jax.random.gamma)(self._keys(axis), safe.ravel()).reshape(shape.shape)
        return _valid(jnp.where(shape > 0, drawn, 0.0), shape >= 0)

    def beta(self, a: ArrayLike, b: ArrayLike, axis: Axis | None = None) -> Numbers:
        """Beta, with its derivatives by `a` and `b`; 0 where `a` is 0, 1 where only `b` is."""
        axis, a, b = self._parameters(axis, a, b)
        inside = (a > 0) & (b > 0)
        safe = [jnp.where(inside, x, 1.0).ravel() for x in (a, b)]
        drawn = jax.vmap(jax.random.beta)(self._keys(axis), *safe).reshape(a.shape)
        return _valid(jnp.where(inside, drawn, (a > 0).astype(jnp.float32)), (a >= 0) & (b >= 0))

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
        other = place ^ 1
        partner = jnp.where(jnp.maximum(place, other) < jnp.sum(alive), other, place)
        return jnp.zeros_like(order).at[order].set(order[partner])

    def _axis_of(self, shape: tuple[int, ...]) -> tuple[str | int, ...]:
        """The axes of a parameter, its first one found by its length; agents come first."""
        if not shape:
            raise ScenarioError(
                f"a draw in `{self._name}` has scalar parameters and no axis; "
                f"give one of {listing(self._sizes)}, or () for a single number"
            )
        for name, size in {AGENT: self._slot.shape[0], **self._sizes}.items():
            if size == shape[0]:
                return (name, *shape[1:])
        raise ScenarioError(
            f"a draw in `{self._name}` has parameters of length {shape[0]}; there are axes "
            f"{listing(f'{name}: {size}' for name, size in self._sizes.items())}"
        )

    def _shape(self, axis: Axis) -> tuple[int, ...]:
        """The lengths of `axis`."""
        wrong = [part for part in _parts(axis) if isinstance(part, str) and part not in self._sizes]
        if wrong:
            raise ScenarioError(unknown(f"a draw in `{self._name}`", "axis", wrong, self._sizes))
        return tuple(
            self._sizes[part] if isinstance(part, str) else int(part) for part in _parts(axis)
        )

    def _fit(self, value: ArrayLike, shape: tuple[int, ...], dtype: type) -> Array:
        """`value` along all of `shape`."""
        array = jnp.asarray(value, dtype)
        try:
            return jnp.broadcast_to(array, shape)
        except ValueError as error:
            raise ScenarioError(
                f"a draw in `{self._name}` of shape {listing(map(str, shape))} has a parameter "
                f"of shape {listing(map(str, array.shape))}"
            ) from error

    def _parameters(self, axis: Axis | None, *values: ArrayLike) -> tuple[Any, ...]:
        """The axes of a draw and its parameters as float32 along them."""
        arrays = [jnp.asarray(value, jnp.float32) for value in values]
        if axis is None:
            axis = self._axis_of(max((array.shape for array in arrays), key=len))
        shape = self._shape(axis)
        return _parts(axis), *(self._fit(array, shape, jnp.float32) for array in arrays)

    def _bits(self, axis: Axis) -> Callable[[int], tuple[Bits, Bits]]:
        """A new stream; call the result with 0, 1, 2 for independent word pairs along `axis`."""
        shape, lead = self._shape(axis), _lead(axis)
        self._calls += 1
        stream = fold(self._words, self._calls, 0)
        if not shape:
            return lambda lane: word_pair(stream, jnp.uint32(0), lane << 28)
        ours = _parts(axis)[lead] == AGENT
        along = tuple(-1 if place == lead else 1 for place in range(len(shape)))
        counter = (self._slot if ours else jnp.arange(shape[lead])).reshape(along)
        reused = ours and self._generation is not None
        generation = self._generation.reshape(along) if reused else None
        across = tuple(1 if place == lead else size for place, size in enumerate(shape))
        column = jnp.arange(prod(across), dtype=jnp.uint32).reshape(across)
        lanes = column if len(shape) > 1 else 0
        return lambda lane: word_pair(stream, counter, lanes + (lane << 28), generation)

    def _keys(self, axis: Axis) -> PRNGKeyArray:
        """A key of the library for each element, flat."""
        bits = self._bits(axis)
        return _wrap(bits(0)[0], bits(1)[0])

    def _count(
        self,
        axis: Axis,
        first: tuple[Numbers, Numbers],
        ratio: Callable[[Array], Numbers],
        many: Bool[Array, "..."],
        library: Callable[[PRNGKeyArray], Array],
    ) -> Numbers:
        """Counts by inversion, and where `many` from the library, if there are any."""
        bits = self._bits(axis)

        def sample() -> Numbers:
            drawn = library(_wrap(bits(1)[0], bits(2)[0])).astype(jnp.float32)
            return drawn.reshape(many.shape)

        counts = count_from(uniform_from(*bits(0)), *first, ratio)
        return jnp.where(many, jax.lax.cond(jnp.any(many), sample, lambda: counts), counts)

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
        if get_opaque_trace_state() != self._ledger.trace:
            raise ScenarioError(
                f"a discrete draw in `{self._name}` stands inside an inner scan, vmap, cond or "
                "jit, where the score estimator cannot read it; move it out or use another "
                "estimator"
            )
        if self._alive is not None and AGENT in _parts(axis):
            along = tuple(-1 if part == AGENT else 1 for part in _parts(axis))
            alive = jnp.broadcast_to(self._alive.reshape(along), log_probability.shape)
            log_probability = jnp.where(alive, log_probability, 0.0)
        self._ledger.total = self._ledger.total + jnp.sum(log_probability)


class _Ledger:
    """The log-probability that a draw shares with its loops, and where they may add to it."""

    def __init__(self) -> None:
        self.total: Scalar = jnp.zeros(())
        self.trace = get_opaque_trace_state()


def _parts(axis: Axis) -> tuple[str | int, ...]:
    """`axis` as a tuple."""
    return (axis,) if isinstance(axis, str) else axis


def _lead(axis: Axis) -> int:
    """Which of the axes counts; the others are lanes."""
    return _parts(axis).index(AGENT) if AGENT in _parts(axis) else 0


def _wrap(first: Bits, second: Bits) -> PRNGKeyArray:
    """Threefry keys of the library from our words, flat."""
    return jax.random.wrap_key_data(
        jnp.stack([first.ravel(), second.ravel()], axis=-1), impl="threefry2x32"
    )


def _valid(value: Numbers, right: Bool[Array, "..."]) -> Numbers:
    """NaN where not `right`."""
    return jnp.where(right, value, jnp.nan)


@jax.custom_jvp
def _carry(value: Numbers, mean: Numbers) -> Numbers:  # noqa: ARG001 - for the derivative only
    """`value` with the derivative of `mean`."""
    return value


@_carry.defjvp
def _carry_jvp(
    primals: tuple[Numbers, Numbers], tangents: tuple[Numbers, Numbers]
) -> tuple[Numbers, Numbers]:
    return primals[0], tangents[1]


def _shares(probs: Numbers) -> tuple[Numbers, Numbers]:
    """Shares and their logarithms: -inf where 0, and NaN shares where no distribution."""
    total = jnp.sum(probs, axis=-1, keepdims=True)
    right = jnp.all(probs >= -_ROUNDING, axis=-1, keepdims=True) & (total > 0) & (total < jnp.inf)
    shares = _valid(probs / jnp.where(right, total, 1.0), right)
    inside = shares > jnp.finfo(jnp.float32).tiny
    return shares, jnp.where(inside, jnp.log(jnp.where(inside, shares, 1.0)), -jnp.inf)


def _log_shares(logits: Numbers) -> tuple[Numbers, Numbers]:
    """The same from logits."""
    right = jnp.isfinite(jnp.max(logits, axis=-1, keepdims=True))
    log_shares = jax.nn.log_softmax(jnp.where(right, logits, 0.0))
    return _valid(jnp.exp(log_shares), right), log_shares
