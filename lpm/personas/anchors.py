"""Anchor personas: the few cells that are asked, and which cells each of them speaks for."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ..errors import DataError
from ..population.seeds import generator
from .cells import Cells


@dataclass(frozen=True)
class Anchors:
    """The cells that are asked.

    An anchor is a cell, so its attributes occur together in the population: age never comes
    without the income of people of that age.

    Attributes:
        cell: cell of each anchor, ascending.
        nearest: anchor that each cell is nearest to, the heavier among equals.
        weight: weight of all cells nearest to each anchor.
        distance: of each cell from its nearest anchor; an attribute's whole range counts as 1.
        descriptions: the persona of each anchor, in the second person.
    """

    cell: Int[np.ndarray, " anchor"]
    nearest: Int[np.ndarray, " cell"]
    weight: Float[np.ndarray, " anchor"]
    distance: Float[np.ndarray, " cell"]
    descriptions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cell)


def choose_anchors(cells: Cells, count: int = 32, *, seed: int = 0) -> Anchors:
    """Draw anchors: every band of every attribute is seen, larger cells more often.

    First the heaviest cell of each band that no anchor has yet, rarest bands first. The rest are
    drawn systematically with chances in proportion to the root of the weight, along the cells in
    the order of their bands, so that neighbours in the order do not crowd. The root is between
    equal shares and shares of people: small groups are heard without outnumbering the large.

    Args:
        cells: of the population.
        count: how many; all cells where there are no more.
        seed: of the systematic draw.

    Raises:
        DataError: fewer anchors than the bands need.
    """
    count = min(count, len(cells))
    chosen = _cover(cells)
    if len(chosen) > count:
        raise DataError(
            f"count = {count} anchors; to see every band of every attribute takes {len(chosen)}"
        )
    chosen += _systematic(cells, chosen, count - len(chosen), seed)
    cell = np.sort(np.array(chosen, np.int64))
    away = cells.distances()[:, cell]
    near = (away - 1e-9 * cells.weight[cell] / cells.weight.max()).argmin(axis=1)
    return Anchors(
        cell=cell,
        nearest=near,
        weight=np.bincount(near, cells.weight, len(cell)),
        distance=away[np.arange(len(cells)), near],
        descriptions=tuple(cells.describe(int(each)) for each in cell),
    )


def _cover(cells: Cells) -> list[int]:
    groups = []
    for attribute in range(cells.band_of.shape[1]):
        for band in np.unique(cells.band_of[:, attribute]):
            members = np.flatnonzero(cells.band_of[:, attribute] == band)
            groups.append((cells.weight[members].sum(), attribute, int(band), members))
    chosen: list[int] = []
    for _, _, _, members in sorted(groups, key=lambda group: group[:3]):
        if not np.isin(chosen, members).any():
            chosen.append(int(members[cells.weight[members].argmax()]))
    return chosen


def _systematic(cells: Cells, taken: list[int], count: int, seed: int) -> list[int]:
    """Cells drawn with chances in proportion to the root of their weight, never one twice."""
    rng = generator(seed)
    order = np.lexsort(cells.band_of.T[::-1])
    left = order[~np.isin(order, taken)]
    drawn: list[int] = []
    while count > len(drawn):
        chance = np.sqrt(cells.weight[left])
        marks = (rng.random() + np.arange(count - len(drawn))) / (count - len(drawn))
        at = np.searchsorted(np.cumsum(chance) / chance.sum(), marks, side="right")
        hit = np.unique(np.minimum(at, len(left) - 1))
        drawn += left[hit].tolist()
        left = np.delete(left, hit)
    return drawn
