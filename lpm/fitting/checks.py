"""`check_gradient`: an estimator against differences with common random numbers, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError
from ..params import Params, html_table
from ..population import Population
from ..scenario import Scenario
from .differences import Differences
from .gradients import Gradient, choose_estimator, element_names, estimate, flatten
from .intervals import cosine_interval, ratio_interval
from .request import choose_fields, settle
from .runs import check_loss
from .seam import Estimator, Loss
from .stencils import unit_length
from .tangents import random_direction, tangent_norms

RATIO, COSINE = (0.9, 1.1), 0.95
_HOPELESS = 1e4  # Variance at equal cost, relative to differences, that no number of runs mends.
_EXPLODED = 1e3  # A tangent that grows by more than this in a run is said to explode.


@dataclass(frozen=True)
class GradientCheck:
    """Whether an estimator's gradient is that of differences, as far as the runs can tell.

    A field is `right` where the whole 95 % interval of its ratio lies in [0.9, 1.1], `wrong` where
    none of it does or a gradient is not finite, and `undecided` between, or where differences of
    half the step disagree by more than a tenth (beyond two standard errors). What is undecided and
    has 10,000 times the variance of differences at equal cost is `too noisy`: no number of runs
    helps, as with tangents that explode. The cosine is judged by its interval against 0.95.

    Attributes:
        passed: true where everything is right, false where anything is wrong or too noisy, else
            `None`: more keys decide.
        table: a row per element of a field: both estimates with their standard errors, their ratio
            with its interval (Fieller's, over pairs with the same key), `z` of their difference,
            `relative_variance` (variance times cost, relative to differences) and `verdict`.
        cosine: between both gradients on the unconstrained scale, and its 95 % interval.
        tangent: norm of the state's tangent by row, along a random direction; `None` for an
            estimator that has none.
        estimate, reference: both gradients.
    """

    passed: bool | None
    table: pl.DataFrame
    cosine: tuple[float, float, float]
    tangent: pl.DataFrame | None
    estimate: Gradient
    reference: Gradient

    def __str__(self) -> str:
        outcome = {True: "passes", False: "FAILS", None: "is undecided"}[self.passed]
        lines = [f"{self.estimate.estimator} {outcome} against crn, over {self._runs} keys."]
        for row in self.table.to_dicts():
            lines.append(
                f"  {row['field']}: {row['estimate']:.4g} ({row['standard_error']:.2g}) for "
                f"{row['crn']:.4g} ({row['crn_standard_error']:.2g}), ratio {row['ratio']:.3g} in "
                f"[{row['low']:.3g}, {row['high']:.3g}]: {row['verdict']}"
            )
        value, low, high = self.cosine
        lines.append(f"  cosine {value:.3f} in [{low:.3f}, {high:.3f}], wanted above {COSINE}")
        if self.passed is None:
            lines.append("  More keys would decide; so may a larger population.")
        return "\n".join([*lines, *self._growth()])

    def _growth(self) -> list[str]:
        if self.tangent is None:
            return []
        time, norms = self.tangent.columns[0], self.tangent["norm"].to_numpy()
        if not np.isfinite(norms).all():
            row = int(np.argmax(~np.isfinite(norms)))
            return [f"  Tangents are not finite from {time} {self.tangent[time][row]} on."]
        top, first = int(norms.argmax()), norms[norms > 0][:1]
        if not first.size:
            return ["  No tangent reaches the state: the run does not depend on these fields."]
        word = "explode" if norms[top] > _EXPLODED * first[0] else "grow"
        return [
            f"  Tangents {word} from {first[0]:.2g} to {norms[top]:.2g} at {time} "
            f"{self.tangent[time][top]}."
        ]

    @property
    def _runs(self) -> int:
        return len(next(iter(self.estimate.runs.values())))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>{html_table(self.table.to_dicts())}"


def check_gradient(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    *,
    keys: Any,
    estimator: str | Estimator,
    of: str = "parameter",
    fields: Sequence[str] | None = None,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    combine: str = "mean",
    step: float | Mapping[str, float] = 0.05,
) -> GradientCheck:
    """Compare an estimator with differences over the same keys, before it is believed.

    Args:
        estimator: straight_through, mean_field, score, lineage, or a function.
        scenario, population, loss, keys, of, fields, params, steps, every, combine, step: as for
            `lpm.gradient`. Twenty keys decide little on a small town; the message says so.

    Raises:
        FittingError: the estimator is the reference itself, or as for `lpm.gradient`.
        ScenarioError: as for `lpm.gradient`.
        SimulationError: as for `lpm.gradient`.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    names = choose_fields(params, of, fields)
    method, label = choose_estimator(estimator, step)
    if label == "crn":
        raise FittingError("crn is the reference; check one of the others")
    check_loss(scenario, population, loss, words, params, steps, every)
    asked = (scenario, population, loss, words, params, names, steps, every)
    mine = estimate(method, label, combine, *asked)
    reference = estimate(Differences(step), "crn", combine, *asked)
    knobs = type(params).knobs()
    scales = {name: unit_length(knobs[name], np.asarray(getattr(params, name))) for name in names}
    table = _compare(mine, reference, 2.0 * len(words) * steps * population.capacity)
    scale = flatten(scales)
    pair = [flatten(side.runs, lead=1) * scale for side in (mine, reference)]
    finite = all(np.isfinite(side).all() for side in pair)
    cosine = cosine_interval(pair[0], pair[1]) if finite else (np.nan, -1.0, 1.0)
    tangent = None
    if label in ("straight_through", "mean_field"):
        direction = random_direction(words[0], scales)
        tangent = _tangent(scenario, population, words[0], params, direction, label, steps, every)
    passed = _judge(table, cosine)
    return GradientCheck(passed, table, cosine, tangent, mine, reference)


def _compare(mine: Gradient, reference: Gradient, pair_cost: float) -> pl.DataFrame:
    """A row per element; `pair_cost` is that of one difference over all keys."""
    ours, theirs = (flatten(side.runs, lead=1) for side in (mine, reference))
    finite = np.isfinite(ours).all(axis=0)
    safe = np.where(np.isfinite(ours), ours, 0.0)
    low, high = ratio_interval(safe, theirs)
    count = ours.shape[1]
    a, b = flatten(mine.estimate), flatten(reference.estimate)
    difference = safe - theirs
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = difference.std(axis=0, ddof=1) / np.sqrt(len(ours))
        variances = flatten(mine.standard_error) ** 2 / flatten(reference.standard_error) ** 2
        columns = {
            "ratio": a / b,
            "low": np.where(finite, low, -np.inf),
            "high": np.where(finite, high, np.inf),
            "z": np.where(finite, difference.mean(axis=0) / error, np.inf),
            "relative_variance": variances * mine.cost / (pair_cost * count),
        }
    gap = np.abs(flatten(reference.gap))
    spread = flatten(reference.runs, lead=1).std(axis=0) / np.sqrt(len(ours))
    settled = gap <= np.maximum(0.1 * np.abs(b), 2 * spread)
    verdict = np.where((low >= RATIO[0]) & (high <= RATIO[1]), "right", "undecided")
    verdict = np.where((low > RATIO[1]) | (high < RATIO[0]), "wrong", verdict)
    verdict = np.where(settled, verdict, "undecided")
    noisy = (verdict == "undecided") & (columns["relative_variance"] > _HOPELESS)
    verdict = np.where(noisy, "too noisy", verdict)
    verdict = np.where(finite, verdict, "wrong")
    return pl.DataFrame(
        {
            "field": element_names(mine.estimate),
            "crn": b,
            "crn_standard_error": flatten(reference.standard_error),
            "crn_gap": flatten(reference.gap),
            "estimate": a,
            "standard_error": flatten(mine.standard_error),
            **columns,
            "verdict": verdict,
        }
    )


def _judge(table: pl.DataFrame, cosine: tuple[float, float, float]) -> bool | None:
    verdicts = set(table["verdict"])
    _, low, high = cosine
    if verdicts & {"wrong", "too noisy"} or high < COSINE:
        return False
    return True if verdicts == {"right"} and low > COSINE else None


def _tangent(
    scenario: Scenario[Any, Any],
    population: Population,
    key: UInt32[Array, " 2"],
    params: Params,
    direction: Mapping[str, Float[np.ndarray, "..."]],
    estimator: str,
    steps: int,
    every: int,
) -> pl.DataFrame:
    norms = tangent_norms(scenario, population, key, params, direction, estimator, steps, every)
    time = np.arange(1, len(norms) + 1, dtype=np.int32) * every
    return pl.DataFrame({scenario.unit: time, "norm": norms.astype(np.float64)})
