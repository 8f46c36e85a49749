"""COVID-19 in a city of homes, schools, teams and boroughs, before vaccines and variants.

An agent is a person who stands for many of the city; a step is a day; all act on the state at its
start. `reproduction` is, at each knot, the reproduction number of the population wholly susceptible
(largest eigenvalue of its next-generation matrix); between knots its logarithm is a straight line.
`recent` multiplies it later on; `relative` multiplies the hazard of those who live in a borough.

In `scenario` people are whole: infections are drawn by systematic sampling in the order of slots
(Madow 1949), where everybody's chance is that of a coin but their number hardly scatters. In
`smooth` a person is a share of people of the same age, home, class and team, infected by shares,
without luck: a sample then follows a city through months with few infections, and slopes are exact;
that who infected a member of the home is immune is lost, so that its reproduction number is that
of hazards and not of pairs.
Infectiousness follows the days since infection. What comes of the infected is expected, not drawn:
admission by age after Salje et al. (2020), Science 369, 208, table S1, death after Levin et al.
(2020), each times a factor by knot, cases by a share by knot; all counted on the day of infection,
so that delays belong to the data. Contacts a day by setting are those of Mistry et al. (2021).
"""

import jax
import jax.numpy as jnp
import numpy as np

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar, epidemiology as epi
from lpm.population import contact_matrix, new_york

BANDS, BOROUGHS = 9, 5
MIDPOINTS = np.array([5, 15, 25, 35, 45, 55, 65, 75, 86], np.float32)
HOSPITAL = np.array([0.1, 0.1, 0.5, 1.0, 1.5, 2.8, 6.1, 9.6, 21.7], np.float32) / 100
_LAST = np.array([0, 1, 2, 3, 4, 5, 6, 7, 7])  # The contact data end with 70 and over.
_BITS = 30
_COURSE = 10  # Days that an infection is followed.


class Params(lpm.Params):
    reproduction: Float[Array, " knot"] = lpm.parameter(
        [2.5, 2.5, 0.8, 0.8], within=(0.05, 12), unit="infections per infected person"
    )
    relative: Float[Array, " borough"] = lpm.parameter(
        [1.0, 1.0, 1.0, 1.0, 1.0], within=(0.2, 5), unit="times the city's hazard"
    )
    recent: Float[Array, " late"] = lpm.parameter(
        [1.0], within=(0.05, 20), unit="times reproduction, from the first late knot on"
    )
    seeded: Scalar = lpm.parameter(2e-4, within=(1e-6, 0.1), unit="share infected at the start")
    severity: Scalar = lpm.parameter(1.0, within=(0.1, 10), unit="times Salje et al. (2020)")
    lethality: Float[Array, " stage"] = lpm.parameter(
        [1.0, 1.0], within=(0.05, 10), unit="times Levin et al. (2020)"
    )
    reported: Float[Array, " moment"] = lpm.parameter(
        [0.05, 0.3], within=(0.001, 1), unit="share of infections that become cases"
    )
    measures: Float[Array, " week"] = lpm.policy(
        np.ones(75), within=(0, 2), unit="times transmission outside homes"
    )
    knots: Float[Array, " knot"] = lpm.constant([0, 30, 45, 180], unit="day")
    late: Float[Array, " late"] = lpm.constant([1e4], unit="day")
    pace: Scalar = lpm.constant(0.15, unit="change of log recent expected in a week")
    stages: Float[Array, " stage"] = lpm.constant([0, 180], unit="day")
    moments: Float[Array, " moment"] = lpm.constant([0, 180], unit="day")
    drift: Float[Array, " knot"] = lpm.constant(
        [1.0, 1.0, 1.0, 1.0], unit="expected change of log reproduction since the last knot"
    )
    people: Float[Array, " borough"] = lpm.constant(
        [1404779, 2631580, 1629477, 2323052, 494956], unit="people of the city"
    )
    local: Scalar = lpm.constant(0.5, unit="share of contacts at large within the borough")
    importation: Scalar = lpm.constant(1e-6, unit="hazard/person/day")
    contacts_home: Scalar = lpm.constant(4.11, unit="contacts/day")
    contacts_school: Scalar = lpm.constant(11.41, unit="contacts/day")
    contacts_work: Scalar = lpm.constant(8.07, unit="contacts/day")
    latent: Scalar = lpm.constant(3, unit="day")
    infectious: Scalar = lpm.constant(5, unit="day")
    profile_mean: Scalar = lpm.constant(5.5, unit="day")
    profile_sd: Scalar = lpm.constant(2.4, unit="day")
    susceptibility: Float[Array, " age"] = lpm.constant(
        [0.35, 0.69, 1.03, 1.03, 1.03, 1.03, 1.27, 1.52, 1.52], unit="relative, by age band"
    )


class State(lpm.State):
    home: lpm.Groups
    school: lpm.Groups
    work: lpm.Groups
    community: lpm.Mixing
    home_rate: Float[Array, " agent"]  # Contacts/day with one other member, here and below.
    school_rate: Float[Array, " agent"]
    work_rate: Float[Array, " agent"]
    age_band: Int[Array, " agent"]
    borough: Int[Array, " agent"]
    profile: Float[Array, " day"]
    transmission: Float[Array, " knot"]  # Infections/contact over a whole infection.
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    course: Float[Array, "agent since"] = lpm.variable(within=(0, 1), unit="infected so long ago")
    chance: Float[Array, " agent"] = lpm.variable(within=(0, 1), unit="of infection, this day")


def draw_evenly(
    draw: Draw, chance: Float[Array, " agent"], slot: Int[Array, " agent"]
) -> Float[Array, " agent"]:
    """0 or 1, each with its chance, so many in all as is expected but for a fraction of one.

    Everyone owns a stretch of a line as long as the chance, in order of slots; those are drawn on
    whose stretch a mark falls, one per unit from a random start. In whole numbers: exact whatever
    the order of adding.
    """
    length = jax.lax.stop_gradient(chance * 2.0**_BITS).astype(jnp.uint32)
    ordered = jnp.zeros_like(length).at[slot].set(length)
    start = (draw.uniform((1,))[0] * 2.0**_BITS).astype(jnp.uint32)
    ends = jnp.cumsum(ordered, dtype=jnp.uint32) + start
    drawn = (ends >> _BITS) != ((ends - ordered) >> _BITS)
    return drawn[slot].astype(jnp.float32)


def homes_of(homes: np.ndarray, quarters: np.ndarray, households: int) -> np.ndarray:
    return np.where(homes >= 0, homes, np.where(quarters >= 0, quarters + households, -1))


def mixing(people: Float[np.ndarray, " age"]) -> Float[np.ndarray, "mine theirs"]:
    """Contacts at large by age; the data's last band is split by the people in it."""
    share = np.ones(BANDS, np.float32)
    share[7:] = people[7:] / people[7:].sum()
    table = contact_matrix("community", bands=range(0, 80, 10))
    return (table[_LAST][:, _LAST] * share).astype(np.float32)


def next_generation(
    population: Population, params: Params, scale: Scalar
) -> Float[Array, "mine theirs"]:
    """People infected by one person, by age; a pair of a home, class or team counts once."""
    band = population.host("age_band")
    homes = homes_of(
        population.host("household_id"),
        population.host("quarters_id"),
        population.num_groups("household_id"),
    )
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


def solve_transmission(population: Population, params: Params) -> Float[Array, " knot"]:
    """Transmission per contact at which the next-generation matrix has each knot's radius."""

    def solve(reproduction: Scalar) -> Scalar:
        return epi.solve_scale(
            reproduction, lambda scale: next_generation(population, params, scale)
        )

    return jax.vmap(solve)(jnp.asarray(params.reproduction))


def init(population: Population, params: Params, draw: Draw) -> State:
    if draw.estimator in ("mean_field", "score"):
        raise lpm.ScenarioError(
            f"covid draws its infections evenly, which estimator='{draw.estimator}' cannot follow; "
            "use differences ('crn'), or covid.smooth"
        )
    infected = draw_evenly(draw, params.seeded * population.alive, population.slot)
    return begin(population, params, infected, solve_transmission(population, params))


def init_shares(population: Population, params: Params, draw: Draw) -> State:
    # Where a pair is shares of many people, hazards are never used up: the limit of small ones.
    small = 1e-3
    radius = epi.spectral_radius(next_generation(population, params, jnp.float32(small))) / small
    infected = params.seeded * population.alive
    return begin(population, params, infected, params.reproduction / radius)


def begin(
    population: Population,
    params: Params,
    infected: Float[Array, " agent"],
    transmission: Float[Array, " knot"],
) -> State:
    households, quarters = population.groups("household_id"), population.groups("quarters_id")
    shared = jnp.where(quarters.member_of >= 0, quarters.member_of + households.num_groups, -1)
    home = jnp.where(households.member_of >= 0, households.member_of, shared)
    groups = (
        lpm.Groups(home, num_groups=households.num_groups + quarters.num_groups),
        population.groups("class_id"),
        population.groups("workplace_id"),
    )
    rates = [
        contacts / jnp.maximum(group.degree(), 1)
        for group, contacts in zip(
            groups,
            (params.contacts_home, params.contacts_school, params.contacts_work),
            strict=True,
        )
    ]
    host = population.host("borough") * BANDS + population.host("age_band")
    cells = np.bincount(host, minlength=BOROUGHS * BANDS).reshape(BOROUGHS, BANDS)
    people = cells.sum(axis=0).astype(np.float32)
    spread = (cells / np.maximum(people, 1)).astype(np.float32)  # [theirs, age]
    own = np.eye(BOROUGHS, dtype=np.float32)[:, None, :, None] * np.ones((BANDS, 1, BANDS))
    reach = params.local * own + (1 - params.local) * spread[None, None]
    table = reach * mixing(people)[None, :, None, :]
    cell = jnp.where(population.alive, population["borough"] * BANDS + population["age_band"], -1)
    return State.of(
        population,
        home=groups[0],
        school=groups[1],
        work=groups[2],
        community=lpm.Mixing(cell, table.reshape(BOROUGHS * BANDS, BOROUGHS * BANDS)),
        home_rate=rates[0],
        school_rate=rates[1],
        work_rate=rates[2],
        age_band=population["age_band"].astype(jnp.int8),
        borough=population["borough"].astype(jnp.int8),
        profile=epi.gamma_profile(
            params.profile_mean,
            params.profile_sd,
            latent=params.latent,
            infectious=params.infectious,
            while_latent=0.33,
            while_infectious=0.72,
        )[1 : _COURSE + 1],
        transmission=transmission,
        susceptible=1 - infected,
        course=jnp.zeros((population.capacity, _COURSE)).at[:, 0].set(infected),
        chance=0,
    )


def along(
    t: Array, knots: Float[Array | np.ndarray, " knot"], values: Float[Array | np.ndarray, " knot"]
) -> Scalar:
    """The value on a day: log-linear between knots, constant beyond."""
    return jnp.exp(jnp.interp(t.astype(jnp.float32), knots, jnp.log(values)))


def chances(state: State, params: Params) -> Float[Array, " agent"]:
    """Of everybody to be susceptible and infected this day."""
    infectivity = jnp.sum(state.course * state.profile[None], axis=1)
    catch = along(state.t, params.knots, state.transmission)
    # From a day before the first late knot, so that nothing before it changes.
    days = jnp.concatenate([params.late[:1] - 1, params.late])
    catch = catch * along(state.t, days, jnp.concatenate([jnp.ones(1), params.recent]))
    catch = catch * params.relative[state.borough] * params.susceptibility[state.age_band]
    outside = catch * params.measures[state.t // 7]
    contacts = [
        (state.home, catch * state.home_rate, infectivity),
        (state.school, outside * state.school_rate, infectivity),
        (state.work, outside * state.work_rate, infectivity),
        (state.community, outside, infectivity),
    ]
    hazard = lpm.hazard(contacts) + params.importation
    return state.susceptible * -jnp.expm1(-hazard) * state.alive


def move_on(state: State, chance: Array, infected: Float[Array, " agent"]) -> State:
    course = jnp.concatenate([infected[:, None], state.course[:, :-1]], axis=1)
    return state.replace(susceptible=state.susceptible - infected, course=course, chance=chance)


def infect(state: State, params: Params, draw: Draw) -> State:
    chance = chances(state, params)
    return move_on(state, chance, draw_evenly(draw, chance, state.slot))


def infect_shares(state: State, params: Params, draw: Draw) -> State:
    chance = chances(state, params)
    return move_on(state, chance, chance)


def observe(state: State, params: Params) -> dict[str, Array]:
    cell = state.borough.astype(jnp.int32) * BANDS + state.age_band
    cell = jnp.where(state.alive, cell, -1)
    members = lpm.count_by(state.alive.astype(jnp.float32), cell, BOROUGHS * BANDS)
    members = members.reshape(BOROUGHS, BANDS).sum(axis=1)
    expected = jax.ops.segment_sum(state.chance, cell, BOROUGHS * BANDS).reshape(BOROUGHS, BANDS)
    expected = expected * (params.people / jnp.maximum(members, 1))[:, None]
    day = state.t - 1
    lethality = along(day, params.stages, params.lethality)
    fatality = jnp.minimum(epi.fatality_by_age(MIDPOINTS) * lethality, 1)
    infections = expected.sum(axis=1)
    changes = jnp.diff(jnp.log(params.reproduction)) / params.drift[1:]
    before = jnp.concatenate([jnp.zeros(1), jnp.log(params.recent)])
    gaps = jnp.concatenate([jnp.full(1, 7.0), jnp.diff(params.late)]) / 7
    later = jnp.diff(before) / (params.pace * jnp.sqrt(gaps))
    return {
        "infections": infections,
        "cases": infections * along(day, params.moments, params.reported),
        "admissions": expected @ (params.severity * HOSPITAL),
        "deaths": expected @ fatality,
        "infections_by_age": expected.sum(axis=0),
        "susceptible": lpm.share(state.susceptible, state.alive),
        # What is believed before data, once a run, so that a fit may hold it against them.
        "changes": changes * (state.t == 1),
        "later_changes": later * (state.t == 1),
        "differences": jnp.log(params.relative) * (state.t == 1),
    }


scenario = lpm.Scenario(
    init, (infect,), observe, Params(), steps=180, unit="day", population=new_york
)
smooth = scenario.replace(init=init_shares, processes=(infect_shares,))

_AGES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
_BOROUGHS = ("Bronx", "Brooklyn", "Manhattan", "Queens", "Staten Island")
LABELS = {"infections_by_age": _AGES} | dict.fromkeys(
    ("infections", "cases", "admissions", "deaths", "differences"), _BOROUGHS
)
UNITS = dict.fromkeys(
    ("infections", "cases", "admissions", "deaths", "infections_by_age"), "people/day"
)
