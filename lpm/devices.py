"""How arrays lie over the devices of a run, which may belong to several processes."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from .axes import AGENT


def along_agents(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Split evenly over the devices along one axis, the agents'."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * axis, AGENT))


def everywhere(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def spread(x: Any, sharding: Sharding) -> jax.Array:
    """A host array laid out over devices; each process hands over what its own devices hold."""
    x = np.asarray(x)
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def fetch(x: Any) -> np.ndarray:
    """An array as a whole on the host; all processes that share it must ask for it together."""
    if isinstance(x, jax.Array) and not (x.is_fully_addressable or x.is_fully_replicated):
        return np.asarray(multihost_utils.process_allgather(x, tiled=True))
    return np.asarray(x)
