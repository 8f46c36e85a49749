"""How far apart two distributions are, or two sets of moments."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..axes import Array
from ..errors import FittingError


def energy_distance(x: Float[Array, " _"], y: Float[Array, " _"]) -> Float[Array, ""]:
    """Energy distance of two samples: 2 E|X - Y| - E|X - X'| - E|Y - Y'|, all pairs counted.

    0 only for equal distributions; twice the squared L2 distance of their distribution functions,
    which is how it is computed, by one sort.

    Source: Szekely & Rizzo (2013), Journal of Statistical Planning and Inference 143.
    """
    both = jnp.concatenate([x, y])
    order = jnp.argsort(both)
    step = jnp.where(order < x.shape[0], 1 / x.shape[0], -1 / y.shape[0])
    gap = jnp.cumsum(step)[:-1]
    return 2 * jnp.sum(gap**2 * jnp.diff(both[order]))


def quantile_distance(
    x: Float[Array, " _"], y: Float[Array, " _"], levels: int = 99
) -> Float[Array, ""]:
    """Mean absolute difference of the quantiles at evenly spaced levels; in the units of `x`.

    Raises:
        FittingError: fewer than one level.
    """
    if levels < 1:
        raise FittingError(f"{levels} levels of quantiles; give 1 or more")
    at = (jnp.arange(levels) + 0.5) / levels
    return jnp.mean(jnp.abs(jnp.quantile(x, at) - jnp.quantile(y, at)))


def moment_weight(
    moments: Float[np.ndarray, "run moment"], shrinkage: float = 0.1
) -> Float[np.ndarray, "moment moment"]:
    """Weight of moments by how surely runs tell them: the inverse of their covariance.

    The covariance is drawn towards its diagonal by `shrinkage`, without which few runs give an
    inverse that follows their luck.

    Raises:
        FittingError: fewer than three runs, or a moment that never varies.
    """
    if len(moments) < 3:
        raise FittingError(f"{len(moments)} runs cannot tell how moments vary; give 3 or more")
    covariance = np.atleast_2d(np.cov(moments, rowvar=False))
    spread = np.diag(covariance)
    if not (spread > 0).all():
        raise FittingError(
            f"moment {int(np.argmin(spread))} is the same in all runs; leave it out, or give a "
            "weight of your own"
        )
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.diag(spread)
    return np.linalg.inv(shrunk)


def moment_distance(
    found: Float[Array, " moment"],
    wanted: Float[Array, " moment"],
    weight: Float[Array, "moment moment"],
) -> Float[Array, ""]:
    """Weighted square of the misses: the loss of the method of simulated moments.

    Source: McFadden (1989), Econometrica 57.
    """
    miss = found - wanted
    return miss @ weight @ miss
