"""Populations as the survey might have given them: from replicate weights, or redrawn margins.

Who lives there is known only as well as the survey's sample and its published margins. Every
population here is fitted and drawn anew from another draw of one of them, so that outcomes can be
run over all (`lpm.ensemble` takes a list) and their spread split (`lpm.analysis.split_variance`).
The two are two views of much the same uncertainty: the margins are estimated from the same
interviews, so their spreads are not added. Where totals are met exactly, replicate weights only
move what the totals leave open; redrawn margins move the totals and keep the joint distribution.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import DataError

from .population import Population
from .sample import Sample
from .seeds import Generator, generator
from .variance import read_weights, successive_differences
from .weighting import Fitted, Level, Problem

Fit: TypeAlias = Callable[[Problem], Fitted]
DrawPeople: TypeAlias = Callable[[Fitted, int], Population]


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


def replicate_problems(
    problem: Problem, weights: Float[np.ndarray, "replicate record"], floor: float = 0.0
) -> Iterator[Problem]:
    """The problem once for each set of replicate weights, in place of the design weights.

    A replicate weight of zero or less says that the record is not in that draw of the survey: it
    gets `floor` times its design weight. At 0 it cannot be drawn, and if it was the only one of its
    kind, the fit names totals that cannot be met; a floor of 0.001, say, keeps it for such totals
    and is felt nowhere else. Weights below zero arise where a replicate is raked; to count them as
    zero understates the spread a little.

    Args:
        problem: with the records of the weights, in their order.
        weights: such as `replicate_weights(sample)[:, records]`.
        floor: share of the design weight, 0 to 1.

    Raises:
        DataError: weights of other records, not finite, or all below zero; or a floor outside 0
            to 1.
    """
    if weights.shape[1] != len(problem.prior):
        raise DataError(
            f"replicate weights are of {weights.shape[1]} records; the problem has "
            f"{len(problem.prior)}"
        )
    if not 0 <= floor < 1:
        raise DataError(f"floor is {floor}; a share of the design weight lies in [0, 1)")
    empty = ~np.isfinite(weights).all(axis=1) | (weights <= 0).all(axis=1)
    if empty.any():
        raise DataError(
            f"replicate {int(empty.argmax())} has weights that are not finite, or none above zero"
        )
    return (
        replace(problem, prior=np.where(each > 0, each, floor * problem.prior)) for each in weights
    )


def redrawn_problems(problem: Problem, replicates: int, seed: int = 0) -> Iterator[Problem]:
    """The problem several times, with totals redrawn within their standard errors.

    Each total with an error is drawn from the gamma distribution of its mean and error, which has
    no values below zero and is near the normal where the error is small; a negative total is
    mirrored. A total of zero stays zero: published errors of empty cells say what else might have
    been sampled, not that it is there. Cells are drawn independently, though published ones are not
    quite (cells of a table share a sample, and add up to a total that is better known than they
    are): give that total its own smaller error, or none, and the fit brings them together.

    Raises:
        DataError: fewer than one set was asked for, or no total has an error.
    """
    if replicates < 1:
        raise DataError(f"{replicates} sets of totals were asked for; give 1 or more")
    if not any((level.error > 0).any() for level in problem.levels):
        raise DataError("every total is exact, so none can be redrawn; give standard errors")
    rng = generator(seed)
    return (
        replace(problem, levels=tuple(_redrawn(level, rng) for level in problem.levels))
        for _ in range(replicates)
    )


def replicate_populations(
    problems: Iterable[Problem], fit: Fit, draw: DrawPeople, seed: int = 0
) -> Iterator[Population]:
    """A population for each problem, one at a time: fitted, then drawn with a seed of its own.

    Nothing is kept between two, so memory is that of one; `list` keeps all, as an ensemble needs.
    The spread between them holds the luck of drawing whole households, as that of any one does.

    Args:
        problems: from `replicate_problems` or `redrawn_problems`.
        fit: such as `fit_weights`, or a refit that begins where another fit ended.
        draw: the people of a fit, from a seed.
        seed: of the first; the next have the following numbers.

    Example:
        >>> towns = replicate_populations(
        ...     redrawn_problems(problem, 20), fit_weights,
        ...     lambda fitted, seed: draw_people(sample, [(rows, fitted)], ["age"], seed),
        ... )  # doctest: +SKIP
    """
    return (draw(fit(problem), seed + i) for i, problem in enumerate(problems))


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


def _redrawn(level: Level, rng: Generator) -> Level:
    free = (level.error > 0) & (level.target != 0)
    mean, error = np.abs(level.target[free]), level.error[free]
    target = level.target.copy()
    drawn = rng.gamma((mean / error) ** 2, error**2 / mean)
    target[free] = np.sign(level.target[free]) * drawn
    return replace(level, target=target)
