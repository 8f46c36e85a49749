"""Shapes: a policy that is an array, written with fewer numbers than it has elements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, final, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import BSpline
from scipy.special import logit

from ..errors import FittingError
from ..fields import Knob

Axes: TypeAlias = tuple[int, ...]
Numbers: TypeAlias = Float[np.ndarray, " number"]

FAR = 110.0  # On an unconstrained scale; float32 rounds it onto the bound.
NEAR = float(logit(0.99))  # Where 1 % of the way to the other bound is left.
_LEAST_RISE = 0.1  # A start with less is so flat that it has no slope.


@runtime_checkable
class Shape(Protocol):
    """A map from a few unconstrained numbers to all elements of one field, within its bounds."""

    def count(self, name: str, knob: Knob, axes: Axes) -> int:
        """How many numbers; refuses a field it does not fit with a `FittingError`."""
        ...

    def labels(self, name: str, axes: Axes) -> list[str]:
        """A name for each number."""
        ...

    def constrain(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """The field; can be traced."""
        ...

    def flat(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """Each number in units of the field; can be traced."""
        ...

    def locate(self, value: Float[np.ndarray, "..."], knob: Knob) -> Numbers:
        """Numbers that give a field close to `value`, away from where slopes vanish."""
        ...

    def spread(self, levels: Float[np.ndarray, "point number"]) -> Float[np.ndarray, "_ _"]:
        """Numbers at levels in (0, 1), such that even levels cover the whole field."""
        ...

    def ends(self, z: Numbers, knob: Knob, axes: Axes) -> Numbers:
        """Where each number goes that is within 1 % of a bound; nan for the others."""
        ...


def _ends(z: Numbers, knob: Knob) -> Numbers:
    low = (z < -NEAR) & (knob.domain.lower is not None)
    high = (z > NEAR) & (knob.domain.upper is not None)
    return np.where(low, -FAR, np.where(high, FAR, np.nan))


def inside(value: Float[np.ndarray, "..."], knob: Knob) -> Numbers:
    """The unconstrained scale of a value, 1 % of the way inside where it is on a bound."""
    lower, upper = knob.domain.lower, knob.domain.upper
    width = float(np.mean(knob.scale)) if lower is None or upper is None else upper - lower
    low = -np.inf if lower is None else lower
    high = np.inf if upper is None else upper
    value = np.where(value < low + 1e-5 * width, low + 0.01 * width, value)
    value = np.where(value > high - 1e-5 * width, high - 0.01 * width, value)
    return np.asarray(knob.unconstrain(value.astype(np.float32)), np.float64).ravel()


@final
@dataclass(frozen=True)
class Free:
    """Every element on its own."""

    def count(self, name: str, knob: Knob, axes: Axes) -> int:  # noqa: ARG002
        """All elements."""
        return int(np.prod(axes))

    def labels(self, name: str, axes: Axes) -> list[str]:
        """The field, with an index."""
        return [f"{name}{list(i)}" if i else name for i in np.ndindex(axes)]

    def constrain(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """Each element by its own bijection."""
        return knob.constrain(jnp.reshape(z, axes))

    def flat(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """The elements themselves."""
        return self.constrain(z, knob, axes).ravel()

    def locate(self, value: Float[np.ndarray, "..."], knob: Knob) -> Numbers:
        """Exact, off the bounds."""
        return inside(value, knob)

    def spread(self, levels: Float[np.ndarray, "point number"]) -> Float[np.ndarray, "_ _"]:
        """Even between two bounds."""
        return logit(levels)

    def ends(self, z: Numbers, knob: Knob, axes: Axes) -> Numbers:  # noqa: ARG002
        """Each element to its bound."""
        return _ends(z, knob)


@final
@dataclass(frozen=True)
class Spline:
    """A smooth curve along the first axis: a clamped B-spline, cubic from four knots on.

    Its coefficients lie within the field's bounds, and a B-spline stays between them; where they
    rise, so does the curve (de Boor 1978, A Practical Guide to Splines). The first and last are
    the values at both ends.

    Attributes:
        knots: number of coefficients.
        monotone: rising, falling, or `None`.

    Raises:
        FittingError: fewer than two knots, or another word than these.
    """

    knots: int = 5
    monotone: str | None = None

    def __post_init__(self) -> None:
        if self.knots < 2 or self.monotone not in (None, "rising", "falling"):
            raise FittingError(
                f"Spline(knots={self.knots}, monotone={self.monotone!r}); give two knots or more, "
                "and 'rising', 'falling' or None"
            )

    def count(self, name: str, knob: Knob, axes: Axes) -> int:  # noqa: ARG002
        """Coefficients, for each element along further axes."""
        if not axes or axes[0] < self.knots:
            raise FittingError(
                f"{name} is {list(axes)}; a spline with {self.knots} knots needs that many values "
                "along its first axis"
            )
        return self.knots * int(np.prod(axes[1:]))

    def labels(self, name: str, axes: Axes) -> list[str]:
        """The field and the knot."""
        return [f"{name} {w}" for w in Free().labels("knot", (self.knots, *axes[1:]))]

    def constrain(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """The curve."""
        weights = jnp.asarray(self._weights(axes[0]))
        return jnp.tensordot(weights, self._coefficients(z, knob, axes), axes=1)

    def flat(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """The coefficients."""
        return self._coefficients(z, knob, axes).ravel()

    def locate(self, value: Float[np.ndarray, "..."], knob: Knob) -> Numbers:
        """The closest curve by least squares, made monotone from its start on."""
        flat = value.reshape(len(value), -1).astype(np.float64)
        found = np.linalg.lstsq(self._weights(len(value)), flat, rcond=None)[0]
        low, high = knob.domain.lower, knob.domain.upper
        z = inside(np.clip(found, low, high), knob).reshape(found.shape)
        if self.monotone is None:
            return z.ravel()
        sign = 1.0 if self.monotone == "rising" else -1.0
        rise = np.maximum(np.diff(np.maximum.accumulate(sign * z, axis=0), axis=0), _LEAST_RISE)
        return np.concatenate([z[:1], np.log(np.expm1(rise))]).ravel()

    def spread(self, levels: Float[np.ndarray, "point number"]) -> Float[np.ndarray, "_ _"]:
        """Even coefficients; in order where the curve is monotone."""
        z = logit(levels)
        if self.monotone is None:
            return z
        z = z.reshape(len(z), self.knots, -1)
        sign = 1.0 if self.monotone == "rising" else -1.0
        z = sign * np.sort(sign * z, axis=1)
        rise = np.maximum(sign * np.diff(z, axis=1), 1e-3)
        return np.concatenate([z[:, :1], np.log(np.expm1(rise))], axis=1).reshape(len(z), -1)

    def ends(self, z: Numbers, knob: Knob, axes: Axes) -> Numbers:  # noqa: ARG002
        """Each coefficient to its bound; none where they depend on each other."""
        return _ends(z, knob) if self.monotone is None else np.full(z.shape, np.nan)

    def _weights(self, length: int) -> Float[np.ndarray, "time knot"]:
        degree = min(3, self.knots - 1)
        inner = np.linspace(0, 1, self.knots - degree + 1)
        knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
        where = np.linspace(0, 1, length)
        return BSpline.design_matrix(where, knots, degree).toarray().astype(np.float32)

    def _coefficients(self, z: Array, knob: Knob, axes: Axes) -> Array:
        z = jnp.reshape(z, (self.knots, *axes[1:]))
        if self.monotone is not None:
            sign = 1.0 if self.monotone == "rising" else -1.0
            z = jnp.cumsum(jnp.concatenate([z[:1], sign * jax.nn.softplus(z[1:])]), axis=0)
        return knob.constrain(z)


@final
@dataclass(frozen=True)
class Allocation:
    """Nonnegative shares along the last axis that add up to `total`: a softmax.

    Only differences between the numbers matter, so that there is one more of them than needed.
    """

    total: float = 1.0

    def count(self, name: str, knob: Knob, axes: Axes) -> int:
        """All elements; refuses bounds that do not hold [0, total]."""
        low, high = knob.domain.lower, knob.domain.upper
        fits = (low is None or low <= 0) and (high is None or high >= self.total)
        if not axes or axes[-1] < 2 or not fits or self.total <= 0:
            raise FittingError(
                f"{name} is {list(axes)} within {knob.domain}; an allocation of {self.total:g} "
                f"needs two shares or more, each free to lie in [0, {self.total:g}]"
            )
        return int(np.prod(axes))

    def labels(self, name: str, axes: Axes) -> list[str]:
        """The field, with an index."""
        return Free().labels(name, axes)

    def constrain(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:  # noqa: ARG002
        """The shares."""
        return self.total * jax.nn.softmax(jnp.reshape(z, axes), axis=-1)

    def flat(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """The shares."""
        return self.constrain(z, knob, axes).ravel()

    def locate(self, value: Float[np.ndarray, "..."], knob: Knob) -> Numbers:  # noqa: ARG002
        """Logarithms of the shares, none below a hundredth of an even one."""
        least = 0.01 * self.total / value.shape[-1]
        z = np.log(np.maximum(value.astype(np.float64), least))
        return (z - z.mean(axis=-1, keepdims=True)).ravel()

    def spread(self, levels: Float[np.ndarray, "point number"]) -> Float[np.ndarray, "_ _"]:
        """Even over all ways to share out, for a field of one axis: a Dirichlet law of ones."""
        return np.log(-np.log(levels))

    def ends(self, z: Numbers, knob: Knob, axes: Axes) -> Numbers:  # noqa: ARG002
        """Shares below 1 % of the largest beside them to none."""
        rows = z.reshape(axes)
        top = rows.max(axis=-1, keepdims=True)
        return np.where(rows < top + np.log(0.01), top - FAR, np.nan).ravel()


@final
@dataclass(frozen=True)
class Steps:
    """Piecewise constant along the first axis, each level for so many of its elements.

    Attributes:
        lengths: elements of each level, which add up to the axis.
    """

    lengths: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", tuple(int(n) for n in self.lengths))

    def count(self, name: str, knob: Knob, axes: Axes) -> int:  # noqa: ARG002
        """Levels, for each element along further axes."""
        if not axes or sum(self.lengths) != axes[0] or min(self.lengths) < 1:
            raise FittingError(
                f"{name} is {list(axes)}; steps of {list(self.lengths)} must be at least 1 and "
                "add up to its first axis"
            )
        return len(self.lengths) * int(np.prod(axes[1:]))

    def labels(self, name: str, axes: Axes) -> list[str]:
        """The field and the step."""
        return [f"{name} {w}" for w in Free().labels("step", (len(self.lengths), *axes[1:]))]

    def constrain(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:
        """The levels, each repeated."""
        which = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return knob.constrain(jnp.reshape(z, (len(self.lengths), *axes[1:])))[which]

    def flat(self, z: Float[Array, " number"], knob: Knob, axes: Axes) -> Array:  # noqa: ARG002
        """The levels."""
        return knob.constrain(z)

    def locate(self, value: Float[np.ndarray, "..."], knob: Knob) -> Numbers:
        """Means over each step."""
        parts = np.split(value, np.cumsum(self.lengths)[:-1])
        return inside(np.stack([part.mean(axis=0) for part in parts]), knob)

    def spread(self, levels: Float[np.ndarray, "point number"]) -> Float[np.ndarray, "_ _"]:
        """Even between two bounds."""
        return logit(levels)

    def ends(self, z: Numbers, knob: Knob, axes: Axes) -> Numbers:  # noqa: ARG002
        """Each level to its bound."""
        return _ends(z, knob)
