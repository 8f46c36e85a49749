"""What every test stands on: four virtual CPU devices, strict ranks, one small town.

The device count is set before anything touches a JAX backend, which is why it stands here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import jax
import pytest
from hypothesis import settings

import lpm
from lpm.cache import forget_if_full

# Nothing of the suite goes to the user's folders; `JAX_COMPILATION_CACHE_DIR` still holds.
os.environ.setdefault("LPM_CACHE", "off")
jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

# No deadline, since an example may compile. In CI the examples are the same each time.
settings.register_profile(
    "lpm", deadline=None, max_examples=25, derandomize=bool(os.environ.get("CI")), print_blob=True
)
settings.load_profile("lpm")


@pytest.fixture(scope="module", autouse=True)
def room_for_programs() -> Iterator[None]:
    """Between files, forget compiled programs early: a file alone may need many."""
    yield
    forget_if_full(share=0.3)


@pytest.fixture(scope="session")
def town() -> lpm.Population:
    """64 people in households and workplaces, no spare slots."""
    return lpm.Population.toy(64)


@pytest.fixture(scope="session")
def roomy_town() -> lpm.Population:
    """The same 64 people with 32 empty slots behind them."""
    return lpm.Population.toy(64, capacity=96)


@pytest.fixture(scope="session")
def key() -> jax.Array:
    """One fixed key."""
    return jax.random.key(0)


@pytest.fixture(scope="session")
def keys() -> jax.Array:
    """Four fixed keys, for a small ensemble."""
    return jax.random.split(jax.random.key(0), 4)
