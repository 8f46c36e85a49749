"""Emulators: what runs near a point give, learnt from a few of them, with how far they scatter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from ..population.seeds import Generator

Levels = Float[np.ndarray, "point element"]
LogDensity: TypeAlias = Callable[[np.ndarray], np.ndarray]
_RIDGE = 1e-6
_STEEP = 30.0  # Log-density lost at four times the leverage of the farthest run.
_EDGE = 1e-6  # Levels stay so far inside.


@dataclass(frozen=True)
class Emulator:
    """Data as a polynomial of the levels plus scatter: a regression with its own uncertainty.

    Given the levels, data follow a multivariate t-law: the scatter of runs and of what is
    published, and what few runs leave unknown of the polynomial.

    Attributes:
        centre, width: of the levels it was learnt from.
        coefficients: of the polynomial, [term, datum].
        scatter: covariance of the data at one place.
        factor: inverse of the design's inner products, [term, term].
        freedom: runs less terms.
        quadratic: whether there are squares and products.
        reach: the largest leverage of a run it was learnt from.
        scores: whether the polynomial is of normal scores of the levels, or of the levels.

    Source: Gelman et al. (2013), Bayesian Data Analysis, 3rd edition, section 14.2, for the t-law.
    """

    centre: Float[np.ndarray, " element"]
    width: Float[np.ndarray, " element"]
    coefficients: Float[np.ndarray, "term datum"]
    scatter: Float[np.ndarray, "datum datum"]
    factor: Float[np.ndarray, "term term"]
    freedom: int
    quadratic: bool
    scores: bool
    reach: float

    def design(self, levels: Levels) -> Float[np.ndarray, "point term"]:
        """Terms of the polynomial at each point."""
        x = ndtri(np.clip(levels, _EDGE, 1 - _EDGE)) if self.scores else levels
        return _terms((x - self.centre) / self.width, self.quadratic)

    def mean(self, levels: Levels) -> Float[np.ndarray, "point datum"]:
        """Expected data at each point."""
        return self.design(levels) @ self.coefficients

    def leverage(self, levels: Levels) -> Float[np.ndarray, " point"]:
        """How much wider, in variance, what is unknown of the polynomial makes each point."""
        terms = self.design(levels)
        return ((terms @ self.factor) * terms).sum(axis=1)

    def slope(self, level: Float[np.ndarray, " element"]) -> Float[np.ndarray, "element datum"]:
        """Change of the expected data with each level, at one point."""
        step = 1e-3 * np.minimum(level, 1 - level)
        rise = self.mean(level + np.diag(step)) - self.mean(level - np.diag(step))
        return rise / (2 * step[:, None])

    def log_density(self, data: Float[np.ndarray, " datum"]) -> LogDensity:
        """Log-density of the data as a function of levels."""
        root = np.linalg.cholesky(self.scatter)
        coefficients = np.linalg.solve(root, self.coefficients.T).T
        wanted = np.linalg.solve(root, data)
        # All a point needs are a few inner products, however many the data.
        square = coefficients @ coefficients.T
        cross, size = coefficients @ wanted, len(data)
        total = float(wanted @ wanted)

        def density(levels: np.ndarray) -> np.ndarray:
            terms = self.design(levels)
            miss = ((terms @ square) * terms).sum(axis=1) - 2 * terms @ cross + total
            lever = ((terms @ self.factor) * terms).sum(axis=1)
            # A parabola turns back where no run has been; so the density falls off there.
            beyond = _STEEP * np.maximum(lever / (2 * self.reach) - 1, 0)
            wider = 1 + lever
            inside = np.log1p(np.maximum(miss, 0) / (self.freedom * wider))
            return -0.5 * (self.freedom + size) * inside - 0.5 * size * np.log(wider) - beyond

        return density


def learn(levels: Levels, data: Float[np.ndarray, "point draw datum"]) -> Emulator:
    """Fit an emulator to runs, one at each point, each with several draws of its noise.

    The polynomial is of the levels or of their normal scores, whichever tells better of runs that
    were left out. Squares and products enter where there are three runs for each term.
    """
    fits = [_fit(levels, data, scores) for scores in (False, True)]
    return min(fits, key=lambda fit: fit[1])[0]


def _fit(levels: Levels, data: np.ndarray, scores: bool) -> tuple[Emulator, float]:
    """An emulator, and the log of its error on runs left out, added up over the data."""
    count, draws, size = data.shape
    elements = levels.shape[1]
    terms = (elements + 1) * (elements + 2) // 2
    quadratic = count >= 3 * terms
    x = ndtri(levels) if scores else levels
    centre, width = x.mean(axis=0), np.maximum(2 * x.std(axis=0), 1e-6)
    design = _terms((x - centre) / width, quadratic)
    means = data.mean(axis=1)
    factor = np.linalg.inv(design.T @ design + _RIDGE * count * np.eye(design.shape[1]))
    coefficients = factor @ design.T @ means
    misses = means - design @ coefficients
    lever = np.minimum(((design @ factor) * design).sum(axis=1), 0.99)
    error = np.log(((misses / (1 - lever)[:, None]) ** 2).mean(axis=0) + 1e-12).sum()
    reach = float(lever.max())
    freedom = max(count - design.shape[1], 2)
    # Of the noise in what is published, averaging over draws left only a part.
    within = data.var(axis=1, ddof=1).mean(axis=0) * (1 - 1 / draws)
    scatter = _tame(misses, freedom) + np.diag(within) + 1e-9 * np.eye(size)
    found = Emulator(
        centre, width, coefficients, scatter, factor, freedom, quadratic, scores, reach
    )
    return found, float(error)


def _terms(x: Levels, quadratic: bool) -> Float[np.ndarray, "point term"]:
    parts = [np.ones((len(x), 1)), x]
    if quadratic:
        rows, columns = np.triu_indices(x.shape[1])
        parts.append(x[:, rows] * x[:, columns])
    return np.concatenate(parts, axis=1)


def _tame(misses: Float[np.ndarray, "point datum"], freedom: int) -> np.ndarray:
    """Covariance of misses: the leading directions as they are, of the rest the diagonal."""
    size = misses.shape[1]
    rank = min(size, max(freedom // 4, 1))
    _, values, rows = np.linalg.svd(misses / np.sqrt(freedom), full_matrices=False)
    if rank >= min(size, len(values)):
        return (rows.T * values**2) @ rows
    rest = (rows[rank:].T ** 2) @ values[rank:] ** 2
    return (rows[:rank].T * values[:rank] ** 2) @ rows[:rank] + np.diag(rest)


def sample_box(
    log_density: LogDensity, elements: int, rng: Generator, count: int, moves: int = 8
) -> Levels:
    """Levels in the unit box with a density, by tempering from the uniform law.

    Particles are moved on the scale of normal scores, where the uniform law is the standard
    normal one.

    Source: Del Moral, Doucet & Jasra (2006), Journal of the Royal Statistical Society B 68.
    """
    scores = rng.standard_normal((count, elements))
    values, reached = log_density(ndtr(scores)), 0.0
    while reached < 1:
        step = next_step(values, 1 - reached)
        reached += step
        weights = np.exp(step * (values - values.max()))
        pick = resample(weights / weights.sum(), rng)
        scores, values = scores[pick], values[pick]
        spread = np.cov(scores, rowvar=False).reshape(elements, elements)
        root = np.linalg.cholesky(spread + 1e-10 * np.eye(elements)) * 2.38 / np.sqrt(elements)
        for _ in range(moves):
            moved = scores + rng.standard_normal(scores.shape) @ root.T
            found = log_density(ndtr(moved))
            gain = reached * (found - values) - 0.5 * (moved**2 - scores**2).sum(axis=1)
            taken = np.log(rng.uniform(size=count)) < gain
            scores[taken], values[taken] = moved[taken], found[taken]
    return np.clip(ndtr(scores), _EDGE, 1 - _EDGE)


def next_step(values: np.ndarray, left: float) -> float:
    """The largest step that keeps half the particles' worth of weight."""

    def worth(step: float) -> float:
        weights = np.exp(step * (values - values.max()))
        return float(weights.sum() ** 2 / (weights**2).sum() / len(values))

    if worth(left) >= 0.5:
        return left
    low, high = 0.0, left
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if worth(middle) >= 0.5 else (low, middle)
    return max(low, 1e-8)


def resample(weights: np.ndarray, rng: Generator) -> np.ndarray:
    """Numbers of particles, each about as often as it weighs; systematic."""
    marks = (rng.uniform() + np.arange(len(weights))) / len(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights), marks), len(weights) - 1)
