"""Numbers computed from records and any set of weights: totals, means, shares, quantiles."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from lpm.errors import DataError

Column = str | pl.Expr
Compute = Callable[[pl.DataFrame, Float[np.ndarray, "record column"]], Float[np.ndarray, " column"]]


@final
@dataclass(frozen=True)
class Statistic:
    """A number that depends on the weights of records.

    Attributes:
        compute: from the records and several weights of each ([record, column]) the number under
            each of the weights ([column]).
    """

    compute: Compute


def total(values: Column | None = None) -> Statistic:
    """Weighted sum of a column or expression; of the records where none is given.

    Blanks count as nothing.
    """

    def compute(
        records: pl.DataFrame, weights: Float[np.ndarray, "record column"]
    ) -> Float[np.ndarray, " column"]:
        if values is None:
            return weights.sum(axis=0)
        x, there = _read(records, values)
        return np.where(there, x, 0) @ weights

    return Statistic(compute)


def mean(values: Column) -> Statistic:
    """Weighted mean of a column or expression over the records where it is not blank."""

    def compute(
        records: pl.DataFrame, weights: Float[np.ndarray, "record column"]
    ) -> Float[np.ndarray, " column"]:
        x, there = _read(records, values)
        return _divide(x[there] @ weights[there], weights[there].sum(axis=0))

    return Statistic(compute)


def share(condition: Column) -> Statistic:
    """Weighted share of the records that meet a condition, of those where it is not blank."""
    return mean(condition)


def ratio(upper: Column, lower: Column) -> Statistic:
    """Weighted sum of one column over that of another, such as persons per room."""

    def compute(
        records: pl.DataFrame, weights: Float[np.ndarray, "record column"]
    ) -> Float[np.ndarray, " column"]:
        return _divide(
            total(upper).compute(records, weights), total(lower).compute(records, weights)
        )

    return Statistic(compute)


def quantile(values: Column, q: float) -> Statistic:
    """Smallest value that at least a share `q` of the weight does not exceed.

    Without interpolation, over the records where the value is not blank. Where weights are negative
    the running sum may fall; its first crossing counts. Published medians are interpolated in
    brackets, so they differ a little.

    Raises:
        DataError: `q` outside [0, 1].
    """
    if not 0 <= q <= 1:
        raise DataError(f"q is {q}; a quantile's share lies in [0, 1]")

    def compute(
        records: pl.DataFrame, weights: Float[np.ndarray, "record column"]
    ) -> Float[np.ndarray, " column"]:
        x, there = _read(records, values)
        x, weights = x[there], weights[there]
        if len(x) == 0:
            return np.full(weights.shape[1], np.nan)
        order = np.argsort(x, kind="stable")
        below = np.cumsum(weights[order], axis=0)
        whole = below[-1]
        reached = below >= q * whole * (1 - 1e-12)
        reached &= weights[order] > 0
        return np.where(whole > 0, x[order][np.argmax(reached, axis=0)], np.nan)

    return Statistic(compute)


def median(values: Column) -> Statistic:
    """The quantile at a half."""
    return quantile(values, 0.5)


def statistic(
    function: Callable[[pl.DataFrame, Float[np.ndarray, " record"]], float],
) -> Statistic:
    """Any function of the records and one weight each, such as a Gini coefficient or a slope.

    Called once for the full weights and once for each replicate.
    """

    def compute(
        records: pl.DataFrame, weights: Float[np.ndarray, "record column"]
    ) -> Float[np.ndarray, " column"]:
        columns = range(weights.shape[1])
        return np.array([function(records, weights[:, i]) for i in columns], np.float64)

    return Statistic(compute)


def _read(
    records: pl.DataFrame, values: Column
) -> tuple[Float[np.ndarray, " record"], Bool[np.ndarray, " record"]]:
    """Values as numbers, and where there are any."""
    expression = pl.col(values) if isinstance(values, str) else values
    try:
        column = records.select(expression.cast(pl.Float64).alias("value"))["value"]
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{values} cannot be computed from the records: {error}") from error
    x = column.to_numpy()
    return x, ~np.isnan(x)


def _divide(
    upper: Float[np.ndarray, " column"], lower: Float[np.ndarray, " column"]
) -> Float[np.ndarray, " column"]:
    """A quotient that is not a number where there is no weight."""
    return np.where(lower > 0, upper / np.where(lower > 0, lower, 1), np.nan)
