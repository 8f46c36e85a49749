"""Household surveys of any country as a sample of households and persons."""

from pathlib import Path

import polars as pl

from ..sample import Sample
from .checks import check_homes, check_sizes, check_weights, merge_duplicates
from .schema import SurveySchema, read_schema
from .survey_file import MARK, SIZE, read_survey_file, with_standard_replicates

_KEY = "household_id"
_EVERYWHERE = "all"
_FIRST = (_KEY, "person_number", "area", "weight")


def read_survey(schema: SurveySchema | str | Path) -> Sample:
    """The sample a schema describes; a path is that of a TOML file (see `read_schema`).

    Keys and codes are text. Replicate weights of any method are moved so that the formula of
    successive differences, 4 / replicates, gives their errors.

    Raises:
        DataError: the files do not hold what the schema says; names file, rows, column and value.
    """
    if not isinstance(schema, SurveySchema):
        schema = read_schema(schema)
    homes, owner, notes = _homes(schema)
    people, source, more = _people(schema, homes)
    if schema.persons is not None:
        if schema.persons.orphans == "drop":
            count = people.height
            people = people.join(homes.select(_KEY), on=_KEY, how="semi", maintain_order="left")
            more.append(f"{source}: {count - people.height:,} persons without household dropped")
        check_homes(homes, people, _KEY, (owner, source))
        if schema.households.size:
            title = schema.households.size
            check_sizes(homes, people, _KEY, SIZE, (owner, source), title)
    homes, vacant = _occupied(homes, schema, owner)
    return _split(homes, people, schema, (*notes, *more, *vacant), (owner, source))


def _homes(schema: SurveySchema) -> tuple[pl.DataFrame, str, list[str]]:
    file = schema.households
    homes, owner, notes = read_survey_file(file, schema.quarters)
    if not file.weight:
        notes.append(f"{owner}: no weight is declared; every household stands for one")
        homes = homes.with_columns(weight=pl.lit(1.0))
    if not file.area:
        notes.append(f"{owner}: no area is declared; all records may be drawn everywhere")
        homes = homes.with_columns(area=pl.lit(_EVERYWHERE))
    if MARK not in homes.columns:
        homes = homes.with_columns(pl.lit(value=False).alias(MARK))
    homes, merged = merge_duplicates(homes, [_KEY], "weight", owner, file.duplicates)
    homes, moved = with_standard_replicates(homes, file.replicates)
    return homes, owner, notes + merged + moved


def _people(schema: SurveySchema, homes: pl.DataFrame) -> tuple[pl.DataFrame, str, list[str]]:
    if schema.persons is None:
        empty = pl.DataFrame(
            schema={_KEY: pl.String, "person_number": pl.Int64, "weight": pl.Float64}
        )
        return empty, "", [f"{schema.name}: no person file; the sample has no persons"]
    people, owner, notes = read_survey_file(schema.persons)
    if "person_number" not in people.columns:
        people = people.with_columns(person_number=pl.int_range(1, pl.len() + 1).over(_KEY))
        notes.append(f"{owner}: persons are numbered in the order of the file")
    if "weight" not in people.columns:
        weights = homes.select(_KEY, "weight", *({"replicates"} & set(homes.columns)))
        people = people.join(weights, on=_KEY, how="left", maintain_order="left")
        people = people.with_columns(pl.col("weight").fill_null(1.0))
        notes.append(f"{owner}: persons have the weight of their household")
    people, more = merge_duplicates(
        people, [_KEY, "person_number"], "weight", owner, schema.persons.duplicates
    )
    people, moved = with_standard_replicates(people, schema.persons.replicates)
    return people, owner, notes + more + moved


def _occupied(
    homes: pl.DataFrame, schema: SurveySchema, owner: str
) -> tuple[pl.DataFrame, list[str]]:
    """Rows with persons; vacant units are dropped."""
    if not schema.households.size:
        return homes, []
    kept = homes.filter((pl.col(SIZE) > 0) | pl.col(MARK))
    lost = homes.height - kept.height
    return kept, [f"{owner}: {lost:,} vacant units dropped"] if lost else []


def _split(
    homes: pl.DataFrame,
    people: pl.DataFrame,
    schema: SurveySchema,
    notes: tuple[str, ...],
    owners: tuple[str, str],
) -> Sample:
    marked = homes.filter(pl.col(MARK)).select(_KEY, "area")
    homes = homes.filter(~pl.col(MARK)).drop(MARK, SIZE, strict=False)
    drop = schema.households.zero_weights == "drop"
    homes, light = check_weights(homes, "weight", owners[0], drop_zero=drop)
    notes = (*notes, *light)
    if schema.persons is not None:
        drop = schema.persons.zero_weights == "drop"
        people, light = check_weights(people, "weight", owners[1], drop_zero=drop)
        notes = (*notes, *light)
    quarters = people.join(marked, on=_KEY, how="inner", maintain_order="left")
    inside = people.join(homes.select(_KEY), on=_KEY, how="semi", maintain_order="left")
    first = [name for name in _FIRST if name in quarters.columns]
    quarters = quarters.select(*first, pl.exclude(first))
    provenance = (*(owner for owner in owners if owner), schema.name)
    return Sample(homes, inside, quarters, notes, provenance)
