"""Segregation from mild preferences (Schelling 1971): two kinds of people on a board.

Whoever has fewer than the `wanted` share of their own kind among their neighbours moves to a vacant
place at random. All judge the board as it stood at the start of the step and move at once, to
different places that were vacant then; nobody without neighbours moves. `scenario` looks at the 8
places around, `wide` at 24. At most four fifths of the board are taken, half by each kind.
"""

import math

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Int, Population, Scalar
from lpm.space import assign, permute, window_sum

DENSITY = 0.8


class Params(lpm.Params):
    wanted: Scalar = lpm.parameter(0.4, within=(0, 1), unit="share of neighbours")


class State(lpm.State):
    kind: Int[Array, " agent"]
    place: Int[Array, " agent"]
    vacant: Int[Array, " vacancy"]
    board: Int[Array, "row column"]


def init(population: Population, params: Params, draw: Draw) -> State:
    side, people = max(3, math.ceil((population.size / DENSITY) ** 0.5)), population.capacity
    slot = jnp.asarray(population.slot)
    spare = jnp.arange(population.size, side * side, dtype=jnp.int32)
    order = permute(draw, jnp.concatenate([slot, spare]), side * side)
    kind = (slot % 2 + 1).astype(jnp.int8)  # 0 stands for nobody
    place = jnp.where(population.alive, order[:people], -1)
    board = put(jnp.zeros((side, side), jnp.int8), place, kind)
    return State.of(population, kind=kind, place=place, vacant=order[people:], board=board)


def put(board: Array, place: Array, kind: Array) -> Array:
    empty = jnp.zeros(board.size, board.dtype)
    inside = jnp.where(place >= 0, place, board.size)
    return empty.at[inside].set(kind, mode="drop").reshape(board.shape)


def neighbours(board: Array, radius: int) -> tuple[Array, Array]:
    one, two = ((board == kind).astype(jnp.int8) for kind in (1, 2))
    ones, twos = (window_sum(x, radius, periodic=False) - x for x in (one, two))
    return jnp.where(board == 1, ones, twos), ones + twos


def relocate(state: State, params: Params, draw: Draw, radius: int) -> State:
    like, others = neighbours(state.board, radius)
    uneasy = ((state.board > 0) & (like < params.wanted * others)).reshape(-1)
    vacancy = assign(draw, state.alive & uneasy[state.place], state.vacant.shape[0])
    goes = vacancy >= 0
    place = jnp.where(goes, state.vacant[jnp.where(goes, vacancy, 0)], state.place)
    left = jnp.where(goes, vacancy, state.vacant.shape[0])
    vacant = state.vacant.at[left].set(state.place, mode="drop")
    return state.replace(place=place, vacant=vacant, board=put(state.board, place, state.kind))


def move(state: State, params: Params, draw: Draw) -> State:
    return relocate(state, params, draw, radius=1)


def move_wide(state: State, params: Params, draw: Draw) -> State:
    return relocate(state, params, draw, radius=2)


def measure(state: State, params: Params, radius: int) -> dict[str, Scalar]:
    like, others = neighbours(state.board, radius)
    taken = state.board > 0
    content = taken & ~(like < params.wanted * others)
    social = taken & (others > 0)
    similar = jnp.where(social, like / jnp.maximum(others, 1), 0)
    return {
        "content": jnp.sum(content) / jnp.sum(taken),
        "similar": jnp.sum(similar) / jnp.maximum(jnp.sum(social), 1),
    }


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return measure(state, params, radius=1)


def observe_wide(state: State, params: Params) -> dict[str, Scalar]:
    return measure(state, params, radius=2)


scenario = lpm.Scenario(init, (move,), observe, Params(), steps=20)
wide = scenario.replace(processes=(move_wide,), observe=observe_wide)
