"""A labour market that clears every year: wages by kind of work, hours, taxes and savings.

Utility is income after tax and rebate less the cost of effort, cost * hours**(1 + 1/e), so that
workers choose hours exactly (`lpm.economics.respond`), given wages; an hour of somebody of skill s
is s hours of one kind of labour. Output has constant elasticity of substitution between kinds
(Arrow, Chenery, Minhas & Solow 1961), firms compete, and wages are those at which hours offered are
hours wanted: found inside the step, and differentiated through what they solve. All revenue is paid
back in equal parts. Then people save a fixed share, which does not feed back: wealth earns interest
from outside. In `curved` it does: consumption is worth less to those who have more (relative
`aversion`, a coin being worth 1 at `reference`), so that the rebate and interest lower hours; wages
and the rebate are found together. Log skill is an autoregression. A step is a tax year, and
everybody works; all numbers are made up: say, weekly hours, and coins of 1000 dollars a year.

Observed are what The AI Economist (Zheng et al. 2022) is judged by: `productivity`, coin per head
since the start, where coin is income after tax and rebate; `equality`, 1 less the Gini coefficient
of coin times n/(n-1); and their product. Nobody gathers, builds or trades on a map here.
"""

import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar
from lpm.analysis import gini
from lpm.economics import (
    Schedule,
    ces_output,
    ces_wages,
    clear,
    equal_rebate,
    potential_income,
    respond,
    respond_curved,
    total,
)

KINDS = ("manual", "clerical", "professional")
LABELS = {"wages": KINDS, "hours": KINDS}
UNITS = {
    "output": "coin/person/year",
    "productivity": "coin/person",
    "rebate": "coin/year",
    "profit": "share of output",
}
TOGETHER = {"Equality, of coin and of income": ("equality", "income_equality")}
_FEW = 3.0  # workers who may all change their mind at one price, where rates fall


class Params(lpm.Params):
    rates: Float[Array, " bracket"] = lpm.policy(
        [0.1, 0.2, 0.3, 0.4], within=(0, 0.95), unit="share of the next coin"
    )
    thresholds: Float[Array, " bracket"] = lpm.constant([0, 20, 40, 80], unit="coin/year")
    elasticity: Scalar = lpm.parameter(0.4, within=(0.05, 3), unit="of hours by the net wage")
    cost: Scalar = lpm.constant(2e-5, unit="coin/year for one hour")
    substitution: Scalar = lpm.parameter(1.5, within=(0.2, 1e6), unit="elasticity between kinds")
    technology: Float[Array, " kind"] = lpm.parameter([0.45, 0.45, 0.6], within=(1e-3, 10))
    share: Float[Array, " kind"] = lpm.constant([0.5, 0.3, 0.2], unit="of people")
    persistence: Scalar = lpm.constant(0.95, unit="of log skill from year to year")
    spread: Scalar = lpm.parameter(0.5, within=(0, 2), unit="standard deviation of log skill")
    saving: Scalar = lpm.constant(0.2, unit="share of income after tax and rebate")
    interest: Scalar = lpm.constant(0.02, unit="1/year")
    aversion: Scalar = lpm.parameter(1.0, within=(0, 5), unit="relative, of consumption in curved")
    reference: Scalar = lpm.constant(30, unit="coin/year of consumption in curved")


class State(lpm.State):
    kind: Int[Array, " agent"]
    skill: Float[Array, " agent"] = lpm.variable(within=(0, None))
    income: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="coin/year")
    tax: Float[Array, " agent"] = lpm.variable(unit="coin/year")
    utility: Float[Array, " agent"] = lpm.variable(unit="coin/year")
    rebate: Float[Array, ""] = lpm.variable(unit="coin/year")
    wage: Float[Array, " kind"] = lpm.variable(within=(0, None), unit="coin/hour")
    coin: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="coin")
    wealth: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="coin")


def init(population: Population, params: Params, draw: Draw) -> State:
    edges = jnp.cumsum(params.share)[:-1] / jnp.sum(params.share)
    kind = jnp.searchsorted(edges, draw.uniform("agent"), side="right").astype(jnp.int32)
    skill = jnp.exp(params.spread * draw.normal("agent"))
    none = {"income": 0, "tax": 0, "utility": 0, "rebate": 0, "coin": 0, "wealth": 0}
    wage = jnp.ones_like(params.technology)
    return State.of(population, kind=kind, skill=skill, wage=wage, **none)


def learn(state: State, params: Params, draw: Draw) -> State:
    keeps = params.persistence
    news = params.spread * jnp.sqrt(1 - keeps**2) * draw.normal("agent")
    logs = keeps * jnp.log(jnp.where(state.alive, state.skill, 1.0)) + news
    return state.replace(skill=jnp.exp(logs))


def work(state: State, params: Params, draw: Draw) -> State:
    tax = Schedule(params.thresholds, params.rates)
    skill = jnp.where(state.alive, state.skill, 1.0)

    def choose(wage: Array):
        able = potential_income(wage[state.kind] * skill, params.elasticity, params.cost)
        return respond(tax, able, params.elasticity, jumps="corrected")

    def gap(wage: Array) -> Array:
        offered = labour(state, choose(wage).income, wage)
        return jnp.log(ces_wages(offered, params.technology, params.substitution) / wage)

    # Where rates fall, a worker or two jump at once, and no price gives their exact sum.
    wage = clear(gap, state.wage, tolerance=max(1e-5, _FEW / state.alive.shape[0]))
    chosen = choose(wage)
    rebate = equal_rebate(chosen.tax, alive=state.alive)
    return state.replace(
        wage=wage,
        income=chosen.income,
        tax=chosen.tax,
        rebate=rebate,
        utility=chosen.utility + rebate,
    )


def work_curved(state: State, params: Params, draw: Draw) -> State:
    tax = Schedule(params.thresholds, params.rates)
    skill = jnp.where(state.alive, state.skill, 1.0)

    def choose(prices: Array):
        # The last one is 1 and the rebate over the reference, which is positive, as prices are.
        wage, rebate = prices[:-1], params.reference * (prices[-1] - 1)
        able = potential_income(wage[state.kind] * skill, params.elasticity, params.cost)
        other = rebate + params.interest * state.wealth
        return respond_curved(
            tax,
            able,
            params.elasticity,
            aversion=params.aversion,
            other=other,
            reference=params.reference,
        )

    def gap(prices: Array) -> Array:
        wage, chosen = prices[:-1], choose(prices)
        offered = labour(state, chosen.income, wage)
        wanted = jnp.log(ces_wages(offered, params.technology, params.substitution) / wage)
        paid = 1 + equal_rebate(chosen.tax, alive=state.alive) / params.reference
        return jnp.append(wanted, jnp.log(paid / prices[-1]))

    guess = jnp.append(state.wage, 1 + state.rebate / params.reference)
    prices = clear(gap, guess, tolerance=max(1e-5, _FEW / state.alive.shape[0]))
    chosen = choose(prices)
    return state.replace(
        wage=prices[:-1],
        income=chosen.income,
        tax=chosen.tax,
        rebate=params.reference * (prices[-1] - 1),
        utility=chosen.utility,
    )


def labour(state: State, income: Array, wage: Array) -> Array:
    """Hours times skill of each kind, per head."""
    people = lpm.count(state.alive)
    paid = [
        total(jnp.where(state.alive & (state.kind == k), income, 0.0)) for k in range(wage.shape[0])
    ]
    return jnp.stack(paid) / (wage * people)


def save(state: State, params: Params, draw: Draw) -> State:
    disposable = state.income - state.tax + state.rebate
    wealth = (1 + params.interest) * state.wealth + params.saving * disposable
    return state.replace(coin=state.coin + disposable, wealth=wealth)


def observe(state: State, params: Params) -> dict[str, Array]:
    people = lpm.count(state.alive)
    inputs = labour(state, state.income, state.wage)
    output = ces_output(inputs, params.technology, params.substitution)
    alike = people / jnp.maximum(people - 1, 1)
    coin = total(state.coin) / people
    equality = 1 - alike * gini(state.coin, where=state.alive)
    return {
        "output": output,
        "profit": 1 - jnp.sum(state.wage * inputs) / output,
        "productivity": coin,
        "equality": equality,
        "equality_x_productivity": equality * coin,
        "income_equality": 1 - alike * gini(state.income, where=state.alive),
        "wages": state.wage,
        "hours": _hours(state),
        "rebate": state.rebate,
        "welfare": total(state.utility) / people,
        "wealth": total(state.wealth) / people,
    }


def _hours(state: State) -> Array:
    """Mean hours of each kind of worker."""
    skill = jnp.where(state.alive, state.skill, 1.0)
    hours = state.income / (state.wage[state.kind] * skill)
    mine = [state.alive & (state.kind == k) for k in range(state.wage.shape[0])]
    return jnp.stack([total(hours * m) / jnp.maximum(lpm.count(m), 1.0) for m in mine])


scenario = lpm.Scenario(init, (learn, work, save), observe, Params(), steps=10, unit="year")
curved = scenario.replace(processes=(learn, work_curved, save))
