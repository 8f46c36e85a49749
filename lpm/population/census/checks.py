"""Households and persons that agree: keys, weights, sizes, and records that were split."""

from collections.abc import Sequence

import polars as pl

from lpm.errors import DataError, listing

DUPLICATES = ("refuse", "merge")


def merge_duplicates(
    frame: pl.DataFrame, keys: Sequence[str], weight: str, owner: str, duplicates: str
) -> tuple[pl.DataFrame, list[str]]:
    """One row per key. Rows alike but for the weight become one with their weights added up.

    Replicate weights are kept once, not added: they were not split.

    Raises:
        DataError: rows share a key and are to be refused, or differ in more than the weight.
    """
    if duplicates not in DUPLICATES:
        raise DataError(f"duplicates is {duplicates!r}; it is one of {listing(DUPLICATES)}")
    double = frame.select(keys).is_duplicated()
    if not double.any():
        return frame, []
    first = frame.filter(double).select(keys).row(0)
    rows, distinct = int(double.sum()), frame.filter(double).select(keys).n_unique()
    what = (
        f"{owner} ({frame.height:,} rows): {distinct:,} {listing(keys)} occur more than once, "
        f"in {rows:,} rows, the first {listing(map(str, first))}"
    )
    if duplicates == "refuse":
        raise DataError(f"{what}; keys are unique. If records were split, say duplicates='merge'")
    others = [name for name in frame.columns if name not in (*keys, weight)]
    alike = frame.filter(double).unique([*keys, *others])
    if alike.height > distinct:
        raise DataError(f"{what}; they differ in {listing(_varying(frame, keys, others))}")
    kept = [pl.first(name) for name in others]
    merged = frame.group_by(keys, maintain_order=True).agg(pl.col(weight).sum(), *kept)
    return merged.select(frame.columns), [f"{what}; weights added up, replicates kept once"]


def check_weights(
    frame: pl.DataFrame, weight: str, owner: str, *, drop_zero: bool = False
) -> tuple[pl.DataFrame, list[str]]:
    """Rows with positive weights.

    Raises:
        DataError: a weight is missing, negative, or zero where zero is not to be dropped.
    """
    low = pl.col(weight) < 0 if drop_zero else pl.col(weight) <= 0
    wrong = frame.select((low | ~pl.col(weight).is_finite()).fill_null(value=True)).to_series()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{owner} ({frame.height:,} rows): column {weight} is {frame[weight][row]} in row "
            f"{row} and not positive in {wrong.sum()} rows; a weight is how many it stands for"
        )
    kept = frame.filter(pl.col(weight) > 0) if drop_zero else frame
    lost = frame.height - kept.height
    return kept, [f"{owner}: {lost} rows with weight 0 dropped"] if lost else []


def check_homes(
    households: pl.DataFrame, persons: pl.DataFrame, key: str, owners: tuple[str, str]
) -> None:
    """Insist that every person has a household.

    Raises:
        DataError: some have none.
    """
    lost = ~persons[key].is_in(households[key].implode())
    lost = lost.fill_null(value=True)
    if lost.any():
        row = int(lost.to_numpy().argmax())
        raise DataError(
            f"{owners[1]} ({persons.height:,} rows): {lost.sum():,} persons have a {key} that is "
            f"not in {owners[0]} ({households.height:,} rows), the first {persons[key][row]!r} in "
            f"row {row}; give the two files of one survey, complete"
        )


def check_sizes(
    households: pl.DataFrame,
    persons: pl.DataFrame,
    key: str,
    size: str,
    owners: tuple[str, str],
    title: str = "",
) -> None:
    """Insist that every household has as many persons as it says.

    `title` is what the file calls `size`, where another name.

    Raises:
        DataError: some have not.
    """
    present = persons.group_by(key).agg(present=pl.len().cast(pl.Int64))
    both = households.select(key, size).join(present, on=key, how="left", maintain_order="left")
    present_, said = both["present"].fill_null(0), both[size]
    wrong = (present_ != said).fill_null(value=True)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{owners[0]} ({households.height:,} rows): column {title or size} is {said[row]} in "
            f"row {row} ({key} {both[key][row]!r}) but {owners[1]} ({persons.height:,} rows) has "
            f"{present_[row]} persons of it; the two disagree in {wrong.sum():,} households. "
            "Is the person file complete?"
        )


def _varying(frame: pl.DataFrame, keys: Sequence[str], others: Sequence[str]) -> list[str]:
    groups = frame.select(keys).n_unique()
    return [name for name in others if frame.select([*keys, name]).n_unique() > groups]
