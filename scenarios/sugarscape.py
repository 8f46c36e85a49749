"""Gatherers on two hills of sugar (Epstein & Axtell 1996, chapter II: rules G and M).

Each looks along the four directions as far as its vision, goes to the richest free site, the
nearest of equals, takes all sugar there, and pays its metabolism; without sugar it dies. Sites grow
back towards their capacity. All choose at once; of those who want one site one gets it at random,
and the others look again, three times at most. Hills are terraces round two summits of a torus.
"""

import jax
import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar
from lpm.space import one_each, permute

SITES = 6.25  # per person at the start: 50 x 50 for 400
FARTHEST = 6
LOOKS = 3
BATCHES = 16  # of those who may look, one after another, so that only those who do cost time


class Params(lpm.Params):
    growback: Scalar = lpm.parameter(1.0, within=(0, None), unit="sugar/step")
    summit: Scalar = lpm.constant(4.0, unit="sugar")
    hungriest: Scalar = lpm.constant(4, unit="sugar/step")


class State(lpm.State):
    place: Int[Array, " agent"]
    vision: Int[Array, " agent"]
    metabolism: Float[Array, " agent"]
    sugar: Float[Array, " agent"]
    level: Float[Array, "row column"] = lpm.variable(within=(0, None), unit="sugar")
    most: Float[Array, "row column"] = lpm.variable(within=(0, None), unit="sugar")


def hills(side: int, summit: Array) -> Array:
    """Terraces of a tenth of the side, one unit lower each, round two opposite summits."""
    row, column = jnp.meshgrid(jnp.arange(side), jnp.arange(side), indexing="ij")
    away = [jnp.hypot(row - r * side, column - c * side) for r, c in ((0.3, 0.7), (0.7, 0.3))]
    return jnp.maximum(summit - jnp.floor(jnp.minimum(*away) / (side / 10)), 0)


def init(population: Population, params: Params, draw: Draw) -> State:
    side = max(2 * FARTHEST + 1, round((SITES * population.size) ** 0.5))
    most = hills(side, params.summit)
    place = permute(draw, jnp.asarray(population.slot), side * side)
    hungriest = jnp.asarray(params.hungriest, jnp.int32)
    return State.of(
        population,
        place=place,
        vision=draw.integers("agent", 1, FARTHEST + 1),
        metabolism=draw.integers("agent", 1, hungriest + 1).astype(jnp.float32),
        sugar=draw.integers("agent", 5, 26).astype(jnp.float32),
        level=most,
        most=most,
    )


def best_site(level: Array, free: Array, place: Array, vision: Array, order: Array) -> Array:
    """The richest free site in sight of each; of equals the nearest, then that first in `order`."""
    rows, columns = level.shape
    row, column = place // columns, place % columns

    def look(away: Array, best: tuple[Array, Array]) -> tuple[Array, Array]:
        sites = jnp.stack(
            [
                (row + away * i) % rows * columns + (column + away * j) % columns
                for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0))
            ]
        )
        found = jnp.where((away <= vision)[None], free[sites], -1)
        top = jnp.max(found, axis=0)
        tied = jnp.where(found == top[None], order, -1.0)
        chosen = jnp.take_along_axis(sites, jnp.argmax(tied, axis=0)[None], axis=0)[0]
        better = top > best[0]
        return jnp.where(better, top, best[0]), jnp.where(better, chosen, best[1])

    return jax.lax.fori_loop(1, FARTHEST + 1, look, (level.reshape(-1)[place], place))[1]


def best_sites(state: State, place: Array, looking: Array, order: Array) -> Array:
    """The best site of each who looks, in batches of those; the others' own place."""
    n, size = place.shape[0], -(-place.shape[0] // BATCHES)
    who = jnp.nonzero(looking, size=BATCHES * size, fill_value=n)[0]
    level = jax.lax.stop_gradient(state.level)  # places are whole numbers: no slope goes through
    held = jnp.where(state.alive, place, level.size)
    free = level.reshape(-1).at[held].set(-1, mode="drop")

    def look(now: tuple[Array, Array]) -> tuple[Array, Array]:
        batch, wanted = now
        some = jax.lax.dynamic_slice_in_dim(who, batch * size, size)
        best = best_site(level, free, place[some], state.vision[some], order[:, some])
        return batch + 1, wanted.at[some].set(best, mode="drop")

    many = jnp.sum(looking)
    return jax.lax.while_loop(lambda now: now[0] * size < many, look, (jnp.int32(0), place))[1]


def gather(state: State, params: Params, draw: Draw) -> State:
    order = draw.uniform(("agent", 4)).T

    def try_once(turn: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        place, looking = now
        wanted = best_sites(state, place, looking, order)
        claims = looking & (wanted != place)
        wins = one_each(draw.at(turn), wanted, claims, state.level.size)
        return jnp.where(wins, wanted, place), claims & ~wins

    place, _ = jax.lax.fori_loop(0, LOOKS, try_once, (state.place, state.alive))
    level = state.level.reshape(-1)
    taken = jnp.where(state.alive, level[place], 0)
    level = level.at[jnp.where(state.alive, place, level.size)].set(0, mode="drop")
    return state.replace(
        place=place,
        sugar=state.sugar + taken - state.metabolism,
        level=level.reshape(state.level.shape),
    )


def starve(state: State, params: Params, draw: Draw) -> State:
    return lpm.death(state, (state.alive & (state.sugar <= 0)).astype(jnp.float32))


def grow(state: State, params: Params, draw: Draw) -> State:
    return state.replace(level=jnp.minimum(state.level + params.growback, state.most))


def observe(state: State, params: Params) -> dict[str, Scalar]:
    people = lpm.count(state.alive)
    return {
        "population": people,
        "sugar": jnp.sum(state.sugar) / jnp.maximum(people, 1),
        "metabolism": jnp.sum(state.metabolism) / jnp.maximum(people, 1),
        "standing": jnp.sum(state.level) / jnp.sum(state.most),
    }


scenario = lpm.Scenario(init, (gather, starve, grow), observe, Params(), steps=100)
