"""Where a difference is taken: points inside the domain of a field, and their weights."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..fields import Domain, Knob

_RESOLVED = 64  # A step must be this many times the spacing of numbers at its place.


@dataclass(frozen=True)
class Stencil:
    """A difference per element of a field.

    The derivative is the sum of the weights times the loss at the two `points` and, last, at the
    value of the field itself.
    """

    points: Float[np.ndarray, "2 element"]
    weights: Float[np.ndarray, "3 element"]


def place_stencil(knob: Knob, value: Float[np.ndarray, "..."], step: float) -> Stencil:
    """A central difference, `step` to each side on the unconstrained scale of the field.

    On a bound, or closer to it than can be resolved, the difference is one-sided into the domain
    and also of second order; its steps are `step` and twice that, in units of the distance of the
    default from that bound, or of the width of the domain where the default lies on it.
    """
    unconstrained = np.asarray(knob.unconstrain(value), np.float32)
    with np.errstate(invalid="ignore"):
        points = np.stack(
            [np.asarray(knob.constrain(unconstrained + sign * step)).ravel() for sign in (-1, 1)]
        )
    value = value.ravel()
    points = _clip(points, knob.domain)
    width = points[1].astype(np.float64) - points[0]
    central = np.isfinite(unconstrained.ravel()) & (width > _RESOLVED * np.spacing(np.abs(value)))
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.stack([-1 / width, 1 / width, np.zeros_like(width)])
    inside = _one_sided(knob, value, step)
    return Stencil(
        np.where(central, points, inside.points).astype(np.float32),
        np.where(central, weights, inside.weights),
    )


def unit_length(knob: Knob, value: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """How far each element moves, in its own units, for one unit of its unconstrained scale."""
    step = 0.05
    points = place_stencil(knob, value, step).points.astype(np.float64)
    return np.asarray((np.abs(points[1] - points[0]) / (2 * step)).reshape(value.shape))


def _one_sided(knob: Knob, value: Float[np.ndarray, " element"], step: float) -> Stencil:
    lower, upper = knob.domain.lower, knob.domain.upper
    below = np.inf if lower is None else np.abs(value - lower)
    above = np.inf if upper is None else np.abs(upper - value)
    sign = np.where(below <= above, 1.0, -1.0)
    bound = lower if upper is None else upper if lower is None else np.where(sign > 0, lower, upper)
    default = np.asarray(knob.default, np.float64)
    default = np.broadcast_to(
        default.ravel() if default.size == value.size else default.flat[0], value.shape
    )
    span = np.abs(default - (0.0 if bound is None else bound))
    widest = 1.0 if lower is None or upper is None else float(upper) - float(lower)
    span = np.where(span > 0, span, widest)
    points = np.stack([value + sign * step * span, value + 2 * sign * step * span])
    points = _clip(points.astype(np.float32), knob.domain)
    near, far = points.astype(np.float64) - value
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.stack([far**2, -(near**2), near**2 - far**2]) / (near * far * (far - near))
    return Stencil(points, weights)


def _clip(points: Float[np.ndarray, "2 element"], domain: Domain) -> Float[np.ndarray, "2 element"]:
    """Points that rounding may have put just outside."""
    return points if not domain.bounded else np.clip(points, domain.lower, domain.upper)
