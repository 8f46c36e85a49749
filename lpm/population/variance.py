"""Sampling errors of what a survey says, from its replicate weights.

A replicate weight is the weight a record would have had in another draw of the survey; the spread
of a number over the replicates is its sampling variance. It holds no error of measurement and none
of a model.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import DataError, listing

from .statistics import Statistic
from .tables import require

PER_MARGIN = 1.645  # A 90% margin of error, as the American Community Survey prints, in errors.
_FAR = 5  # Spreads of the replicates' totals that their mean may lie from the total.
_FAR_SHARE = 0.02  # And the share of it below which rounding of weights may be the reason.


def successive_differences(replicates: int) -> float:
    """Factor of the American Community Survey and the Current Population Survey: 4 / replicates.

    Source: Fay & Train (1995), "Aspects of survey and model-based postcensal estimation"; U.S.
    Census Bureau, "PUMS accuracy of the data", which has 4/80 for its 80 replicates.
    """
    return 4 / _positive(replicates)


def jackknife(replicates: int) -> float:
    """Factor of the delete-one-group jackknife without strata: (replicates - 1) / replicates.

    Source: Wolter (2007), Introduction to variance estimation, ch. 4.
    """
    return (_positive(replicates) - 1) / replicates


def balanced(replicates: int, fay: float = 0.0) -> float:
    """Factor of balanced repeated replication, 1 / (replicates (1 - fay)^2).

    `fay` in [0, 1) is how much weight the lighter half keeps. Source: Judkins (1990).

    Raises:
        DataError: `fay` outside [0, 1).
    """
    if not 0 <= fay < 1:
        raise DataError(f"fay is {fay}; the share a half sample keeps lies in [0, 1)")
    return 1 / (_positive(replicates) * (1 - fay) ** 2)


def bootstrap(replicates: int) -> float:
    """Factor of rescaled bootstrap weights around the full sample: 1 / replicates.

    Source: Rao, Wu & Yue (1992).
    """
    return 1 / _positive(replicates)


def standard_error(
    estimate: Float[np.ndarray, "*shape"] | float,
    replicates: Float[np.ndarray, "*shape replicate"],
    factor: float | None = None,
) -> Float[np.ndarray, "*shape"]:
    """Standard error: the root of factor x sum over replicates of (theta_r - theta)^2.

    Deviations are from the full sample's estimate, not from the mean of the replicates. The
    estimate may be any smooth function of the weights; a quantile of lumpy values is less smooth
    than its replicates suggest.

    Args:
        estimate: theta, from the full weights.
        replicates: theta_r, the same from each replicate's weights.
        factor: of the survey's method; successive differences if not given.
    """
    if factor is None:
        factor = successive_differences(replicates.shape[-1])
    apart = replicates - np.asarray(estimate, np.float64)[..., None]
    return np.asarray(np.sqrt(factor * np.sum(apart**2, axis=-1)))


def standard_errors(
    records: pl.DataFrame,
    statistics: Mapping[str, Statistic],
    *,
    by: Sequence[str] = (),
    weight: str = "weight",
    replicates: str = "replicates",
    factor: float | None = None,
) -> pl.DataFrame:
    """Estimates with their sampling errors, overall or by group; one row per group and statistic.

    Columns: those of `by`, `statistic`, `records`, `estimate`, `standard_error`, `margin` (90%,
    1.645 errors). An error is not a number where a replicate gives none, as when a group has no
    weight in one.

    Args:
        records: such as the households of a `Sample`.
        statistics: by name, such as {"homes": total(), "income": quantile("income", 0.5)}.
        by: columns whose combinations are the groups; one group if not given.
        weight: column of full weights.
        replicates: array column of replicate weights.
        factor: of the survey's method; successive differences if not given.

    Raises:
        DataError: a column is missing or not what it should be, or the replicates belong to other
            weights.

    Example:
        >>> replicates = [[9.0, 11.0], [21.0, 19.0]]
        >>> homes = pl.DataFrame({"weight": [10.0, 20.0], "replicates": replicates})
        >>> from .statistics import total
        >>> standard_errors(homes, {"homes": total()})["standard_error"].item()
        0.0
    """
    require(records, "records", [*by])
    weights = read_weights(records, weight, replicates)
    _check_totals(weights)
    groups: list[tuple[tuple, pl.DataFrame, np.ndarray]] = [((), records, weights)]
    if by:
        rows = records.select(*by).with_row_index("row").group_by(by, maintain_order=True)
        groups = [
            (name, records[found["row"]], weights[found["row"].to_numpy()]) for name, found in rows
        ]
    table = []
    for name, found, group in groups:
        for what, statistic in statistics.items():
            theta = statistic.compute(found, group)
            error = float(standard_error(theta[0], theta[1:], factor))
            labels = dict(zip(by, name, strict=True))
            numbers = {"estimate": float(theta[0]), "standard_error": error}
            counted = {"statistic": what, "records": found.height, **numbers}
            table.append(labels | counted | {"margin": PER_MARGIN * error})
    return pl.DataFrame(table, schema_overrides={name: records.schema[name] for name in by})


def read_weights(
    records: pl.DataFrame, weight: str = "weight", replicates: str = "replicates"
) -> Float[np.ndarray, "record column"]:
    """Weights of each record: the full one first, then its replicates.

    Raises:
        DataError: a column is missing, empty or ragged.
    """
    require(records, "records", [weight, replicates])
    dtype = records.schema[replicates]
    if not isinstance(dtype, pl.Array | pl.List):
        raise DataError(f"column {replicates!r} is {dtype}; give an array of weights per record")
    if isinstance(dtype, pl.List):
        widths = records[replicates].list.len().unique().to_list()
        if len(widths) != 1 or not widths[0]:
            raise DataError(
                f"column {replicates!r} has {listing(map(str, widths))} weights; give equally many"
            )
        records = records.with_columns(pl.col(replicates).list.to_array(widths[0]))
    full = records[weight].cast(pl.Float64).to_numpy()
    spread = np.asarray(records[replicates].to_numpy(), np.float64)
    found = np.column_stack([full, spread])
    missing = ~np.isfinite(found).all(axis=1)
    if missing.any():
        raise DataError(f"row {int(missing.argmax())} has a weight that is missing or not finite")
    return found


def compare_margins(
    errors: pl.DataFrame, published: pl.DataFrame, on: Sequence[str], margin: str = "margin"
) -> pl.DataFrame:
    """Our standard errors beside published 90% margins of error over 1.645, and their ratio.

    Two reasons why the ratio is not 1. A file of one year has a fifth of the interviews of five
    years, so its errors are sqrt(5) = 2.2 times as large (`expected_ratio`). And a public file is
    drawn from the survey's interviews (about two thirds of them, each year), while tables use them
    all: another sqrt(3/2) = 1.2. Totals that the survey weights to known numbers of people, such as
    age and sex of a county, have margins near zero or none: those rows are left out.

    Args:
        errors: what `standard_errors` gave.
        published: the columns of `on` and `margin`, the half-width of a 90% interval.
        on: columns that name a row in both.
        margin: column of `published`.

    Raises:
        DataError: a column is missing, or no row is in both.
    """
    require(errors, "errors", [*on, "standard_error"])
    require(published, "published", [*on, margin])
    theirs = published.select(*on, published_error=pl.col(margin) / PER_MARGIN)
    both = errors.join(theirs, on=list(on), how="inner", maintain_order="left")
    if both.is_empty():
        raise DataError(f"no row of errors has the {listing(on)} of a published margin")
    both = both.filter(pl.col("published_error") > 0)
    return both.with_columns(ratio=pl.col("standard_error") / pl.col("published_error"))


def expected_ratio(years: int, published_years: int) -> float:
    """How much larger errors of `years` of interviews are than those of `published_years`."""
    return math.sqrt(published_years / years)


def _positive(replicates: int) -> int:
    if replicates < 2:
        raise DataError(f"{replicates} replicates have no spread; give two or more")
    return replicates


def _check_totals(weights: Float[np.ndarray, "record column"]) -> None:
    """Replicates scatter around the full weights; where they do not, they belong to others."""
    total = weights.sum(axis=0)
    centre, spread = total[1:].mean(), total[1:].std()
    gap = abs(centre - total[0])
    if gap > _FAR * spread and gap > _FAR_SHARE * abs(total[0]):
        raise DataError(
            f"the replicate weights add up to {centre:,.0f} on average, but the weights to "
            f"{total[0]:,.0f}; where records stand twice with half the weight, read the file with "
            "duplicates='merge'"
        )
