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
    Chain,
    Composition,
    classes,
    first_key,
    next_key,
)

CELL = 10
ROW = 30
LARGEST = 9


def merge_small(
    weights: Float[np.ndarray, " cell"],
    records: Real[np.ndarray, " cell"],
    parent: Float[np.ndarray, " cell"],
) -> Float[np.ndarray, " cell"]:
    """Shares of cells; those with fewer than `CELL` records share their sum as `parent` has it."""
    small = records < CELL
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


def build_chain(members: pl.DataFrame, kinds: Sequence[Composition]) -> Chain:
    """The city's chain of ages and sexes for the given compositions."""
    starts, steps = _Tally({}, {}), _Tally({}, {})
    members = members.with_columns(before=pl.col("state").shift(1))
    keys = ["children", "adults", "elderly", "rank"]
    for (children, adults, elderly, rank), rows in members.group_by(keys):
        kind = (int(children), int(adults), int(elderly))
        state, weight = rows["state"].to_numpy(), rows["PWGTP"].to_numpy()
        if rank == 0:
            for key in _first_levels(kind):
                starts.add(key, state, weight, STATES)
        else:
            cells = rows["before"].to_numpy() * STATES + state
            for key in _next_levels(kind, int(rank) - 1):
                steps.add(key, cells, weight, STATES * STATES)
    return Chain(
        {first_key(kind): _first_shares(starts, kind) for kind in kinds},
        {
            next_key(kind, rank): _next_shares(steps, kind, rank)
            for kind in kinds
            for rank in range(sum(kind) - 1)
        },
    )


def _first_levels(kind: Composition) -> tuple[Hashable, Hashable]:
    return first_key(kind), ("class", classes(kind)[0])


def _next_levels(kind: Composition, rank: int) -> tuple[Hashable, Hashable]:
    key = next_key(kind, rank)
    return key, key[:2]


def _first_shares(starts: _Tally, kind: Composition) -> Float[np.ndarray, " state"]:
    fine, coarse = (starts.get(key, (STATES,)) for key in _first_levels(kind))
    allowed = np.repeat(classes(kind)[0] == CLASS_OF_BAND, 2).astype(float)
    return _row(*fine, _row(*coarse, allowed))


def _next_shares(steps: _Tally, kind: Composition, rank: int) -> Float[np.ndarray, "state next"]:
    """Rows of the finest table with `ROW` records: this step's, that of its two classes, anyone."""
    fine, coarse = (steps.get(key, (STATES, STATES)) for key in _next_levels(kind, rank))
    here, after = classes(kind)[rank : rank + 2]
    table = np.zeros((STATES, STATES))
    for state in np.flatnonzero(np.repeat(here == CLASS_OF_BAND, 2)):
        no_older = np.arange(STATES) // 2 <= state // 2
        allowed = (np.repeat(after == CLASS_OF_BAND, 2) & no_older).astype(float)
        if allowed.sum() == 0:
            continue
        anyone = _row(coarse[0].sum(0) * allowed, coarse[1].sum(0) * allowed, allowed)
        wide = _row(coarse[0][state], coarse[1][state], anyone)
        table[state] = _row(fine[0][state], fine[1][state], wide)
    return table


def _row(
    weights: Float[np.ndarray, " state"],
    records: Float[np.ndarray, " state"],
    parent: Float[np.ndarray, " state"],
) -> Float[np.ndarray, " state"]:
    if records.sum() < ROW:
        return parent / parent.sum()
    return merge_small(weights, records, parent)
