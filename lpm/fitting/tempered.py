"""Tempered sequential Monte Carlo with the simulator itself: slow, and the reference."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import qmc

from .averaging import Average
from .chance import generator_for
from .emulator import next_step, resample
from .evidence import Evidence
from .objective import Objective, Points
from .synthetic import SyntheticLaw, averaged

_ROUNDS = 30  # Of moves that the budget should last for, where the caller gives no particles.
_MOVES = 3  # At each temperature.


def infer_tempered(
    objective: Objective,
    evidence: Evidence,
    average: Average | SyntheticLaw,
    budget: int,
    particles: int | None = None,
) -> tuple[Points, dict[str, Any]]:
    """Draws of the posterior on the unconstrained scale, and how it was reached.

    Particles start at the priors; the likelihood enters by steps that keep half of them alive, and
    between steps each particle walks at random with the covariance of all. Worlds are the same for
    all particles, so that the averaged likelihood is one fixed function: the posterior is that of
    this average, and its luck shrinks only with more keys, or is counted by a `SyntheticLaw`. What
    budget is left goes into moves.

    Source: Del Moral, Doucet & Jasra (2006), Journal of the Royal Statistical Society B 68.
    """
    rng, space = generator_for(objective.words, "smc"), objective.space
    if particles is None:
        particles = max(budget // (objective.worlds * _ROUNDS), 50)
    count, cost = particles, particles * objective.worlds
    log_prior = jax.jit(jax.vmap(space.log_prior))

    def density(points: Points) -> tuple[np.ndarray, np.ndarray]:
        prior = np.asarray(log_prior(jnp.asarray(points, jnp.float32)), np.float64)
        return prior, averaged(objective, evidence, average, points)

    power = int(np.ceil(np.log2(count)))
    levels = qmc.Sobol(space.size, rng=int(rng.integers(2**31))).random(2**power)[:count]
    points = space.quantiles(np.clip(levels, 1e-4, 1 - 1e-4))
    prior, values = density(points)
    reached, taken, rounds = 0.0, 0.0, 0
    while objective.runs + cost <= budget:
        if reached < 1:
            grown = next_step(values, 1 - reached)
            weights = np.exp(grown * (values - values.max()))
            pick = resample(weights / weights.sum(), rng)
            points, prior, values = points[pick], prior[pick], values[pick]
            reached = min(reached + grown, 1.0)
        spread = np.cov(points, rowvar=False).reshape(space.size, space.size)
        root = np.linalg.cholesky(spread + 1e-10 * np.eye(space.size)) * 2.38
        for _ in range(_MOVES):
            if objective.runs + cost > budget:
                break
            moved = points + rng.standard_normal(points.shape) @ root.T / np.sqrt(space.size)
            new_prior, new = density(moved)
            with np.errstate(invalid="ignore"):
                gain = reached * (new - values) + new_prior - prior
            better = np.log(rng.uniform(size=count)) < np.where(np.isnan(gain), -np.inf, gain)
            points[better], prior[better], values[better] = (
                moved[better],
                new_prior[better],
                new[better],
            )
            taken, rounds = taken + float(better.mean()), rounds + 1
    notes = []
    if reached < 1:
        notes.append(
            f"The budget ended with the likelihood to the power of {reached:.2g}: intervals are "
            "too wide. Give more runs or fewer particles."
        )
    about = {"particles": count, "power": reached, "accepted": taken / max(rounds, 1)}
    return points, about | {"rounds": rounds, "notes": notes}
