"""Only: a policy that moves some elements of an array and holds the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..errors import FittingError
from ..fields import Knob
from .shapes import Axes, Free, Numbers


@final
@dataclass(frozen=True)
class Only:
    """Some elements of a field on one axis, each on its own; the others stay where they are given.

    Attributes:
        elements: their indices, such as (7,) for the top one of eight rates.
        values: of all elements.

    Raises:
        FittingError: no elements, one twice, or one that is not among the values.
    """

    elements: Sequence[int]
    values: Sequence[float | int] | np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", tuple(int(i) for i in self.elements))
        object.__setattr__(self, "values", tuple(float(x) for x in self.values))
        count, chosen = len(self.values), set(self.elements)
        if not chosen or len(chosen) < len(self.elements) or not chosen <= set(range(count)):
            raise FittingError(
                f"Only(elements={list(self.elements)}) of {count} values; give one or more of the "
                f"numbers 0 to {count - 1}, each once"
            )

    def count(self, name: str, knob: Knob, axes: Axes) -> int:
        """The elements that move."""
        held = np.asarray(self.values)
        if axes != held.shape:
            raise FittingError(f"{name} is {list(axes)}; Only holds {len(held)} values for it")
        if knob.domain.violated(held).any():
            raise FittingError(f"Only holds {list(self.values)} for {name}; within {knob.domain}")
        return len(self.elements)

    def labels(self, name: str, axes: Axes) -> list[str]:
        """The field, with an index."""
        every = Free().labels(name, axes)
        return [every[i] for i in self.elements]

    def constrain(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """The values, with those elements replaced."""
        held = jnp.asarray(self.values, jnp.float32).reshape(axes)
        return held.at[jnp.asarray(self.elements)].set(self.flat(z, knob, axes))

    def flat(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:  # noqa: ARG002
        """The elements that move."""
        return knob.constrain(jnp.reshape(z, (len(self.elements),)))

    def locate(self, value: Float[np.ndarray, "..."], knob: Knob) -> Numbers:
        """Exact, off the bounds."""
        return Free().locate(value[list(self.elements)], knob)

    def spread(self, levels: Float[np.ndarray, "point number"]) -> Float[np.ndarray, "_ _"]:
        """Even between two bounds."""
        return Free().spread(levels)

    def ends(self, z: Numbers, knob: Knob, axes: Axes) -> Numbers:
        """Each element to its bound."""
        return Free().ends(z, knob, axes)
