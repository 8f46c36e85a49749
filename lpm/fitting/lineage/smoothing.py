"""What roots are worth, smoothed over steps and runs, and fields of many elements made of it."""

import numpy as np
from jaxtyping import Float

_ENOUGH = 400  # Roots in a window: worths of roots spread two or three times as wide as their mean.


def smooth(
    found: Float[np.ndarray, "run step coin 3"],
) -> tuple[Float[np.ndarray, "step coin"], Float[np.ndarray, "run step coin"]]:
    """Worth of a coin by its step and number, and that with the influence of each run added.

    A weighted line through the steps around (Cleveland 1979), over as many of them as hold enough
    roots, so that windows become narrow where runs are many. The last axis of `found` holds what
    roots are worth, weigh, and how many they are. Where no roots are, nothing is worth anything.
    """
    fits = [_smooth_one(found[:, :, coin]) for coin in range(found.shape[2])]
    if not fits:
        return np.zeros(found.shape[1:3]), np.zeros(found.shape[:3])
    return np.stack([f[0] for f in fits], axis=1), np.stack([f[1] for f in fits], axis=2)


def shrink(
    raw: Float[np.ndarray, "run ..."],
    smoothed: Float[np.ndarray, "run ..."],
    spread: Float[np.ndarray, "run ..."],
) -> Float[np.ndarray, "run ..."]:
    """Gradients by run of a field, from its own roots and from smoothed worths.

    The size is that of the roots of the field, so that it stays unbiased. How it is divided among
    elements is that of the smoothed worths, plus what the roots say against it, shrunk by as much
    of that as noise explains (James & Stein 1961). `spread` are smoothed gradients with the
    influence of each run on the worths, for the variance between runs.
    """
    shape, count = raw.shape, len(raw)
    raw, spread = (x.reshape(count, -1).astype(np.float64) for x in (raw, spread))
    smooth = smoothed.reshape(count, -1).astype(np.float64).mean(axis=0)
    along = smooth / max(np.linalg.norm(smooth), 1e-30)
    size = raw.mean(axis=0) @ along / max(smooth @ along, 1e-30)
    against = raw - size * spread
    level = against @ along
    rest = against - level[:, None] * along
    mean = raw.mean(axis=0) - size * smooth
    noise = (rest.var(axis=0, ddof=1) / count).sum() if count > 1 else np.inf
    keep = max(0.0, 1.0 - noise / max((mean**2).sum(), 1e-30))
    estimate = size * smooth + (keep * mean if keep else 0.0)
    runs = size * spread + level[:, None] * along + keep * rest
    return (runs - runs.mean(axis=0) + estimate).reshape(shape)


def _smooth_one(
    found: Float[np.ndarray, "run step 3"],
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, "run step"]]:
    found = found.astype(np.float64)
    worth, weight, number = np.moveaxis(found.sum(axis=0), 1, 0)
    lines = _lines(weight, number)
    fit = lines @ worth
    influence = (found[:, :, 0] - fit * found[:, :, 1]) @ lines.T
    return fit, fit + len(found) * influence


def _lines(
    weight: Float[np.ndarray, " step"], number: Float[np.ndarray, " step"]
) -> Float[np.ndarray, "step step"]:
    """The matrix that takes sums of worth by step to the fitted worth of one coin at each step."""
    steps = len(weight)
    lines = np.zeros((steps, steps))
    for t in range(steps):
        away = np.abs(np.arange(steps) - t)
        inside = np.cumsum(np.bincount(away, number))
        width = min(int(np.searchsorted(inside, _ENOUGH)), steps) + 1
        kernel = (1 - np.minimum(away / width, 1) ** 3) ** 3
        heavy = kernel * weight
        total = heavy.sum()
        if total <= 0:
            continue
        x = np.arange(steps) - t
        middle = heavy @ x / total
        # A ridge of one step, so that a window of few steps does not point anywhere.
        wide = heavy @ (x - middle) ** 2 + total
        lines[t] = kernel * (1 / total - middle * (x - middle) / wide)
    return lines
