"""Twelve hex digits that tell populations apart."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from .columns import widened


def fingerprint(
    columns: Mapping[str, Shaped[np.ndarray, " person"]],
    networks: Mapping[str, Any],
    capacity: int,
) -> str:
    """Changes when a name, a value or a tie does; not with the capacity.

    Args:
        columns: of the people alone, `slot` among them.
        networks: the networks among them, of `capacity` rows.
        capacity: rows, living and empty.
    """
    digest = hashlib.sha256()
    size = 0
    for name, kept in columns.items():
        values = widened(kept)
        size = len(values)
        digest.update(f"{name} {values.dtype} {size};".encode())
        digest.update(np.ascontiguousarray(values).data)
    for name, network in networks.items():
        digest.update(name.encode())
        for leaf in jax.tree.leaves(network):
            digest.update(np.ascontiguousarray(_compact(np.asarray(leaf), size, capacity)).data)
    return digest.hexdigest()[:12]


def _compact(leaf: np.ndarray, size: int, capacity: int) -> np.ndarray:
    """An array of a network without empty rows, and as if there were none."""
    leaf = leaf[:size] if leaf.shape[:1] == (capacity,) else leaf
    if not np.issubdtype(leaf.dtype, np.integer):
        return leaf
    # A graph writes its number of rows where a neighbour is missing.
    return np.where(leaf == capacity, leaf.dtype.type(size), leaf)
