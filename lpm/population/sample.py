"""Survey records as read: households, the persons in them, and persons in group quarters."""

from dataclasses import dataclass, field
from typing import final

import polars as pl


@final
@dataclass(frozen=True)
class Sample:
    """A survey of households and persons, checked, with its weights.

    A *record* is what a weight belongs to: a household, or one person in group quarters. Records
    are numbered with the rows of `households` first and those of `quarters` after them.

    Attributes:
        households: one row per occupied household: `household_id` (text, unique), `area` (text:
            the part of the country whose zones may draw it, such as a PUMA), `weight` (households
            it stands for), `replicates` where the survey has them (an array column of equal
            width), and its attributes.
        persons: one row per person of those households: `household_id`, `person_number`, `weight`,
            `replicates` where there are any, and attributes.
        quarters: one row per person in group quarters, with the columns of `persons` and `area`;
            `household_id` is the serial of its placeholder. May have no rows.
        notes: what was renamed, dropped, adjusted or found odd, one line each.
        provenance: files, survey and years, one line each.
    """

    households: pl.DataFrame
    persons: pl.DataFrame
    quarters: pl.DataFrame
    notes: tuple[str, ...] = field(default=())
    provenance: tuple[str, ...] = field(default=())

    @property
    def num_records(self) -> int:
        """Households and persons in group quarters together."""
        return self.households.height + self.quarters.height
