"""Counter-based random bits: a word is a function of (stream, slot, lane, generation).

Nothing is carried from draw to draw, so a slot keeps its luck whatever the capacity, the storage
order or the number of devices. Everything is elementwise uint32 arithmetic, which XLA fuses into
the consumer. `tests/battery` holds the statistical batteries that the streams pass as used.
"""

from math import prod
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key, UInt32

from .errors import ScenarioError

Stream: TypeAlias = tuple[UInt32[Array, "..."], UInt32[Array, "..."]]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_FIRST = (16, 0x7FEB352D, 15, 0x846CA68B, 16)
_SECOND = (16, 0x21F0AAAD, 15, 0xD35A2D97, 15)
_GOLDEN = 0x9E3779B9


def fold(words: UInt32[Array, " 2"] | Stream, first: ArrayLike, second: ArrayLike) -> Stream:
    """Two words that depend on all bits of `words`, `first` and `second`.

    This is how a stream is named: its parts are encrypted, never added, so neighbouring steps,
    processes and calls share nothing. On scalars only, hence of no cost per draw.

    Source: Salmon, Moraes, Dror and Shaw (2011), Threefry-2x32 with 20 rounds.
    """
    return _encrypt((words[0], words[1]), _uint32(first), _uint32(second))


def stream_key(
    key_words: UInt32[Array, " 2"], step: ArrayLike, stream: ArrayLike, call: ArrayLike
) -> Stream:
    """The stream of one draw: run key, step, crc32 of the process name, number of the call."""
    return fold(fold(key_words, step, stream), call, 0)


def words(
    stream: Stream,
    counter: Int[Array, "*shape"] | UInt32[Array, "*shape"],
    lane: ArrayLike = 0,
    generation: Int[Array, "*shape"] | None = None,
) -> UInt32[Array, "..."]:
    """32 random bits for each counter; `lane` numbers further words of one counter.

    `lane` is an int or an array that broadcasts against `counter` at equal rank. Generation 0 is
    the same as none.
    """
    return word_pair(stream, counter, lane, generation)[0]


def word_pair(
    stream: Stream,
    counter: Int[Array, "*shape"] | UInt32[Array, "*shape"],
    lane: ArrayLike = 0,
    generation: Int[Array, "*shape"] | None = None,
) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """A word, and at no further cost one that is good only to extend it below 2**-32.

    Two keyed permutations with the middle fed forward: without that, no word would come twice in
    a stream, which is not what random words do. The second value is that middle: uniform for any
    given word, but itself a permutation of the counter, so never to be used alone.

    Source: multipliers and shifts of the permutations from Wellons, `hash-prospector` (2018).
    """
    lane = _uint32(lane)
    offset = stream[1] + _permute(lane, _FIRST)
    if generation is not None:
        offset = offset + _permute(_uint32(generation), _SECOND)
    middle = _permute(_uint32(counter) ^ (stream[0] ^ (lane * jnp.uint32(_GOLDEN))), _FIRST)
    return middle ^ _permute(middle + offset, _SECOND), middle


def uniform_from(
    word: UInt32[Array, "*shape"], low: UInt32[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Uniform float32 in (0, 1), never 0 and never 1, from a pair of words.

    All 64 bits count where the value is small: `uniform < p` has probability `p` to a relative
    2**-23 for any p above 2**-40, and the smallest value is 2**-64. The largest is 1 - 2**-24.
    """
    whole = word.astype(jnp.float32) * jnp.float32(2.0**-32)
    part = (low | 1).astype(jnp.float32) * jnp.float32(2.0**-64)
    return jnp.minimum(whole + part, jnp.float32(1 - 2.0**-24))


def uniform_pair(
    keys: Stream, number: Int[Array, ""]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Two uniforms for each key, independent of those of any other number."""
    first, second = (uniform_from(*word_pair(keys, number, lane)) for lane in (0, 1))
    return first, second


def integer_from(
    word: UInt32[Array, "*shape"], low: UInt32[Array, "*shape"], span: UInt32[Array, "*shape"]
) -> UInt32[Array, "*shape"]:
    """Integer in [0, span): the high word of a 64-bit fraction times `span`; bias below 2**-32."""
    product = word * span
    carried = product + _multiply_high(low, span)
    return _multiply_high(word, span) + (carried < product).astype(jnp.uint32)


def keys_from(
    first: UInt32[Array, "*shape"], second: UInt32[Array, "*shape"]
) -> Key[Array, "*shape"]:
    """Keys for the samplers of `jax.random`, which then run on this generator."""
    return jax.random.wrap_key_data(jnp.stack([first, second], axis=-1), impl=_LIBRARY)


@jax.jit
def _encrypt(words: Stream, first: UInt32[Array, "..."], second: UInt32[Array, "..."]) -> Stream:
    """Threefry with 20 rounds; compiled as a unit, so that it is traced only once."""
    key = (words[0], words[1], words[0] ^ words[1] ^ jnp.uint32(_PARITY))
    left, right = first + key[0], second + key[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            left = left + right
            right = ((right << turn) | (right >> (32 - turn))) ^ left
        left = left + key[(group + 1) % 3]
        right = right + key[(group + 2) % 3] + jnp.uint32(group + 1)
    return left, right


def _multiply_high(
    left: UInt32[Array, "*shape"], right: UInt32[Array, "*shape"]
) -> UInt32[Array, "*shape"]:
    """Upper 32 bits of a product, from 16-bit halves: there is no uint64 without the x64 flag."""
    left_high, left_low = left >> 16, left & 0xFFFF
    right_high, right_low = right >> 16, right & 0xFFFF
    cross = left_high * right_low + ((left_low * right_low) >> 16)
    other = left_low * right_high + (cross & 0xFFFF)
    return left_high * right_high + (cross >> 16) + (other >> 16)


def _permute(
    word: UInt32[Array, "..."], constants: tuple[int, int, int, int, int]
) -> UInt32[Array, "..."]:
    """A fixed permutation of 32 bits in which every input bit reaches every output bit."""
    first, multiplier, second, other, third = constants
    word = (word ^ (word >> first)) * jnp.uint32(multiplier)
    word = (word ^ (word >> second)) * jnp.uint32(other)
    return word ^ (word >> third)


def _uint32(value: ArrayLike) -> UInt32[Array, "..."]:
    """`value` as bits; Python integers of either sign are taken modulo 2**32."""
    if isinstance(value, int):
        return jnp.uint32(value & 0xFFFFFFFF)
    return jnp.asarray(value).astype(jnp.uint32)


def _seed(seed: Array) -> UInt32[Array, " 2"]:
    """Key words of an integer."""
    return jnp.stack([jnp.uint32(0), _uint32(seed)])


def _split(key: UInt32[Array, " 2"], shape: tuple[int, ...]) -> UInt32[Array, "*shape 2"]:
    """New keys, on lane 1 of a key."""
    counter = jnp.arange(2 * prod(shape), dtype=jnp.uint32).reshape(*shape, 2)
    return words((key[0], key[1]), counter, 1)


def _fold_in(key: UInt32[Array, " 2"], data: ArrayLike) -> UInt32[Array, " 2"]:
    """A new key from a key and a number, on lanes 2 and 3."""
    counter = _uint32(data)
    return jnp.stack([words((key[0], key[1]), counter, lane) for lane in (2, 3)])


def _random_bits(key: UInt32[Array, " 2"], bit_width: int, shape: tuple[int, ...]) -> Array:
    """Bits of a key, on lane 0."""
    if bit_width != 32:
        raise ScenarioError(f"keys of this generator give 32 bits at a time, not {bit_width}")
    counter = jnp.arange(prod(shape), dtype=jnp.uint32).reshape(shape)
    return words((key[0], key[1]), counter)


_LIBRARY = define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="lpm_counter",
    tag="lpm",
)
