"""Choosing a neighbour in proportion to what it gives, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpm.draw import Draw
from lpm.networks import Graph, Groups, Lattice, Mixing


def rng():
    return np.random.default_rng(7)  # noqa: TID251 - references are made on the host


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


@jax.jit
def choose(network, agents, x, step=0):
    key = jax.random.key_data(jax.random.key(3))
    slot = jnp.arange(network.num_agents, dtype=jnp.int32)
    return network.choose(Draw(key, step, "infect", slot=slot), agents, x)


choose_often = jax.jit(jax.vmap(choose, (None, None, None, 0)))


def frequencies(network, agent, x, repeats=4000, expect=4000):
    """How often each agent is chosen as the neighbour of `agent`; `expect` times in all."""

    agents = jnp.array([agent, -1, agent], jnp.int32)
    chosen = np.asarray(choose_often(network, agents, x, jnp.arange(repeats)))
    assert (chosen[:, 1] == -1).all()
    assert (chosen[:, 0] == chosen[:, 2]).all()  # one slot has one number
    counts = np.bincount(chosen[:, 0] + 1, minlength=network.num_agents + 1)
    assert counts[0] == repeats - expect
    return counts[1:]


def chi_square(observed, expected):
    """Standardised distance from the expected counts; above 5 about once in a million."""
    live = expected > 0
    assert not observed[~live].any()
    freedom = max(live.sum() - 1, 1)
    statistic = ((observed - expected)[live] ** 2 / expected[live]).sum()
    return (statistic - freedom) / np.sqrt(2 * freedom)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("agent", [0, 17])
def test_neighbours_are_chosen_in_proportion_to_what_they_give(name, agent):
    network = networks()[name]
    x = jnp.asarray(rng().integers(0, 4, 64), jnp.float32)
    share = np.array(jax.jacfwd(network.sum)(x)[agent] * x)
    share[agent] = 0
    observed = frequencies(network, agent, x)
    assert chi_square(observed, 4000 * share / share.sum()) < 5
    blind = np.where(share > 0, 1.0, 0)  # a control: who ignores x is found out
    if np.ptp(share[share > 0]):
        assert chi_square(observed, 4000 * blind / blind.sum()) > 5


def test_neighbours_are_chosen_by_weight_of_ties_of_hubs_too():
    leaf = np.arange(1, 64)
    graph = Graph(np.zeros_like(leaf), leaf, num_agents=64, weight=leaf % 5)
    assert graph.owner.shape[0] > 1
    expected = np.append(0, leaf % 5)
    observed = frequencies(graph, 0, jnp.ones(64))
    assert chi_square(observed, 4000 * expected / expected.sum()) < 5


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_chosen_where_nobody_gives(name):
    network = networks()[name]
    assert frequencies(network, 0, jnp.zeros(64), expect=0).sum() == 0


def test_oneself_is_never_chosen_and_choices_fit_groups_of_any_size():
    n = 3000
    groups = Groups(np.append(np.zeros(n - 2, int), [1, 1]))
    agents = jnp.arange(n, dtype=jnp.int32)
    chosen = np.asarray(choose(groups, agents, jnp.ones(n)))
    assert (chosen != np.arange(n)).all()
    assert (chosen[: n - 2] < n - 2).all()
    assert chosen[n - 2 :].tolist() == [n - 1, n - 2]
    assert np.unique(chosen[: n - 2]).size > 0.55 * n  # 1 - 1/e of them expected


def test_empty_slots_do_not_change_who_is_chosen():
    member_of = rng().integers(0, 5, 60)
    agents = jnp.arange(60, dtype=jnp.int32)
    choices = []
    for spare in (0, 2000):
        groups = Groups(np.pad(member_of, (0, spare), constant_values=-1), 5)
        x = jnp.ones(60 + spare)
        choices.append(choose(groups, agents, x).tolist())
    assert choices[0] == choices[1]
