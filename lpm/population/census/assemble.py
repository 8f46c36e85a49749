"""Fitting problems from a sample, controls, published totals and zones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from lpm.errors import DataError, listing, unknown

from ..sample import Sample
from ..weighting.problem import Level, Problem
from .agreement import disagreements
from .controls import EVERYTHING, Control
from .geography import Geography, read_geography
from .incidence import incidence
from .targets import as_targets, matrix


@final
@dataclass(frozen=True)
class Block:
    """Zones that hang together through their areas or through zones of a coarser level.

    Attributes:
        problem: what they have to meet.
        records: numbers, in the sample, of the records of its areas.
        eligible: whether the record is from an area of the zone. A problem lets every zone have
            every record of the block; `zone_priors(problem, eligible)` is a prior that keeps each
            to its own.
        areas: its survey areas.
        disagreements: published totals that should be equal and are not (see `agreement`).
    """

    problem: Problem
    records: Int[np.ndarray, " record"]
    eligible: Bool[np.ndarray, "zone record"]
    areas: tuple[str, ...]
    disagreements: pl.DataFrame


def assemble(
    sample: Sample,
    controls: Sequence[Control],
    tables: pl.DataFrame | Mapping[str, pl.DataFrame],
    zones: pl.DataFrame,
) -> list[Block]:
    """The fitting problems of a region, one for each block of zones that share records.

    Args:
        tables: published totals with zone, control, target and error, or from `read_acs`; a frame
            for all levels, or one for each.
        zones: a column for each level, the finest first, and `area` (see `read_geography`).

    Raises:
        DataError: an expression is wrong, a total is missing, a zone has no records, or no record
            has what a zone must have; names control, zone and what would be right.
    """
    _check_names(controls)
    geography = read_geography(zones, {control.level for control in controls})
    targets = _targets(tables, geography.levels)
    ordered = [c for level in geography.levels for c in controls if c.level == level]
    values = incidence(sample, ordered)
    area = np.array([*sample.households["area"], *sample.quarters["area"]], dtype=object)
    _check_areas(geography, area, sample)
    weights = np.concatenate([sample.households["weight"], sample.quarters["weight"]])
    return [
        _block(geography, number, ordered, values, weights, area, targets)
        for number in range(int(geography.block.max()) + 1)
    ]


def _block(
    geography: Geography,
    number: int,
    controls: Sequence[Control],
    values: Float[np.ndarray, "all control"],
    weights: Float[np.ndarray, " all"],
    area: np.ndarray,
    targets: Mapping[str, pl.DataFrame],
) -> Block:
    finest = np.flatnonzero(geography.block == number)
    own = [geography.areas[zone] for zone in finest]
    areas = sorted(set().union(*own))
    records = np.flatnonzero(np.isin(area, areas))
    levels, declared = [], []
    for i, name in enumerate(geography.levels):
        chosen = [j for j, control in enumerate(controls) if control.level == name]
        declared.append([controls[j] for j in chosen])
        inside = [geography.inside[i][zone] for zone in finest]
        found = values[records][:, chosen]
        levels.append(_level(name, inside, declared[-1], found, targets[name]))
    codes = {name: i for i, name in enumerate(areas)}
    code = np.array([codes[name] for name in area[records]])
    has = np.zeros((len(finest), len(areas)), bool)
    for row, names in enumerate(own):
        has[row, [codes[name] for name in names]] = True
    problem = Problem(weights[records], tuple(levels))
    agreed = disagreements(levels, declared)
    return Block(problem, records, has[:, code], tuple(areas), agreed)


def _level(
    name: str,
    inside: Sequence[str],
    controls: Sequence[Control],
    values: Float[np.ndarray, "record control"],
    targets: pl.DataFrame,
) -> Level:
    zones = tuple(dict.fromkeys(inside))
    cells = list(dict.fromkeys(cell for control in controls for cell in control.target))
    published, errors = matrix(targets, zones, cells, name)
    adds = np.array([[cell in c.target for c in controls] for cell in cells], float)
    adds = adds.reshape(len(cells), len(controls))
    target = published @ adds
    error = np.sqrt(np.where(np.isnan(errors), 0, errors) ** 2 @ adds)
    least = np.array([control.error for control in controls])
    unknown_error = (np.isnan(errors) @ adds > 0) & (least == 0)
    # A share of nothing would be exact, and shut out whoever has it: at least one.
    error = np.maximum(error, np.where(least > 0, np.maximum(least * np.abs(target), 1.0), 0.0))
    _check_errors(name, zones, controls, unknown_error)
    error[:, [control.hard for control in controls]] = 0
    _check_reachable(name, zones, controls, values, target)
    numbers = {zone: i for i, zone in enumerate(zones)}
    return Level(
        name,
        zones,
        tuple(control.name for control in controls),
        values,
        target,
        error,
        np.array([numbers[zone] for zone in inside]),
        _sizes(controls),
    )


def _sizes(controls: Sequence[Control]) -> tuple[str, ...]:
    """The controls that count all households and everybody in quarters, where there are both."""
    counted = {
        control.counts: control.name
        for control in controls
        if isinstance(control.expression, str) and control.expression == EVERYTHING
    }
    wanted = ("household", "quarters person")
    return tuple(counted[kind] for kind in wanted) if set(wanted) <= set(counted) else ()


def _targets(
    tables: pl.DataFrame | Mapping[str, pl.DataFrame], levels: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """The published totals of each level; none for a level that nobody asks about."""
    if isinstance(tables, pl.DataFrame):
        return dict.fromkeys(levels, as_targets(tables))
    strange = [name for name in tables if name not in levels]
    if strange:
        raise DataError(unknown("zones", "level", strange, levels))
    none = pl.DataFrame(
        schema={"zone": pl.String, "control": pl.String, "target": pl.Float64, "error": pl.Float64}
    )
    return {name: as_targets(tables[name]) if name in tables else none for name in levels}


def _check_names(controls: Sequence[Control]) -> None:
    if not controls:
        raise DataError("no controls were given")
    seen: set[tuple[str, str]] = set()
    for control in controls:
        if (control.level, control.name) in seen:
            raise DataError(f"level {control.level} has two controls called {control.name!r}")
        seen.add((control.level, control.name))


def _check_areas(geography: Geography, area: np.ndarray, sample: Sample) -> None:
    present = set(area)
    empty = [
        zone
        for zone, own in zip(geography.zones, geography.areas, strict=True)
        if not own & present
    ]
    if empty:
        wanted = sorted(set().union(*geography.areas) - present)
        raise DataError(
            f"{len(empty)} zones of level {geography.levels[0]}, {listing(empty)}, have no record: "
            f"the sample ({sample.num_records:,} records) has none from areas {listing(wanted)}; "
            f"its areas are {listing(sorted(present))}"
        )


def _check_errors(
    level: str,
    zones: Sequence[str],
    controls: Sequence[Control],
    unknown_error: Bool[np.ndarray, "zone control"],
) -> None:
    soft = np.array([not control.hard for control in controls], bool)
    zone, column = np.nonzero(unknown_error & soft)
    if zone.size:
        raise DataError(
            f"level {level}: {zone.size:,} targets have no standard error, the first "
            f"{controls[column[0]].name!r} of zone {zones[zone[0]]!r}; give one, or say "
            "hard = true or error = 0.01"
        )


def _check_reachable(
    level: str,
    zones: Sequence[str],
    controls: Sequence[Control],
    values: Float[np.ndarray, "record control"],
    target: Float[np.ndarray, "zone control"],
) -> None:
    """Refuse controls that ask for what no record of the block has."""
    empty = ~values.any(axis=0) & (target != 0).any(axis=0)
    if empty.any():
        column = int(empty.argmax())
        names = [control.name for control, none in zip(controls, empty, strict=True) if none]
        zone = int((target[:, column] != 0).argmax())
        raise DataError(
            f"level {level}: no record has {listing(names)} but "
            f"zone {zones[zone]!r} must have {target[zone, column]:,g} of "
            f"{controls[column].name!r}; join it with another part, or add areas to the zones"
        )
