"""The random network that all sides are given: `size * 10 / 2` ties, drawn with replacement."""

import numpy as np

DEGREE, CHANCE, DURATION, SEEDED = 10, 0.02, 10, 0.01


def draw_edges(size, seed):
    rng = np.random.default_rng(seed)  # noqa: TID251 - a peer's own generator
    one = rng.integers(0, size, size * DEGREE // 2, dtype=np.int32)
    other = (one + rng.integers(1, size, one.size, dtype=np.int32)) % np.int32(size)
    return one, other
