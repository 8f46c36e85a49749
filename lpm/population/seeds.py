"""Where host-side randomness comes from: one generator per seed the caller gives.

Populations are built once, on the host, before any run. A run itself draws only through `Draw`.
"""

from typing import TypeAlias

import numpy as np

# Host builders need sequential draws of changing length, which the counter of `Draw` is not for.
Generator: TypeAlias = np.random.Generator  # noqa: TID251


def generator(seed: int) -> Generator:
    """A fresh NumPy generator (PCG64): same seed, same numbers."""
    return np.random.default_rng(seed)  # noqa: TID251
