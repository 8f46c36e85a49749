"""Will the infected stay at home? An epidemic in which personas decide it day by day.

SIR with geometric stays over homes, teams and five age bands that meet as in the state of New York
(Mistry et al. 2021). On the day after infection some are told, and decide whether to stay at home
until recovered: with the share that a panel of personas gives for people of their age, income and
work, at today's prevalence, its trend over a week and the part of lost wages that is paid. Who
stays meets the household only. A step is a day; all flows are read off its start.

The default panel is `Rules`, a card of documented log-odds and not a language model. What payment
does, and the level without it, are from a survey of intentions (Bodas & Peleg 2020); all else on
the card is illustrative, and so are the hazards and the share who are told. The town is made up.
After the archetypes of AgentTorch (Chopra et al. 2024, arXiv:2409.10568).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar, personas
from lpm.population import contact_matrix

EDGES = (0, 20, 40, 60, 75)  # First years of the bands that meet.
_CONTACTS = contact_matrix("community", bands=EDGES)
KNOTS = {
    "prevalence": (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "trend": (-3.0, 0.0, 3.0),
    "payment": (0.0, 0.25, 0.5, 0.75, 1.0),
}
STAY = "stay at home"
UNITS = {"isolated": "share of the infected", "beyond": "1 where the panel was not asked"}
PERSONAS = (
    personas.Band(
        "age",
        "age",
        (18.0, 35.0, 50.0, 65.0),
        (
            "You are a child who lives with parents.",
            "You are a young adult.",
            "You are between 35 and 50 years old.",
            "You are between 50 and 65 years old.",
            "You are over 65.",
        ),
    ),
    personas.Band(
        "income",
        "income",
        (1.0, 20_000.0, 35_000.0),
        (
            "You have no income of your own.",
            "You have a low income.",
            "You have a middling income.",
            "You have a high income.",
        ),
    ),
    personas.Band(
        "work",
        "workplace_id",
        (0.0,),
        ("You do not go out to work.", "You go out to work."),
        (0.0, 1.0),
    ),
)

# From the cells of a population to their answers.
Panel = Callable[[personas.Cells], personas.Surface]


class Params(lpm.Params):
    home: Scalar = lpm.parameter(0.10, within=(0, 5), unit="1/contact/day")
    work: Scalar = lpm.parameter(0.02, within=(0, 5), unit="1/contact/day")
    community: Scalar = lpm.parameter(0.025, within=(0, 5), unit="1/contact/day")
    infectious: Scalar = lpm.constant(6, unit="day")
    seeded: Scalar = lpm.constant(0.004, unit="share infected at the start")
    payment: Scalar = lpm.policy(0.5, within=(0, 1), unit="share of lost wages")
    told: Scalar = lpm.policy(0.5, within=(0, 1), unit="share of the infected who are told")
    temperature: Scalar = lpm.parameter(1.0, within=(0.2, 5), unit="of the panel's answers")
    shift: Scalar = lpm.parameter(0.0, within=(-5, 5), unit="log-odds of staying at home")


class State(lpm.State):
    household: lpm.Groups
    team: lpm.Groups
    everyone: lpm.Mixing
    panel: personas.Surface
    cell: Int[Array, " agent"]
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1), unit="out as usual")
    isolated: Float[Array, " agent"] = lpm.variable(within=(0, 1), unit="infectious, at home")
    fresh: Float[Array, " agent"] = lpm.variable(within=(0, 1), unit="infected the day before")
    week: Float[Array, " lag"] = lpm.variable(within=(0, 1), unit="prevalence, newest first")


def by_rules(cells: personas.Cells) -> personas.Surface:
    """The default panel: every cell answers by the card."""
    answers = personas.read_rules("isolation").ask(cells, KNOTS)
    return personas.surface_of(answers, out_of=float("inf"), curve=personas.monotone)


def start(panel: Panel) -> Callable[..., State]:
    def init(population: Population, params: Params, draw: Draw) -> State:
        cells = personas.cells_of(population, PERSONAS)
        with jax.ensure_compile_time_eval():  # The panel answers once, in numbers.
            answered = panel(cells)
        infectious = draw.bernoulli(params.seeded, "agent")
        band = jnp.searchsorted(jnp.array(EDGES[1:]), population["age"], side="right")
        share = jnp.sum(infectious, where=population.alive) / lpm.count(population.alive)
        return State.of(
            population,
            household=population.groups("household_id"),
            team=population.groups("workplace_id"),
            everyone=lpm.Mixing(jnp.where(population.alive, band, -1), _CONTACTS),
            panel=answered,
            cell=cells.cell_of,
            susceptible=1 - infectious,
            infectious=infectious,
            isolated=0,
            fresh=infectious,
            week=jnp.full(8, share),
        )

    return init


def situation(state: State, params: Params) -> dict[str, Scalar]:
    now, before = state.week[0], state.week[-1]
    trend = jnp.log(now + 1e-3) - jnp.log(before + 1e-3)  # One case in a thousand tempers it.
    return {"prevalence": now, "trend": trend, "payment": jnp.asarray(params.payment)}


def decide(state: State, params: Params, draw: Draw) -> State:
    panel = state.panel.shifted(temperature=params.temperature, shift=params.shift)
    share = panel.share(STAY, state.cell, **situation(state, params))
    staying = draw.bernoulli(state.fresh * share * params.told)
    return state.replace(
        infectious=state.infectious - staying,
        isolated=state.isolated + staying,
        fresh=jnp.zeros_like(state.fresh),
    )


def transmit(state: State, params: Params, draw: Draw) -> State:
    out, everywhere = state.infectious, state.infectious + state.isolated
    contacts = [
        (state.household, params.home, everywhere),
        (state.team, params.work, out),
        (state.everyone, params.community, out),
    ]
    infected = lpm.infections(draw, state.susceptible, contacts)
    ending = -jnp.expm1(-1 / params.infectious)
    recovered, released = draw.bernoulli(out * ending), draw.bernoulli(state.isolated * ending)
    infectious = out + infected - recovered
    isolated = state.isolated - released
    share = lpm.share(infectious + isolated, state.alive)
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=infectious,
        isolated=isolated,
        fresh=infected,
        week=jnp.concatenate([share[None], state.week[:-1]]),
    )


def observe(state: State, params: Params) -> dict[str, Array]:
    infected = lpm.count(state.infectious) + lpm.count(state.isolated)
    return {
        "prevalence": lpm.share(state.infectious + state.isolated, state.alive),
        "attack_rate": 1 - lpm.share(state.susceptible, state.alive),
        "isolated": lpm.count(state.isolated) / jnp.maximum(infected, 1),
        "beyond": state.panel.outside(**situation(state, params)),
    }


def answered_by(panel: Panel) -> lpm.Scenario:
    """The same epidemic with other answers: a heuristic, archetypes, a panel of a model's."""
    return lpm.Scenario(
        start(panel),
        (decide, transmit),
        observe,
        Params(),
        steps=120,
        unit="day",
        baseline={"told": 0},
    )


scenario = answered_by(by_rules)
