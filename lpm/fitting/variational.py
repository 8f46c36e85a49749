"""A normal guide to the posterior, moved along differences over the same worlds."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..population.seeds import Generator
from .averaging import Average
from .chance import generator_for
from .emulator import next_step, resample
from .evidence import Evidence
from .objective import Objective, Points
from .psis import FINE, pareto_k
from .synthetic import SyntheticLaw, averaged, residuals_of

_KEPT = 4000
_SCREEN, _CHECK = 0.15, 0.2  # Of the budget: to find a start, and to weigh the guide at the end.
_RATE = 0.1  # Of adam, falling to a fiftieth.
_FLAT = 0.3  # Standard deviations of the guide at the start, in those of the prior.


@dataclass
class _Guide:
    """Normal law: mean, log of the diagonal of the root of its covariance, and what is below."""

    mean: Float[np.ndarray, " element"]
    logs: Float[np.ndarray, " element"]
    below: Float[np.ndarray, "element element"]

    @property
    def root(self) -> Float[np.ndarray, "element element"]:
        return np.diag(np.exp(self.logs)) + np.tril(self.below, -1)

    def log_density(self, points: Points) -> Float[np.ndarray, " point"]:
        z = np.linalg.solve(self.root, (points - self.mean).T).T
        return -0.5 * (z**2).sum(axis=1) - self.logs.sum() - 0.5 * z.shape[1] * np.log(2 * np.pi)

    def flat(self) -> np.ndarray:
        return np.concatenate([self.mean, self.logs, self.below.ravel()])

    @classmethod
    def of(cls, flat: np.ndarray, size: int) -> "_Guide":
        return cls(flat[:size], flat[size : 2 * size], flat[2 * size :].reshape(size, size))


def infer_variational(
    objective: Objective,
    evidence: Evidence,
    average: Average | SyntheticLaw,
    budget: int,
    step: float = 0.05,
    weight: float = 1.0,
) -> tuple[Points, dict[str, Any]]:
    """Draws of the guide on the unconstrained scale, and how far it can be trusted.

    Minimises E[-log-likelihood] / weight + KL(guide, prior) over normal laws. The gradient of the
    likelihood at a draw is a central difference over the same worlds, carried to mean and root by
    how the draw moves with them. At the end draws of the guide are weighed against the posterior:
    `pareto_k` above 0.7 says that the guide is too far off. The draws are the guide's, unweighed.

    Source: Knoblauch, Jewson & Damoulas (2022), Journal of Machine Learning Research 23, for the
    weight; Kucukelbir et al. (2017), the same 18, for the normal guide.
    """
    rng, space = generator_for(objective.words, "variational"), objective.space
    size, worlds = space.size, objective.worlds
    log_prior = jax.jit(jax.vmap(space.log_prior))
    prior_slope = jax.jit(jax.vmap(jax.grad(space.log_prior)))

    def joint(points: Points) -> np.ndarray:
        prior = np.asarray(log_prior(jnp.asarray(points, jnp.float32)), np.float64)
        return prior + averaged(objective, evidence, average, points) / weight

    guide = _begin(objective, evidence, average, budget, weight, step, rng)

    def slope(points: Points) -> np.ndarray:
        found = _likelihood_slope(objective, evidence, average, points, step)
        return found / weight + np.asarray(prior_slope(jnp.asarray(points, jnp.float32)))

    spend = (1 - _CHECK) * budget - objective.runs
    iterations = max(int(spend / (2 * 2 * size * worlds)), 1)
    guide = _descend(guide, slope, iterations, rng)
    count = int((budget - objective.runs) / worlds)
    drawn = guide.mean + rng.standard_normal((count, size)) @ guide.root.T
    ratios = joint(drawn) - guide.log_density(drawn)
    k = pareto_k(ratios)
    fresh = guide.mean + rng.standard_normal((_KEPT, size)) @ guide.root.T
    notes = []
    if k > FINE:
        notes.append(
            f"Pareto k is {k:.2g}: a normal law is far from this posterior. Use smc or ensemble, "
            "or give more runs."
        )
    about = {"pareto_k": float(k), "iterations": iterations, "weighed": count, "notes": notes}
    return fresh, about


def _begin(
    objective: Objective,
    evidence: Evidence,
    average: Average | SyntheticLaw,
    budget: int,
    weight: float,
    step: float,
    rng: Generator,
) -> _Guide:
    """A guide about the best of a screen of the priors, by tempered weights and its curvature."""
    space = objective.space
    count = max(int(_SCREEN * budget / objective.worlds), 8)
    points = space.quantiles(np.clip(rng.uniform(size=(count, space.size)), 0.01, 0.99))
    values = averaged(objective, evidence, average, points) / weight
    mean = points[int(np.argmax(values))].astype(np.float64)
    spread = points.std(axis=0)
    precision = np.diag(1 / np.maximum(spread, 1e-6) ** 2)
    if all(hasattr(one.noise, "residuals") for one in evidence.series) and evidence.series:
        information = _information(objective, evidence, average, mean, step) / weight
        root = np.linalg.cholesky(np.linalg.inv(precision + information))
    else:
        power = next_step(values, 1.0)
        likely = np.exp(power * (values - values.max()))
        chosen = points[resample(likely / likely.sum(), rng)]
        part = np.cov(chosen, rowvar=False).reshape(space.size, space.size)
        root = np.linalg.cholesky(part * min(power, 1.0) + 1e-4 * np.diag(spread**2))
    return _Guide(mean, np.log(np.diag(root)), np.tril(root, -1))


def _information(
    objective: Objective,
    evidence: Evidence,
    average: Average | SyntheticLaw,
    mean: Float[np.ndarray, " element"],
    step: float,
) -> Float[np.ndarray, "element element"]:
    """Curvature of the negative log-likelihood, by slopes of the misses of the mean run."""
    directions = np.eye(objective.space.size)
    moved = mean + step * np.concatenate([directions, -directions])
    with np.errstate(invalid="ignore"):
        misses = residuals_of(evidence, objective.evaluate(moved)).mean(axis=1)
        slopes = (misses[: len(directions)] - misses[len(directions) :]) / (2 * step)
    slopes = np.where(np.isfinite(slopes), slopes, 0.0)
    if isinstance(average, SyntheticLaw):
        slopes = slopes @ average.criterion.root.T
    return slopes @ slopes.T


def _likelihood_slope(
    objective: Objective,
    evidence: Evidence,
    average: Average | SyntheticLaw,
    points: Points,
    step: float,
) -> Float[np.ndarray, "point element"]:
    """Central differences of the averaged log-likelihood, over the same worlds."""
    size = points.shape[1]
    moves = step * np.concatenate([np.eye(size), -np.eye(size)])
    moved = (points[:, None] + moves).reshape(-1, size)
    values = averaged(objective, evidence, average, moved).reshape(len(points), 2, size)
    with np.errstate(invalid="ignore"):
        slopes = (values[:, 0] - values[:, 1]) / (2 * step)
    return np.where(np.isfinite(slopes), slopes, 0.0)


def _descend(guide: _Guide, slope: Any, iterations: int, rng: Generator) -> _Guide:
    """Adam over draws and their mirror images; the mean of the last half of the iterates."""
    size = len(guide.mean)
    flat, first, second = guide.flat(), np.zeros(2 * size + size**2), np.zeros(2 * size + size**2)
    total, kept = np.zeros_like(flat), 0
    scale = np.concatenate([guide.root.diagonal(), np.ones(size), np.tile(1.0, size**2)])
    scale[2 * size :] = np.repeat(guide.root.diagonal(), size)
    for i in range(iterations):
        now = _Guide.of(flat, size)
        half = rng.standard_normal((1, size))
        e = np.concatenate([half, -half])
        up = slope(now.mean + e @ now.root.T)
        root = np.einsum("si,sj->ij", up, e) / len(e)
        # The entropy of the guide adds 1 to the slope by each log of the diagonal.
        logs = root.diagonal() * np.exp(now.logs) + 1
        rise = np.concatenate([up.mean(axis=0), logs, np.tril(root, -1).ravel()]) * scale
        rise /= max(1.0, float(np.abs(rise).max()) / 10)
        first, second = 0.8 * first + 0.2 * rise, 0.95 * second + 0.05 * rise**2
        size_now = _RATE * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * i / iterations)))
        moved = first / (1 - 0.8 ** (i + 1))
        flat = flat + size_now * scale * moved / (np.sqrt(second / (1 - 0.95 ** (i + 1))) + 1e-8)
        if i >= iterations // 2:
            total, kept = total + flat, kept + 1
    return _Guide.of(total / max(kept, 1), size)
