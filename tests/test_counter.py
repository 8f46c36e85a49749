"""The generator: its definition, its law at rare events, and independence of what it names.

Keys are fixed, so a test passes or fails for good; each statistical bound would be missed by a new
key with the probability stated. The published batteries are in `tests/battery`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from lpm.counter import (
    fold,
    integer_from,
    keys_from,
    stream_key,
    uniform_from,
    uniform_pair,
    word_pair,
    words,
)
from lpm.errors import ScenarioError

KEY = jax.random.key_data(jax.random.key(11))
STREAM = stream_key(KEY, 3, 0xDEADBEEF, 1)
RARE = np.array([1e-9, 3e-9, 1e-8, 1e-7, 1e-6, 1.3e-6, 1e-5, 1e-3, 0.1, 0.5, 0.9], np.float32)


def slots(n):
    return jnp.arange(n, dtype=jnp.uint32)


def reference(stream, counter, lane, generation):
    """The same word in Python integers, from the words of the module's docstring."""

    def permute(x, a, multiplier, b, other, c):
        x = ((x ^ (x >> a)) * multiplier) % 2**32
        x = ((x ^ (x >> b)) * other) % 2**32
        return x ^ (x >> c)

    def one(x):
        return permute(x, 16, 0x7FEB352D, 15, 0x846CA68B, 16)

    def two(x):
        return permute(x, 16, 0x21F0AAAD, 15, 0xD35A2D97, 15)

    middle = one(counter ^ stream[0] ^ (lane * 0x9E3779B9 % 2**32))
    return middle ^ two((middle + stream[1] + one(lane) + two(generation)) % 2**32)


def additive(key, step, stream, call):
    """Control: the parts of a stream's name are added instead of mixed."""
    return key[0], key[1] + step + stream + call


def test_fold_is_threefry_with_twenty_rounds():
    counts = jnp.array([7, 0x89ABCDEF], jnp.uint32)
    expected = threefry_2x32(KEY, counts)
    assert [int(word) for word in fold(KEY, 7, 0x89ABCDEF)] == [int(word) for word in expected]


def test_words_are_those_of_the_definition():
    counter = jnp.array([0, 1, 2, 999_999, 2**31 - 1], jnp.int32)
    generation = jnp.array([0, 1, 2, 3, 4], jnp.int32)
    drawn = words(STREAM, counter, 5, generation)
    stream = [int(word) for word in STREAM]
    expected = [
        reference(stream, int(c), 5, int(g)) for c, g in zip(counter, generation, strict=True)
    ]
    assert drawn.tolist() == expected


def test_a_slot_keeps_its_word_at_any_capacity_and_in_any_order():
    few, many = words(STREAM, slots(1000)), words(STREAM, slots(1777))
    order = jnp.asarray(np.argsort(np.sin(np.arange(1777))))
    assert (few == many[:1000]).all()
    assert (words(STREAM, order) == many[order]).all()
    assert (words(STREAM, slots(1000), 0, jnp.zeros(1000, jnp.int32)) == few).all()
    assert (jax.jit(words)(STREAM, slots(1000)) == few).all()


def test_lanes_as_an_array_are_the_lanes_one_by_one():
    lanes = jnp.arange(3, dtype=jnp.uint32)[None]
    together = words(STREAM, slots(100)[:, None], lanes)
    assert all((together[:, lane] == words(STREAM, slots(100), lane)).all() for lane in range(3))


def test_negative_steps_and_large_streams_are_taken_as_bits():
    assert fold(KEY, -1, 2**32 - 1)[0] == fold(KEY, jnp.int32(-1), jnp.uint32(2**32 - 1))[0]


def test_a_uniform_is_never_zero_or_one():
    extreme = jnp.array([0, 2**32 - 1], jnp.uint32)
    lowest, highest = uniform_from(extreme, extreme)
    assert float(lowest) == 2.0**-64
    assert float(highest) == 1 - 2.0**-24


def below(threshold):
    """How many of the 2**64 word pairs give a uniform below `threshold`, by bisection."""
    low, high = 0, 2**64
    while low < high:
        middle = (low + high) // 2
        pair = jnp.array([middle >> 32, middle % 2**32], jnp.uint32)
        if float(uniform_from(pair[0], pair[1])) < threshold:
            low = middle + 1
        else:
            high = middle
    return low


@pytest.mark.parametrize("p", RARE)
def test_the_law_of_a_coin_is_exact_from_1e_9_up(p):
    assert below(float(p)) / 2**64 == pytest.approx(float(p), rel=2.0**-23)


def test_coarser_uniforms_would_fail_that_test():
    def law(bits, p):  # of `uniform < p` where uniform is a multiple of 2**-bits
        return np.ceil(p * 2.0**bits) / 2.0**bits

    assert law(24, 1e-6) / 1e-6 > 1.01
    assert law(24, 1e-7) / 1e-7 > 1.15
    assert law(32, 1e-9) / 1e-9 > 1.07


@jax.jit
def tally():
    """Words below p * 2**32 among 2**28 draws over 64 steps, and the uniforms below p."""

    def body(step, total):
        stream = stream_key(KEY, step, 17, 1)
        uniform = uniform_from(*word_pair(stream, slots(2**22)))
        return total + jnp.array([jnp.sum(uniform < p) for p in (1e-6, 1e-5)])

    return jax.lax.fori_loop(0, 64, body, jnp.zeros(2, jnp.int32))


def test_rare_events_come_as_often_as_they_should():
    """Two Poisson counts of mean 268 and 2684 within 4 standard errors; fails once in 8,000."""
    expected = 2**28 * np.array([1e-6, 1e-5])
    assert (np.abs(np.asarray(tally()) - expected) < 4 * np.sqrt(expected)).all()


def test_the_extending_word_is_uniform_where_it_counts():
    """Chi-square over 64 cells given a word below 2**21; fails once in 10,000."""
    word, low = word_pair(STREAM, slots(2**24))
    found = np.asarray(low)[np.asarray(word) < 2**21]
    assert found.size > 7000
    assert stats.chisquare(np.bincount(found >> 26, minlength=64)).pvalue > 1e-4


def test_every_bit_is_fair_and_bytes_are_equidistributed():
    """36 tests at 1e-5 each; a new key fails once in 2,800."""
    drawn = np.asarray(words(STREAM, slots(2**20)))
    ones = np.array([(drawn >> bit & 1).sum(dtype=np.int64) for bit in range(32)])
    assert (np.abs(ones - 2**19) < 4.5 * 2**9).all()
    for shift in (0, 8, 16, 24):
        assert stats.chisquare(np.bincount(drawn >> shift & 255, minlength=256)).pvalue > 1e-5


def correlation(x, y):
    """Pearson's coefficient in units of its standard error."""
    return float(np.corrcoef(x, y)[0, 1] * np.sqrt(len(x)))


def test_neighbouring_slots_steps_calls_and_lanes_are_uncorrelated():
    """Nine coefficients within 4.5 standard errors; fails once in 16,000."""

    def uniform(step=0, stream=5, call=1, lane=0):
        bits = words(stream_key(KEY, step, stream, call), slots(2**18), lane)
        return np.asarray(bits) / 2**32

    first = uniform()
    lags = [correlation(first[:-lag], first[lag:]) for lag in (1, 2, 3, 64)]
    others = [
        uniform(step=1),
        uniform(stream=6),
        uniform(call=2),
        uniform(lane=1),
        uniform(step=64),
    ]
    assert max(map(abs, lags)) < 4.5
    assert max(abs(correlation(first, other)) for other in others) < 4.5


def test_one_slot_is_uncorrelated_over_steps():
    """Three coefficients within 4.5 standard errors; fails once in 49,000."""
    streams = jax.vmap(lambda step: jnp.stack(stream_key(KEY, step, 5, 1)))(slots(2**18))
    drawn = np.asarray(words((streams[:, 0], streams[:, 1]), jnp.full(2**18, 42))) / 2**32
    assert max(abs(correlation(drawn[:-lag], drawn[lag:])) for lag in (1, 2, 7)) < 4.5


def repeated(combine):
    """Pairs of equal draws of one slot over 32 steps, 32 neighbouring streams and 4 calls."""
    step, stream, call = (x.ravel() for x in jnp.meshgrid(slots(32), slots(32), slots(4)))
    first, second = jax.vmap(lambda *name: combine(KEY, *name))(step, stream, call)
    drawn = np.asarray(words((first, second), jnp.full(step.shape, 42)))
    return drawn.size - np.unique(drawn).size


def test_no_two_steps_processes_and_calls_share_a_stream():
    """4,096 words collide with probability 0.002."""
    assert repeated(stream_key) == 0


def test_adding_step_and_stream_would_fail_that_test():
    assert repeated(additive) > 3900


def test_words_come_twice_as_often_as_random_words_do():
    """Poisson of mean 128 (coincidences among 2**20 words), within 4 standard errors."""
    word, middle = word_pair(STREAM, slots(2**20))
    twice = 2**20 - np.unique(np.asarray(word)).size
    assert abs(twice - 128) < 46
    assert np.unique(np.asarray(middle)).size == 2**20  # the control: a permutation never does


def test_birthday_spacings_are_those_of_random_words():
    """Coincident spacings of 256 x 4,096 birthdays: Poisson of mean 1024, 4 standard errors."""
    days = np.sort(np.asarray(words(STREAM, slots(2**20))).reshape(256, 4096), axis=1)
    spacings = np.sort(np.diff(days, axis=1), axis=1)
    assert abs((np.diff(spacings, axis=1) == 0).sum() - 1024) < 4 * 32


def test_integers_are_the_high_word_of_the_product():
    spans = np.array([1, 2, 3, 10, 1_000_003, 2**31, 2**32 - 1], np.uint64)
    word, low = word_pair(STREAM, slots(7))
    expected = [
        (((int(w) << 32) + int(x)) * int(span)) >> 64
        for w, x, span in zip(word, low, spans, strict=True)
    ]
    assert integer_from(word, low, jnp.asarray(spans, jnp.uint32)).tolist() == expected


def test_library_keys_run_on_this_generator():
    keys = keys_from(*word_pair(STREAM, slots(2**16)))
    drawn = jax.vmap(jax.random.uniform)(keys)
    assert stats.kstest(np.asarray(drawn), "uniform").pvalue > 1e-4
    again = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 1)))(keys)
    assert abs(correlation(drawn, again)) < 4.5
    assert jax.random.key(3, impl=jax.random.key_impl(keys)).shape == ()


def test_pairs_of_uniforms_are_new_for_each_key_number_and_side():
    keys = word_pair(STREAM, slots(2**16))
    found = [x for number in range(3) for x in uniform_pair(keys, jnp.int32(number))]
    for i, one in enumerate(found):
        assert stats.kstest(np.asarray(one), "uniform").pvalue > 1e-4
        assert all(abs(correlation(one, other)) < 4.5 for other in found[:i])


def test_library_keys_refuse_other_widths():
    keys = keys_from(*word_pair(STREAM, slots(1)))
    with pytest.raises(ScenarioError, match="32 bits at a time, not 16"):
        jax.random.bits(keys[0], dtype=jnp.uint16)
