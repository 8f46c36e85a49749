"""Groups, Graph, Lattice and Mixing against dense adjacency matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lpm.errors import ScenarioError
from lpm.graphs import random_graph
from lpm.networks import Graph, Groups, Lattice, Mixing
from lpm.networks.ties import count_rows, row_sum

RNG_SEED = 7


@jax.jit
def total(network, x):
    return network.sum(x)


def rng():
    return np.random.default_rng(RNG_SEED)  # noqa: TID251 - references are made on the host


def adjacency_of_groups(member_of):
    member_of = np.asarray(member_of)
    same = (member_of[:, None] == member_of[None]) & (member_of[:, None] >= 0)
    return same & ~np.eye(len(member_of), dtype=bool)


def adjacency_of_edges(source, target, n, directed=False):
    matrix = np.zeros((n, n), bool)  # row: who is affected
    for s, t in zip(source, target, strict=True):
        if s != t:
            matrix[t, s] = True
            if not directed:
                matrix[s, t] = True
    return matrix


def hubs(n=120):
    """A random graph with two hubs, so that extra rows are used."""
    random = rng()
    source, target = random.integers(0, n, 3 * n), random.integers(0, n, 3 * n)
    hub = np.concatenate([np.zeros(n - 1, int), np.full(60, 5)])
    leaf = np.concatenate([np.arange(1, n), np.arange(20, 80)])
    return np.concatenate([source, hub]), np.concatenate([target, leaf]), n


ids = st.lists(st.integers(-1, 6), min_size=30, max_size=30)  # one size, so that XLA compiles once


@given(ids)
def test_group_sums_leave_oneself_out(member_of):
    x = np.arange(1, len(member_of) + 1, dtype=np.float32)
    groups = Groups(np.array(member_of), 7)
    matrix = adjacency_of_groups(member_of)
    assert total(groups, jnp.asarray(x)).tolist() == (matrix @ x).tolist()
    assert groups.degree().tolist() == matrix.sum(1).tolist()
    mean = np.where(matrix.any(1), matrix @ x / np.maximum(matrix.sum(1), 1), 0)
    np.testing.assert_allclose(groups.mean(jnp.asarray(x)), mean, rtol=1e-5)


@given(ids, st.permutations(range(7)))
def test_relabelled_groups_change_nothing(member_of, names):
    member_of = np.array(member_of)
    renamed = np.where(member_of < 0, -1, np.array(names)[member_of])
    x = jnp.asarray(np.sin(np.arange(len(member_of))), jnp.float32)
    left, right = Groups(member_of, 7), Groups(renamed, 7)
    assert left.sum(x).tolist() == right.sum(x).tolist()


@given(ids, st.sampled_from([3, 40]))
def test_empty_slots_change_nothing(member_of, spare):
    x = jnp.ones(len(member_of))
    padded = Groups(np.array(member_of + [-1] * spare), 7).sum(jnp.pad(x, (0, spare)))
    assert padded[: len(x)].tolist() == Groups(np.array(member_of), 7).sum(x).tolist()
    assert not padded[len(x) :].any()


def test_totals_are_spread_back_to_members_only():
    groups = Groups(np.array([1, -1, 1, 0]))
    assert groups.num_groups == 2
    assert groups.totals(jnp.array([1.0, 2.0, 3.0, 4.0])).tolist() == [4.0, 4.0]
    assert groups.spread(jnp.array([5.0, 7.0])).tolist() == [7.0, 0.0, 7.0, 5.0]


def test_mean_over_the_living_forgets_the_dead():
    groups, x = Groups(np.array([0, 0, 0])), jnp.array([1.0, 2.0, 4.0])
    alive = jnp.array([True, False, True])
    assert groups.mean(x, alive).tolist() == [4.0, 2.5, 1.0]
    assert groups.degree(alive).tolist() == [1.0, 2.0, 1.0]
    assert groups.mean(x).tolist() != groups.mean(x, alive).tolist()


def test_nobody_has_neighbours_in_an_empty_network():
    assert Groups(np.full(3, -1)).mean(jnp.ones(3)).tolist() == [0, 0, 0]
    none = np.zeros(0, int)
    graph = Graph(none, none, num_agents=3)
    assert graph.mean(jnp.ones(3), via=jnp.subtract).tolist() == [0, 0, 0]


def test_newborns_join_the_group_of_their_mother():
    groups = Groups(np.array([0, 1, -1, -1]), 2)
    born, mother = jnp.array([False, False, True, True]), jnp.array([0, 0, 1, 0])
    assert groups.adopt(born, mother).member_of.tolist() == [0, 1, 1, 0]


def test_wrong_ids_are_named():
    with pytest.raises(ScenarioError, match=r"member_of is -3 at \[1\]; -1 stands for none"):
        Groups(np.array([0, -3]))
    with pytest.raises(ScenarioError, match=r"member_of is 5 at \[0\]; ids must be below 3"):
        Groups(np.array([5, 0]), 3)
    with pytest.raises(ScenarioError, match="member_of must be integer ids, not float64"):
        Groups(np.array([0.0, np.nan]))
    with pytest.raises(ScenarioError, match="one id per agent"):
        Groups(np.zeros((2, 2), int))
    with pytest.raises(ScenarioError, match="renumber ids to fit 32 bits"):
        Graph(np.array([2**40]), np.array([0]), num_agents=2**41)
    with pytest.raises(ScenarioError, match=r"source is -1 at .*; ids start at 0"):
        Graph(np.array([-1]), np.array([0]), num_agents=3)


def test_groups_inside_traced_code_need_their_number():
    with pytest.raises(ScenarioError, match="needs num_groups"):
        jax.jit(lambda i: Groups(i).sum(jnp.ones(2)))(jnp.array([0, 0]))
    assert jax.jit(lambda i: Groups(i, 1).sum(jnp.ones(2)))(jnp.array([0, 0])).tolist() == [1, 1]


def test_a_vector_of_another_length_is_refused():
    groups = Groups(np.array([0, 0]))
    with pytest.raises(ScenarioError, match=r"of 2 agents needs one value per agent.*\(3,\)"):
        groups.sum(jnp.ones(3))
    with pytest.raises(ScenarioError, match="spread needs 1 values, one per group"):
        groups.spread(jnp.ones(2))


@pytest.mark.parametrize("directed", [False, True])
def test_graph_sums_match_the_adjacency_matrix(directed):
    source, target, n = hubs()
    graph = Graph(source, target, num_agents=n, directed=directed)
    matrix = adjacency_of_edges(source, target, n, directed)
    x = rng().normal(size=n).astype(np.float32)
    assert graph.owner.shape[0] > 3  # hubs do have extra rows
    np.testing.assert_allclose(graph.sum(jnp.asarray(x)), matrix @ x, rtol=1e-4, atol=1e-5)
    assert graph.degree().tolist() == matrix.sum(1).tolist()
    there = x > 0
    assert graph.degree(jnp.asarray(there)).tolist() == (matrix & there[None]).sum(1).tolist()
    wanted = matrix & there[None]
    mean = np.where(wanted.any(1), wanted @ x / np.maximum(wanted.sum(1), 1), 0)
    np.testing.assert_allclose(graph.mean(jnp.asarray(x), jnp.asarray(there)), mean, atol=1e-5)


def test_directed_ties_pass_from_source_to_target_only():
    graph = Graph(np.array([0]), np.array([1]), num_agents=2, directed=True)
    assert graph.sum(jnp.array([3.0, 5.0])).tolist() == [0.0, 3.0]


def test_self_loops_and_repeated_ties_do_not_count():
    graph = Graph(np.array([0, 1, 0, 2]), np.array([1, 0, 1, 2]), num_agents=3)
    assert graph.degree().tolist() == [1.0, 1.0, 0.0]


def test_weights_scale_what_passes_and_a_mean_is_weighted():
    source, target, n = hubs()
    pairs = np.unique(np.sort(np.stack([source, target]), axis=0), axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    weight = rng().random(pairs.shape[1]).astype(np.float32)
    matrix = np.zeros((n, n))
    matrix[pairs[0], pairs[1]] = matrix[pairs[1], pairs[0]] = weight
    x = rng().random(n).astype(np.float32)
    graph = Graph(*pairs, num_agents=n, weight=weight)
    np.testing.assert_allclose(graph.sum(jnp.asarray(x)), matrix @ x, rtol=1e-4)
    expected = matrix @ x / matrix.sum(1)
    np.testing.assert_allclose(graph.mean(jnp.asarray(x)), expected, rtol=1e-4)


def test_pairwise_influence_matches_a_double_loop():
    source, target, n = hubs()
    matrix = adjacency_of_edges(source, target, n)
    x = rng().normal(size=n).astype(np.float32)
    there = rng().random(n) < 0.7
    graph = Graph(source, target, num_agents=n)
    pull = (x[None] - x[:, None]) * np.exp(-((x[None] - x[:, None]) ** 2))

    def attraction(mine, theirs):
        return (theirs - mine) * jnp.exp(-((theirs - mine) ** 2))

    got = graph.sum(jnp.asarray(x), via=attraction)
    np.testing.assert_allclose(got, (matrix * pull).sum(1), atol=1e-4)
    wanted = matrix & there[None]
    mean = (wanted * pull).sum(1) / np.maximum(wanted.sum(1), 1)
    got = graph.mean(jnp.asarray(x), jnp.asarray(there), via=attraction)
    np.testing.assert_allclose(got, mean, atol=1e-5)


def test_a_missing_neighbour_never_enters_the_pairwise_function():
    graph = Graph(np.array([0]), np.array([1]), num_agents=3)
    x = jnp.array([1.0, 2.0, 3.0])
    gradient = jax.grad(lambda x: graph.sum(x, via=lambda a, b: jnp.log(b) / a).sum())(x)
    assert np.isfinite(gradient).all()


def test_pairwise_functions_that_close_over_arrays_are_refused():
    graph = Graph(np.array([0]), np.array([1]), num_agents=3)
    with pytest.raises(ScenarioError, match="via must answer elementwise"):
        graph.sum(jnp.ones(3), via=lambda mine, theirs: jnp.sum(mine - theirs))


@pytest.mark.parametrize("weighted", [False, True])
def test_more_slots_leave_a_graph_as_it_is(weighted):
    random = rng()
    one, other = np.triu_indices(40, 1)
    tied = random.random(one.size) < np.where(one < 2, 0.9, 0.1)
    weight = random.random(int(tied.sum())).astype(np.float32) if weighted else None
    graph = Graph(one[tied], other[tied], num_agents=40, weight=weight)
    assert graph.owner.shape[0] > 0
    x = jnp.asarray(random.random(40), jnp.float32)
    roomy = graph.with_capacity(57)
    spare = jnp.concatenate([x, jnp.zeros(17)])
    for got, expected in (
        (roomy.sum(spare), graph.sum(x)),
        (roomy.degree(), graph.degree()),
        (roomy.mean(spare), graph.mean(x)),
    ):
        assert got[:40].tolist() == expected.tolist()
        assert not got[40:].any()
    back = roomy.with_capacity(40)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), back, graph))


def test_slots_with_ties_are_not_left_out():
    with pytest.raises(ScenarioError, match="slot 5 has ties, so the graph needs more than 5"):
        Graph(np.array([0]), np.array([5]), num_agents=8).with_capacity(5)
    with pytest.raises(ScenarioError, match="slot 5 has ties"):
        Graph(np.array([0]), np.array([5]), num_agents=8, directed=True).with_capacity(5)
    assert Graph(np.array([0]), np.array([5]), num_agents=8).with_capacity(6).num_agents == 6


def test_wrong_edges_are_refused():
    one = np.array([0, 1])
    with pytest.raises(ScenarioError, match="columns of one length"):
        Graph(one, np.array([1]), num_agents=3)
    with pytest.raises(ScenarioError, match="weight needs one value per edge, 2"):
        Graph(one, one[::-1], num_agents=3, weight=np.ones(3))
    with pytest.raises(ScenarioError, match="finite and not negative"):
        Graph(one, np.array([1, 2]), num_agents=3, weight=np.array([1, -1]))
    with pytest.raises(ScenarioError, match="weighted tie 1-0 is given more than once"):
        Graph(one, one[::-1], num_agents=3, weight=np.ones(2))
    with pytest.raises(ScenarioError, match="needs concrete edges"):
        jax.jit(lambda e: Graph(e, e, num_agents=2).total)(jnp.array([0]))


def test_bits_and_floats_give_the_same_sums():
    n = 2**17 + 40
    random = rng()
    x = (random.random(n) < 0.3).astype(np.float32)
    index = jnp.asarray(random.integers(0, n + 1, (500, 7)), jnp.int32)
    tables = [jnp.asarray(table, jnp.float32) for table in (x, x * 0.5, random.random(n))]
    for table in tables:
        assert count_rows(table, index).tolist() == row_sum(table, index).tolist()
    weight = jnp.asarray(random.random(500), jnp.float32)
    grads = [
        jax.grad(lambda x, f=f: f(x, index) @ weight)(tables[0]) for f in (count_rows, row_sum)
    ]
    assert (grads[0] == grads[1]).all()
    assert grads[0].any()


def test_a_ring_has_its_nearest_on_both_sides():
    ring = Lattice.ring(6, 4, capacity=8)
    assert sorted(ring.neighbours[0].tolist()) == [1, 2, 4, 5]
    assert ring.degree().tolist() == [4] * 6 + [0, 0]


@pytest.mark.parametrize(("name", "reach"), [("moore", 8), ("von_neumann", 4)])
@pytest.mark.parametrize("periodic", [True, False])
def test_grid_neighbours_match_a_loop_over_cells(name, reach, periodic):
    rows, columns = 4, 5
    grid = Lattice.grid(rows, columns, neighbourhood=name, periodic=periodic)
    for cell in range(rows * columns):
        r, c = divmod(cell, columns)
        expected = set()
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                near = abs(dr) + abs(dc)
                inside = 0 <= r + dr < rows and 0 <= c + dc < columns
                if near and (reach == 8 or near == 1) and (periodic or inside):
                    expected.add((r + dr) % rows * columns + (c + dc) % columns)
        assert {i for i in grid.neighbours[cell].tolist() if i >= 0} == expected


def test_lattice_sums_match_the_adjacency_matrix():
    table = np.array([[1, 2], [0, -1], [-1, -1], [2, 0]])
    lattice = Lattice(table)
    x = jnp.array([1.0, 2.0, 4.0, 8.0])
    assert lattice.sum(x).tolist() == [6.0, 1.0, 0.0, 5.0]
    assert lattice.mean(x, via=lambda mine, theirs: theirs * mine).tolist() == [3.0, 2.0, 0.0, 20.0]


def test_wrong_lattices_are_refused():
    with pytest.raises(ScenarioError, match="agent 1 is its own neighbour"):
        Lattice(np.array([[1], [1]]))
    with pytest.raises(ScenarioError, match="agent 0 has a neighbour twice"):
        Lattice(np.array([[1, 1], [0, -1]]))
    with pytest.raises(ScenarioError, match="one row per agent"):
        Lattice(np.array([1, 0]))
    with pytest.raises(ScenarioError, match=r"neighbours is 2 at .*; ids must be below 2"):
        Lattice(np.array([[1], [2]]))
    with pytest.raises(ScenarioError, match="even degree from 2 to 4: 3"):
        Lattice.ring(5, 3)
    with pytest.raises(ScenarioError, match="neighbourhood is 'hex'"):
        Lattice.grid(4, 4, neighbourhood="hex")
    with pytest.raises(ScenarioError, match="sides of 3 or more"):
        Lattice.grid(2, 9)
    with pytest.raises(ScenarioError, match="do not fit a capacity of 4"):
        Lattice.ring(5, 2, capacity=4)


def mixed(n=90, classes=3):
    random = rng()
    class_of = random.integers(-1, classes, n)
    contacts = random.random((classes, classes)).astype(np.float32) * 5
    return class_of, contacts, random.random(n).astype(np.float32), random.random(n) < 0.8


def test_mixing_is_contacts_times_the_mean_of_each_class():
    class_of, contacts, x, alive = mixed()
    got = Mixing(class_of, contacts, alive=jnp.asarray(alive)).sum(jnp.asarray(x * alive))
    for agent, mine in enumerate(class_of):
        expected = 0.0
        for theirs in range(3):
            there = (class_of == theirs) & alive
            expected += contacts[mine, theirs] * x[there].mean() if mine >= 0 else 0.0
        assert float(got[agent]) == pytest.approx(expected, rel=1e-4)


def test_mixing_degree_is_the_contacts_per_step_with_those_who_are_there():
    class_of, contacts, _, _ = mixed()
    rows = np.where(class_of >= 0, contacts.sum(1)[class_of], 0)
    np.testing.assert_allclose(Mixing(class_of, contacts).degree(), rows, rtol=1e-5)
    empty = Mixing(np.zeros(4, int), np.ones((2, 2)))
    assert empty.degree().tolist() == [1.0] * 4
    assert empty.mean(jnp.full(4, 3.0)).tolist() == [3.0] * 4


def test_newborns_count_in_the_class_of_their_mother():
    mixing = Mixing(np.array([0, 1, -1]), np.ones((2, 2)))
    grown = mixing.adopt(jnp.array([False, False, True]), jnp.array([0, 0, 1]))
    assert grown.class_of.tolist() == [0, 1, 1]
    assert grown.people.tolist() == [1.0, 2.0]


def test_wrong_mixing_is_refused():
    with pytest.raises(ScenarioError, match="must be a square matrix"):
        Mixing(np.array([0]), np.ones((2, 3)))
    with pytest.raises(ScenarioError, match="numbers of 0 or more"):
        Mixing(np.array([0]), np.array([[-1.0]]))
    with pytest.raises(ScenarioError, match="class_of is 4 at"):
        Mixing(np.array([4]), np.ones((2, 2)))


def networks(n=64):
    random = rng()
    source, target = random.integers(0, n, 200), random.integers(0, n, 200)
    hub = np.arange(1, 40)
    source, target = np.append(source, np.zeros_like(hub)), np.append(target, hub)
    return {
        "Groups": Groups(random.integers(-1, 12, n), 12),
        "Graph": Graph(source, target, num_agents=n),
        "Lattice": Lattice.grid(8, 8),
        "Mixing": Mixing(random.integers(-1, 3, n), random.random((3, 3))),
    }


NAMES = ["Groups", "Graph", "Lattice", "Mixing"]


@pytest.mark.parametrize("name", NAMES)
def test_sums_are_linear_and_differentiable(name):
    network = networks()[name]
    x = jnp.asarray(rng().random(64), jnp.float32)
    columns = np.asarray(jax.jit(jax.vmap(network.sum))(jnp.eye(64))).T
    jacobian = jax.jit(jax.jacrev(network.sum))(x)
    np.testing.assert_allclose(jacobian, columns, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(total(network, x), columns @ np.asarray(x), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_sums_batch_over_runs_and_over_networks(name):
    network = networks()[name]
    x = jnp.asarray(rng().random((3, 64)), jnp.float32)
    expected = np.stack([total(network, row) for row in x])
    across_runs = jax.jit(jax.vmap(network.sum))(x)
    np.testing.assert_allclose(across_runs, expected, rtol=1e-5, atol=1e-6)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), network)
    both = jax.jit(jax.vmap(lambda network, x: network.sum(x)))(stacked, x)
    np.testing.assert_allclose(both, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_the_same_on_four_devices(name):
    network = networks()[name]
    x = jnp.asarray(rng().random(64) < 0.4, jnp.float32)
    mesh = Mesh(np.array(jax.devices()), ("agent",))

    def place(leaf):
        spread = leaf.ndim and leaf.shape[0] == 64
        spec = PartitionSpec("agent") if spread else PartitionSpec()
        return jax.device_put(leaf, NamedSharding(mesh, spec))

    sharded = jax.tree.map(place, (network, x))
    assert total(*sharded).tolist() == total(network, x).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_mixed_networks_pass_through_a_scan_carry(name):
    def body(carry, _):
        network, x = carry
        return (network, x + network.mean(x)), None

    (_, x), _ = jax.lax.scan(body, (networks()[name], jnp.ones(64)), length=2)
    assert np.isfinite(x).all()


@pytest.mark.parametrize("runs", [3, 40])
def test_many_runs_read_side_by_side_are_the_runs_alone(runs):
    graph = random_graph(60, degree=5, seed=2)
    rows = jax.random.uniform(jax.random.key(1), (runs, 60))
    for x in (rows, (rows < 0.4).astype(jnp.float32)):
        alone = jnp.stack([graph.sum(row) for row in x])
        # Whole numbers are exact; sums of five fractions may be a rounding apart.
        slack = 0 if x is not rows else 1e-6
        assert jnp.allclose(jax.jit(jax.vmap(graph.sum))(x), alone, rtol=slack, atol=0)

    def loss(x):
        return jnp.sum(jax.vmap(graph.sum)(x) ** 2)

    # The derivative of a sum over mutual ties, twice over: 2 A A x.
    twice = jax.vmap(lambda x: graph.sum(2 * graph.sum(x)))(rows)
    assert jnp.allclose(jax.jit(jax.grad(jax.checkpoint(loss)))(rows), twice, rtol=1e-5)


def test_rows_without_columns_add_nothing_in_any_number_of_runs():
    index = jnp.zeros((5, 0), jnp.int32)
    for runs in (3, 40):
        assert not jax.vmap(lambda x: count_rows(x, index))(jnp.ones((runs, 9))).any()


def test_groups_and_mixing_take_another_number_of_slots():
    home = Groups(np.array([0, 0, -1, 1]), num_groups=3).with_capacity(6)
    assert home.num_groups == 3
    assert home.sum(jnp.arange(6.0)).tolist() == [1, 0, 0, 0, 0, 0]
    assert home.with_capacity(4).member_of.tolist() == [0, 0, -1, 1]
    with pytest.raises(ScenarioError, match="slots beyond 3 have a group"):
        home.with_capacity(3)
    mixing = Mixing(np.array([0, 1, 1]), np.eye(2)).with_capacity(5)
    assert mixing.people.tolist() == [1, 2]
    assert mixing.sum(jnp.array([1.0, 1.0, 0.0, 1.0, 1.0])).tolist() == [1, 0.5, 0.5, 0, 0]
    with pytest.raises(ScenarioError, match="slots beyond 2 have a class"):
        mixing.with_capacity(2)
