"""Ratios and cosines of means that were taken over the same keys, with 95 % intervals."""

import numpy as np
from jaxtyping import Float
from scipy import stats

_LEVEL = 0.95


def ratio_interval(
    mine: Float[np.ndarray, "run element"], reference: Float[np.ndarray, "run element"]
) -> tuple[Float[np.ndarray, " element"], Float[np.ndarray, " element"]]:
    """Lowest and highest ratio of the means that paired runs do not rule out (Fieller 1954).

    Unbounded where the reference itself cannot be told from zero. Two exact zeros have ratio 1.
    """
    runs = len(mine)
    quantile = stats.t.ppf((1 + _LEVEL) / 2, runs - 1) if runs > 1 else np.inf
    a, b = mine.mean(axis=0), reference.mean(axis=0)
    if runs < 2:
        return np.full_like(a, -np.inf), np.full_like(a, np.inf)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # Scaled first, so that exploded gradients can be squared.
        size = np.maximum(np.abs(mine).max(axis=0), 1e-300)
        mine, a = mine / size, a / size
        factor = quantile**2 / runs / (runs - 1)
        spread = ((mine - a) ** 2).sum(axis=0) * factor
        other = ((reference - b) ** 2).sum(axis=0) * factor
        shared = ((mine - a) * (reference - b)).sum(axis=0) * factor
        square, cross, plain = b**2 - other, a * b - shared, a**2 - spread
        root = np.sqrt(np.maximum(cross**2 - square * plain, 0))
        low, high = (cross - root) / square * size, (cross + root) / square * size
    known = square > 0
    zero = (np.abs(mine).max(axis=0) == 0) & (np.abs(reference).max(axis=0) == 0)
    low, high = np.where(known, low, -np.inf), np.where(known, high, np.inf)
    return np.where(zero, 1.0, low), np.where(zero, 1.0, high)


def cosine_interval(
    mine: Float[np.ndarray, "run element"], reference: Float[np.ndarray, "run element"]
) -> tuple[float, float, float]:
    """Cosine of the angle between the means, and its interval by leaving out one run in turn."""
    whole = _cosine(mine.mean(axis=0), reference.mean(axis=0))
    runs = len(mine)
    if runs < 3:
        return whole, -1.0, 1.0
    parts = np.array(
        [
            _cosine(np.delete(mine, i, 0).mean(axis=0), np.delete(reference, i, 0).mean(axis=0))
            for i in range(runs)
        ]
    )
    error = np.sqrt((runs - 1) / runs * ((parts - parts.mean()) ** 2).sum())
    reach = stats.t.ppf((1 + _LEVEL) / 2, runs - 1) * error
    return whole, max(whole - reach, -1.0), min(whole + reach, 1.0)


def _cosine(a: Float[np.ndarray, " element"], b: Float[np.ndarray, " element"]) -> float:
    """Of two zero vectors 1, of one zero vector 0."""
    a, b = (x / max(np.abs(x).max(), 1e-300) for x in (a, b))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else float(not a.any() and not b.any())
