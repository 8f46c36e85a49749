"""The fitting problem as the solver sees it: scaled columns, merged records, zones in a tree."""

from dataclasses import dataclass, replace
from functools import partial
from typing import final

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from lpm.axes import Array

from .problem import Level, Problem

# Factors on a prior weight that float64 can tell from nothing and from infinity.
EXTREMES = (1e-300, 1e260)
SMALLEST = 32  # kinds are padded to few different lengths, so that few programs are compiled


@final
@partial(
    jax.tree_util.register_dataclass,
    data_fields=["columns", "picks", "target", "variance", "zone_of", "parent", "block", "limits"],
    meta_fields=[],
)
@dataclass(frozen=True)
class System:
    """Columns, totals and the tree of zones; everything in units of the scaled columns.

    Attributes:
        columns: what each kind of record adds to each distinct control.
        picks: per level, the column of each control.
        target: per level, totals.
        variance: per level, squared standard errors; 0 where the total is exact.
        zone_of: per level, the zone in which each finest zone lies.
        parent: per level but the last, the zone of the next level in which each zone lies.
        block: per level, the independent part of the problem to which each zone belongs: the
            zone of the coarsest level.
        limits: logarithms of the smallest and largest factor on a prior weight.
    """

    columns: Float[Array | np.ndarray, "kind column"]
    picks: tuple[Int[Array | np.ndarray, " _control"], ...]
    target: tuple[Float[Array | np.ndarray, "_zone _control"], ...]
    variance: tuple[Float[Array | np.ndarray, "_zone _control"], ...]
    zone_of: tuple[Int[Array | np.ndarray, " finest"], ...]
    parent: tuple[Int[Array | np.ndarray, " _zone"], ...]
    block: tuple[Int[Array | np.ndarray, " _zone"], ...]
    limits: Float[Array | np.ndarray, " 2"]

    @property
    def num_blocks(self) -> int:
        """How many independent parts there are."""
        return self.target[-1].shape[0]


@final
@dataclass(frozen=True)
class Kinds:
    """Records with the same incidence, merged; exact, since their weights move together.

    Attributes:
        kind_of: kind of each record.
        order: records sorted by kind.
        starts: where each kind begins in `order`.
        length: number of kinds with the padding.
    """

    kind_of: Int[np.ndarray, " record"]
    order: Int[np.ndarray, " record"]
    starts: Int[np.ndarray, " kind"]
    length: int

    def gather(self, weights: Float[np.ndarray, "zone record"]) -> Float[np.ndarray, "zone kind"]:
        """Weights of the records of each kind, added up."""
        added = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        return np.pad(added, ((0, 0), (0, self.length - len(self.starts))))


def build_system(
    problem: Problem, slack: float, bounds: tuple[float, float]
) -> tuple[System, Kinds, tuple[Float[np.ndarray, " _control"], ...]]:
    """The solver's arrays, how records were merged, and the scale of each control per level."""
    stacked = np.concatenate([level.incidence for level in problem.levels], axis=1)
    distinct, kind_of = np.unique(stacked, axis=0, return_inverse=True)
    kinds = _kinds(kind_of.ravel())
    scale = _scales(distinct)
    columns, pick = np.unique(distinct / scale, axis=1, return_inverse=True)
    cuts = np.cumsum([len(level.controls) for level in problem.levels])[:-1]
    scales = tuple(np.split(scale, cuts))
    zone_of = tuple(np.asarray(level.zone_of) for level in problem.levels)
    system = System(
        columns=np.pad(columns, ((0, kinds.length - len(columns)), (0, 0))),
        picks=tuple(np.split(pick.ravel(), cuts)),
        target=tuple(x.target / s for x, s in zip(problem.levels, scales, strict=True)),
        variance=tuple(
            (slack * x.error / s) ** 2 for x, s in zip(problem.levels, scales, strict=True)
        ),
        zone_of=zone_of,
        parent=tuple(
            coarsen(fine, coarse, len(level.zones))
            for fine, coarse, level in zip(zone_of, zone_of[1:], problem.levels, strict=False)
        ),
        block=tuple(coarsen(x.zone_of, zone_of[-1], len(x.zones)) for x in problem.levels),
        limits=np.log(np.clip(bounds, *EXTREMES)),
    )
    return system, kinds, scales


def coarsen(
    fine: Int[np.ndarray, " finest"], coarse: Int[np.ndarray, " finest"], num_zones: int
) -> Int[np.ndarray, " zone"]:
    """Zone of a coarser level in which each zone of a finer one lies."""
    found = np.zeros(num_zones, dtype=np.int64)
    found[fine] = coarse
    return found


def forced_out(level: Level, kinds: Kinds) -> Bool[np.ndarray, "finest kind"]:
    """Kinds that a zone cannot have, because they add to an exact total of zero."""
    first = kinds.order[kinds.starts]
    adds = (level.incidence[first] > 0).astype(float)
    out = np.asarray(held_at_zero(level), dtype=float) @ adds.T > 0
    return np.pad(out, ((0, 0), (0, kinds.length - len(first))))[level.zone_of]


def held_at_zero(level: Level) -> Bool[np.ndarray, "zone control"]:
    """Exact totals of zero of which no record can take away."""
    adding = np.all(level.incidence >= 0, axis=0)
    return (level.target == 0) & (level.error == 0) & adding[None]


def blocks_only(system: System, chosen: Bool[np.ndarray, " block"]) -> tuple[System, list]:
    """The part of a system that lies in some of its blocks, and the zones kept per level."""
    wanted = np.asarray(chosen)
    keep = [np.flatnonzero(wanted[np.asarray(block)]) for block in system.block]
    place = [_places(kept, len(block)) for kept, block in zip(keep, system.block, strict=True)]
    part = replace(
        system,
        target=tuple(x[kept] for x, kept in zip(system.target, keep, strict=True)),
        variance=tuple(x[kept] for x, kept in zip(system.variance, keep, strict=True)),
        zone_of=tuple(p[z[keep[0]]] for p, z in zip(place, system.zone_of, strict=True)),
        parent=tuple(
            p[up[kept]] for p, up, kept in zip(place[1:], system.parent, keep, strict=False)
        ),
        block=tuple(place[-1][b[kept]] for b, kept in zip(system.block, keep, strict=True)),
    )
    return part, keep


def _places(kept: Int[np.ndarray, " part"], length: int) -> Int[np.ndarray, " zone"]:
    place = np.zeros(length, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    return place


def _kinds(kind_of: Int[np.ndarray, " record"]) -> Kinds:
    order = np.argsort(kind_of, kind="stable")
    starts = np.flatnonzero(np.diff(kind_of[order], prepend=-1))
    step = max(SMALLEST, 2 ** (len(starts).bit_length() - 3))
    return Kinds(kind_of, order, starts, -(-len(starts) // step) * step)


def _scales(distinct: Float[np.ndarray, "kind control"]) -> Float[np.ndarray, " control"]:
    """Typical size of what a record adds, so that an income weighs no more than a count."""
    present = np.maximum((distinct != 0).sum(axis=0), 1)
    scale = np.sqrt((distinct**2).sum(axis=0) / present)
    return np.where(scale > 0, scale, 1.0)
