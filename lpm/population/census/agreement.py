"""Whether published totals that should be equal are."""

from collections.abc import Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
import polars as pl

from ..weighting.problem import Level
from .controls import EVERYTHING, Control

_ROUNDING = 0.5
_HINTS = {
    "household": "all of them count households",
    "person": "all of them count everybody; is group quarters in both?",
    "household person": "all of them count persons in households; is group quarters in one?",
    "quarters person": "all of them count persons in group quarters",
}
_SCHEMA = {
    "level": pl.String,
    "zone": pl.String,
    "counts": pl.String,
    "universe": pl.String,
    "control": pl.String,
    "total": pl.Float64,
    "other": pl.String,
    "other_total": pl.Float64,
    "hint": pl.String,
}
# Totals of everything counted, by kind and universe: name and total per zone.
Wholes: TypeAlias = dict[tuple[str, str], list[tuple[str, np.ndarray]]]
Rows: TypeAlias = list[tuple[str, str, str, str, str, float, str, float, str]]


def disagreements(levels: Sequence[Level], controls: Sequence[Sequence[Control]]) -> pl.DataFrame:
    """Totals of one thing that differ by more than rounding, a row for each pair and zone.

    Compared are the sums of families and single controls of everything: within a level, across
    levels, and persons against those in households and in group quarters together.

    Columns: level, zone, counts, universe, control, total, other, other_total, hint.
    """
    wholes = [_wholes(level, declared) for level, declared in zip(levels, controls, strict=True)]
    rows: Rows = []
    for level, found in zip(levels, wholes, strict=True):
        for (counts, universe), sums in found.items():
            for (name, total), (other, second) in combinations(sums, 2):
                hint = _HINTS[counts]
                rows += _differing(level, counts, universe, (name, total), (other, second), hint)
        rows += _persons(level, found)
    for coarse, found in zip(levels[1:], wholes[1:], strict=True):
        rows += _across(levels[0], coarse, wholes[0], found)
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _wholes(level: Level, controls: Sequence[Control]) -> Wholes:
    """Sums of families and single totals by what they count."""
    found: Wholes = {}
    families: dict[str, np.ndarray] = {}
    for column, control in enumerate(controls):
        target = level.target[:, column]
        if control.family:
            if control.family not in families:
                families[control.family] = np.zeros(len(level.zones))
                sums = found.setdefault((control.counts, control.universe), [])
                sums.append((control.family, families[control.family]))
            families[control.family] += target
        elif isinstance(control.expression, str) and control.expression == EVERYTHING:
            found.setdefault((control.counts, EVERYTHING), []).append((control.name, target))
    return found


def _persons(level: Level, found: Wholes) -> Rows:
    kinds = ("person", "household person", "quarters person")
    sums = [found[kind, EVERYTHING][0] for kind in kinds if (kind, EVERYTHING) in found]
    if ("person", EVERYTHING) not in found or len(sums) == 1:
        return []
    everybody, parts = sums[0], sums[1:]
    both = " and ".join(name for name, _ in parts), np.sum([total for _, total in parts], axis=0)
    hint = "persons are those in households and those in group quarters"
    if len(parts) == 1:  # The other part is what is left, so it must not be negative.
        both = both[0], np.maximum(both[1], everybody[1])
        hint = "one part of all persons is more than all; is group quarters in both?"
    return _differing(level, "person", EVERYTHING, everybody, both, hint)


def _across(finest: Level, coarse: Level, fine: Wholes, found: Wholes) -> Rows:
    """Totals of a level against the sums of the finest zones inside."""
    rows: Rows = []
    for key in fine.keys() & found.keys():
        (name, total), (other, small) = found[key][0], fine[key][0]
        added = np.bincount(coarse.zone_of, small, minlength=len(coarse.zones))
        label = f"{other} of the {finest.name} zones inside"
        hint = "zones of the finest level add up to this"
        rows += _differing(coarse, *key, (name, total), (label, added), hint)
    return rows


def _differing(
    level: Level,
    counts: str,
    universe: str,
    one: tuple[str, np.ndarray],
    other: tuple[str, np.ndarray],
    hint: str,
) -> Rows:
    apart = np.abs(one[1] - other[1]) > _ROUNDING
    return [
        (
            *(level.name, level.zones[zone], counts, universe),
            *(one[0], float(one[1][zone]), other[0], float(other[1][zone]), hint),
        )
        for zone in np.flatnonzero(apart)
    ]
