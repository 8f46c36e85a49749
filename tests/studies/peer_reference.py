"""Posterior means by the exact law of the counts: particle filters in plain NumPy.

People of a class are alike in both problems, so that what the agents do is, in law, a chain of
binomial draws of whole classes. Its likelihood is estimated without bias by a bootstrap filter, and
the posterior mean by importance sampling from proposals that are moved towards it.

Source: Gordon, Salmond & Smith (1993), IEE Proceedings F 140, for the filter; Cappé et al. (2008),
Statistics and Computing 18, for the moves; Beaumont (2003), Genetics 164, for why an estimated
likelihood will do.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import gammaln
from scipy.stats import multivariate_t

from lpm.fitting.chance import generator_for
from lpm.population import contact_matrix
from scenarios.sirs_ages import BANDS, EDGES
from tests.studies.peer_problems import DISPERSION, Problem, words_of

BOYS, FIRST = 763, 3
SEEDED = 0.02
_FAR = 25.0  # In log-likelihood, below the highest.
Filter = Callable[[np.ndarray, np.ndarray, int, Any], float]


def filter_school(point: np.ndarray, counts: np.ndarray, particles: int, rng: Any) -> float:
    """Log-likelihood of boys in bed by day."""
    transmission, recovery = point
    ill = rng.binomial(BOYS, FIRST / BOYS, particles)
    free, total = BOYS - ill, 0.0
    for count in counts:
        new = rng.binomial(free, -np.expm1(-transmission * ill / BOYS))
        well = rng.binomial(ill, -np.expm1(-recovery))
        free, ill = free - new, ill + new - well
        mean = ill + 1e-3  # The background of a series.
        k = DISPERSION
        logs = gammaln(count + k) - gammaln(k) - gammaln(count + 1)
        logs = logs + k * np.log(k / (k + mean)) + count * np.log(mean / (k + mean))
        pick, gained = _resample(logs, rng)
        free, ill, total = free[pick], ill[pick], total + gained
    return total


def filter_epidemic(people: np.ndarray) -> Filter:
    """The filter of cases by week and age, for bands of so many people."""
    contacts = np.asarray(contact_matrix(bands=EDGES), np.float64)

    def run(point: np.ndarray, counts: np.ndarray, particles: int, rng: Any) -> float:
        r0, infectious, immunity, children, old = point
        relative = np.array([children, 1.0, 1.0, old, old])
        radius = np.abs(np.linalg.eigvals(relative[:, None] * contacts)).max()
        catch = (r0 / infectious / radius * relative)[:, None] * contacts / people
        better, wane = -np.expm1(-1 / infectious), -np.expm1(-1 / immunity)
        ill = rng.binomial(people, SEEDED, (particles, BANDS))
        free, total = people - ill, 0.0
        for week in counts.reshape(-1, BANDS):
            cases = np.zeros((particles, BANDS))
            for _ in range(7):
                new = rng.binomial(free, -np.expm1(-ill @ catch.T))
                well = rng.binomial(ill, better)
                lost = rng.binomial(people - free - ill, wane)
                free, ill, cases = free - new + lost, ill + new - well, cases + new
            mean = cases + 1e-3
            logs = (week * np.log(mean) - mean - gammaln(week + 1)).sum(axis=1)
            pick, gained = _resample(logs, rng)
            free, ill, total = free[pick], ill[pick], total + gained
        return total

    return run


def _resample(logs: np.ndarray, rng: Any) -> tuple[np.ndarray, float]:
    """Which particles go on, and the log of their mean weight; systematic."""
    best, count = logs.max(), len(logs)
    weights = np.exp(logs - best)
    marks = (rng.uniform() + np.arange(count)) / count
    pick = np.searchsorted(np.cumsum(weights) / weights.sum(), marks)
    return np.minimum(pick, count - 1), float(best + np.log(weights.mean()))


def people_by_band(problem: Problem) -> np.ndarray:
    """How many people of the town are in each age band."""
    band = np.searchsorted(np.array(EDGES[1:]), np.asarray(problem.town["age"]), side="right")
    return np.bincount(band, minlength=BANDS)


def refer(
    problem: Problem, number: int, start: np.ndarray, rounds: tuple[tuple[int, int], ...]
) -> dict[str, Any]:
    """Posterior mean and deviations for one truth, and the error that luck leaves in the mean.

    `start` is where the first proposal is centred, with a tenth of the prior's deviation; a round
    is so many points and so many particles for each. Where a filter's luck is small, as in the
    school, the last round is weighed (`worth` is the effective number of its draws); else a
    parabola through all log-likelihoods of the last two rounds takes the luck out of them.
    """
    rng = generator_for(words_of(problem.name), f"reference {number}")
    law = filter_school if problem.name == "school" else filter_epidemic(people_by_band(problem))
    counts, size = problem.data[number], len(problem.fields)
    centre, spread = np.array(start), np.diag((0.1 * problem.prior_sd) ** 2)
    seen: list[tuple[np.ndarray, np.ndarray, float]] = []
    weights, points = np.ones(1), centre[None]
    for count, particles in rounds:
        proposal = _law(centre, spread, 5)
        points = _draw(proposal, problem, count, rng)
        logs = np.array([law(point, counts, particles, rng) for point in points])
        seen.append((points, logs, float(particles)))
        if problem.name == "school":
            raw = logs - proposal.logpdf(points)
            weights, _ = _tempered(raw, min(8 * size, count / 3))
            centre = weights @ points
            spread = 1.3 * np.cov(points, rowvar=False, aweights=weights)
            weights, _ = _tempered(raw, 0)
        else:
            centre, spread, _ = _parabola(seen[-2:], centre, spread, rng)
            spread = 1.5 * spread
    if problem.name == "school":
        mean = weights @ points
        deviation = np.sqrt(weights @ (points - mean) ** 2)
        error = np.sqrt((weights**2) @ (points - mean) ** 2)
        worth = float(1 / (weights**2).sum())
    else:
        centre, spread, error = _parabola(seen[-2:], centre, spread / 1.5, rng)
        inside = _draw(_law(centre, spread, np.inf), problem, 20_000, rng)
        mean, deviation, worth = inside.mean(axis=0), inside.std(axis=0), None
    return {
        "mean": mean.tolist(),
        "sd": deviation.tolist(),
        "error_of_mean": error.tolist(),
        "worth": worth,
    }


def _parabola(
    seen: list[tuple[np.ndarray, np.ndarray, float]],
    centre: np.ndarray,
    spread: np.ndarray,
    rng: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Top and inverse curvature of a parabola through log-likelihoods, and the top's error.

    The variance of a log-likelihood falls as the inverse of the particles. Points far below the
    top are left out, where there is no parabola. A direction in which it opens upwards keeps the
    spread it had. The error is that of residuals drawn anew.
    """
    points = np.concatenate([one for one, _, _ in seen])
    logs = np.concatenate([one for _, one, _ in seen])
    root = np.sqrt(np.concatenate([np.full(len(one), n) for one, _, n in seen]))
    size = points.shape[1]
    terms = (size + 1) * (size + 2) // 2
    near = logs >= min(logs.max() - _FAR, np.sort(logs)[-2 * terms])
    points, logs, root = points[near], logs[near], root[near]
    scale = np.linalg.cholesky(spread)
    x = np.linalg.solve(scale, (points - centre).T).T
    rows, columns = np.triu_indices(size)
    design = np.concatenate([np.ones((len(x), 1)), x, x[:, rows] * x[:, columns]], axis=1)
    weighed = np.linalg.pinv(design * root[:, None])

    def top(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = weighed @ (values * root)
        bend = np.zeros((size, size))
        bend[rows, columns] -= found[1 + size :]
        values, vectors = np.linalg.eigh(bend + bend.T)
        values = np.clip(np.where(values <= 0, 1.0, values), 1 / 9, 1e4)
        inverse = (vectors / values) @ vectors.T
        step = inverse @ found[1 : 1 + size]
        return step / max(1.0, float(np.sqrt(step @ step)) / 3), inverse

    step, inverse = top(logs)
    fitted = design @ (weighed @ (logs * root))
    rest = (logs - fitted) * root * np.sqrt(len(logs) / (len(logs) - terms))
    other = [top(fitted + rng.permutation(rest) / root)[0] for _ in range(100)]
    error = np.std(np.array(other) @ scale.T, axis=0)
    return centre + scale @ step, scale @ inverse @ scale.T, error


def _law(centre: np.ndarray, spread: np.ndarray, freedom: float) -> Any:
    """A multivariate t-law; with infinite freedom the normal one."""
    return multivariate_t(loc=centre, shape=spread, df=freedom)  # pyright: ignore[reportArgumentType]


def _draw(proposal: Any, problem: Problem, count: int, rng: Any) -> np.ndarray:
    """Points of the proposal inside the priors; what falls outside has no weight anyway."""
    found = np.zeros((0, len(problem.fields)))
    while len(found) < count:
        some = np.atleast_2d(proposal.rvs(count, random_state=rng))
        inside = ((some > problem.lower) & (some < problem.upper)).all(axis=1)
        found = np.concatenate([found, some[inside]])
    return found[:count]


def _tempered(logs: np.ndarray, least: float) -> tuple[np.ndarray, float]:
    """Weights to the highest power, at most 1, at which they are worth so many draws."""
    power = 1.0
    while True:
        weights = np.exp(power * logs - np.logaddexp.reduce(power * logs))
        worth = float(1 / (weights**2).sum())
        if worth >= least or power < 1e-3:
            return weights, worth
        power *= 0.8
