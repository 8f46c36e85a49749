"""Workers who learn: a network from skill, wealth and the tax law to hours and savings.

It is trained by the gradient of lifetime utility through the years themselves. Where utility is
linear in consumption the answer is known (`respond`), and where it is not, to dynamic programming
on a grid; the tests hold networks against both. Use it where neither can be had: more states, other
tastes, schedules that change on the way.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..axes import Array, Float, Int
from ..errors import DataError
from .schedule import Schedule

PerAgent: TypeAlias = Float[Array, " agent"]
_FEWEST = 1e-6  # consumption, so that the first guesses of a network have a utility


@dataclass(frozen=True)
class Career:
    """What workers face: years, tastes, luck and a budget without debt.

    Utility of a year is u(consumption) - cost * hours**(1 + 1/e) / (1 + 1/e), u isoelastic. Income
    is skill * hours; log skill is an autoregression around 0. What is not consumed earns interest.
    Without `aversion` savings change nothing at interest = 1/discount - 1, and are not looked at.

    Attributes:
        years: of work, each of them a step; nothing is left behind.
        elasticity: e, of hours by the net wage at given consumption.
        cost: of effort; at 1 and without tax, skill 1 works 1 if utility is linear.
        aversion: of u; 0 is linear, 1 is log.
        discount: of a year.
        interest: per year.
        persistence: of log skill.
        spread: standard deviation of log skill.
        most: hours at most.
        wealth: mean at the start, exponentially distributed.

    Raises:
        DataError: a value that makes no sense; it is named.
    """

    years: int = 10
    elasticity: float = 0.5
    cost: float = 1.0
    aversion: float = 1.0
    discount: float = 0.96
    interest: float = 0.02
    persistence: float = 0.9
    spread: float = 0.4
    most: float = 3.0
    wealth: float = 0.5

    def __post_init__(self) -> None:
        ranges = {
            "years": (1, 1000),
            "elasticity": (1e-3, 100),
            "cost": (1e-9, np.inf),
            "aversion": (0, 100),
            "discount": (1e-3, 1),
            "interest": (-0.99, 10),
            "persistence": (0, 1),
            "spread": (0, 10),
            "most": (1e-3, np.inf),
            "wealth": (0, np.inf),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise DataError(f"Career.{name} = {value}; it lies in [{low:g}, {high:g}]")

    def enjoyed(self, consumption: PerAgent) -> PerAgent:
        """Utility of consumption."""
        safe = jnp.maximum(consumption, _FEWEST)
        if self.aversion == 1:
            return jnp.log(safe)
        return (safe ** (1 - self.aversion) - 1) / (1 - self.aversion)

    def effort(self, hours: PerAgent) -> PerAgent:
        """What hours cost in utility."""
        power = 1 + 1 / self.elasticity
        return self.cost * hours**power / power


class Network(nn.Module):
    """Features to raw hours and raw savings; starts at a third of the hours there are."""

    width: int = 32
    depth: int = 2

    @nn.compact
    def __call__(self, x: Float[Array, "agent feature"]) -> Float[Array, "agent 2"]:
        """Two numbers that are squeezed into (0, 1) later."""
        for _ in range(self.depth):
            x = nn.tanh(nn.Dense(self.width)(x))
        start = nn.initializers.constant(jnp.array([-0.7, -1.5]))
        return nn.Dense(2, kernel_init=nn.initializers.normal(0.01), bias_init=start)(x)


@dataclass(frozen=True)
class WorkerPolicy:
    """What a worker does, by state.

    Attributes:
        career: that it is for.
        schedules: of tax, one or by group, whose rates the network reads.
        rebates: paid to everybody, one per schedule.
        weights: of the network.
        network: its shape.
        history: mean lifetime utility while it was trained.
    """

    career: Career
    schedules: Schedule
    rebates: Float[Array, " group"]
    weights: Any
    network: Network
    history: Float[np.ndarray, " step"]

    def act(
        self, skill: PerAgent, wealth: PerAgent, year: Any, group: Int[Array, " agent"]
    ) -> tuple[PerAgent, PerAgent]:
        """Hours, and the share of cash on hand that is saved; `year` from 0."""
        rates = jnp.asarray(self.schedules.rates, jnp.float32)[group]
        left = jnp.broadcast_to(1 - year / self.career.years, skill.shape)[:, None]
        own = jnp.stack([jnp.log(skill), jnp.log1p(wealth), self.rebates[group]], axis=1)
        raw = self.network.apply(self.weights, jnp.concatenate([own, left, rates], axis=1))
        assert isinstance(raw, jax.Array)
        return self.career.most * nn.sigmoid(raw[:, 0]), nn.sigmoid(raw[:, 1])

    def live(
        self,
        skill: PerAgent,
        wealth: PerAgent,
        group: Int[Array, " agent"],
        luck: Float[Array, "year agent"],
    ) -> tuple[PerAgent, dict[str, Float[Array, "year agent"]]]:
        """Lifetime utility, and skill, wealth at the start, hours and consumption of every year.

        `luck` is standard normal; its first row moves skill from the first year to the second.
        """
        career = self.career
        news = career.spread * np.sqrt(1 - career.persistence**2)

        def year(state: Any, now: Any) -> Any:
            skill, wealth = state
            t, shock = now
            hours, share = self.act(skill, wealth, t, group)
            income = skill * hours
            cash = wealth + income - self.schedules.liability(income, group) + self.rebates[group]
            share = share if career.aversion else jnp.zeros_like(share)
            consumed = (1 - share) * cash
            utility = career.enjoyed(consumed) - career.effort(hours)
            path = {"skill": skill, "wealth": wealth, "hours": hours, "consumption": consumed}
            after = jnp.exp(career.persistence * jnp.log(skill) + news * shock)
            left = (1 + career.interest) * share * cash
            return (after, left), (career.discount**t * utility, path)

        times = jnp.arange(career.years, dtype=jnp.float32)
        _, (utility, path) = jax.lax.scan(year, (skill, wealth), (times, luck))
        return utility.sum(axis=0), path


def untrained_worker(
    career: Career, schedules: Schedule, rebates: Any, key: Array, network: Network | None = None
) -> WorkerPolicy:
    """A policy with fresh weights.

    Raises:
        DataError: another number of rebates than of schedules.
    """
    if schedules.rates.ndim == 1:
        schedules = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32)[None], schedules)
    paid = jnp.atleast_1d(jnp.asarray(rebates, jnp.float32))
    if paid.shape != schedules.rates.shape[:1]:
        raise DataError(
            f"{paid.size} rebates for {schedules.rates.shape[0]} schedules; give one for each"
        )
    network = network or Network()
    weights = network.init(key, jnp.zeros((1, 4 + schedules.rates.shape[-1])))
    return WorkerPolicy(career, schedules, paid, weights, network, np.zeros(0))


def train_worker(
    policy: WorkerPolicy, key: Array, *, steps: int = 1_000, workers: int = 256, rate: float = 1e-2
) -> WorkerPolicy:
    """The policy after gradient steps (Adam, the rate falling as a cosine) on fresh careers.

    Each step follows `workers` pairs of careers with opposite luck through all their years. Pairs
    are spread over the schedules at random.

    Raises:
        DataError: utility is not finite, as with a schedule that takes more than there is.
    """
    career, groups = policy.career, policy.rebates.shape[0]
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def loss(weights: Any, key: Array) -> Array:
        start, luck, rich, tax = jax.random.split(key, 4)
        half = jax.random.normal(luck, (career.years, workers))
        logs = career.spread * jax.random.normal(start, (workers,))
        wealth = career.wealth * jax.random.exponential(rich, (workers,))
        group = jax.random.randint(tax, (workers,), 0, groups)
        both = [jnp.concatenate(pair) for pair in ((logs, -logs), (wealth, wealth), (group, group))]
        now = WorkerPolicy(
            career, policy.schedules, policy.rebates, weights, policy.network, policy.history
        )
        luck_of_all = jnp.concatenate([half, -half], axis=1)
        utility, _ = now.live(jnp.exp(both[0]), both[1], both[2], luck_of_all)
        return -utility.mean()

    def step(state: Any, key: Array) -> Any:
        weights, memory = state
        value, slope = jax.value_and_grad(loss)(weights, key)
        moves, memory = optimiser.update(slope, memory, weights)
        return (optax.apply_updates(weights, moves), memory), -value

    first = (policy.weights, optimiser.init(policy.weights))
    (weights, _), history = jax.jit(lambda s, k: jax.lax.scan(step, s, k))(
        first, jax.random.split(key, steps)
    )
    history = np.asarray(history)
    if not np.isfinite(history).all():
        at = int(np.argmin(np.isfinite(history)))
        raise DataError(f"lifetime utility is {history[at]} at step {at} of training")
    return WorkerPolicy(career, policy.schedules, policy.rebates, weights, policy.network, history)
