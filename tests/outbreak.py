"""An epidemic in households, workplaces and a town, to differentiate, and its differences."""

import jax
import jax.numpy as jnp
import numpy as np

import lpm
from lpm import Array, Float, Population, Scalar
from lpm.launch import key_words

FIELDS = ["home", "work", "town", "onset", "recovery", "seeded"]


class Params(lpm.Params):
    home: Scalar = lpm.parameter(0.15, within=(0, 5))
    work: Scalar = lpm.parameter(0.01, within=(0, 5))
    town: Scalar = lpm.parameter(0.15, within=(0, 5))
    onset: Scalar = lpm.parameter(0.3, within=(0, 1))
    recovery: Scalar = lpm.parameter(0.25, within=(0, 1))
    seeded: Scalar = lpm.parameter(0.02, within=(0, 1))


class State(lpm.State):
    house: lpm.Groups
    office: lpm.Groups
    everyone: lpm.Mixing
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    exposed: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population, params, draw):
    infectious = draw.bernoulli(params.seeded, "agent")
    return State.of(
        population,
        house=population.groups("house_id"),
        office=population.groups("office_id"),
        everyone=lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]]),
        susceptible=1 - infectious,
        exposed=0,
        infectious=infectious,
    )


def spread(state, params, draw):
    contacts = [
        (state.house, params.home, state.infectious),
        (state.office, params.work, state.infectious),
        (state.everyone, params.town, state.infectious),
    ]
    infected = lpm.infections(draw, state.susceptible, contacts)
    onset = draw.bernoulli(state.exposed * params.onset)
    recovered = draw.bernoulli(state.infectious * params.recovery)
    return state.replace(
        susceptible=state.susceptible - infected,
        exposed=state.exposed + infected - onset,
        infectious=state.infectious + onset - recovered,
    )


def observe(state, params):
    return {"attack": 1 - lpm.share(state.susceptible, state.alive)}


epidemic = lpm.Scenario(init, (spread,), observe, Params(), steps=20, unit="day")


def town_of(agents):
    """Households of about 3 and workplaces of about 20, spread by multiplication."""
    person = np.arange(agents, dtype=np.uint64)
    houses = (person * 2654435761 % 2**32 * (agents // 3)) >> 32
    offices = ((person + 7) * 2246822519 % 2**32 * (agents // 20)) >> 32
    return Population({"house_id": houses.astype(int), "office_id": offices.astype(int)})


def last_attack(trajectory):
    return trajectory.observed["attack"][-1]


def words(seed, runs):
    return key_words(jax.random.split(jax.random.key(seed), runs))


def by_differences(scenario, people, name, runs, steps, share=0.1):
    """Central difference with common random numbers by one field, and its standard error."""
    value = float(np.asarray(getattr(scenario.params, name)))
    both = np.array([1 + share, 1 - share], np.float32) * np.float32(value)
    seen = lpm.ensemble(
        scenario,
        people,
        keys=jax.random.split(jax.random.key(77), runs),
        params=scenario.params.replace(**{name: both}),
        steps=steps,
        every=steps,
    ).observed["attack"][..., -1]
    slope = (seen[0] - seen[1]) / (2 * share * value)
    return slope.mean(), slope.std() / runs**0.5
