"""Conformance kit: what every scenario must keep, whatever it models."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .axes import AGENT, Array, axis_names, hints, is_array
from .engine import advance
from .errors import ScenarioError
from .params import Params
from .population import Population
from .scenario import Scenario
from .simulation import ensemble, simulate
from .trajectory import Trajectory

# Sums of floats in another order differ in the last bits, and a bit can flip a coin.
_ROUNDING = 1e-4


def check_scenario(
    scenario: Scenario,
    population: Population | None = None,
    *,
    agents: int = 500,
    steps: int = 8,
    key: int = 7,
) -> None:
    """Assert what a scenario owes its users; raises at the first promise broken.

    1. The same key gives the same observables, and they are finite, also under the baseline.
    2. Spare slots change nothing, and hold zeros.
    3. Other numbers of devices and other segment lengths change nothing.
    4. A run in an ensemble equals the run alone.
    5. Two parameter values share one compilation.
    6. Gradients by every float parameter are finite.

    Observables that are counts must agree exactly, others to 1e-4 of their scale.

    Raises:
        AssertionError: names the promise, the observable and the difference.
    """
    population = population or scenario.population(agents, seed=1)
    run = _Runs(scenario, population, min(steps, scenario.steps), key)
    try:
        base = run()
    except jax.errors.ConcretizationTypeError as error:
        raise AssertionError(
            "a process asks for the value of a traced array, as `if params.x > 0` or float(x) do; "
            "use jnp.where or jax.lax.cond"
        ) from error
    _check_finite(base)
    if scenario.baseline:
        _check_finite(run(params=scenario.params.replace(**scenario.baseline)))
    _same("a second run with the same key", base, run(), exact=True)
    _same("segments of another length", base, run(snapshots=range(run.steps)), exact=True)
    _check_layout(run, base)
    rows = ensemble(scenario, population, keys=[key, key + 1], steps=run.steps, devices=1)
    _same("the same run in an ensemble", base, _row(rows, 0))
    _check_one_trace(run)
    if base.answers is not None:  # A gradient takes them for constants.
        run.scenario = scenario.answered(base.answers)
        _same("its answers without its panel", base, run())
    _check_gradients(run)


class _Runs:
    """Runs of one scenario that differ in one respect."""

    def __init__(self, scenario: Scenario, population: Population, steps: int, key: int) -> None:
        self.scenario, self.population, self.steps, self.key = scenario, population, steps, key

    def __call__(self, population: Population | None = None, **changes: Any) -> Trajectory:
        settings = {"key": self.key, "steps": self.steps, "devices": 1, "progress": False}
        return simulate(self.scenario, population or self.population, **(settings | changes))


def _check_finite(trajectory: Trajectory) -> None:
    for name, values in trajectory.observed.items():
        assert np.isfinite(values).all(), f"observable {name!r} is not finite"


def _check_layout(run: _Runs, base: Trajectory) -> None:
    """Spare slots and more devices, at once; one by one only to name the culprit."""
    larger = run.population.with_capacity(run.population.capacity + 321)
    count = len(jax.devices())
    both = run(larger, devices=count)
    try:
        _same("more empty slots and devices", base, both)
    except AssertionError:
        _same("more empty slots", base, run(larger))
        _same(f"{count} devices", base, run(devices=count))
        raise
    _check_empty(both)


def _check_empty(trajectory: Trajectory) -> None:
    state = trajectory.state
    assert state is not None
    empty = ~np.asarray(state.alive)
    for name, annotation in hints(type(state)).items():
        if is_array(annotation) and axis_names(annotation)[:1] == (AGENT,):
            value = np.asarray(getattr(state, name))
            if np.issubdtype(value.dtype, np.floating):
                assert not value[empty].any(), f"State.{name} is not zero in empty slots"


def _check_one_trace(run: _Runs) -> None:
    before = advance._cache_size()  # pyright: ignore[reportAttributeAccessIssue]: jit object
    run(params=_nudged(run.scenario.params))
    assert advance._cache_size() == before, (  # pyright: ignore[reportAttributeAccessIssue]
        "another parameter value compiled the step again; a process depends on a concrete value"
    )


def _check_gradients(run: _Runs) -> None:
    """Reverse-mode gradients of the summed observables are finite under straight-through."""
    params = run.scenario.params

    def total(params: Params) -> Array:
        trajectory = run(params=params, estimator="straight_through")
        floats = [x for x in trajectory.observed.values() if jnp.issubdtype(x.dtype, jnp.floating)]
        return sum((jnp.sum(x) for x in floats), jnp.zeros(()))

    floating = jax.tree.map(lambda x: jnp.issubdtype(x.dtype, jnp.floating), params)
    moved = jax.tree.map(lambda x, f: jnp.asarray(x) if f else x, params, floating)
    gradient = jax.grad(total, allow_int=True)(moved)
    for name in params.knobs():
        value = getattr(gradient, name)
        if jnp.issubdtype(value.dtype, jnp.floating):
            assert np.isfinite(value).all(), f"the gradient by Params.{name} is not finite"


def _nudged(params: Params) -> Params:
    """Params with one bounded float moved a little inside its domain."""
    for name, knob in params.knobs().items():
        value = np.asarray(getattr(params, name))
        if np.issubdtype(value.dtype, np.floating):
            moved = value * np.float32(1 - 1e-3)
            if not np.any(knob.domain.violated(moved)) and np.any(moved != value):
                return params.replace(**{name: moved})
    raise ScenarioError("no parameter can be moved; declare at least one non-zero float")


def _row(trajectory: Trajectory, index: int) -> Trajectory:
    observed = {name: x[index] for name, x in trajectory.observed.items()}
    return Trajectory(**{**trajectory._parts(), "observed": observed, "lead": ()})


def _same(what: str, a: Trajectory, b: Trajectory, *, exact: bool = False) -> None:
    for name, values in a.observed.items():
        x, y = np.asarray(values), np.asarray(b.observed[name])
        assert x.shape == y.shape, (
            f"{what}: observable {name!r} has shape {list(y.shape)} for {list(x.shape)}; observe "
            "must not depend on the number of slots"
        )
        if not x.size:
            continue
        counts = np.array_equal(x, np.round(x)) and np.abs(x).max() >= 1
        # Counts differ by whole numbers or not at all; shares may be a rounding apart.
        slack = 0.5 if counts else _ROUNDING * max(float(np.abs(x).max()), 1e-2)
        slack = 0.0 if exact else slack
        difference = float(np.abs(x.astype(float) - y).max())
        assert difference <= slack, (
            f"{what}: observable {name!r} differs by {difference:g} (allowed {slack:g})"
        )
