"""SIR epidemic over households and workplaces (Kermack & McKendrick 1927). A step is a day."""

import lpm
from lpm import Array, Draw, Float, Population, Scalar


class Params(lpm.Params):
    beta_home: Scalar = lpm.parameter(0.20, within=(0, 5), unit="1/contact/day")
    beta_work: Scalar = lpm.parameter(0.02, within=(0, 5), unit="1/contact/day")
    closure: Scalar = lpm.policy(0.0, within=(0, 1), unit="share of work contacts")
    recovery: Scalar = lpm.constant(1 / 7, unit="probability/day")
    seeded: Scalar = lpm.constant(0.001, unit="share of agents")


class State(lpm.State):
    home: lpm.Groups
    work: lpm.Groups
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population: Population, params: Params, draw: Draw) -> State:
    infectious = draw.bernoulli(params.seeded, "agent")
    return State.of(
        population,
        home=population.groups("household_id"),
        work=population.groups("workplace_id"),
        susceptible=1 - infectious,
        infectious=infectious,
    )


def spread(state: State, params: Params, draw: Draw) -> State:
    at_work = params.beta_work * (1 - params.closure)
    contacts = [
        (state.home, params.beta_home, state.infectious),
        (state.work, at_work, state.infectious),
    ]
    infected = lpm.infections(draw, state.susceptible, contacts)
    # Both flows are read off the start of the day, so that 1 / recovery days are infectious.
    recovered = draw.bernoulli(state.infectious * params.recovery)
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=state.infectious + infected - recovered,
    )


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {
        "prevalence": lpm.share(state.infectious, state.alive),
        "attack_rate": 1 - lpm.share(state.susceptible, state.alive),
    }


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=180, unit="day")
