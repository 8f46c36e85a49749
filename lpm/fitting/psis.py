"""Pareto-smoothed importance sampling: how far a guide may be from what it stands for."""

import numpy as np
from jaxtyping import Float

FINE = 0.7  # Above it, importance weights cannot mend the guide.


def pareto_k(log_ratios: Float[np.ndarray, " draw"]) -> float:
    """Shape of the tail of importance ratios; infinite where too few are finite.

    Source: Vehtari et al. (2024), Journal of Machine Learning Research 25; the tail by Zhang &
    Stephens (2009), Technometrics 51, with the weak prior of the former.
    """
    finite = log_ratios[np.isfinite(log_ratios)]
    tail = int(np.ceil(min(0.2 * len(finite), 3 * np.sqrt(len(finite)))))
    if tail < 5:
        return float("inf")
    ordered = np.sort(np.exp(finite - finite.max()))
    above = ordered[-tail:] - ordered[-tail - 1]
    if not above[-1] > 0:
        return -float("inf")
    return _shape(np.maximum(above, 1e-300))


def _shape(x: Float[np.ndarray, " tail"]) -> float:
    """Posterior mean of the generalised Pareto's shape; `x` ascends."""
    count = len(x)
    grid = 30 + int(np.sqrt(count))
    j = np.arange(1, grid + 1)
    quarter = x[max(int(count / 4 + 0.5) - 1, 0)]
    slopes = 1 / x[-1] + (1 - np.sqrt(grid / (j - 0.5))) / (3 * max(quarter, 1e-300))
    shapes = np.log1p(-slopes[:, None] * x).mean(axis=1)
    heights = count * (np.log(-slopes / shapes) - shapes - 1)
    weights = np.exp(heights - heights.max())
    slope = float((slopes * weights).sum() / weights.sum())
    shape = float(np.log1p(-slope * x).mean())
    return (shape * count + 0.5 * 10) / (count + 10)
