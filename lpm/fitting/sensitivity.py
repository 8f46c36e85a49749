"""`elasticities`: by how many per cent outcomes move where a knob moves by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from scipy import stats

from ..errors import FittingError
from ..params import Params, html_table
from ..population import Population
from ..scenario import Scenario
from .choosing import FEW
from .differences import Differences
from .gradients import choose_estimator, element_names, flatten
from .outcomes import Outcomes, read_outcomes, settle_outcomes
from .request import choose_fields, settle
from .runs import as_tree
from .seam import Estimator, PerRun

Rows: TypeAlias = Float[np.ndarray, "run element"]
_LEVEL = 0.95
_CLEAR = 3.0  # Standard errors above zero from which the logarithm of a mean is taken.
_RICHARDSON = -4 / 3  # Bias of a difference over what half its step adds: of second order.


@final
@dataclass(frozen=True)
class Elasticities:
    """How strongly expected outcomes answer to knobs.

    Attributes:
        table: a row per outcome and element of a field: outcome, field, `measure` (which
            derivative it is), estimate, standard_error, low and high (95 %, Student's t over the
            runs), bias and bias_standard_error of the estimator where it was measured, `value` of
            the field and `mean` of the outcome.
        estimator: of the gradients.
        runs: runs of one key each that it took; those in reverse count by their work.
        notes: what stands in the way of reading the table, in words.
    """

    table: pl.DataFrame
    estimator: str
    runs: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"Elasticities by {self.estimator}, {self.runs} runs."]
        for row in self.table.to_dicts():
            text = f"  {row['outcome']} by {row['field']}, {row['measure']}: {row['estimate']:.3g}"
            text += f" ({row['standard_error']:.2g})"
            if row["bias"] is not None:
                text += f", bias {row['bias']:.2g} ({row['bias_standard_error']:.2g})"
            lines.append(text)
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return html_table(self.table.to_dicts())


def elasticities(
    scenario: Scenario[Any, Any],
    population: Population,
    outcome: Outcomes,
    *,
    keys: Any,
    estimator: str | Estimator = "crn",
    of: str = "parameter",
    fields: Sequence[str] | str | None = None,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    step: float | Mapping[str, float] = 0.05,
) -> Elasticities:
    """Derivatives d log y / d log x of expected outcomes y, with errors and their measured bias.

    x is a field, y the mean over runs. Where a value may be zero or negative a plain
    derivative stands in its place, and `measure` says so: of a field that is zero, or whose bounds
    allow negative values; of an outcome that is negative in some run, or whose mean is within
    three standard errors of zero.

    The bias of `crn` is told by differences of half the step (Richardson: four thirds of what they
    differ by, of the opposite sign). That of another estimator is its distance from `crn` over the
    same keys, measured up to ten elements, and not known beyond.

    Args:
        scenario, population, keys, estimator, of, fields, params, steps, every, step: as for
            `lpm.gradient`.
        outcome: a function of the run, as a loss; several by name; or names of scalar observables,
            whose last value is meant. Differences of all of them share their runs.

    Raises:
        ScenarioError: as `lpm.gradient`.
        FittingError: as `lpm.gradient`, or no outcome.
        SimulationError: a variable left its bounds.

    Example:
        >>> found = elasticities(scenario, town, "attack_rate", keys=keys)  # doctest: +SKIP
        >>> found.table  # doctest: +SKIP
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    names = choose_fields(params, of, [fields] if isinstance(fields, str) else fields)
    outcomes = settle_outcomes(outcome, scenario, population, words, params, steps, every)
    method, label = choose_estimator(estimator, step)

    def each(method: Estimator) -> list[PerRun]:
        asked = (words, params, names, steps, every)
        if isinstance(method, Differences):
            return method.of_each(scenario, population, read_outcomes(outcomes), *asked)
        return [method(scenario, population, as_tree(f), *asked) for f in outcomes.values()]

    places = Places.of(params, names)
    found, notes = each(method), []
    cost = found[0].cost if isinstance(method, Differences) else sum(one.cost for one in found)
    biases: list[Rows | None] = [None] * len(found)
    if isinstance(method, Differences):
        biases = [_RICHARDSON * flatten(one.gaps, lead=1) if one.gaps else None for one in found]
    elif len(places.labels) <= FEW:
        reference = each(Differences(step))
        cost += reference[0].cost
        biases = [_apart(a, b) for a, b in zip(found, reference, strict=True)]
    else:
        notes.append(f"The bias of {label} is not known: differences take two runs per element.")
    table = pl.concat(
        _tabulate(name, label, one, bias, places)
        for name, one, bias in zip(outcomes, found, biases, strict=True)
    )
    return Elasticities(table, label, round(cost / (steps * population.capacity)), tuple(notes))


@dataclass(frozen=True)
class Places:
    """Where derivatives are taken, element by element.

    Attributes:
        labels: names of the elements.
        values: in their own units.
        positive: whether an element is, and can only be, above zero.
    """

    labels: list[str]
    values: Float[np.ndarray, " element"]
    positive: Bool[np.ndarray, " element"]

    @classmethod
    def of(cls, params: Params, names: Sequence[str]) -> "Places":
        """Those of some fields."""
        chosen = {name: np.asarray(getattr(params, name)) for name in names}
        lowest = {name: type(params).knobs()[name].domain.lower for name in names}
        allowed = {n: np.full(x.shape, (lowest[n] or 0) >= 0) for n, x in chosen.items()}
        allowed = {n: x & (lowest[n] is not None) for n, x in allowed.items()}
        values = flatten(chosen)
        return cls(element_names(chosen), values, (flatten(allowed) > 0) & (values > 0))


def _tabulate(
    name: str, label: str, found: PerRun, bias: Rows | None, places: Places
) -> pl.DataFrame:
    """The rows of one outcome."""
    slopes = flatten(found.gradients, lead=1)
    bad = np.argwhere(~np.isfinite(slopes))
    if len(bad):
        raise FittingError(
            f"the gradient of {name!r} by {places.labels[bad[0][1]]} is not finite under {label} "
            f"in run {bad[0][0]}; estimator='crn' does without"
        )
    values, runs = np.asarray(found.values, np.float64), len(slopes)
    mean, error = float(values.mean()), float(_standard_error(values[:, None])[0])
    logarithm = bool(values.min() >= 0) and mean > (_CLEAR * error if runs > 1 else 0.0)
    unit = np.where(places.positive, places.values, 1.0) / (mean if logarithm else 1.0)
    # The mean of the outcome varies as well: the delta method for a ratio.
    drift = values[:, None] / mean - 1 if logarithm else np.zeros((runs, 1))
    columns: dict[str, Any] = {}
    for ends, rows in (("estimate", slopes), ("bias", bias)):
        middle = np.full(slopes.shape[1], np.nan) if rows is None else rows.mean(axis=0)
        spread = middle if rows is None else _standard_error(rows - drift * middle)
        columns[ends], columns[f"{ends}_standard_error"] = middle * unit, spread * np.abs(unit)
    reach = float(stats.t.ppf((1 + _LEVEL) / 2, runs - 1)) if runs > 1 else np.nan
    estimate, wide = columns["estimate"], reach * columns["estimate_standard_error"]
    above = "d log y" if logarithm else "d y"
    measures = [f"{above} / d log x" if p else f"{above} / d x" for p in places.positive]
    head = {"outcome": [name] * len(measures), "field": places.labels, "measure": measures}
    tail = {"value": places.values, "mean": np.full(len(measures), mean)}
    columns["standard_error"] = columns.pop("estimate_standard_error")
    columns |= {"low": estimate - wide, "high": estimate + wide}
    order = ("estimate", "standard_error", "low", "high", "bias", "bias_standard_error")
    numbers = {key: columns[key] for key in order}
    return pl.DataFrame(head | numbers | tail).with_columns(pl.col(order).fill_nan(None))


def _apart(mine: PerRun, theirs: PerRun) -> Rows:
    """Gradients less those of differences, run by run."""
    return flatten(mine.gradients, lead=1) - flatten(theirs.gradients, lead=1)


def _standard_error(rows: Rows) -> Float[np.ndarray, " element"]:
    if len(rows) < 2:
        return np.full(rows.shape[1], np.nan)
    return rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
