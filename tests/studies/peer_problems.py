"""Two problems on which ways to fit are held against each other, and the one simulator of both."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lpm
from calibration import boarding_school as school
from lpm.fitting import NegativeBinomial, Poisson, Series
from lpm.fitting.chance import fresh_words, generator_for
from lpm.fitting.evidence import Evidence
from lpm.fitting.runs import run_losses
from scenarios import sirs_ages

DISPERSION = 200.0  # Of the boys in bed about their number, as in the school's own study.
_DRAWN = 5  # Truths of the epidemic at least, so that fewer are the first of them.
_LEAST_PEAK = 100  # Boys in bed on the worst day: the data are of an epidemic.


@dataclass(frozen=True)
class Problem:
    """A scenario, whom it happens to, what is seen of it, and uniform priors.

    Attributes:
        lower, upper: ends of the priors, by field.
        truths: parameters behind the data, [truth, field].
        data: what was observed, [truth, datum].
    """

    name: str
    scenario: Any
    town: lpm.Population
    blank: Series
    fields: tuple[str, ...]
    truths: np.ndarray
    data: np.ndarray
    compiled: dict[str, Any] = field(default_factory=dict)

    @property
    def lower(self) -> np.ndarray:
        return self._ends("lower")

    @property
    def upper(self) -> np.ndarray:
        return self._ends("upper")

    @property
    def prior_sd(self) -> np.ndarray:
        return (self.upper - self.lower) / np.sqrt(12)

    def _ends(self, which: str) -> np.ndarray:
        knobs = type(self.scenario.params).knobs()
        return np.array([float(getattr(knobs[name].domain, which)) for name in self.fields])

    def series(self, number: int) -> Series:
        """The data of one truth."""
        shape = np.shape(self.blank.target)
        return Series(
            self.blank.observable,
            self.data[number].reshape(shape),
            self.blank.noise,
            window=self.blank.window,
        )

    def even(self, counts: np.ndarray) -> np.ndarray:
        """Data on a scale where their noise is about 1 everywhere: the summaries of all peers.

        Source: Anscombe (1948), Biometrika 35, for Poisson and negative binomial counts.
        """
        if isinstance(self.blank.noise, Poisson):
            return 2 * np.sqrt(counts + 3 / 8)
        k = self.blank.noise.dispersion  # pyright: ignore[reportAttributeAccessIssue]
        return 2 * np.sqrt(k - 0.5) * np.arcsinh(np.sqrt((counts + 3 / 8) / (k - 3 / 4)))

    def scatter(self, rng: Any, means: np.ndarray) -> np.ndarray:
        """Counts as they might be published."""
        if isinstance(self.blank.noise, Poisson):
            return rng.poisson(means).astype(float)
        k = self.blank.noise.dispersion  # pyright: ignore[reportAttributeAccessIssue]
        return rng.poisson(means * rng.gamma(k, size=means.shape) / k).astype(float)

    def expected(self, points: np.ndarray, words: Any) -> np.ndarray:
        """What runs expect of each datum, a run for each point, each with a world of its own."""
        inside = np.clip(points, self.lower, self.upper).astype(np.float32)
        scenario = self.scenario
        return run_losses(
            scenario,
            self.town,
            Evidence(self.blank).readings,
            words,
            scenario.params,
            {name: inside[:, i] for i, name in enumerate(self.fields)},
            scenario.steps,
            1,
            strict=False,
        ).astype(np.float64)


class Simulator:
    """Answers points with runs, and counts them."""

    def __init__(self, problem: Problem, purpose: str) -> None:
        self._problem, self._purpose, self.runs = problem, purpose, 0
        self._root = jax.random.key_data(jax.random.key(1978))[None]
        self._rng = generator_for(self._root, f"noise, {purpose}")

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """[point, 2, datum]: what the run expects, and data drawn from that, evened."""
        purpose = f"{self._purpose}, from {self.runs}"
        means = self._problem.expected(points, fresh_words(self._root, len(points), purpose))
        self.runs += len(points)
        drawn = self._problem.scatter(self._rng, means)
        return self._problem.even(np.stack([means, drawn], axis=1))


def boarding_school(count: int, published: Path | None) -> Problem:
    """Transmission and recovery of an influenza among 763 boys, from 13 days of boys in bed.

    The first data are those published, where there is a file; the others are runs at parameters
    about those that the published ones give, with noise, where an epidemic came of them.
    """
    scenario = school.scenario.replace(params=school.Params().replace(first=3.0), steps=13)
    blank = Series("in_bed", np.ones(13), NegativeBinomial(DISPERSION))
    fields = ("transmission", "recovery")
    town = lpm.Population.toy(school.BOYS)
    problem = Problem("school", scenario, town, blank, fields, np.zeros((0, 2)), np.zeros((0, 13)))
    truths, data = [], []
    if published is not None:
        truths.append([np.nan, np.nan])
        data.append(school.read(published)[1:])
    rng, made = generator_for(words_of("school"), "truths"), 0
    while len(truths) < count:
        truth = rng.uniform([1.2, 0.3], [2.8, 0.7])
        mean = problem.expected(truth[None], fresh_words(words_of("school"), 1, f"data {made}"))
        made += 1
        drawn = problem.scatter(rng, mean)[0]
        if drawn.max() >= _LEAST_PEAK:
            truths.append(truth.tolist())
            data.append(drawn)
    return Problem("school", scenario, town, blank, fields, np.array(truths), np.stack(data))


def epidemic(count: int, agents: int = 5_000) -> Problem:
    """Five parameters of an epidemic that comes back, from 26 weeks of cases in five age bands."""
    scenario = sirs_ages.scenario
    weeks, bands = scenario.steps // 7, sirs_ages.BANDS
    blank = Series("new_by_age", np.ones((weeks, bands)), Poisson(), window=7)
    fields = ("R0", "infectious", "immunity", "children", "old")
    town = lpm.Population.toy(agents)
    none = np.zeros((0, len(fields))), np.zeros((0, weeks * bands))
    problem = Problem("epidemic", scenario, town, blank, fields, *none)
    rng = generator_for(words_of("epidemic"), "truths")
    drawn = max(count, _DRAWN)
    truths = rng.uniform(problem.lower, problem.upper, (drawn, len(fields)))
    means = problem.expected(truths, fresh_words(words_of("epidemic"), drawn, "data"))
    data = problem.scatter(rng, means)
    return Problem("epidemic", scenario, town, blank, fields, truths[:count], data[:count])


def words_of(name: str) -> Any:
    key = jax.random.key(20_261_130)
    return fresh_words(jax.random.key_data(key)[None], 1, name)
