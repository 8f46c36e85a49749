"""A closure schedule for an epidemic of coins, against random search at equal runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.fitting.policies import optimise

PHASES = 10


class Params(lpm.Params):
    R0: Scalar = lpm.parameter(2.5, within=(0, 30))
    period: Scalar = lpm.constant(5, unit="day")
    seeded: Scalar = lpm.constant(0.01)
    imported: Scalar = lpm.constant(2e-4, unit="1/person/day")
    price: Scalar = lpm.constant(0.06, unit="share of people per squared week of closure")
    closure: Float[Array, " phase"] = lpm.policy(np.full(PHASES, 0.3), within=(0, 1))


class State(lpm.State):
    everyone: lpm.Mixing
    susceptible: Float[Array, " agent"]
    infectious: Float[Array, " agent"]


def init(population, params, draw):
    infectious = draw.bernoulli(params.seeded, "agent")
    return State.of(
        population,
        everyone=lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]]),
        susceptible=1 - infectious,
        infectious=infectious,
    )


def spread(state, params, draw):
    closed = params.closure[jnp.minimum(state.t // 7, PHASES - 1)] * (state.t < 7 * PHASES)
    rate = params.R0 / params.period * (1 - closed)
    infected = lpm.infections(draw, state.susceptible, [(state.everyone, rate, state.infectious)])
    infected = infected + draw.bernoulli((state.susceptible - infected) * params.imported)
    recovered = draw.bernoulli(state.infectious / params.period)
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=state.infectious + infected - recovered,
    )


def observe(state, params):
    attack = 1 - lpm.count(state.susceptible) / lpm.count(state.alive)
    return {"welfare": -attack - params.price * jnp.sum(params.closure**2)}


def welfare(trajectory):
    return trajectory.observed["welfare"][-1]


@pytest.mark.gate
def test_a_schedule_beats_random_search_at_equal_runs(report):
    # Of seeds 0 to 19, 17 are better with their whole 95 % interval and 19 by their mean; so few
    # as 2 of 4 would happen once in ten.
    scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=110, unit="day")
    town = lpm.Population.toy(5_000)
    found = []
    for seed in range(1, 5):
        keys = jax.random.split(jax.random.key(seed), 8)
        against = optimise(scenario, town, welfare, keys=keys, budget=2000).against_random
        found.append(against)
        report(f"seed {seed}: gain over random search", against.difference)
    assert sum(one.verdict == "better" for one in found) >= 3
    assert all(one.verdict != "worse" for one in found)
    assert np.mean([one.difference for one in found]) > 0.01
