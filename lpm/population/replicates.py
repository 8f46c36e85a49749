"""Populations as the survey might have given them: from replicate weights, or redrawn margins.

Who lives there is known only as well as the survey's sample and its published margins. Every
population here is fitted and drawn anew from another draw of one of them, so that outcomes can be
run over all (`lpm.ensemble` takes a list) and their spread split (`lpm.analysis.split_variance`).
The two are two views of much the same uncertainty: the margins are estimated from the same
interviews, so their spreads are not added. Where totals are met exactly, replicate weights only
move what the totals leave open; redrawn margins move the totals and keep the joint distribution.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import polars as pl
from jaxtyping import Float, PRNGKeyArray

from lpm.errors import DataError

from .population import Population
from .sample import Sample
from .variance import read_weights, successive_differences
from .weighting import Fitted, redraw_targets, refit_draws

Fits = TypeVar("Fits")


def replicate_weights(sample: Sample) -> Float[np.ndarray, "replicate record"]:
    """Replicate weights of a sample's records: its households, then people in group quarters.

    Raises:
        DataError: the sample has none, or people in quarters have other than as many.
    """
    parts = [read_weights(sample.households)]
    if not sample.quarters.is_empty():
        parts.append(read_weights(sample.quarters))
    widths = [part.shape[1] - 1 for part in parts]
    if len(set(widths)) > 1:
        raise DataError(
            f"households have {widths[0]} replicate weights and quarters {widths[1]}; records of "
            "one survey have equally many"
        )
    return np.concatenate(parts)[:, 1:].T


def replicate_fits(
    fitted: Fitted, weights: Float[np.ndarray, "replicate record"], floor: float = 0.0
) -> Iterator[Fitted]:
    """The fit again from each set of replicate weights, in place of the design weights.

    A replicate weight of zero or less says that the record is not in that draw of the survey: it
    gets `floor` times its design weight. At 0 it cannot be drawn, and if it was the only one of its
    kind, the fit names totals that cannot be met; a floor of 0.001, say, keeps it for such totals
    and is felt nowhere else. Weights below zero arise where a replicate is raked; to count them as
    zero understates the spread a little.

    Args:
        fitted: from the full weights.
        weights: such as `replicate_weights(sample)[:, records]`, in the order of its records.
        floor: share of the design weight, 0 to 1.

    Raises:
        DataError: weights of other records, not finite, or all below zero; or a floor outside 0
            to 1.
    """
    design = fitted.problem.prior
    if weights.shape[1] != len(design):
        raise DataError(
            f"replicate weights are of {weights.shape[1]} records; the problem has {len(design)}"
        )
    if not 0 <= floor < 1:
        raise DataError(f"floor is {floor}; a share of the design weight lies in [0, 1)")
    empty = ~np.isfinite(weights).all(axis=1) | (weights <= 0).all(axis=1)
    if empty.any():
        raise DataError(
            f"replicate {int(empty.argmax())} has weights that are not finite, or none above zero"
        )
    return refit_draws(fitted, priors=np.where(weights > 0, weights, floor * design))


def redrawn_fits(fitted: Fitted, key: PRNGKeyArray, count: int) -> Iterator[Fitted]:
    """The fit again to each of `count` sets of totals redrawn within their standard errors.

    See `redraw_targets` for how they are drawn. A fit that gives way to noisy totals follows
    redrawn ones only in part: for W records of one kind in a zone and an error e, W / (W + e^2) of
    the way. The rest rests on the design weights, whose own spread `replicate_fits` shows, or both
    at once `refit_draws` with totals and weights.

    Raises:
        DataError: fewer than one set was asked for, or no total has an error.
    """
    if count < 1:
        raise DataError(f"{count} sets of totals were asked for; give 1 or more")
    if not any((level.error > 0).any() for level in fitted.problem.levels):
        raise DataError("every total is exact, so none can be redrawn; give standard errors")
    return refit_draws(fitted, targets=redraw_targets(fitted.problem, key, count))


def replicate_populations(
    fits: Iterable[Fits], draw: Callable[[Fits, int], Population], seed: int = 0
) -> Iterator[Population]:
    """A population for each fit, one at a time, drawn with a seed of its own.

    No population is kept between two; `list` keeps all, as an ensemble needs. The spread between
    them holds the luck of drawing whole households, as that of any one does.

    Args:
        fits: from `replicate_fits` or `redrawn_fits`; where a place is fitted in several blocks,
            `zip` of one for each.
        draw: the people of a fit, from a seed.
        seed: of the first; the next have the following numbers.

    Example:
        >>> towns = replicate_populations(
        ...     redrawn_fits(fitted, key, 20),
        ...     lambda again, seed: draw_people(sample, [(records, again)], ["age"], seed),
        ... )  # doctest: +SKIP
    """
    return (draw(fit, seed + i) for i, fit in enumerate(fits))


def population_scale(replicates: int, factor: float | None = None) -> float:
    """How much wider the truth is than the variance between populations of replicate weights.

    Replicates x factor: 4 for successive differences, whose replicates lie half as far from the
    full sample as another sample would; 1 for the bootstrap. Goes to `split_variance`, where it
    multiplies the luck of drawing households too, so populations should not be small. It holds
    where all replicates are used, or some picked at random.
    """
    return replicates * (successive_differences(replicates) if factor is None else factor)


def absent_records(
    weights: Float[np.ndarray, "replicate record"],
) -> pl.DataFrame:
    """How many records each replicate leaves out; `replicate`, `zero`, `negative` and `share`."""
    zero, negative = (weights == 0).sum(axis=1), (weights < 0).sum(axis=1)
    return pl.DataFrame(
        {
            "replicate": np.arange(len(weights)),
            "zero": zero,
            "negative": negative,
            "share": (zero + negative) / weights.shape[1],
        }
    )
