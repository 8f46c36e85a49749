"""Array types whose annotations carry axis names, and how those names are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeAlias, get_type_hints, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import AbstractArray, Array, Bool, Float, Int, PRNGKeyArray, UInt32

from .errors import ScenarioError, listing, unknown

Scalar = Float[Array, ""]
Number = int | float | np.float32 | np.int32 | Float[Array, ""] | Int[Array, ""]
Axis: TypeAlias = str | tuple[str | int, ...]
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


def axis_parts(axis: Axis) -> tuple[str | int, ...]:
    """`axis` as a tuple."""
    return (axis,) if isinstance(axis, str) else axis


@dataclass(frozen=True)
class Lengths:
    """Lengths of axes by name, and values spread along them.

    Attributes:
        place: who asks, as error messages say it.
        sizes: length of each axis, in the order in which a length is looked for.
    """

    place: str
    sizes: Mapping[str, int]

    def axis_of(self, shape: tuple[int, ...]) -> tuple[str | int, ...]:
        """The axes of a parameter, its first one found by its length.

        Raises:
            ScenarioError: a scalar, or a length that no axis has.
        """
        if not shape:
            raise ScenarioError(
                f"{self.place} has scalar parameters and no axis; "
                f"give one of {listing(self.sizes)}, or () for a single number"
            )
        for name, size in self.sizes.items():
            if size == shape[0]:
                return (name, *shape[1:])
        raise ScenarioError(
            f"{self.place} has parameters of length {shape[0]}; there are axes "
            f"{listing(f'{name}: {size}' for name, size in self.sizes.items())}"
        )

    def shape(self, axis: Axis) -> tuple[int, ...]:
        """The lengths of `axis`.

        Raises:
            ScenarioError: an axis that is not there.
        """
        parts = axis_parts(axis)
        wrong = [part for part in parts if isinstance(part, str) and part not in self.sizes]
        if wrong:
            raise ScenarioError(unknown(self.place, "axis", wrong, self.sizes))
        return tuple(self.sizes[part] if isinstance(part, str) else int(part) for part in parts)

    def fit(self, value: ArrayLike, shape: tuple[int, ...], dtype: type) -> Array:
        """`value` along all of `shape`.

        Raises:
            ScenarioError: it does not fit.
        """
        array = jnp.asarray(value, dtype)
        try:
            return jnp.broadcast_to(array, shape)
        except ValueError as error:
            raise ScenarioError(
                f"{self.place} of shape {listing(map(str, shape))} has a parameter "
                f"of shape {listing(map(str, array.shape))}"
            ) from error


__all__ = [
    "AGENT",
    "Array",
    "Axis",
    "Bool",
    "Float",
    "HasSlots",
    "Int",
    "Lengths",
    "Number",
    "PRNGKeyArray",
    "Scalar",
    "UInt32",
    "axis_names",
    "axis_parts",
    "describe",
    "hints",
    "is_array",
    "is_traced",
    "kind",
]
