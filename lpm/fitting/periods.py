"""A swarm through the periods of series: where it begins, how far it goes, and what stops it."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..engine import lanewise
from ..errors import FittingError, ScenarioError
from ..launch import make_plan, start
from ..params import Params
from ..population import Population
from ..scenario import Scenario, check_every, check_schedules, check_steps
from ..segments import raise_faults
from .readings import Reading, stretch, weighted
from .runs import TOGETHER
from .swarm import (
    SEGMENT,
    Setting,
    Swarm,
    advance_swarm,
    gather,
    particle_keys,
    to_host,
)


def begin(
    scenario: Scenario[Any, Any],
    population: Population,
    readings: tuple[Reading, ...],
    params: Params,
    words: Any,
    particles: int,
    every: int,
    *,
    floor: float | None = None,
    walk: dict[str, Any] | None = None,
) -> tuple[Setting, Swarm]:
    """The swarm at step 0; `params` have a row for each particle in the fields of `walk`.

    Raises:
        FittingError: the series do not fit the observables.
        SimulationError: memory is short.
    """
    plan = replace(make_plan(scenario, params, "stop", False, every, None), batched=True)
    plan, state = start(scenario, population, plan, params, particle_keys(words, particles))
    moving, fixed = plan.split(state)
    seen = jax.eval_shape(lanewise(plan, params)[1], jnp.int32(0), moving, fixed, params)
    shapes = {name: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for name, x in seen.items()}
    for one in readings:
        one.check(shapes)
    width = stretch(readings)
    setting = Setting(
        plan,
        particles,
        max(1, TOGETHER // population.capacity),
        readings,
        width,
        max(0, max(one.window + one.lags for one in readings) - width),
        floor,
        tuple(walk or {}),
    )
    return setting, gather(setting, state, shapes, dict(walk or {}))


def run_periods(
    scenario: Scenario[Any, Any],
    capacity: int,
    setting: Setting,
    swarm: Swarm,
    params: Params,
    words: Any,
    first: int,
    periods: int,
    spread: dict[str, Any] | None = None,
    cooling: float = 1.0,
) -> tuple[Swarm, list[dict[str, Any]]]:
    """The swarm from period `first` to `periods`, and what each segment gave.

    Raises:
        FittingError: a period that no particle can explain.
        SimulationError: a variable left its bounds.
    """
    spread = {n: jnp.float32(x) for n, x in (spread or {}).items()}
    names = [f"particle {i}" for i in range(setting.particles)]
    rows = []
    while first < periods:
        count = min(SEGMENT, periods - first)
        swarm, found = advance_swarm(
            setting,
            swarm,
            params,
            words,
            jnp.int32(first),
            jnp.int32(count),
            spread,
            jnp.float32(cooling),
        )
        found = to_host(found, count)
        raise_faults(setting.plan, np.asarray(swarm.faults), scenario.unit, capacity, names)
        _refuse_impossible(setting, found["best"], first)
        rows.append(found)
        first += count
    return swarm, rows


def horizon(
    scenario: Scenario[Any, Any],
    readings: tuple[Reading, ...],
    params: Params,
    steps: int | None,
    every: int,
) -> tuple[Params, int]:
    """Params and the number of periods, checked.

    Raises:
        ScenarioError: params of another scenario, or a horizon that does not fit.
        FittingError: a horizon that does not end with a period, or before anything is published.
    """
    if type(params) is not type(scenario.params):
        raise ScenarioError(
            f"params is a {type(params).__name__}, but the scenario takes "
            f"{type(scenario.params).__name__}; use scenario.params.replace(...)"
        )
    ends = max(one.ends for one in readings)
    check_every(every, ends * every if hasattr(every, "__index__") else 1)
    steps = check_steps(ends * every if steps is None else steps)
    width = stretch(readings) * every
    if steps % width or steps > ends * every:
        raise FittingError(
            f"steps = {steps}; the series have periods of {width} steps and end at step "
            f"{ends * every}: give a multiple of the one, not beyond the other"
        )
    check_schedules(params, steps, scenario.unit)
    periods = steps // width
    if not weighted(readings, width // every, periods):
        raise FittingError(f"nothing was published within {steps} steps; run longer")
    return params, periods


def check_particles(particles: Any, floor: float | None) -> None:
    """Refuse numbers of particles, and floors, that make no filter.

    Raises:
        FittingError: says which.
    """
    if isinstance(particles, bool) or not hasattr(particles, "__index__") or particles < 2:
        raise FittingError(f"particles = {particles!r}; give a whole number, at least 2")
    if floor is not None and not floor < 0:
        raise FittingError(f"floor = {floor}; give a log-density below 0, or None")


def _refuse_impossible(setting: Setting, best: np.ndarray, first: int) -> None:
    """Name the first period, and the series, that no particle explains."""
    bad = ~np.isfinite(best[:, -1]) | np.isnan(best).any(axis=1)
    if not bad.any():
        return
    at = int(np.argmax(bad))
    rows = (first + at + 1) * setting.width
    guilty = [i for i in range(len(setting.readings)) if not np.isfinite(best[at, i])]
    which = [setting.readings[i] for i in guilty] or list(setting.readings)
    places = " and ".join(
        f"period {int(one.due(rows)[1])} of {one.name!r}" for one in which if one.due(rows)[0]
    )
    if best[at, -1] == -np.inf:
        raise FittingError(
            f"every particle has weight zero in {places}, after {rows} rows; use more particles, "
            "params nearer to the data, a wider noise or a background, or give a floor"
        )
    raise FittingError(
        f"a particle gives a log-density of {best[at, -1]} in {places}, after {rows} rows; mend "
        "the law of the series"
    )
