"""An epidemic of New York City: SEIR with deaths over homes, classes, teams and at large.

Purpose: what vaccination, testing, tracing, isolation and school closure do to infections and
deaths by age and borough. A step is a day; all agents act on the state at its start.

Infectiousness follows a gamma distribution of the days since infection, weighted by stage. Contacts
per day by setting are those of Mistry et al. (2021); fatality by age follows Levin et al. (2020).
`R0` is the reproduction number: hazards are scaled so that the next-generation matrix of the
population in use has that spectral radius, in mid-season and without measures or immunity.
"""

import jax.numpy as jnp
import numpy as np

import lpm
from lpm import (
    Array,
    Bool,
    Draw,
    Float,
    Int,
    Population,
    Scalar,
    epidemiology as epi,
    interventions as act,
)
from lpm.population import contact_matrix, new_york

BANDS, BOROUGHS = 9, 5  # Bands of ten years, the last from 80 on.
MIDPOINTS = np.array([5, 15, 25, 35, 45, 55, 65, 75, 86], np.float32)
SETTINGS = ("home", "school", "work", "community")


class Params(lpm.Params):
    R0: Scalar = lpm.parameter(2.5, within=(0.05, 30), unit="infections per infected person")
    seeded: Scalar = lpm.parameter(2e-4, within=(0, 1), unit="share infected at the start")
    prior_immunity: Scalar = lpm.parameter(0.0, within=(0, 1), unit="share immune at the start")
    importation: Scalar = lpm.parameter(1e-6, within=(0, 1), unit="hazard/person/day")
    seasonality: Scalar = lpm.parameter(0.0, within=(0, 1), unit="share of transmission")
    season_peak: Scalar = lpm.constant(15, unit="day")
    lethality: Scalar = lpm.parameter(1.0, within=(0, 20), unit="times Levin et al. (2020)")
    contacts_home: Scalar = lpm.constant(4.11, unit="contacts/day")
    contacts_school: Scalar = lpm.constant(11.41, unit="contacts/day")
    contacts_work: Scalar = lpm.constant(8.07, unit="contacts/day")
    latent: Scalar = lpm.constant(3, unit="day")
    infectious: Scalar = lpm.constant(5, unit="day")
    profile_mean: Scalar = lpm.constant(5.5, unit="day")
    profile_sd: Scalar = lpm.constant(2.4, unit="day")
    while_latent: Scalar = lpm.constant(0.33, unit="relative infectiousness")
    while_infectious: Scalar = lpm.constant(0.72, unit="relative infectiousness")
    susceptibility: Float[Array, " age"] = lpm.constant(
        [0.35, 0.69, 1.03, 1.03, 1.03, 1.03, 1.27, 1.52, 1.52], unit="relative, by age band"
    )
    school_closure: Scalar = lpm.policy(0.5, within=(0, 1), unit="share of school contacts")
    closure_start: Scalar = lpm.policy(30, within=(0, None), unit="day")
    closure_end: Scalar = lpm.policy(90, within=(0, None), unit="day")
    testing: Scalar = lpm.policy(0.5, within=(0, 1), unit="share of the ill tested at onset")
    screening: Scalar = lpm.policy(0.001, within=(0, 1), unit="share of the well tested/day")
    sensitivity: Scalar = lpm.constant(0.80, unit="probability")
    specificity: Scalar = lpm.constant(0.99, unit="probability")
    test_delay: Scalar = lpm.policy(2, within=(0, 14), unit="day")
    compliance: Scalar = lpm.policy(0.7, within=(0, 1), unit="share of the positive or traced")
    isolation: Scalar = lpm.policy(12, within=(1, 60), unit="day")
    tracing: Scalar = lpm.policy(0.3, within=(0, 1), unit="share of contacts reached")
    doses: Scalar = lpm.policy(0.002, within=(0, 1), unit="first doses/person/day")
    vaccine_start: Scalar = lpm.policy(20, within=(0, None), unit="day")
    vaccine_order: Int[Array, " age"] = lpm.policy(
        [8, 7, 6, 5, 4, 3, 2, 1, 0], within=(0, 8), unit="rank of each age band"
    )
    willing: Scalar = lpm.parameter(0.75, within=(0, 1), unit="share who accept a vaccine")
    dose_interval: Scalar = lpm.policy(21, within=(0, None), unit="day")
    dose_onset: Scalar = lpm.constant(14, unit="day")
    efficacy_first: Scalar = lpm.parameter(0.5, within=(0, 1), unit="against infection")
    efficacy_second: Scalar = lpm.parameter(0.9, within=(0, 1), unit="against infection")


class State(lpm.State):
    home: lpm.Groups
    school: lpm.Groups
    work: lpm.Groups
    community: lpm.Mixing
    home_rate: Float[Array, " agent"]  # Contacts/day with one other member, here and below.
    school_rate: Float[Array, " agent"]
    work_rate: Float[Array, " agent"]
    borough: Int[Array, " agent"]
    accepts: Bool[Array, " agent"]
    events: Int[Array, " event 3"]  # Infected, infector, setting; empty unless recorded.
    profile: Float[Array, " day"]
    transmissibility: Scalar = lpm.variable(within=(0, None), unit="infections/contact")
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infected: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    dead: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    day: Float[Array, " agent"] = lpm.variable(within=(0, epi.LONGEST), unit="day of infection")
    first_dose: Int[Array, " agent"] = lpm.variable(within=(act.NEVER, 32_767), unit="day")
    isolate_from: Float[Array, " agent"] = lpm.variable(unit="day")


def profile_of(params: Params) -> Float[Array, " day"]:
    return epi.gamma_profile(
        params.profile_mean,
        params.profile_sd,
        latent=params.latent,
        infectious=params.infectious,
        while_latent=params.while_latent,
        while_infectious=params.while_infectious,
    )


def next_generation(
    population: Population, params: Params, scale: lpm.Scalar | float
) -> Float[Array, "mine theirs"]:
    band = population.host("age_band")
    homes, quarters = population.host("household_id"), population.host("quarters_id")
    shared = np.where(quarters >= 0, quarters + population.num_groups("household_id"), -1)
    homes = np.where(homes >= 0, homes, shared)
    settings = []
    for member_of, contacts in (
        (homes, params.contacts_home),
        (population.host("class_id"), params.contacts_school),
        (population.host("workplace_id"), params.contacts_work),
    ):
        pairs = epi.setting(member_of, band, BANDS)
        settings.append((pairs, contacts / (pairs.sizes - 1)))
    people = np.bincount(band, minlength=BANDS).astype(np.float32)
    return epi.next_generation(scale, params.susceptibility, settings, mixing(people), people)


def mixing(people: Float[np.ndarray, " age"]) -> Float[np.ndarray, "mine theirs"]:
    """Contacts at large; the data's last band, 70 and over, is split by the people in it."""
    last = np.array([0, 1, 2, 3, 4, 5, 6, 7, 7])
    share = np.ones(BANDS, np.float32)
    share[7:] = people[7:] / people[7:].sum()
    table = contact_matrix("community", bands=range(0, 80, 10))
    return (table[last][:, last] * share).astype(np.float32)


def init(population: Population, params: Params, draw: Draw) -> State:
    if draw.estimator == "mean_field":
        raise lpm.ScenarioError("epidemic follows days since infection, which have no mean field")
    households, quarters = population.groups("household_id"), population.groups("quarters_id")
    shared = jnp.where(quarters.member_of >= 0, quarters.member_of + households.num_groups, -1)
    home = jnp.where(households.member_of >= 0, households.member_of, shared)
    groups = (
        lpm.Groups(home, num_groups=households.num_groups + quarters.num_groups),
        population.groups("class_id"),
        population.groups("workplace_id"),
    )
    people = np.bincount(population.host("age_band"), minlength=BANDS).astype(np.float32)
    rates = [
        contacts / jnp.maximum(group.degree(), 1)
        for group, contacts in zip(
            groups,
            (params.contacts_home, params.contacts_school, params.contacts_work),
            strict=True,
        )
    ]
    infected = draw.bernoulli(params.seeded, "agent")
    immune = draw.bernoulli((1 - infected) * params.prior_immunity)
    return State.of(
        population,
        home=groups[0],
        school=groups[1],
        work=groups[2],
        community=lpm.Mixing(
            jnp.where(population.alive, population["age_band"], -1),
            mixing(people),
        ),
        home_rate=rates[0],
        school_rate=rates[1],
        work_rate=rates[2],
        borough=population["borough"].astype(jnp.int8),
        profile=profile_of(params),
        accepts=draw.uniform("agent") < params.willing,
        transmissibility=epi.solve_scale(
            params.R0, lambda scale: next_generation(population, params, scale)
        ),
        susceptible=1 - infected - immune,
        infected=infected,
        dead=0,
        day=infected,
        first_dose=jnp.full(population.capacity, act.NEVER, jnp.int16),
        isolate_from=act.NEVER,
        events=jnp.zeros((0, 3), jnp.int32),
    )


def vaccinate(state: State, params: Params, draw: Draw) -> State:
    waiting = state.accepts & (state.first_dose < 0) & (state.dead == 0) & state.alive
    supply = params.doses * lpm.count(state.alive) * (state.t >= params.vaccine_start)
    rank = params.vaccine_order[state.community.class_of]
    offered = act.ration(waiting.astype(jnp.float32), supply, rank, BANDS)
    given = draw.bernoulli(offered)
    return state.replace(first_dose=jnp.where(given > 0, state.t, state.first_dose))


def test_and_trace(state: State, params: Params, draw: Draw) -> State:
    onset = state.infected * (state.day == params.latent + 1)
    well = state.alive - state.infected - state.dead
    confirmed = act.confirmed_after(
        draw,
        onset,
        well,
        uptake=params.testing,
        sensitivity=params.sensitivity,
        screening=params.screening,
        specificity=params.specificity,
    )
    # A result is known on the whole day `isolate_from`; half days mark who was traced.
    free = (state.t >= state.isolate_from + params.isolation) & (state.dead == 0)
    comply = free * draw.bernoulli(params.compliance, "agent")
    due = state.t + jnp.round(params.test_delay)
    since = jnp.where(comply * confirmed > 0, due, state.isolate_from)
    known = (since == state.t).astype(jnp.float32)
    contacts = [(state.home, params.tracing), (state.work, params.tracing)]
    reached = act.traced(draw, known, contacts)
    since = jnp.where(comply * (1 - confirmed) * reached > 0, state.t + 0.5, since)
    return state.replace(isolate_from=since)


def transmit(state: State, params: Params, draw: Draw) -> State:
    infectivity = state.infected * state.profile[state.day.astype(jnp.int32)]
    outside = 1 - act.away(state.t, state.isolate_from, params.isolation)
    closed = params.school_closure * act.window(state.t, params.closure_start, params.closure_end)
    protected = act.dose_protection(
        state.t,
        state.first_dose,
        interval=params.dose_interval,
        onset=params.dose_onset,
        after_first=params.efficacy_first,
        after_second=params.efficacy_second,
    )
    catch = state.transmissibility * params.susceptibility[state.community.class_of]
    catch = catch * (1 - protected)
    catch = catch * act.season(state.t, params.seasonality, params.season_peak)
    met = infectivity * outside
    contacts = [
        (state.home, catch * state.home_rate, infectivity),
        (state.school, catch * outside * state.school_rate * (1 - closed), met),
        (state.work, catch * outside * state.work_rate, met),
        (state.community, catch * outside, met),
    ]
    events = state.events
    if len(events):
        infected, tree = lpm.infections(draw, state.susceptible, contacts, record=len(events))
        events = jnp.stack([tree.infected, tree.infector, tree.layer], axis=1)
    else:
        infected = lpm.infections(draw, state.susceptible, contacts)
    imported = act.importation(draw, state.susceptible - infected, params.importation)
    infected = infected + imported
    # All flows are read off the start of the day and applied together.
    ending = state.infected * (state.day >= params.latent + params.infectious)
    fatality = epi.fatality_by_age(MIDPOINTS) * params.lethality
    dying = draw.bernoulli(ending * jnp.minimum(fatality, 1)[state.community.class_of])
    day = jnp.where(infected > 0, 1, (state.day + 1) * (state.infected - ending))
    return state.replace(
        susceptible=state.susceptible - infected,
        infected=state.infected + infected - ending,
        dead=state.dead + dying,
        day=day,
        events=events,
    )


def observe(state: State, params: Params) -> dict[str, Array]:
    new = state.infected * (state.day == 1)
    latent = state.infected * (state.day <= params.latent)
    isolating = act.away(state.t, state.isolate_from, params.isolation)
    susceptible, infected = lpm.count(state.susceptible), lpm.count(state.infected)
    exposed, dead = lpm.count(latent), lpm.count(state.dead)
    cell = state.borough.astype(jnp.int32) * BANDS + state.community.class_of
    by_cell = lpm.count_by(new, cell, BOROUGHS * BANDS).reshape(BOROUGHS, BANDS)
    seen = {
        "susceptible": susceptible,
        "exposed": exposed,
        "infectious": infected - exposed,
        "recovered": lpm.count(state.alive) - susceptible - infected - dead,
        "dead": dead,
        "new_infections": lpm.count(new),
        "isolating": lpm.count(isolating, state.alive),
        "vaccinated": lpm.count(state.first_dose >= 0, state.alive),
        "new_infections_by_age": jnp.sum(by_cell, axis=0),
        "new_infections_by_borough": jnp.sum(by_cell, axis=1),
        "dead_by_age": lpm.count_by(state.dead, state.community.class_of, BANDS),
    }
    return seen | ({"events": state.events} if len(state.events) else {})


# The world without measures: what the default policies are compared with.
BASELINE = {"school_closure": 0, "testing": 0, "screening": 0, "tracing": 0, "doses": 0}

scenario = lpm.Scenario(
    init,
    (vaccinate, test_and_trace, transmit),
    observe,
    Params(),
    steps=180,
    unit="day",
    population=new_york,
    baseline=BASELINE,
)


def recorded(events_per_day: int) -> lpm.Scenario:
    """The same epidemic with `events`: who infected whom, up to that many a day."""

    def init_recorded(population: Population, params: Params, draw: Draw) -> State:
        events = jnp.full((events_per_day, 3), -1, jnp.int32)
        return init(population, params, draw).replace(events=events)

    return scenario.replace(init=init_recorded)


# Words for figures and the report: elements of arrays, units, and what is drawn in one frame.
_AGES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
LABELS = {
    "new_infections_by_age": _AGES,
    "new_infections_by_borough": ("Bronx", "Brooklyn", "Manhattan", "Queens", "Staten Island"),
    "dead_by_age": _AGES,
}
_STAGES = ("susceptible", "exposed", "infectious", "recovered", "dead")
UNITS = dict.fromkeys((*_STAGES, "isolating", "vaccinated", "dead_by_age"), "people")
UNITS |= dict.fromkeys(
    ("new_infections", "new_infections_by_age", "new_infections_by_borough"), "people/day"
)
TOGETHER = {"Stages of the epidemic": _STAGES}
