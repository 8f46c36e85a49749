"""Iterated filtering: the params that make published series likeliest, by filters alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..counter import fold
from ..draw import Draw
from ..errors import FittingError
from ..launch import key_words
from ..params import Params
from ..population import Population
from ..scenario import Scenario
from .periods import begin, check_particles, horizon, run_periods
from .readings import read
from .request import choose_fields
from .swarm import unfold

_ITERATION = 0x49463230  # sets the streams of iterations apart from those of particles


@final
@dataclass(frozen=True)
class Iterated:
    """What iterated filtering found.

    Attributes:
        params: the mean of the last swarm, taken on the unconstrained scales.
        trace: the same after each iteration, by field, [iteration, ...].
        log_likelihoods: of the model whose params walk, [iteration]; lower than that of the
            params themselves, for which `particle_filter` is to be asked.
    """

    params: Params
    trace: Mapping[str, Float[np.ndarray, "iteration ..."]]
    log_likelihoods: Float[np.ndarray, " iteration"]


def iterated_filtering(
    scenario: Scenario[Any, Any],
    population: Population,
    series: Any,
    *,
    fields: Sequence[str] | None = None,
    initial: Sequence[str] = (),
    iterations: int = 50,
    particles: int = 1000,
    key: Any = 0,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    spread: float | Mapping[str, float] = 0.02,
    cooling: float = 0.5,
    floor: float | None = None,
) -> Iterated:
    """Maximise the likelihood by filters whose params walk at random, less and less.

    In each iteration every particle carries params of its own, which take a normal step on the
    unconstrained scale before each period and are resampled with the states; the next iteration
    starts from the swarm that is left. Nothing is differentiated. It converges slowly in
    directions that the data hardly tell, and to the maximum only as the walk dies out; start it
    from several points, and judge what it found by `particle_filter`.

    Args:
        scenario, population, series, particles, key, steps, every, floor: as `particle_filter`.
        fields: float parameters that walk; all that are declared as such by default.
        initial: those among them that act at step 0 only, and so are moved only there.
        iterations: filters, one after the other.
        params: where to start.
        spread: standard deviation of a step; one for all fields, or by name. Steps of all periods
            add up: choose it by what it comes to times the root of their number, about 0.1.
        cooling: what is left of the spread after 50 iterations.

    Raises:
        FittingError, ScenarioError, SimulationError: as `particle_filter`.

    Source: Ionides, Nguyen, Atchade, Stoev & King (2015), PNAS 112, algorithm IF2.
    """
    readings = read(series)
    check_particles(particles, floor)
    params, periods = horizon(
        scenario, readings, scenario.params if params is None else params, steps, every
    )
    names = choose_fields(params, "parameter", fields)
    steps_of = _spreads(names, tuple(initial), spread)
    if iterations < 1 or not 0 < cooling <= 1:
        raise FittingError(
            f"iterations = {iterations} and cooling = {cooling}; give at least 1, and a share"
        )
    words = key_words(key)
    walk = {name: _start(params, name, particles) for name in names}
    trace, found = [], []
    for number in range(iterations):
        mine = jnp.stack(fold(words, number, _ITERATION))
        left = cooling ** (number / 50)
        draw = Draw(mine, 0, "perturb", slot=jnp.arange(particles))
        walk = {
            name: z + steps_of[name] * left * draw.normal(("agent", *z.shape[1:]))
            for name, z in walk.items()
        }
        setting, swarm = begin(
            scenario,
            population,
            readings,
            params.replace(**{n: np.asarray(x) for n, x in unfold(params, walk).items()}),
            mine,
            particles,
            every,
            floor=floor,
            walk=walk,
        )
        later = {n: 0.0 if n in initial else s * left for n, s in steps_of.items()}
        swarm, rows = run_periods(
            scenario, population.capacity, setting, swarm, params, mine, 0, periods, later,
            cooling ** (1 / 50 / periods),
        )  # fmt: skip
        walk = swarm.walk
        middle = unfold(params, {name: jnp.mean(z, axis=0) for name, z in walk.items()})
        trace.append({name: np.asarray(x) for name, x in middle.items()})
        found.append(sum(float(r["log_likelihood"].astype(np.float64).sum()) for r in rows))
    return Iterated(
        params.replace(**trace[-1]),
        {name: np.stack([one[name] for one in trace]) for name in names},
        np.asarray(found),
    )


def _spreads(
    names: tuple[str, ...], initial: tuple[str, ...], spread: float | Mapping[str, float]
) -> dict[str, float]:
    """The size of a step by field.

    Raises:
        FittingError: names that do not walk, or a size that is none.
    """
    given = dict(spread) if isinstance(spread, Mapping) else dict.fromkeys(names, spread)
    strangers = [name for name in (*initial, *given) if name not in names]
    missing = [name for name in names if name not in given]
    if strangers or missing:
        raise FittingError(
            f"spread and initial must name the fields {list(names)}; not among them are "
            f"{strangers}, without spread are {missing}"
        )
    if not all(size > 0 for size in given.values()):
        raise FittingError(f"spread = {given}; give sizes above 0")
    return {name: float(given[name]) for name in names}


def _start(params: Params, name: str, particles: int) -> Array:
    """A field on its unconstrained scale, once for each particle.

    Raises:
        FittingError: the value lies on a bound, from where no step leads away.
    """
    z = jnp.asarray(type(params).knobs()[name].unconstrain(getattr(params, name)), jnp.float32)
    if not bool(jnp.isfinite(z).all()):
        raise FittingError(
            f"{type(params).__name__}.{name} starts on its bound; start inside, or leave it out"
        )
    return jnp.broadcast_to(z, (particles, *z.shape))
