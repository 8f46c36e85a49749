"""Zones of a city: names, the larger areas they are in, and where they lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError, listing

from ..tables import as_numbers, as_table, require

_KM_A_DEGREE = 111.195  # of a great circle on a sphere of 6,371 km
_LEVELS = 16  # of the curve: 65,536 steps along each side


@final
@dataclass(frozen=True)
class Zones:
    """Where people live and work.

    Attributes:
        names: as in the labels of `zone_id`.
        parent: number of the larger area each lies in. Where none are given, all lie in one, or if
            there are no centroids either, each is its own.
        position: of the centroid, in km east and north of some point, or None if unknown.
    """

    names: tuple[str, ...]
    parent: Int[np.ndarray, " zone"]
    position: Float[np.ndarray, "zone 2"] | None = None

    @property
    def rank(self) -> Int[np.ndarray, " zone"]:
        """Place of each zone in an order in which neighbours are near each other.

        Along a Hilbert curve through the centroids, within one parent after the other; the order
        of names where there are no centroids.
        """
        along = np.arange(len(self.names)) if self.position is None else hilbert(self.position)
        rank = np.empty(len(self.names), np.int64)
        rank[np.lexsort((along, self.parent))] = np.arange(len(self.names))
        return rank

    def distance(self) -> Float[np.ndarray, "home other"]:
        """Between centroids, in km; half the way to the nearest other zone within a zone.

        Raises:
            DataError: the centroids are unknown.
        """
        if self.position is None:
            raise DataError(
                "zones have no centroids; give x and y in km, or longitude and latitude"
            )
        apart = self.position[:, None] - self.position[None]
        distance = np.sqrt(np.sum(apart**2, axis=-1))
        np.fill_diagonal(distance, np.inf)
        own = distance.min(axis=1, initial=np.inf) / 2
        np.fill_diagonal(distance, np.where(np.isfinite(own), own, 1.0))
        return distance


def read_zones(table: Any, names: Sequence[str]) -> Zones:
    """Zones of a population from a table with one row each, in the order of `names`.

    Args:
        table: `zone` (text), and where known `parent` (text), and `x` and `y` (km) or `longitude`
            and `latitude` (degrees; taken as flat, which is right to 1 % over 200 km).
        names: zones of the population, `population.labels["zone_id"]`.

    Raises:
        DataError: a zone is missing or there twice, or a coordinate is missing.
    """
    frame = as_table(table, "zones")
    require(frame, "zones", ["zone"])
    frame = frame.with_columns(pl.col("zone").cast(pl.String))
    double = frame.filter(pl.col("zone").is_duplicated())["zone"].unique().sort().to_list()
    missing = sorted(set(names) - set(frame["zone"]))
    if double or missing:
        raise DataError(
            f"zones lacks {listing(missing)} and has {listing(double)} more than once; "
            "give one row for each zone of the population"
        )
    frame = pl.DataFrame({"zone": list(names)}).join(frame, on="zone", maintain_order="left")
    position = _position(frame)
    parent = np.arange(len(names)) if position is None else np.zeros(len(names), np.int64)
    if "parent" in frame.columns:
        parent = np.unique(frame["parent"].cast(pl.String).to_numpy(), return_inverse=True)[1]
    return Zones(tuple(names), parent, position)


def _position(frame: pl.DataFrame) -> Float[np.ndarray, "zone 2"] | None:
    for east, north in (("x", "y"), ("longitude", "latitude")):
        if east not in frame.columns or north not in frame.columns:
            continue
        pair = np.stack(
            [as_numbers(frame, "zones", name).to_numpy() for name in (east, north)], axis=1
        )
        wrong = ~np.isfinite(pair).all(axis=1)
        if wrong.any():
            raise DataError(
                f"zone {frame['zone'][int(wrong.argmax())]} has no {east} or {north}; "
                "give both for every zone, or for none"
            )
        if east == "x":
            return pair
        shrink = np.cos(np.radians(pair[:, 1].mean()))
        return (pair - pair.mean(axis=0)) * _KM_A_DEGREE * np.array([shrink, 1.0])
    return None


def hilbert(position: Float[np.ndarray, "zone 2"]) -> Int[np.ndarray, " zone"]:
    """Distance along a Hilbert curve through the square that holds all points.

    Source: Hilbert (1891), Mathematische Annalen 38; one turn of the square per bit.
    """
    low = position.min(axis=0)
    side = max(float((position - low).max()), 1e-9)
    grid = np.minimum((position - low) / side * 2**_LEVELS, 2**_LEVELS - 1).astype(np.int64)
    x, y = grid[:, 0], grid[:, 1]
    along = np.zeros(len(position), np.int64)
    for level in reversed(range(_LEVELS)):
        right, up = (x >> level) & 1, (y >> level) & 1
        along += ((3 * right) ^ up) << (2 * level)
        flip = (up == 0) & (right == 1)
        most = (1 << level) - 1
        x, y = x & most, y & most
        x, y = np.where(flip, most - x, x), np.where(flip, most - y, y)
        x, y = np.where(up == 0, y, x), np.where(up == 0, x, y)
    return along
