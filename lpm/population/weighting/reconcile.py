"""Exact totals that contradict each other by rounding, made to agree."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from .problem import Level, Problem

# Cells that were each rounded to a whole number are off by at most one; beyond that, and beyond
# this share of the total, two tables do not differ by rounding.
SHARE = 0.005

SCHEMA = {
    "level": pl.String,
    "zone": pl.String,
    "control": pl.String,
    "published": pl.Float64,
    "used": pl.Float64,
}


@dataclass(frozen=True)
class Table:
    """Controls of one level, after the finer levels' totals for the same zones, which are held.

    Attributes:
        incidence: columns of the finer levels, then the level's own.
        target: totals, those of the finer levels added up.
        exact: which of them have no error.
        held: number of columns of the finer levels.
    """

    incidence: Float[np.ndarray, "kind column"]
    target: Float[np.ndarray, "zone column"]
    exact: Bool[np.ndarray, "zone column"]
    held: int


@dataclass(frozen=True)
class Equations:
    """Linear equations that hold between columns for every record, and so between totals.

    Attributes:
        factors: one column of factors for each equation.
        rank: who gives way: 0 first, 1 the first table of its universe, 2 a stated total,
            3 never.
    """

    factors: Float[np.ndarray, "column equation"]
    rank: Int[np.ndarray, " column"]


def reconcile_margins(problem: Problem) -> tuple[Problem, pl.DataFrame]:
    """The problem with exact totals that agree, and the totals that were changed.

    If the controls of some tables add up alike for every record, their totals must too. Where
    they do not, by no more than one per cell or half a percent, tables are scaled to the stated
    total, to the first table where none is stated, and to the finer level where there is one.
    Zones that disagree by more are left as they are: their totals are infeasible, and are named
    so by the fit. Totals with an error are estimates, which need not agree.
    """
    levels: list[Level] = []
    changes = []
    for level in problem.levels:
        table = _stack(levels, level)
        used = _reconcile(table)[:, table.held :]
        changes.append(_changes(level, used))
        levels.append(replace(level, target=used))
    return replace(problem, levels=tuple(levels)), pl.concat(changes)


def _stack(finer: list[Level], level: Level) -> Table:
    columns, targets, exact = [], [], []
    for fine in finer:
        parent = np.zeros(len(fine.zones), dtype=np.int64)
        parent[fine.zone_of] = level.zone_of
        added = np.zeros((len(level.zones), len(fine.controls)))
        np.add.at(added, parent, fine.target)
        errors = np.zeros_like(added)
        np.add.at(errors, parent, fine.error)
        columns.append(fine.incidence)
        targets.append(added)
        exact.append(errors == 0)
    stacked = np.concatenate([*columns, level.incidence], axis=1)
    return Table(
        incidence=np.unique(stacked, axis=0),
        target=np.concatenate([*targets, level.target], axis=1),
        exact=np.concatenate([*exact, level.error == 0], axis=1),
        held=stacked.shape[1] - len(level.controls),
    )


def _reconcile(table: Table) -> Float[np.ndarray, "zone column"]:
    used = table.target.copy()
    patterns, pattern_of = np.unique(table.exact, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        chosen = np.flatnonzero(pattern)
        equations = _equations(table.incidence[:, chosen], int((chosen < table.held).sum()))
        if equations.factors.shape[1]:
            for zone in np.flatnonzero(pattern_of.ravel() == number):
                used[zone, chosen] = _agree(table.target[zone, chosen], equations)
    return used


def _equations(incidence: Float[np.ndarray, "kind column"], held: int) -> Equations:
    """Each column that earlier ones determine gives one equation."""
    rank = np.zeros(incidence.shape[1], dtype=np.int64)
    found = list(dependencies(incidence))
    for factors in found:
        later, earlier = np.flatnonzero(factors > 0), np.flatnonzero(factors < 0)
        if len(later) == 1 and len(earlier) > 1:
            rank[later] = 2
        elif len(earlier) == 1 and len(later) > 1:
            rank[earlier] = 2
        else:
            rank[earlier] = np.maximum(rank[earlier], 1)
    rank[:held] = 3
    return Equations(np.array(found).reshape(len(found), len(rank)).T, rank)


def dependencies(
    incidence: Float[np.ndarray, "kind column"],
) -> Iterator[Float[np.ndarray, " column"]]:
    """Factors of each equation that holds between the columns for every record."""
    basis: list[int] = []
    triangle = np.asarray(np.linalg.qr(incidence, mode="r"))
    size = np.maximum(np.linalg.norm(triangle, axis=0), 1e-300)
    for column in range(incidence.shape[1]):
        if not incidence[:, column].any():
            continue
        factors, *_ = np.linalg.lstsq(
            triangle[:, basis] / size[basis], triangle[:, column], rcond=None
        )
        rest = triangle[:, column] - (triangle[:, basis] / size[basis]) @ factors
        if np.linalg.norm(rest) > 1e-9 * size[column]:
            basis.append(column)
            continue
        equation = np.zeros(incidence.shape[1])
        equation[basis] = np.where(
            np.abs(factors) > 1e-7 * size[column], -factors / size[basis], 0.0
        )
        equation[column] = 1.0
        yield equation


def _agree(
    target: Float[np.ndarray, " column"], equations: Equations
) -> Float[np.ndarray, " column"]:
    """The totals moved as little as the ranks allow, in proportion to what they are."""
    factors = equations.factors
    off = factors.T @ target
    sizes = np.abs(factors).T @ np.abs(target) / 2
    cells = np.abs(factors).sum(axis=0)
    small = np.abs(off) <= np.maximum(cells, SHARE * sizes)
    if not (small & (np.abs(off) > 1e-9 * np.maximum(sizes, 1))).any():
        return target
    factors = factors[:, small]
    for rank in range(3):
        mobile = np.where(equations.rank <= rank, np.abs(target), 0.0)
        matrix = factors.T @ (mobile[:, None] * factors)
        moved = target - mobile * (
            factors @ (np.linalg.pinv(matrix, hermitian=True) @ (factors.T @ target))
        )
        left = np.abs(factors.T @ moved)
        if (left <= 1e-9 * np.maximum(sizes[small], 1)).all() and (moved * target >= 0).all():
            return moved
    return target


def _changes(level: Level, used: Float[np.ndarray, "zone control"]) -> pl.DataFrame:
    changed = np.argwhere(np.abs(used - level.target) > 1e-9 * np.maximum(np.abs(used), 1))
    rows = [
        (
            level.name,
            level.zones[zone],
            level.controls[control],
            float(level.target[zone, control]),
            float(used[zone, control]),
        )
        for zone, control in changed
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
