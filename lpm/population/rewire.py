"""Ties that lost an end, joined with others that miss the like."""

import numpy as np
from jaxtyping import Int

from .placing.parts import rank_within
from .placing.ties import Ends
from .seeds import Generator

_BAND = 5  # years of age that count as alike
_COARSER = (1, 8, 64)  # zones taken together, try by try; neighbours where names are in order


def rewire(
    ties: Ends,
    new: Int[np.ndarray, " person"],
    age: Int[np.ndarray, " person"],
    zone: Int[np.ndarray, " person"],
    rng: Generator,
) -> tuple[Int[np.ndarray, " new"], Int[np.ndarray, " new"]]:
    """Ties among those who stay, as many for nearly everybody as before.

    Ties between two who stay stay. One who loses a friend of some age and zone is tied to another
    who does and whom that friend was like: so ages and zones mix as before. Where nobody fits,
    zones are taken together, then all.

    Args:
        ties: both ends of each tie, each tie twice.
        new: row of each person among those who stay; -1 for others.
        age: in years.
        zone: where each lives.
        rng: who of those alike is tied to whom.
    """
    mine, theirs = ties
    stays = new[mine] >= 0
    both = stays & (new[theirs] >= 0) & (mine < theirs)
    found = [(new[mine[both]], new[theirs[both]])]
    lost = np.flatnonzero(stays & (new[theirs] < 0))
    mine, theirs = mine[lost], theirs[lost]
    band = age // _BAND
    for together in _COARSER:
        kind = (zone // together).astype(np.int64) * 64 + band
        one, other = match(kind[mine], kind[theirs], rng)
        found.append((new[mine[one]], new[mine[other]]))
        left = np.ones(len(mine), bool)
        left[one] = left[other] = False
        mine, theirs = mine[left], theirs[left]
    by_age = mine[np.lexsort((rng.random(len(mine)), (age[mine] + age[theirs]) // _BAND))]
    by_age = by_age[: len(by_age) // 2 * 2]
    found.append((new[by_age[0::2]], new[by_age[1::2]]))
    one, other = (np.concatenate([pair[i] for pair in found]) for i in (0, 1))
    apart = one != other
    return one[apart], other[apart]


def match(
    have: Int[np.ndarray, " stub"], want: Int[np.ndarray, " stub"], rng: Generator
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Pairs of stubs each of which is of the kind that the other wants."""
    low, high = np.minimum(have, want), np.maximum(have, want)
    bucket = low * (int(high.max(initial=0)) + 1) + high
    order = np.lexsort((rng.random(len(bucket)), bucket))
    side = np.empty(len(bucket), bool)
    side[order] = rank_within(bucket[order]) % 2 == 1
    side = np.where(have == want, side, have > want)
    sides = []
    for each in (False, True):
        rows = order[side[order] == each]
        sides.append((rows, bucket[rows], rank_within(bucket[rows])))
    most = max((int(rank.max(initial=0)) for _, _, rank in sides), default=0) + 1
    # Buckets are renumbered so that bucket and rank fit one number.
    known = np.unique(bucket)
    codes = [np.searchsorted(known, at) * most + rank for _, at, rank in sides]
    _, one, other = np.intersect1d(*codes, assume_unique=True, return_indices=True)
    return sides[0][0][one], sides[1][0][other]
