"""The ties of a graph, read back as pairs."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from lpm.errors import DataError
from lpm.networks import Graph

Ends: TypeAlias = tuple[Int[np.ndarray, " tie"], Int[np.ndarray, " tie"]]


def read_ties(graph: Graph) -> Ends:
    """Both ends of each tie, each tie twice: once from either end.

    Raises:
        DataError: ties have weights.
    """
    if graph.weight is not None:
        raise DataError("ties have weights, which are not read back; give a graph without them")
    near, far = np.asarray(graph.neighbours), np.asarray(graph.extra)
    owner = np.asarray(graph.owner)
    mine, theirs = [], []
    for column in near.T:
        there = column < graph.num_agents
        mine.append(np.flatnonzero(there).astype(np.int32))
        theirs.append(column[there])
    for column in far.T:
        there = column < graph.num_agents
        mine.append(owner[there])
        theirs.append(column[there])
    return np.concatenate(mine), np.concatenate(theirs)
