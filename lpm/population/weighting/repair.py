"""Exact totals that no weights can meet, found, and replaced by the nearest that some can."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from .feasible import Nearest, nearest_beside, nearest_in_zone, stack_blocks
from .priors import one_for_each
from .system import System


@dataclass(frozen=True)
class Repair:
    """A system whose exact totals are being brought within reach.

    Attributes:
        system: with totals out of reach replaced.
        prior: without the kinds that totals exclude.
        full: without those that totals of the finest level exclude once they are repaired.
        missed: per level, totals that were replaced.
        proven: per level, those of which it is proven that not all could be met.
    """

    system: System
    prior: Float[np.ndarray, "finest kind"]
    full: Float[np.ndarray, "finest kind"]
    missed: tuple[Bool[np.ndarray, "_zone _control"], ...]
    proven: tuple[Bool[np.ndarray, "_zone _control"], ...]


def repair_zones(
    state: Repair, broken: Bool[np.ndarray, " block"], above: Bool[np.ndarray, "finest kind"]
) -> Repair:
    """Each finest zone of the broken blocks by itself.

    The number of records in a zone is kept where the totals say it; a zone that may have no record
    reaches zero. `above` are the kinds that totals of coarser zones exclude.
    """
    system, pick = state.system, state.system.picks[0]
    target, full, prior = np.array(system.target[0]), state.full.copy(), state.prior.copy()
    missed, proven = state.missed[0].copy(), state.proven[0].copy()
    for zone in np.flatnonzero(broken[np.asarray(system.block[0])]):
        exact = np.flatnonzero(system.variance[0][zone] == 0)
        present = np.flatnonzero(full[zone] > 0)
        if not len(exact):
            continue
        if not len(present):
            empty = target[zone, exact] != 0
            target[zone, exact], missed[zone, exact], proven[zone, exact] = 0.0, empty, empty
            continue
        columns = np.asarray(system.columns[present][:, pick[exact]])
        wanted = target[zone, exact]
        combination = one_for_each(columns, np.ones(len(exact)))
        size = None if combination is None else max(float(wanted @ combination), 0.0)
        found = nearest_in_zone(columns, wanted, size)
        target[zone, exact], missed[zone, exact] = found.reached, found.missed
        proven[zone, exact] = found.missed & found.proven
        full[zone, present[~found.support]] = 0.0
        prior[zone] = np.where(above[zone], 0.0, full[zone])
    return Repair(
        system=replace(system, target=(target, *system.target[1:])),
        prior=prior,
        full=full,
        missed=(missed, *state.missed[1:]),
        proven=(proven, *state.proven[1:]),
    )


def repair_blocks(state: Repair, broken: Bool[np.ndarray, " block"]) -> Repair:
    """Totals of coarser zones beside the finest ones, which are kept; one program per block."""
    targets = [np.array(target) for target in state.system.target]
    prior = state.prior.copy()
    missed, proven = [x.copy() for x in state.missed], [x.copy() for x in state.proven]
    for block in np.flatnonzero(broken):
        part = _part(state, int(block))
        if not part.rows:
            continue
        found = part.nearest(state.system)
        shared = slice(len(found.reached) - len(part.rows), None)
        for place, reached, off in zip(
            part.rows, found.reached[shared], found.missed[shared], strict=True
        ):
            level, cell = place[0], place[1:]
            targets[level][cell], missed[level][cell] = reached, off
            proven[level][cell] = off and found.proven
        ends = np.cumsum([len(kinds) for kinds in part.present])[:-1]
        for zone, kinds, kept in zip(
            part.zones, part.present, np.split(found.support, ends), strict=True
        ):
            prior[zone] = 0.0
            prior[zone, kinds[kept]] = state.full[zone, kinds[kept]]
    system = replace(state.system, target=tuple(targets))
    return replace(state, system=system, prior=prior, missed=tuple(missed), proven=tuple(proven))


@dataclass(frozen=True)
class _Part:
    """One block: its finest zones, the kinds present in each, and the exact totals above them."""

    zones: list[int]
    present: list[Int[np.ndarray, " _"]]  # As many as there are in the zone.
    rows: list[tuple[int, int, int]]

    def nearest(self, system: System) -> Nearest:
        """The nearest totals of the coarser zones, those of the finest being met."""
        exact = [np.flatnonzero(system.variance[0][zone] == 0) for zone in self.zones]
        parts = [
            csr_array(np.asarray(system.columns[kinds][:, system.picks[0][controls]]).T)
            for kinds, controls in zip(self.present, exact, strict=True)
        ]
        across = [
            self.shared(system, zone, kinds)
            for zone, kinds in zip(self.zones, self.present, strict=True)
        ]
        own = [system.target[0][zone, cells] for zone, cells in zip(self.zones, exact, strict=True)]
        shared = [system.target[level][zone, control] for level, zone, control in self.rows]
        wanted = np.concatenate([*own, np.array(shared)])
        elastic = np.arange(len(wanted)) >= len(wanted) - len(shared)
        return nearest_beside(stack_blocks(parts, across), wanted, elastic)

    def shared(self, system: System, zone: int, kinds: Int[np.ndarray, " kind"]) -> csr_array:
        """What the kinds of a finest zone add to the totals of the zones above it."""
        columns = [
            np.asarray(system.columns[kinds, system.picks[level][control]])
            * (system.zone_of[level][zone] == at)
            for level, at, control in self.rows
        ]
        return csr_array(np.array(columns))


def _part(state: Repair, block: int) -> _Part:
    system = state.system
    zones = np.flatnonzero(np.asarray(system.block[0]) == block).tolist()
    rows = [
        (level, int(zone), int(control))
        for level in range(1, len(system.target))
        for zone in np.flatnonzero(np.asarray(system.block[level]) == block)
        for control in np.flatnonzero(system.variance[level][zone] == 0)
    ]
    return _Part(zones, [np.flatnonzero(state.full[zone] > 0) for zone in zones], rows)
