"""Twins: a step of a base world and its twins, and that step swept back over their differences."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias, final

import jax
import jax.numpy as jnp

from ...axes import Array
from ...params import Params
from .tapes import Base, Fixed, Middle, Twin
from .worlds import Leaves, Move, World

Fields: TypeAlias = dict[str, Array]
Coins: TypeAlias = list[dict[str, Array]]
# From a world to one of its moves, so that each twin can have its own roots.
MoveOf: TypeAlias = Callable[[World], Move]

_GOLDEN = 0.6180339887


@final
@dataclass(frozen=True)
class Roots:
    """How densely coins are flipped: `rate` times the rarer side's probability, plus `floor`.

    Twins with an even number add rare events, the others take some away, about as many. So the
    saturation that one side sees too much of is missed by as much on the other, and what is left
    is of the order of the rate squared.
    """

    rate: float
    floor: float

    def chance(self, p: Array, adds: Array) -> Array:
        """Probability of a root, given that the coin is on the side that is flipped."""
        rarer = jnp.minimum(p, 1 - p)
        adding = self.rate * rarer + self.floor
        return jnp.minimum(jnp.where(adds, adding, self.rate * (1 - rarer)), 0.5)

    def frequency(self, p: Array) -> Array:
        """Probability that a coin becomes a root, averaged over both kinds of twins."""
        rarer = jnp.minimum(p, 1 - p)
        adding, taking = self.chance(p, jnp.array(True)), self.chance(p, jnp.array(False))
        return ((1 - rarer) * adding + rarer * taking) / 2


def advance(
    world: World,
    move: MoveOf,
    params: Params,
    fields: Fields,
    roots: Roots,
    base: Leaves,
    twins: Leaves,
    touched: Array,
) -> tuple[Leaves, Leaves, dict[str, Any]]:
    """The moving leaves of the base and of its twins [twin, ...] after a move, and its record.

    Roots are set only where a field or something shared moves the probability of a coin, and not
    in agents that are `touched`, [twin, agent].
    """
    tape = Base()
    after = move(world)(tape, params, base)
    moves = _movable(move(world), params, fields, base, tape)

    def one(number: Array, leaves: Leaves, touched: Array) -> tuple[Leaves, Coins]:
        adds = number % 2 == 0
        chance = [
            jnp.where(m, roots.chance(p, adds), 0.0) for p, m in zip(tape.p, moves, strict=True)
        ]
        twin = Twin(tape.p, tape.parts, tape.x, tape.shared, chance, adds, touched)
        return move(replace(world, twin=number))(twin, params, leaves), twin.coins

    after_twins, coins = jax.vmap(one)(jnp.arange(touched.shape[0]), twins, touched)
    record = {
        "x": tape.x,
        "shared": tape.shared,
        "coins": coins,
        "fix": [_fix(c.pop("lost")) for c in coins],
        "weight": [
            jnp.where(m, 1 / jnp.maximum(roots.frequency(p), 1e-30), 0.0)
            for p, m in zip(tape.p, moves, strict=True)
        ],
    }
    return after, after_twins, record


class Retraced(NamedTuple):
    """A move swept back.

    Attributes:
        adjoint: of the leaves before the move, [twin, ...].
        gradient: by the fields, through the probabilities of coins.
        rooted, handed: by twin: the adjoint times its roots, and times its differences before the
            move. Together they are the adjoint times the differences after it where all but coins
            is linear.
        worth: for each coin what its roots are worth, how much they weigh, and how many there are,
            [coin, 3]; a root weighs as the coins it stands for, by the rarer side of each.
    """

    adjoint: Leaves
    gradient: Fields
    rooted: Array
    handed: Array
    worth: Array


def retrace(
    world: World,
    move: MoveOf,
    params: Params,
    fields: Fields,
    record: dict[str, Any],
    base: Leaves,
    twins: Leaves,
    adjoint: Leaves,
) -> Retraced:
    """One move back, from adjoints after it."""
    coins, act = record["coins"], move(world)
    probe = Base()
    act(probe, params, base)  # for its probabilities, and to see what is shared late
    ours, common = _adjoints(act, params, record, base, twins)
    before, xi = ours(adjoint)
    flips = [
        jnp.where(c["root"], c["x"] - x[None], 0.0) for c, x in zip(coins, record["x"], strict=True)
    ]
    rooted, handed = lanes_dot(xi, flips), lanes_dot(before, differences(twins, base))
    at = (fields, [jnp.zeros_like(x) for x in record["shared"]])
    by_fields = jax.vjp(_chances(act, params, base, record["x"]), *at)[1]
    gradient = jax.tree.map(jnp.zeros_like, fields)
    worth = jnp.zeros(len(coins))
    # What is shared after a coin of the same step gives worth to that coin: once more for each.
    for _ in range(1 + probe.late):
        credit = _credit(record, xi)
        worth += _worths(record, probe.p, xi)
        more, by_shared = by_fields(credit)
        gradient = jax.tree.map(jnp.add, gradient, more)
        if not by_shared:
            break
        further, xi = common(by_shared)
        before = [one + other for one, other in zip(before, further, strict=True)]
    ones = [jnp.ones_like(c["by_p"]) for c in coins]
    number = _stack(jnp.sum(c["root"].astype(jnp.float32)) for c in coins)
    tally = jnp.stack([worth, _worths(record, probe.p, ones), number], axis=1)
    return Retraced(before, gradient, rooted, handed, tally)


def _adjoints(
    act: Move, params: Params, record: dict[str, Any], base: Leaves, twins: Leaves
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """From adjoints after a move, or of what is shared in it, to those before it and of coins."""

    def back(leaves: Leaves, coins: Coins, adjoint: Leaves, which: int) -> Any:
        function, at = _halfway(act, params, record, base, leaves, coins)
        return jax.vjp(lambda *x: function(*x)[which], *at)[1](adjoint)

    def ours(adjoint: Leaves) -> Any:
        return jax.vmap(lambda *x: back(x[0], x[1], x[2], 0))(twins, record["coins"], adjoint)

    def common(shared: list[Array]) -> Any:
        return jax.vmap(lambda *x: back(x[0], x[1], shared, 1))(twins, record["coins"])

    return ours, common


def _credit(record: dict[str, Any], xi: list[Array]) -> list[Array]:
    """What each coin is worth by its roots, over all twins."""
    triples = zip(record["weight"], record["fix"], record["coins"], xi, strict=True)
    return [w * jnp.mean(_rooted(c, f) * x, axis=0) for w, f, c, x in triples]


def _worths(record: dict[str, Any], p: list[Array], xi: list[Array]) -> Array:
    """The sum over the roots of each coin of what the coins that they stand for are worth."""
    parts = zip(record["weight"], p, record["fix"], record["coins"], xi, strict=True)
    return _stack(
        jnp.sum(w * jnp.minimum(p, 1 - p) * jnp.sum(_rooted(c, f) * x, axis=0))
        for w, p, f, c, x in parts
    )


def _rooted(coin: dict[str, Array], fix: Array) -> Array:
    """1 at roots, or more, where other coins like them could not be roots; [twin, ...]."""
    return jnp.where(coin["root"], fix.reshape(-1, *(1,) * (coin["root"].ndim - 1)), 0.0)


def _fix(lost: Array) -> Array:
    """How many coins a root stands for, since some could not be roots: one number for each twin.

    Taken over all twins of a kind; `lost` is [twin, 2].
    """
    kinds = lost.reshape(-1, 2, 2).sum(axis=0)
    fix = kinds[:, 0] / jnp.maximum(kinds[:, 1], 1e-30)
    return jnp.tile(jnp.where(kinds[:, 1] > 0, fix, 0.0), lost.shape[0] // 2)


def credit_all(
    move: Move, params: Params, fields: Fields, base: Leaves, worths: list[Array]
) -> tuple[Leaves, list[Fields]]:
    """The base after a move, and derivatives if every coin of a number has one worth, [coin].

    One set of derivatives for each of `worths`.
    """
    tape = Base()
    after = move(tape, params, base)
    by_fields = jax.vjp(_chances(move, params, base, tape.x), fields, [])[1]

    def derive(worth: Array) -> Fields:
        return by_fields([jnp.full(p.shape, worth[n]) for n, p in enumerate(tape.p)])[0]

    return after, [derive(worth) for worth in worths]


def differences(twins: Leaves, base: Leaves) -> Leaves:
    """Twins less base."""
    return [twin - leaf[None] for twin, leaf in zip(twins, base, strict=True)]


def lanes_dot(one: list[Array], other: list[Array]) -> Array:
    """Inner product over everything but the leading axis."""
    products = (a * b for a, b in zip(one, other, strict=True))
    return sum((jnp.sum(x.reshape(x.shape[0], -1), axis=1) for x in products), jnp.zeros(()))


def _stack(numbers: Iterable[Array]) -> Array:
    found = list(numbers)
    return jnp.stack(found) if found else jnp.zeros(0)


def _halfway(
    act: Move, params: Params, record: dict[str, Any], base: Leaves, leaves: Leaves, coins: Coins
) -> tuple[Callable[..., tuple[Leaves, list[Array]]], tuple[Leaves, list[Array]]]:
    """A move between two worlds, as leaves and shared values by leaves and additions to coins."""
    heads = [(x + c["x"]) / 2 for x, c in zip(record["x"], coins, strict=True)]

    def function(middle: Leaves, added: list[Array]) -> tuple[Leaves, list[Array]]:
        x = [one + more for one, more in zip(heads, added, strict=True)]
        tape = Middle(x, [(c["by_p"], c["by_among"]) for c in coins], record["shared"])
        return act(tape, params, middle), tape.own

    middle = [(one + other) / 2 for one, other in zip(base, leaves, strict=True)]
    return function, (middle, [jnp.zeros_like(x) for x in heads])


def _chances(act: Move, params: Params, base: Leaves, x: list[Array]) -> Callable[..., Any]:
    """Probabilities of the coins by the fields and by what is added to shared values."""

    def chances(fields: Fields, added: list[Array]) -> list[Array]:
        fixed = Fixed(x, added)
        act(fixed, params.replace(**fields), base)
        return fixed.p

    return chances


def _movable(act: Move, params: Params, fields: Fields, base: Leaves, tape: Base) -> list[Array]:
    """Which coins change with the fields or with what is shared, in a direction without zeros."""
    at = (fields, [jnp.zeros_like(x) for x in tape.shared])
    chances = _chances(act, params, base, tape.x)
    return [slope != 0 for slope in jax.jvp(chances, at, jax.tree.map(_direction, at))[1]]


def _direction(x: Array) -> Array:
    """Numbers between 1 and 2 that do not cancel."""
    place = jnp.arange(1, x.size + 1, dtype=jnp.float32) * _GOLDEN
    return (1 + place - jnp.floor(place)).reshape(x.shape)
