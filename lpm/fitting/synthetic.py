"""The synthetic likelihood: data as a normal draw about the mean run, luck of runs included."""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import qmc

from ..errors import FittingError
from .averaging import Average
from .chance import generator_for
from .criteria import Synthetic, noise_root
from .evidence import Evidence, run_each
from .objective import Objective

SYNTHETIC = "synthetic"
_SHARE = 0.15  # Of the budget: as much for a screen as for runs at its best point.
_MOST = 300  # Runs at the best point.


@final
@dataclass(frozen=True)
class SyntheticLaw:
    """Log-likelihood of the mean over worlds, given noise and the luck of runs about it.

    The luck of the run behind the data and that of the mean over a few keys are both in the
    covariance, so that few keys make a posterior wider instead of wrong. The covariance is that of
    runs at one point, and is held.

    Source: Wood (2010), Nature 466; Price et al. (2018), Journal of Computational and Graphical
    Statistics 27, for posteriors by it.
    """

    criterion: Synthetic

    def log_likelihoods(
        self, evidence: Evidence, outputs: Float[np.ndarray, "point world datum"]
    ) -> Float[np.ndarray, " point"]:
        """Up to a constant, by point; -inf where a run failed."""
        misses = residuals_of(evidence, outputs)
        blank = np.zeros((*misses.shape[:-1], 1))
        return -self.criterion.values(np.concatenate([blank, misses], axis=-1))


def residuals_of(
    evidence: Evidence, means: Float[np.ndarray, "*batch datum"]
) -> Float[np.ndarray, "*batch datum"]:
    """Misses of the data in standard deviations of their noise; not finite where a run failed."""
    flat = means.reshape(-1, means.shape[-1])
    parts, first = [], 0
    for one in evidence.series:
        target = np.asarray(one.target, float)
        some = jnp.asarray(flat[:, first : first + target.size])
        first += target.size

        def miss(mean: Array, one=one, target=target) -> Array:
            mean = mean.reshape(target.shape)
            return one.noise.residuals(target, mean).ravel()  # pyright: ignore[reportAttributeAccessIssue]

        parts.append(np.asarray(jax.vmap(miss)(some), np.float64))
    found = np.concatenate(parts, axis=1)
    found[~np.isfinite(flat).all(axis=1)] = np.inf
    return found.reshape(means.shape)


def learn_synthetic(objective: Objective, evidence: Evidence, budget: int) -> SyntheticLaw:
    """The law about the best point of a screen of the priors.

    Raises:
        FittingError: most runs there fail.
    """
    rng, space = generator_for(objective.words, "synthetic"), objective.space
    count = max(int(_SHARE * budget / objective.worlds), 4)
    power = int(np.ceil(np.log2(count)))
    levels = qmc.Sobol(space.size, rng=int(rng.integers(2**31))).random(2**power)[:count]
    points = space.quantiles(np.clip(levels, 0.01, 0.99))
    with np.errstate(invalid="ignore"):
        misses = residuals_of(evidence, objective.evaluate(points)).mean(axis=1)
    far = np.where(np.isfinite(misses).all(axis=1), (misses**2).sum(axis=1), np.inf)
    runs = min(int(_SHARE * budget), _MOST)
    best = np.repeat(points[int(np.argmin(far))][None], runs, axis=0)
    scattered = residuals_of(evidence, run_each(objective, best, "synthetic"))
    fine = np.isfinite(scattered).all(axis=1)
    if fine.sum() < runs / 2:
        raise FittingError(f"{int((~fine).sum())} of {runs} runs fail at the best of the priors")
    return SyntheticLaw(Synthetic(noise_root(scattered[fine], objective.worlds)))


def check_synthetic(evidence: Evidence) -> None:
    """Refuse what has no residuals.

    Raises:
        FittingError: a plain function, or noise without residuals.
    """
    if not evidence.series:
        raise FittingError("combine='synthetic' needs lpm.fitting.Series, which have residuals")
    for one in evidence.series:
        if not hasattr(one.noise, "residuals"):
            raise FittingError(
                f"{type(one.noise).__name__} has no residuals(observed, mean), which "
                "combine='synthetic' needs"
            )
        if one.weight != 1:
            raise FittingError(
                f"the series of {one.observable!r} weighs {one.weight}; its synthetic likelihood "
                "has no weight, so leave it at 1"
            )


def averaged(
    objective: Objective,
    evidence: Evidence,
    average: Average | SyntheticLaw,
    points: Float[np.ndarray, "point element"],
) -> Float[np.ndarray, " point"]:
    """Log-likelihood at each point, averaged over worlds; -inf where all runs fail."""
    outputs = objective.evaluate(points)
    if isinstance(average, SyntheticLaw):
        return average.log_likelihoods(evidence, outputs)
    found = evidence.log_likelihoods(outputs)
    with np.errstate(invalid="ignore"):
        values = -average.weigh(-found)[0]
    return np.where(np.isnan(values), -np.inf, values)
