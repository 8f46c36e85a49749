"""Whole numbers of households and people from fractional weights."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from lpm.errors import DataError

from .seeds import Generator

# A sum of weights this near a whole number is that number: fits end at a tolerance.
_WHOLE = 1e-2


@final
@dataclass(frozen=True)
class Counts:
    """How often each record is drawn in each zone; what is drawn nowhere is left out.

    Attributes:
        zone: number of the zone.
        record: number of the record.
        count: how often, at least 1.
        num_zones: how many zones there are.
    """

    zone: Int[np.ndarray, " entry"]
    record: Int[np.ndarray, " entry"]
    count: Int[np.ndarray, " entry"]
    num_zones: int

    @property
    def total(self) -> int:
        """How many are drawn in all."""
        return int(self.count.sum())


@final
@dataclass(frozen=True)
class Entries:
    """The weights that are not zero, by zone, and the *cell* each belongs to.

    A cell is one kind of record in one zone, such as the households of a tract: the unit whose
    total has to be a whole number.
    """

    zone: Int[np.ndarray, " entry"]
    record: Int[np.ndarray, " entry"]
    weight: Float[np.ndarray, " entry"]
    cell: Int[np.ndarray, " entry"]
    num_cells: int


def truncate_replicate_sample(
    weights: Float[np.ndarray, "zone record"],
    kind_of: Int[np.ndarray, " given"],
    rng: Generator,
) -> Counts:
    """Whole numbers: the whole part of each weight, and remainders drawn without bias.

    The remainders of a zone's records of one kind are drawn systematically in random order, with
    chances equal to the remainders: a count is the weight rounded up or down, its expectation is
    the weight, and the total of each kind is exact in every zone where the weights' sum is whole
    (within 0.01, and above 0); elsewhere it is rounded up or down, carrying what is left from zone
    to zone.

    Args:
        weights: of each record in each zone; never negative.
        kind_of: kind of each record, 0 for households and 1 for people in quarters, say.
        rng: where chance comes from.

    Raises:
        DataError: a weight is negative or not finite, or kinds do not fit the records.

    Source: Lovelace & Ballas (2013), Computers, Environment and Urban Systems 41; systematic
    draws in random order after Madow (1949) in place of their sequential ones, which have bias.
    """
    found = nonzero_entries(weights, kind_of)
    whole = np.floor(found.weight + 1e-9)
    rest = np.maximum(found.weight - whole, 0)
    order = rng.permutation(len(rest))
    order = order[np.argsort(found.cell[order], kind="stable")]
    counts = whole.astype(np.int64)
    total = rest_totals(found, whole, rest)
    begin = _starts(total, float(rng.random()))
    counts[order] += _systematic(rest[order], found.cell[order], total, begin)
    return drawn(found, counts, len(weights))


def draw_replicates(
    weights: Float[np.ndarray, "zone record"],
    kind_of: Int[np.ndarray, " given"],
    replicates: int,
    rng: Generator,
) -> tuple[Counts, ...]:
    """Several sets of whole numbers that together come as near the weights as they can.

    Systematic draws in the order of the records, whose starting points divide the unit evenly: the
    mean count of a record over R sets is within 1/R of its weight, and each set meets the totals as
    `truncate_replicate_sample` does. Zones with whole totals draw independently of each other. Sets
    are not independent; differences between them understate those between fresh draws. Records that
    are alike should stand next to each other.

    Raises:
        DataError: fewer than one set, or weights as in `truncate_replicate_sample`.
    """
    if replicates < 1:
        raise DataError(f"{replicates} replicate populations were asked for; give 1 or more")
    found = nonzero_entries(weights, kind_of)
    order = np.argsort(found.cell, kind="stable")
    total = rest_totals(found, np.zeros(len(order)), found.weight)
    # Cells of whole totals begin anywhere: beginning alike, zones that are alike draw the same.
    own = np.where(total == np.floor(total), rng.random(found.num_cells), 0.0)
    begin = _starts(total, float(rng.random())) + own
    sets = []
    for replicate in range(replicates):
        counts = np.zeros(len(order), np.int64)
        start = (begin + replicate / replicates) % 1.0
        counts[order] = _systematic(found.weight[order], found.cell[order], total, start)
        sets.append(drawn(found, counts, len(weights)))
    return tuple(sets)


def nonzero_entries(
    weights: Float[np.ndarray, "zone record"], kind_of: Int[np.ndarray, " given"]
) -> Entries:
    """The weights above zero, checked.

    Raises:
        DataError: see `truncate_replicate_sample`.
    """
    zones, records = weights.shape
    if kind_of.shape != (records,) or (records and kind_of.min() < 0):
        raise DataError(
            f"kind_of needs one kind of 0 or more for each of {records} records, "
            f"not {kind_of.shape[0]} values from {kind_of.min(initial=0)}"
        )
    wrong = ~(weights >= 0) | np.isinf(weights)
    if wrong.any():
        zone, record = (int(i[0]) for i in np.nonzero(wrong))
        raise DataError(
            f"weight {weights[zone, record]} of record {record} in zone {zone} cannot be drawn; "
            f"weights are finite and 0 or more ({int(wrong.sum())} are not)"
        )
    zone, record = np.nonzero(weights)
    kinds = int(kind_of.max(initial=0)) + 1
    cell = zone * kinds + kind_of[record]
    return Entries(zone, record, weights[zone, record].astype(float), cell, zones * kinds)


def drawn(found: Entries, counts: Int[np.ndarray, " entry"], num_zones: int) -> Counts:
    """The entries that were drawn at least once."""
    there = counts > 0
    return Counts(found.zone[there], found.record[there], counts[there], num_zones)


def rest_totals(
    found: Entries, whole: Float[np.ndarray, " entry"], rest: Float[np.ndarray, " entry"]
) -> Float[np.ndarray, " cell"]:
    """What the remainders of each cell add up to; a whole number where it is near one.

    But for cells whose weights add up to nearly nothing: taken for none everywhere, they would be
    missed by the city.
    """
    total = np.bincount(found.cell, rest, minlength=found.num_cells)
    near = np.rint(total)
    some = near + np.bincount(found.cell, whole, minlength=found.num_cells) > 0
    return np.where(some & (np.abs(total - near) <= _WHOLE), near, total)


def whole_totals(total: Float[np.ndarray, " cell"], start: float) -> Int[np.ndarray, " cell"]:
    """Totals rounded up or down, carrying what is left from cell to cell."""
    return np.floor(_starts(total, start) + total).astype(np.int64)


def _systematic(
    weight: np.ndarray, cell: np.ndarray, total: np.ndarray, begin: np.ndarray
) -> np.ndarray:
    """Draws with expectation `weight`; entries are sorted by cell.

    A point is set every unit along the running sum of a cell, the first one where the cell begins,
    and an entry is drawn as often as points fall on it; the last one ends at the cell's total.
    """
    if len(weight) == 0:
        return np.zeros(0, np.int64)
    upto = np.cumsum(weight)
    last = np.flatnonzero(np.diff(cell, append=-1))
    before = np.zeros(len(total))
    before[cell[last[1:]]] = upto[last[:-1]]
    steps = np.floor(np.minimum(upto - before[cell], total[cell]) + begin[cell])
    steps[last] = np.floor(total[cell[last]] + begin[cell[last]])
    previous = np.concatenate([[0.0], steps[:-1]])
    previous[np.concatenate([[0], last[:-1] + 1])] = 0
    return (steps - previous).astype(np.int64)


def _starts(total: np.ndarray, start: float) -> np.ndarray:
    """Where the first point of each cell stands: `start`, moved by what earlier cells left."""
    parts = total - np.floor(total)
    return (start + np.cumsum(parts) - parts) % 1.0
