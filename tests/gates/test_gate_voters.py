"""The voter model, in which a derivative of fixation is known: the lineage adjoint meets it."""

import jax
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Int, Population
from lpm.fitting import Lineage

pytestmark = pytest.mark.gate

# Everybody but the last knows number 0; 1 and 2 know each other; the last knows 3 alone.
TIES = np.array([(0, 1), (0, 2), (0, 3), (1, 2), (3, 4)])
DEGREE = np.bincount(TIES.ravel())
COPIES, STEPS = 60, 60


class Params(lpm.Params):
    start: Float[Array, " place"] = lpm.parameter(np.full(5, 0.5, np.float32), within=(0, 1))


class State(lpm.State):
    ties: lpm.Graph
    place: Int[Array, " agent"]
    opinion: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population, params, draw):
    first = 5 * np.repeat(np.arange(COPIES), len(TIES))
    source, target = (np.tile(TIES[:, side], COPIES) + first for side in (0, 1))
    place = population["place"]
    return State.of(
        population,
        ties=lpm.Graph(source, target, num_agents=population.capacity),
        place=place,
        opinion=draw.bernoulli(params.start[place]),
    )


def copy(state, params, draw):
    """Half of the people take over the opinion of a neighbour, any of them."""
    said = draw.bernoulli(state.ties.mean(state.opinion))
    awake = draw.bernoulli(0.5, "agent")
    return state.replace(opinion=state.opinion + awake * (said - state.opinion))


def observe(state, params):
    return {"opinion": lpm.share(state.opinion, state.alive)}


def test_fixation_moves_with_the_first_opinion_of_each_by_its_degree(report):
    """P_fix = sum k_i s_i / sum k (Sood & Redner 2005), since copying keeps that sum on average.

    After 60 steps all five of a copy agree but in one case of some hundreds.
    """
    people = Population({"place": np.tile(np.arange(5), COPIES)})
    model = lpm.Scenario(init, (copy,), observe, Params(), steps=STEPS, unit="day")
    asked = {"keys": jax.random.split(jax.random.key(2), 60), "every": STEPS}
    final = lpm.ensemble(model, people, keys=[0], snapshots=[STEPS]).snapshots[STEPS].opinion
    agree = np.ptp(np.asarray(final).reshape(COPIES, 5), axis=1) == 0
    assert agree.mean() > 0.95
    found = lpm.gradient(
        model,
        people,
        lambda run: run.observed["opinion"][-1],
        estimator=Lineage(rate=0.2, anchored=False, smooth=False),
        **asked,
    )
    exact = DEGREE / DEGREE.sum()
    error = found.standard_error["start"]
    report("largest error", float(np.abs(found.estimate["start"] - exact).max()), 0.0)
    assert (error < 0.03).all()
    assert (np.abs(found.estimate["start"] - exact) < 4 * error).all()
    # The control: nobody counts for more than another.
    assert (np.abs(found.estimate["start"] - 0.2) > 4 * error).any()
