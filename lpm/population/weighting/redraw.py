"""Totals drawn again within their standard errors."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from .problem import Level, Problem
from .reconcile import dependencies


def redraw_targets(
    problem: Problem, key: PRNGKeyArray, count: int
) -> tuple[Float[np.ndarray, "draw _zone _control"], ...]:
    """Totals as another survey might have published them, per level [draw, zone, control].

    Normal errors, independent but for this: controls that add up alike for every record get
    errors that do so too, so that a redrawn table is as consistent as the published one. Errors
    of totals that cannot be negative are cut off at plus and minus the total. That keeps the
    mean, and it leaves published zeros at zero, whose error is a bound and not a spread; small
    totals vary less than their error says. Levels are drawn independently of each other. Exact
    totals stay.
    """
    keys = jax.random.split(key, len(problem.levels))
    return tuple(
        _redraw(level, draws, count) for level, draws in zip(problem.levels, keys, strict=True)
    )


def _redraw(level: Level, key: PRNGKeyArray, count: int) -> Float[np.ndarray, "draw zone control"]:
    with jax.enable_x64(True):
        normal = jax.random.normal(key, (count, *level.target.shape), jnp.float64)
    errors = np.asarray(normal) * level.error
    equations = np.array(list(dependencies(np.unique(level.incidence, axis=0))))
    if equations.size:
        for zone, spread in enumerate(level.error):
            errors[:, zone] -= _excess(errors[:, zone], spread**2, equations)
    adding = np.all(level.incidence >= 0, axis=0) & (level.target >= 0)
    limit = np.where(adding, level.target, np.inf)
    return level.target + np.clip(errors, -limit, limit)


def _excess(
    errors: Float[np.ndarray, "draw control"],
    variance: Float[np.ndarray, " control"],
    equations: Float[np.ndarray, "equation control"],
) -> Float[np.ndarray, "draw control"]:
    """The part of normal errors that conditioning on the equations takes away."""
    weighted = variance[:, None] * equations.T
    inverse = np.linalg.pinv(equations @ weighted, hermitian=True)
    return errors @ equations.T @ inverse @ weighted.T
