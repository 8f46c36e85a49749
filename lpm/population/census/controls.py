"""What zones have to add up to: declared controls, alone or as families that part a whole."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias, final

import polars as pl

from lpm.errors import DataError, listing

COUNTS = ("household", "person", "household person", "quarters person")
Number: TypeAlias = int | float
EVERYTHING = "TRUE"


@final
@dataclass(frozen=True, eq=False)
class Control:
    """A published total and how records add up to it.

    Attributes:
        name: unique within its level.
        level: of geography, such as `tract`.
        counts: what is counted: households; persons, everybody including group quarters; persons
            in households; or persons in group quarters.
        target: names of the published cells; several are added up.
        expression: over the columns of what is counted, SQL text or a polars expression. True or
            false chooses; a number is added up, such as `HINCP`. Persons in households also have
            the columns of their household.
        hard: whether the total must be met exactly; else its standard error says how nearly.
        error: least standard error, as a share of the total, and then 1 or more. Tables of
            households and of persons rest on different weights and contradict each other by about
            0.01.
        family: of which partition it is a part, if any.
        universe: who its family parts, as SQL; everything counted by default.
    """

    name: str
    level: str
    counts: str
    target: tuple[str, ...]
    expression: str | pl.Expr = EVERYTHING
    hard: bool = False
    family: str = ""
    universe: str = EVERYTHING
    error: float | int = 0.0

    def __post_init__(self) -> None:
        """Refuse what no control can be.

        Raises:
            DataError: nothing of the kind is counted, there is no target, or an error below 0 or of
                a total that must be met exactly.
        """
        if self.counts not in COUNTS:
            raise DataError(
                f"control {self.name!r} counts {self.counts!r}; it is one of {listing(COUNTS)}"
            )
        if not self.target:
            raise DataError(f"control {self.name!r} has no target; name its published cell")
        if not self.error >= 0 or (self.hard and self.error):
            raise DataError(
                f"control {self.name!r} has error {self.error}; it is a share of the total, 0 or "
                "more, and none where hard = true"
            )


def family(
    name: str,
    level: str,
    counts: str,
    variable: str,
    targets: Sequence[str | Sequence[str]],
    *,
    cuts: Sequence[Number] = (),
    values: Mapping[str, Sequence[str | Number]] | None = None,
    universe: str = EVERYTHING,
    hard: bool = False,
    error: float | int = 0.0,
) -> list[Control]:
    """Controls that part a whole by one variable, with a target (or several to add up) for each.

    Args:
        variable: a column, or SQL that gives numbers, such as `CAST(VEH AS INT)`.
        cuts: lower bounds of the parts, ascending; the last part is open. `-inf` may come first.
        values: instead of cuts, what each part is called and the values it holds.
        universe: SQL for who is parted, such as `AGEP >= 16`.
        hard, error: of each part; see `Control`.

    Raises:
        DataError: neither cuts nor values, cuts that do not rise, values that are no lists, or too
            many or few targets.

    Example:
        >>> sizes = family("size", "tract", "household", "NP", ["a", "b"], cuts=[1, 2])
        >>> [(part.name, part.expression) for part in sizes]
        [('size 1', '(NP) >= 1 AND (NP) < 2'), ('size 2+', '(NP) >= 2')]
    """
    parts = _parts(name, variable, cuts, values or {}, len(targets), universe)
    return [
        Control(label, level, counts, _cells(target), condition, hard, name, universe, error)
        for (label, condition), target in zip(parts, targets, strict=True)
    ]


def _parts(
    name: str,
    variable: str,
    cuts: Sequence[Number],
    values: Mapping[str, Sequence[str | Number]],
    wanted: int,
    universe: str,
) -> list[tuple[str, str]]:
    """Names and conditions of the parts of a family."""
    if bool(cuts) == bool(values):
        raise DataError(f"family {name!r} needs either cuts or values")
    parts = _cut(name, variable, cuts) if cuts else _map(name, variable, values)
    if len(parts) != wanted:
        raise DataError(
            f"family {name!r} has {len(parts)} parts, {listing(label for label, _ in parts)}, "
            f"but {wanted} targets; give one for each"
        )
    if universe == EVERYTHING:
        return parts
    return [(label, f"({universe}) AND {condition}") for label, condition in parts]


def _cells(target: str | Sequence[str]) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else tuple(target)


def _cut(name: str, variable: str, cuts: Sequence[Number]) -> list[tuple[str, str]]:
    if any(low >= high for low, high in pairwise(cuts)):
        raise DataError(f"cuts of family {name!r} do not rise: {listing(map(str, cuts))}")
    whole = all(isinstance(cut, int) or math.isinf(cut) for cut in cuts)
    parts = []
    for low, high in pairwise(cuts):
        upper = f"({variable}) < {high}"
        both = upper if math.isinf(low) else f"({variable}) >= {low} AND {upper}"
        one = whole and not math.isinf(low) and high == low + 1
        label = f"<{high}" if math.isinf(low) else str(low) if one else f"{low} to <{high}"
        parts.append((f"{name} {label}", both))
    return [*parts, (f"{name} {cuts[-1]}+", f"({variable}) >= {cuts[-1]}")]


def _map(
    name: str, variable: str, values: Mapping[str, Sequence[str | Number]]
) -> list[tuple[str, str]]:
    alone = [label for label, codes in values.items() if isinstance(codes, str) or not codes]
    if alone:
        raise DataError(
            f"family {name!r}: values of {listing(alone)} are no list of codes; write "
            f'{alone[0]} = ["01", "02"]'
        )
    return [
        (f"{name} {label}", f"{variable} IN ({', '.join(_literal(value) for value in codes)})")
        for label, codes in values.items()
    ]


def _literal(value: str | Number) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
