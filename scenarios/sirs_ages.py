"""An epidemic that comes back: SIRS among five age bands, with immunity that wanes.

Everybody of a band meets all bands as people in the state of New York do (Mistry et al. 2021). How
easily the young and the old are infected is relative to people from 20 to 59. `R0` is the spectral
radius of the next-generation matrix, susceptibilities included, while nobody is immune. Stays are
geometric with the mean of an exponential law cut into steps, hazards add up, and all flows are read
off the start of the step: as the step shrinks the mean follows the equations of Hethcote (1976),
Mathematical Biosciences 28, by age. The town is made up.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar, epidemiology as epi
from lpm.population import contact_matrix

EDGES = (0, 20, 40, 60, 75)  # First years of the bands.
BANDS = len(EDGES)
LABELS = {"new_by_age": ("0-19", "20-39", "40-59", "60-74", "75+")}
UNITS = {"new_by_age": "people infected in the step"}
_CONTACTS = contact_matrix(bands=EDGES)


class Params(lpm.Params):
    R0: Scalar = lpm.parameter(2.5, within=(1.5, 3.5), unit="infections per infected person")
    infectious: Scalar = lpm.parameter(5.0, within=(3, 8), unit="day")
    immunity: Scalar = lpm.parameter(60.0, within=(30, 120), unit="day")
    children: Scalar = lpm.parameter(0.8, within=(0.4, 2), unit="susceptibility below 20 years")
    old: Scalar = lpm.parameter(1.2, within=(0.5, 2), unit="susceptibility from 60 years on")
    seeded: Scalar = lpm.constant(0.02, unit="share of agents, infectious at the start")
    day: Scalar = lpm.constant(1, unit="day/step")


class State(lpm.State):
    everyone: lpm.Mixing
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    new: Float[Array, " agent"] = lpm.variable(within=(0, 1), unit="infected in the last step")


def init(population: Population, params: Params, draw: Draw) -> State:
    infectious = draw.bernoulli(params.seeded, "agent")
    band = jnp.searchsorted(jnp.array(EDGES[1:]), population["age"], side="right")
    return State.of(
        population,
        everyone=lpm.Mixing(jnp.where(population.alive, band, -1), _CONTACTS),
        susceptible=1 - infectious,
        infectious=infectious,
        new=0,
    )


def susceptibility(params: Params) -> Float[Array, " age"]:
    return jnp.stack([params.children, 1.0, 1.0, params.old, params.old])


def spread(state: State, params: Params, draw: Draw) -> State:
    relative = susceptibility(params)
    radius = epi.spectral_radius(relative[:, None] * jnp.asarray(_CONTACTS, jnp.float32))
    catch = params.R0 / params.infectious / radius * relative * params.day
    contacts = [(state.everyone, catch[state.everyone.class_of], state.infectious)]
    infected = lpm.infections(draw, state.susceptible, contacts)
    recovered = draw.bernoulli(state.infectious * -jnp.expm1(-params.day / params.infectious))
    immune = state.alive - state.susceptible - state.infectious
    waned = draw.bernoulli(immune * -jnp.expm1(-params.day / params.immunity))
    return state.replace(
        susceptible=state.susceptible - infected + waned,
        infectious=state.infectious + infected - recovered,
        new=infected,
    )


def observe(state: State, params: Params) -> dict[str, Array]:
    return {
        "prevalence": lpm.share(state.infectious, state.alive),
        "susceptible": lpm.share(state.susceptible, state.alive),
        "new_by_age": lpm.count_by(state.new, state.everyone.class_of, BANDS),
    }


scenario = lpm.Scenario(
    init, (spread,), observe, Params(), steps=182, unit="day", population=Population.toy
)
