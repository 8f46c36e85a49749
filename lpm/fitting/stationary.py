"""Where a gradient is 0: the last digits of a policy, which values in float32 no longer tell."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Point = Float[np.ndarray, " number"]

STEPS = 4
_PROBE = 0.02  # On an unconstrained scale: of the differences that give the curvature.
_FARTHEST = 0.5  # A longer step means that the lowest point is not near.


def stationary(gradient: Callable[[Point], Point], z: Point) -> Point:
    """The minimum near `z`, by Newton's steps with Broyden's updates of the curvature.

    A value is flat to second order around its lowest point: seven digits of it leave three of the
    point. The gradient is not, and has as many digits as itself. Stays at `z` where curvature is
    not that of a minimum; stops where the gradient no longer falls, which is its rounding. Asks for
    the gradient at most 1 + numbers + `STEPS` times.

    Source: Broyden (1965), Mathematics of Computation 19.
    """
    slope = gradient(z)
    moved = np.stack([gradient(z + _PROBE * e) for e in np.eye(len(z))])
    curvature = (moved - slope) / _PROBE
    curvature = (curvature + curvature.T) / 2
    if not np.isfinite(curvature).all() or np.linalg.eigvalsh(curvature)[0] <= 0:
        return z
    for _ in range(STEPS):
        move = -np.linalg.solve(curvature, slope)
        if not np.abs(move).max() <= _FARTHEST:
            break
        after = gradient(z + move)
        if not np.linalg.norm(after) < np.linalg.norm(slope):
            break
        curvature = curvature + np.outer(after - slope - curvature @ move, move) / (move @ move)
        z, slope = z + move, after
    return z
