"""Sorting people into groups, and groups into even parts, all at once."""

import numpy as np
from jaxtyping import Int, Shaped

from ..expand import narrowed
from ..seeds import Generator


def shuffled_by(
    key: Shaped[np.ndarray, " member"], below: int, rng: Generator
) -> Int[np.ndarray, " member"]:
    """Order that sorts members by a whole number below `below`, at random among equals."""
    order = rng.permutation(len(key))
    return order[np.argsort(narrowed(key[order], below), kind="stable")]


def rank_within(group: Int[np.ndarray, " member"]) -> Int[np.ndarray, " member"]:
    """Place of each member in its group, from 0; members of a group stand together."""
    first = np.flatnonzero(np.diff(group, prepend=-1) != 0)
    count = np.diff(first, append=len(group))
    return np.arange(len(group)) - np.repeat(first, count)


def split_evenly(
    group: Int[np.ndarray, " member"], size: float | int
) -> tuple[Int[np.ndarray, " member"], int]:
    """Part of each member, where each group is cut into even parts of about `size`.

    Members of a group stand together, groups in rising order. Every group has a part at least.
    """
    number = np.cumsum(np.diff(group, prepend=-1) != 0) - 1
    members = np.bincount(number)
    parts = np.maximum(1, np.rint(members / size)).astype(np.int64)
    first = np.cumsum(parts) - parts
    part = first[number] + rank_within(group) * parts[number] // members[number]
    return part, int(parts.sum())
