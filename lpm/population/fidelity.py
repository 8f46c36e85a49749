"""What was never fitted: joint distributions against the survey, and copies of its records."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError

from .tables import require

_BEST = 1000.0
_OFTEN = (1, 10, 100, 1000)


def k_marginal(
    survey: pl.DataFrame,
    drawn: pl.DataFrame,
    variables: Sequence[str],
    k: int = 2,
    *,
    weight: str = "weight",
) -> pl.DataFrame:
    """Distance of every joint of `k` variables between drawn records and the weighted survey.

    Columns: `variables`, `cells` (that hold anyone), `distance` (sum of |density difference|, 0 to
    2), `score` 1000 (1 - distance / 2) and `noise`, the score that a simple random sample of the
    survey as large as its effective size would have: a score above it is as good as sampling
    allows. The mean of `score` is the k-marginal score. Variables are compared by value, so numbers
    such as income have to be in classes first; classes that were fitted show the fit, not fidelity.

    Args:
        survey: records with a column `weight`.
        drawn: drawn records; with a column `weight` if they have one, else each counts once.
        variables: columns of both.
        k: how many at a time.
        weight: name of the column of weights.

    Raises:
        DataError: a column is missing, there are fewer than `k` variables, or nobody counts.

    Source: NIST Technical Note 2151 (Ridgeway et al. 2021) and the SDNist report tool.
    """
    require(survey, "survey", [*variables, weight])
    _check_types(survey, drawn, variables)
    if not 1 <= k <= len(variables):
        raise DataError(f"joints of {k} need {k} variables or more; there are {len(variables)}")
    if weight not in drawn.columns:
        drawn = drawn.with_columns(pl.lit(1.0).alias(weight))
    for owner, frame in (("survey", survey), ("drawn", drawn)):
        if not frame[weight].sum() > 0:
            raise DataError(f"{owner} has no weight to compare; the {weight} adds up to nothing")
    w = survey[weight].cast(pl.Float64).to_numpy()
    size = float(w.sum() ** 2 / np.sum(w**2))
    rows = []
    for chosen in combinations(variables, k):
        wanted, found = _densities(survey, drawn, list(chosen), weight)
        distance = float(np.abs(wanted - found).sum())
        noise = float(_mean_deviation(wanted, round(size)).sum())
        rows.append(
            {
                "variables": " x ".join(chosen),
                "cells": len(wanted),
                "distance": distance,
                "score": _BEST * (1 - distance / 2),
                "noise": _BEST * (1 - noise / 2),
            }
        )
    return pl.DataFrame(rows)


def copies(counts: Int[np.ndarray, "zone record"], often: Sequence[int] = _OFTEN) -> pl.DataFrame:
    """How often source records appear among the drawn ones.

    Columns: `measure` and `value`. Synthesis by weights copies records whole, so no drawn household
    is new: what protects the people of the survey is what its publisher did to the file, and that
    a copy does not say where its source lives. One drawn once only is not hidden among its like.

    Args:
        counts: from `drawn_counts`, of households alone or of all records.
        often: numbers of copies to count the records above.

    Raises:
        DataError: nothing was drawn.
    """
    times = counts.sum(axis=0)
    drawn = int(times.sum())
    if drawn == 0:
        raise DataError("nobody was drawn; counts are all zero")
    used = times[times > 0]
    single = int((times == 1).sum())
    cells = counts[counts > 0]
    rows = {
        "drawn": drawn,
        "distinct source records": len(used),
        "share of source records used": len(used) / counts.shape[1],
        "share of drawn that are the only copy": single / drawn,
        "share of drawn that are the only copy in their zone": int((cells == 1).sum()) / drawn,
        "most copies of one record": int(used.max()),
        "mean copies": drawn / len(used),
    }
    rows |= {f"source records with more than {n} copies": int((times > n).sum()) for n in often}
    return pl.DataFrame({"measure": list(rows), "value": [float(v) for v in rows.values()]})


def nearest_records(
    survey: pl.DataFrame, drawn: pl.DataFrame, columns: Sequence[str]
) -> pl.DataFrame:
    """Share of drawn records whose `columns` equal those of no, one or several survey records.

    Columns: `matches` ("none", "one", "several"), `drawn` and `share`. "One" is what an attacker
    who knows these columns of a neighbour could look up. Equality is the only nearness counted.

    Raises:
        DataError: a column is missing, or a frame has no rows.
    """
    require(survey, "survey", columns)
    _check_types(survey, drawn, columns)
    if drawn.is_empty():
        raise DataError("nobody was drawn; drawn has no rows")
    known = survey.group_by(columns).agg(sources=pl.len())
    found = drawn.select(columns).join(known, on=list(columns), how="left", nulls_equal=True)
    sources = found["sources"].fill_null(0).to_numpy()
    tally = [int((sources == 0).sum()), int((sources == 1).sum()), int((sources > 1).sum())]
    return pl.DataFrame(
        {
            "matches": ["none", "one", "several"],
            "drawn": tally,
            "share": [n / len(sources) for n in tally],
        }
    )


def tell_copies(table: pl.DataFrame) -> str:
    """The table of `copies` as a note for readers."""
    of = dict(table.iter_rows())
    return (
        f"{of['drawn']:,.0f} records were drawn from {of['distinct source records']:,.0f} of the "
        f"survey ({of['share of source records used']:.0%}); each is a copy of its source. "
        f"{of['share of drawn that are the only copy']:.1%} are the only copy, and the most "
        f"frequent source was drawn {of['most copies of one record']:,.0f} times. What protects "
        "people is what the publisher did to the survey; a population adds nothing to that."
    )


def _check_types(survey: pl.DataFrame, drawn: pl.DataFrame, columns: Sequence[str]) -> None:
    """Insist on columns that can be equal; numbers of any width can."""
    require(drawn, "drawn", columns)
    for name in columns:
        mine, theirs = survey.schema[name], drawn.schema[name]
        if mine != theirs and not (mine.is_integer() and theirs.is_integer()):
            raise DataError(
                f"column {name!r} is {mine} in survey but {theirs} in drawn, so that nothing would "
                "be equal; cast one, or turn codes into their labels"
            )


def _densities(
    survey: pl.DataFrame, drawn: pl.DataFrame, chosen: list[str], weight: str
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"]]:
    """Shares of every combination that occurs in either, in the same order."""
    mine = survey.group_by(chosen).agg(wanted=pl.col(weight).sum())
    theirs = drawn.group_by(chosen).agg(found=pl.col(weight).sum())
    both = mine.join(theirs, on=chosen, how="full", coalesce=True, nulls_equal=True)
    wanted, found = (
        both[name].cast(pl.Float64).fill_null(0).to_numpy() for name in ("wanted", "found")
    )
    return wanted / wanted.sum(), found / found.sum()


def _mean_deviation(share: Float[np.ndarray, " cell"], size: int) -> Float[np.ndarray, " cell"]:
    """Mean of |found - share| in a simple random sample; exact, after De Moivre (1730).

    2 v C(n, v) p^v (1 - p)^(n - v + 1) / n, v the first whole number above n p.
    """
    inside = (share > 0) & (share < 1)
    p = np.where(inside, share, 0.5)
    v = np.floor(size * p) + 1
    factorial = np.vectorize(math.lgamma, otypes=[float])
    ways = factorial(size + 1.0) - factorial(v + 1) - factorial(np.maximum(size - v, 0) + 1)
    log = ways + v * np.log(p) + (size - v + 1) * np.log1p(-p)
    return np.where(inside, 2 * v * np.exp(log) / size, 0.0)
