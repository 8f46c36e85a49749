"""How unequal weights are: expansion factors, effective size, and how many records they use."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError

from .weighting import Problem

Weights = Float[np.ndarray, "zone record"] | Int[np.ndarray, "zone record"]
_POINTS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def effective_size(
    weights: Float[np.ndarray, "... record"] | Int[np.ndarray, "... record"],
) -> Float[np.ndarray, "..."]:
    """Records of equal weight that would be as precise: (sum w)^2 / sum w^2, 0 without weight.

    For means unrelated to the weights. Source: Kish (1965), Survey sampling, ch. 11.

    Example:
        >>> float(effective_size(np.array([1.0, 1.0, 0.0])))
        2.0
    """
    w = np.asarray(weights, np.float64)
    squares = np.sum(w**2, axis=-1)
    return np.asarray(np.sum(w, axis=-1) ** 2 / np.where(squares > 0, squares, 1))


def expansion_factors(problem: Problem, weights: Weights) -> Float[np.ndarray, " record"]:
    """Weight of each record over all zones, over its design weight.

    1 where the record stands for as many as the survey says; 0 where it has no design weight and
    is not used, infinite where it is. Raises as `weight_report`.
    """
    _check(problem, weights)
    used = np.asarray(weights, np.float64).sum(axis=0)
    without = np.where(used > 0, np.inf, 0.0)
    return np.divide(used, problem.prior, out=without, where=problem.prior > 0)


def expansion_report(
    problem: Problem, weights: Weights, points: Sequence[float] = _POINTS
) -> pl.DataFrame:
    """Quantiles of the expansion factors over the records, with the least and the greatest.

    Columns: `quantile` (0 and 1 are the extremes) and `expansion`. Raises as `weight_report`.
    """
    factors = expansion_factors(problem, weights)
    shares = [0.0, *points, 1.0]
    return pl.DataFrame({"quantile": shares, "expansion": np.quantile(factors, shares)})


def weight_report(problem: Problem, weights: Weights) -> pl.DataFrame:
    """One row per zone, and one for all together first: how far its weights are spread.

    Columns: `zone` (null for all); `total` of the weights; `records` with a weight above zero and
    their share `records_share` of all; `effective`, Kish's size; `effective_share` of the number of
    records; and `largest`, the greatest factor by which a weight exceeds what an equal share of
    the design weights would give it (1: the zone is like the sample). Fractional weights use nearly
    every record; the numbers drawn say more about how many there are.

    Raises:
        DataError: weights of other zones or records.
    """
    _check(problem, weights)
    w = np.asarray(weights, np.float64)
    w = np.vstack([w.sum(axis=0), w])
    total, size = w.sum(axis=1), effective_size(w)
    there = problem.prior > 0
    equal = problem.prior[there] / problem.prior[there].sum()
    factor = np.max(w[:, there] / equal, axis=1, initial=0.0) / np.where(total > 0, total, 1)
    used = (w > 0).sum(axis=1)
    return pl.DataFrame(
        {
            "zone": [None, *problem.zones],
            "total": total,
            "records": used,
            "records_share": used / w.shape[1],
            "effective": size,
            "effective_share": size / w.shape[1],
            "largest": factor,
        }
    )


def _check(problem: Problem, weights: Weights) -> None:
    shape = (len(problem.zones), len(problem.prior))
    if weights.shape != shape:
        raise DataError(
            f"weights have shape {list(weights.shape)}, but the problem has {shape[0]} zones and "
            f"{shape[1]} records"
        )
    if (weights < 0).any():
        raise DataError(f"{int((weights < 0).sum())} weights are negative; a fit gives none")
