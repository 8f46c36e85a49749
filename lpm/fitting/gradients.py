"""`gradient`: the derivative of an expected loss by the knobs of a scenario."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float, UInt32

from ..axes import Scalar
from ..errors import FittingError, ScenarioError, unknown
from ..params import Params, html_table
from ..population import Population
from ..scenario import Scenario
from ..trajectory import Trajectory
from .differences import Differences
from .lineage import Lineage
from .placed import placed
from .request import choose_fields, settle
from .reverse import mean_field, score, straight_through
from .runs import as_tree, check_loss, run_losses, sum_rows
from .seam import Estimator, Loss, PerRun

COMBINE = ("mean", "log_mean_exp")


@dataclass(frozen=True)
class Gradient:
    """The derivative of an expected loss, with the error that few keys leave in it.

    Attributes:
        estimate: by name of a field, in units of loss per unit of the field.
        standard_error: of each estimate, over the runs; not a number for a single run.
        runs: gradients by run, [run, *field]; under log_mean_exp those of `exp(loss - value)`.
        value: the mean loss, or the log of its mean exponential.
        cost: agents times steps, a step counted as often as it, or its adjoint, was computed.
        gap: what a difference with half the step adds, by name; empty unless differences.
        estimator: how it was found.
    """

    estimate: Mapping[str, Float[np.ndarray, "..."]]
    standard_error: Mapping[str, Float[np.ndarray, "..."]]
    runs: Mapping[str, Float[np.ndarray, "run ..."]]
    value: float
    cost: float
    gap: Mapping[str, Float[np.ndarray, "..."]]
    estimator: str

    @property
    def table(self) -> pl.DataFrame:
        """A row per element of a field: field, estimate, standard_error and, if any, gap."""
        columns: dict[str, Any] = {
            "field": element_names(self.estimate),
            "estimate": flatten(self.estimate),
            "standard_error": flatten(self.standard_error),
        }
        return pl.DataFrame(columns | ({"gap": flatten(self.gap)} if self.gap else {}))

    def _repr_html_(self) -> str:
        return html_table(self.table.to_dicts())


def gradient(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    *,
    keys: Any,
    estimator: str | Estimator = "crn",
    of: str = "parameter",
    fields: Sequence[str] | None = None,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    combine: str = "mean",
    step: float | Mapping[str, float] = 0.05,
    devices: Any = None,
) -> Gradient:
    """The derivative of the expected loss by every field of a role.

    Only `crn` and `score` are right for every scenario; check the others with `check_gradient`.
    `lineage` is for epidemics in households and on networks and any number of fields; its rate,
    twins and limits are those of `lpm.fitting.Lineage`, which may be given in place of the name.

    Args:
        scenario: what is run.
        population: who it happens to.
        loss: of the trajectory of one run: a float, or one per row whose sum is meant; row by row
            the score credits each row to the draws before it.
        keys: one run per key, as for `lpm.ensemble`; the same keys give the same gradient.
        estimator: crn (differences with common random numbers), straight_through, mean_field,
            score, lineage, or a function as described in `lpm.fitting.Estimator`.
        of: the role of the fields: parameter or policy.
        fields: names of some of them; all floats of the role by default.
        params: where to differentiate, if not at the scenario's defaults.
        steps: another horizon than the scenario's.
        every: cadence of the rows, in steps.
        combine: mean of the loss over runs, or log_mean_exp, the log of its mean exponential,
            whose gradient has a bias of the order of 1 / runs.
        step: of `crn`, on the unconstrained scale of a field, where 0.05 is about 5 % of a value;
            for all fields, or by name.
        devices: for each run: a number, or a list of JAX devices; one by default.

    Raises:
        ScenarioError: unknown names, nothing to differentiate, or no such estimator here.
        FittingError: a loss of the wrong shape, or one that is not finite, or its gradient.
        SimulationError: a variable left its bounds.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    population = placed(population, devices)
    names = choose_fields(params, of, fields)
    method, label = choose_estimator(estimator, step)
    check_loss(scenario, population, loss, words, params, steps, every)
    asked = (scenario, population, loss, words, params, names, steps, every)
    result = estimate(method, label, combine, *asked)
    _refuse_infinite(result)
    return result


def estimate(
    method: Estimator,
    label: str,
    combine: str,
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    words: UInt32[Array, "run 2"],
    params: Params,
    names: tuple[str, ...],
    steps: int,
    every: int,
) -> Gradient:
    """The gradient by one estimator, all else being settled; see `gradient`.

    Raises:
        FittingError: an unknown `combine`.
    """
    if combine not in COMBINE:
        raise FittingError(f"combine = {combine!r}; it is 'mean' or 'log_mean_exp'")
    if combine == "mean":
        found = method(scenario, population, loss, words, params, names, steps, every)
        return summarise(found, label, names)
    rows = run_losses(scenario, population, loss, words, params, {}, steps, every)
    values = sum_rows(rows)
    level = float(np.logaddexp.reduce(values) - np.log(len(values)))
    weighted = _Exponential(as_tree(loss), jnp.float32(level))
    found = method(scenario, population, weighted, words, params, names, steps, every)
    forward = float(len(words)) * steps * population.capacity
    return _combined(summarise(found, label, names), np.exp(values - level), level, forward)


def choose_estimator(
    estimator: str | Estimator, step: float | Mapping[str, float]
) -> tuple[Estimator, str]:
    """The function behind the name of an estimator, and its name.

    Raises:
        ScenarioError: an unknown name.
    """
    if not isinstance(estimator, str):
        return estimator, getattr(estimator, "__name__", type(estimator).__name__)
    known: dict[str, Estimator] = {
        "crn": Differences(step),
        "straight_through": straight_through,
        "mean_field": mean_field,
        "score": score,
        "lineage": Lineage(),
    }
    if estimator not in known:
        raise ScenarioError(unknown("gradient", "estimator", [estimator], known))
    return known[estimator], estimator


def summarise(found: PerRun, estimator: str, names: Sequence[str]) -> Gradient:
    """The mean over runs, and its standard error, in the order of `names`."""
    runs = {name: found.gradients[name] for name in names}
    return Gradient(
        estimate={n: _mean(x) for n, x in runs.items()},
        standard_error={n: _standard_error(x) for n, x in runs.items()},
        runs=runs,
        value=float(np.mean(found.values)),
        cost=found.cost,
        gap={n: _mean(x) for n, x in found.gaps.items()},
        estimator=estimator,
    )


def element_names(values: Mapping[str, Any]) -> list[str]:
    """The name of each element: that of its field, with its index where the field is an array."""
    return [
        f"{name}[{', '.join(map(str, index))}]" if index else name
        for name, value in values.items()
        for index in np.ndindex(np.shape(value))
    ]


def flatten(values: Mapping[str, Any], lead: int = 0) -> Float[np.ndarray, "..."]:
    """All elements in one row, behind `lead` leading axes."""
    parts = [np.asarray(x, np.float64) for x in values.values()]
    return np.concatenate([x.reshape(*x.shape[:lead], -1) for x in parts], axis=-1)


class _Exponential(eqx.Module):
    """exp(loss - level): what log_mean_exp averages."""

    loss: Callable[[Trajectory], jax.Array]
    level: Scalar

    def __call__(self, trajectory: Trajectory) -> jax.Array:
        return jnp.exp(jnp.sum(self.loss(trajectory)) - self.level)


def _combined(
    plain: Gradient, weights: Float[np.ndarray, " run"], level: float, cost: float
) -> Gradient:
    """Of the log of the mean exponential; `weights` are the exponentials, of mean 1."""

    def spread(name: str, runs: np.ndarray) -> np.ndarray:
        # The error of a ratio of means (the delta method): the denominator varies as well.
        shape = (-1, *(1,) * (runs.ndim - 1))
        return _standard_error(runs - weights.reshape(shape) * plain.estimate[name])

    errors = {name: spread(name, runs) for name, runs in plain.runs.items()}
    return Gradient(
        plain.estimate, errors, plain.runs, level, plain.cost + cost, plain.gap, plain.estimator
    )


def _mean(runs: Float[np.ndarray, "run ..."]) -> Float[np.ndarray, "..."]:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.mean(runs, axis=0, dtype=np.float64))


def _standard_error(runs: Float[np.ndarray, "run ..."]) -> Float[np.ndarray, "..."]:
    count = len(runs)
    if count < 2:
        return np.full(runs.shape[1:], np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.std(runs, axis=0, ddof=1, dtype=np.float64) / np.sqrt(count))


def _refuse_infinite(found: Gradient) -> None:
    for name, runs in found.runs.items():
        bad = np.argwhere(~np.isfinite(runs))
        if len(bad):
            raise FittingError(
                f"the gradient by {name} is not finite under {found.estimator} in run {bad[0][0]}; "
                "lpm.check_gradient shows from which row, and estimator='crn' does without"
            )
