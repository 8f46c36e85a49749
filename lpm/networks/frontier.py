"""Counts over mutual ties where few agents count: each of the few adds one to its neighbours."""

import os

import jax
import jax.numpy as jnp

from ..aggregates import pack, running_total
from ..axes import Array, Bool, Float, Int
from .base import read

_CHUNK_SHARE = 128  # A pass of the loop handles this fraction of the agents (measured).
_LEAST_CHUNK = 64
# One thread scatters while all of them gather: below 1 / 8 of the agents to a core it pays.
_FEW_TO_A_CORE = 8


def few(num_agents: int) -> int:
    """Up to how many agents adding to their neighbours is faster than asking everybody.

    0 on anything but a CPU, where it has not been measured: everybody asks.
    """
    if jax.default_backend() != "cpu":
        return 0
    available = getattr(os, "sched_getaffinity", None)
    cores = len(available(0)) if available else os.cpu_count() or 1
    return num_agents // (_FEW_TO_A_CORE * cores)


def count_from_few(
    counted: Bool[Array, " agent"],
    neighbours: Int[Array, "agent column"],
    extra: Int[Array, "row extra_column"],
    owner: Int[Array, " row"],
) -> Float[Array, " agent"]:
    """How many neighbours of each agent are `counted`, over ties stored from both ends.

    Whole numbers, so that the order of adding does not matter.
    """
    total = jnp.zeros(neighbours.shape[0], jnp.float32)
    total = _add_rows(total, counted, neighbours)
    return _add_rows(total, read(counted, owner), extra) if owner.shape[0] else total


def _add_rows(
    total: Float[Array, " agent"], marked: Bool[Array, " row"], rows: Int[Array, "row column"]
) -> Float[Array, " agent"]:
    """One added to `total` at every entry of the marked rows, a chunk of them at a time."""
    words = pack(marked)
    upto = running_total(jax.lax.population_count(words).astype(jnp.int32))
    chunk = max(_LEAST_CHUNK, rows.shape[0] // _CHUNK_SHARE)

    def add(number: Array, total: Array) -> Array:
        rank = number * chunk + jnp.arange(chunk, dtype=jnp.int32)
        at = _positions(words, upto, rank)
        ends = rows.at[at].get(mode="fill", fill_value=total.shape[0])
        return total.at[ends.ravel()].add(1, mode="drop")

    return jax.lax.fori_loop(0, -(-upto[-1] // chunk), add, total)


def _positions(words: Array, upto: Int[Array, " word"], rank: Int[Array, " k"]) -> Array:
    """Where the set bit of each rank is, counted from 0; beyond all bits where there is none."""
    # The word by bisection of the running counts, the bit by halving the word.
    word = jnp.searchsorted(upto, rank, side="right").astype(jnp.int32)
    rest = rank - jnp.where(word > 0, upto.at[word - 1].get(mode="clip"), 0)
    bits, place = read(words, word), jnp.zeros_like(rank)
    for width in (16, 8, 4, 2, 1):
        low = bits & jnp.uint32((1 << width) - 1)
        below = jax.lax.population_count(low).astype(jnp.int32)
        upper = rest >= below
        place, rest = place + jnp.where(upper, width, 0), rest - jnp.where(upper, below, 0)
        bits = jnp.where(upper, bits >> width, low)
    return jnp.where(word < words.shape[0], word * 32 + place, words.shape[0] * 32)
