"""Gradients in reverse through a run: straight through its coins, of their means, and scores."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError
from ..params import Params
from ..population import Population
from ..scenario import Scenario
from ..simulation import simulate
from ..trajectory import Trajectory
from .placed import devices_of
from .runs import (
    TOGETHER,
    as_tree,
    check_loss,
    keep,
    map_lanes,
    parts_of,
    reads_ahead,
    run_losses,
    sum_rows,
)
from .seam import Loss, PerRun

# A nested scan computes a step three times, once forward and once more for each level that was
# not kept, and its adjoint once.
REVERSE = 4


def straight_through(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    keys: UInt32[Array, "run 2"],
    params: Params,
    fields: tuple[str, ...],
    steps: int,
    every: int,
) -> PerRun:
    """A coin is passed by the derivative of its mean; exact where agents meet through averages.

    Biased without bound where the same agents meet again, as in households.
    """
    return _pathwise(
        "straight_through", scenario, population, loss, keys, params, fields, steps, every
    )


def mean_field(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    keys: UInt32[Array, "run 2"],
    params: Params,
    fields: tuple[str, ...],
    steps: int,
    every: int,
) -> PerRun:
    """The exact gradient of another model, in which every coin is replaced by its mean."""
    return _pathwise("mean_field", scenario, population, loss, keys, params, fields, steps, every)


def score(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    keys: UInt32[Array, "run 2"],
    params: Params,
    fields: tuple[str, ...],
    steps: int,
    every: int,
) -> PerRun:
    """The likelihood ratio, unbiased, with noise that does not fall with the number of agents.

    Each row of the loss is credited to the draws up to it, and measured from its mean over the
    other runs (Williams 1992; Kool et al. 2019 for the baseline that leaves one out). Rows pay
    where they vary on their own; a total that saturates, such as an attack rate, has less noise
    as one number.

    Raises:
        FittingError: fewer than two keys, rows of the loss that read later rows, or `every` that
            does not divide the steps.
    """
    if len(keys) < 2:
        raise FittingError("score compares runs with each other; give two keys or more")
    if steps % every:
        raise FittingError(
            f"every = {every} does not divide the {steps} steps, and score needs the draws up to "
            "the end; choose another cadence"
        )
    by_row = check_loss(scenario, population, loss, keys, params, steps, every, "score")
    if by_row:
        _refuse_reading_ahead(scenario, population, loss, keys[0], params, steps, every)
    rows = run_losses(scenario, population, loss, keys, params, {}, steps, every)
    others = (rows.sum(axis=0, dtype=np.float64) - rows) / (len(keys) - 1)
    advantage = (rows - others).astype(np.float32)
    part = _reverse(
        "score", scenario, population, loss, keys, params, fields, steps, every, advantage
    )
    forward = float(len(keys)) * steps * population.capacity
    return PerRun(part.gradients, part.values, part.cost + forward)


def _pathwise(
    estimator: str,
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    keys: UInt32[Array, "run 2"],
    params: Params,
    fields: tuple[str, ...],
    steps: int,
    every: int,
) -> PerRun:
    check_loss(scenario, population, loss, keys, params, steps, every, estimator)
    nothing = np.zeros(len(keys), np.float32)
    return _reverse(
        estimator, scenario, population, loss, keys, params, fields, steps, every, nothing
    )


def _reverse(
    estimator: str,
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    keys: UInt32[Array, "run 2"],
    params: Params,
    fields: tuple[str, ...],
    steps: int,
    every: int,
    advantage: Float[np.ndarray, "run ..."],
) -> PerRun:
    """Gradients of the loss plus `advantage` times the log-probability of the draws behind it."""

    def objective(values: Any, key: Any, weight: Any, loss: Any, params: Any) -> Any:
        trajectory = simulate(
            scenario,
            population,
            key=key,
            params=params.replace(**values),
            steps=steps,
            every=every,
            estimator=estimator,
            devices=devices_of(population),
        )
        rows = loss(_without_factor(trajectory))
        total = trajectory.log_probability
        credit = jnp.sum(weight * (total if weight.ndim else total[-1]))
        return jnp.sum(rows) + credit - jax.lax.stop_gradient(credit), rows

    def run(lane: Any, values: Any, loss: Any, params: Any) -> Any:
        key, weight = lane
        return jax.grad(objective, has_aux=True)(values, key, weight, loss, params)

    values = {name: jnp.asarray(getattr(params, name)) for name in fields}
    signature = (estimator, *parts_of(scenario), steps, every)
    kept = 2 * int(np.sqrt(steps // every)) + 1
    together = max(1, TOGETHER // (population.capacity * kept))
    lanes, shared = (keys, jnp.asarray(advantage)), (values, as_tree(loss), params)
    gradients, rows = map_lanes(population, "reverse", signature, run, lanes, shared, together)
    cost = float(REVERSE * len(keys)) * steps * population.capacity
    return PerRun(gradients, sum_rows(rows), cost)


def _without_factor(trajectory: Trajectory) -> Trajectory:
    """The run without the score's factor on its observables, which `_reverse` has in its place."""
    parts = {name: getattr(trajectory, name) for name in trajectory.__dataclass_fields__}
    return Trajectory(**{**parts, "observed": trajectory.plain})


def _refuse_reading_ahead(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    key: UInt32[Array, " 2"],
    params: Params,
    steps: int,
    every: int,
) -> None:
    def ahead(key: Any, loss: Any, params: Any) -> Any:
        trajectory = simulate(
            scenario,
            population,
            key=key,
            params=params,
            steps=steps,
            every=every,
            devices=devices_of(population),
        )
        return reads_ahead(loss, trajectory)

    tree = as_tree(loss)
    signature = (*parts_of(scenario), steps, every, jax.tree.structure((tree, params)))
    found = keep(population, "ahead", signature, lambda: bool(jax.jit(ahead)(key, tree, params)))
    if found:
        raise FittingError(
            "a row of the loss depends on later rows or on the final state, so that score cannot "
            "credit it to the draws before it; return the sum over rows as one number"
        )
