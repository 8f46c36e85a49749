"""Groups formed again from fewer people, so that they are as large as they were."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Int, Shaped

from .columns import NONE
from .placing.parts import shuffled_by
from .seeds import Generator


@final
@dataclass(frozen=True)
class Standing:
    """What groups are put in order by.

    Attributes:
        age: median age of the members of each group.
        zone: where the member of that age lives or works.
    """

    age: Int[np.ndarray, " group"]
    zone: Int[np.ndarray, " group"]


def describe(
    group: Int[np.ndarray, " member"],
    age: Shaped[np.ndarray, " member"],
    zone: Int[np.ndarray, " member"],
) -> Standing:
    """Median age and zone of each group; zero for groups that nobody is in."""
    inside = np.flatnonzero(group >= 0)
    order = inside[np.lexsort((age[inside], group[inside]))]
    size = np.bincount(group[inside])
    middle = order[np.minimum(np.cumsum(size) - size + size // 2, len(order) - 1)]
    there = size > 0
    return Standing(
        np.where(there, age[middle], 0).astype(np.int64), np.where(there, zone[middle], 0)
    )


def choose_evenly(count: int, chosen: int, rng: Generator) -> Int[np.ndarray, " chosen"]:
    """So many of `count` places, at even steps from a random start."""
    return np.floor((np.arange(chosen) + rng.random()) * count / max(chosen, 1)).astype(np.int64)


def keep_units(
    unit: Int[np.ndarray, " person"],
    stratum: Int[np.ndarray, " person"],
    share: float | int,
    rng: Generator,
) -> Bool[np.ndarray, " person"]:
    """Which people stay where whole units do, evenly over strata and sizes."""
    _, first, unit, size = np.unique(
        unit, return_index=True, return_inverse=True, return_counts=True
    )
    order = rng.permutation(len(size))
    order = order[np.lexsort((size[order], stratum[first][order]))]
    stays = np.zeros(len(size), bool)
    stays[order[choose_evenly(len(size), max(1, round(len(size) * share)), rng)]] = True
    return stays[unit]


def refill(
    group: Int[np.ndarray, " member"],
    rank: Int[np.ndarray, " group"],
    apart: Bool[np.ndarray, " member"],
    kept: Int[np.ndarray, " kept"],
    share: float | int,
    rng: Generator,
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " new"]]:
    """New group of those kept, and the group each new one takes its size from.

    Of the groups in the order of `rank`, every so-manieth is taken for its size, and the members
    kept, in the same order, are cut into parts in proportion to those sizes.

    Args:
        group: of all members; -1 for none.
        rank: place of each group in the order.
        apart: whose part in the group is another, and who are therefore counted by themselves.
        kept: which members there are now.
        share: of groups to form.
        rng: where steps begin, and the order within a group.
    """
    there = np.bincount(group[group >= 0], minlength=len(rank)) > 0
    order = np.argsort(rank, kind="stable")
    order = order[there[order]]
    taken = order[choose_evenly(len(order), max(1, round(len(order) * share)), rng)]
    new = np.full(len(kept), NONE, np.int64)
    for part in (False, True):
        sizes = np.bincount(group[(group >= 0) & (apart == part)], minlength=len(rank))[taken]
        mine = np.flatnonzero((group[kept] >= 0) & (apart[kept] == part))
        mine = mine[shuffled_by(rank[group[kept[mine]]], len(rank), rng)]
        new[mine] = fill(sizes, len(mine))
    return new, taken


def fill(sizes: Int[np.ndarray, " new"], members: int) -> Int[np.ndarray, " member"]:
    """Group of each of so many members in order, in proportion to the sizes."""
    upto = np.cumsum(sizes)
    if members and upto[-1] == 0:
        return np.full(members, NONE)
    bounds = np.rint(upto * (members / max(int(upto[-1]), 1))).astype(np.int64)
    return np.repeat(np.arange(len(sizes)), np.diff(bounds, prepend=0))


def ranked(*keys: Shaped[np.ndarray, " group"]) -> Int[np.ndarray, " group"]:
    """Place of each group in the order of the keys, the first one foremost."""
    rank = np.empty(len(keys[0]), np.int64)
    rank[np.lexsort(keys[::-1])] = np.arange(len(rank))
    return rank


def renumbered(group: Int[np.ndarray, " member"]) -> Int[np.ndarray, " member"]:
    """Ids 0, 1, ... in the order of those given; -1 stays."""
    known, codes = np.unique(group, return_inverse=True)
    return (codes - int(len(known) > 0 and known[0] == NONE)).astype(np.int32)
