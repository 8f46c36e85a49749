"""Graph builders: numbers of ties, degree distributions, and who may be tied."""

from dataclasses import dataclass
from functools import cache
from math import exp, lgamma, log

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpm.draw import Draw
from lpm.errors import ScenarioError
from lpm.graphs import (
    block_graph,
    configuration_graph,
    preferential_attachment,
    random_graph,
    small_world,
)


@dataclass
class People:
    """The least that a builder needs."""

    size: int
    alive: jax.Array

    @property
    def capacity(self):
        return self.alive.shape[0]


def people(size, spare=0):
    return People(size, jnp.arange(size + spare) < size)


def rows_of(graph):
    """Neighbours of each agent as sets, read off the stored rows."""
    n = graph.num_agents
    rows = [list(row) for row in np.asarray(graph.neighbours)]
    for owner, row in zip(np.asarray(graph.owner), np.asarray(graph.extra), strict=True):
        if owner < n:
            rows[owner] += list(row)
    rows = [[int(i) for i in row if i < n] for row in rows]
    for agent, row in enumerate(rows):
        assert agent not in row
        assert len(row) == len(set(row))
        assert len(row) == graph.total[agent]
    sets = [set(row) for row in rows]
    for agent, row in enumerate(sets):
        assert all(agent in sets[other] for other in row)
    return sets


@cache
def drawing(size, spare, degree):
    """The builder inside jit, compiled once for each population and degree."""
    return jax.jit(lambda step: draw_graph(people(size, spare), degree, step))


def draw_graph(population, degree, step):
    key = jax.random.key_data(jax.random.key(9))
    slot = jnp.arange(population.capacity, dtype=jnp.int32)
    return random_graph(population, degree=degree, draw=Draw(key, step, "init", slot=slot))


def poisson_distance(degrees, mean):
    """Standardised chi-square distance from Poisson degrees, over cells of 5 and more."""
    n = degrees.size
    mass = np.array([exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(60)]) * n
    observed = np.bincount(degrees.astype(int), minlength=60)
    cells = mass > 5
    freedom = cells.sum() - 1
    return (((observed - mass)[cells] ** 2 / mass[cells]).sum() - freedom) / np.sqrt(2 * freedom)


BUILDERS = {
    "random": lambda seed: random_graph(200, degree=6, seed=seed),
    "configuration": lambda seed: configuration_graph(np.arange(200) % 7 + 2, seed=seed),
    "small_world": lambda seed: small_world(200, 6, 0.3, seed=seed),
    "preferential": lambda seed: preferential_attachment(200, 3, seed=seed),
    "block": lambda seed: block_graph(np.arange(200) % 3, np.full((3, 3), 0.03), seed=seed),
    "drawn": drawing(200, 0, 6),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_ties_are_mutual_distinct_and_never_to_oneself(name):
    assert sum(map(len, rows_of(BUILDERS[name](1)))) > 400


@pytest.mark.parametrize("name", BUILDERS)
def test_the_seed_decides_the_graph(name):
    first, again, other = (rows_of(BUILDERS[name](seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


POPULATION_BUILDERS = {
    "random": lambda p: random_graph(p, degree=6, seed=3),
    "small_world": lambda p: small_world(p, 6, 0.3, seed=3),
    "preferential": lambda p: preferential_attachment(p, 3, seed=3),
    "drawn": lambda p: jax.jit(lambda step: draw_graph(p, 6, step))(0),
}


@pytest.mark.parametrize("name", POPULATION_BUILDERS)
def test_empty_slots_have_no_ties_and_change_nobody_elses(name):
    build = POPULATION_BUILDERS[name]
    tight, roomy = (rows_of(build(people(100, spare))) for spare in (0, 40))
    assert roomy[:100] == tight
    assert roomy[100:] == [set()] * 40


def test_people_need_not_come_first_in_storage():
    alive = jnp.arange(60) % 3 > 0
    for build in POPULATION_BUILDERS.values():
        rows = rows_of(build(People(40, alive)))
        assert all(not row for row, there in zip(rows, alive.tolist(), strict=True) if not there)
        assert sum(map(len, rows)) > 80


def test_random_graph_has_its_ties_and_poisson_degrees():
    graph = random_graph(20_000, degree=8, seed=4)
    degrees = np.asarray(graph.total)
    assert degrees.sum() == 160_000
    assert poisson_distance(degrees, 8) < 5
    assert poisson_distance(degrees, 7.5) > 5


def test_random_graph_can_be_complete():
    assert rows_of(random_graph(9, degree=8, seed=0)) == [set(range(9)) - {i} for i in range(9)]


def test_drawn_graph_has_poisson_degrees_and_loses_few_ties():
    graph = drawing(20_000, 50, 8)(0)
    degrees = np.asarray(graph.total)[:20_000]
    lost = 160_000 - degrees.sum()
    assert 0 <= lost <= 2 * (8 / 2 + 8**2 / 4) + 80  # both ends; about 40 +- 9 expected
    assert poisson_distance(degrees, 8) < 5
    assert np.asarray(graph.owner).min() < 20_000  # extra rows are in use


def test_drawn_graph_batches_over_runs():
    graphs = jax.jit(jax.vmap(drawing(200, 0, 6)))(jnp.arange(3))
    assert graphs.neighbours[2].tolist() == drawing(200, 0, 6)(2).neighbours.tolist()
    assert graphs.neighbours[2].tolist() != graphs.neighbours[1].tolist()


@pytest.mark.parametrize("degree", [0, 3.5, 30])
def test_drawn_graph_holds_any_degree(degree):
    graph = drawing(64, 0, degree)(0)
    rows_of(graph)
    expected = 63 * -np.expm1(-degree / 63) if degree > 4 else degree  # repetitions count once
    assert float(graph.total.mean()) == pytest.approx(expected, rel=0.06, abs=0.2)


def test_configuration_graph_meets_its_degrees_exactly():
    degrees = np.minimum((5 / np.linspace(1, 0.01, 2000) ** 0.5).astype(int), 60)
    degrees[0] += degrees.sum() % 2
    assert configuration_graph(degrees, seed=5).total.tolist() == degrees.tolist()


def test_configuration_graph_ties_in_proportion_to_degree():
    degrees = np.repeat([2, 8], 2000)
    rows = rows_of(configuration_graph(degrees, seed=6))
    to_high = np.mean([other >= 2000 for row in rows for other in row])
    assert to_high == pytest.approx(0.8, abs=0.001)
    low_to_high = np.mean([other >= 2000 for row in rows[:2000] for other in row])
    assert low_to_high == pytest.approx(0.8, abs=0.03)  # 4,000 half-ties, 4.7 standard errors


def test_small_world_without_rewiring_is_the_ring():
    rows = rows_of(small_world(20, 4, 0.0, seed=0))
    assert rows[0] == {18, 19, 1, 2}


def clustering(rows):
    """Share of pairs of an agent's neighbours who know each other."""
    closed = sum(len(rows[other] & row) for row in rows for other in row)
    return closed / sum(len(row) * (len(row) - 1) for row in rows)


def test_small_world_keeps_its_ties_and_loses_clustering_as_it_is_rewired():
    for rewiring in (0.1, 1.0):
        graph = small_world(2000, 10, rewiring, seed=1)
        assert float(graph.total.sum()) == 20_000
        # Barrat & Weigt (2000): 3(k - 2) / 4(k - 1) (1 - p)**3
        expected = 3 * 8 / (4 * 9) * (1 - rewiring) ** 3
        assert clustering(rows_of(graph)) == pytest.approx(expected, abs=0.03)


def test_preferential_attachment_has_its_ties_and_the_degree_law():
    each, n = 4, 40_000
    degrees = np.asarray(preferential_attachment(n, each, seed=2).total).astype(int)
    assert degrees.sum() == 2 * (each * (each + 1) // 2 + (n - each - 1) * each)
    assert degrees.min() == each
    # Dorogovtsev, Mendes & Samukhin (2000): P(k) = 2m(m + 1) / k(k + 1)(k + 2)
    for k in range(each, 16):
        share = 2 * each * (each + 1) / (k * (k + 1) * (k + 2))
        error = 5 * np.sqrt(share / n) + 1e-3
        assert (degrees == k).mean() == pytest.approx(share, abs=error)
    # P(degree >= k) = m(m + 1) / k(k + 1), so that the exponent of the tail is 2
    tail = np.array([(degrees >= k).mean() for k in (20, 160)])
    assert np.log(tail[0] / tail[1]) / np.log(8) == pytest.approx(2, abs=0.25)
    assert degrees[:200].mean() > 10 * degrees[-200:].mean()


def test_preferential_attachment_among_the_fewest():
    rows = rows_of(preferential_attachment(4, 3, seed=0))
    assert rows == [set(range(4)) - {i} for i in range(4)]


def test_block_graph_ties_with_the_probability_of_the_blocks():
    blocks = np.repeat([0, 1, -1], [300, 200, 50])
    chance = np.array([[0.10, 0.02], [0.02, 0.20]])
    matrix = np.zeros((550, 550))
    for agent, row in enumerate(rows_of(block_graph(blocks, chance, seed=3))):
        matrix[agent, list(row)] = 1
    assert not matrix[500:].any()
    for a, b, pairs in ((0, 0, 300 * 299), (0, 1, 300 * 200), (1, 1, 200 * 199)):
        ties = matrix[np.ix_(blocks == a, blocks == b)].sum()
        independent = pairs if a != b else pairs / 2
        error = 5 * np.sqrt(chance[a, b] / independent)
        assert ties / pairs == pytest.approx(chance[a, b], abs=error)


def test_certain_blocks_are_complete():
    rows = rows_of(block_graph(np.zeros(5, int), np.ones((1, 1)), seed=0))
    assert rows == [set(range(5)) - {i} for i in range(5)]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ScenarioError, match=r"either draw= .* or seed="):
        random_graph(10, degree=2)
    with pytest.raises(ScenarioError, match="degree is 10; with 10 people it can be from 0 to 9"):
        random_graph(10, degree=10, seed=0)
    with pytest.raises(ScenarioError, match="one integer of 0 or more"):
        configuration_graph(np.array([1.0, 1.0]), seed=0)
    with pytest.raises(ScenarioError, match="add up to 3; a tie has two ends"):
        configuration_graph(np.array([1, 2]), seed=0)
    with pytest.raises(ScenarioError, match="no graph without repeated ties"):
        configuration_graph(np.array([2, 2]), seed=0)
    with pytest.raises(ScenarioError, match="degree must be even and at most 5 for 10: 3"):
        small_world(10, 3, 0.1, seed=0)
    with pytest.raises(ScenarioError, match="rewiring is 2"):
        small_world(10, 2, 2, seed=0)
    with pytest.raises(ScenarioError, match="edges_per_agent must be from 1 to 9 for 10: 10"):
        preferential_attachment(10, 10, seed=0)
    with pytest.raises(ScenarioError, match="symmetric matrix"):
        block_graph(np.array([0, 1]), np.array([[0.1, 0.2], [0.3, 0.1]]), seed=0)
    with pytest.raises(ScenarioError, match=r"probabilities must be in \[0, 1\]"):
        block_graph(np.array([0]), np.array([[2.0]]), seed=0)
    with pytest.raises(ScenarioError, match="block_of must hold integers below 1"):
        block_graph(np.array([1]), np.array([[0.1]]), seed=0)
    with pytest.raises(ScenarioError, match="need a concrete population"):
        jax.jit(lambda alive: random_graph(People(2, alive), degree=1, seed=0).total)(
            jnp.ones(2, bool)
        )
