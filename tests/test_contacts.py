"""Infections over a mix of networks, and who infected whom, against closed forms."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpm.contacts import hazard, infections
from lpm.draw import Draw
from lpm.errors import ScenarioError
from lpm.networks import Graph, Groups, Lattice, Mixing

KEY = jax.random.key_data(jax.random.key(5))
N = 64


def draws(step=0, n=N, estimator="stop"):
    slot = jnp.arange(n, dtype=jnp.int32)
    return Draw(KEY, step, "infect", slot=slot, estimator=estimator)


def town():
    """Four layers of 64 people, a quarter of them infectious, some more than others."""
    random = np.random.default_rng(2)  # noqa: TID251 - references are made on the host
    infectious = np.zeros(N, np.float32)
    infectious[::4] = random.choice([0.5, 1.0, 2.0], N // 4)
    source, target = random.integers(0, N, 200), random.integers(0, N, 200)
    layers = [
        (Groups(np.arange(N) // 8), 0.1),
        (Graph(source, target, num_agents=N), 0.05),
        (Lattice.grid(8, 8), 0.02),
        (Mixing(np.arange(N) % 3, random.random((3, 3)) * 4), 0.1),
    ]
    return layers, jnp.asarray(infectious)


def shares(layers, infectious):
    """Hazard that each agent (row) suffers from each other one, layer by layer."""
    terms = []
    for network, rate in layers:
        matrix = rate * np.array(jax.jit(jax.vmap(network.sum))(jnp.diag(infectious))).T
        terms.append(matrix)
    return np.stack(terms)


def test_hazards_add_up_over_layers():
    layers, infectious = town()
    contacts = [(network, rate, infectious) for network, rate in layers]
    expected = shares(layers, infectious).sum((0, 2))
    np.testing.assert_allclose(hazard(contacts), expected, rtol=1e-5)


def test_a_rate_can_differ_by_who_may_catch_it():
    network = Groups(np.zeros(3, int))
    rate = jnp.array([0.0, 1.0, 2.0])
    assert hazard([(network, rate, jnp.ones(3))]).tolist() == [0.0, 2.0, 4.0]


def test_infection_happens_with_one_minus_the_chance_to_escape_all():
    layers, infectious = town()
    contacts = [(network, rate, infectious) for network, rate in layers]
    susceptible = (infectious == 0).astype(jnp.float32)

    def once(step):
        return infections(draws(step), susceptible, contacts)

    rate = np.asarray(jax.jit(jax.vmap(once))(jnp.arange(4000))).mean(0)
    chance = np.asarray(susceptible) * -np.expm1(-shares(layers, infectious).sum((0, 2)))
    error = np.abs(rate - chance) / np.sqrt(np.maximum(chance * (1 - chance), 1e-9) / 4000)
    assert error[chance > 0].max() < 4.5  # of 48 normal deviates; fails once in 3,000 keys
    assert rate[chance == 0].max() == 0
    assert np.abs(rate - chance).max() > 0  # and it is a draw, not the chance itself


def test_small_hazards_are_not_lost_to_rounding():
    contacts = [(Groups(np.zeros(2, int)), 1e-8, jnp.ones(2))]
    infected = infections(draws(n=2, estimator="mean_field"), jnp.ones(2), contacts)
    assert infected.tolist() == pytest.approx([1e-8, 1e-8], rel=1e-5)
    assert 1 - np.exp(np.float32(-1e-8)) == 0  # the form that loses them


def recorded(step, size=32, estimator="stop", only=4):
    layers, infectious = town()
    layers = layers[:only]
    contacts = [(network, rate, infectious) for network, rate in layers]
    susceptible = (infectious == 0).astype(jnp.float32)
    return infections(draws(step, estimator=estimator), susceptible, contacts, record=size)


@pytest.fixture(scope="module")
def many_days():
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(recorded))(jnp.arange(6000)))


def test_every_infection_is_recorded_once_and_in_order(many_days):
    infected, record = many_days
    for day in range(50):
        expected = np.flatnonzero(infected[day])[:32]
        assert record.infected[day][: expected.size].tolist() == expected.tolist()
        for column in record.infected[day], record.infector[day], record.layer[day]:
            assert (column[expected.size :] == -1).all()
            assert (column[: expected.size] >= 0).all()
    assert not record.num_lost.any()


def test_infectors_appear_in_proportion_to_their_hazard(many_days):
    _, record = many_days
    layers, infectious = town()
    terms = shares(layers, infectious)
    agent = 21
    hit = record.infected == agent
    observed = np.zeros(terms.shape[::2])
    np.add.at(observed, (record.layer[hit], record.infector[hit]), 1)
    expected = terms[:, agent] / terms[:, agent].sum() * hit.sum()
    live = expected > 0
    assert hit.sum() > 1500
    assert not observed[~live].any()
    freedom = live.sum() - 1
    statistic = ((observed - expected)[live] ** 2 / expected[live]).sum()
    assert statistic < freedom + 5 * np.sqrt(2 * freedom)  # once in a million keys
    # a control: were all layers equally likely, the test would say so
    blind = (terms[:, agent] / terms[:, agent].sum(1, keepdims=True)) / 4 * hit.sum()
    assert ((observed - blind)[live] ** 2 / blind[live]).sum() > freedom + 5 * np.sqrt(2 * freedom)


def test_two_people_of_a_household_choose_infectors_independently():
    home = Groups(np.zeros(N, int))
    infectious = (jnp.arange(N) < 2).astype(jnp.float32)

    def once(step):
        return infections(draws(step), 1 - infectious, [(home, 9.0, infectious)], record=N)[1]

    infector = np.asarray(jax.jit(jax.vmap(once))(jnp.arange(400)).infector)[:, : N - 2]
    assert set(np.unique(infector)) == {0, 1}
    same = (infector[:, 0] == infector[:, 1]).mean()
    assert abs(same - 0.5) < 0.12  # 4.8 standard errors; 1 if they shared the draw


def test_what_does_not_fit_the_record_is_counted():
    infected, record = jax.jit(lambda: recorded(0, size=3, only=1))()
    assert int(record.num_lost) == int(infected.sum()) - 3
    assert record.infected.tolist() == np.flatnonzero(infected)[:3].tolist()


def test_recording_changes_neither_infections_nor_later_draws():
    layers, infectious = town()
    contacts = [(network, rate, infectious) for network, rate in layers[:1]]
    susceptible = 1 - jnp.sign(infectious)

    def plain():
        draw = draws(estimator="score")
        infected = infections(draw, susceptible, contacts)
        return infected, draw.uniform("agent"), draw.log_probability

    def recording():
        draw = draws(estimator="score")
        infected, _ = infections(draw, susceptible, contacts, record=4)
        return infected, draw.uniform("agent"), draw.log_probability

    for one, other in zip(jax.jit(plain)(), jax.jit(recording)(), strict=True):
        assert one.tolist() == other.tolist()


def test_empty_slots_change_neither_infections_nor_the_record():
    def spread(spare):
        n = N + spare
        member_of = np.pad(np.arange(N) // 8, (0, spare), constant_values=-1)
        infectious = jnp.pad((jnp.arange(N) % 4 == 0).astype(jnp.float32), (0, spare))
        susceptible = jnp.pad(jnp.ones(N), (0, spare)) - infectious
        contacts = [(Groups(member_of, 8), 0.2, infectious)]
        return jax.jit(lambda: infections(draws(n=n), susceptible, contacts, record=20))()

    (infected, record), (padded, other) = spread(0), spread(80)
    assert padded[:N].tolist() == infected.tolist()
    for name in ("infected", "infector", "layer"):
        assert getattr(record, name).tolist() == getattr(other, name).tolist()


def test_gradients_pass_as_the_estimator_says():
    layers, infectious = town()

    def total(rate, estimator):
        contacts = [(layers[0][0], rate, infectious)]
        susceptible = 1 - jnp.sign(infectious)
        return infections(draws(estimator=estimator), susceptible, contacts).sum()

    assert float(jax.grad(total)(0.1, "stop")) == 0
    assert float(jax.grad(total)(0.1, "mean_field")) > 0
    slope = (total(0.11, "mean_field") - total(0.09, "mean_field")) / 0.02
    assert float(jax.grad(total)(0.1, "mean_field")) == pytest.approx(float(slope), rel=1e-2)


def test_fractions_of_infections_are_not_recorded():
    with pytest.raises(ScenarioError, match=r"record needs whole infections.*'mean_field'"):
        recorded(0, estimator="mean_field")
    with pytest.raises(ScenarioError, match="record needs whole infections"):
        recorded(0, estimator="straight_through")


def test_malformed_contacts_are_named():
    home, ones = Groups(np.zeros(N, int)), jnp.ones(N)
    with pytest.raises(ScenarioError, match="at least one"):
        infections(draws(), ones, [])
    with pytest.raises(ScenarioError, match=r"contacts\[0\] must be \(network, rate, infectious\)"):
        unwrap(hazard)([(home, 0.1)])
    with pytest.raises(ScenarioError, match=r"contacts\[1\] starts with"):
        unwrap(hazard)([(home, 0.1, ones), (ones, 0.1, home)])
    with pytest.raises(ScenarioError, match="susceptible has shape"):
        unwrap(infections)(draws(), jnp.ones(3), [(home, 0.1, ones)])
