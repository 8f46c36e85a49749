"""Census cells: people alike in every attribute that the model uses, and each person's cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..errors import DataError, listing
from ..population import Population

_MOST_BEFORE = 20_000  # Distances between all pairs of cells are held while small ones are merged.


@dataclass(frozen=True)
class Band:
    """One attribute of a persona: a column of the population, cut into bands.

    Attributes:
        name: of the attribute, such as "age".
        column: of the population that it is read from.
        edges: where the second and later bands begin; a value on an edge belongs to the upper band.
        words: a sentence in the second person for each band, lowest first.
        values: what each band counts as in a model; the mean of the column in a cell if not given.

    Raises:
        DataError: edges that do not rise, or not one sentence (or value) for each band.
    """

    name: str
    column: str
    edges: tuple[float, ...]
    words: tuple[str, ...]
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise DataError(f"Band {self.name!r} has edges {self.edges}; they must rise")
        count = len(self.edges) + 1
        if len(self.words) != count or not all(self.words):
            raise DataError(
                f"Band {self.name!r} has {len(self.words)} sentences for {count} bands; "
                "give one for each"
            )
        if len(self.values) not in (0, count):
            raise DataError(
                f"Band {self.name!r} has {len(self.values)} values for {count} bands; "
                "give one for each, or none"
            )


@dataclass(frozen=True)
class Cells:
    """The cells of a population.

    Attributes:
        bands: the attributes.
        band_of: band of each attribute in each cell. [cell, attribute]
        values: value of each attribute in each cell: the mean, or what its band counts as.
        weight: people in each cell, or the sum of their weights.
        cell_of: cell of each person, in the order of storage, as narrow as it can be.
        merged: share of the weight that was put into a neighbouring cell.
    """

    bands: tuple[Band, ...]
    band_of: Int[np.ndarray, "cell attribute"]
    values: Float[np.ndarray, "cell attribute"]
    weight: Float[np.ndarray, " cell"]
    cell_of: Int[np.ndarray, " person"]
    merged: float

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the attributes."""
        return tuple(band.name for band in self.bands)

    def value(self, name: str) -> Float[np.ndarray, " cell"]:
        """Value of one attribute in each cell.

        Raises:
            DataError: no such attribute.
        """
        if name not in self.names:
            raise DataError(
                f"the cells have no attribute {name!r}; they have {listing(self.names)}"
            )
        return self.values[:, self.names.index(name)]

    def describe(self, cell: int) -> str:
        """The persona of a cell in the second person: the sentences of its bands."""
        chosen = zip(self.bands, self.band_of[cell], strict=True)
        return " ".join(band.words[int(index)] for band, index in chosen)

    def distances(self) -> Float[np.ndarray, "cell cell"]:
        """How far apart cells are: steps between bands, each attribute's range counting as one."""
        return _distances(self.band_of, self.bands)


def cells_of(
    population: Population,
    bands: Sequence[Band],
    *,
    weights: Any = None,
    least: float = 0.0,
    most: int = 1_000,
) -> Cells:
    """Cut a population into cells: one for each combination of bands that occurs.

    Cells with less weight than `least`, and the smallest beyond `most`, are put into the nearest of
    the others (fewest steps between bands; the heavier one among equals).

    Args:
        population: the people.
        bands: the attributes, one column each.
        weights: one per person; all equal if not given.
        least: the least weight of a cell.
        most: the most cells.

    Raises:
        DataError: no bands, two of one name, a column that does not exist, weights that do not fit,
            or so many combinations that bands should be wider.
    """
    bands = _checked(bands, most)
    weights = _checked_weights(weights, population.size)
    columns = [population.host(band.column).astype(np.float64) for band in bands]
    codes = np.zeros(population.size, np.int64)
    for band, column in zip(bands, columns, strict=True):
        codes = codes * (len(band.edges) + 1) + np.searchsorted(band.edges, column, side="right")
    found, cell_of = np.unique(codes, return_inverse=True)
    if len(found) > _MOST_BEFORE:
        raise DataError(
            f"{len(bands)} attributes make {len(found):,} cells, above {_MOST_BEFORE:,}; "
            "use fewer attributes or wider bands"
        )
    weight = np.bincount(cell_of, weights, len(found))
    band_of = _digits(found, bands)
    into = _merge(_distances(band_of, bands), weight, least, most)
    kept, renumbered = np.unique(into, return_inverse=True)
    merged = float(weight[into != np.arange(len(found))].sum() / weight.sum())
    cell_of = renumbered[cell_of]
    total = np.bincount(cell_of, weights, len(kept))
    values = np.empty((len(kept), len(bands)))
    for i, (band, column) in enumerate(zip(bands, columns, strict=True)):
        mean = np.bincount(cell_of, weights * column, len(kept)) / total
        values[:, i] = np.asarray(band.values)[band_of[kept, i]] if band.values else mean
    narrow = np.int16 if len(kept) <= np.iinfo(np.int16).max else np.int32
    return Cells(bands, band_of[kept], values, total, cell_of.astype(narrow), merged)


def _checked(bands: Sequence[Band], most: int) -> tuple[Band, ...]:
    names = [band.name for band in bands]
    if not names or len(set(names)) < len(names):
        raise DataError(f"attributes {listing(names)}: give at least one, each with its own name")
    if most < 1:
        raise DataError(f"most = {most}; give room for at least one cell")
    return tuple(bands)


def _checked_weights(weights: Any, size: int) -> np.ndarray:
    if weights is None:
        return np.ones(size)
    weights = np.asarray(weights, np.float64)
    if weights.shape != (size,) or not np.isfinite(weights).all() or weights.min() <= 0:
        raise DataError(
            f"weights of shape {list(weights.shape)} for {size} people; give a positive number each"
        )
    return weights


def _digits(codes: np.ndarray, bands: Sequence[Band]) -> np.ndarray:
    """Bands behind each code, the last attribute's the lowest digit."""
    digits = np.empty((len(codes), len(bands)), np.int64)
    for i in reversed(range(len(bands))):
        codes, digits[:, i] = np.divmod(codes, len(bands[i].edges) + 1)
    return digits


def _distances(band_of: np.ndarray, bands: Sequence[Band]) -> np.ndarray:
    total = np.zeros((len(band_of), len(band_of)))
    for i, band in enumerate(bands):
        mine = band_of[:, i]
        total += np.abs(mine[:, None] - mine[None]) / max(len(band.edges), 1)
    return total


def _merge(distance: np.ndarray, weight: np.ndarray, least: float, most: int) -> np.ndarray:
    """The cell that each is put into; the heaviest always stays."""
    order = np.argsort(-weight, kind="stable")
    keep = np.zeros(len(weight), bool)
    keep[order[:most]] = True
    keep &= weight >= least
    keep[order[0]] = True
    kept = np.flatnonzero(keep)
    near = distance[:, kept] - 1e-9 * weight[kept] / weight.max()
    into = kept[near.argmin(axis=1)]
    into[kept] = kept
    return into
