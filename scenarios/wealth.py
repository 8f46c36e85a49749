"""Random exchange of coins, and what the update schedule does to inequality.

`scenario` trades in pairs: everybody meets one other, and one of the two, chosen at random, gives
a coin if there is one. No agent trades twice at once, every fortune is as likely as any other, and
wealth is geometric (Dragulescu & Yakovenko 2000): with one coin each half are broke, Gini 2/3.
In `synchronous` all give at once to anybody: queues served once a step, of whom 41 % are empty.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar


class Params(lpm.Params):
    coins: Scalar = lpm.constant(1, unit="coins per agent")


class State(lpm.State):
    wealth: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="coins")


def init(population: Population, params: Params, draw: Draw) -> State:
    return State.of(population, wealth=params.coins)


def trade(state: State, params: Params, draw: Draw) -> State:
    partner = draw.pairs(state.alive)
    coin = draw.uniform("agent")
    # Who of the two gives is whoever drew the larger number; without a partner nobody does.
    gives = (coin > coin[partner]) & (state.wealth >= 1)
    return state.replace(wealth=state.wealth - gives + gives[partner])


def give_at_once(state: State, params: Params, draw: Draw) -> State:
    people = lpm.count(state.alive).astype(jnp.int32)
    receiver = draw.integers("agent", 0, people)
    gives = (state.wealth >= 1).astype(jnp.float32)
    return state.replace(wealth=(state.wealth - gives).at[receiver].add(gives))


def observe(state: State, params: Params) -> dict[str, Scalar]:
    # Empty slots hold no coin and come first: `rank` of the others runs from 1 to the people.
    people, empty = lpm.count(state.alive), lpm.count(~state.alive)
    rank = jnp.maximum(jnp.arange(1, state.wealth.shape[0] + 1) - empty, 0)
    money = lpm.count(state.wealth)
    lorenz = jnp.sum((2 * rank - people - 1) / people * jnp.sort(state.wealth))
    broke = lpm.count(state.alive & (state.wealth == 0))
    return {"money": money, "broke": broke / people, "gini": lorenz / jnp.maximum(money, 1)}


scenario = lpm.Scenario(init, (trade,), observe, Params(), steps=400)
synchronous = scenario.replace(processes=(give_at_once,))
