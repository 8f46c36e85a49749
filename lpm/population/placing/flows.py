"""Where people work, given where they live: published flows, or a gravity rule."""

from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError, listing

from ..seeds import Generator
from ..tables import as_numbers, as_table, require
from .zones import Zones

# Assumptions: the form is Ferguson et al.'s (2006), the numbers are ours for a large city. Half
# of the pull is gone at 4 km, and it falls off as the square of the distance far away.
SCALE_KM = 4.0
EXPONENT = 2.0


def read_flows(table: Any, zones: Zones) -> Float[np.ndarray, "home work"]:
    """Share of the workers of each zone by zone of work, from a table of counts.

    Args:
        table: `home` and `work` (names of zones) and `count` (workers).
        zones: those of the population. One without a row has no workers who go out.

    Raises:
        DataError: a zone that is not in the population, or a count that is negative or missing.
    """
    frame = as_table(table, "flows")
    require(frame, "flows", ["home", "work", "count"])
    number = {name: i for i, name in enumerate(zones.names)}
    ends = frame.select(pl.col("home", "work").cast(pl.String))
    lost = sorted({n for end in ends.iter_columns() for n in end.unique()} - set(number))
    if lost:
        raise DataError(
            f"flows name zones {listing(lost)} that the population does not have; leave out what "
            f"crosses its border, or use its names, such as {zones.names[0]}"
        )
    count = as_numbers(frame, "flows", "count").to_numpy()
    wrong = ~(count >= 0) | np.isinf(count)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"flows have count {count[row]} in row {row}; counts are 0 or more")
    home, work = (end.replace_strict(number).to_numpy() for end in ends.iter_columns())
    flows = np.zeros((len(number), len(number)))
    np.add.at(flows, (home, work), count)
    return _rows_to_shares(flows)


def gravity_flows(
    zones: Zones,
    jobs: Float[np.ndarray, " zone"],
    *,
    scale: float | int = SCALE_KM,
    exponent: float | int = EXPONENT,
) -> Float[np.ndarray, "home work"]:
    """Share of the workers of each zone by zone of work: jobs there over a power of distance.

    A zone's pull is `jobs / (1 + (distance / scale)**exponent)`. Where zones have no centroids,
    work lies in the parent, in proportion to jobs. An approximation: it knows no railway and no
    centre but the jobs it is given.

    Args:
        zones: where they are.
        jobs: in each zone, such as its employed residents where nothing better is known.
        scale: km at which half of the pull is gone.
        exponent: how fast the pull falls off further out.

    Raises:
        DataError: jobs that are negative, or a scale or exponent that is not above 0.

    Source: the form is that of Ferguson et al. (2006), Nature 442; default values are assumptions.
    """
    if not (scale > 0 and exponent > 0):
        raise DataError(f"scale {scale} km and exponent {exponent} must be above 0")
    if jobs.shape != (len(zones.names),) or not (jobs >= 0).all():
        raise DataError(f"jobs needs a number of 0 or more for each of {len(zones.names)} zones")
    if zones.position is None:
        return _rows_to_shares((zones.parent[:, None] == zones.parent[None]) * jobs)
    return _rows_to_shares(jobs / (1 + (zones.distance() / scale) ** exponent))


def draw_zones(
    home: Int[np.ndarray, " going"],
    flows: Float[np.ndarray, "home work"],
    zones: Zones,
    rng: Generator,
) -> Int[np.ndarray, " going"]:
    """Zone to which each of those who go out goes, by the shares of the zone they live in.

    Raises:
        DataError: some live in a zone from which nobody goes out.
    """
    upto = np.cumsum(flows, axis=1)
    stay = upto[:, -1] <= 0
    if np.any(stay[home]):
        names = [zones.names[i] for i in np.unique(home[stay[home]])]
        raise DataError(
            f"people who go out live in zones {listing(names)}, but no flow leaves them; give the "
            "flow of each zone with workers, also to itself"
        )
    upto /= np.where(stay, 1, upto[:, -1])[:, None]
    upto += np.arange(len(flows))[:, None]
    found = np.searchsorted(upto.ravel(), home + rng.random(len(home)), side="right")
    last = np.maximum(flows.shape[1] - 1 - np.argmax(flows[:, ::-1] > 0, axis=1), 0)
    return np.minimum(found - home * flows.shape[1], last[home])


def _rows_to_shares(flows: np.ndarray) -> np.ndarray:
    total = flows.sum(axis=1, keepdims=True)
    return np.divide(flows, total, out=np.zeros_like(flows, dtype=float), where=total > 0)
