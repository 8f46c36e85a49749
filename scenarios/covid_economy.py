"""Governors close regions, a federal planner pays subsidies: health against work. A step is a day.

The two-level economy of The AI Economist's COVID-19 study (Trott et al. 2021, arXiv 2108.02904).
Its equations: an SIR epidemic in each region, everybody in it alike, whose transmission is a
straight line of stringency a lag ago, and never below 0; unemployment is a level and the softplus
of changes of stringency, filtered exponentially with several time constants over 600 days and
weighted by region; those able to work produce; what people have, subsidies included, is valued with
constant relative risk aversion. Its constants: lag 29 days, 14 days infectious, 2 % of the infected
die, output of 65,300 dollars a head and year, aversion 2, 10 million dollars for a life, 28 days
between changes of stringency, 90 between those of a subsidy of at most 20,000 dollars a head and
year, 540 days.

Ours: levels are any share, not ten or twenty; hazards add up, so that the final size z of a region
obeys 1 - z = (1 - seeded) exp(-R0 z); the infected do not work, and output is 65,300 where all are
well and as many employed as before; utility is in dollars at that output; public money costs
`price`. Numbers by region, time constants and `price` are made up here;
`calibration/covid_economy.py` fits those by region to the states of the U.S.

In `scenario` a row is a share of the people of its region, without luck. In `drawn` a row is a
person, or one who stands for `people`, who falls ill or not: the same model at the level of agents.
"""

import jax
import jax.numpy as jnp
import numpy as np

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar

PERIOD, QUARTER, WINDOW, YEAR = 28, 90, 600, 365  # days
PEOPLE = np.array([19e6, 12e6, 7e6, 3e6])


class Params(lpm.Params):
    stringency: Float[Array, "period region"] = lpm.policy(
        np.concatenate([np.full((4, 4), 0.6), np.full((16, 4), 0.4)]),
        within=(0, 1),
        unit="of the index, 28 days each",
    )
    subsidy: Float[Array, " quarter"] = lpm.policy(
        np.full(6, 2_000), within=(0, 20_000), unit="USD/head/year, 90 days each"
    )
    intercept: Float[Array, " region"] = lpm.parameter(
        [0.22, 0.2, 0.18, 0.17], within=(0, 2), unit="1/day, without measures"
    )
    slope: Float[Array, " region"] = lpm.parameter(
        [-0.23, -0.21, -0.18, -0.17], within=(-2, 2), unit="1/day for all of the index"
    )
    seeded: Float[Array, " region"] = lpm.parameter(
        [1e-2, 4e-3, 2e-3, 1e-3], within=(0, 1), unit="share infected at the start"
    )
    filters: Float[Array, "filter region"] = lpm.parameter(
        np.repeat([[10.0], [6.0], [4.0], [4.0], [4.0]], 4, axis=1), unit="percentage points"
    )
    level: Float[Array, " region"] = lpm.parameter(
        [3.0, 2.8, 2.6, 3.2], within=(-1, 20), unit="percentage points of unemployment"
    )
    early: Float[Array, " region"] = lpm.constant(
        [0.15, 0.15, 0.1, 0.1], unit="of the index, before the start"
    )
    constants: Float[Array, " filter"] = lpm.constant([14, 28, 56, 112, 224], unit="day")
    lag: Scalar = lpm.constant(29, unit="day")
    infectious: Scalar = lpm.constant(14, unit="day")
    fatality: Scalar = lpm.constant(0.02, unit="share of the infected")
    usual: Scalar = lpm.constant(65_300, unit="USD/head/year of output")
    aversion: Scalar = lpm.constant(2, unit="relative, to risk")
    life: Scalar = lpm.constant(1e7, unit="USD")
    price: Scalar = lpm.constant(1.0, unit="USD of welfare for one of subsidies")
    governor: Float[Array, " region"] = lpm.constant(
        [0.5, 0.5, 0.5, 0.5], unit="weight of health, the economy having the rest"
    )
    federal: Scalar = lpm.constant(0.5, unit="weight of health, as above")


class State(lpm.State):
    region: Int[Array, " agent"]
    people: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="people")
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infected: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    recovered: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    dead: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    filtered: Float[Array, "filter region"] = lpm.variable(unit="of the index")
    unemployment: Float[Array, " region"] = lpm.variable(within=(0, 1), unit="share")
    output: Float[Array, " region"] = lpm.variable(within=(0, None), unit="USD/head/year")
    economy: Float[Array, " region"] = lpm.variable(unit="USD/head since the start")
    spent: Float[Array, " region"] = lpm.variable(within=(0, None), unit="USD/head")


def begin(population: Population, params: Params, infected: Float[Array, " agent"]) -> State:
    return State.of(
        population,
        region=population["region"],
        people=population["people"],
        susceptible=population.alive - infected,
        infected=infected,
        filtered=jnp.zeros_like(params.filters),
        unemployment=(params.level + jnp.log(2.0)) / 100,
        output=jnp.full_like(params.level, params.usual),
        economy=jnp.zeros_like(params.level),
        spent=jnp.zeros_like(params.level),
        **dict.fromkeys(("recovered", "dead"), 0),
    )


def init(population: Population, params: Params, draw: Draw) -> State:
    return begin(population, params, population.alive * params.seeded[population["region"]])


def init_drawn(population: Population, params: Params, draw: Draw) -> State:
    chance = population.alive * params.seeded[population["region"]]
    return begin(population, params, draw.bernoulli(chance))


def in_force(params: Params, day: Array) -> Float[Array, " region"]:
    """Stringency on a day from the start, which may be before it."""
    period = jnp.clip(jnp.floor(day / PERIOD).astype(jnp.int32), 0, len(params.stringency) - 1)
    return jnp.where(day < 0, params.early, params.stringency[period])


def change(params: Params, day: Array) -> Float[Array, " region"]:
    return in_force(params, day) - in_force(params, day - 1)


def shares(x: Float[Array, " agent"], state: State) -> Float[Array, " region"]:
    """Of the people of each region at the start."""
    number = len(state.unemployment)
    people = lpm.count_by(state.people, state.region, number)
    return lpm.count_by(state.people * x, state.region, number) / jnp.maximum(people, 1e-9)


def transmission(state: State, params: Params) -> Float[Array, " region"]:
    stringency = in_force(params, state.t - params.lag)
    return jnp.maximum(params.intercept + params.slope * stringency, 0)


def chance_of_infection(state: State, params: Params) -> Float[Array, " agent"]:
    hazard = transmission(state, params) * shares(state.infected, state)
    return state.susceptible * -jnp.expm1(-hazard)[state.region]


def flow(state: State, new: Array, ending: Array, dying: Array) -> State:
    return state.replace(
        susceptible=state.susceptible - new,
        infected=state.infected + new - ending,
        recovered=state.recovered + ending - dying,
        dead=state.dead + dying,
    )


def spread(state: State, params: Params, draw: Draw) -> State:
    ending = state.infected / params.infectious
    return flow(state, chance_of_infection(state, params), ending, ending * params.fatality)


def spread_drawn(state: State, params: Params, draw: Draw) -> State:
    new = draw.bernoulli(chance_of_infection(state, params))
    ending = draw.bernoulli(state.infected / params.infectious)
    return flow(state, new, ending, draw.bernoulli(ending * params.fatality))


def employ(state: State, params: Params, draw: Draw) -> State:
    """Unemployment and output of the day."""
    constants = params.constants[:, None]
    gone = jnp.exp(-WINDOW / constants) * change(params, state.t - WINDOW)[None]
    filtered = jnp.exp(-1 / constants) * state.filtered + change(params, state.t)[None] - gone
    pressure = jnp.sum(params.filters * filtered, axis=0)
    unemployment = (params.level + jax.nn.softplus(pressure)) / 100
    before = (params.level + jnp.log(2.0)) / 100
    well = 1 - shares(state.infected, state) - shares(state.dead, state)
    output = params.usual * well * (1 - unemployment) / (1 - before)
    return state.replace(filtered=filtered, unemployment=unemployment, output=output)


def enjoyed(consumption: Array, params: Params) -> Array:
    """Utility in dollars at the usual output, 0 there; of aversion 1 too, to a thousandth."""
    power = 1 - params.aversion
    power = jnp.where(jnp.abs(power) < 1e-3, 1e-3, power)
    return params.usual * jnp.expm1(power * jnp.log(consumption / params.usual)) / power


def consume(state: State, params: Params, draw: Draw) -> State:
    living = 1 - shares(state.dead, state)
    subsidy = params.subsidy[jnp.clip(state.t // QUARTER, 0, len(params.subsidy) - 1)]
    utility = enjoyed(state.output / living + subsidy, params)
    return state.replace(
        economy=state.economy + living * utility / YEAR,
        spent=state.spent + living * subsidy / YEAR,
    )


def observe(state: State, params: Params) -> dict[str, Array]:
    people = lpm.count_by(state.people, state.region, len(state.unemployment))
    dead = shares(state.dead, state)
    health = -params.life * dead
    weight = people / jnp.sum(people)
    costs = jnp.sum(weight * (state.economy - params.price * state.spent))
    return {
        "susceptible": shares(state.susceptible, state),
        "infected": shares(state.infected, state),
        "dead": people * dead,
        "unemployment": state.unemployment,
        "output": state.output,
        "health": health,
        "economy": state.economy,
        "spent": state.spent,
        "governors": params.governor * health + (1 - params.governor) * state.economy,
        "welfare": params.federal * jnp.sum(weight * health) + (1 - params.federal) * costs,
    }


def places(size: int = 4, *, seed: int = 0, capacity: int | None = None) -> Population:
    """Rows that share out the people of four made-up regions."""
    region = np.arange(size) % len(PEOPLE)
    rows = np.bincount(region, minlength=len(PEOPLE))
    return Population(
        {"region": region, "people": (PEOPLE / np.maximum(rows, 1))[region]},
        capacity=capacity,
        provenance=("four made-up regions",),
    )


scenario = lpm.Scenario(
    init,
    (spread, employ, consume),
    observe,
    Params(),
    steps=540,
    unit="day",
    population=places,
    baseline={
        "stringency": np.repeat([[0.15, 0.15, 0.1, 0.1]], 20, axis=0),
        "subsidy": np.zeros(6),
    },
)
drawn = scenario.replace(init=init_drawn, processes=(spread_drawn, employ, consume))

UNITS = {"dead": "people", "unemployment": "share", "output": "USD/head/year"}
UNITS |= dict.fromkeys(
    ("health", "economy", "spent", "governors", "welfare"), "USD/head since the start"
)
