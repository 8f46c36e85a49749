"""Counts from the few who count to their neighbours, against asking everybody."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm.graphs import random_graph
from lpm.networks import Graph
from lpm.networks.frontier import count_from_few, few

SIZE = 20_000


@jax.jit
def total(network, x):
    return network.sum(x)


def rng(seed=3):
    return np.random.default_rng(seed)  # noqa: TID251 - references are made on the host


def ends(hubs=2):
    """Random ties, and hubs whom a tenth of all know, so that further rows are used."""
    random = rng()
    source, target = random.integers(0, SIZE, (2, 4 * SIZE))
    known = random.integers(0, SIZE, (hubs, SIZE // 10))
    hub = np.repeat(np.arange(hubs), SIZE // 10)
    return np.concatenate([source, hub]), np.concatenate([target, known.ravel()])


def counted_by_hand(source, target, x, *, directed=False):
    """The sum over distinct ties that are no loops, by scattering them one way or both."""
    pairs = {(s, t) for s, t in zip(source.tolist(), target.tolist(), strict=True) if s != t}
    if not directed:
        pairs |= {(t, s) for s, t in pairs}
    s, t = np.array(sorted(pairs)).T
    return np.bincount(t, weights=x[s], minlength=SIZE)


@pytest.mark.parametrize("share", [0, 2e-4, 0.01, 0.05, 1])
@pytest.mark.parametrize("directed", [False, True])
def test_any_share_of_agents_is_counted_right(share, directed):
    # 0.05 is about where the way of counting changes on two cores; a directed tie, stored from
    # one end, must never be walked from the other.
    source, target = ends()
    graph = Graph(source, target, num_agents=SIZE, directed=directed)
    x = (rng(5).random(SIZE) < share).astype(np.float32)
    if share == 2e-4:
        x[:2] = 1  # the hubs
    expected = counted_by_hand(source, target, x, directed=directed)
    assert (np.asarray(total(graph, x)) == expected).all()
    if not directed:
        rows = (graph.neighbours, graph.extra, graph.owner)
        assert (np.asarray(jax.jit(count_from_few)(x > 0, *rows)) == expected).all()


def test_a_few_weights_that_are_not_one_are_summed_and_not_counted():
    source, target = ends()
    graph = Graph(source, target, num_agents=SIZE)
    x = np.zeros(SIZE, np.float32)
    x[:30] = np.arange(30) / 8
    np.testing.assert_allclose(total(graph, x), counted_by_hand(source, target, x), rtol=1e-6)


def test_slopes_and_ensembles_are_those_of_asking_everybody():
    source, target = ends()
    graph = Graph(source, target, num_agents=SIZE)
    plain = graph.over_devices()
    x = jnp.asarray(rng(6).random((3, SIZE)) < 0.002, jnp.float32)
    assert (jax.jit(jax.vmap(graph.sum))(x) == jax.vmap(plain.sum)(x)).all()
    weight = jnp.asarray(rng(7).random(SIZE), jnp.float32)
    slopes = [jax.jit(jax.grad(lambda x, g=g: g.sum(x) @ weight))(x[0]) for g in (graph, plain)]
    assert (slopes[0] == slopes[1]).all()
    assert slopes[0].any()


def test_an_epidemic_is_the_same_to_the_bit_either_way(monkeypatch):
    # Wherever the switch lies, and whether the run has one device or four.
    from scenarios import network_sir

    town = lpm.Population({"x": np.zeros(SIZE, np.int8)})
    town = town.connect("ties", random_graph(SIZE, degree=8, seed=1))

    def run(devices):
        fresh = lpm.Population({"x": np.zeros(SIZE, np.int8)}).connect("ties", town.network("ties"))
        return lpm.simulate(
            network_sir.connected, fresh, key=4, steps=40, devices=devices, progress=False
        ).observed

    runs = [run(1), run(4)]
    for switch in (0, SIZE):
        monkeypatch.setattr("lpm.networks.ties.few", lambda _, switch=switch: switch)
        jax.clear_caches()  # a program compiled before would hold the former switch
        runs.append(run(1))
    for other in runs[1:]:
        for name, series in runs[0].items():
            assert (series == other[name]).all(), name
    assert 0.2 < runs[0]["attack_rate"][-1] < 1


def test_few_is_fewer_the_more_cores_there_are(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    one = few(10**6)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert few(10**6) == one // 16 > 0
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    assert few(10**6) == 0
