"""The same fit with other totals or other design weights, begun where the last one ended."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from lpm.errors import DataError

from .checks import check_prior, check_problem, prior_of
from .problem import Fitted
from .reconcile import reconcile_margins
from .solution import Task, solve

# Numbers in the matrices of the draws that are solved together.
CHUNK = 2**24


def refit(
    fitted: Fitted,
    *,
    targets: Sequence[Float[np.ndarray, "_zone _control"]] | None = None,
    prior: Float[np.ndarray, " record"] | None = None,
) -> Fitted:
    """The fit to other totals, with other design weights, or both.

    Args:
        fitted: what to begin with, and whose rules to keep.
        targets: totals per level; those of the fit if left out. What the weights stay close to
            keeps its size.
        prior: design weights, such as replicate weights; zero or less leaves a record out.

    Raises:
        DataError: totals or weights do not fit the problem or are not finite.
    """
    return solve([_task(fitted, targets, prior)], fitted.multipliers, fitted.rules)[0]


def refit_with(fitted: Fitted, slack: float) -> Fitted:
    """The same fit with another factor on the standard errors."""
    rules = replace(fitted.rules, slack=slack)
    return solve([_task(fitted, None, None)], fitted.multipliers, rules)[0]


def refit_draws(
    fitted: Fitted,
    *,
    targets: Sequence[Float[np.ndarray, "draw _zone _control"]] | None = None,
    priors: Float[np.ndarray, "draw record"] | None = None,
) -> Iterator[Fitted]:
    """One fit for each draw of totals, of design weights, or of both, many at a time.

    Args:
        fitted: what to begin with, and whose rules to keep.
        targets: per level, totals of each draw, as `redraw_targets` gives them.
        priors: design weights of each draw, such as the replicate weights of a survey.

    Raises:
        DataError: neither is given, their numbers differ, or one of them is wrong; see `refit`.
    """
    count = _count(targets, priors)
    together = _together(fitted)
    for first in range(0, count, together):
        tasks = [
            _task(
                fitted,
                None if targets is None else [target[draw] for target in targets],
                None if priors is None else priors[draw],
            )
            for draw in range(first, min(first + together, count))
        ]
        yield from solve(tasks, fitted.multipliers, fitted.rules)


def _count(
    targets: Sequence[Float[np.ndarray, "draw _zone _control"]] | None,
    priors: Float[np.ndarray, "draw record"] | None,
) -> int:
    counts = {len(x) for x in [*(targets or []), *([] if priors is None else [priors])]}
    if len(counts) != 1:
        raise DataError(
            f"Give draws of totals, of design weights, or as many of both; found {sorted(counts)}."
        )
    return counts.pop()


def _together(fitted: Fitted) -> int:
    """How many draws fit into memory at a time."""
    controls = sum(len(level.controls) for level in fitted.problem.levels)
    zones, records = fitted.weights.shape
    return max(1, CHUNK // (zones * (records + controls**2)))


def _task(
    fitted: Fitted,
    targets: Sequence[Float[np.ndarray, "_zone _control"]] | None,
    prior: Float[np.ndarray, " record"] | None,
) -> Task:
    problem, base = fitted.problem, prior_of(fitted)
    if targets is not None:
        pairs = zip(problem.levels, targets, strict=True)
        problem = replace(
            problem, levels=tuple(replace(level, target=target) for level, target in pairs)
        )
    if prior is not None:
        check_prior(prior[None])
        base = _scaled(base, problem.prior, prior)
        problem = replace(problem, prior=prior)
    check_problem(problem)
    agreed, changes = reconcile_margins(problem)
    return Task(agreed, changes, base)


def _scaled(
    base: Float[np.ndarray, "zone record"],
    old: Float[np.ndarray, " record"],
    new: Float[np.ndarray, " record"],
) -> Float[np.ndarray, "zone record"]:
    """Priors in proportion to other design weights, with the size they have in each zone."""
    ratio = np.divide(np.maximum(new, 0.0), old, out=np.zeros_like(new), where=old > 0)
    changed = base * ratio
    size = changed.sum(axis=1, keepdims=True)
    return changed * base.sum(axis=1, keepdims=True) / np.where(size > 0, size, 1.0)
