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
from lpm.fitting.posterior import posterior

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


def test_a_flow_finds_the_ridge_of_an_epidemic_as_particles_do(report):
    """R0 and the period trade off, so that a normal guide is too narrow along them."""
    truth = Params(R0=2.0, period=4.0, reported=0.3, seeded=40.0)
    town = lpm.Population.toy(1)
    run = lpm.simulate(mixed, town, params=truth, key=1, progress=False)
    weeks = np.asarray(run.observed["cases"]).reshape(12, 7).sum(axis=1)
    series = Series("cases", np.round(weeks), NegativeBinomial(10.0), window=7)

    def find(budget, **choices):
        found = posterior(
            mixed, town, series, keys=range(100, 116), budget=budget, progress=False, **choices
        )
        return found.points.mean(axis=0), found.points.std(axis=0)

    mean, sd = find(200_000, method="smc")
    flow = find(40_000, guide="flow")
    normal = find(40_000)
    for i, name in enumerate(("R0", "period", "reported", "seeded")):
        report(f"{name}: mean of the flow, in sd", (flow[0][i] - mean[i]) / sd[i], 0.0)
        report(f"{name}: sd of the flow over that of particles", flow[1][i] / sd[i], 1.0)
    # 416 particles that move 29 times: means to about 0.1 sd, sds to 5-10 %.
    assert np.abs((flow[0] - mean) / sd).max() < 0.4
    assert np.abs(np.log(flow[1] / sd)).max() < 0.35
    assert (flow[1] > 0.85 * sd).all()
    assert not (normal[1] > 0.85 * sd).all()
