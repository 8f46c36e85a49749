"""How near weights or a drawn population come to the totals they had to meet.

T is a published total, E what was reached. Tables of cells and of measures over any group of them;
the same for fractional weights and for whole households.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError, unknown

from .population import Population
from .tables import require
from .weighting import Fitted, Level, Problem, reached_totals

INSIDE = 1.645  # Standard errors that hold nine of ten normal deviations.
_CELLS = ("target", "error", "reached", "difference", "z", "base")


def fit_cells(fitted: Fitted, families: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Every total of a fit beside what its weights reach; see `compare_totals`."""
    return compare_totals(fitted.problem, fitted.weights, families)


def compare_totals(
    problem: Problem,
    weights: Float[np.ndarray, "zone record"] | Int[np.ndarray, "zone record"],
    families: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Every total of a problem beside what weights, or numbers of drawn records, add up to.

    Columns: `level`, `zone`, `family` and `control`; `target` (T), `error` (its standard error, 0
    where exact) and `reached` (E); `difference` E - T; `z`, the difference in standard errors,
    null where the total is exact; `base`, the sum of the family's targets in the zone; and
    `z_share`, the difference of the cell's shares of its family over the standard error of a share
    in a simple random sample of as many as the family has, null for families of one control and
    cells of share 0 or 1. Source of `z_share`: Voas & Williamson (2001), Geographical and
    Environmental Modelling 5(2).

    Args:
        problem: what was to be met.
        weights: of each record in each zone of the finest level.
        families: the table each control belongs to, where it is not the first word of its name.

    Raises:
        DataError: weights of other zones or records.
    """
    shape = (len(problem.zones), len(problem.prior))
    if weights.shape != shape:
        raise DataError(
            f"weights have shape {list(weights.shape)}, but the problem has {shape[0]} zones and "
            f"{shape[1]} records"
        )
    parts = [_level_cells(level, weights, families or {}) for level in problem.levels]
    cells = pl.concat(parts).with_columns(difference=pl.col("reached") - pl.col("target"))
    family = ["level", "zone", "family"]
    base, found = pl.col("target").sum().over(family), pl.col("reached").sum().over(family)
    wanted, got = pl.col("target") / pl.col("base"), pl.col("reached") / pl.col("found")
    noise = (wanted * (1 - wanted) / pl.col("base")).sqrt()
    several = pl.len().over(family) > 1
    between = (wanted > 0) & (wanted < 1)
    return cells.with_columns(
        z=pl.when(pl.col("error") > 0).then(pl.col("difference") / pl.col("error")),
        base=base,
        found=found,
    ).select(
        *family,
        "control",
        *_CELLS,
        z_share=pl.when(several & between & (pl.col("found") > 0)).then((got - wanted) / noise),
    )


def accuracy(cells: pl.DataFrame, by: Sequence[str] = ("level", "family")) -> pl.DataFrame:
    """Measures of fit over groups of the cells of `compare_totals`.

    Columns: those of `by`; `cells`; `total` sum T; `tae` sum |E - T|, the total absolute error;
    `tae_share` tae / total; `sae` tae over the units of the tables that the cells belong to (the
    same as `tae_share` for whole families, smaller for one control of several); `srmse`
    sqrt(mean (E - T)^2) / mean T; `largest`, the greatest |E - T| / T where T is not zero;
    `inside`, the share of cells with |z| < 1.645, about 0.9 for a population that is within the
    noise of its targets, null where all are exact; `z_largest`; `chi_square` sum (E - T)^2 / T over
    cells where T > 0, for cells of 5 and more; and `freeman_tukey` 4 sum (sqrt E - sqrt T)^2, which
    small and empty cells do not upset. The last two are null where a total or sum is negative; what
    others are divided by is then taken without its sign.

    Source: Voas & Williamson (2001) for tae, sae, z; Knudsen & Fotheringham (1986),
    International Regional Science Review 10, for srmse; Freeman & Tukey (1950) for the last.

    Raises:
        DataError: a column of `by` or of the cells is not there.

    Example:
        >>> from .weighting.problem import Level, Problem
        >>> one = Level("town", ("A",), ("homes all",), np.ones((2, 1)), np.full((1, 1), 8.0),
        ...             np.zeros((1, 1)), np.zeros(1, int))
        >>> cells = compare_totals(Problem(np.ones(2), (one,)), np.full((1, 2), 5.0))
        >>> accuracy(cells)["tae_share"].item()
        0.25
    """
    require(cells, "cells", ["level", "zone", "family", *_CELLS, *by])
    gap, target, reached = pl.col("difference").abs(), pl.col("target"), pl.col("reached")
    noisy = pl.col("z").is_not_null()
    counted = (target >= 0).all() & (reached >= 0).all()
    parts = pl.len().over([*by, "level", "zone", "family"])
    return (
        cells.with_columns(part=pl.col("base") / parts)
        .group_by(by, maintain_order=True)
        .agg(
            cells=pl.len(),
            total=target.sum(),
            tae=gap.sum(),
            tae_share=_over(gap.sum(), target.sum().abs()),
            sae=_over(gap.sum(), pl.col("part").sum().abs()),
            srmse=_over((gap**2).mean().sqrt(), target.mean().abs()),
            largest=(gap / target.abs()).filter(target != 0).max(),
            inside=(pl.col("z").abs() < INSIDE).filter(noisy).mean(),
            z_largest=pl.col("z").abs().max(),
            chi_square=pl.when(counted).then((gap**2 / target).filter(target > 0).sum()),
            freeman_tukey=pl.when(counted).then(4 * ((_root(reached) - _root(target)) ** 2).sum()),
        )
    )


def drawn_counts(
    population: Population,
    problem: Problem,
    *,
    records: Int[np.ndarray, " record"] | None = None,
    record: str = "record",
    zone: str = "zone_id",
) -> Int[np.ndarray, "zone record"]:
    """How often each record of a problem was drawn into each of its zones.

    A household counts once, by its first person; people with `household_id` -1 each count. Goes
    where weights go: `compare_totals(problem, drawn_counts(population, problem))`.

    Args:
        population: drawn people, with `household_id`.
        problem: what they were drawn for.
        records: what the column `record` calls each record of the problem; 0, 1, ... if not given.
        record: column with the record a person came from.
        zone: column with the zone of the finest level: with labels the zone's name, and people of
            no zone or of one that is not in the problem are passed over; without, its number.

    Raises:
        DataError: a column is missing, or a record or zone is not one of the problem.
    """
    missing = [name for name in (record, zone, "household_id") if name not in population]
    if missing:
        raise DataError(unknown("population", "column", missing, population.columns))
    of, home = population.host(record), population.host("household_id")
    where = population.host(zone)
    if zone in population.labels:
        known = {name: i for i, name in enumerate(problem.zones)}
        number = np.array([known.get(name, -1) for name in population.labels[zone]])
        where = np.where(where >= 0, number[where], -1)
    elif where.min() < 0 or where.max() >= len(problem.zones):
        raise DataError(
            f"{zone} runs from {where.min()} to {where.max()}; the problem has "
            f"{len(problem.zones)} zones, numbered from 0"
        )
    order = np.argsort(home, kind="stable")
    first = np.concatenate([[True], home[order][1:] != home[order][:-1]])
    rows = order[(first | (home[order] < 0)) & (where[order] >= 0)]
    size = len(problem.prior)
    found = _positions(of[rows], np.arange(size) if records is None else records, record)
    flat = where[rows].astype(np.int64) * size + found
    return np.bincount(flat, minlength=len(problem.zones) * size).reshape(-1, size)


def _positions(
    found: Int[np.ndarray, " drawn"], records: Int[np.ndarray, " record"], name: str
) -> Int[np.ndarray, " drawn"]:
    """Which of `records` each one found is."""
    order = np.argsort(records, kind="stable")
    place = np.minimum(np.searchsorted(records[order], found), len(records) - 1)
    wrong = records[order][place] != found
    if wrong.any():
        raise DataError(
            f"{name} = {found[wrong][0]} is none of the problem's {len(records)} records; name "
            "them with records="
        )
    return order[place]


def _level_cells(
    level: Level,
    weights: Float[np.ndarray, "finest record"] | Int[np.ndarray, "finest record"],
    families: Mapping[str, str],
) -> pl.DataFrame:
    zones, controls = level.target.shape
    reached = reached_totals(level, weights.astype(np.float64))
    names = [families.get(name, name.split(maxsplit=1)[0]) for name in level.controls]
    return pl.DataFrame(
        {
            "level": level.name,
            "zone": np.repeat(np.array(level.zones, object), controls).tolist(),
            "family": names * zones,
            "control": list(level.controls) * zones,
            "target": level.target.ravel(),
            "error": level.error.ravel(),
            "reached": reached.ravel(),
        }
    )


def _over(upper: pl.Expr, lower: pl.Expr) -> pl.Expr:
    return pl.when(lower != 0).then(upper / lower)


def _root(column: pl.Expr) -> pl.Expr:
    """Square root; below zero the measure is null anyway."""
    return pl.when(column >= 0).then(column).otherwise(0.0).sqrt()
