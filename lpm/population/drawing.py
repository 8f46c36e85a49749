"""People drawn from a survey by fitted weights: whole households in zones, and group quarters."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import polars as pl
from jaxtyping import Int, Shaped

from lpm.errors import DataError, listing

from .columns import NONE
from .expand import HOUSEHOLD, Drawn, Roster, draw_persons, read_roster
from .integers import Counts, truncate_replicate_sample
from .population import Population
from .sample import Sample
from .seeds import Generator, generator
from .synthesis import quarters_units
from .tables import require
from .weighting.problem import Fitted

# Rows of the sample's records, and the weights fitted to them in some zones.
Part: TypeAlias = tuple[Int[np.ndarray, " _"], Fitted]

ZONE, QUARTERS = "zone_id", "quarters_id"


def draw_people(
    sample: Sample,
    parts: Sequence[Part],
    columns: Sequence[str],
    seed: int,
    *,
    counts: Sequence[Counts] | None = None,
    age: str = "age",
    quarters_by: Sequence[str] = (),
    capacity: int | None = None,
) -> Population:
    """Whole households and people in group quarters, as often as their weights say.

    Besides the columns asked for there are `household_id` (households lie together in storage, in
    random order within their zone; -1 in group quarters, which come last), `zone_id` (labelled,
    in the order of names) and `quarters_id`: units of about 20 residents of one zone, one age class
    (under 18, 18-64, 65 and over) and one sort of quarters.

    The same seed gives the same people, whatever the order of parts and of zones and whatever the
    survey calls its households.

    Args:
        sample: the survey.
        parts: rows of the sample's records and the weights fitted to them; each zone in one part.
        columns: attributes of persons and households to keep.
        seed: of whole numbers and of the order in storage.
        counts: whole numbers for each part, such as `round_to_controls` gives; by
            `truncate_replicate_sample` if not given.
        age: the column with ages in years.
        quarters_by: columns of people in quarters that say which sort of quarters they live in.
        capacity: rows to make room for.

    Raises:
        DataError: parts, counts or columns do not fit the sample, a zone comes twice, has totals
            but no weights, or weights are negative or not finite.
    """
    zones = _zone_names(sample, parts)
    require(sample.quarters, "quarters", quarters_by)
    if counts is not None and len(counts) != len(parts):
        raise DataError(f"{len(counts)} sets of counts were given for {len(parts)} parts")
    rng = generator(seed)
    number = {name: i for i, name in enumerate(zones)}
    placed = []
    for i in sorted(range(len(parts)), key=lambda i: min(parts[i][1].problem.zones)):
        whole = truncated(sample, parts[i], rng) if counts is None else counts[i]
        placed.append(_numbered(parts[i], whole, number))
    roster = read_roster(sample, list(dict.fromkeys([*columns, age])))
    drawn = draw_persons(roster, placed, len(zones), rng)
    found = _columns(sample, roster, drawn, age, quarters_by)
    return Population(
        {name: found[name] for name in (*columns, HOUSEHOLD, ZONE, QUARTERS)},
        capacity=capacity,
        labels={**{n: x for n, x in roster.labels.items() if n in columns}, ZONE: zones},
        provenance=(*sample.provenance, f"drawn in {len(zones)} zones, seed {seed}"),
    )


def kinds(sample: Sample, records: Int[np.ndarray, " record"]) -> Int[np.ndarray, " record"]:
    """Kind of each record, as rounding wants it: 0 for households, 1 for people in quarters."""
    return (records >= sample.households.height).astype(np.int64)


def truncated(sample: Sample, part: Part, rng: Generator) -> Counts:
    """The default whole numbers of a part, drawn in the order of its zones' names."""
    records, fitted = part
    order = np.argsort(np.array(fitted.problem.zones), kind="stable")
    counts = truncate_replicate_sample(fitted.weights[order], kinds(sample, records), rng)
    return Counts(order[counts.zone], counts.record, counts.count, counts.num_zones)


def _numbered(part: Part, counts: Counts, number: dict[str, int]) -> Counts:
    """Counts with zones and records numbered across all parts, sorted by zone and record."""
    records, fitted = part
    of = np.array([number[name] for name in fitted.problem.zones])
    zone, record = of[counts.zone], records[counts.record]
    order = np.lexsort((record, zone))
    return Counts(zone[order], record[order], counts.count[order], len(number))


def _zone_names(sample: Sample, parts: Sequence[Part]) -> tuple[str, ...]:
    """Names of all zones in order, once the parts are found to fit the sample."""
    if not parts:
        raise DataError("no parts were given; a part is records of the sample and their weights")
    for records, fitted in parts:
        _check_part(sample, records, fitted)
    names = sorted(name for _, fitted in parts for name in fitted.problem.zones)
    double = sorted({a for a, b in pairwise(names) if a == b})
    if double:
        raise DataError(f"zones {listing(double)} are in two parts; a zone draws from one")
    return tuple(names)


def _check_part(sample: Sample, records: np.ndarray, fitted: Fitted) -> None:
    zones = fitted.problem.zones
    if fitted.weights.shape != (len(zones), len(records)) or len(records) == 0:
        raise DataError(
            f"weights of zone {zones[0] if zones else ''} are {list(fitted.weights.shape)}; "
            f"there are {len(zones)} zones and {len(records)} records, and both are needed"
        )
    if records.min() < 0 or records.max() >= sample.num_records:
        raise DataError(
            f"record {records.max()} is not in the sample; its {sample.num_records} records run "
            f"from 0, households before people in quarters"
        )
    target = fitted.problem.levels[0].target
    empty = (fitted.weights.sum(axis=1) == 0) & (target > 0).any(axis=1)
    if empty.any():
        zone = int(empty.argmax())
        raise DataError(
            f"zone {zones[zone]} has totals up to {target[zone].max():g} but no record with a "
            "weight; fit it again with records of its area or of a larger one"
        )


def _columns(
    sample: Sample, roster: Roster, drawn: Drawn, age: str, quarters_by: Sequence[str]
) -> dict[str, Shaped[np.ndarray, " person"]]:
    found = {name: values[drawn.person] for name, values in roster.columns.items()}
    outside = np.flatnonzero(drawn.household == NONE)
    record = drawn.person[outside] - int(roster.size[: roster.households].sum())
    sort = np.zeros(len(outside), np.int64)
    if quarters_by and len(outside):
        sort = _sorts(sample, quarters_by)[record]
    unit = np.full(len(drawn.zone), NONE, np.int32)
    unit[outside] = quarters_units(found[age][outside], drawn.zone[outside], sort)
    return {**found, HOUSEHOLD: drawn.household, ZONE: drawn.zone, QUARTERS: unit}


def _sorts(sample: Sample, quarters_by: Sequence[str]) -> Int[np.ndarray, " resident"]:
    """A number for each combination of the columns that tell quarters apart."""
    text = sample.quarters.select(pl.concat_str(quarters_by, separator=",", ignore_nulls=True))
    return np.unique(text.to_series().to_numpy().astype(str), return_inverse=True)[1]
