"""Attributes of households that are made from their persons."""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from lpm.errors import DataError, listing, unknown

from ..sample import Sample
from .expressions import evaluate

_KEY = "household_id"


def with_count(sample: Sample, name: str, where: str | pl.Expr) -> Sample:
    """The sample with a column of households: how many of its persons are such.

    For instance its workers: `with_count(sample, "workers", "ESR IN ('1', '2', '4', '5')")`.

    Raises:
        DataError: the expression is wrong, or households have such a column.
    """
    _check_new(sample, [name])
    chosen = sample.persons.filter(_such(sample, name, where))
    counts = chosen.group_by(_KEY).agg(pl.len().cast(pl.Int64).alias(name))
    homes = sample.households.join(counts, on=_KEY, how="left", maintain_order="left")
    return replace(sample, households=homes.with_columns(pl.col(name).fill_null(0)))


def with_member(sample: Sample, columns: Mapping[str, str], where: str | pl.Expr) -> Sample:
    """The sample with columns of households taken from one of its persons, null where none is such.

    For instance the householder's age: `with_member(sample, {"head_age": "AGEP"},
    "RELSHIPP = '20'")`.

    Args:
        columns: name in households, and in persons.

    Raises:
        DataError: the expression is wrong, a column is there already or not there, or a household
            has several such persons.
    """
    _check_new(sample, list(columns))
    missing = [name for name in columns.values() if name not in sample.persons.columns]
    if missing:
        raise DataError(unknown("persons", "column", missing, sample.persons.columns))
    chosen = sample.persons.filter(_such(sample, listing(columns), where))
    double = chosen[_KEY].is_duplicated()
    if double.any():
        raise DataError(
            f"{chosen.filter(double)[_KEY].n_unique():,} households have several persons with "
            f"{where!r}, the first household_id {chosen[_KEY].filter(double)[0]!r}; one is wanted"
        )
    taken = chosen.select(_KEY, **{name: pl.col(source) for name, source in columns.items()})
    homes = sample.households.join(taken, on=_KEY, how="left", maintain_order="left")
    return replace(sample, households=homes)


def _such(sample: Sample, name: str, where: str | pl.Expr) -> pl.Series:
    return evaluate(sample.persons, where, "persons", f"column {name!r}").cast(pl.Boolean)


def _check_new(sample: Sample, names: list[str]) -> None:
    there = [name for name in names if name in sample.households.columns]
    if there:
        raise DataError(f"households have {listing(there)} already; take another name")
