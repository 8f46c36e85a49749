"""What somebody who chose between two aims must have cared about: the inverse optimum."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..errors import DataError


class Tradeoff(NamedTuple):
    """The weights of two aims under which a choice would be the best; see `revealed_tradeoff`.

    Attributes:
        weight: of the first aim, in (0, 1), the second having the rest; nan where none does.
        misfit: sine of the angle by which the aims fail to pull in opposite directions: 0 where the
            choice is stationary under `weight`, 1 where it tells nothing of it.
    """

    weight: float
    misfit: float


def revealed_tradeoff(
    one: Float[np.ndarray, "..."],
    other: Float[np.ndarray, "..."],
    free: Bool[np.ndarray, "..."] | None = None,
) -> Tradeoff:
    """The weight of one aim against another that choices reveal.

    Whoever raises w A + (1 - w) B has chosen x where w A'(x) + (1 - w) B'(x) = 0, so that the two
    slopes are opposed and w is |B'| / (|A'| + |B'|). Each choice gives an equation; where slopes
    are not quite opposed, the weight is between those of the two regressions of one on the other.
    The condition is necessary: a schedule at which welfare is lowest meets it as well.

    Args:
        one: slopes of the first aim by the choices.
        other: slopes of the second.
        free: which choices count; leave out those at a limit. All if not given.

    Raises:
        DataError: shapes that differ, slopes that are not finite, or no choice that is free.
    """
    a, b = (np.asarray(x, np.float64) for x in (one, other))
    counted: Any = np.ones(a.shape, bool) if free is None else np.asarray(free)
    if not a.shape == b.shape == counted.shape:
        raise DataError(
            f"slopes are {list(a.shape)} and {list(b.shape)}, free {list(counted.shape)}; "
            "give one of each for every choice"
        )
    a, b = a[counted], b[counted]
    if not a.size:
        raise DataError("no choice is free; what is held at a limit reveals no weight")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("a slope is not finite; give those of a run without faults")
    sizes = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if not min(sizes) > 0:
        return Tradeoff(float("nan"), 1.0)
    cosine = float(a @ b) / (sizes[0] * sizes[1])
    misfit = float(np.sqrt(max(0.0, 1 - cosine**2)))
    return Tradeoff(sizes[1] / sum(sizes) if cosine < 0 else float("nan"), misfit)
