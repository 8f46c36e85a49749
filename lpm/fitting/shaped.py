"""A space whose fields have shapes, and an objective that is differentiated through them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..errors import FittingError, unknown
from ..params import Params
from .objective import Objective
from .seam import Estimator, Loss
from .shapes import Axes, Free, Numbers, Shape
from .space import Space

Points = Float[np.ndarray, "point number"]


@dataclass(frozen=True)
class Shaped(Space):
    """Fields of `params` as one vector of unconstrained numbers, by the shape of each field.

    Stands where a `Space` stands; a field without a shape has one number per element.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)

    @classmethod
    def of(
        cls, params: Params, fields: tuple[str, ...], shape: Shape | Mapping[str, Shape] | None
    ) -> "Shaped":
        """The space of fields, of which some have a shape.

        Raises:
            FittingError: a shape for no field or one it does not fit, or a single shape where not
                exactly one field is an array.
        """
        arrays = [name for name in fields if np.ndim(getattr(params, name))]
        if shape is None:
            given: dict[str, Shape] = {}
        elif isinstance(shape, Mapping):
            given = dict(shape)
        elif len(arrays) == 1:
            given = {arrays[0]: shape}
        else:
            raise FittingError(
                f"shape is given once, but {arrays or 'none'} are arrays among the fields; give "
                "shapes by name"
            )
        wrong = [name for name in given if name not in fields]
        if wrong:
            raise FittingError(unknown("the policy", "field", wrong, fields))
        space = cls(params, fields, {name: given.get(name, Free()) for name in fields})
        if not space.size:
            raise FittingError(f"fields {list(fields)} hold no elements to choose")
        return space

    @property
    def size(self) -> int:
        """Numbers of all fields."""
        return sum(self._counts)

    @property
    def labels(self) -> list[str]:
        """A name for each number."""
        return [x for n in self.fields for x in self.shapes[n].labels(n, self._axes(n))]

    @property
    def start(self) -> Numbers:
        """Where `params` lie, or close to it."""
        knobs = type(self.params).knobs()
        return np.concatenate(
            [
                self.shapes[name].locate(np.asarray(getattr(self.params, name)), knobs[name])
                for name in self.fields
            ]
        )

    def constrain(self, z: Float[Array, " number"]) -> dict[str, Array]:
        """Fields by name at one point; can be traced."""
        knobs, found = type(self.params).knobs(), {}
        for name, part in self._parts(z):
            value = self.shapes[name].constrain(part, knobs[name], self._axes(name))
            domain = knobs[name].domain
            # Rounding may put a far point just outside.
            found[name] = jnp.clip(value, domain.lower, domain.upper).astype(jnp.float32)
        return found

    def place(self, points: Points) -> dict[str, Float[np.ndarray, "point ..."]]:
        """Fields by name, [point, *field]."""
        found = jax.vmap(self.constrain)(jnp.asarray(points, jnp.float32))
        return {name: np.asarray(x) for name, x in found.items()}

    def at(self, z: Numbers) -> Params:
        """The params at one point."""
        return self.params.replace(**{name: x[0] for name, x in self.place(z[None]).items()})

    def flat(self, points: Points) -> Points:
        """Each number in units of its field."""
        row = jax.vmap(self._row)(jnp.asarray(points, jnp.float32))
        return np.asarray(row, np.float64)

    def lengths(self, z: Numbers) -> Numbers:
        """How far each number moves, in units of its field, for a unit of `z`."""
        slopes = jax.jacfwd(self._row)(jnp.asarray(z, jnp.float32))
        return np.asarray(jnp.diagonal(slopes), np.float64)

    def quantiles(self, u: Points) -> Points:
        """Points at levels in (0, 1), number by number."""
        parts = self._parts(np.arange(self.size))
        return np.concatenate([self.shapes[n].spread(u[:, at]) for n, at in parts], axis=1)

    def ends(self, z: Numbers) -> Numbers:
        """Where numbers go that are within 1 % of a bound; nan for the others."""
        knobs = type(self.params).knobs()
        parts = self._parts(z)
        return np.concatenate([self.shapes[n].ends(x, knobs[n], self._axes(n)) for n, x in parts])

    def pull_back(
        self, z: Numbers, slopes: Float[np.ndarray, "run element"]
    ) -> Float[np.ndarray, "run number"]:
        """Slopes by the fields' elements as slopes by the numbers."""

        def row(z: Array) -> Array:
            return jnp.concatenate([x.ravel() for x in self.constrain(z).values()])

        return slopes @ np.asarray(jax.jacfwd(row)(jnp.asarray(z, jnp.float32)), np.float64)

    def _row(self, z: Array) -> Array:
        knobs = type(self.params).knobs()
        return jnp.concatenate(
            [self.shapes[n].flat(part, knobs[n], self._axes(n)) for n, part in self._parts(z)]
        )

    def _axes(self, name: str) -> Axes:
        return np.shape(getattr(self.params, name))

    @property
    def _counts(self) -> list[int]:
        knobs = type(self.params).knobs()
        return [self.shapes[n].count(n, knobs[n], self._axes(n)) for n in self.fields]

    def _parts(self, z: Array | np.ndarray) -> list[tuple[str, Any]]:
        ends = np.cumsum(self._counts)
        firsts = [0, *ends[:-1].tolist()]
        return [(n, z[a:b]) for n, a, b in zip(self.fields, firsts, ends, strict=True)]


@dataclass(frozen=True)
class _Elements(Space):
    """The elements of fields in their own units, fixed at one point."""

    def at(self, z: Numbers) -> Params:  # noqa: ARG002
        return self.params

    def lengths(self, z: Numbers) -> Float[np.ndarray, " element"]:  # noqa: ARG002
        return np.ones(self.size)


class ShapedObjective(Objective):
    """An objective over a `Shaped` space, whose slopes in reverse pass through the shapes."""

    @property
    def shaped(self) -> Shaped:
        """Its space.

        Raises:
            FittingError: a space without shapes.
        """
        if not isinstance(self.space, Shaped):
            raise FittingError("the space has no shapes; give a Shaped")
        return self.space

    def _reverse(
        self, points: Points, method: Estimator, loss: Loss
    ) -> tuple[np.ndarray, np.ndarray, float]:
        values, gradients, cost = [], [], 0.0
        for z in points:
            fixed = replace(self, space=_Elements(self.space.at(z), self.space.fields))
            found, slopes, more = Objective._reverse(fixed, z[None], method, loss)
            values.append(found[0])
            gradients.append(self.shaped.pull_back(z, slopes[0]))
            cost += more
        return np.stack(values), np.stack(gradients), cost
