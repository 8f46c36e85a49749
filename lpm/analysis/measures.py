"""Numbers that describe many people: weighted, masked, pure, and safe under jit and grad.

In all of them `weight` is how many people one agent stands for (1 if not given; not negative) and
`where` says who counts (everyone if not given), usually `state.alive`. With nobody to count a
measure is 0.
"""

import jax.numpy as jnp

from ..axes import Array, Bool, Float, Scalar

_Weights = Float[Array, " agent"] | None
_Mask = Bool[Array, " agent"] | None


def mean(x: Float[Array, " agent"], weight: _Weights = None, where: _Mask = None) -> Scalar:
    """Weighted mean.

    Example:
        >>> float(mean(jnp.array([1.0, 3.0]), weight=jnp.array([3.0, 1.0])))
        1.5
    """
    x, share = _shares(x, weight, where)
    return jnp.sum(share * x)


def variance(x: Float[Array, " agent"], weight: _Weights = None, where: _Mask = None) -> Scalar:
    """Weighted variance of a whole population (divided by the total weight)."""
    x, share = _shares(x, weight, where)
    return jnp.sum(share * (x - jnp.sum(share * x)) ** 2)


def quantile(
    x: Float[Array, " agent"],
    q: Float[Array, " quantile"],
    weight: _Weights = None,
    where: _Mask = None,
) -> Float[Array, " quantile"]:
    """Smallest value that at least a share `q` of the people do not exceed.

    No interpolation, so a weight of two is the same as two people. `q` in [0, 1].

    Example:
        >>> quantile(jnp.array([4.0, 1.0, 2.0]), jnp.array([0.5])).tolist()
        [2.0]
    """
    x, share = _sorted(x, weight, where)
    below = jnp.cumsum(share)
    # Rounding of the running sum must not push a quantile on to the next person.
    slack = 4 * jnp.finfo(share.dtype).eps
    index = jnp.searchsorted(below, q - slack, side="left")
    counted = share > 0
    first, last = jnp.argmax(counted), share.shape[0] - 1 - jnp.argmax(counted[::-1])
    return x[jnp.clip(index, first, last)]


def lorenz(
    x: Float[Array, " agent"],
    share: Float[Array, " point"],
    weight: _Weights = None,
    where: _Mask = None,
) -> Float[Array, " point"]:
    """Share of the total of `x` held by the poorest `share` of the people; `x` not negative.

    Linear between two people. Source: Lorenz (1905).
    """
    x, people = _sorted(x, weight, where)
    held = people * x
    start = jnp.zeros(1, x.dtype)
    at = jnp.concatenate([start, jnp.cumsum(people)])
    total = jnp.sum(held)
    curve = jnp.concatenate([start, jnp.cumsum(held)]) / jnp.where(total > 0, total, 1)
    return jnp.interp(share, at, curve)


def gini(x: Float[Array, " agent"], weight: _Weights = None, where: _Mask = None) -> Scalar:
    """Gini coefficient of a whole population: 0 for equality, towards 1 for one who has all.

    `x` not negative. Of n people the largest value is 1 - 1/n. Source: Lerman & Yitzhaki (1989),
    the covariance of `x` with the rank in the weighted distribution.
    """
    x, share = _sorted(x, weight, where)
    rank = jnp.cumsum(share) - share / 2
    total = jnp.sum(share * x)
    centre = jnp.sum(share * rank)
    return 2 * jnp.sum(share * x * (rank - centre)) / jnp.where(total > 0, total, 1)


def top_share(
    x: Float[Array, " agent"], top: float, weight: _Weights = None, where: _Mask = None
) -> Scalar:
    """Share of the total of `x` held by the richest `top` of the people; `x` not negative."""
    point = jnp.asarray([1 - top], x.dtype)
    return 1 - lorenz(x, point, weight, where)[0]


def rate(
    events: Float[Array, " agent"],
    exposed: Float[Array, " agent"],
    weight: _Weights = None,
    where: _Mask = None,
) -> Scalar:
    """Events per unit of exposure, such as deaths per person-year lived.

    `events` and `exposed` count for each agent; without any exposure the rate is 0.
    """
    _, share = _shares(events, weight, where)
    denominator = jnp.sum(share * jnp.where(share > 0, exposed, 0))
    numerator = jnp.sum(share * jnp.where(share > 0, events, 0))
    return jnp.where(denominator > 0, numerator / jnp.where(denominator > 0, denominator, 1), 0)


def _shares(x: Array, weight: Array | None, where: Array | None) -> tuple[Array, Array]:
    """Values with zero for those who do not count, and each one's share of the people."""
    weight = jnp.ones_like(x) if weight is None else weight.astype(x.dtype)
    weight = weight if where is None else jnp.where(where, weight, 0)
    total = jnp.sum(weight)
    return jnp.where(weight > 0, x, 0), weight / jnp.where(total > 0, total, 1)


def _sorted(x: Array, weight: Array | None, where: Array | None) -> tuple[Array, Array]:
    """Values in ascending order and their shares."""
    x, share = _shares(x, weight, where)
    order = jnp.argsort(x)
    return x[order], share[order]
