"""Which exact totals can be met at all: linear programs, and the proof when they cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linprog, nnls
from scipy.sparse import csr_array, diags_array, hstack, vstack

# Of the sum of the totals; the solver itself works to a hundredth of it.
TOLERANCE = 1e-8
# A miss below this share of a total is rounding of the least squares.
VISIBLE = 1e-6
_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@dataclass(frozen=True)
class Nearest:
    """The reachable totals nearest to some wanted ones.

    Attributes:
        reached: equal to the wanted totals where they can be met.
        missed: which totals are not met.
        support: which columns may be positive when `reached` is met; the others are zero in
            every answer.
        proven: whether a Farkas direction proves that the wanted totals cannot be met.
    """

    reached: Float[np.ndarray, " total"]
    missed: Bool[np.ndarray, " total"]
    support: Bool[np.ndarray, " column"]
    proven: bool


class _Program(NamedTuple):
    """Answer of a linear program: variables, prices of the equations, value."""

    values: Float[np.ndarray, " variable"]
    prices: Float[np.ndarray, " total"]
    value: float


def nearest_in_zone(
    columns: Float[np.ndarray, "kind total"],
    wanted: Float[np.ndarray, " total"],
    size: float | None,
) -> Nearest:
    """Totals nearest in chi-square, sum of miss**2 / (total + 1), which makes them unique.

    The number of records is kept at `size` if that is stated.
    """
    unit = max(float(np.abs(wanted).sum()), 1e-300)
    matrix = csr_array(columns.T)
    program = _closest(matrix, wanted / unit, np.ones(len(wanted), dtype=bool))
    if program.value <= TOLERANCE:
        missed = np.zeros(len(wanted), dtype=bool)
        return Nearest(wanted, missed, _support(matrix, wanted / unit), proven=False)
    scale = 1 / np.sqrt(np.abs(wanted) + 1)
    rows, right = columns.T * scale[:, None], wanted * scale
    if size is not None:
        # Heavy enough to be kept to eight digits, light enough for float64.
        rows = np.concatenate([rows, np.full((1, len(columns)), 1e4 * scale.max())])
        right = np.append(right, 1e4 * scale.max() * size)
    weights, _ = nnls(rows, right)
    reached = weights @ columns
    missed = np.abs(reached - wanted) > VISIBLE * (np.abs(wanted) + 1)
    proven = is_proof(matrix, wanted / unit, program.prices)
    return Nearest(reached, missed, _support(matrix, reached / unit), proven)


def nearest_beside(
    matrix: csr_array, wanted: Float[np.ndarray, " total"], elastic: Bool[np.ndarray, " total"]
) -> Nearest:
    """Totals with the least sum of misses, all of them among the elastic ones.

    The least sum is unique, but not always which totals share it.
    """
    unit = max(float(np.abs(wanted).sum()), 1e-300)
    aim = wanted / unit
    program = _closest(matrix, aim, elastic)
    reached = np.asarray(matrix @ np.maximum(program.values[: _shape(matrix)[1]], 0.0))
    missed = (np.abs(reached - aim) > TOLERANCE / 10) & (program.value > TOLERANCE)
    proven = bool(missed.any()) and is_proof(matrix, aim, program.prices)
    reached = np.where(missed, reached, aim)
    found = np.where(missed, reached * unit, wanted)
    return Nearest(found, missed, _support(matrix, reached), proven)


def is_proof(
    matrix: csr_array, wanted: Float[np.ndarray, " total"], prices: Float[np.ndarray, " total"]
) -> bool:
    """Whether no column adds to the combination `prices` of totals, though the wanted ones do.

    That is Farkas' lemma: no weights of zero or more give the wanted totals. In floating point
    it excludes all weights whose sum is less than a million times that of the totals.
    """
    worth = float(prices @ wanted)
    return worth > 0 and float(np.max(prices @ matrix, initial=0.0)) <= 1e-6 * worth


def _closest(
    matrix: csr_array, aim: Float[np.ndarray, " total"], elastic: Bool[np.ndarray, " total"]
) -> _Program:
    """Weights with the least sum of misses; the prices of the totals are its marginals."""
    slack = csr_array(diags_array(elastic.astype(float)))
    cost = np.concatenate([np.zeros(_shape(matrix)[1]), np.ones(2 * len(aim))])
    stacked = csr_array(hstack([matrix, slack, -slack]))
    return _program(cost, stacked, aim, (0.0, None))


def _support(
    matrix: csr_array, reached: Float[np.ndarray, " total"]
) -> Bool[np.ndarray, " column"]:
    """Columns that are positive in some weights with these totals.

    Weights are s + r with s at most 1 and the totals any multiple of `reached`, at least once;
    the largest sum of s then has s = 1 for every column that can be positive.
    """
    num = _shape(matrix)[1]
    cost = np.concatenate([-np.ones(num), np.zeros(num + 1)])
    rows = csr_array(hstack([matrix, matrix, csr_array(-reached[:, None])]))
    bounds = [(0.0, 1.0)] * num + [(0.0, None)] * num + [(1.0, None)]
    return _program(cost, rows, np.zeros(len(reached)), bounds).values[:num] > 1e-6


def _shape(matrix: csr_array) -> tuple[int, int]:
    rows, columns = matrix.shape  # pyright: ignore[reportGeneralTypeIssues]  # stubs allow None
    return rows, columns


def _program(
    cost: Float[np.ndarray, " variable"],
    rows: csr_array,
    right: Float[np.ndarray, " total"],
    bounds: Sequence[tuple[float, float | None]] | tuple[float, float | None],
) -> _Program:
    found = linprog(cost, A_eq=rows, b_eq=right, bounds=bounds, options=_OPTIONS)
    if found.x is None:
        every = np.ones(len(cost))
        return _Program(every, np.zeros(len(right)), 0.0)
    return _Program(found.x, found.eqlin.marginals, float(found.fun))


def stack_blocks(parts: list[csr_array], across: list[csr_array]) -> csr_array:
    """Each part's rows for itself, above rows that all parts share."""
    count = sum(_shape(part)[1] for part in parts)
    rows, before = [], 0
    for part in parts:
        height, width = _shape(part)
        left = csr_array((height, before))
        right = csr_array((height, count - before - width))
        rows.append(hstack([left, part, right], format="csr"))
        before += width
    return csr_array(vstack([*rows, hstack(across, format="csr")], format="csr"))
