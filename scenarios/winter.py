"""A winter of influenza in a small country town, with vaccination and closed schools.

SEIR with geometric stays over homes, classes, teams, care homes and friends; who falls ill may be
taken to hospital, by age. A step is a day; all flows are read off its start. Latency is the
incubation period of Lessler et al. (2009), infectiousness lasts as in Cauchemez et al. (2004), and
two in three fall ill (Carrat et al. 2008). Hazards per contact, admissions, efficacy and uptake are
assumptions, set so that about a third are infected without measures. The town is made up: the
recipe "example".
"""

import jax.numpy as jnp
import numpy as np

import lpm
from lpm import Array, Bool, Draw, Float, Int, Population, Scalar, interventions as act
from lpm.population import people_of

AGES = np.array([5, 18, 50, 65])  # First years of all bands but the youngest.
BANDS = 5
LABELS = {"admitted_by_age": ("0-4", "5-17", "18-49", "50-64", "65+")}
UNITS = {"admitted_by_age": "people"}


class Params(lpm.Params):
    home: Scalar = lpm.parameter(0.05, within=(0, 5), unit="1/contact/day")
    school: Scalar = lpm.parameter(0.012, within=(0, 5), unit="1/contact/day")
    work: Scalar = lpm.parameter(0.006, within=(0, 5), unit="1/contact/day")
    care: Scalar = lpm.parameter(0.01, within=(0, 5), unit="1/contact/day")
    friends: Scalar = lpm.parameter(0.012, within=(0, 5), unit="1/contact/day")
    seeded: Scalar = lpm.constant(0.004, unit="share infected at the start")
    latent: Scalar = lpm.constant(1.4, unit="day")
    infectious: Scalar = lpm.constant(3.8, unit="day")
    symptomatic: Scalar = lpm.constant(0.67, unit="share of the infected")
    severity: Float[Array, " age"] = lpm.parameter(
        [0.007, 0.003, 0.006, 0.011, 0.09], within=(0, 1), unit="admissions per illness"
    )
    doses: Scalar = lpm.policy(0.01, within=(0, 1), unit="doses/person/day, oldest first")
    willing: Scalar = lpm.parameter(0.6, within=(0, 1), unit="share who accept a vaccine")
    efficacy: Scalar = lpm.parameter(0.4, within=(0, 1), unit="against infection")
    dose_onset: Scalar = lpm.constant(14, unit="day")
    closure: Scalar = lpm.policy(1.0, within=(0, 1), unit="share of contacts in class")
    closure_start: Scalar = lpm.policy(35, within=(0, None), unit="day")
    closure_end: Scalar = lpm.policy(56, within=(0, None), unit="day")


class State(lpm.State):
    home: lpm.Groups
    school: lpm.Groups
    work: lpm.Groups
    care: lpm.Groups
    friends: lpm.Graph
    band: Int[Array, " agent"]
    accepts: Bool[Array, " agent"]
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    exposed: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    admitted: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    dosed: Int[Array, " agent"] = lpm.variable(within=(act.NEVER, 32_767), unit="day")


def init(population: Population, params: Params, draw: Draw) -> State:
    if draw.estimator == "mean_field":
        raise lpm.ScenarioError("winter follows the day of a dose, which has no mean field")
    exposed = draw.bernoulli(params.seeded, "agent")
    return State.of(
        population,
        home=population.groups("household_id"),
        school=population.groups("class_id"),
        work=population.groups("workplace_id"),
        care=population.groups("care_home_id"),
        friends=population.network("friends"),
        band=jnp.searchsorted(AGES, population["age"], side="right"),
        accepts=draw.uniform("agent") < params.willing,
        susceptible=1 - exposed,
        exposed=exposed,
        infectious=0,
        admitted=0,
        dosed=act.NEVER,
    )


def vaccinate(state: State, params: Params, draw: Draw) -> State:
    waiting = (state.accepts & (state.dosed < 0) & state.alive).astype(jnp.float32)
    supply = params.doses * lpm.count(state.alive)
    given = draw.bernoulli(act.ration(waiting, supply, BANDS - 1 - state.band, BANDS))
    return state.replace(dosed=jnp.where(given > 0, state.t, state.dosed))


def transmit(state: State, params: Params, draw: Draw) -> State:
    closed = params.closure * act.window(state.t, params.closure_start, params.closure_end)
    catch = 1 - params.efficacy * (state.dosed >= 0) * (state.t >= state.dosed + params.dose_onset)
    contacts = [
        (state.home, params.home * catch, state.infectious),
        (state.school, params.school * (1 - closed) * catch, state.infectious),
        (state.work, params.work * catch, state.infectious),
        (state.care, params.care * catch, state.infectious),
        (state.friends, params.friends * catch, state.infectious),
    ]
    infected = lpm.infections(draw, state.susceptible, contacts)
    onset = draw.bernoulli(state.exposed * -jnp.expm1(-1 / params.latent))
    ending = draw.bernoulli(state.infectious * -jnp.expm1(-1 / params.infectious))
    taken = draw.bernoulli(onset * params.symptomatic * params.severity[state.band])
    return state.replace(
        susceptible=state.susceptible - infected,
        exposed=state.exposed + infected - onset,
        infectious=state.infectious + onset - ending,
        admitted=state.admitted + taken,
    )


def observe(state: State, params: Params) -> dict[str, Array]:
    return {
        "prevalence": lpm.share(state.infectious, state.alive),
        "attack_rate": 1 - lpm.share(state.susceptible, state.alive),
        "admitted": lpm.count(state.admitted, state.alive),
        "vaccinated": lpm.share(state.dosed >= 0, state.alive),
        "admitted_by_age": lpm.count_by(state.admitted, state.band, BANDS),
    }


scenario = lpm.Scenario(
    init,
    (vaccinate, transmit),
    observe,
    Params(),
    steps=150,
    unit="day",
    population=people_of("example"),
    baseline={"doses": 0, "closure": 0},
)
