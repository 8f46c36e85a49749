"""How a graph's ties are laid out in rows, worked out once on the host."""

from typing import NamedTuple

import numpy as np

from ..errors import ScenarioError

_WIDEST = 32  # columns are unrolled, so a wide row costs time to compile
_ROW_COST = 3  # an extra row costs about as much as reading this many neighbours (measured)


class Layout(NamedTuple):
    """Arrays of a Graph; see its attributes."""

    neighbours: np.ndarray
    extra: np.ndarray
    owner: np.ndarray
    total: np.ndarray
    weight: np.ndarray | None
    extra_weight: np.ndarray | None


def lay_out(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray | None, num_agents: int
) -> Layout:
    """Rows of neighbours from ties sorted by target, each given once."""
    degree = np.bincount(target, minlength=num_agents)
    width, extra_width = _widths(degree)
    start = np.cumsum(degree) - degree
    column = np.arange(target.size) - start[target]
    near = column < width
    neighbours = np.full((num_agents, width), num_agents, np.int32)
    neighbours[target[near], column[near]] = source[near]
    num_rows = -(-np.maximum(degree - width, 0) // extra_width)
    owner = np.repeat(np.arange(num_agents, dtype=np.int32), num_rows)
    far = ~near
    beyond = column[far] - width
    row = (np.cumsum(num_rows) - num_rows)[target[far]] + beyond // extra_width
    extra = np.full((owner.size, extra_width), num_agents, np.int32)
    extra[row, beyond % extra_width] = source[far]
    if weight is None:
        return Layout(neighbours, extra, owner, degree.astype(np.float32), None, None)
    near_weight = np.zeros(neighbours.shape, np.float32)
    near_weight[target[near], column[near]] = weight[near]
    extra_weight = np.zeros(extra.shape, np.float32)
    extra_weight[row, beyond % extra_width] = weight[far]
    total = np.bincount(target, weight, minlength=num_agents).astype(np.float32)
    return Layout(neighbours, extra, owner, total, near_weight, extra_weight)


def _widths(degree: np.ndarray) -> tuple[int, int]:
    """The widths of first and extra rows that read the fewest entries."""
    degrees, agents = np.unique(degree, return_counts=True)
    if degrees.size == 0:
        return 1, 1
    best = (np.inf, 1, 1)
    for width in range(1, min(int(degrees[-1]), _WIDEST) + 1):
        beyond = np.maximum(degrees - width, 0)
        for extra_width in (2, 4, 8, 16, 32):
            rows = np.sum(-(-beyond // extra_width) * agents)
            cost = degree.size * width + rows * (extra_width + _ROW_COST)
            best = min(best, (float(cost), width, extra_width))
    return best[1], best[2]


def once_each(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    num_agents: int,
    directed: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Ties sorted by target, both ways unless directed, without self-loops and repetitions.

    Raises:
        ScenarioError: a weighted tie is given more than once.
    """
    key = target.astype(np.int64) * num_agents + source
    if not directed:
        key = np.concatenate([key, source.astype(np.int64) * num_agents + target])
        weight = None if weight is None else np.concatenate([weight, weight])
    other, to = key % max(num_agents, 1), key // max(num_agents, 1)
    loop = other == to
    if loop.any():
        key = key[~loop]
        weight = None if weight is None else weight[~loop]
    if weight is None:
        key.sort()
    else:
        order = np.argsort(key, kind="stable")
        key, weight = key[order], weight[order]
    fresh = np.append(True, key[1:] != key[:-1])[: key.size]
    if not fresh.all():
        if weight is not None:
            to, other = divmod(int(key[~fresh][0]), num_agents)
            raise ScenarioError(
                f"the weighted tie {other}-{to} is given more than once; add its weights up first"
            )
        key = key[fresh]
    to = key // max(num_agents, 1)
    return (key - to * num_agents).astype(np.int32), to.astype(np.int32), weight
