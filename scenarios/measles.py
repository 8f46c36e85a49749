"""Measles in a town before vaccination: SEIR with schools, births and noise.

After He, Ionides & King (2010, J. R. Soc. Interface 7, 271). An agent is a town, in numbers of
people; a step is a day. Transmission follows school terms and has gamma white noise; a share of
each year's births enters school, and so the susceptible, on one day. All flows out of a compartment
are one Euler-multinomial draw from the start of the step. Cases are counted on recovery, by week.
Without the parts named by day it is an invented town of three million; a study brings its own.
"""

import jax.numpy as jnp
import numpy as np

import lpm
from lpm import Array, Draw, Float, Population, Scalar

_YEAR = 365.25  # days
# School terms, first and last day of the year (He, Ionides & King 2010); 0.7589 of the days.
_TERMS = ((7, 100), (115, 199), (252, 300), (308, 356))
_ENTRY = 251 / 365  # when a cohort enters school, in years


def calendar(start: float, days: int) -> tuple[np.ndarray, np.ndarray]:
    """School in session, and the day of entry, as 0 or 1 by day from `start`, a decimal year."""
    share = np.modf(start + np.arange(days) / _YEAR)[0]
    term = np.any([(share * _YEAR >= a) & (share * _YEAR <= b) for a, b in _TERMS], axis=0)
    return term.astype(np.float32), (np.abs(share - _ENTRY) < 0.5 / _YEAR).astype(np.float32)


_TERM, _ENTER = calendar(1950.0, 730)


class Params(lpm.Params):
    R0: Scalar = lpm.parameter(56.8, within=(1, 500))
    sigma: Scalar = lpm.parameter(28.9, within=(1, 500), unit="1/year, end of latency")
    gamma: Scalar = lpm.parameter(30.4, within=(1, 500), unit="1/year, recovery")
    alpha: Scalar = lpm.parameter(0.976, within=(0.5, 1.5), unit="exponent of mixing")
    iota: Scalar = lpm.parameter(2.9, within=(0, 100), unit="infectious visitors")
    rho: Scalar = lpm.parameter(0.488, within=(0, 1), unit="share of cases reported")
    psi: Scalar = lpm.parameter(0.116, within=(0, 5), unit="overdispersion of reports")
    sigma_se: Scalar = lpm.parameter(0.0878, within=(0.01, 1), unit="year**0.5")
    cohort: Scalar = lpm.parameter(0.557, within=(0, 1), unit="share of births entering at once")
    amplitude: Scalar = lpm.parameter(0.554, within=(0, 1), unit="of seasonality")
    S_0: Scalar = lpm.parameter(0.0297, within=(0, 1), unit="share at the start")
    E_0: Scalar = lpm.parameter(5.17e-5, within=(0, 0.01), unit="share at the start")
    I_0: Scalar = lpm.parameter(5.14e-5, within=(0, 0.01), unit="share at the start")
    R_0: Scalar = lpm.constant(0.97, unit="share at the start")
    mu: Scalar = lpm.constant(0.02, unit="deaths/person/year")
    people: Float[Array, " day"] = lpm.constant(np.full(730, 3.3e6, np.float32))
    births: Float[Array, " day"] = lpm.constant(np.full(730, 5e4, np.float32), unit="1/year")
    term: Float[Array, " day"] = lpm.constant(_TERM, unit="1 while schools are open")
    entry: Float[Array, " day"] = lpm.constant(_ENTER, unit="1 on the day of entry")


class State(lpm.State):
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="people")
    exposed: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="people")
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="people")
    cases: Float[Array, " agent"] = lpm.variable(
        within=(0, None), unit="people since the week began"
    )


def init(population: Population, params: Params, draw: Draw) -> State:
    whole = params.people[0] / (params.S_0 + params.E_0 + params.I_0 + params.R_0)
    shares = {"susceptible": params.S_0, "exposed": params.E_0, "infectious": params.I_0}
    return State.of(population, cases=0, **{n: jnp.round(whole * x) for n, x in shares.items()})


def leave(draw: Draw, people: Array, rate: Array, params: Params) -> tuple[Array, Array]:
    """Who moves on at `rate`, and who moves on or dies, in a day."""
    total = rate + params.mu
    gone = draw.binomial(people, -jnp.expm1(-total / _YEAR), "agent")
    return draw.binomial(gone, rate / total, "agent"), gone


def spread(state: State, params: Params, draw: Draw) -> State:
    day, ones = state.t, jnp.ones_like(state.cases)
    open_share = 0.7589
    season = jnp.where(
        params.term[day] > 0,
        1 + params.amplitude * (1 - open_share) / open_share,
        1 - params.amplitude,
    )
    beta = params.R0 * season * -jnp.expm1(-(params.gamma + params.mu) / _YEAR) * _YEAR
    variance = params.sigma_se**2 * _YEAR
    noise = draw.gamma(ones / variance) * variance
    force = beta * (state.infectious + params.iota) ** params.alpha / params.people[day] * noise
    spaced = 1 - params.cohort + params.cohort * _YEAR * params.entry[day]
    born = draw.poisson(ones * params.births[day] * spaced / _YEAR)
    infected, left = leave(draw, state.susceptible, force, params)
    onset, ripened = leave(draw, state.exposed, ones * params.sigma, params)
    recovered, ended = leave(draw, state.infectious, ones * params.gamma, params)
    counted = jnp.where(day % 7 == 0, 0.0, state.cases)
    return state.replace(
        susceptible=state.susceptible + born - left,
        exposed=state.exposed + infected - ripened,
        infectious=state.infectious + onset - ended,
        cases=counted + recovered,
    )


def observe(state: State, params: Params) -> dict[str, Scalar]:
    """Cases since the week began, and mean and variance of their reports, of all towns."""
    reports = params.rho * state.cases
    variance = reports * (1 - params.rho) + (params.psi * reports) ** 2
    return {
        "cases": lpm.count(state.cases),
        "reports": jnp.sum(reports),
        "variance": jnp.sum(variance),
    }


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=728, unit="day")
