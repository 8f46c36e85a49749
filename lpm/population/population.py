"""Population: the people before a run, as columns on the host."""

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import jax
import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int, Shaped

from lpm.axes import Array
from lpm.errors import DataError, listing, unknown
from lpm.networks import Groups

from .columns import check_names, checked_capacity, checked_slot, is_id, padded, settle, widened
from .fingerprint import fingerprint
from .mixing import contact_counts
from .overview import as_frame, as_html, as_text
from .tables import read_people
from .town import build_town

# A column is numpy on the host and a traced array inside `init`; authors write against the latter.
if TYPE_CHECKING:
    Column = Array
else:
    Column = Array | np.ndarray


@final
class Population:
    """People on the host: named columns padded to `capacity`, and the groups and ties among them.

    Rows 0 to `size - 1` hold people, the rest are empty. Columns are float32, int32 or bool; those
    given as int8 or int16 are kept so, and are int32 when read. A column whose name ends in `_id`
    says which group a person belongs to, with -1 for none. Empty rows hold -1 in those and zero
    elsewhere. Nothing here changes after it is built.

    Attributes:
        size: number of people.
        capacity: number of rows, living and empty.
        recycle: whether births may reuse the rows of the dead (for models with many births).
        labels: names of the codes of a column that was text.
        provenance: where the numbers came from, one line each.
        compiled: work that runs keep with the population so that it is done once.

    Example:
        >>> town = Population.toy(100, capacity=120)
        >>> town["age"].shape, town.size
        ((120,), 100)
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        *,
        capacity: int | None = None,
        slot: Any = None,
        labels: Mapping[str, Sequence[str]] | None = None,
        recycle: bool = False,
        provenance: Sequence[str] = (),
    ) -> None:
        """Take columns of equal length, one row per person.

        Args:
            columns: [person] arrays by name; numbers or booleans.
            capacity: rows to make room for; the number of people if not given.
            slot: identity of each row, on which its random draws hang; a permutation of
                0 .. size - 1, the row number if not given.
            labels: names of the codes 0, 1, ... of a column.
            recycle: whether births may reuse the rows of the dead.
            provenance: where the numbers came from, one line each.

        Raises:
            DataError: lengths differ, a value is missing or not finite, a group id is below -1 or
                far above the number of people, or the capacity is too small.
        """
        check_names(columns)
        host = {name: settle(name, values) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in host.items()}
        self.size = next(iter(lengths.values()))
        odd = [f"{name}: {n}" for name, n in lengths.items() if n != self.size]
        if odd:
            raise DataError(
                f"columns differ in length: {next(iter(lengths))!r} has {self.size} rows, "
                f"but {listing(odd)}"
            )
        self.capacity = checked_capacity(self.size, capacity)
        self.recycle = recycle
        self.labels = {name: tuple(names) for name, names in (labels or {}).items()}
        self.provenance = tuple(provenance)
        self.compiled: dict[Any, Any] = {}
        self._resized: dict[int, Population] = {}
        self._networks: dict[str, Any] = {}
        self._num_groups = {n: int(x.max(initial=-1)) + 1 for n, x in host.items() if is_id(n)}
        rows = np.arange(self.capacity, dtype=np.int32)
        self._columns = {name: padded(name, x, self.capacity) for name, x in host.items()}
        self._given: dict[str, Any] = dict(self._columns)
        self._alive: Any = rows < self.size
        self._slot: Any = checked_slot(slot, self.size, rows)
        self._host_slot: np.ndarray = self._slot

    @classmethod
    def toy(
        cls, n: int, *, capacity: int | None = None, seed: int = 0, recycle: bool = False
    ) -> "Population":
        """A small made-up town of `n` people for trying things out; no real place.

        Columns: `age` (years, 0 to 99), `income` (EUR/year, lognormal, zero below age 18),
        `household_id` (2.5 people on average, 1 to 6, neighbours in storage; the first person of
        each is an adult), `workplace_id` (about 20 people; seven in ten of those aged 18 to 66, -1
        for the others) and `persona` (0, 1 or 2 at random).

        Raises:
            DataError: `n` below 1 or a capacity below `n`.
        """
        return cls(
            build_town(n, seed),
            capacity=capacity,
            recycle=recycle,
            provenance=(f"toy, seed {seed}",),
        )

    @classmethod
    def from_frame(
        cls,
        persons: Any,
        households: Any = None,
        *,
        columns: Sequence[str] | None = None,
        capacity: int | None = None,
        recycle: bool = False,
        provenance: Sequence[str] = (),
    ) -> "Population":
        """Read one row per person, and optionally one per household, from polars or its kin.

        People of a household become neighbours in storage; `slot` keeps the row number each had in
        `persons`, so a person's luck does not depend on the sorting. Household columns are joined
        on `household_id`. Group ids (`*_id`, whole numbers or text, -1 for none) are renumbered
        0, 1, ... in their own order; other text becomes codes with `labels`. A column
        `person_id` is checked for duplicates and left out: `slot` says who is who.

        Args:
            persons: polars frame, or what `polars.DataFrame` accepts.
            households: the same, with a column `household_id`.
            columns: those to keep; all if not given.
            capacity: rows to make room for.
            recycle: whether births may reuse the rows of the dead.
            provenance: where the numbers came from, one line each.

        Raises:
            DataError: a column is missing or holds nulls, an id is below -1 or double, or a
                household is not in `households`; names the column, value and row.
        """
        read = read_people(persons, households, columns)
        return cls(
            read.columns,
            capacity=capacity,
            slot=read.rows,
            labels=read.labels,
            recycle=recycle,
            provenance=provenance,
        )

    @property
    def alive(self) -> Bool[Column, " agent"]:
        """Which rows hold a person."""
        return self._alive

    @property
    def slot(self) -> Int[Column, " agent"]:
        """Identity of each row: the order people came in, whatever the order of storage."""
        return self._slot

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks connected with `connect`."""
        return tuple(self._networks)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, name: str) -> Shaped[Column, " agent"]:
        """A column, padded to the capacity.

        Raises:
            DataError: no such column; lists those there are.
        """
        if name not in self._columns:
            raise DataError(_no_such("column", name, self._columns))
        return widened(self._given[name])

    def host(self, name: str) -> Shaped[np.ndarray, " person"]:
        """A column of the people alone, as NumPy, also where `init` is being traced.

        Raises:
            DataError: no such column.
        """
        self[name]
        return widened(self._columns[name][: self.size])

    def groups(self, column: str) -> Groups:
        """The network of people who share a value of `column`, such as `household_id`.

        Raises:
            DataError: no such column, or one that does not end in `_id`.
        """
        if column not in self._num_groups:
            raise DataError(_no_such("group column", column, self._num_groups))
        return Groups(self._given[column], num_groups=self.num_groups(column))

    def num_groups(self, column: str) -> int:
        """One more than the largest id in a `*_id` column.

        Raises:
            DataError: no such group column.
        """
        if column not in self._num_groups:
            raise DataError(_no_such("group column", column, self._num_groups))
        return self._num_groups[column]

    def connect(self, name: str, network: Any) -> "Population":
        """The same people with a network among them, read back with `network(name)`.

        Ends of ties are rows in storage; `rows` translates identities into rows.

        Raises:
            DataError: the network was made for another number of rows.
        """
        made_for = getattr(network, "num_agents", self.capacity)
        if made_for != self.capacity:
            raise DataError(
                f"network {name!r} was made for {made_for} agents, "
                f"but the population has {self.capacity} rows"
            )
        other = copy.copy(self)
        other._networks = {**self._networks, name: network}
        other._resized, other.compiled = {}, {}
        other.__dict__.pop("fingerprint", None)
        return other

    def network(self, name: str) -> Any:
        """The network that `connect` stored under a name.

        Raises:
            DataError: no such network; lists those there are.
        """
        if name not in self._networks:
            raise DataError(_no_such("network", name, self._networks))
        return self._networks[name]

    def rows(self, identities: Any) -> Int[np.ndarray, "..."]:
        """Rows in storage of the people whose identities (rows of the frame read) are given.

        Raises:
            DataError: an identity that nobody has.
        """
        identities = np.asarray(identities)
        wrong = (identities < 0) | (identities >= self.size)
        if wrong.any():
            raise DataError(
                f"nobody has identity {identities[wrong].flat[0]}; they run from 0 to "
                f"{self.size - 1}"
            )
        found = np.empty(self.size, np.int32)
        found[self._host_slot[: self.size]] = np.arange(self.size, dtype=np.int32)
        return found[identities]

    def with_capacity(self, capacity: int) -> "Population":
        """The same people with another number of rows; kept, so that asking twice is free.

        Raises:
            DataError: fewer rows than people, or a connected network that cannot grow.
        """
        if capacity == self.capacity:
            return self
        if capacity not in self._resized:
            grown = Population(
                self.stored(),
                capacity=capacity,
                slot=self._host_slot[: self.size],
                labels=self.labels,
                recycle=self.recycle,
                provenance=self.provenance,
            )
            for name, network in self._networks.items():
                if not hasattr(network, "with_capacity"):
                    raise DataError(
                        f"network {name!r} is tied to {self.capacity} rows; "
                        f"give the population its capacity before connecting"
                    )
                grown = grown.connect(name, network.with_capacity(capacity))
            self._resized[capacity] = grown
        return self._resized[capacity]

    def arrays(self) -> dict[str, Any]:
        """Everything with one value per row or tie, by name: what a traced `init` is called with.

        Columns under their names, `alive`, `slot`, and the arrays of each network.
        """
        found = {**self._given, "alive": self._alive, "slot": self._slot}
        for name, network in self._networks.items():
            leaves = jax.tree.leaves(network)
            found.update({f"network {name} {i}": leaf for i, leaf in enumerate(leaves)})
        return found

    def view(self, arrays: Mapping[str, Any]) -> "Population":
        """This population reading `arrays` (traced ones, say) in place of its own columns.

        Sizes, numbers of groups, labels and the host-side answers (`contact_counts`, `frame`,
        `fingerprint`) stay those of the columns on the host.
        """
        other = copy.copy(self)
        other._given = {name: arrays[name] for name in self._columns}
        other._alive, other._slot = arrays["alive"], arrays["slot"]
        other._networks = {
            name: jax.tree.unflatten(
                jax.tree.structure(network),
                [arrays[f"network {name} {i}"] for i in range(len(jax.tree.leaves(network)))],
            )
            for name, network in self._networks.items()
        }
        return other

    def contact_counts(
        self, column: str, class_of: Any, num_classes: int
    ) -> Float[np.ndarray, "mine theirs"]:
        """Mean number of others of each class in the group of a person of each class.

        Entry [a, b]: how many other members of class b share a person of class a's group,
        averaged over all people of class a, those without a group counting none.

        Args:
            column: which group, such as `household_id`.
            class_of: class of each person, 0 .. num_classes - 1: a column's name or an array.
            num_classes: how many classes there are.

        Raises:
            DataError: no such column, or a class outside the range.
        """
        groups = self.num_groups(column)
        if isinstance(class_of, str):
            self[class_of]
            class_of = widened(self._columns[class_of])
        class_of = np.asarray(class_of)[: self.size]
        return contact_counts(self._columns[column][: self.size], groups, class_of, num_classes)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hex digits that change when a name, a value or a tie does; not with capacity."""
        people = {**self.stored(), "slot": self._host_slot[: self.size]}
        return fingerprint(people, self._networks, self.capacity)

    def frame(self) -> pl.DataFrame:
        """One row per person with `slot` first; codes with labels come back as text."""
        people = {name: widened(values) for name, values in self.stored().items()}
        return as_frame(people, self._host_slot[: self.size], self.labels)

    def __repr__(self) -> str:
        return as_text(self._title(), self.stored(), self.labels)

    def _repr_html_(self) -> str:
        return as_html(self._title(), self.stored(), self.labels)

    def _title(self) -> str:
        networks = f", networks {listing(self._networks)}" if self._networks else ""
        return f"Population of {self.size:,} people in {self.capacity:,} rows{networks}"

    def stored(self) -> dict[str, Shaped[np.ndarray, " person"]]:
        """Columns of the people alone, as narrow as they are kept."""
        return {name: values[: self.size] for name, values in self._columns.items()}


def _no_such(kind: str, name: str, known: Mapping[str, Any]) -> str:
    return unknown("population", kind, [repr(name)], [repr(n) for n in known]).replace(
        f"{kind} ['{name}']", f"{kind} '{name}'"
    )
