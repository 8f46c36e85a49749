"""`sobol`: whose doing the variance of an outcome is, knob by knob, and how much of it is luck."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import polars as pl
from jaxtyping import Float

from ..errors import FittingError
from ..params import Params, html_table
from ..population import Population
from ..provenance import describe_run, identity
from ..scenario import Scenario
from .chance import generator_for
from .journal import Journal, write
from .objective import Objective
from .outcomes import Outcomes, read_outcomes, settle_outcomes
from .request import choose_fields, settle
from .sobol_design import draw_design, run_design
from .sobol_indices import Indices, RowSums, estimate
from .space import Space
from .watching import open_watch

TOGETHER, LUCK = "parameters together", "luck"
_FEWEST, _WIDE = 32, 0.2


@final
@dataclass(frozen=True)
class Sobol:
    """Shares of the variance of outcomes, where fields come from their priors.

    Columns of both tables: outcome, source, first, first_low, first_high, total, total_low and
    total_high. `first` is what knowing the source alone would take away, `total` what would stay
    if all but the source were known.

    Attributes:
        table: shares of the variance of one run, which is that of its expectation and that of its
            luck. Sources are the elements of the fields, then all of them together, then luck:
            these two add up to one.
        expected: shares of the variance of the expected outcome, element by element: the indices
            that a model without luck would have.
        values: outcomes of all runs, [row, point, run, outcome].
        runs: simulator runs.
        notes: what stands in the way of reading the tables, in words.
    """

    table: pl.DataFrame
    expected: pl.DataFrame
    values: Float[np.ndarray, "row point run outcome"] = field(repr=False)
    runs: int
    notes: tuple[str, ...] = ()

    def save(self, folder: str | Path) -> Path:
        """Write sobol.csv and expected.csv into a folder."""
        write(Path(folder) / "sobol.csv", self.table.write_csv)
        write(Path(folder) / "expected.csv", self.expected.write_csv)
        return Path(folder)

    def __str__(self) -> str:
        rows, points, runs, _ = self.values.shape
        lines = [f"Sobol indices from {rows} rows of {points} points, {runs} runs at each."]
        for row in self.table.to_dicts():
            text = f"  {row['outcome']}, {row['source']}: "
            spread = "[{0:.0%}, {1:.0%}]"
            if row["source"] in (TOGETHER, LUCK):
                ends = spread.format(row["first_low"], row["first_high"])
                lines.append(f"{text}{row['first']:.0%} {ends}")
                continue
            parts = [
                f"{name} {row[name]:.0%} {spread.format(row[f'{name}_low'], row[f'{name}_high'])}"
                for name in ("first", "total")
            ]
            lines.append(text + ", ".join(parts))
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return html_table(self.table.to_dicts())


def sobol(
    scenario: Scenario[Any, Any],
    population: Population,
    outcome: Outcomes,
    *,
    keys: Any,
    of: str = "parameter",
    fields: Sequence[str] | str | None = None,
    budget: int = 10_000,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    level: float = 0.95,
    resamples: int = 1000,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> Sobol:
    """First-order and total Sobol indices over the priors of fields, with luck as its own row.

    Fields are drawn from their priors; without one, evenly between two bounds, and from a standard
    logistic on the unconstrained scale where a side is open. The indices are those of the expected
    outcome: how a model spends its random numbers changes nothing in them. `sobol_indices` says
    how luck is kept out, and why the runs of a row share their keys and rows do not.

    Args:
        scenario: what is run.
        population: who it happens to.
        outcome: a function of the run, several by name, or names of scalar observables, whose last
            value is meant. All are read off the same runs.
        keys: runs at each point, one per key, at least two; every row derives its own from them.
            Two are best for a budget, unless luck outweighs what single fields do.
        of: role of the fields: parameter or policy.
        fields: which; all float ones of the role by default.
        budget: simulator runs that may be spent; the number of rows is the largest power of two
            for which `rows x (elements + 2) x keys` is within it.
        params: what the other fields are, if not the scenario's defaults.
        steps, every: as for `lpm.gradient`.
        level: of the bootstrap intervals.
        resamples: rows are drawn again so often.
        out: folder for a journal from which interrupted work resumes, and for the tables.
        progress: a bar; by default where a person looks.

    Raises:
        ScenarioError: unknown names, or no field.
        FittingError: one key, a budget too small, an outcome that is not finite somewhere or the
            same everywhere, a folder that holds other work, or SALib is not installed.
        SimulationError: a variable left its bounds; says at which values.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    names = choose_fields(params, of, [fields] if isinstance(fields, str) else fields)
    space = Space(params, names)
    rows = _count_rows(budget, space.size, len(words), level, resamples)
    outcomes = settle_outcomes(outcome, scenario, population, words, params, steps, every)
    levels = draw_design(rows, space.size, generator_for(words, "design"))
    about = identity(describe_run(scenario, population, params, words, steps, every, "stop")) | {
        "verb": "sobol",
        "fields": list(names),
        "outcomes": list(outcomes),
        "rows": rows,
    }
    readings = read_outcomes(outcomes)
    objective = Objective(
        scenario, (population,), readings, words, space, steps, every, Journal(out, about)
    )
    runs = rows * (space.size + 2) * len(words)
    with open_watch(progress, runs, scenario.name) as watch:
        values = run_design(objective, levels, watch)
    tables: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    for number, name in enumerate(outcomes):
        sums = RowSums.of(values[..., number])
        if not sums.expected.mean() + sums.luck.mean() > 0:
            raise FittingError(f"outcome {name!r} is the same in all {runs} runs")
        of_run, of_mean = estimate(sums, generator_for(words, f"rows of {name}"), resamples, level)
        tables.append((_table(name, space, of_run, True), _table(name, space, of_mean, False)))
    table, expected = (pl.concat(parts) for parts in zip(*tables, strict=True))
    found = Sobol(table, expected, values, runs, _notes(table, space))
    if out is not None:
        found.save(out)
    return found


def _count_rows(budget: int, size: int, runs: int, level: float, resamples: int) -> int:
    if not size:
        raise FittingError("the fields hold no elements; there is nothing to vary")
    if runs < 2:
        raise FittingError("one key cannot tell luck from parameters; give two keys or more")
    if not 0 < level < 1 or resamples < 100:
        raise FittingError(
            f"level = {level} and resamples = {resamples}; give a level between 0 and 1 and at "
            "least 100 resamples"
        )
    least = _FEWEST * (size + 2) * runs
    if budget < least:
        raise FittingError(
            f"budget = {budget} runs; {size} elements and {runs} keys need at least {least}, and "
            "some ten times that for narrow intervals"
        )
    return 2 ** int(np.log2(budget / ((size + 2) * runs)))


def _table(name: str, space: Space, found: Indices, whole: bool) -> pl.DataFrame:
    """A row per element, and two further where the shares are of a run's `whole` variance."""
    further = [TOGETHER, LUCK] if whole else []
    extra = [found.together, found.luck] if whole else []
    columns: dict[str, Any] = {
        "outcome": [name] * (space.size + len(further)),
        "source": space.labels + further,
    }
    for label, part in (("first", found.first), ("total", found.total)):
        rows = np.vstack([part, *extra])
        for ending, column in zip(("", "_low", "_high"), rows.T, strict=True):
            columns[label + ending] = column
    return pl.DataFrame(columns)


def _notes(table: pl.DataFrame, space: Space) -> tuple[str, ...]:
    notes = []
    knobs = type(space.params).knobs()
    loose = [n for n in space.fields if knobs[n].prior is None and _open(knobs[n].domain)]
    if loose:
        notes.append(
            f"{', '.join(loose)}: no prior and an open side, so that the spread is that of a "
            "standard logistic on the unconstrained scale; declare a prior."
        )
    wide = table.filter((pl.col("total_high") - pl.col("total_low")) > _WIDE)
    if wide.height:
        notes.append(
            f"Intervals of {wide.height} of {table.height} total shares are wider than "
            f"{_WIDE:.0%}; give a larger budget."
        )
    return tuple(notes)


def _open(domain: Any) -> bool:
    return domain.lower is None or domain.upper is None
