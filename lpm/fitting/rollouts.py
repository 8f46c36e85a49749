"""Runs of all regions to one horizon: what they expect of the data, and the slopes of that."""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError
from ..simulation import simulate
from .averaging import Mean
from .chance import fresh_words
from .choosing import Chosen, choose, judge
from .gradients import choose_estimator
from .journal import Journal
from .lagrangian import Weighed
from .layout import Layout
from .losses import Series
from .objective import Objective
from .placed import devices_of
from .regions import Regions, stack_start
from .reverse import REVERSE
from .runs import TOGETHER, map_lanes, parts_of
from .space import Space

Points = Float[np.ndarray, "member region element"]
Data = list[Float[np.ndarray, "member datum"]]  # One for each region.
_PATHWISE = ("straight_through", "mean_field")  # One pass backwards through a run.
_STEP = 0.05  # Of differences.
_CHECKED = 32  # Worlds in which a gradient is checked.


@dataclass
class Rollout:
    """All regions, run from the start to the end of one week.

    Attributes:
        regions: who is run.
        words: a key per world; the data are compared with the mean over worlds.
        weeks: horizon.
        runs: so far; a gradient in reverse counts as the runs it costs.
    """

    regions: Regions
    words: UInt32[Array, "world 2"]
    weeks: int
    runs: float = 0.0
    objectives: list[Objective] = field(init=False)
    start: Float[np.ndarray, "region element"] = field(init=False)
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        regions, clock = self.regions, self.regions.clock
        params = stack_start(regions, self.weeks)
        self.objectives = [
            Objective(
                regions.scenario,
                (regions.copy_of(region, self.weeks),),
                regions.evidence(region, self.weeks).readings,
                self.words,
                Space(one, regions.fields),
                self.weeks * clock.span,
                clock.every,
                Journal(None, {}),
            )
            for region, one in enumerate(params)
        ]
        self.start = np.stack([one.space.start for one in self.objectives])
        self.layout = Layout.of(params[0], regions.fields, clock.axis)

    def place(
        self,
        weekly: Float[Array, "region week number"],
        steady: Float[Array, "region constant"],
    ) -> Float[Array, "region element"]:
        """Unconstrained elements of each region; can be traced."""
        start = jnp.asarray(self.start, jnp.float32)
        return jax.vmap(self.layout.add)(start, weekly[:, : self.weeks], steady)

    def expected(self, points: Points) -> Data:
        """What is expected of each datum, the mean over worlds; infinite where a run fails."""
        found = [
            one.evaluate(points[:, region]).astype(np.float64).mean(axis=1)
            for region, one in enumerate(self.objectives)
        ]
        self._count()
        return found

    def pull_back(self, points: Points, weights: Data, label: str, step: float = _STEP) -> Points:
        """Slopes of the weighted sum of what is expected, by the elements of the points."""
        found = []
        for region, one in enumerate(self.objectives):
            here, wanted = points[:, region], weights[region]
            if label in _PATHWISE:
                found.append(_pull_all(one, here, wanted, label))
            else:
                rows = [_pull(one, *pair, label, step) for pair in zip(here, wanted, strict=True)]
                found.append(np.stack(rows))
        self._count()
        return np.stack(found, axis=1)

    def check(
        self, points: Float[np.ndarray, "region element"], weights: Data, estimator: str, at: int
    ) -> Chosen:
        """The gradient to follow in a region, after a check with keys of its own.

        Raises:
            FittingError: the estimator asked for fails.
        """
        one = self.objectives[at]
        whole = Weighed(one.readings, jnp.asarray(weights[at][0], jnp.float32))
        words = fresh_words(self.words, _CHECKED, "check of the gradient")
        probe = replace(one, readings=_Row(whole), words=words, runs=0.0)
        chosen = choose(probe, points[at], Mean(), estimator=estimator, loss=whole)
        if chosen.label not in ("crn", "none"):
            verdict = judge(probe, points[at], Mean(), chosen.label, _STEP, whole)
            if not np.isfinite(verdict.ratio).all():
                # Here nobody looks at the answer again, so that a gradient has to be shown right.
                said = f"{chosen.label} is not followed: its ratio has no bounds over these runs."
                if estimator != "auto":
                    raise FittingError(f"{said} Use a larger population, or estimator='auto'")
                chosen = replace(chosen, label="none", sentences=(*chosen.sentences, said))
        self.runs += probe.runs
        return chosen

    def jacobian(
        self, points: Float[np.ndarray, "region element"], step: float = _STEP
    ) -> list[Float[np.ndarray, "datum element"]]:
        """Slopes of what is expected by every element, by differences."""
        found = []
        for z, one in zip(points, self.objectives, strict=True):
            slopes = one.slopes(z[None], np.eye(one.space.size), step)[0]
            found.append(slopes.mean(axis=0))
        self._count()
        return found

    def _count(self) -> None:
        for one in self.objectives:
            self.runs += one.runs
            one.runs = 0.0


def _pull(
    one: Objective,
    z: Float[np.ndarray, " element"],
    weight: Float[np.ndarray, " datum"],
    label: str,
    step: float,
) -> Float[np.ndarray, " element"]:
    if label == "crn":
        slopes = one.slopes(z[None], np.eye(one.space.size), step)[0].mean(axis=0)
        return weight @ slopes
    loss = Weighed(one.readings, jnp.asarray(weight, jnp.float32))
    return one.reverse(z[None], choose_estimator(label, step)[0], label, loss)[1][0].mean(axis=0)


def _pull_all(
    one: Objective,
    points: Float[np.ndarray, "member element"],
    weights: Float[np.ndarray, "member datum"],
    label: str,
) -> Float[np.ndarray, "member element"]:
    """As `_pull`, for all members and worlds in one batch: each has weights of its own."""
    scenario, population, fields = one.scenario, one.populations[0], one.space.fields

    def loss(z: Array, key: Array, weight: Array, readings: Any, params: Any) -> Array:
        run = simulate(
            scenario,
            population,
            key=key,
            params=params.replace(**Space(params, fields).constrain(z)),
            steps=one.steps,
            every=one.every,
            estimator=label,
            devices=devices_of(population),
        )
        return jnp.sum(weight * readings(run))

    def slope(lane: Any, readings: Any, params: Any) -> Array:
        return jax.grad(loss)(*lane, readings, params)

    worlds = one.worlds
    lanes = (
        jnp.repeat(jnp.asarray(points, jnp.float32), worlds, axis=0),
        jnp.tile(one.words, (len(points), 1)),
        jnp.repeat(jnp.asarray(weights, jnp.float32), worlds, axis=0),
    )
    kept = 2 * int(np.sqrt(one.steps // one.every)) + 1
    rows = map_lanes(
        population,
        "weighted slopes",
        (label, fields, *parts_of(scenario), one.steps, one.every),
        slope,
        lanes,
        (one.readings, one.space.params),
        max(1, TOGETHER // (population.capacity * kept)),
    )
    one.runs += REVERSE * len(rows)
    return rows.reshape(len(points), worlds, -1).mean(axis=1).astype(np.float64)


class _Row(Weighed):
    """The sum in a row of one."""

    def __init__(self, whole: Weighed) -> None:
        self.readings, self.weights = whole.readings, whole.weights

    def __call__(self, trajectory: Any) -> Any:
        return super().__call__(trajectory)[None]


@dataclass(frozen=True)
class Likelihood:
    """How unlikely the data of one region are, given what is expected of them.

    Attributes:
        series: of the region, with as many periods as are expected.
        observed: the data that count, nan for others.
    """

    series: tuple[Series, ...]
    observed: Float[np.ndarray, " datum"]

    @property
    def data(self) -> int:
        """Data that count."""
        return int((~np.isnan(self.observed)).sum())

    def __call__(
        self, mean: Float[Array, " datum"], weights: Float[Array, " datum"]
    ) -> Float[Array, ""]:
        """Negative log-likelihood, each datum's times its weight."""
        total, first = jnp.zeros(()), 0
        for one in self.series:
            shape = np.shape(one.target)
            at = slice(first, first + int(np.prod(shape)))
            first = at.stop
            found = one.noise.log_likelihood(
                self.observed[at].reshape(shape), mean[at].reshape(shape)
            )
            total = total - one.weight * jnp.sum(weights[at].reshape(shape) * found)
        return total

    def residuals(self, mean: Float[Array, " datum"]) -> Float[Array, " datum"]:
        """Misses in standard deviations, 0 where nothing counts."""
        parts, first = [], 0
        for one in self.series:
            shape = np.shape(one.target)
            at = slice(first, first + int(np.prod(shape)))
            first = at.stop
            noise: Any = one.noise
            found = noise.residuals(self.observed[at].reshape(shape), mean[at].reshape(shape))
            parts.append(found.ravel() * np.sqrt(one.weight))
        return jnp.concatenate(parts)


def likelihoods(regions: Regions, first: int, last: int, weeks: int) -> list[Likelihood]:
    """Of each region, for data of weeks `first` to `last`, of runs over `weeks`."""
    found = []
    for region in range(len(regions.names)):
        observed = regions.observed(region, first, weeks)
        after = regions.observed(region, last, weeks)
        observed = np.where(np.isnan(after), observed, np.nan)
        found.append(Likelihood(regions.evidence(region, weeks).series, observed))
    return found
