"""People of a cell differ: who acts again is who acted before, while the cell's share stays."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Float
from scipy.stats import multivariate_normal, norm

from ..axes import Array, Number
from ..errors import PersonaError

_EDGE = 1e-6


def leaning(
    share: Float[Array, " agent"], own: Float[Array, " agent"], persistence: Number
) -> Float[Array, " agent"]:
    """Probability that each agent acts, given its own lasting inclination.

    An agent acts where `sqrt(persistence) own + sqrt(1 - persistence) luck` lies below the normal
    quantile of its cell's share, with fresh luck each time. Over people the share is met exactly,
    whatever the persistence; it says how alike the decisions of one person are (the correlation on
    the normal scale).

    Args:
        share: of the cell that acts, per agent.
        own: standard normal, drawn once for each agent and kept.
        persistence: in [0, 1).
    """
    level = ndtri(jnp.clip(share, _EDGE, 1 - _EDGE))
    return ndtr((level - jnp.sqrt(persistence) * own) / jnp.sqrt(1 - persistence))


def fit_persistence(
    answers: Float[np.ndarray, "person situation"], shares: Float[np.ndarray, "person situation"]
) -> float:
    """Persistence from people who answered several times, by the moments of their pairs.

    The persistence at which as many pairs of answers agree in acting as were seen to, given each
    person's shares: a method of moments, unbiased to first order whatever the shares.

    Args:
        answers: 0 or 1 of each person in each situation; -1 where not asked.
        shares: of the person's cell in that situation.

    Raises:
        PersonaError: shapes that differ, shares outside (0, 1), or no pair of answers.
    """
    asked = answers >= 0
    if answers.shape != shares.shape or not ((shares > 0) & (shares < 1))[asked].all():
        raise PersonaError("answers and shares must have one shape, with shares between 0 and 1")
    first, second = np.triu_indices(answers.shape[1], 1)
    both = (asked[:, first] & asked[:, second]).ravel()
    if not both.any():
        raise PersonaError("nobody answered twice, so persistence cannot be told")
    a, b = (answers[:, i].ravel()[both] for i in (first, second))
    p, q = (np.round(shares[:, i].ravel()[both], 2).clip(0.01, 0.99) for i in (first, second))
    kinds, count = np.unique(np.stack([p, q], axis=1), axis=0, return_counts=True)
    levels = norm.ppf(kinds)
    seen = float((a * b).sum())

    def excess(persistence: float) -> float:
        covariance: Any = np.array([[1, persistence], [persistence, 1]])
        together = np.atleast_1d(multivariate_normal(np.zeros(2), covariance).cdf(levels))
        return float(count @ together) - seen

    low, high = 0.0, 0.99
    if excess(low) >= 0:
        return low
    while high - low > 1e-4:  # More persistence, more pairs that act together.
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return (low + high) / 2
