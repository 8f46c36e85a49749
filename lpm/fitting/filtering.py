"""A bootstrap particle filter: what published series say of a scenario's params, week by week."""

from dataclasses import dataclass, field, replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..axes import is_traced
from ..errors import FittingError, ScenarioError
from ..launch import key_words
from ..params import Params
from ..population import Population
from ..scenario import Scenario
from ..state import State
from .periods import begin, check_particles, horizon, run_periods
from .readings import read
from .swarm import Setting, Swarm, spread_state


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
        params, periods = horizon(past.scenario, readings, params, steps, setting.plan.every)
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
    check_particles(particles, floor)
    params, periods = horizon(
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
