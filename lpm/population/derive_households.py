"""Household tables of New York: compositions, and the chain of ages and sexes, from PUMS records.

Nothing published here rests on fewer than `CELL` sample records by itself: smaller cells of a
table are merged, and what they hold together is shared out as in the next coarser table.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Real

from .ages import (
    BANDS,
    CLASS_OF_BAND,
    STATES,
    Composition,
    FirstKey,
    NextKey,
    SexKey,
    classes,
    first_key,
    next_key,
    sex_key,
)

CELL = 10
ROW = 30
LARGEST = 9
_BANDS = len(BANDS)
_MOST_GAP = 3


def merge_small(
    weights: Float[np.ndarray, " cell"],
    records: Real[np.ndarray, " cell"],
    parent: Float[np.ndarray, " cell"],
) -> Float[np.ndarray, " cell"]:
    """Shares of cells; those with fewer than `CELL` records share their sum as `parent` has it.

    Where they hold fewer than `CELL` even together, the smallest of the others joins them.
    """
    small = records < CELL
    while 0 < records[small].sum() < CELL and not small.all():
        small[np.argmin(np.where(small, np.inf, records))] = True
    inside = np.where(small, parent, 0.0)
    kept = np.where(small, 0.0, weights)
    loose = weights.sum() - kept.sum()
    if inside.sum() > 0:
        kept = kept + loose * inside / inside.sum()
    return kept / kept.sum() if kept.sum() > 0 else kept


def member_states(people: pl.DataFrame) -> pl.DataFrame:
    """Household members with state and rank (0 = oldest), and their household's composition.

    Households of more than `LARGEST` or without a grown-up are left out (0.3 % and 2 records).
    """
    age_class = pl.col("AGEP")
    people = people.sort(["SERIALNO", "AGEP", "SPORDER"], descending=[False, True, False])
    people = people.with_columns(
        rank=pl.int_range(pl.len()).over("SERIALNO"),
        members=pl.len().over("SERIALNO"),
        children=(age_class < 18).sum().over("SERIALNO"),
        elderly=(age_class >= 65).sum().over("SERIALNO"),
    )
    people = people.filter(
        (pl.col("members") <= LARGEST) & (pl.col("children") < pl.col("members"))
    )
    band = np.digitize(people["AGEP"].to_numpy(), BANDS) - 1
    return people.with_columns(
        state=pl.Series(band * 2 + people["SEX"].to_numpy() - 1),
        adults=pl.col("members") - pl.col("children") - pl.col("elderly"),
    )


def composition_shares(members: pl.DataFrame, num_boroughs: int) -> pl.DataFrame:
    """Shares of compositions by borough and size; small cells as in the whole city.

    Compositions with fewer than `CELL` records in the whole city are left out.
    """
    homes = members.filter(pl.col("rank") == 0)
    keys = ["members", "children", "elderly"]
    city = homes.group_by(keys).agg(records=pl.len(), weight=pl.col("WGTP").sum())
    city = city.filter(pl.col("records") >= CELL).sort(keys)
    tables = []
    for borough in range(num_boroughs):
        here = homes.filter(pl.col("borough") == borough).group_by(keys)
        here = here.agg(mine=pl.len(), own=pl.col("WGTP").sum())
        joined = city.join(here, on=keys, how="left", maintain_order="left").fill_null(0)
        for (size,), table in joined.group_by("members", maintain_order=True):
            share = merge_small(
                table["own"].to_numpy().astype(float),
                table["mine"].to_numpy(),
                table["weight"].to_numpy().astype(float),
            )
            if share.sum() == 0:
                share = table["weight"].to_numpy() / table["weight"].sum()
            tables.append(
                table.select(
                    borough=pl.lit(borough),
                    size=pl.lit(size),
                    children="children",
                    elderly="elderly",
                    share=pl.Series(share.round(6)),
                )
            )
    return pl.concat(tables)


@dataclass(frozen=True)
class _Tally:
    """Weights and sample records by state (of a first member, or of one and the next)."""

    weights: dict[Hashable, np.ndarray]
    records: dict[Hashable, np.ndarray]

    def add(self, key: Hashable, cells: np.ndarray, weights: np.ndarray, length: int) -> None:
        zero = np.zeros(length)
        self.weights[key] = self.weights.get(key, zero) + np.bincount(cells, weights, length)
        self.records[key] = self.records.get(key, zero) + np.bincount(cells, minlength=length)

    def get(self, key: Hashable, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        empty = np.zeros(shape)
        weights, records = self.weights.get(key, empty), self.records.get(key, empty)
        return weights.reshape(shape), records.reshape(shape)


@dataclass(frozen=True)
class HouseholdTables:
    """The chain in parts: who is oldest, and the next one's age band and sex."""

    first: dict[FirstKey, Float[np.ndarray, " state"]]
    bands: dict[NextKey, Float[np.ndarray, "band next"]]
    females: dict[SexKey, Float[np.ndarray, " sex"]]


def tabulate(members: pl.DataFrame, kinds: Sequence[Composition]) -> HouseholdTables:
    """Count the city's households into the parts of the chain, for the given compositions."""
    starts, bands, sexes = _Tally({}, {}), _Tally({}, {}), _Tally({}, {})
    members = members.with_columns(before=pl.col("state").shift(1))
    keys = ["children", "adults", "elderly", "rank"]
    for (children, adults, elderly, rank), rows in members.group_by(keys, maintain_order=True):
        kind = (int(children), int(adults), int(elderly))
        state, weight = rows["state"].to_numpy(), rows["PWGTP"].to_numpy()
        if rank == 0:
            for key in _first_levels(kind):
                starts.add(key, state, weight, STATES)
            continue
        before = rows["before"].to_numpy()
        step = next_key(kind, int(rank) - 1)
        for key in _band_levels(step):
            bands.add(key, before // 2 * _BANDS + state // 2, weight, _BANDS**2)
        gap = before // 2 - state // 2
        for gaps in range(_MOST_GAP + 1):
            apart = np.minimum(gap, _MOST_GAP) == gaps
            cells = (before % 2 * 2 + state % 2)[apart]
            for key in _sex_levels(sex_key(step, gaps)):
                sexes.add(key, cells, weight[apart], 4)
    steps = {next_key(kind, rank) for kind in kinds for rank in range(sum(kind) - 1)}
    following = {key: _band_shares(bands, key) for key in sorted(steps)}
    wanted = {sex_key(key, gap) for key in following for gap in range(_MOST_GAP + 1)}
    return HouseholdTables(
        {first_key(kind): _first(starts, kind) for kind in kinds},
        following,
        {key: _female_shares(sexes, key) for key in sorted(wanted)},
    )


def _first_levels(kind: Composition) -> tuple[Hashable, Hashable]:
    return first_key(kind), ("class", classes(kind)[0])


def _band_levels(key: NextKey) -> tuple[Hashable, ...]:
    here, after, _, remaining, has_children = key
    return key, (here, after, remaining, has_children), (here, after)


def _sex_levels(key: SexKey) -> tuple[Hashable, Hashable, Hashable]:
    here, after, _, _, gap = key
    return key, (here, after, gap), (here, after)


def _first(starts: _Tally, kind: Composition) -> Float[np.ndarray, " state"]:
    fine, coarse = (starts.get(key, (STATES,)) for key in _first_levels(kind))
    allowed = np.repeat(classes(kind)[0] == CLASS_OF_BAND, 2).astype(float)
    return _row(*fine, _row(*coarse, allowed))


def _band_shares(bands: _Tally, key: NextKey) -> Float[np.ndarray, "band next"]:
    """Rows from coarse to fine: steps between two classes, with so many to come, this step.

    A finer table starts from the coarser one's row, shifted as the finer one's steps as a whole
    differ from the coarser one's; its own records then replace what they are enough for.
    """
    tables = [bands.get(level, (_BANDS, _BANDS)) for level in reversed(_band_levels(key))]
    here, after = key[:2]
    shares = np.zeros((_BANDS, _BANDS))
    for band in np.flatnonzero(here == CLASS_OF_BAND):
        allowed = (after == CLASS_OF_BAND) & (np.arange(_BANDS) <= band)
        if not allowed.any():
            continue
        row = whole = allowed / allowed.sum()
        for weights, records in tables:
            finer = _row(weights.sum(0) * allowed, records.sum(0) * allowed, whole)
            shift = np.divide(finer, whole, out=np.zeros(_BANDS), where=whole > 0)
            prior = row * shift
            row = _row(weights[band], records[band], prior if prior.sum() > 0 else finer)
            whole = finer
        shares[band] = row
    return shares


def _female_shares(sexes: _Tally, key: SexKey) -> Float[np.ndarray, " sex"]:
    """By sex of the one before, from the finest table with `ROW` records."""
    shares = np.full(2, 0.5)
    for level in reversed(_sex_levels(key)):
        weights, records = sexes.get(level, (2, 2))
        known = records.sum(1) >= ROW
        shares[known] = weights[known, 1] / weights[known].sum(1)
    return shares


def _row(
    weights: Float[np.ndarray, " cell"],
    records: Float[np.ndarray, " cell"],
    parent: Float[np.ndarray, " cell"],
) -> Float[np.ndarray, " cell"]:
    if records.sum() < ROW:
        return parent / parent.sum()
    return merge_small(weights, records, parent)
