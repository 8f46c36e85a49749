"""Sobol indices of an expected outcome, with the luck of runs kept apart; from replicated runs.

A row of the design is a point A, a point B, and for each element i the point ABi, which is A with
that element of B. Every row has keys of its own, and its points share them. Products are taken of
runs with different keys only. So luck enters no index, however runs are coupled by their keys,
while the shared keys make the differences between points small. With [x y] for the mean of x_r y_s
over r != s, each row gives

    variance of the expectation    [A-m A-m] / 2 + [B-m B-m] / 2    or    [A-B A-B] / 2
    first order, numerator         [B-m ABi-A]    or    [A-B A-B] / 2 - [B-ABi B-ABi] / 2
    total effect, numerator        [A-ABi A-ABi] / 2
    luck                           variance over r at one point, averaged over all points

where m is the mean over rows. The first of two ways is the more precise one where luck is small,
the second, of differences alone, where it is large: both are unbiased, and are weighed by how they
vary over rows. For runs without luck they are the estimators of Saltelli et al. (2010), Computer
Physics Communications 181, table 2 (b), (c) and (f). With a single run per point luck would be in
every total effect; with one set of keys for all rows, the luck of these keys would be in all of it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..population.seeds import Generator

Runs = Float[np.ndarray, "row point run"]


@dataclass(frozen=True)
class RowSums:
    """What each row of the design says; every number wanted is a ratio of means over rows.

    Attributes:
        expected: about the variance of the expected outcome.
        luck: about the variance between runs at one point.
        first, total: about the numerators of the indices.
    """

    expected: Float[np.ndarray, " row"]
    luck: Float[np.ndarray, " row"]
    first: Float[np.ndarray, "row element"]
    total: Float[np.ndarray, "row element"]

    @classmethod
    def of(cls, values: Runs) -> "RowSums":
        """Read off outcomes of runs, whose points are A, AB1, AB2, ..., B."""
        middle = values[:, [0, -1]].mean()
        centred = values - middle
        a, mixed, b = centred[:, :1], centred[:, 1:-1], centred[:, -1:]
        apart = _cross(a - b, a - b) / 2
        wide = np.broadcast_to(b, mixed.shape)
        return cls(
            expected=_weigh((_cross(a, a) + _cross(b, b)) / 2, apart)[:, 0],
            luck=values.var(axis=2, ddof=1).mean(axis=1),
            first=_weigh(_cross(wide, mixed - a), apart - _cross(b - mixed, b - mixed) / 2),
            total=_cross(a - mixed, a - mixed) / 2,
        )

    @property
    def stacked(self) -> Float[np.ndarray, "row number"]:
        """All of them side by side: expected, luck, first, total."""
        return np.column_stack([self.expected, self.luck, self.first, self.total])


@dataclass(frozen=True)
class Indices:
    """Shares of a variance, each with an interval, [number, 3]: value, low and high.

    Attributes:
        first, total: of each element.
        together, luck: of all elements, and of the luck of runs.
    """

    first: Float[np.ndarray, "element 3"]
    total: Float[np.ndarray, "element 3"]
    together: Float[np.ndarray, " 3"]
    luck: Float[np.ndarray, " 3"]


def estimate(
    sums: RowSums, rng: Generator, resamples: int, level: float
) -> tuple[Indices, Indices]:
    """Shares of the variance of one run, and of the variance of its expectation.

    Intervals are percentiles over rows drawn again with replacement. Rows of a Sobol sequence are
    more even than random ones, so that the intervals are rather too wide.
    """
    table = sums.stacked
    rows, elements = len(table), sums.first.shape[1]
    counts = rng.multinomial(rows, np.full(rows, 1 / rows), size=resamples)
    means = np.concatenate([table.mean(axis=0)[None], counts @ table / rows])
    tails = [(1 - level) / 2, (1 + level) / 2]

    def shares(of: np.ndarray) -> Indices:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(of[:, None] > 0, means / of[:, None], np.nan)
        ends = (
            np.nanquantile(ratio[1:], tails, axis=0)
            if of[0] > 0
            else np.full_like(means[:2], np.nan)
        )
        whole = np.stack([ratio[0], *ends], axis=1)
        first, total = whole[2 : 2 + elements], whole[2 + elements :]
        return Indices(first, total, whole[0], whole[1])

    return shares(means[:, 0] + means[:, 1]), shares(means[:, 0])


def _cross(x: Runs, y: Runs) -> Float[np.ndarray, "row point"]:
    """Mean of products of runs with different keys."""
    runs = x.shape[2]
    products = x.sum(axis=2) * y.sum(axis=2) - (x * y).sum(axis=2)
    return products / (runs * (runs - 1))


def _weigh(
    one: Float[np.ndarray, "row point"], other: Float[np.ndarray, "row point"]
) -> Float[np.ndarray, "row point"]:
    """The weighted mean of two unbiased numbers that varies least over rows."""
    apart = one - other
    spread = apart - apart.mean(axis=0)
    square = (spread**2).sum(axis=0)
    shared = ((one - one.mean(axis=0)) * spread).sum(axis=0)
    weight = np.where(square > 0, shared / np.where(square > 0, square, 1.0), 0.0)
    return one - np.clip(weight, 0, 1) * apart
