"""A fit and the people drawn from it as one page: accuracy, noise, weights, copies, provenance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from ..population.accuracy import INSIDE, compare_totals, fit_cells
from ..population.weight_spread import expansion_factors
from ..population.weighting import Fitted
from .page import Illustration, figure, page, section
from .picture import picture_of
from .population_plots import plot_expansion, plot_noise, plot_pyramid, plot_shares, plot_totals
from .population_tables import (
    accuracy_table,
    infeasible_table,
    joints_table,
    privacy_note,
    reconciled_table,
    sources_table,
    spread_table,
    worst_table,
)


@final
@dataclass(frozen=True)
class Comparison:
    """Drawn people beside what they are compared with.

    Attributes:
        drawn: from `drawn_ages` or `drawn_sizes`.
        reference: a published table with the same columns, or from `survey_ages`, `survey_sizes`.
        of_reference: what the reference is, in a word or two.
    """

    drawn: pl.DataFrame
    reference: pl.DataFrame | None = None
    of_reference: str = "published"


@final
@dataclass(frozen=True)
class FitStory:
    """What a report of a fit tells.

    Attributes:
        name: of the place.
        fitted: weights and what they had to meet.
        families: the table each control belongs to; see `compare_totals`.
        counts: how often each record was drawn in each zone, from `drawn_counts`.
        ages: people by sex and age.
        sizes: households by size.
        joints: scores of joints that were not fitted, from `k_marginal`.
        notes: of the survey and of the reading, one line each.
        provenance: files, survey and years, one line each.
    """

    name: str
    fitted: Fitted
    families: Mapping[str, str] = field(default_factory=dict)
    counts: Int[np.ndarray, "zone record"] | None = None
    ages: Comparison | None = None
    sizes: Comparison | None = None
    joints: pl.DataFrame | None = None
    notes: Sequence[str] = ()
    provenance: Sequence[str] = ()


def population_figures(story: FitStory) -> list[Illustration]:
    """All figures that the story allows."""
    fitted = story.fitted
    cells = fit_cells(fitted, story.families)
    told = "Each point is one total of one zone; on the line, reached equals published."
    found = [
        Illustration("totals", "Reached against published", told, picture_of(plot_totals(cells)))
    ]
    if cells["z"].is_not_null().any():
        told = (
            f"Shaded: {INSIDE} standard errors to either side, where nine of ten belong if totals "
            "differ by their noise alone; the line is the normal curve. Outer bars hold the rest."
        )
        found.append(
            Illustration("noise", "Differences against noise", told, picture_of(plot_noise(cells)))
        )
    factors = expansion_factors(fitted.problem, fitted.weights)
    told = "1: the record stands for as many as the survey says. A long tail rests on few records."
    found.append(Illustration("expansion", "Weights", told, picture_of(plot_expansion(factors))))
    if story.ages is not None:
        found.append(_pyramid(story.ages))
    if story.sizes is not None:
        found.append(_sizes(story.sizes))
    return found


def population_report(story: FitStory, illustrations: Sequence[Illustration]) -> str:
    """The page, with everything inside it: no other file and no network is needed."""
    fitted, counts = story.fitted, story.counts
    cells = fit_cells(fitted, story.families)
    parts = [section("How near the totals", accuracy_table(cells))]
    parts += [figure(picture) for picture in illustrations]
    if counts is not None:
        drawn = compare_totals(fitted.problem, counts, story.families)
        parts.append(section("After drawing whole households", accuracy_table(drawn)))
    parts += [
        section("Largest differences", worst_table(cells)),
        section("Totals that cannot be met", infeasible_table(fitted.infeasible)),
        section("Totals that were changed", reconciled_table(fitted.reconciled)),
        section("How far weights are spread", spread_table(fitted)),
    ]
    if story.joints is not None:
        parts.append(section("Joints that were not fitted", joints_table(story.joints)))
    if counts is not None:
        parts.append(section("Copies of survey records", privacy_note(counts)))
    sources = sources_table(fitted, story.notes, story.provenance)
    parts.append(section("Where this came from", sources))
    return page(story.name, "A population and what it had to meet", _size(story), parts)


def _size(story: FitStory) -> str:
    problem = story.fitted.problem
    levels = ", ".join(f"{len(level.zones):,} of {level.name}" for level in problem.levels)
    controls = sum(level.target.size for level in problem.levels)
    told = f"{len(problem.prior):,} survey records; zones: {levels}; {controls:,} totals"
    drawn = "" if story.counts is None else f"; {int(story.counts.sum()):,} records drawn"
    return f"{told}{drawn}."


def _pyramid(ages: Comparison) -> Illustration:
    sexes = ages.drawn["sex"].unique(maintain_order=True).to_list()
    first = ages.drawn["from"].unique(maintain_order=True).to_list()
    bands = [f"{a}-{b - 1}" for a, b in pairwise(first)] + [f"{first[-1]}+"]

    def grid(frame: pl.DataFrame) -> Float[np.ndarray, "sex band"]:
        keys = ages.drawn.select("sex", "from")
        kept = keys.join(frame, on=["sex", "from"], how="left", maintain_order="left")
        counts = kept["people"].cast(pl.Float64).fill_null(0.0)
        return counts.to_numpy().reshape(len(sexes), len(first))

    reference = None if ages.reference is None else grid(ages.reference)
    axes = plot_pyramid(grid(ages.drawn), bands, sexes, reference, of_reference=ages.of_reference)
    return Illustration(
        "ages", "Ages", "Bars: drawn people; five-year bands of age.", picture_of(axes)
    )


def _sizes(sizes: Comparison) -> Illustration:
    names = [str(size) for size in sizes.drawn["size"].to_list()]
    names[-1] += "+"
    reference = None
    if sizes.reference is not None:
        both = sizes.drawn.select("size").join(
            sizes.reference, on="size", how="left", maintain_order="left"
        )
        reference = both["households"].cast(pl.Float64).fill_null(0.0).to_numpy()
    drawn = sizes.drawn["households"].cast(pl.Float64).to_numpy()
    axes = plot_shares(drawn, names, reference, of_reference=sizes.of_reference)
    return Illustration("sizes", "Household sizes", "Bars: drawn households.", picture_of(axes))
