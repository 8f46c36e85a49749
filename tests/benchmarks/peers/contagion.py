"""The epidemic that peers run as well: ten infectious steps each, by three kinds of contact.

Over ties that last (`fixed`, the network "ties" of the population), contacts drawn anew every step
(`fresh`), or mass action within patches (`patches`, the column "patch"). A step is a day.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Int, Population, Scalar

DURATION, DEGREE, NUM_PATCHES = 10, 10, 100


class Params(lpm.Params):
    chance: Scalar = lpm.parameter(0.02, within=(0, 1), unit="per contact and step")
    seeded: Scalar = lpm.constant(0.01, unit="share of agents")


class State(lpm.State):
    contacts: lpm.Graph | lpm.Mixing
    left: Int[Array, " agent"]


def begin(population: Population, params: Params, contacts: lpm.Graph | lpm.Mixing) -> State:
    many = jnp.floor(params.seeded * population.size)
    ill = jnp.asarray(population.slot) < many
    left = jnp.where(ill & population.alive, DURATION, 0).astype(jnp.int8)
    return State.of(population, contacts=contacts, left=left)


def init_fixed(population: Population, params: Params, draw: Draw) -> State:
    return begin(population, params, population.network("ties"))


def init_fresh(population: Population, params: Params, draw: Draw) -> State:
    everybody = jnp.where(population.alive, 0, -1)
    met = jnp.full((1, 1), float(DEGREE))
    return begin(population, params, lpm.Mixing(everybody, met, alive=population.alive))


def init_patches(population: Population, params: Params, draw: Draw) -> State:
    patch = jnp.where(population.alive, population["patch"], -1)
    met = float(DEGREE) * jnp.eye(NUM_PATCHES)
    # Patches are of one size and seeded alike: the first of each are ill.
    state = begin(population, params, lpm.Mixing(patch, met, alive=population.alive))
    each = population.size // NUM_PATCHES
    ill = (jnp.asarray(population.slot) // NUM_PATCHES) < jnp.floor(params.seeded * each)
    return state.replace(left=jnp.where(ill & population.alive, DURATION, 0).astype(jnp.int8))


def pass_on(state: State, rate: Array, draw: Draw) -> State:
    susceptible, infectious = ((x).astype(jnp.float32) for x in (state.left == 0, state.left > 0))
    infected = lpm.infections(draw, susceptible, [(state.contacts, rate, infectious)])
    aged = jnp.where(state.left == 1, -1, state.left - (state.left > 1).astype(jnp.int8))
    return state.replace(left=jnp.where(infected > 0.5, DURATION, aged).astype(jnp.int8))


def spread(state: State, params: Params, draw: Draw) -> State:
    return pass_on(state, -jnp.log1p(-params.chance), draw)


def mix(state: State, params: Params, draw: Draw) -> State:
    return pass_on(state, params.chance, draw)


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {"attack_rate": lpm.share(state.left != 0, state.alive)}


fixed = lpm.Scenario(init_fixed, (spread,), observe, Params(), steps=100, unit="day")
fresh = fixed.replace(init=init_fresh, processes=(mix,))
patches = fixed.replace(init=init_patches, processes=(mix,))
