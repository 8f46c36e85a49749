"""Posteriors of epidemics: intervals that cover as often as they say."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import lpm
from lpm import Float, Scalar
from lpm.axes import Array
from lpm.fitting.coverage import check_coverage
from lpm.fitting.losses import Series
from lpm.fitting.noise import NegativeBinomial

pytestmark = pytest.mark.gate
PEOPLE = 10_000.0


class Params(lpm.Params):
    R0: Scalar = lpm.parameter(2.0, within=(1.2, 4))
    period: Scalar = lpm.parameter(4.0, within=(2, 8), unit="day")
    reported: Scalar = lpm.parameter(0.3, within=(0.1, 0.9))
    seeded: Scalar = lpm.parameter(
        10.0, within=(1, 200), unit="people", prior=dist.LogNormal(np.log(15.0), 0.6)
    )


class State(lpm.State):
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, None))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, None))
    cases: Float[Array, " agent"] = lpm.variable(within=(0, None))


def init(population, params, draw):
    """An agent is a town, in numbers of people, as in `scenarios/measles.py`."""
    start = draw.poisson(jnp.where(population.alive, params.seeded, 0.0))
    return State.of(population, susceptible=PEOPLE - start, infectious=start, cases=0)


def spread(state, params, draw):
    force = params.R0 / params.period * state.infectious / PEOPLE
    leave = jnp.ones_like(force) / params.period
    new = draw.binomial(state.susceptible, -jnp.expm1(-force), "agent")
    out = draw.binomial(state.infectious, -jnp.expm1(-leave), "agent")
    return state.replace(
        susceptible=state.susceptible - new, infectious=state.infectious + new - out, cases=new
    )


def observe(state, params):
    return {"cases": jnp.sum(state.cases) * params.reported}


mixed = lpm.Scenario(init, (spread,), observe, Params(), steps=84, unit="day")


def test_300_runs_cover_an_epidemic_of_four_parameters(report):
    """200 truths, few of 10,000 people seeded: take-off is luck. 82 to 97 % is asked."""
    series = Series("cases", np.ones(12), NegativeBinomial(10.0), window=7)
    found = check_coverage(
        mixed, lpm.Population.toy(1), series, keys=[0, 1], truths=200, budget=300
    )
    judged = found.coverage.filter(found.coverage["level"] == 0.9)
    for row in judged.to_dicts():
        report(f"90 % interval of {row['element']}", row["covered"], 0.9)
        assert 0.82 <= row["covered"] <= 0.97
        assert row["uniform"] > 0.01 / 4
