"""A network of workers against the exact response, where utility is linear in consumption."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpm.economics import Schedule, by_group
from lpm.economics.worker_policy import Career, WorkerPolicy, train_worker, untrained_worker
from lpm.errors import DataError

EDGES = np.array([0.0, 0.8, 1.5])
RATES = [np.zeros(3), np.array([0.1, 0.3, 0.5]), np.full(3, 0.2)]
LAWS = by_group([Schedule(EDGES, rates) for rates in RATES])
REBATES = [0.0, 0.2, 0.2]
SKILL = np.exp(0.4 * np.linspace(-2, 2, 41))


@pytest.fixture(scope="module")
def policies():
    fresh = untrained_worker(Career(years=2, aversion=0.0), LAWS, REBATES, jax.random.key(0))
    return fresh, train_worker(fresh, jax.random.key(1), steps=600)


def exact(rates):
    """Hours that are best, from a grid of them."""
    hours = np.linspace(0, 3, 6001)
    income = SKILL[:, None] * hours
    parts = np.clip(income[..., None] - EDGES, 0, np.append(np.diff(EDGES), np.inf))
    return hours[(income - parts @ rates - hours**3 / 3).argmax(axis=1)]


def missed(policy, group):
    who = jnp.full(41, group)
    wealth = jnp.full(41, 0.5)
    hours, _ = policy.act(jnp.asarray(SKILL, jnp.float32), wealth, 0.0, who)
    return np.sqrt(np.mean((np.asarray(hours) / exact(RATES[group]) - 1) ** 2))


# A smooth network rounds off the two kinks of the second schedule.
@pytest.mark.parametrize(("group", "most"), [(0, 0.01), (1, 0.05), (2, 0.01)])
def test_a_trained_worker_chooses_the_exact_hours(group, most, policies):
    fresh, trained = policies
    assert missed(trained, group) < most
    assert missed(fresh, group) > 0.1  # control: before it learned


def test_it_reads_the_tax_law(policies):
    """Control: the answer to one schedule is wrong under another."""
    _, trained = policies
    hours, _ = trained.act(
        jnp.asarray(SKILL, jnp.float32), jnp.full(41, 0.5), 0.0, jnp.zeros(41, int)
    )
    assert np.sqrt(np.mean((np.asarray(hours) / exact(RATES[2]) - 1) ** 2)) > 0.05


def test_money_of_a_life_adds_up(policies):
    """What is consumed was earned, less taxes, with rebates and interest."""
    career = Career(years=3)
    policy = untrained_worker(career, LAWS, REBATES, jax.random.key(0))
    luck = jax.random.normal(jax.random.key(1), (3, 41))
    start = jnp.full(41, 0.5)
    _, path = policy.live(jnp.asarray(SKILL, jnp.float32), start, jnp.ones(41, int), luck)
    path = {name: np.asarray(values, np.float64) for name, values in path.items()}
    income = path["skill"] * path["hours"]
    parts = np.clip(income[..., None] - EDGES, 0, np.append(np.diff(EDGES), np.inf))
    cash = path["wealth"] + income - parts @ RATES[1] + 0.2
    assert path["wealth"][1:] == pytest.approx(1.02 * (cash - path["consumption"])[:-1], rel=1e-5)
    assert (path["consumption"] < cash).all()
    assert np.log(path["skill"][1]) == pytest.approx(
        0.9 * np.log(SKILL) + 0.4 * np.sqrt(0.19) * np.asarray(luck[0]), abs=1e-5
    )


def test_what_makes_no_sense_is_refused():
    with pytest.raises(DataError, match=r"Career.discount = 1.5; it lies in \[0.001, 1\]"):
        Career(discount=1.5)
    with pytest.raises(DataError, match="2 rebates for 3 schedules"):
        untrained_worker(Career(), LAWS, [0.0, 1.0], jax.random.key(0))
    broken = untrained_worker(
        Career(years=1), Schedule([0], [0.0]), float("nan"), jax.random.key(0)
    )
    with pytest.raises(DataError, match="lifetime utility is nan at step 0 of training"):
        train_worker(broken, jax.random.key(1), steps=2)
    assert isinstance(broken, WorkerPolicy)
