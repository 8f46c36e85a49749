"""Tapes: coins of one step written down in one world and read in another.

A process tosses its coins in an order that is fixed when it is traced, so that the coins of the
same step in several worlds are matched by their number.
"""

import abc
from dataclasses import dataclass, field
from typing import Any, final

import jax
import jax.numpy as jnp

from ...axes import AGENT, Array, Axis, Bool, Float
from ...counter import uniform_from
from ...draw import Draw
from ...errors import ScenarioError

_NO_TWIN = "the lineage estimator follows coins of agents alone"


class Tape(abc.ABC):
    """What becomes of each coin and of each value that everybody shares, in order."""

    @abc.abstractmethod
    def toss(self, p: Array, among: Array, uniform: Array, spare: Array) -> Array:
        """The coin of probability `p` times `among`; `spare` are uniforms of the tape's own."""

    @abc.abstractmethod
    def share(self, x: Array) -> Array:
        """What the process sees of a value that everybody shares."""


class CoinDraw(Draw):
    """A Draw whose coins and shared values go through a tape; `roots` gives its own uniforms."""

    def __init__(self, tape: Tape, roots: Draw, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, estimator="score")
        self._tape = tape
        self._roots = roots

    def bernoulli(self, p: Any, axis: Axis | None = None, *, among: Any = 1) -> Float[Array, "..."]:
        """A coin, on the tape.

        Raises:
            ScenarioError: a coin that is not tossed for agents, or stands in an inner loop.
        """
        whole = jnp.multiply(among, p)
        parts, (whole, p, among) = self._parameters(axis, whole, p, among)
        if parts[:1] != (AGENT,):
            raise ScenarioError(
                f"a coin in `{self._name}` has axes {list(parts)}; {_NO_TWIN}, so `agent` must "
                "come first"
            )
        self._record((), jnp.zeros(()))  # refuses inner loops
        uniform = uniform_from(*self._bits(parts)(0))
        return self._tape.toss(p, among, uniform, self._roots.uniform(parts))

    def shared(self, x: Array) -> Array:
        """A shared value, on the tape."""
        return self._tape.share(x)

    def at(self, i: Any) -> Draw:
        """The randomness of iteration `i`, of the roots too."""
        child = super().at(i)
        child.__dict__["_roots"] = self._roots.at(i)
        return child

    def _discrete(self, axis: Any, mean: Any, sample: Any, log_probability: Any) -> Any:  # noqa: ARG002
        raise ScenarioError(
            f"`{self._name}` draws counts or categories; {_NO_TWIN}: use draw.bernoulli, or "
            "estimator='crn' or 'score'"
        )

    def categorical(self, **kwargs: Any) -> Any:
        """Refused: a category has several alternatives to be flipped to."""
        return self._discrete((), kwargs, None, None)


@final
@dataclass
class Base(Tape):
    """The world that the run would have been; keeps all that is tossed."""

    p: list[Array] = field(default_factory=list)
    parts: list[tuple[Array, Array]] = field(default_factory=list)
    x: list[Array] = field(default_factory=list)
    shared: list[Array] = field(default_factory=list)
    late: int = 0

    def toss(self, p: Array, among: Array, uniform: Array, spare: Array) -> Array:  # noqa: ARG002
        """The coin as every run tosses it."""
        self.p.append(p * among)
        self.parts.append((p, among))
        self.x.append((uniform < self.p[-1]).astype(jnp.float32))
        return self.x[-1]

    def share(self, x: Array) -> Array:
        """The value itself."""
        self.late += bool(self.x)
        self.shared.append(x)
        return x


@final
@dataclass
class Fixed(Tape):
    """Coins come out as given; their probabilities are what is asked.

    Attributes:
        x: outcome of each coin.
        added: added to each shared value.
    """

    x: list[Array]
    added: list[Array]
    p: list[Array] = field(default_factory=list)
    seen: int = 0

    def toss(self, p: Array, among: Array, uniform: Array, spare: Array) -> Array:  # noqa: ARG002
        """The given outcome."""
        self.p.append(p * among)
        return self.x[len(self.p) - 1]

    def share(self, x: Array) -> Array:
        """The value with what is added to it."""
        self.seen += 1
        return x + self.added[self.seen - 1] if self.added else x


@final
@dataclass
class Twin(Tape):
    """A world on the uniforms of the base in which some coins, the roots, are flipped.

    A twin that `adds` flips coins from their likelier side to the rarer, another one from the
    rarer to the likelier. A root needs an agent that is in both worlds alike, and a coin that came
    out in both as the side that is flipped.

    Attributes:
        p, parts, x, shared: of the base; `parts` are the two factors of each probability.
        chance: probability of a root for each coin that is on the side to be flipped.
        adds: whether rare events are added or taken away; may be traced.
        touched: agents that differ between the worlds.
        coins: what became of each coin; `lost` is how many of its call could be roots, in the
            base alone and in both worlds.
    """

    p: list[Array]
    parts: list[tuple[Array, Array]]
    x: list[Array]
    shared: list[Array]
    chance: list[Array]
    adds: Array
    touched: Bool[Array, " agent"]
    coins: list[dict[str, Array]] = field(default_factory=list)
    seen: int = 0

    def toss(self, p: Array, among: Array, uniform: Array, spare: Array) -> Array:
        """The coin on the same uniform, or flipped."""
        number, own = len(self.coins), p * among
        base, x, chance = self.p[number], self.x[number], self.chance[number]
        plain = (uniform < own).astype(jnp.float32)
        side = ((base > 0.5) == self.adds).astype(jnp.float32)
        touched = self.touched.reshape(-1, *(1,) * (p.ndim - 1))
        alike = ~touched & ((own > 0) == (base > 0)) & ((own < 1) == (base < 1))
        root = (x == side) & (plain == x) & alike & (spare < chance)
        mine = jnp.where(root, 1 - x, plain)
        apart = (mine != x) & ~root & (own != base)
        secant = jnp.where(apart, (mine - x) / jnp.where(apart, own - base, 1.0), 0.0)
        by_p, by_among = self._shares(number, p, among)
        self.coins.append(
            {
                "x": mine > 0.5,
                "root": root,
                "by_p": secant * by_p,
                "by_among": secant * by_among,
                "lost": self._lost(own, base, alike, chance > 0),
            }
        )
        self.touched = self.touched | jnp.any((mine != x).reshape(x.shape[0], -1), axis=1)
        return mine

    def share(self, x: Array) -> Array:  # noqa: ARG002
        """The value of the base: what a lineage adds to it is accounted for in the sweep."""
        self.seen += 1
        return self.shared[self.seen - 1]

    def _shares(self, number: int, p: Array, among: Array) -> tuple[Array, Array]:
        """Slopes of the product by its factors that add up to its difference, whatever they are.

        Where it cannot happen in one of the worlds, it is all due to that: what its probability
        would have been there has no part in it. Slopes half way would be large and cancel.
        """
        base, others = self.parts[number]
        return jnp.minimum(among, others), jnp.where(among > others, p, base)

    def _lost(self, p: Array, base: Array, alike: Array, counted: Array) -> Array:
        """Expected number of coins on their side in the base, and on it in both worlds alike.

        Taken from probabilities, because a ratio of few coins would be biased; a coin weighs as
        much as its rarer side, or its likelier one where that is flipped.
        """
        rarer = jnp.minimum(base, 1 - base)
        here = jnp.where(base > 0.5, 1 - p, p)
        adding = rarer * (1 - jnp.maximum(rarer, here))
        taking = (1 - rarer) * jnp.minimum(rarer, here)
        both = jnp.where(alike, jnp.where(self.adds, adding, taking), 0.0)
        every = jnp.where(counted, rarer * (1 - rarer), 0.0)
        return jnp.stack([jnp.sum(every), jnp.sum(jnp.where(counted, both, 0.0))])


@final
@dataclass
class Middle(Tape):
    """Half way between two worlds, where a product's differential is its difference.

    Attributes:
        x: mean outcome of each coin, with what is added for its derivative.
        slopes: of its outcome, by both factors of its probability.
        shared: values of the base.
    """

    x: list[Array]
    slopes: list[tuple[Array, Array]]
    shared: list[Array]
    own: list[Array] = field(default_factory=list)
    seen: int = 0

    def toss(self, p: Array, among: Array, uniform: Array, spare: Array) -> Array:  # noqa: ARG002
        """The mean outcome, with the slopes as derivatives."""
        number = self.seen
        self.seen += 1
        factors = zip(self.slopes[number], (p, among), strict=True)
        return self.x[number] + sum(k * (f - jax.lax.stop_gradient(f)) for k, f in factors)

    def share(self, x: Array) -> Array:
        """The value of the base; what it is here is kept for its derivative."""
        self.own.append(x)
        return self.shared[len(self.own) - 1]
