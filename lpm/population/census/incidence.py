"""How much each record of a sample adds to each control."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from lpm.errors import DataError

from ..sample import Sample
from .controls import Control
from .expressions import evaluate, parse

_OWN = ("weight", "replicates")


@final
@dataclass(frozen=True)
class Counted:
    """Everything of one kind that controls may count.

    Attributes:
        frame: one row each.
        record: record it belongs to.
        inside: whether it lives in a household.
        what: for messages.
    """

    frame: pl.DataFrame
    record: Int[np.ndarray, " unit"]
    inside: Bool[np.ndarray, " unit"]
    what: str

    def counts(self, control: Control) -> Bool[np.ndarray, " unit"]:
        """Which of them a control counts."""
        if control.counts == "household person":
            return self.inside
        return ~self.inside if control.counts == "quarters person" else np.ones_like(self.inside)

    def values(self, control: Control) -> Float[np.ndarray, " unit"]:
        """What each adds to a control.

        Raises:
            DataError: see `evaluate`.
        """
        purpose = f"control {control.name!r} of level {control.level}"
        found = evaluate(self.frame, control.expression, self.what, purpose)
        return found.cast(pl.Float64).to_numpy() * self.counts(control)


def incidence(sample: Sample, controls: Sequence[Control]) -> Float[np.ndarray, "record control"]:
    """Households first, then persons in group quarters; a column for each control.

    Raises:
        DataError: an expression cannot be evaluated, or the parts of a family overlap or leave
            somebody out.
    """
    households, persons = _households(sample), persons_of(sample)
    table = np.zeros((sample.num_records, len(controls)))
    families: dict[tuple[str, str], list[tuple[Control, np.ndarray]]] = {}
    for column, control in enumerate(controls):
        counted = households if control.counts == "household" else persons
        values = counted.values(control)
        table[:, column] = np.bincount(counted.record, values, minlength=sample.num_records)
        if control.family:
            parts = families.setdefault((control.level, control.family), [])
            parts.append((control, values))
    for parts in families.values():
        counted = households if parts[0][0].counts == "household" else persons
        _check_partition(counted, parts)
    return table


def _households(sample: Sample) -> Counted:
    frame = sample.households
    inside = np.ones(frame.height, bool)
    return Counted(frame, np.arange(frame.height), inside, _name(sample, "households"))


def persons_of(sample: Sample) -> Counted:
    """Persons with the columns of their household, then those in group quarters."""
    homes = sample.households.with_row_index("__record")
    shared = {*sample.persons.columns, *_OWN, "area"} - {"household_id"}
    persons = sample.persons.drop("replicates", strict=False).join(
        homes.drop(shared, strict=False), on="household_id", how="left", maintain_order="left"
    )
    first = sample.households.height
    quarters = sample.quarters.drop("replicates", "area", strict=False).with_row_index(
        "__record", offset=first
    )
    everybody = pl.concat([persons, quarters], how="diagonal_relaxed")
    record = everybody["__record"].to_numpy().astype(np.int64)
    return Counted(everybody.drop("__record"), record, record < first, _name(sample, "persons"))


def _name(sample: Sample, what: str) -> str:
    return f"{what} of {sample.provenance[0]}" if sample.provenance else what


def _check_partition(
    counted: Counted, parts: Sequence[tuple[Control, Float[np.ndarray, " unit"]]]
) -> None:
    """Insist that everybody in the universe of a family is in one of its parts."""
    control = parts[0][0]
    purpose = f"universe of family {control.family!r}"
    everybody = evaluate(counted.frame, control.universe, counted.what, purpose)
    expected = everybody.cast(pl.Float64).to_numpy() * counted.counts(control)
    found = np.sum([values for _, values in parts], axis=0)
    wrong = found != expected
    if wrong.any():
        row = int(wrong.argmax())
        named = [n for n in _columns(parts) if n in counted.frame.columns]
        shown = ", ".join(f"{name} = {counted.frame[name][row]!r}" for name in named)
        raise DataError(
            f"family {control.family!r} of level {control.level}: {wrong.sum():,} of "
            f"{counted.what} ({counted.frame.height:,} rows) are in none or several of its parts, "
            f"the first in row {row} with {shown}; the parts must cover its universe once"
        )


def _columns(parts: Sequence[tuple[Control, Float[np.ndarray, " unit"]]]) -> list[str]:
    names: dict[str, None] = {}
    for control, _ in parts:
        parsed = parse(control.expression, control.name)
        names |= dict.fromkeys(parsed.meta.root_names())
    return list(names)
