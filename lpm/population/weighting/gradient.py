"""How weights, and any outcome that adds them up, depend on each published total."""

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from .checks import prior_of
from .dual import exponents, totals
from .elimination import solve
from .problem import Fitted, Level
from .system import build_system, held_at_zero

# Weights nearer to a bound than this, relatively, are held by it.
NEAR = 1e-9

Outcome = Float[np.ndarray, " record"] | Float[np.ndarray, "zone record"]


def margin_gradient(
    fitted: Fitted, outcome: Outcome
) -> tuple[Float[np.ndarray, "_zone _control"], ...]:
    """Derivative of an outcome by each total, per level [zone, control].

    The outcome is the sum over zones and records of weight times value; it is given by record,
    or by zone and record, which can pick out one zone. The derivative is that of the optimum
    (implicit function theorem), for the prior as it is in the fit. Exact totals that determine
    each other can only change together: along such changes the derivative is right, and which
    total it is booked on is a convention. Totals held at zero, and exact ones of a zone where
    some could not be met, have none: NaN.
    """
    slopes, scales, _ = _adjoint(fitted, outcome)
    return tuple(
        np.where(_no_slope(fitted, level), np.nan, np.asarray(slope) / scale)
        for level, slope, scale in zip(fitted.problem.levels, slopes, scales, strict=True)
    )


def prior_gradient(fitted: Fitted, outcome: Outcome) -> Float[np.ndarray, "zone record"]:
    """Derivative of an outcome by what the weights are kept close to in each zone.

    See `margin_gradient`. Records that a zone does not use have 0, also where a prior above
    zero would bring them in.
    """
    _, _, change = _adjoint(fitted, outcome)
    prior = prior_of(fitted)
    ratio = np.divide(fitted.weights, prior, out=np.zeros_like(prior), where=prior > 0)
    return ratio * (outcome - change)


def _adjoint(
    fitted: Fitted, outcome: Outcome
) -> tuple[tuple, tuple, Float[np.ndarray, "zone record"]]:
    """Slopes by the scaled totals, the scales, and what a record's value is worth in totals."""
    problem, rules = fitted.problem, fitted.rules
    system, kinds, scales = build_system(problem, rules.slack, rules.bounds)
    free = np.where(_free(fitted), fitted.weights, 0.0)
    with jax.enable_x64(True):
        device = jax.tree.map(jnp.asarray, system)
        right = totals(device, jnp.asarray(kinds.gather(free * outcome)))
        slopes = solve(device, jnp.asarray(kinds.gather(free)), right)
        change = np.asarray(exponents(device, slopes))[:, kinds.kind_of]
    return slopes, scales, change


def _free(fitted: Fitted) -> Bool[np.ndarray, "zone record"]:
    (low, high), prior = fitted.rules.bounds, prior_of(fitted)
    above = fitted.weights > low * prior * (1 + NEAR)
    return above & ((fitted.weights < high * prior * (1 - NEAR)) | np.isinf(high))


def _no_slope(fitted: Fitted, level: Level) -> Bool[np.ndarray, "zone control"]:
    lost = fitted.infeasible.filter(pl.col("level") == level.name)["zone"].unique().to_list()
    broken = np.isin(np.array(level.zones), lost)
    return held_at_zero(level) | (broken[:, None] & (level.error == 0))
