"""A recipe carried out up to the weights: files read, controls assembled, totals met."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import DataError

from .census import Block, assemble, read_acs, read_pums, read_survey, wide_targets
from .census.expressions import check_codes, parse
from .census.incidence import persons_of
from .drawing import Part
from .recipe import Recipe
from .sample import Sample
from .tables import as_table, require
from .weighting import Fitted, Level, Problem, choose_slack, fit_weights, zone_priors
from .weighting.climb import Progress

_NAMES = ("zone", "control", "geo_id", "cell", "home", "work")  # Columns of long tables.


@final
@dataclass(frozen=True)
class Built:
    """Survey records and their weights in every zone.

    Attributes:
        recipe: what was asked for.
        sample: the survey in the areas of the zones, its persons with the columns of the recipe.
        blocks: zones that share records, and their totals.
        fitted: weights of each block.
    """

    recipe: Recipe
    sample: Sample
    blocks: Sequence[Block]
    fitted: Sequence[Fitted]

    @property
    def parts(self) -> list[Part]:
        """Records of each block and their weights."""
        return [(b.records, f) for b, f in zip(self.blocks, self.fitted, strict=True)]

    @property
    def members(self) -> Float[np.ndarray, " record"]:
        """Persons in each record of the sample: of a household, or one in group quarters."""
        homes = self.sample.households.select("household_id")
        sizes = self.sample.persons.group_by("household_id").len()
        sizes = homes.join(sizes, on="household_id", how="left", maintain_order="left")
        inside = sizes["len"].fill_null(0).to_numpy().astype(float)
        return np.concatenate([inside, np.ones(self.sample.quarters.height)])

    @property
    def people(self) -> float:
        """Persons that the weights stand for, those in group quarters included."""
        members = self.members
        return float(sum((f.weights @ members[rows]).sum() for rows, f in self.parts))


def fit_recipe(recipe: Recipe, progress: Progress | None = None) -> Built:
    """Read the files of a recipe and fit the weights.

    Args:
        recipe: from `read_recipe`.
        progress: called with the number of zones settled and of all.

    Raises:
        DataError: files and controls do not go together.
        FittingError: exact totals cannot be met within the bounds.
    """
    survey = _survey(recipe)
    blocks = assemble(survey, recipe.controls, read_tables(recipe), recipe.zones)
    sample, blocks = _within_reach(_with_columns(survey, recipe), blocks)
    if not sample.persons.is_empty():
        require(sample.quarters, "quarters", recipe.draw.get("quarters_by", ()))
    total, done = sum(len(block.problem.zones) for block in blocks), 0
    fitted = []
    for block in blocks:
        told = None if progress is None else _Told(progress, done, total)
        prior = zone_priors(block.problem, block.eligible)
        slack = recipe.slack
        if slack is None:
            slack = choose_slack(block.problem, prior=prior)
        fitted.append(
            fit_weights(
                block.problem, prior=prior, slack=slack, bounds=recipe.bounds, progress=told
            )
        )
        done += len(block.problem.zones)
    return Built(recipe, sample, blocks, fitted)


def read_sample(recipe: Recipe) -> Sample:
    """The survey of a recipe, its persons with the recipe's columns.

    Raises:
        DataError: a file or an expression is not what it should be.
    """
    return _with_columns(_survey(recipe), recipe)


def read_tables(recipe: Recipe) -> pl.DataFrame | dict[str, pl.DataFrame]:
    """The published totals of a recipe: of all levels, or by level.

    Raises:
        DataError: a file cannot be read as what it is said to be.
    """
    finest = recipe.zones.columns[0]
    found = {
        level: read_table(kind, path, level or finest)
        for level, (kind, path) in recipe.tables.items()
    }
    everywhere = found.get("")
    return found if everywhere is None else everywhere


def read_table(kind: str, path: Path, level: str = "") -> pl.DataFrame:
    """A table of a recipe: a folder of ACS tables, or a CSV or parquet file, long or wide.

    Names are text even where they look like numbers, so that 01 stays 01.

    Raises:
        DataError: it cannot be read as what it is said to be.
    """
    if kind == "acs":
        return read_acs(path)
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, level)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    return wide_targets(frame, level) if kind == "wide" else as_table(frame, str(path))


def _read_csv(path: Path, level: str) -> pl.DataFrame:
    titles = pl.read_csv(path, n_rows=0, infer_schema=False).columns
    names = {name: pl.String for name in titles if name in (*_NAMES, level)}
    return pl.read_csv(path, schema_overrides=names, infer_schema_length=None)


def whole_fit(built: Built) -> Fitted:
    """The fits of all blocks as one over all records of the sample, as a report wants them."""
    if len(built.fitted) == 1 and len(built.blocks[0].records) == built.sample.num_records:
        return built.fitted[0]
    count = built.sample.num_records
    fits, rows = built.fitted, [block.records for block in built.blocks]
    prior = np.zeros(count)
    for each, fitted in zip(rows, fits, strict=True):
        prior[each] = fitted.problem.prior
    levels = [
        _joined([f.problem.levels[i] for f in fits], rows, count)
        for i in range(len(fits[0].problem.levels))
    ]
    return Fitted(
        problem=Problem(prior, tuple(levels)),
        weights=np.concatenate(
            [_spread(f.weights, each, count) for f, each in zip(fits, rows, strict=True)]
        ),
        gap=np.concatenate([f.gap for f in fits]),
        infeasible=pl.concat([f.infeasible for f in fits]),
        reconciled=pl.concat([f.reconciled for f in fits]),
        rules=fits[0].rules,
        notes=tuple(note for f in fits for note in f.notes),
    )


@dataclass(frozen=True)
class _Told:
    """Progress of one block as progress of the whole."""

    progress: Progress
    before: int
    total: int

    def __call__(self, settled: int, _: int) -> None:
        self.progress(self.before + settled, self.total)


def _joined(levels: Sequence[Level], rows: Sequence[np.ndarray], count: int) -> Level:
    first = np.cumsum([0, *(len(level.zones) for level in levels)])
    incidence = np.zeros((count, len(levels[0].controls)))
    for level, each in zip(levels, rows, strict=True):
        incidence[each] = level.incidence
    return Level(
        levels[0].name,
        tuple(zone for level in levels for zone in level.zones),
        levels[0].controls,
        incidence,
        np.concatenate([level.target for level in levels]),
        np.concatenate([level.error for level in levels]),
        np.concatenate([level.zone_of + at for level, at in zip(levels, first[:-1], strict=True)]),
    )


def _spread(weights: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    whole = np.zeros((len(weights), count))
    whole[:, rows] = weights
    return whole


def _asked(recipe: Recipe) -> list[str]:
    """Variables of PUMS that the controls and columns of a recipe name."""
    texts = [*(c.expression for c in recipe.controls), *(c.universe for c in recipe.controls)]
    texts += recipe.columns.values()
    names = {n for text in texts for n in parse(text, recipe.path.name).meta.root_names()}
    return sorted((names | set(recipe.draw.get("quarters_by", ()))) - {"TYPEHUGQ"})


def _survey(recipe: Recipe) -> Sample:
    """The survey as it is, which the controls are about."""
    survey = recipe.survey
    if "schema" in survey:
        return read_survey(survey["schema"][0])
    return read_pums(
        survey["households"],
        survey.get("persons"),
        columns=_asked(recipe),
        duplicates=survey.get("duplicates", "refuse"),
    )


def _with_columns(sample: Sample, recipe: Recipe) -> Sample:
    """The sample with the columns of the recipe in place of others of their names."""
    if sample.persons.is_empty():
        return sample
    people = persons_of(sample).frame
    values = pl.DataFrame(
        [
            _column(people, name, text, f"{recipe.path.name} [columns] {name} = {text!r}")
            for name, text in recipe.columns.items()
        ]
    )
    inside = sample.persons.height
    homes = sample.households
    return replace(
        sample,
        households=homes.drop([name for name in recipe.columns if name in homes.columns]),
        persons=_extended(sample.persons, values.head(inside)),
        quarters=_extended(sample.quarters, values.tail(values.height - inside)),
    )


def _within_reach(sample: Sample, blocks: Sequence[Block]) -> tuple[Sample, list[Block]]:
    """The sample without records that no zone may have, and blocks that number what is left."""
    kept = np.unique(np.concatenate([block.records for block in blocks]))
    lost = sample.num_records - len(kept)
    if not lost:
        return sample, list(blocks)
    first = sample.households.height
    homes = sample.households[kept[kept < first]]
    smaller = replace(
        sample,
        households=homes,
        persons=sample.persons.join(
            homes.select("household_id"), on="household_id", how="semi", maintain_order="left"
        ),
        quarters=sample.quarters[kept[kept >= first] - first],
        notes=(*sample.notes, f"{lost:,} records are from areas without zones and left out"),
    )
    return smaller, [replace(b, records=np.searchsorted(kept, b.records)) for b in blocks]


def _extended(frame: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    return frame.drop([n for n in values.columns if n in frame.columns]).hstack(values)


def _column(people: pl.DataFrame, name: str, expression: str, where: str) -> pl.Series:
    """A column of the recipe: yes or no (a blank is no), whole or other numbers, or text."""
    try:
        series = people.with_columns(parse(expression, where).alias(name))[name]
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{where}: {str(error).strip().splitlines()[0]}") from error
    check_codes(people, expression, where)
    if series.dtype == pl.Boolean:
        return series.fill_null(value=False)
    if series.null_count():
        raise DataError(
            f"{where} is blank for {series.null_count():,} of {series.len():,} persons; "
            "write COALESCE(..., 0) where a question does not apply"
        )
    whole = series.dtype.is_float() and bool((series == series.round()).all())
    return series.cast(pl.Int64) if whole else series
