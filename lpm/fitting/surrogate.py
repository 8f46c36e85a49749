"""A Gaussian process that stands for an expensive function, and where to look next under it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.stats import norm

from ..population.seeds import Generator

Where = Float[np.ndarray, "point element"]
Values = Float[np.ndarray, " point"]
_FLAT = 10.0  # Standard deviation of the unknown level, in units of the spread of the values.
_PRIOR = np.array([-1.0, 0.0, 0.0, -1.0])  # Logs of slope, height, length (by sqrt(d)) and noise.
_LOOSE = np.array([1.0, 0.7, 0.5, 1.0])  # Standard deviations of those logs.
_FAR = 4.0  # How many of these they may lie from it.
_NEAR = (0.1, 0.25, 0.5, 1.0)  # How far candidates lie from good points, in their spread.
_AROUND, _TOP = 1500, 8
_MARGIN = 0.2  # How far to look beyond the first points, in units of their spread.
_ROUNDING = 1e-6  # Views are float32.


@dataclass(frozen=True)
class Surrogate:
    """What values at some points tell of all others: a mean and a standard deviation.

    The prior is a plane plus a smooth surface that wanders on a length of about the square root of
    the number of elements, and noise; how much of each, the values say by their marginal
    likelihood.

    Attributes:
        x: where values are known, in units of the spread of the first points.
        logs: of slope, height, length by the square root of the number of elements, and noise.
        noisy: variance of the noise of each value relative to the first kind.
        root: Cholesky factor of the covariance of the values.
        weights: the inverse of that covariance times the values.

    Source: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, chapters 2 and 5;
    Hvarfner, Hellsten & Nardi (2024), arXiv 2402.02229, for the length.
    """

    x: Float[np.ndarray, "known element"]
    logs: Float[np.ndarray, " hyperparameter"]
    noisy: Float[np.ndarray, " known"]
    root: Float[np.ndarray, "known known"]
    weights: Float[np.ndarray, " known"]
    level: float
    unit: float

    def mean(self, x: Where) -> Values:
        """Expected value at each point."""
        return self.level + self.unit * (_kernel(x, self.x, self.logs) @ self.weights)

    def spread(self, x: Where) -> Values:
        """Standard deviation of what is not known at each point, without noise."""
        cross = _kernel(x, self.x, self.logs)
        solved = solve_triangular(self.root, cross.T, lower=True)
        slope, height = np.exp(2 * self.logs[:2])
        own = _FLAT**2 + slope * (x**2).sum(axis=1) + height
        return self.unit * np.sqrt(np.maximum(own - (solved**2).sum(axis=0), 1e-12))


def learn_surrogate(
    x: Float[np.ndarray, "known element"],
    values: Float[np.ndarray, " known"],
    noisy: Float[np.ndarray, " known"],
    logs: Float[np.ndarray, " hyperparameter"] | None = None,
) -> Surrogate:
    """Fit by the highest posterior of the hyperparameters, unless `logs` gives them."""
    level, unit = float(values.mean()), float(max(values.std(), 1e-12))
    y = (values - level) / unit

    def loss(logs: np.ndarray) -> float:
        root = _root(x, logs, noisy)
        half = solve_triangular(root, y, lower=True)
        fit = 0.5 * half @ half + np.log(np.diag(root)).sum()
        return float(fit + 0.5 * (((logs - _PRIOR) / _LOOSE) ** 2).sum())

    if logs is None:
        reach = _FAR * _LOOSE
        bounds = np.stack([_PRIOR - reach, _PRIOR + reach], axis=1)
        found = minimize(loss, _PRIOR, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40})
        logs = np.asarray(found.x)
    root = _root(x, logs, noisy)
    return Surrogate(x, logs, noisy, root, cho_solve((root, True), y), level, unit)


@dataclass(frozen=True)
class Region:
    """Where to look: a box of unconstrained numbers, and what the process is told of its points.

    Attributes:
        width: spread of the first points, the unit of steps.
        low, high: the box, a little wider than the first points.
        view: from points to numbers in units of their fields.
        middle, unit: mean and spread of the views of the first points.
    """

    width: Float[np.ndarray, " element"]
    low: Float[np.ndarray, " element"]
    high: Float[np.ndarray, " element"]
    view: Callable[[Where], Where]
    middle: Float[np.ndarray, " element"]
    unit: Float[np.ndarray, " element"]

    @classmethod
    def about(cls, points: Where, view: Callable[[Where], Where]) -> "Region":
        """The region that points cover."""
        width, seen = points.std(axis=0), view(points)
        low = points.min(axis=0) - _MARGIN * width
        high = points.max(axis=0) + _MARGIN * width
        unit = seen.std(axis=0)
        # What never moved but for rounding must not fill the distance between points.
        still = unit <= _ROUNDING * np.abs(seen).max(axis=0)
        return cls(width, low, high, view, seen.mean(axis=0), np.where(still, 1.0, unit))

    def scaled(self, points: Where) -> Where:
        """What the process is told of points: their views, in units of the spread of the first."""
        return (self.view(points) - self.middle) / self.unit

    def around(
        self, good: Float[np.ndarray, "good element"], rng: Generator, few: bool = False
    ) -> Float[np.ndarray, "candidate element"]:
        """Points near good ones; with `few`, half of them moved in a few elements only."""
        size = good.shape[1]
        step = rng.choice(_NEAR, (_AROUND, 1)) * rng.standard_normal((_AROUND, size))
        if few:
            step[::2] *= rng.uniform(size=(len(step[::2]), size)) < max(3 / size, 0.2)
        near = good[rng.integers(len(good), size=_AROUND)] + self.width * step
        return np.clip(near, self.low, self.high)


def propose(
    found: Surrogate, region: Region, known: Where, rng: Generator, count: int
) -> Float[np.ndarray, "proposed element"]:
    """Points of a region where less than the lowest expected value can most be hoped for.

    Expected improvement over the lowest mean at a known point. Each further point is chosen as if
    those before had given what is expected of them. `known` are the points behind `found`.

    Source: Jones, Schonlau & Welch (1998), Journal of Global Optimization 13; Ginsbourger, Le
    Riche & Carraro (2010) for several points at once.
    """
    for _ in range(count):
        expected = found.mean(found.x)
        pool = region.around(known[np.argsort(expected)[:_TOP]], rng, few=True)
        x = region.scaled(pool)
        mean, spread = found.mean(x), found.spread(x)
        gap = expected.min() - mean
        best = int(np.argmax(gap * norm.cdf(gap / spread) + spread * norm.pdf(gap / spread)))
        known = np.concatenate([known, pool[[best]]])
        found = _believe(found, x[[best]])
    return known[len(known) - count :]


def best_of(
    found: Surrogate, region: Region, known: Where, rng: Generator, count: int
) -> Float[np.ndarray, "proposed element"]:
    """Points with the lowest expected value, known ones among them, the lowest first."""
    pool, expected = known, found.mean(found.x)
    sure = known[np.argsort(expected)[: count // 2]]
    for _ in range(3):
        near = pool[np.argsort(expected)[:_TOP]]
        pool = np.concatenate([near, region.around(near, rng)])
        expected = found.mean(region.scaled(pool))
    return np.concatenate([pool[np.argsort(expected)[: count - len(sure)]], sure])


def _believe(found: Surrogate, x: Float[np.ndarray, "1 element"]) -> Surrogate:
    """As if the expected value had been seen at `x`."""
    cross = _kernel(x, found.x, found.logs)[0]
    below = solve_triangular(found.root, cross, lower=True)
    own = _kernel(x, x, found.logs)[0, 0] + np.exp(2 * found.logs[3]) - below @ below
    root = np.block(
        [[found.root, np.zeros((len(below), 1))], [below[None], np.sqrt(max(own, 1e-9))]]
    )
    seen = found.root @ (found.root.T @ found.weights)
    y = np.append(seen, (found.mean(x) - found.level) / found.unit)
    whole = np.concatenate([found.x, x])
    noisy = np.append(found.noisy, 1.0)
    return Surrogate(
        whole, found.logs, noisy, root, cho_solve((root, True), y), found.level, found.unit
    )


def _kernel(
    a: Float[np.ndarray, "one element"], b: Float[np.ndarray, "other element"], logs: np.ndarray
) -> Float[np.ndarray, "one other"]:
    slope, height = np.exp(2 * logs[:2])
    length = np.exp(logs[2]) * np.sqrt(a.shape[1])
    inner = a @ b.T
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * inner
    return _FLAT**2 + slope * inner + height * np.exp(-0.5 * np.maximum(square, 0) / length**2)


def _root(
    x: Float[np.ndarray, "known element"], logs: np.ndarray, noisy: Float[np.ndarray, " known"]
) -> Float[np.ndarray, "known known"]:
    whole = _kernel(x, x, logs)
    return np.linalg.cholesky(whole + np.diag(np.exp(2 * logs[3]) * noisy + 1e-8))
