"""Epidemics on networks and in groups: attack rates, thresholds, one law for every structure."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import lpm
from lpm import Array, Float, Scalar
from scenarios.network_sir import connected
from tests.gates import theory

pytestmark = pytest.mark.gate
DEGREE, SEEDED = 4, 0.005
STOP = 1 - np.exp(-0.25)  # Chance to recover in a step, at a rate of 1/4.
SHARE = stats.poisson.pmf(np.arange(60), DEGREE)


def attack(rate, recovery, n=200_000, runs=2):
    degrees = np.random.default_rng(0).poisson(DEGREE, n)  # noqa: TID251 - the input of the test
    degrees[0] += degrees.sum() % 2
    town = lpm.Population.toy(n)
    town = town.connect("ties", lpm.configuration_graph(degrees, seed=1))
    params = connected.params.replace(rate=rate, recovery=recovery, seeded=SEEDED)
    run = lpm.ensemble(
        connected, town, keys=list(range(runs)), params=params, every=120, keep_state=False
    )
    return float(run.observed["attack_rate"][:, -1].mean())


@pytest.mark.parametrize("rate", [0.25, 0.125])
def test_attack_rate_on_a_configuration_model_obeys_percolation(rate):
    transmit = theory.geometric_transmissibility(rate, STOP)
    assert transmit * DEGREE > 1.2
    found = attack(rate, 0.25)
    assert abs(found - theory.network_attack(SHARE, transmit, SEEDED)) < 0.01
    # Control: the transmissibility of continuous time gives another attack rate.
    wrong = theory.network_attack(SHARE, rate / (rate + 0.25), SEEDED)
    assert abs(found - wrong) > 0.01


def test_below_the_threshold_the_network_carries_no_epidemic():
    rate = 0.05
    transmit = theory.geometric_transmissibility(rate, STOP)
    # For Poisson degrees (<k^2> - <k>) / <k> is the mean degree.
    assert transmit * DEGREE < 0.85
    # Each seed has 1 / (1 - T <k>) members in its outbreak.
    assert attack(rate, 0.25, runs=1) < 1.6 * SEEDED / (1 - transmit * DEGREE)


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.4, within=(0, 10))


class State(lpm.State):
    groups: lpm.Groups
    mixing: lpm.Mixing
    graph: lpm.Graph
    susceptible: Float[Array, " agent"]
    infectious: Float[Array, " agent"]


def build(structure, n):
    ends = np.argwhere(np.triu(np.ones((n, n), bool), 1))
    graph = lpm.Graph(ends[:, 0], ends[:, 1], num_agents=n)

    def init(population, params, draw):
        sick = (jnp.arange(n) < 4).astype(jnp.float32)
        return State.of(
            population,
            groups=lpm.Groups(jnp.zeros(n, jnp.int32), num_groups=1),
            mixing=lpm.Mixing(jnp.zeros(n, jnp.int32), [[1.0]]),
            graph=graph,
            susceptible=1 - sick,
            infectious=sick,
        )

    def spread(state, params, draw):
        scale = 1 if structure == "mixing" else 1 / n
        network = getattr(state, structure)
        infected = lpm.infections(
            draw, state.susceptible, [(network, params.rate * scale, state.infectious)]
        )
        recovered = draw.bernoulli(state.infectious / 5)
        return state.replace(
            susceptible=state.susceptible - infected,
            infectious=state.infectious + infected - recovered,
        )

    def observe(state, params):
        return {"attack": 1 - lpm.share(state.susceptible, state.alive)}

    return lpm.Scenario(init, (spread,), observe, Params(), steps=100)


def test_the_law_is_the_same_whatever_structure_serves_it():
    n, runs = 200, 600
    town = lpm.Population.toy(n)
    sizes = {}
    for k, structure in enumerate(("groups", "mixing", "graph")):
        keys = list(range(runs * k, runs * (k + 1)))  # different luck, the same law
        run = lpm.ensemble(build(structure, n), town, keys=keys, every=100, keep_state=False)
        sizes[structure] = run.observed["attack"][:, -1]
    for other in ("mixing", "graph"):
        assert stats.ks_2samp(sizes["groups"], sizes[other]).pvalue > 1e-3
    # Control: a rate higher by a tenth is seen.
    params = Params().replace(rate=0.44)
    run = lpm.ensemble(build("groups", n), town, keys=list(range(runs)), params=params, every=100)
    assert stats.ks_2samp(sizes["mixing"], run.observed["attack"][:, -1]).pvalue < 1e-3


def test_one_contact_transmits_with_one_minus_exp_of_its_hazard():
    n, rate = 200_000, 0.3
    pairs = np.arange(n) // 2
    first = (jnp.arange(n) % 2 == 0).astype(jnp.float32)
    networks = {
        "groups": lpm.Groups(pairs),
        "graph": lpm.Graph(np.arange(0, n, 2), np.arange(1, n, 2), num_agents=n),
        "lattice": lpm.Lattice((np.arange(n) ^ 1)[:, None]),
    }
    chance = 1 - np.exp(-rate)
    error = np.sqrt(chance * (1 - chance) / (n / 2))
    for name, network in networks.items():
        draw = lpm.Draw(jnp.array([1, 2], jnp.uint32), 0, name, slot=jnp.arange(n))
        infected = lpm.infections(draw, 1 - first, [(network, rate, first)])
        assert abs(float(infected.sum()) / (n / 2) - chance) < 3.5 * error, name
        assert not (infected * first).any(), "nobody infects himself"


def test_rare_events_are_as_rare_as_asked():
    class Coins(lpm.State):
        hits: Scalar

    class Chance(lpm.Params):
        p: Scalar = lpm.parameter(1e-5, within=(0, 1))

    def init(population, params, draw):
        return Coins.of(population, hits=0)

    def toss(state, params, draw):
        return state.replace(hits=state.hits + lpm.count(draw.bernoulli(params.p, "agent")))

    model = lpm.Scenario(init, (toss,), lambda s, p: {"hits": s.hits}, Chance(), steps=1_000)
    town = lpm.Population.toy(1_000_000)
    for p in (1e-5, 1.2e-7):
        run = lpm.simulate(model, town, key=0, params=Chance().replace(p=p), every=1_000, devices=1)
        hits, expected = float(run.observed["hits"][-1]), 1e9 * p
        assert abs(hits - expected) < 3.5 * np.sqrt(expected)
        # Control: coins from 24 bits would come up ceil(p 2^24) / 2^24 of the time.
        coarse = 1e9 * np.ceil(p * 2**24) / 2**24
        assert p > 1e-6 or abs(hits - coarse) > 3.5 * np.sqrt(expected)
