"""What a week's reports do to an ensemble: weights, a Kalman step, and states that go with it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp, ndtri
from scipy.stats import rankdata

from ...errors import FittingError
from ...population.seeds import Generator

Points = Float[np.ndarray, "member element"]
_KERNEL = 0.14  # Width of the kernel after resampling, in standard deviations.
_BLOCK = 512  # Members whose distances are held at once.
_LEAST = 0.05  # Of the weight of a summary in the choice of a state.


@dataclass(frozen=True)
class Tuning:
    """How an update is made.

    Attributes:
        least: members that weights must leave effective, as a share; the rest of the data is left
            to the Kalman step. 0 gives all of it to the weights, 1 all of it to the Kalman step.
        inflation: of the correction for the finite ensemble; 1 as derived, 0 none.
    """

    least: float
    inflation: float


@dataclass(frozen=True)
class Updated:
    """What an update gives.

    Attributes:
        points: parameters after it.
        chosen: whose state each member goes on with.
        effective: members that the full weights would leave effective.
        by_weights: share of the data that the weights took in.
        distinct: states that are left.
    """

    points: Points
    chosen: Int[np.ndarray, " member"]
    effective: float
    by_weights: float
    distinct: int


def update(
    points: Points,
    summaries: Float[np.ndarray, "member summary"],
    misses: Float[np.ndarray, "member datum"],
    densities: Float[np.ndarray, " member"],
    tuning: Tuning,
    rng: Generator,
) -> Updated:
    """The ensemble given a week's reports.

    As much of the data as leaves enough members effective is taken in by weights: members are
    resampled with their states, and parameters drawn from a kernel that keeps mean and covariance
    (Liu & West 2001). The rest is taken in by an ensemble Kalman step with perturbed observations,
    on parameters and on normal scores of what is observed of the states, together. A population of
    agents cannot be moved, so each member goes on with the one among all whose observables lie
    nearest to those that the step asks for. What is left of spread is corrected for the size of the
    ensemble.

    Args:
        points: parameters on the unconstrained scale.
        summaries: what is observed of each state at the end of the week.
        misses: expected less reported, in standard deviations of the noise.
        densities: log-likelihood of the reports.
        tuning: how much is weighed, and the correction.
        rng: for resampling, kernel and perturbed observations.

    Source: Frei & Kuensch (2013), Biometrika 100, for the bridge between the two; Evensen (1994)
    and Burgers et al. (1998) for the Kalman step.
    """
    part, weights = _weigh(densities, tuning.least)
    full = np.exp(densities - logsumexp(densities))
    chosen = np.arange(len(points))
    scores = _scores(summaries)
    if part > 0:
        chosen = _systematic(weights, rng)
        points = _smooth(points, weights, chosen, tuning, rng)
    if part < 1:
        wanted, points = _kalman(points, scores[chosen], misses[chosen], 1 - part, tuning, rng)
        informed = _informed(scores, misses, 1 - part)
        chosen = _nearest(wanted, scores, informed)
    return Updated(points, chosen, float(1 / (full**2).sum()), part, len(np.unique(chosen)))


def check_possible(densities: Float[np.ndarray, " member"], week: int) -> None:
    """Refuse a week that no member explains.

    Raises:
        FittingError: says what would help.
    """
    if np.isnan(densities).any() or not np.isfinite(densities.max()):
        raise FittingError(
            f"no member explains the reports of week {week}; use more members, wider priors, a "
            "wider noise, or a background"
        )


def _weigh(densities: np.ndarray, least: float) -> tuple[float, Float[np.ndarray, " member"]]:
    """The largest part of the data that leaves enough members effective, and its weights."""

    def at(part: float) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            logs = np.where(np.isfinite(densities), part * densities, -np.inf)
        return np.exp(logs - logsumexp(logs))

    def fine(part: float) -> bool:
        return bool(1 / (at(part) ** 2).sum() >= least * len(densities))

    if least <= 0 or (least < 1 and fine(1.0)):
        return 1.0, at(1.0)
    low, high = 0.0, 1.0
    if least < 1:
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if fine(middle) else (low, middle)
    return low, at(low)


def _systematic(weights: np.ndarray, rng: Generator) -> Int[np.ndarray, " member"]:
    """Each member as often as its weight times their number, up or down to a whole."""
    size = len(weights)
    heap = np.cumsum(weights)
    marks = (np.arange(size) + rng.random()) / size * heap[-1]
    return np.minimum(np.searchsorted(heap, marks, side="right"), size - 1)


def _smooth(
    points: Points, weights: np.ndarray, chosen: np.ndarray, tuning: Tuning, rng: Generator
) -> Points:
    """Resampled parameters drawn apart, with mean and covariance kept."""
    mean = weights @ points
    off = points - mean
    # What is left of the variance in a weighted ensemble of this size; nothing where one has all.
    left = max(1 - float((weights**2).sum()), 1 / len(weights))
    covariance = (off * weights[:, None]).T @ off
    grown = np.sqrt(1 + tuning.inflation * (1 / left - 1))
    kernel = _root(covariance) @ rng.standard_normal((points.shape[1], len(points)))
    drawn = np.sqrt(1 - _KERNEL**2) * off[chosen] + _KERNEL * kernel.T
    return mean + grown * drawn


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def _kalman(
    points: Points,
    scores: np.ndarray,
    misses: np.ndarray,
    part: float,
    tuning: Tuning,
    rng: Generator,
) -> tuple[np.ndarray, Points]:
    """Scores and parameters moved by part of the data."""
    both = np.concatenate([scores, points], axis=1)
    noise = np.eye(misses.shape[1]) / part
    inner = np.linalg.inv(_covariance(misses, misses) + noise)
    gain = _careful(both, misses) @ inner
    perturbed = rng.standard_normal(misses.shape) / np.sqrt(part)
    perturbed -= perturbed.mean(axis=0)
    moved = both + (perturbed - misses) @ gain.T
    # A regression on as many members loses this much of the spread it leaves, and errs by as much.
    used = float(np.trace(np.eye(len(inner)) - noise @ inner))
    grown = np.sqrt(1 + tuning.inflation * 2 * used / len(points))
    wanted, points = moved[:, : scores.shape[1]], moved[:, scores.shape[1] :]
    middle = points.mean(axis=0)
    return wanted, middle + grown * (points - middle)


def _covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a - a.mean(axis=0)).T @ (b - b.mean(axis=0)) / (len(a) - 1)


def _careful(values: np.ndarray, misses: np.ndarray) -> Float[np.ndarray, "value datum"]:
    """Covariance with the data, less what correlations of so few members are by chance.

    A squared correlation of unrelated numbers is one over the members on average.
    """
    found = _covariance(values, misses)
    spread = np.outer(values.std(axis=0, ddof=1), misses.std(axis=0, ddof=1))
    square = (found / np.maximum(spread, 1e-300)) ** 2
    chance = (1 - square) / (len(values) - 1)
    return found * np.maximum(1 - chance / np.maximum(square, 1e-300), 0.0)


def _scores(summaries: np.ndarray) -> Float[np.ndarray, "member summary"]:
    """Normal scores, column by column; 0 where all are equal."""
    ranks = rankdata(summaries, axis=0)
    return ndtri((ranks - 0.5) / len(summaries))


def _informed(scores: np.ndarray, misses: np.ndarray, part: float) -> np.ndarray:
    """Share of each score's variance that the data take away, and a little of all others."""
    cross = _careful(scores, misses)
    inner = np.linalg.inv(_covariance(misses, misses) + np.eye(misses.shape[1]) / part)
    taken = np.einsum("sd,de,se->s", cross, inner, cross)
    return np.maximum(taken / np.maximum(scores.var(axis=0, ddof=1), 1e-12), _LEAST)


def _nearest(
    wanted: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> Int[np.ndarray, " member"]:
    """For each row that is wanted, the member whose scores lie nearest."""
    root = np.sqrt(weights)
    there, found = scores * root, []
    for first in range(0, len(wanted), _BLOCK):
        a = wanted[first : first + _BLOCK] * root
        square = (a**2).sum(axis=1)[:, None] - 2 * a @ there.T + (there**2).sum(axis=1)
        found.append(square.argmin(axis=1))
    return np.concatenate(found)
