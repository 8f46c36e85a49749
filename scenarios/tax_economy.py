"""Workers under an income tax: hours, who works, savings, inequality, welfare. A step is a year.

Purpose: what rates, thresholds and a rebate do to people with the wages and hours of a census.
Skills are backed out under today's law, the federal tax of single filers without credits: under
that law and before the first shock everybody earns, works and pays as observed (Saez 2001).

Consumption less isoelastic effort, and less a fixed cost for those who work, is what everybody
makes the most of. Rates move income by `elasticity` and the share who work by `participation`: 0.3
and 0.25, where the synthesis of micro evidence by Chetty, Guren, Manoli & Weber (2011, NBER Working
Paper 16729) points. Welfare counts it as it is (quasi-linear) or through an isoelastic utility, the
form of Greenwood, Hercowitz & Huffman (1988); what one has beside wages moves hours in neither. The
state keeps what today's law raises, but for a share `rebate`; what is over goes to all alike, so
that the budget is closed in every year. All choose at once, knowing their wages of the year.
Savings, shocks and `means` are assumptions. Nobody ages or moves.

All answer alike, unless the population has a column `own_response`: the log of a person's
elasticity over `elasticity`, such as personas give it for people of the same age, sex and earnings.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar, economics as econ
from lpm.population import workers

LAW = econ.federal(2024, credits=False)
TODAY = {"rates": LAW.rates, "thresholds": LAW.thresholds[1:], "rebate": 0}


class Params(lpm.Params):
    rates: Float[Array, " bracket"] = lpm.policy([0.35] * 8, within=(0, 0.99), unit="of income")
    thresholds: Float[Array, " edge"] = lpm.policy(
        TODAY["thresholds"], within=(0, None), unit="USD/year at which the next rate begins"
    )
    rebate: Scalar = lpm.policy(0, within=(0, 1), unit="of today's revenue, paid back to all")
    elasticity: Scalar = lpm.parameter(0.3, within=(0.01, 3), unit="of income by 1 - rate")
    participation: Scalar = lpm.parameter(
        0.25, within=(0.01, 3), unit="elasticity of the share who work by 1 - rate"
    )
    means: Scalar = lpm.constant(12_000, unit="USD/year and head beside wages, untaxed")
    saving: Scalar = lpm.constant(0.1, unit="share of disposable income")
    spending: Scalar = lpm.constant(0.05, unit="share of wealth/year")
    interest: Scalar = lpm.constant(0.02, unit="1/year")
    persistence: Scalar = lpm.constant(0.95, unit="of log wages, a year later")
    shock: Scalar = lpm.constant(0.1, unit="log points of wages/year")
    floor: Scalar = lpm.constant(10_000, unit="USD/year, the least income that a weight goes by")
    aversion: Scalar = lpm.constant(1.0, unit="relative, to inequality: isoelastic welfare")


class State(lpm.State):
    weight: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="people")
    wage: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="USD/hour at the start")
    potential: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="USD/year untaxed")
    cost: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="USD/year of working")
    own_response: Float[Array, " agent"] = lpm.variable(unit="log of own elasticity over all's")
    skill: Float[Array, " agent"] = lpm.variable(unit="log wage since the start")
    income: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="USD/year before tax")
    tax: Float[Array, " agent"] = lpm.variable(unit="USD/year")
    utility: Float[Array, " agent"] = lpm.variable(unit="USD/year, of wages alone")
    consumption: Float[Array, " agent"] = lpm.variable(unit="USD/year")
    wealth: Float[Array, " agent"] = lpm.variable(unit="USD")
    spread: Scalar = lpm.variable(within=(0, None), unit="variance of log wages since the start")
    today: Scalar = lpm.variable(unit="USD/head/year of revenue under today's law")
    rebate: Scalar = lpm.variable(unit="USD/head/year")


def init(population: Population, params: Params, draw: Draw) -> State:
    return calibrate(population, params, LAW)


def calibrate(population: Population, params: Params, law: econ.Schedule) -> State:
    """The workers who do under `law` what they are seen to do."""
    weight, chance = population["weight"], population["chance"]
    could_earn, earnings = population["could_earn"], population["earnings"]
    own = population["own_response"] if "own_response" in population else jnp.zeros_like(weight)
    elasticity = params.elasticity * jnp.exp(own)
    potential = econ.back_out(law, could_earn, elasticity).potential
    gain = econ.respond(law, potential, elasticity).utility + law.intercept
    mean = econ.total(weight * elasticity) / econ.total(weight)
    slope = econ.slope_of_chance(params.participation, mean, chance, weight)
    cost = econ.costs_of_working(gain, earnings > 0, chance, population["luck"], slope)
    revenue = econ.total(weight * law.liability(earnings)) / econ.total(weight)
    return State.of(
        population,
        weight=weight,
        wage=could_earn / jnp.maximum(population["could_work"], 1),
        potential=potential,
        cost=cost,
        own_response=own,
        today=revenue,
        **dict.fromkeys(("skill", "income", "tax", "utility", "consumption", "wealth"), 0),
        spread=0,
        rebate=0,
    )


def own_elasticity(state: State, params: Params) -> Float[Array, " agent"]:
    return params.elasticity * jnp.exp(state.own_response)


def untaxed_income(state: State, params: Params) -> Float[Array, " agent"]:
    return state.potential * jnp.exp((1 + own_elasticity(state, params)) * state.skill)


def learn(state: State, params: Params, draw: Draw) -> State:
    # The first year is the one that was observed. Mean wages stay what they are.
    news = params.shock * (state.t > 0)
    spread = params.persistence**2 * state.spread + news**2
    skill = params.persistence * (state.skill + state.spread / 2) - spread / 2
    return state.replace(skill=skill + news * draw.normal("agent"), spread=spread)


def work(state: State, params: Params, draw: Draw) -> State:
    chosen = econ.respond(
        econ.from_edges(params.thresholds, params.rates),
        untaxed_income(state, params),
        own_elasticity(state, params),
        fixed_cost=state.cost,
        jumps="corrected",
    )
    kept = (1 - params.rebate) * state.today
    rebate = econ.equal_rebate(chosen.tax, state.weight, spending=kept)
    return state.replace(
        income=chosen.income, tax=chosen.tax, utility=chosen.utility, rebate=rebate
    )


def disposable_income(state: State, params: Params) -> Float[Array, " agent"]:
    return state.income - state.tax + state.rebate + params.means


def save(state: State, params: Params, draw: Draw) -> State:
    disposable = disposable_income(state, params)
    wealth = (1 + params.interest) * state.wealth
    consumption = (1 - params.saving) * disposable + params.spending * wealth
    return state.replace(consumption=consumption, wealth=wealth + disposable - consumption)


WELFARE = {
    "utilitarian": econ.SocialWelfare("utilitarian"),
    "isoelastic": econ.SocialWelfare("isoelastic"),
    "inverse_income": econ.SocialWelfare("inverse income"),
    "rawlsian": econ.SocialWelfare("rawlsian"),
}


def observe(state: State, params: Params) -> dict[str, Array]:
    def mean(x: Float[Array, " agent"]) -> Scalar:
        return econ.total(share * x)

    share = econ.welfare.head_shares(state.weight, state.weight, state.alive)
    wage = jnp.maximum(state.wage, 1e-3) * jnp.exp(state.skill)
    utility = state.utility + state.rebate + params.means
    least = 1 + own_elasticity(state, params)
    untaxed = jnp.maximum(untaxed_income(state, params) / least - state.cost, 0)
    # Disposable income rises with income, so that one ranking does for both.
    people = econ.Ranking.of(state.income, state.weight, state.alive)
    earners = people.among(state.income > 0)
    inequality = people.gini(disposable_income(state, params))
    seen = {
        "hours": mean(state.income / wage) / 52,
        "working": mean((state.income > 0).astype(jnp.float32)),
        "income": mean(state.income),
        "revenue": mean(state.tax),
        "rebate": state.rebate,
        "consumption": mean(state.consumption),
        "wealth": mean(state.wealth),
        "income_by_decile": earners.means(state.income),
        "tax_by_decile": earners.means(state.tax),
        "gini": inequality,
        "equality_x_productivity": (1 - inequality) * mean(state.income),
        "deadweight_loss": econ.welfare.deadweight_loss(
            state.utility, untaxed, state.tax, state.weight, state.alive
        ),
    }
    for name, social_welfare in WELFARE.items():
        seen[f"welfare_{name}"] = social_welfare(
            utility,
            state.income,
            state.weight,
            state.alive,
            floor=params.floor,
            aversion=params.aversion,
        )
    return seen


scenario = lpm.Scenario(
    init,
    (learn, work, save),
    observe,
    Params(),
    steps=10,
    unit="year",
    population=workers,
    baseline=TODAY,
)


def under(law: econ.Schedule) -> lpm.Scenario:
    """The same economy, its people observed under another law."""

    def init_under(population: Population, params: Params, draw: Draw) -> State:
        return calibrate(population, params, law)

    return scenario.replace(init=init_under)


DECILES = tuple(f"{10 * i}-{10 * i + 10} % of earners" for i in range(10))
LABELS = {"income_by_decile": DECILES, "tax_by_decile": DECILES}
UNITS = {"hours": "hours/week and head", "working": "share", "wealth": "USD/head"}
UNITS |= dict.fromkeys(
    ("income", "revenue", "rebate", "consumption", "deadweight_loss", "equality_x_productivity"),
    "USD/head and year",
)
UNITS |= dict.fromkeys(("income_by_decile", "tax_by_decile"), "USD/head and year")
UNITS |= {f"welfare_{name}": "USD/head and year" for name in WELFARE}
TOGETHER = {"Welfare": tuple(f"welfare_{name}" for name in WELFARE)}
