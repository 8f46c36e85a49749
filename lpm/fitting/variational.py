"""A guide to the posterior that learns from the log-densities at its own draws."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..errors import FittingError
from ..population.seeds import Generator
from .averaging import Average
from .chance import generator_for
from .emulator import next_step, resample
from .evidence import Evidence
from .flow_guide import FlowGuide, flow_about
from .normal_guide import NormalGuide, Values
from .objective import Objective, Points
from .psis import FINE, pareto_k
from .synthetic import SyntheticLaw, averaged, residuals_of

GUIDES = ("normal", "flow")
_G = TypeVar("_G", NormalGuide, FlowGuide)
_KEPT = 4000
_SCREEN, _CHECK = 0.15, 0.2  # Of the budget: to find a start, and to weigh the guide at the end.
_NORMAL = 0.4  # Of the draws between, by which a flow learns where it starts.


class _Seen:
    """Points that were drawn, and what the posterior and the guide of that time said of them."""

    def __init__(self, size: int) -> None:
        self.points, self.values, self.laws = np.empty((0, size)), np.empty(0), np.empty(0)

    def teach(self, guide: _G, log_density: Any, draws: int, rng: Generator) -> _G:
        """Draw, look and refit in growing rounds."""
        size = self.points.shape[1]
        until, least = len(self.points) + draws, (size + 1) * (size + 2)
        while len(self.points) < until:
            count = min(max(least, len(self.points) // 3), until - len(self.points))
            fresh = guide.draw(rng, count)
            self.points = np.concatenate([self.points, fresh])
            self.values = np.concatenate([self.values, log_density(fresh)])
            self.laws = np.concatenate([self.laws, guide.log_density(fresh)])
            guide = guide.refit(self.points, _finite(self.values), self.laws)
        return guide


def _finite(values: Values) -> Values:
    """The values, where those that failed count as the worst that did not.

    Raises:
        FittingError: all of them failed.
    """
    fine = values[np.isfinite(values)]
    if not fine.size:
        raise FittingError(
            f"the log-likelihood is not a finite number at any of {len(values)} places that were "
            "tried; narrow the priors, or mend the likelihood there"
        )
    return np.where(np.isfinite(values), values, fine.min())


def infer_variational(
    objective: Objective,
    evidence: Evidence,
    average: Average | SyntheticLaw,
    budget: int,
    step: float = 0.05,
    weight: float = 1.0,
    family: str = "normal",
) -> tuple[Points, dict[str, Any]]:
    """Draws of the guide on the unconstrained scale, and how far it can be trusted.

    Minimises E[-log-likelihood] / weight + KL(guide, prior) over the laws of a family. At the end
    draws of the guide are weighed against the posterior: `pareto_k` above 0.7 says that the guide
    is too far off. The draws are the guide's, unweighed.

    Source: Knoblauch, Jewson & Damoulas (2022), Journal of Machine Learning Research 23, for the
    weight; `normal_guide` and `flow_guide` for how it is minimised.
    """
    rng, space = generator_for(objective.words, "variational"), objective.space
    worlds = objective.worlds
    log_prior = jax.jit(jax.vmap(space.log_prior))

    def joint(points: Points) -> np.ndarray:
        prior = np.asarray(log_prior(jnp.asarray(points, jnp.float32)), np.float64)
        return prior + averaged(objective, evidence, average, points) / weight

    guide = _begin(objective, evidence, average, budget, weight, step, rng)
    draws = int(((1 - _CHECK) * budget - objective.runs) / worlds)
    seen = _Seen(space.size)
    if family == "flow":
        first = int(_NORMAL * draws)
        guide = seen.teach(guide, joint, first, rng)
        flow = flow_about(guide, draws, objective.words)
        flow = flow.refit(seen.points, _finite(seen.values), seen.laws)
        found: NormalGuide | FlowGuide = seen.teach(flow, joint, draws - first, rng)
    else:
        found = seen.teach(guide, joint, draws, rng)
    count = int((budget - objective.runs) / worlds)
    drawn = found.draw(rng, count)
    k = pareto_k(joint(drawn) - found.log_density(drawn))
    notes = []
    if k > FINE:
        notes.append(
            f"Pareto k is {k:.2g}: a {family} guide is far from this posterior. Use smc or "
            "ensemble, or give more runs."
        )
    about = {"pareto_k": float(k), "weighed": count, "notes": notes}
    return found.draw(rng, _KEPT), about


def _begin(
    objective: Objective,
    evidence: Evidence,
    average: Average | SyntheticLaw,
    budget: int,
    weight: float,
    step: float,
    rng: Generator,
) -> NormalGuide:
    """A guide about the best of a screen of the priors, by tempered weights and its curvature."""
    space = objective.space
    count = max(int(_SCREEN * budget / objective.worlds), 8)
    points = space.quantiles(np.clip(rng.uniform(size=(count, space.size)), 0.01, 0.99))
    values = _finite(averaged(objective, evidence, average, points) / weight)
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
    return NormalGuide(mean, root)


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
