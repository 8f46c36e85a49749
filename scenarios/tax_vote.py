"""A vote on taxes every tax year, among people who answer taxes (after Karten et al. 2025).

Every option on the ballot, which is to keep the law or to move the rate of one bracket, or of all
of them, up or down, is promised by one candidate, drawn by lot from the people. All vote by
what they would have under each option; the winner's option is law for a year, and all earn what
suits them under it, with the revenue handed back in equal parts. A step is a tax year. Where
promises do not bind, the winner chooses the option that is best for himself, as in the paper.

With one bracket the law walks to the rate of the median voter (Romer 1975; Roberts 1977), to half a
move; without binding promises it goes wherever the lot sends it. `by_plurality` counts first
choices instead of holding duels. Votes are certain, or logit with `noise`.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar, economics as econ


class Params(lpm.Params):
    elasticity: Scalar = lpm.parameter(0.4, within=(0.05, 3), unit="of income by 1 - rate")
    noise: Scalar = lpm.parameter(0.0, within=(0, None), unit="EUR/year in votes")
    binding: Scalar = lpm.policy(1.0, within=(0, 1), unit="1 where promises bind, else 0")
    start: Float[Array, " bracket"] = lpm.policy([0.3] * 3, within=(0, 0.95), unit="rate")
    thresholds: Float[Array, " bracket"] = lpm.constant([0, 20_000, 50_000], unit="EUR/year")
    move: Scalar = lpm.constant(0.1, unit="of a rate, in one vote")
    highest: Scalar = lpm.constant(0.95, unit="rate")


class State(lpm.State):
    potential: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="EUR/year without tax")
    income: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="EUR/year")
    utility: Float[Array, " agent"] = lpm.variable(unit="EUR/year")
    rates: Float[Array, " bracket"] = lpm.variable(within=(0, 1))
    support: Float[Array, ""] = lpm.variable(within=(0, 1), unit="of votes, or of duels")


def init(population: Population, params: Params, draw: Draw) -> State:
    potential = population["income"]
    return State.of(
        population, potential=potential, income=0, utility=0, rates=params.start, support=0
    )


def options(state: State, params: Params) -> Float[Array, "option bracket"]:
    """Rates of the law as it is and of each move from it."""
    one = jnp.eye(len(state.rates))
    if len(state.rates) > 1:
        one = jnp.concatenate([one, jnp.ones_like(one[:1])])
    moves = jnp.concatenate([jnp.zeros_like(one[:1]), one, -one])
    return jnp.clip(state.rates[None] + params.move * moves, 0, params.highest)


def workers(state: State, params: Params) -> econ.Workforce:
    return econ.Workforce(state.potential, params.elasticity, state.alive.astype(jnp.float32))


def hold(election, state: State, params: Params, draw: Draw) -> State:
    rates = options(state, params)
    number, people = len(rates), workers(state, params)
    edges = jnp.broadcast_to(params.thresholds, rates.shape)
    utility = econ.utilities(people, econ.Schedule(edges, rates, jnp.zeros(number)))
    # Minus the log of an exponential is a Gumbel variate.
    luck = -jnp.log(draw.exponential(("agent", number))).T
    found = election(utility + params.noise * luck, people.weight, draw.uniform((number,)))
    lot = jnp.where(state.alive, draw.uniform("agent"), -1.0)
    person = jnp.argsort(-lot)[found.winner]
    own = jnp.argmax(utility[:, person])
    law = rates[jnp.where(params.binding > 0.5, found.winner, own)]
    return state.replace(rates=law, support=found.votes[found.winner])


def vote(state: State, params: Params, draw: Draw) -> State:
    return hold(econ.majority, state, params, draw)


def vote_for_one(state: State, params: Params, draw: Draw) -> State:
    return hold(econ.plurality, state, params, draw)


def work(state: State, params: Params, draw: Draw) -> State:
    people = workers(state, params)
    found = people.answer(econ.Schedule(params.thresholds, state.rates, jnp.zeros(())))
    rebate = people.mean(found.tax)
    utility = jnp.where(state.alive, found.utility + rebate, 0.0)
    return state.replace(income=found.income, utility=utility)


def observe(state: State, params: Params) -> dict[str, Array]:
    people = workers(state, params)
    return {
        "rates": state.rates,
        "income": people.mean(state.income),
        "utility": people.mean(state.utility),
        "support": state.support,
    }


UNITS = {"income": "EUR/year", "utility": "EUR/year"}
scenario = lpm.Scenario(init, (vote, work), observe, Params(), steps=20, unit="year")
by_plurality = scenario.replace(processes=(vote_for_one, work))
