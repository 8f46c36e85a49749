"""Claims on places: matching by rank, at random without a sort, and one winner for each place."""

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from ..aggregates import running_count
from ..axes import Array, Bool, Int
from ..draw import Draw
from ..errors import ScenarioError

_ROUNDS = 8
_MOST = 2**30


def permute(
    draw: Draw, rank: Int[Array, "*shape"], size: ArrayLike, *, most: int = _MOST
) -> Int[Array, "*shape"]:
    """Where each of the numbers 0 .. size - 1 goes in one random permutation of them.

    Nothing is sorted or stored: a number is written with two digits, which eight keyed rounds mix
    (a generalised Feistel cipher), and again while it is `size` or more, which few are. So each
    number can be asked for alone. It is pseudo-random: from 64 random bits a round, it cannot be
    every one of the size! permutations alike, but no test of ours tells it from such. Numbers
    outside 0 .. size - 1 give -1. `size` may be traced and is at most 2**30; `most` is what it can
    be at most, where that is known.

    Source: Black & Rogaway (2002), "Ciphers with arbitrary finite domains", generalised Feistel
    network.

    Raises:
        ScenarioError: `most` is outside 1 .. 2**30.
    """
    if not 1 <= most <= _MOST:
        raise ScenarioError(f"permute is of 1 to 2**30 numbers, not most={most}")
    size = jnp.asarray(size, jnp.int32)
    low = jnp.maximum(jnp.ceil(jnp.sqrt(size.astype(jnp.float32))).astype(jnp.int32), 1)
    bound = jnp.maximum(size, 1)
    high = -(-bound // low)
    keys = draw.integers((_ROUNDS, 2), -(2**31), 2**31 - 1).astype(jnp.uint32)
    inside = (rank >= 0) & (rank < size)
    start = jnp.where(inside, rank, 0)

    def again(number: Array) -> Array:
        return jnp.where(number < bound, number, _mix(number, low, high, keys))

    mixed = _mix(start, low, high, keys)
    found = lax.while_loop(lambda x: jnp.any(x >= bound), again, jnp.where(inside, mixed, 0))
    return jnp.where(inside & (size > 0), found, -1)


def _mix(number: Array, low: Array, high: Array, keys: Array) -> Array:
    """One pass of the cipher on the numbers below low * high."""

    def round_pair(turn: Array, digits: tuple[Array, Array]) -> tuple[Array, Array]:
        first, second = digits
        first = _shift(first, second, keys[2 * turn], high)
        return first, _shift(second, first, keys[2 * turn + 1], low)

    # A loop, since XLA fuses an unrolled chain into code that doubles with every round.
    first, second = lax.fori_loop(0, _ROUNDS // 2, round_pair, (number // low, number % low))
    return first * low + second


def _shift(digit: Array, other: Array, key: Array, bound: Array) -> Array:
    """`digit` moved round its range by a keyed hash of the other one."""
    # Digits are below 2**15.1, so 24 bits pick each step to within 0.3 % of its share.
    unit = (_hash(other.astype(jnp.uint32), key) >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
    moved = digit + jnp.minimum((unit * bound).astype(jnp.int32), bound - 1)
    return jnp.where(moved >= bound, moved - bound, moved)


def _hash(word: Array, key: Array) -> Array:
    """32 bits from a digit and a key; constants of Wellons, `hash-prospector` (2018)."""
    word = (word ^ key[0]) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15) ^ key[1]) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)


def assign(
    draw: Draw, claims: Bool[Array, " agent"], num_places: ArrayLike
) -> Int[Array, " agent"]:
    """A place for each who claims one, all different and at random; -1 for nobody and for no place.

    Places are the numbers 0 .. num_places - 1. With fewer places than claims each claim is as
    likely as any other to go without.

    Example:
        >>> seat = assign(draw, state.standing, 40)  # at most 40 people get a number from 0 to 39
    """
    rank = running_count(claims) - 1
    places = jnp.asarray(num_places, jnp.int32)
    room = jnp.maximum(rank[-1] + 1, places)
    place = permute(draw, jnp.where(claims, rank, -1), room)
    return jnp.where(place < places, place, -1)


def match(claims: Bool[Array, " agent"], free: Bool[Array, " place"]) -> Int[Array, " agent"]:
    """The k-th claim gets the k-th free place, in the order of storage; -1 for who gets none."""
    places, size = running_count(free) - 1, free.shape[0]
    nth = jnp.full(size, -1, jnp.int32)
    nth = nth.at[jnp.where(free, places, size)].set(jnp.arange(size, dtype=jnp.int32), mode="drop")
    rank = running_count(claims) - 1
    served = claims & (rank <= places[-1])
    return jnp.where(served, nth[jnp.where(served, rank, 0)], -1)


def one_each(
    draw: Draw, place: Int[Array, " agent"], claims: Bool[Array, " agent"], num_places: int
) -> Bool[Array, " agent"]:
    """Who gets the place claimed: one of those who claim it, each as likely as the others.

    A place outside 0 .. num_places - 1 goes to nobody. The largest of 31 random bits wins, and of
    equals the first in storage.
    """
    n = place.shape[0]
    inside = claims & (place >= 0) & (place < num_places)
    luck = draw.integers("agent", 0, 2**31 - 1)
    where = jnp.where(inside, place, num_places)
    best = jnp.full(num_places, -1, jnp.int32).at[where].max(luck, mode="drop")
    at = jnp.where(inside, place, 0)
    level = inside & (best[at] == luck)
    first = jnp.full(num_places, n, jnp.int32)
    index = jnp.arange(n, dtype=jnp.int32)
    first = first.at[jnp.where(level, place, num_places)].min(index, mode="drop")
    return level & (first[at] == index)


def pair_each(
    draw: Draw,
    place: Int[Array, " agent"],
    ones: Bool[Array, " agent"],
    others: Bool[Array, " agent"],
    num_places: int,
) -> tuple[Bool[Array, " agent"], Bool[Array, " agent"]]:
    """Who of `ones`, and who of `others`, is in a pair: one of each, both at the same place.

    At every place as many pairs are made as the fewer of the two are, at random. Each round makes
    one pair at every place, so the time grows with the most pairs at a place.
    """

    def ready(ones: Array, others: Array) -> Array:
        there = jnp.zeros(num_places, bool)
        where = jnp.where(others, place, num_places)
        return ones & there.at[where].set(True, mode="drop")[jnp.where(ones, place, 0)]

    def pair_off(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        turn, ones, others = carry
        now = draw.at(turn)
        first = one_each(now, place, ready(ones, others), num_places)
        second = one_each(now, place, ready(others, ones), num_places)
        return turn + 1, ones & ~first, others & ~second

    inside = (place >= 0) & (place < num_places)
    ones, others = ones & inside, others & inside
    begin = (jnp.zeros((), jnp.int32), ones, others)
    _, alone, left = lax.while_loop(
        lambda carry: jnp.any(ready(carry[1], carry[2])), pair_off, begin
    )
    return ones & ~alone, others & ~left
