"""A bootstrap particle filter: what published series say of a scenario's params, week by week."""

from dataclasses import dataclass, field, replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..axes import is_traced
from ..engine import lanewise
from ..errors import FittingError, ScenarioError
from ..launch import key_words, make_plan, start
from ..params import Params
from ..population import Population
from ..scenario import Scenario, check_every, check_schedules, check_steps
from ..segments import raise_faults
from ..state import State
from .readings import Reading, read, stretch, weighted
from .runs import TOGETHER
from .swarm import (
    SEGMENT,
    Setting,
    Swarm,
    advance_swarm,
    gather,
    particle_keys,
    spread_state,
    to_host,
)


@final
@dataclass(frozen=True)
class Band:
    """What the particles expect of each period of one series.

    Attributes:
        mean: [period, ...], over particles.
        quantiles: [period, level, ...], at `lpm.fitting.swarm.LEVELS`: 5, 25, 50, 75 and 95 %.
    """

    mean: Float[np.ndarray, "period ..."]
    quantiles: Float[np.ndarray, "period level ..."]


@final
@dataclass(frozen=True)
class Filtered:
    """What a particle filter found.

    A period is the longest stretch of rows that lies inside one period of every series: a week
    for weekly and four-weekly series together.

    Attributes:
        log_likelihood: log of an unbiased estimate of the likelihood (which makes it itself too
            small, by half its variance, on average).
        per_period: log-likelihood of each period given those before, [period]; 0 where nothing
            was published.
        effective: particles that the weights are worth, [period]; all of them where nothing was.
        predicted: for each series, what was expected of its periods before they were seen.
        filtered: the same given what was published up to and including the period.
        states: the particles after the last period, equally likely; leaves lead with `particle`,
            but for those that are the same in all.
    """

    per_period: Float[np.ndarray, " period"]
    effective: Float[np.ndarray, " period"]
    predicted: tuple[Band, ...]
    filtered: tuple[Band, ...]
    states: State
    _past: "_Past" = field(repr=False)

    @property
    def log_likelihood(self) -> float:
        """Log of the estimated likelihood of all periods so far."""
        return float(self.per_period.astype(np.float64).sum())

    def resume(
        self, series: Any = None, *, steps: int | None = None, params: Params | None = None
    ) -> "Filtered":
        """Go on with later periods: equal, bit for bit, to a filter that never stopped.

        Args:
            series: the same series made longer; what is already weighed is not read again. `None`
                for those given before, where the filter had stopped within them.
            steps: where to stop, counted from the start of the run.
            params: longer schedules. Other values take effect from here on.

        Raises:
            FittingError: series of another number, window or first row, or nothing to go on to.
        """
        past = self._past
        readings = past.setting.readings if series is None else read(series)
        shapes = [(one.window, one.first, one.lags, one.observables) for one in readings]
        if shapes != [(o.window, o.first, o.lags, o.observables) for o in past.setting.readings]:
            raise FittingError(
                "a filter goes on with the same series made longer: as many, of the same window, "
                "first row, delay and observables"
            )
        setting = replace(past.setting, readings=readings)
        params = past.params if params is None else params
        params, periods = _horizon(past.scenario, readings, params, steps, setting.plan.every)
        done = len(self.per_period)
        if periods <= done:
            raise FittingError(
                f"the filter has done {done} periods, and the series and steps given end after "
                f"{periods}; give longer series, or a later step"
            )
        new = replace(past, setting=setting, params=params)
        return _run(new, periods, self)


@dataclass(frozen=True)
class _Past:
    """What a filter needs to go on."""

    scenario: Scenario[Any, Any]
    params: Params
    capacity: int
    setting: Setting
    words: Any
    swarm: Swarm


def particle_filter(
    scenario: Scenario[Any, Any],
    population: Population,
    series: Any,
    *,
    particles: int = 1000,
    key: Any = 0,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    floor: float | None = None,
) -> Filtered:
    """Filter published series by a swarm of runs, and estimate the likelihood of the params.

    Each particle is a run with draws of its own. After each period with something published,
    particles are weighed by it and resampled systematically. A population of more than 2**20
    slots over all particles advances in batches; all states must fit into memory twice.

    Args:
        scenario, population, params: what is run.
        series: an `lpm.fitting.Series`, several, or objects with a law of their own; see
            `lpm.fitting.readings.Reports`. Missing periods (nan) carry no weight.
        particles: at least two; the variance of the log-likelihood falls as one over them.
        key: an int or a JAX key.
        steps: where to stop; by default where the last series ends.
        every: steps of a row, as for `lpm.simulate`.
        floor: least log-density of a period; without one, a period that no particle can explain
            is an error. A floor biases the likelihood upwards where it is met.

    Raises:
        FittingError: bad input, or a period that no particle can explain.
        ScenarioError: params or a horizon that do not fit.
        SimulationError: a variable left its bounds, or memory is short.

    Source: Gordon, Salmond & Smith (1993), IEE Proceedings F 140.
    """
    readings = read(series)
    _check_particles(particles, floor)
    params, periods = _horizon(
        scenario, readings, scenario.params if params is None else params, steps, every
    )
    if params.variants() is not None:
        raise ScenarioError("params hold several variants; filter one of them at a time")
    words = key_words(key)
    if words.ndim != 1 or is_traced((params, words)):
        raise FittingError("a particle filter takes one key and params that are no tracers")
    setting, swarm = begin(
        scenario, population, readings, params, words, particles, every, floor=floor
    )
    past = _Past(scenario, params, population.capacity, setting, words, swarm)
    return _run(past, periods, None)


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


def _run(past: _Past, periods: int, before: Filtered | None) -> Filtered:
    first = 0 if before is None else len(before.per_period)
    setting = past.setting
    swarm, rows = run_periods(
        past.scenario,
        past.capacity,
        setting,
        past.swarm,
        past.params,
        past.words,
        first,
        periods,
    )
    found = jax.tree.map(lambda *parts: np.concatenate(parts), *rows)

    def bands(kind: str) -> tuple[Band, ...]:
        parts = []
        for number, one in enumerate(setting.readings):
            due = [bool(one.due(n * setting.width)[0]) for n in range(first + 1, periods + 1)]
            part = {name: x[np.asarray(due)] for name, x in found[kind][number].items()}
            if before is not None:
                old = getattr(before, kind)[number]
                part = {n: np.concatenate([getattr(old, n), x]) for n, x in part.items()}
            parts.append(Band(**part))
        return tuple(parts)

    def joined(old: str, new: str) -> np.ndarray:
        return found[new] if before is None else np.concatenate([getattr(before, old), found[new]])

    return Filtered(
        per_period=joined("per_period", "log_likelihood"),
        effective=joined("effective", "effective"),
        predicted=bands("predicted"),
        filtered=bands("filtered"),
        states=spread_state(
            setting.plan, swarm, jnp.int32(periods * setting.width * setting.plan.every)
        ),
        _past=replace(past, swarm=swarm),
    )


def _check_particles(particles: Any, floor: float | None) -> None:
    if isinstance(particles, bool) or not hasattr(particles, "__index__") or particles < 2:
        raise FittingError(f"particles = {particles!r}; give a whole number, at least 2")
    if floor is not None and not floor < 0:
        raise FittingError(f"floor = {floor}; give a log-density below 0, or None")


def _horizon(
    scenario: Scenario[Any, Any],
    readings: tuple[Reading, ...],
    params: Params,
    steps: int | None,
    every: int,
) -> tuple[Params, int]:
    """Params and the number of periods, checked."""
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
