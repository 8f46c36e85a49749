"""Array types whose annotations carry axis names, and how those names are read."""

from functools import cache
from typing import Any, Protocol, get_type_hints, runtime_checkable

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import AbstractArray, Array, Bool, Float, Int, PRNGKeyArray, UInt32

Scalar = Float[Array, ""]
Number = int | float | np.float32 | np.int32 | Float[Array, ""] | Int[Array, ""]
AGENT = "agent"


@runtime_checkable
class HasSlots(Protocol):
    """What a builder needs to know of a population: who is there and how many slots."""

    @property
    def size(self) -> int:
        """Number of people at the start."""
        ...

    @property
    def capacity(self) -> int:
        """Number of slots, living and empty."""
        ...

    @property
    def alive(self) -> Bool[Array, " agent"]:
        """Which slots hold a person."""
        ...


def is_array(annotation: Any) -> bool:
    """Whether an annotation is a jaxtyping array such as ``Float[Array, " agent"]``."""
    return isinstance(annotation, type) and issubclass(annotation, AbstractArray)


def axis_names(annotation: Any) -> tuple[str, ...]:
    """Axis names of an array annotation, in order; empty for a scalar."""
    return tuple(annotation.dim_str.split())


def kind(annotation: Any) -> str:
    """`float`, `int` or `bool`: the family of dtypes an annotation admits."""
    dtypes = annotation.dtypes
    for family in ("float", "int", "bool"):
        if any(name.startswith(family) for name in dtypes):
            return family
    return "any"


@cache
def hints(owner: type) -> dict[str, Any]:
    """Resolved annotations of a class, string annotations included; computed once."""
    return get_type_hints(owner)


def describe(array: Any) -> str:
    """`bool[2000]`: dtype and shape as error messages print them."""
    dtype = getattr(array, "dtype", type(array).__name__)
    shape = ",".join(str(n) for n in getattr(array, "shape", ()))
    return f"{dtype}[{shape}]"


def is_traced(tree: Any) -> bool:
    """Whether any leaf is a JAX tracer (inside grad, vmap or jit)."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


__all__ = [
    "AGENT",
    "Array",
    "Bool",
    "Float",
    "HasSlots",
    "Int",
    "Number",
    "PRNGKeyArray",
    "Scalar",
    "UInt32",
    "axis_names",
    "describe",
    "hints",
    "is_array",
    "is_traced",
    "kind",
]
