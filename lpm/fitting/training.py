"""Weights of a curve from data: longer and longer runs, and a stop before it learns the noise."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars as pl
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError
from .chance import generator_for
from .curves import Curve, Weights
from .evidence import as_key
from .journal import Journal
from .regions import Regions
from .rollouts import Data, Likelihood, Points, Rollout, likelihoods

_EARLY = 0.12  # Share of the iterations for each horizon before the last.
_LEAST = 15  # Iterations, over all stages, without which nothing is learnt.
_CLIP = 1.0  # Of the norm of a gradient, per datum.
_STALE = 0.35  # Of the iterations of the last horizon: no better for so long ends it.

_RULE = optax.chain(optax.clip_by_global_norm(_CLIP), optax.scale_by_adam(b2=0.95))

Tell = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Effort:
    """How to train.

    Attributes:
        budget: runs over the whole horizon, or so many of shorter ones as cost the same.
        members: of the ensemble.
        horizons: weeks of the runs before those over all weeks.
        rate: of adam.
        label: of the gradient.
    """

    budget: float
    members: int
    horizons: tuple[int, ...]
    rate: float
    label: str


@dataclass
class Lesson:
    """What is learnt from: regions, their inputs, and keys.

    Attributes:
        inputs: standardised covariates, [region, week, covariate].
        runs: spent so far, in runs over the whole horizon.
        rows: of the history.
    """

    regions: Regions
    inputs: Float[Array, "region week covariate"]
    words: UInt32[Array, "world 2"]
    journal: Journal
    whole: int
    tell: Tell = lambda *_: None
    runs: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    _machines: dict[Any, "_Machine"] = field(default_factory=dict)

    def machine(self, curve: Curve) -> "_Machine":
        """The compiled parts of a curve, the same for all horizons."""
        if curve not in self._machines:
            self._machines[curve] = _Machine(curve, self.inputs, self.mix)
        return self._machines[curve]

    def take(self, rollout: Rollout) -> float:
        """Count the runs of a rollout, each by its share of the whole horizon."""
        cost = rollout.runs * rollout.weeks / self.whole
        rollout.runs = 0.0
        self.runs += cost
        return cost

    @property
    def mix(self) -> Float[Array, "region region"]:
        """Each region is itself."""
        return jnp.eye(len(self.regions.names))

    def history(self) -> pl.DataFrame:
        """Stage, iteration, runs, and losses per datum, the mean over members."""
        return pl.DataFrame(self.rows)


def begin(curve: Curve, lesson: Lesson, members: int) -> Weights:
    """Weights of all members, [member, ...], none of which moves anything yet."""
    keys = jax.random.split(as_key(lesson.words, "weights"), members)
    return jax.vmap(curve.begin)(keys)


def learn(
    curve: Curve,
    weights: Weights,
    lesson: Lesson,
    effort: Effort,
    stage: str,
    last: int,
    stop: int,
) -> Weights:
    """Weights after training on weeks before `stop`, best on weeks `stop` to `last`.

    Where `stop` is `last`, nothing is held back and the last weights are given. Members see the
    data with weights of their own (the weighted likelihood bootstrap), so that they spread as the
    data leave room.

    Raises:
        FittingError: losses that are not finite.

    Source: Newton & Raftery (1994), Journal of the Royal Statistical Society B 56; for horizons
    that grow, Bengio et al. (2009), curriculum learning.
    """
    whole = stop == last
    stages = [h for h in effort.horizons if h < stop] if not whole else []
    plans = _plan(lesson, effort, [*stages, last])
    total = sum(count for _, count in plans)
    schedule = optax.cosine_decay_schedule(
        effort.rate if not whole else effort.rate / 2, total, 0.1
    )
    memory = jax.vmap(_RULE.init)(weights)
    number = 0
    best, lowest = weights, np.full(effort.members, np.inf)
    for weeks, count in plans:
        ending = weeks == last
        rollout = Rollout(lesson.regions, lesson.words, weeks)
        course = Course(curve, lesson, rollout, effort, stop=min(stop, weeks), last=weeks)
        stale = 0
        for _ in range(count):
            values, held, slopes = course.look(weights, f"{stage}, {weeks} weeks")
            number += 1
            lesson.rows.append(
                {
                    "fit": stage,
                    "weeks": weeks,
                    "iteration": number,
                    "runs": lesson.runs,
                    "loss": float(values.mean()),
                    "held_out_loss": float(held.mean()) if held.size else None,
                }
            )
            lesson.tell(stage, lesson.runs, float(values.mean()))
            if ending and not whole:
                better = held < lowest
                best = _where(better, weights, best)
                lowest = np.where(better, held, lowest)
                stale = 0 if better.any() else stale + 1
                if stale > max(_STALE * count, 5):
                    break
            weights, memory = course.step(
                weights, memory, slopes, float(np.asarray(schedule(number)))
            )
    if whole:
        return weights
    if not np.isfinite(lowest).all():
        raise FittingError(
            f"the {stage} has no finite loss in the weeks held back; start from other params"
        )
    return best


def check_budget(lesson: Lesson, effort: Effort) -> None:
    """Refuse a budget that is not worth a fit.

    Raises:
        FittingError: fewer iterations over all weeks than teach anything.
    """
    cost = _cost(lesson, effort)
    if effort.budget < _LEAST * cost:
        raise FittingError(
            f"budget = {effort.budget:.0f} runs are {effort.budget / cost:.1f} iterations of "
            f"{cost:.0f} runs for {len(lesson.regions.names)} regions, {len(lesson.words)} keys "
            f"and {effort.members} members; give at least {int(np.ceil(_LEAST * cost))}, or fewer "
            "keys"
        )


def _cost(lesson: Lesson, effort: Effort) -> float:
    """Runs of one iteration over all weeks."""
    one = 5.0  # Once forwards, and once backwards at the price of four.
    if effort.label == "crn":
        size = Rollout(lesson.regions, lesson.words, lesson.whole).start.shape[1]
        one = 1.0 + 2.0 * size
    return one * len(lesson.regions.names) * len(lesson.words) * effort.members


def _plan(lesson: Lesson, effort: Effort, horizons: list[int]) -> list[tuple[int, int]]:
    """Horizons and iterations, as the budget allows."""
    shares = [_EARLY] * (len(horizons) - 1)
    shares.append(1.0 - sum(shares))
    mean = sum(s * h for s, h in zip(shares, horizons, strict=True)) / lesson.whole
    total = int(effort.budget / (mean * _cost(lesson, effort)))
    return [(h, max(round(s * total), 1)) for s, h in zip(shares, horizons, strict=True)]


@dataclass
class Course:
    """Losses and slopes of one curve over one horizon."""

    curve: Curve
    lesson: Lesson
    rollout: Rollout
    effort: Effort
    stop: int
    last: int

    def __post_init__(self) -> None:
        regions = self.lesson.regions
        self._inside = likelihoods(regions, 0, self.stop, self.last)
        held = self.stop < self.last
        self._held = likelihoods(regions, self.stop, self.last, self.last) if held else []
        self._count = max(sum(one.data for one in self._inside), 1)
        self._shares = member_weights(self.lesson, self.effort.members, self._inside)
        self._machine = self.lesson.machine(self.curve)
        self._place = jax.jit(jax.vmap(self.rollout.place))
        self._return = jax.jit(jax.vmap(self._returned))
        self._losses = jax.jit(jax.vmap(jax.value_and_grad(self._total), (0, 0)))
        self._judge = jax.jit(jax.vmap(self._late))

    def look(
        self, weights: Weights, question: str
    ) -> tuple[np.ndarray, np.ndarray, Float[np.ndarray, "member region element"]]:
        """Losses by member, losses on weeks held back, and slopes of the first by elements."""
        points = np.asarray(self._place(*self._machine.moves(weights)), np.float64)

        def compute() -> dict[str, np.ndarray]:
            expected = self.rollout.expected(points)
            losses, pulls = self._weigh(expected)
            slopes = self.rollout.pull_back(points, pulls, self.effort.label)
            return {
                "losses": losses / self._count,
                "held": self._check(expected),
                "slopes": slopes / self._count,
                "runs": np.array(self.rollout.runs),
            }

        found = self.lesson.journal.answer(question, points, compute)
        self.rollout.runs = float(found["runs"])
        self.lesson.take(self.rollout)
        slopes = found["slopes"]
        if not np.isfinite(found["losses"]).any():
            raise FittingError(
                "no member of the ensemble has a finite loss; start from other params"
            )
        return found["losses"], found["held"], np.where(np.isfinite(slopes), slopes, 0.0)

    def step(
        self, weights: Weights, memory: Any, slopes: Points, rate: float
    ) -> tuple[Weights, Any]:
        """Weights and memory after a step along the slopes, through the curve."""
        back = self._back(weights, slopes)
        return self._machine.step(weights, memory, *back, 1 / self._count, rate)

    def gradients(self, weights: Weights, slopes: Points) -> Weights:
        """Of loss and penalty, per datum, by the weights: the slopes passed on by the curve."""
        return self._machine.gradients(weights, *self._back(weights, slopes), 1 / self._count)

    def _back(self, weights: Weights, slopes: Points) -> tuple[Array, Array]:
        """Slopes by the moves of the curve."""
        return self._return(*self._machine.moves(weights), jnp.asarray(slopes, jnp.float32))

    def _returned(self, weekly: Array, steady: Array, slopes: Array) -> tuple[Array, Array]:
        return jax.vjp(self.rollout.place, weekly, steady)[1](slopes)

    def _total(self, means: list[Array], shares: list[Array]) -> Array:
        parts = [one(m, w) for one, m, w in zip(self._inside, means, shares, strict=True)]
        return jnp.sum(jnp.stack(parts))

    def _late(self, means: list[Array]) -> Array:
        parts = [one(m, jnp.ones_like(m)) for one, m in zip(self._held, means, strict=True)]
        return jnp.sum(jnp.stack(parts))

    def _place(self, weights: Weights) -> Float[Array, "region element"]:
        return self.rollout.place(*self.curve(weights, self.lesson.inputs, self.lesson.mix))

    def _penalised(self, weights: Weights, slopes: Array) -> Array:
        weekly, steady = self.curve(weights, self.lesson.inputs, self.lesson.mix)
        reach = self.rollout.place(weekly, steady)
        prior = self.curve.penalty(weights, weekly[:, : self.last])
        return jnp.sum(reach * slopes) + prior / self._count

    def _weigh(self, expected: Data) -> tuple[np.ndarray, Data]:
        means = [jnp.asarray(mean, jnp.float32) for mean in expected]
        losses, pulls = self._losses(means, self._shares)
        return np.asarray(losses, np.float64), [np.asarray(x, np.float64) for x in pulls]

    def _check(self, expected: Data) -> np.ndarray:
        if not self._held:
            return np.zeros(0)
        found = self._judge([jnp.asarray(mean, jnp.float32) for mean in expected])
        total = np.asarray(found, np.float64) / max(sum(x.data for x in self._held), 1)
        return np.where(np.isfinite(total), total, np.inf)


class _Machine:
    """A curve over the covariates of a lesson, for all members at once, compiled."""

    def __init__(self, curve: Curve, inputs: Array, mix: Array) -> None:
        def moves(weights: Weights) -> tuple[Array, Array]:
            return curve(weights, inputs, mix)

        def lean(weights: Weights, weekly: Array, steady: Array, share: Array) -> Array:
            there, stay = moves(weights)
            leaning = jnp.sum(there * weekly) + jnp.sum(stay * steady)
            return leaning + share * curve.penalty(weights, there)

        def gradients(weights: Weights, weekly: Array, steady: Array, share: Array) -> Weights:
            return jax.vmap(jax.grad(lean), (0, 0, 0, None))(weights, weekly, steady, share)

        def step(
            weights: Weights, memory: Any, weekly: Array, steady: Array, share: Array, rate: Array
        ) -> tuple[Weights, Any]:
            found = gradients(weights, weekly, steady, share)
            ways, memory = jax.vmap(_RULE.update)(found, memory)
            return jax.tree.map(lambda x, way: x - rate * way, weights, ways), memory

        self.moves = jax.jit(jax.vmap(moves))
        self.gradients = jax.jit(gradients)
        self.step = jax.jit(step)


def member_weights(
    lesson: Lesson, members: int, laws: list[Likelihood]
) -> list[Float[Array, "member datum"]]:
    """How much each datum counts for each member; one alone sees the data as they are."""
    found = []
    for region, one in enumerate(laws):
        rng = generator_for(lesson.words, f"weights of the data of region {region}")
        drawn = rng.exponential(size=(len(one.observed), members)).T
        shares = np.ones((1, len(one.observed))) if members == 1 else drawn
        shares = shares / np.maximum(shares.mean(axis=1, keepdims=True), 1e-9)
        found.append(jnp.asarray(shares, jnp.float32))
    return found


def _where(better: np.ndarray, new: Weights, old: Weights) -> Weights:
    def pick(a: Array, b: Array) -> Array:
        return jnp.where(jnp.asarray(better).reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, new, old)
