"""Weights nearest to the design weights that meet all totals of all zones together."""

import numpy as np
from jaxtyping import Float

from .checks import check_prior, check_prior_shape, check_problem, check_rules
from .climb import Progress
from .priors import zone_priors
from .problem import UNBOUNDED, Fitted, Problem, Rules
from .reconcile import reconcile_margins
from .solution import Task, solve


def fit_weights(
    problem: Problem,
    *,
    prior: Float[np.ndarray, "zone record"] | None = None,
    slack: float = 1.0,
    bounds: tuple[float, float] = UNBOUNDED,
    tolerance: float = 1e-9,
    progress: Progress | None = None,
) -> Fitted:
    """Weights of the records in every zone, as near to the design weights as the totals allow.

    Minimises, over all zones and levels together, the relative entropy of the weights to the
    design weights, sum w log(w / w0) - w + w0, plus half the squared misses in standard errors
    where a total has one; totals without one are met exactly. The problem is convex and its
    answer unique. It is solved in its dual by Newton's method in float64, and `gap` certifies
    how far the answer can lie from the optimum. Exact totals that differ by rounding are
    reconciled first; those that no weights can meet are named, and replaced by the nearest.

    Args:
        prior: what to stay close to in each zone, instead of the design weights brought to the
            size of each zone; zero or less where a zone may not draw a record.
        slack: factor on all standard errors. Below 1 the totals are trusted more than the survey's
            joint distribution; `choose_slack` gives the value that the errors themselves imply.
        bounds: smallest and largest factor on a record's prior weight. Exact totals are then
            not looked into if they cannot be met: give them errors.
        tolerance: of the relative duality gap and of the misses of exact totals.
        progress: called after each step with the number of zones settled and of all.

    Raises:
        DataError: the problem, its prior or a rule has no meaning; see `check_problem`.
        FittingError: exact totals cannot be met within the bounds.

    Source: Deville and Sarndal (1992), raking as minimum entropy; penalised by published errors
    as in Nagle et al. (2014).
    """
    check_problem(problem)
    rules = Rules(slack, bounds, tolerance)
    check_rules(rules)
    agreed, changes = reconcile_margins(problem)
    start = zone_priors(agreed) if prior is None else prior
    check_prior_shape(start, problem)
    check_prior(start)
    return solve([Task(agreed, changes, start)], None, rules, progress)[0]
