"""Wolves, sheep and grass on a torus of patches (Wilensky 1997, NetLogo Wolf Sheep Predation).

All wander to one of the 8 patches around and pay for it. One sheep on a grown patch grazes it;
wolves and sheep on a patch are paired off at random and the sheep of a pair is eaten. Who has less
than no energy dies; who breeds shares its energy with its young. All do each of these at once.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Bool, Draw, Float, Int, Population, Scalar
from lpm.space import one_each, pair_each

PATCHES = 17  # per animal at the start: 51 x 51 for 150


class Params(lpm.Params):
    regrowth: Scalar = lpm.constant(30, unit="steps")
    from_grass: Scalar = lpm.parameter(4, within=(0, None), unit="energy")
    from_sheep: Scalar = lpm.parameter(20, within=(0, None), unit="energy")
    sheep_breed: Scalar = lpm.parameter(0.04, within=(0, 1), unit="probability/step")
    wolf_breed: Scalar = lpm.parameter(0.05, within=(0, 1), unit="probability/step")


class State(lpm.State):
    wolf: Bool[Array, " agent"]
    place: Int[Array, " agent"]
    energy: Float[Array, " agent"]
    bare: Int[Array, "row column"]
    grazed: Scalar
    caught: Scalar
    lost: Scalar


def herd(size: int, *, seed: int = 0, capacity: int | None = None) -> Population:
    wolf = [3 * i // size == 2 for i in range(size)]  # two sheep for a wolf
    return Population({"wolf": wolf}, capacity=capacity or 8 * size + 64, recycle=True)


def init(population: Population, params: Params, draw: Draw) -> State:
    wolf, side = population["wolf"], max(3, round((PATCHES * population.size) ** 0.5))
    grown = draw.uniform((side, side)) < 0.5
    wait = draw.integers((side, side), 1, jnp.asarray(params.regrowth, jnp.int32) + 1)
    richest = 2 * jnp.where(wolf, params.from_sheep, params.from_grass)
    return State.of(
        population,
        wolf=wolf,
        place=draw.integers("agent", 0, side * side),
        energy=richest * draw.uniform("agent"),
        bare=jnp.where(grown, 0, wait),
        grazed=0,
        caught=0,
        lost=0,
    )


def wander(state: State, params: Params, draw: Draw) -> State:
    rows, columns = state.bare.shape
    step = draw.integers("agent", 0, 8)
    step = step + (step >= 4)  # of the nine patches around, not the one in the middle
    row = (state.place // columns + step // 3 - 1) % rows
    column = (state.place % columns + step % 3 - 1) % columns
    return state.replace(place=row * columns + column, energy=state.energy - 1)


def graze(state: State, params: Params, draw: Draw) -> State:
    bare = state.bare.reshape(-1)
    hungry = state.alive & ~state.wolf & (bare[state.place] == 0)
    eats = one_each(draw, state.place, hungry, bare.size)
    where = jnp.where(eats, state.place, bare.size)
    wait = jnp.round(params.regrowth).astype(bare.dtype)
    return state.replace(
        energy=state.energy + params.from_grass * eats,
        bare=bare.at[where].set(wait, mode="drop").reshape(state.bare.shape),
        grazed=lpm.count(eats),
    )


def hunt(state: State, params: Params, draw: Draw) -> State:
    wolves, sheep = state.alive & state.wolf, state.alive & ~state.wolf
    fed, eaten = pair_each(draw, state.place, wolves, sheep, state.bare.size)
    lost = jnp.sum(jnp.where(eaten, state.energy, 0))
    state = state.replace(energy=state.energy + params.from_sheep * fed)
    state = state.replace(caught=lpm.count(eaten), lost=lost)
    return lpm.death(state, eaten.astype(jnp.float32))


def starve(state: State, params: Params, draw: Draw) -> State:
    dying = state.alive & (state.energy < 0)
    lost = state.lost + jnp.sum(jnp.where(dying, state.energy, 0))
    return lpm.death(state.replace(lost=lost), dying.astype(jnp.float32))


def breed(state: State, params: Params, draw: Draw) -> State:
    chance = jnp.where(state.wolf, params.wolf_breed, params.sheep_breed)
    parent = draw.bernoulli(chance, among=state.alive)
    shared = state.replace(energy=jnp.where(parent > 0.5, state.energy / 2, state.energy))
    return lpm.birth(shared, parent)


def grow(state: State, params: Params, draw: Draw) -> State:
    return state.replace(bare=jnp.maximum(state.bare - 1, 0))


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {
        "wolves": lpm.count(state.wolf, state.alive),
        "sheep": lpm.count(~state.wolf, state.alive),
        "grass": jnp.sum(state.bare == 0).astype(jnp.float32),
    }


processes = (wander, graze, hunt, starve, breed, grow)
scenario = lpm.Scenario(init, processes, observe, Params(), steps=100, population=herd)
