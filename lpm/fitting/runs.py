"""The loss of many runs at once: parameters times keys, in batches that fit into memory."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

from ..errors import FittingError, SimulationError
from ..params import Params
from ..population import Population
from ..scenario import Scenario
from ..simulation import simulate
from ..trajectory import Trajectory
from .placed import devices_of
from .seam import Loss

TOGETHER = 2**20  # Slots of all runs that advance at once, times what each of them keeps.


def run_losses(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    keys: UInt32[Array, "lane 2"],
    params: Params,
    changed: Mapping[str, Float[np.ndarray, "lane ..."]],
    steps: int,
    every: int,
    name: Callable[[int], str] = lambda lane: f"run {lane}",
    strict: bool = True,
) -> Float[np.ndarray, "lane ..."]:
    """The loss of one run per lane, [lane] or [lane, row]; `changed` replaces fields of `params`.

    Lanes are run in order, batch by batch, so that those that come first can fail first. Unless
    `strict`, a lane that fails has an infinite loss, and batches come in few sizes, each compiled
    once.

    Raises:
        SimulationError: a variable left its bounds; `name` says in which lane.
        FittingError: the loss is not finite; says in which lane and row.
    """

    def run(lane: Any, loss: Loss, params: Params) -> tuple[jax.Array, dict[str, jax.Array]]:
        values, key = lane
        whole = params.replace(**values)
        trajectory = simulate(
            scenario,
            population,
            key=key,
            params=whole,
            steps=steps,
            every=every,
            devices=devices_of(population),
        )
        return loss(trajectory), trajectory.faults

    lanes = ({n: jnp.asarray(x) for n, x in changed.items()}, keys)

    def check(first: int, batch: Any) -> None:
        if not strict:
            return
        rows, faults = batch
        _refuse_faults(faults, scenario.unit, lambda lane: name(first + lane))
        _refuse_infinite(rows, lambda lane: name(first + lane))

    signature = ("stop", *parts_of(scenario), steps, every)
    together = max(1, TOGETHER // population.capacity)
    rows, faults = map_lanes(
        population,
        "losses",
        signature,
        run,
        lanes,
        (as_tree(loss), params),
        together,
        check,
        few_sizes=not strict,
    )
    if not strict:
        bad = np.zeros(len(rows), bool)
        for at in faults.values():
            bad |= at >= 0
        bad |= ~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
        rows = np.where(bad.reshape(-1, *(1,) * (rows.ndim - 1)), np.inf, rows)
    return rows


def map_lanes(
    population: Population,
    kind: str,
    signature: tuple[Any, ...],
    function: Callable[..., Any],
    lanes: Any,
    shared: tuple[Any, ...],
    together: int,
    check: Callable[[int, Any], None] = lambda first, batch: None,  # noqa: ARG005
    few_sizes: bool = False,
) -> Any:
    """`function(lane, *shared)` for every lane, `together` at a time, as NumPy arrays.

    The last compiled batch of each kind is kept with the population and used again where
    `signature` and the structure of what is passed are the same.
    """
    total = len(jax.tree.leaves(lanes)[-1])
    size = math.ceil(total / math.ceil(total / together))
    if few_sizes:
        size = min(together, _round_up(size))
    signature = (*signature, size > 1, jax.tree.structure((lanes, shared)))
    batched = keep(
        population, kind, signature, lambda: jax.jit(_batched(function, len(shared), size))
    )
    batches = []
    for first in range(0, total, size):
        # Past the end the last lane is repeated, so that every batch has one shape.
        index = np.minimum(np.arange(first, first + size), total - 1)
        batch = batched(jax.tree.map(lambda x, i=index: x[i], lanes), *shared)
        batch = jax.tree.map(lambda x, n=total - first: np.asarray(x)[:n], batch)
        check(first, batch)
        batches.append(batch)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *batches)


def _round_up(size: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..."""
    power = 2 ** max(size - 1, 0).bit_length()
    return power * 3 // 4 if power >= 4 and size <= power * 3 // 4 else power


def keep(population: Population, kind: str, signature: Any, make: Callable[[], Any]) -> Any:
    """What `make` gives; the last of each kind stays with the population for the same signature."""
    kept = population.compiled.get(("fitting", kind))
    if kept is None or kept[0] != signature:
        kept = (signature, make())
        population.compiled["fitting", kind] = kept
    return kept[1]


def _batched(function: Callable[..., Any], num_shared: int, size: int) -> Callable[..., Any]:
    """`function` over the leading axis; a single lane keeps its branches."""
    if size > 1:
        return jax.vmap(function, in_axes=(0, *(None,) * num_shared))

    def alone(lanes: Any, *shared: Any) -> Any:
        out = function(jax.tree.map(lambda x: x[0], lanes), *shared)
        return jax.tree.map(lambda x: x[None], out)

    return alone


def parts_of(scenario: Scenario[Any, Any]) -> tuple[Any, ...]:
    """What of a scenario is code."""
    return scenario.init, tuple(scenario.processes), scenario.observe


def as_tree(loss: Loss) -> Any:
    """The loss as a PyTree, whose arrays are data to a compiled run and not part of its code."""
    leaves = jax.tree.leaves(loss)
    if len(leaves) != 1 or leaves[0] is not loss:
        return loss
    try:
        hash(loss)
    except TypeError:
        return jax.tree_util.Partial(_Same(loss))
    return jax.tree_util.Partial(loss)


class _Same:
    """A loss that cannot be hashed, such as one that holds arrays: equal to itself alone."""

    def __init__(self, loss: Loss) -> None:
        self._loss = loss

    def __call__(self, trajectory: Trajectory) -> jax.Array:
        return self._loss(trajectory)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._loss is self._loss

    def __hash__(self) -> int:
        return id(self._loss)


def sum_rows(rows: Float[np.ndarray, "lane ..."]) -> Float[np.ndarray, " lane"]:
    """The loss of each lane, added over its rows in double precision."""
    return rows.reshape(len(rows), -1).astype(np.float64).sum(axis=1)


def check_loss(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    keys: UInt32[Array, "run 2"],
    params: Params,
    steps: int,
    every: int,
    estimator: str = "stop",
) -> bool:
    """Whether the loss has one value per row, seen by tracing a run without running it.

    Raises:
        FittingError: the loss is neither a float nor one float per row.
        ScenarioError: the scenario does not run under this estimator.
    """

    def run(params: Params, key: jax.Array) -> Any:
        trajectory = simulate(
            scenario,
            population,
            key=key,
            params=params,
            steps=steps,
            every=every,
            estimator=estimator,
            devices=devices_of(population),
        )
        return loss(trajectory)

    tree = (as_tree(loss), params)
    shapes = tuple((np.shape(x), jnp.result_type(x)) for x in jax.tree.leaves(tree))
    signature = (estimator, *parts_of(scenario), steps, every, jax.tree.structure(tree), shapes)
    seen = keep(
        population,
        f"shape under {estimator}",
        signature,
        lambda: jax.eval_shape(run, params, keys[0]),
    )
    rows = steps // every
    fine = getattr(seen, "shape", None) in ((), (rows,))
    if not fine or not jnp.issubdtype(seen.dtype, jnp.floating):
        shape = getattr(seen, "shape", None)
        what = type(seen).__name__ if shape is None else f"{seen.dtype}{list(shape)}"
        raise FittingError(
            f"the loss of one run is {what}; it must be a float, or one float for each of the "
            f"{rows} rows"
        )
    return seen.shape == (rows,)


def reads_ahead(loss: Loss, trajectory: Trajectory) -> Bool[Array, ""]:
    """Whether some row of the loss depends on observables of later rows, or on the final state."""
    rows = len(trajectory.time)
    half = rows // 2
    later = jnp.arange(rows) > half

    def shift(x: jax.Array) -> jax.Array:
        return jnp.where(later.reshape(-1, *(1,) * (x.ndim - 1)), _add_one(x), x)

    parts = {name: getattr(trajectory, name) for name in trajectory.__dataclass_fields__}
    observed = {name: shift(x) for name, x in trajectory.observed.items()}
    state = jax.tree.map(_add_one, trajectory.state)
    other = Trajectory(**{**parts, "observed": observed, "plain": observed, "state": state})
    a, b = loss(trajectory)[: half + 1], loss(other)[: half + 1]
    return jnp.any((a != b) & ~(jnp.isnan(a) & jnp.isnan(b)))


def _add_one(x: jax.Array) -> jax.Array:
    return x + 1 if jnp.issubdtype(x.dtype, jnp.floating) else x


def _refuse_faults(faults: Mapping[str, np.ndarray], unit: str, name: Callable[[int], str]) -> None:
    for variable, steps in faults.items():
        lanes = np.flatnonzero(steps >= 0)
        if lanes.size:
            raise SimulationError(
                f"State.{variable} left its bounds or was not finite at {unit} "
                f"{steps[lanes[0]]} in {name(int(lanes[0]))}"
            )


def _refuse_infinite(rows: np.ndarray, name: Callable[[int], str]) -> None:
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row = f"row {bad[0][1]} of the loss" if rows.ndim > 1 else "the loss"
        raise FittingError(
            f"{row} is not finite in {name(int(bad[0][0]))}; choose other params or another loss"
        )
