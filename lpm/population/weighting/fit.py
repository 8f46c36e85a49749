"""Weights nearest to the design weights that meet all totals of all zones together."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import FittingError, listing

from .checks import check_prior, check_problem
from .climb import Climbed, Progress, climb
from .priors import zone_priors
from .problem import UNBOUNDED, Fitted, Level, Problem, Rules
from .reconcile import reconcile_margins
from .system import build_system, forced_out

INFEASIBLE = {
    "level": pl.String,
    "zone": pl.String,
    "control": pl.String,
    "target": pl.Float64,
    "reached": pl.Float64,
    "missing": pl.Float64,
    "proven": pl.Boolean,
}


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
        DataError: the problem has no meaning; see `check_problem`.
        FittingError: exact totals cannot be met within the bounds.

    Source: Deville and Sarndal (1992), raking as minimum entropy; penalised by published errors
    as in Nagle et al. (2014).
    """
    check_problem(problem)
    agreed, changes = reconcile_margins(problem)
    start = zone_priors(agreed) if prior is None else prior
    check_prior(start)
    rules = Rules(slack, bounds, tolerance)
    return solve(agreed, changes, start, None, rules, progress)


def solve(
    problem: Problem,
    reconciled: pl.DataFrame,
    prior: Float[np.ndarray, "zone record"],
    multipliers: Sequence[Float[np.ndarray, "_zone _control"]] | None,
    rules: Rules,
    progress: Progress | None = None,
) -> Fitted:
    """The fit of a problem whose totals agree, begun at multipliers if there are any."""
    kept = np.maximum(prior, 0.0)
    system, kinds, scales = build_system(problem, rules.slack, rules.bounds)
    gathered = kinds.gather(kept)
    outs = [forced_out(level, kinds) for level in problem.levels]
    if multipliers is None:
        begin = tuple(np.zeros(target.shape) for target in system.target)
    else:
        begin = tuple(m * scale for m, scale in zip(multipliers, scales, strict=True))
    state = climb(system, gathered, outs, begin, rules.tolerance, progress)
    _check_bounds(problem, state, rules)
    factor = np.divide(state.weights, gathered, out=np.zeros_like(gathered), where=gathered > 0)
    weights = kept * factor[:, kinds.kind_of]
    return Fitted(
        problem=problem,
        weights=weights,
        gap=state.gap[np.asarray(system.block[0])],
        infeasible=_infeasible(problem, weights, state),
        reconciled=reconciled,
        multipliers=tuple(m / s for m, s in zip(state.multipliers, scales, strict=True)),
        prior=kept,
        rules=rules,
        notes=tuple(_notes(problem, prior, state)),
    )


def _check_bounds(problem: Problem, state: Climbed, rules: Rules) -> None:
    if rules.bounds != UNBOUNDED and not state.settled.all():
        level = problem.levels[-1]
        names = listing(level.zones[block] for block in np.flatnonzero(~state.settled))
        raise FittingError(
            f"Exact totals cannot be met in {level.name} {names} with weights between "
            f"{rules.bounds[0]:g} and {rules.bounds[1]:g} times the design weights; give the "
            "totals errors or widen the bounds."
        )


def reached_totals(
    level: Level, weights: Float[np.ndarray, "finest record"]
) -> Float[np.ndarray, "zone control"]:
    """What the weights add up to in the zones of a level."""
    found = np.zeros(level.target.shape)
    np.add.at(found, level.zone_of, weights @ level.incidence)
    return found


def _infeasible(
    problem: Problem, weights: Float[np.ndarray, "finest record"], state: Climbed
) -> pl.DataFrame:
    rows = []
    repair = state.repair
    for level, missed, proven in zip(problem.levels, repair.missed, repair.proven, strict=True):
        reached = reached_totals(level, weights)
        for zone, control in np.argwhere(missed):
            target, got = float(level.target[zone, control]), float(reached[zone, control])
            names = level.name, level.zones[zone], level.controls[control]
            rows.append((*names, target, got, target - got, bool(proven[zone, control])))
    found = pl.DataFrame(rows, schema=INFEASIBLE, orient="row")
    worst = pl.col("missing").abs() / (pl.col("target").abs() + 1).sqrt()
    return found.sort(pl.struct("level", "zone").rank("dense"), worst, descending=[False, True])


def _notes(problem: Problem, prior: Float[np.ndarray, "zone record"], state: Climbed) -> list[str]:
    notes = []
    dropped = int((prior <= 0).all(axis=0).sum())
    if dropped:
        notes.append(f"{dropped} records have no positive weight and were left out")
    for block in np.flatnonzero(~state.settled):
        level = problem.levels[-1]
        notes.append(
            f"{level.name} {level.zones[block]}: not settled, relative gap {state.gap[block]:.1e}"
        )
    return notes
