"""Replicate weights of a survey, gathered into one column."""

import re
from collections.abc import Mapping

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import DataError, listing

from ..variance import balanced, bootstrap, jackknife, successive_differences

NUM_REPLICATES = 80


def replicate_names(weight: str, count: int = NUM_REPLICATES) -> list[str]:
    """Names of the replicates of a weight."""
    return [f"{weight}{i}" for i in range(1, count + 1)]


def gather(titles: Mapping[str, str], weight: str, owner: str) -> pl.Expr | None:
    """`replicates`: one array column of a weight's replicates; None where the file has none.

    Raises:
        DataError: some are missing.
    """
    sources = {name: source for source, name in titles.items()}
    names = replicate_names(weight)
    found = [name for name in names if name in sources]
    if not found:
        return None
    if len(found) < len(names):
        lost = [name for name in names if name not in sources]
        raise DataError(
            f"{owner} has {len(found)} of the {len(names)} replicates of {weight}; "
            f"it has no column {listing(lost, 4)}"
        )
    return pl.concat_arr([pl.col(sources[n]).cast(pl.Float64) for n in names]).alias("replicates")


def matching(columns: list[str], pattern: str) -> list[str]:
    """Columns of a pattern with `{}` for the number of the replicate, in order of the number."""
    head, _, tail = pattern.partition("{}")
    form = re.compile(re.escape(head) + r"(\d+)" + re.escape(tail))
    numbered = [(int(hit[1]), name) for name in columns if (hit := form.fullmatch(name))]
    return [name for _, name in sorted(numbered)]


def standardise(
    weight: Float[np.ndarray, " record"],
    replicates: Float[np.ndarray, "record replicate"],
    factor: float,
) -> Float[np.ndarray, "record replicate"]:
    """Replicates moved so that successive differences give the errors of another method.

    So a sample says nothing of the method, and all errors have one formula. Exact for totals, and
    to first order for what is smooth in them.

    Args:
        factor: what the method multiplies the sum of squared deviations by.
    """
    ratio = np.sqrt(factor / successive_differences(replicates.shape[1]))
    return weight[:, None] + ratio * (replicates - weight[:, None])


def variance_factor(method: str, count: int, fay: float | int = 0.0) -> float:
    """Factor of a method by its name in a schema.

    Raises:
        DataError: another method.
    """
    factors = {
        "successive differences": lambda: successive_differences(count),
        "bootstrap": lambda: bootstrap(count),
        "jackknife": lambda: jackknife(count),
        "balanced": lambda: balanced(count, fay),
    }
    if method not in factors:
        raise DataError(f"replicate method {method!r} is unknown; it is one of {listing(factors)}")
    return factors[method]()
