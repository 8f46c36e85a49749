"""Whatever the structure behind `infections`, the law is the same: pull, push, groups, thinning.

Where hazards are equal so are the runs, agent by agent. Mixing stands for contacts that are drawn
anew every step; those are drawn one by one here, in NumPy, and attack rates, chances per contact
and times between infections compared.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Draw, Float, Int, Scalar
from lpm.networks.base import AbstractNetwork

SIZE, DAYS, STEPS, MET, CHANCE, RUNS = 3000, 6, 40, 8, 0.05, 24


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(CHANCE, within=(0, 5), unit="1/contact/day")
    seeded: Scalar = lpm.constant(0.01, unit="share of agents")


class State(lpm.State):
    contacts: AbstractNetwork
    since: Int[Array, " agent"]  # Days since the infection; -1 before it.
    intervals: Float[Array, " day"]  # Transmissions by days since the infector's own infection.


def infectious(since: Array) -> Array:
    return ((since >= 0) & (since < DAYS)).astype(jnp.float32)


def pass_on(state: State, params: Params, draw: Draw) -> State:
    contacts = [(state.contacts, params.rate, infectious(state.since))]
    susceptible = (state.since < 0).astype(jnp.float32)
    infected, traced = lpm.infections(draw, susceptible, contacts, record=SIZE)
    there = traced.infector >= 0
    age = jnp.where(there, state.since[jnp.maximum(traced.infector, 0)], -1)
    counted = jnp.stack([jnp.sum(age == day, dtype=jnp.float32) for day in range(DAYS)])
    aged = jnp.where(state.since >= 0, state.since + 1, -1)
    return state.replace(
        since=jnp.where(infected > 0.5, 0, aged).astype(jnp.int32),
        intervals=state.intervals + counted,
    )


def observe(state: State, params: Params) -> dict[str, Array]:
    return {"attack_rate": lpm.share(state.since >= 0), "intervals": state.intervals}


def epidemic(network: AbstractNetwork, **changes: float) -> lpm.Scenario:
    def init(population: lpm.Population, params: Params, draw: Draw) -> State:
        seeds = draw.bernoulli(params.seeded, "agent")
        return State.of(
            population,
            contacts=network,
            since=jnp.where(seeds > 0.5, 0, -1).astype(jnp.int32),
            intervals=jnp.zeros(DAYS),
        )

    params = Params().replace(**changes)
    return lpm.Scenario(init, (pass_on,), observe, params, steps=STEPS, unit="day")


def attack(network: AbstractNetwork, **changes: float) -> np.ndarray:
    """Share ever infected by step, of one run."""
    town = lpm.Population({"x": np.zeros(network.num_agents, np.int8)})
    run = lpm.simulate(epidemic(network, **changes), town, key=3, progress=False)
    return np.asarray(run.observed["attack_rate"])


@pytest.mark.gate
def test_households_are_cliques_to_the_bit(monkeypatch):
    home = np.arange(20_000) // 5
    ties = np.array(
        [(5 * h + a, 5 * h + b) for h in range(4000) for b in range(5) for a in range(b)]
    )
    clique = lpm.Graph(ties[:, 0], ties[:, 1], num_agents=20_000)
    found = [attack(lpm.Groups(home), rate=0.3), attack(clique, rate=0.3)]
    found.append(attack(clique.over_devices(), rate=0.3))  # everybody asks
    monkeypatch.setattr("lpm.networks.ties.few", lambda _: 20_000)  # the infectious always tell
    jax.clear_caches()
    found.append(attack(clique, rate=0.3))
    assert 0.02 < found[0][-1] < 0.5
    for other in found[1:]:
        assert (other == found[0]).all()
    # A clique that lacks one tie in a thousand is not the same.
    assert (attack(lpm.Graph(*ties[::1000].T, num_agents=20_000), rate=0.3) != found[0]).any()


@pytest.mark.gate
def test_mixing_is_a_complete_graph_to_rounding():
    size = 300
    ends = np.array([(a, b) for b in range(size) for a in range(b)])
    everybody = lpm.Graph(ends[:, 0], ends[:, 1], num_agents=size)
    pool = lpm.Mixing(np.zeros(size, int), np.full((1, 1), float(MET)))
    apart = attack(everybody, rate=CHANCE * MET / size)
    pooled = attack(pool, rate=CHANCE)
    # Hazards differ by a rounding, which decides a coin once in some million.
    np.testing.assert_allclose(pooled, apart, atol=1.5 / size)
    assert pooled[-1] > 0.2
    assert np.abs(attack(pool, rate=CHANCE * 1.1) - apart).max() > 1.5 / size


def contacts_one_by_one(seed: int, chance: float, days: int) -> tuple[float, np.ndarray, float]:
    """One epidemic by Poisson many fresh contacts of each susceptible, drawn as such.

    Attack rate, transmissions by the infector's age, and transmissions per contact with infectious.
    """
    rng = np.random.default_rng(seed)  # noqa: TID251 - the reference has its own luck
    since = np.where(rng.random(SIZE) < 0.01, 0, -1)
    intervals, risky, passed = np.zeros(DAYS), 0, 0
    for _ in range(STEPS):
        open_to = np.flatnonzero(since < 0)
        met = rng.poisson(MET, open_to.size)
        who = np.repeat(open_to, met)
        whom = rng.integers(0, SIZE, who.size)
        risk = (since[whom] >= 0) & (since[whom] < days)
        hit = risk & (rng.random(who.size) < chance)
        risky, passed = risky + risk.sum(), passed + hit.sum()
        # One of the contacts that passed it on, any with the same chance.
        order = rng.permutation(np.flatnonzero(hit))
        newly, first = np.unique(who[order], return_index=True)
        infector = whom[order][first]
        intervals += np.bincount(since[infector], minlength=DAYS)[:DAYS]
        since[since >= 0] += 1
        since[newly] = 0
    return float((since >= 0).mean()), intervals, passed / risky


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two pooled histograms, [run, day] each."""
    shares = [np.cumsum(x.sum(axis=0)) / x.sum() for x in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def permuted_p(one: np.ndarray, other: np.ndarray) -> float:
    """Chance of a distance as large when runs, which are alike inside, are dealt out at random."""
    rng = np.random.default_rng(0)  # noqa: TID251 - of a test
    both, found = np.concatenate([one, other]), distance(one, other)
    dealt = (rng.permutation(len(both)) for _ in range(1999))
    larger = sum(distance(both[d[: len(one)]], both[d[len(one) :]]) >= found for d in dealt)
    return (1 + larger) / 2000


@pytest.mark.gate
def test_mixing_is_fresh_contacts_drawn_one_by_one(report: Callable[..., None]):
    # At a chance p a contact, of Poisson(MET) contacts 1 - exp(-MET * p * share) are reached.
    pool = lpm.Mixing(np.zeros(SIZE, int), np.full((1, 1), float(MET)))
    town = lpm.Population({"x": np.zeros(SIZE, np.int8)})
    keys = jax.random.split(jax.random.key(5), RUNS)
    runs = lpm.ensemble(epidemic(pool), town, keys=keys, progress=False, keep_state=False)
    ours = np.asarray(runs.observed["attack_rate"])[:, -1]
    intervals = np.asarray(runs.observed["intervals"])[:, -1]
    theirs = [contacts_one_by_one(seed, CHANCE, DAYS) for seed in range(RUNS)]
    rates, by_age = np.array([x[0] for x in theirs]), np.array([x[1] for x in theirs])
    error = np.hypot(ours.std(ddof=1), rates.std(ddof=1)) / np.sqrt(RUNS)
    report("attack rate by mixing and by contacts", float(ours.mean()), float(rates.mean()))
    assert abs(ours.mean() - rates.mean()) < 4 * error
    assert np.mean([x[2] for x in theirs]) == pytest.approx(CHANCE, rel=0.02)
    p = permuted_p(intervals, by_age)
    report("p of the times between infections", p)
    assert p > 0.001
    # Controls: contacts a tenth more dangerous, and one day less of infectiousness.
    worse = np.array([contacts_one_by_one(seed, 1.1 * CHANCE, DAYS)[0] for seed in range(RUNS)])
    assert abs(ours.mean() - worse.mean()) > 4 * error
    shorter = np.array([contacts_one_by_one(seed, CHANCE, DAYS - 1)[1] for seed in range(RUNS)])
    assert permuted_p(intervals, shorter) <= 0.001
