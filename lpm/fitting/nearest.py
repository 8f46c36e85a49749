"""Where to look while no polynomial follows the data: about the runs most like them."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr, ndtri

from ..population.seeds import Generator
from .emulator import Levels

_WIDE = 1.5  # Above sqrt(2): what is kept of draws from a law like the posterior is narrower so.
_OTHER = 4.0  # Times the usual distance from the data: runs of another kind.
_DRAWN = 1000
_EDGE = 1e-4


def quadratic_terms(elements: int) -> int:
    """Terms of a quadratic."""
    return (elements + 1) * (elements + 2) // 2


def nearest_cloud(
    levels: Levels,
    data: Float[np.ndarray, "point draw datum"],
    observed: Float[np.ndarray, " datum"],
    rng: Generator,
) -> Float[np.ndarray, "drawn element"]:
    """Levels of a normal law, in normal scores, about the runs nearest to the data.

    Nearest are, by the rank of their distance, twice as many runs as a quadratic has terms. One
    draw of each is compared, with all its noise: means over draws would come so near, where the
    noise is most of the scatter, that the cloud shrank below the posterior.

    Source: Sisson, Fan & Tanaka (2007), PNAS 104, for batches about the nearest; ours are not
    weighted, since only the place of runs depends on them, not the posterior.
    """
    size = levels.shape[1]
    distance = ((data[:, 0] - observed) ** 2).sum(axis=1)
    best = np.argsort(distance, kind="stable")[: 2 * quadratic_terms(size)]
    scores = ndtri(np.clip(levels[best], _EDGE, 1 - _EDGE))
    spread = np.cov(scores, rowvar=False).reshape(size, size) * _WIDE**2
    root = np.linalg.cholesky(spread + 1e-6 * np.eye(size))
    drawn = ndtr(scores.mean(axis=0) + rng.standard_normal((_DRAWN, size)) @ root.T)
    return np.clip(drawn, _EDGE, 1 - _EDGE)


def alike(
    data: Float[np.ndarray, "point draw datum"], observed: Float[np.ndarray, " datum"]
) -> Bool[np.ndarray, " point"]:
    """Which runs are not of another kind than most, as are epidemics that died out."""
    distance = np.sqrt(((data.mean(axis=1) - observed) ** 2).mean(axis=1))
    return distance <= _OTHER * np.median(distance)


def log_volume(cloud: Float[np.ndarray, "drawn element"]) -> float:
    """Log-determinant of the covariance of normal scores."""
    scores = ndtri(np.clip(cloud, _EDGE, 1 - _EDGE))
    spread = np.cov(scores, rowvar=False).reshape(cloud.shape[1], -1)
    return float(np.linalg.slogdet(spread)[1])
