"""Populations and runs that several gates share."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import lpm


def people(number: int) -> lpm.Population:
    """People about whom nothing is known."""
    return lpm.Population({"age": np.zeros(number, np.float32)})


def keys(number: int, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), number)


def runs(scenario: lpm.Scenario, size: int, number: int, steps: int, **changes: float):
    """An ensemble among `size` people; observables only."""
    params = scenario.params.replace(**changes)
    return lpm.ensemble(
        scenario,
        people(size),
        keys=keys(number),
        params=params,
        steps=steps,
        keep_state=False,
        progress=False,
        devices=1,
    )


def index_cases(scenario: lpm.Scenario, number: int) -> lpm.Scenario:
    """The same where the first `number` agents and no others are infected at the start."""

    def init(population: lpm.Population, params: lpm.Params, draw: lpm.Draw) -> lpm.State:
        state = scenario.init(population, params, draw)
        chosen = (jnp.arange(population.capacity) < number).astype(jnp.float32)
        period = getattr(params, "period", 0)
        left = {"steps_left": chosen * period} if hasattr(state, "steps_left") else {}
        return state.replace(susceptible=1 - chosen, infectious=chosen, **left)

    return scenario.replace(init=init)


def standard_error(values: Sequence[float] | np.ndarray) -> float:
    values = np.asarray(values, float)
    return float(values.std(ddof=1) / np.sqrt(values.size))


def with_process(scenario: lpm.Scenario, process: Callable) -> lpm.Scenario:
    return scenario.replace(processes=(process,))
