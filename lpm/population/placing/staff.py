"""Adults who fill the posts of schools and care homes near where they live."""

import numpy as np
from jaxtyping import Int

from lpm.errors import DataError

from ..columns import NONE
from ..seeds import Generator
from .parts import rank_within
from .zones import Zones


def recruit(
    posts: Int[np.ndarray, " post"],
    able: Int[np.ndarray, " adult"],
    home: Int[np.ndarray, " adult"],
    zones: Zones,
    rng: Generator,
    *,
    what: str,
) -> Int[np.ndarray, " post"]:
    """A different adult for each post, from the same parent where it has enough of them.

    Within a parent both stand in the order of zones, and every so-manieth adult is taken, so that
    people work near home. Where a parent is short, others of the city fill in at random.

    Args:
        posts: zone of each post.
        able: rows of those who may be taken.
        home: zones they live in.
        zones: where they are.
        rng: who of a zone is taken.
        what: the posts, for the error.

    Raises:
        DataError: fewer adults than posts.
    """
    if len(able) < len(posts):
        raise DataError(
            f"{len(posts):,} {what} are needed, but the population has {len(able):,} employed "
            "adults for it; check the column of employment, or ask for larger classes"
        )
    place = _places(zones, rng.permutation(len(posts)), posts)
    adult = _places(zones, rng.permutation(len(able)), home)
    areas = int(zones.parent.max(initial=0)) + 1
    asked = np.bincount(zones.parent[posts], minlength=areas)
    there = np.bincount(zones.parent[home], minlength=areas)
    begin = np.cumsum(there) - there
    area = zones.parent[posts[place]]
    rank = rank_within(area)
    filled = rank < there[area]
    step = np.minimum(there, asked)
    start = rng.random(areas)[area]
    at = np.floor((rank + start) * there[area] / np.maximum(step[area], 1)).astype(np.int64)
    chosen = np.full(len(posts), NONE, np.int64)
    taken = np.zeros(len(able), bool)
    pick = adult[(begin[area] + at)[filled]]
    chosen[place[filled]], taken[pick] = pick, True
    short = np.flatnonzero(chosen == NONE)
    chosen[short] = rng.choice(np.flatnonzero(~taken), len(short), replace=False)
    return able[chosen]


def _places(zones: Zones, order: np.ndarray, zone: np.ndarray) -> np.ndarray:
    """Order by rank of the zone, within which it stays as given."""
    return order[np.argsort(zones.rank[zone[order]], kind="stable")]
