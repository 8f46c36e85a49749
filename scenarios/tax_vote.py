"""A vote on taxes every tax year, among people who answer taxes (after Karten et al. 2025).

Every option on the ballot, which is to keep the law or to move the rate of one bracket, or of all
of them, up or down, is promised by one candidate, drawn by lot from the people. All vote by
what they would have under each option; the winner's option is law for a year, and all earn what
suits them under it, with the revenue handed back in equal parts. A step is a tax year. Where
promises do not bind, the winner chooses the option that is best for himself, as in the paper.

With one bracket the law walks to the rate of the median voter (Romer 1975; Roberts 1977), to half a
move; without binding promises it goes wherever the lot sends it. `by_plurality` counts first
choices instead of holding duels. Votes are certain, or logit with `noise`.

`answered_by` lets personas vote: a panel says what share of people of each income and age choose
each option of the ballot at the mean rate of the day, everybody draws a vote from the shares of his
own cell, and most votes win. Incomes and utilities stay those of people who answer taxes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar, economics as econ, personas


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
    rates, utility = ballot(state, params)
    liking = utility + params.noise * luck(len(rates), draw)
    return settle(election, liking, rates, utility, state, params, draw)


def ballot(state: State, params: Params) -> tuple[Array, Array]:
    """Rates of each option, and what everybody would have under it."""
    rates = options(state, params)
    edges = jnp.broadcast_to(params.thresholds, rates.shape)
    schedules = econ.Schedule(edges, rates, jnp.zeros(len(rates)))
    return rates, econ.utilities(workers(state, params), schedules)


def luck(number: int, draw: Draw) -> Float[Array, "option agent"]:
    # Minus the log of an exponential is a Gumbel variate.
    return -jnp.log(draw.exponential(("agent", number))).T


def settle(election, liking, rates, utility, state: State, params: Params, draw: Draw) -> State:
    heads = state.alive.astype(jnp.float32)
    found = election(liking, heads, draw.uniform((len(rates),)))
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

# Options of the ballot as a panel names them, in the order of `options` for three brackets.
BALLOT = (
    "keep all rates",
    "raise the lowest rate",
    "raise the middle rate",
    "raise the top rate",
    "raise all rates",
    "lower the lowest rate",
    "lower the middle rate",
    "lower the top rate",
    "lower all rates",
)
KNOTS = {"rate": (0.0, 0.2, 0.4, 0.6, 0.95)}  # mean over brackets
VOTERS = (
    personas.Band(
        "income",
        "income",
        (10_000.0, 20_000.0, 35_000.0, 50_000.0, 80_000.0),
        (
            "You earn less than 10,000 a year before tax.",
            "You earn 10,000 to 20,000 a year before tax.",
            "You earn 20,000 to 35,000 a year before tax.",
            "You earn 35,000 to 50,000 a year before tax.",
            "You earn 50,000 to 80,000 a year before tax.",
            "You earn more than 80,000 a year before tax.",
        ),
    ),
    personas.Band(
        "age",
        "age",
        (30.0, 60.0),
        ("You are under 30.", "You are between 30 and 60.", "You are over 60."),
    ),
)


class Panel(lpm.State):
    panel: personas.Surface
    cell: Int[Array, " agent"]


class Polled(State, Panel):  # Fields of the last base come first: they have no declaration.
    pass


def vote_as_said(state: Polled, params: Params, draw: Draw) -> State:
    rates, utility = ballot(state, params)
    shares = state.panel.shares(rate=jnp.mean(state.rates))
    liking = jnp.log(shares).T[:, state.cell] + luck(len(rates), draw)
    return settle(econ.plurality, liking, rates, utility, state, params, draw)


def answered_by(panel: Callable[[personas.Cells], personas.Surface]) -> lpm.Scenario:
    """The vote of personas: from the cells of a population to their answers, in `BALLOT`."""

    def init_polled(population: Population, params: Params, draw: Draw) -> Polled:
        cells = personas.cells_of(population, VOTERS)
        with jax.ensure_compile_time_eval():  # The panel answers once, in numbers.
            answered = panel(cells)
        if answered.actions != BALLOT:
            raise lpm.PersonaError(f"the panel has {list(answered.actions)}; give {list(BALLOT)}")
        potential = population["income"]
        return Polled.of(
            population,
            potential=potential,
            income=0,
            utility=0,
            rates=params.start,
            support=0,
            panel=answered,
            cell=cells.cell_of,
        )

    return scenario.replace(init=init_polled, processes=(vote_as_said, work))
