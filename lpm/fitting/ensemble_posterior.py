"""A posterior from few runs: concentrate, summarise, emulate, sample."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import chi2, qmc

from ..errors import FittingError
from ..population.seeds import Generator
from .chance import generator_for
from .emulator import Emulator, Levels, learn, sample_box
from .evidence import Evidence, as_key, run_each
from .nearest import alike, log_volume, nearest_cloud, quadratic_terms
from .objective import Objective, Points

_DRAWS = 8  # Of the noise for each run; they cost next to nothing.
# Of the budget: over the prior, nearer and nearer, and at the end.
_SHARES = (1 / 4, 1 / 10, 1 / 10, 1 / 10, 1 / 10, 0.35)
_HEAT = 1.2  # Runs are placed by the likelihood to the power of one over this, or less.
_NARROWER = 0.5  # In log-variance by element, beyond what luck does to the spread of few runs.
_FOLDS = 4
_KEPT = 4000  # Draws of the posterior.
_EDGE = 1e-4
_UNTOLD = 0.3  # Share of the prior's variance.


def least_budget(elements: int) -> int:
    """Runs below which an emulator cannot be told from its noise."""
    return 40 * (elements + 1)


def infer_ensemble(
    objective: Objective, evidence: Evidence, budget: int
) -> tuple[Points, dict[str, Any]]:
    """Draws of the posterior on the unconstrained scale, and how it was reached.

    Batches of runs, each where the emulator of those before puts the tempered posterior, find the
    region that matters and as many summaries of the data as there are elements: the slopes of the
    expected data, weighted by the inverse of their scatter, which lose nothing where data are
    normal and linear. An emulator that is surer of itself than runs left out of it bear out is
    tempered by as much, or the region would miss the truth. A last batch, which had no part in
    choosing the summaries, tells their law given the elements: a quadratic plus a scatter that
    holds the luck of the simulator, the noise of the data and the error of the quadratic. Its
    density at the observed summaries times the prior is sampled.

    Where no parabola follows the data over the priors, as with a short wave that a few percent
    more transmission moves in time, the emulator is right but tells nothing. A batch is then placed
    about the runs nearest to the data, if these lie much closer together than where the emulator
    looks. The emulators after that are of runs nearby, without those of another kind, such as
    epidemics that died out among others that did not; the last is of all such runs, and is tempered
    by as much as it is too sure of itself. How often so is in `batches_by_nearest`.

    It fails where the scatter of the summaries is far from normal, or changes much within the
    posterior, as do small outbreaks of which half die out. A posterior that stays as wide as the
    priors has a note.

    Source: Cleary et al. (2021), Journal of Computational Physics 424, for calibrate, emulate,
    sample; Fearnhead & Prangle (2012), Journal of the Royal Statistical Society B 74, for one
    summary per element; Wood (2010), Nature 466, for the synthetic likelihood.
    """
    rng = generator_for(objective.words, "ensemble")
    search = _Search(evidence.observed, rng, generator_for(objective.words, "ensemble, nearest"))
    size, observed = objective.space.size, search.observed
    seed = int(rng.integers(2**31))
    first, *others = (int(share * budget) for share in _SHARES)
    levels = qmc.Sobol(size, rng=seed).random(2 ** int(np.ceil(np.log2(first))))[:first]
    levels, data = _run(objective, evidence, levels, 0, search.known)
    place = search.place(levels, data, np.ones(len(levels), bool))
    lost = int(place.by_nearest)
    for stage, count in enumerate(others[:-1], 1):
        picked = _pick(place.cloud, count, rng)
        more, seen = _run(objective, evidence, picked, stage, search.known)
        levels, data = np.concatenate([levels, more]), np.concatenate([data, seen])
        place = search.place(levels, data, search.within(levels, data, place))
        lost += place.by_nearest
    last = _pick(place.cloud, budget - int(objective.runs), rng)
    last, seen = _run(objective, evidence, last, len(others), search.known)
    sums, heat = place.sums, 1.0
    if lost:
        last, seen = np.concatenate([levels, last]), np.concatenate([data, seen])
        sums, last, seen = search.settle(last, seen, place)
        heat = max(_overconfidence(last, seen), 1.0)
    final = learn(last, seen @ sums)
    near = _near(last, _cloud(final, observed @ sums, _HEAT, rng))
    last, seen = last[near], seen[near]
    final = learn(last, seen @ sums)
    density = final.log_density(observed @ sums)
    drawn = sample_box(lambda levels: density(levels) / heat, size, rng, _KEPT, moves=20)
    about = {
        "runs_near": int(near.sum()),
        "batches_by_nearest": lost,
        "heat": heat,
        "summaries": sums.shape[1],
        "quadratic": final.quadratic,
        "inside_90": _held_out(final, last, seen.mean(axis=1) @ sums, seen @ sums),
        "beyond_runs": _beyond(drawn, last),
        "notes": _doubts(drawn),
    }
    return objective.space.quantiles(drawn), about


@dataclass(frozen=True)
class _Place:
    """Summaries, and where the next runs go.

    Attributes:
        by_nearest: whether the runs nearest to the data told where, and not the emulator alone.
    """

    sums: Float[np.ndarray, "datum summary"]
    cloud: Float[np.ndarray, "drawn element"]
    by_nearest: bool


class _Search:
    """Chooses places. What the nearest runs need of chance is apart, so as to change no other."""

    def __init__(self, observed: np.ndarray, rng: Generator, nearest: Generator) -> None:
        self.known = ~np.isnan(observed)
        self.observed = _scale(observed[self.known])
        self._rng, self._nearest = rng, nearest

    def place(self, levels: Levels, data: np.ndarray, use: np.ndarray) -> _Place:
        """By the emulator of the runs in use, or by those nearest where that is much narrower."""
        sums, cloud = _region(levels[use], data[use], self.observed, self._rng)
        around = nearest_cloud(levels, data, self.observed, self._nearest)
        if log_volume(around) >= log_volume(cloud) - _NARROWER * levels.shape[1]:
            return _Place(sums, cloud, False)
        local = self.within(levels, data, _Place(sums, around, True))
        sums, cloud = _region(levels[local], data[local], self.observed, self._rng)
        narrower = cloud if log_volume(cloud) < log_volume(around) else around
        return _Place(sums, narrower, True)

    def within(self, levels: Levels, data: np.ndarray, place: _Place) -> np.ndarray:
        """Runs inside a place; if the nearest told it, but for those of another kind."""
        near = _near(levels, place.cloud)
        if not place.by_nearest:
            return near
        same = near.copy()
        same[near] = alike(data[near], self.observed)
        return same if same.sum() > 3 * quadratic_terms(levels.shape[1]) else near

    def settle(
        self, levels: Levels, data: np.ndarray, place: _Place
    ) -> tuple[
        Float[np.ndarray, "datum summary"],
        Float[np.ndarray, "near element"],
        Float[np.ndarray, "near draw datum"],
    ]:
        """Summaries by all runs, and those runs that are close enough to tell their law."""
        near = self.within(levels, data, replace(place, by_nearest=True))
        levels, data = levels[near], data[near]
        _, cloud = _region(levels, data, self.observed, self._rng)
        near = _near(levels, cloud)
        levels, data = levels[near], data[near]
        return _region(levels, data, self.observed, self._rng)[0], levels, data


def _scale(data: np.ndarray) -> np.ndarray:
    """Where relative scatter is even; data are not negative."""
    return np.log1p(data)


def _run(
    objective: Objective, evidence: Evidence, levels: Levels, stage: int, known: np.ndarray
) -> tuple[Float[np.ndarray, "fine element"], Float[np.ndarray, "fine draw datum"]]:
    """Levels whose runs did not fail, and their data."""
    levels = np.clip(levels, _EDGE, 1 - _EDGE)
    name = f"ensemble, batch {stage}"
    means = run_each(objective, objective.space.quantiles(levels), name)
    fine = np.asarray(np.isfinite(means).all(axis=1))
    if fine.sum() < len(levels) / 2:
        raise FittingError(
            f"{int((~fine).sum())} of {len(levels)} runs failed; narrow the priors, or the bounds, "
            "to where the scenario runs"
        )
    # Draws for all, failed or not, so that shapes repeat from fit to fit.
    means = np.where(fine[:, None], means, 1.0)
    drawn = evidence.replicate(as_key(objective.words, name), means, _DRAWS)
    return levels[fine], _scale(drawn[fine][:, :, known])


def _region(
    levels: Levels, data: Float[np.ndarray, "run draw datum"], observed: np.ndarray, rng: Generator
) -> tuple[Float[np.ndarray, "datum summary"], Float[np.ndarray, "drawn element"]]:
    """Summaries that tell most of the elements, and where they put the tempered posterior."""
    emulator, heat = learn(levels, data), _HEAT * max(_overconfidence(levels, data), 1)

    def around(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sums = _summaries(emulator, at)
        return sums, _cloud(learn(levels, data @ sums), observed @ sums, heat, rng)

    _, cloud = around(levels.mean(axis=0))
    return around(cloud.mean(axis=0))


def _overconfidence(levels: Levels, data: Float[np.ndarray, "run draw datum"]) -> float:
    """How much farther off summaries of runs left out are than they should be, in variance.

    Summaries learnt from the same runs as the emulator make too much of chance resemblances.
    """
    fold, off = np.arange(len(levels)) % _FOLDS, []
    for one in range(_FOLDS):
        out = fold == one
        sums = _summaries(learn(levels[~out], data[~out]), levels[~out].mean(axis=0))
        emulator = learn(levels[~out], data[~out] @ sums)
        miss = data[out][:, 0] @ sums - emulator.mean(levels[out])
        square = (miss * np.linalg.solve(emulator.scatter, miss.T).T).sum(axis=1)
        # A right emulator's are chi-squared; each by its median, since their number may differ.
        usual = chi2.ppf(0.5, sums.shape[1])
        off.append(square / (1 + emulator.leverage(levels[out])) / usual)
    # The median, which a few runs of another kind do not move.
    return float(np.median(np.concatenate(off)))


def _cloud(emulator: Emulator, observed: np.ndarray, heat: float, rng: Generator) -> Levels:
    density, size = emulator.log_density(observed), len(emulator.centre)
    return sample_box(lambda levels: density(levels) / heat, size, rng, 1000)


def _pick(cloud: Levels, count: int, rng: Generator) -> Float[np.ndarray, "picked element"]:
    return cloud[rng.choice(len(cloud), count, replace=len(cloud) < count)]


def _near(levels: Levels, cloud: Float[np.ndarray, "drawn element"]) -> np.ndarray:
    """Which points lie within the cloud; the nearest, where these are too few for a quadratic."""
    size = levels.shape[1]
    least = min(len(levels), 3 * (size + 1) * (size + 2) // 2 + 1)
    distance = _distance(levels, cloud)
    limit = max(chi2.ppf(0.995, size), np.sort(distance)[least - 1])
    return distance <= limit


def _distance(levels: Levels, cloud: Float[np.ndarray, "drawn element"]) -> np.ndarray:
    """Squared, in standard deviations of the cloud, on the scale of normal scores."""
    scores, at = ndtri(cloud), ndtri(levels)
    spread = np.cov(scores, rowvar=False).reshape(levels.shape[1], -1)
    off = at - scores.mean(axis=0)
    return (off @ np.linalg.pinv(spread) * off).sum(axis=1)


def _summaries(
    emulator: Emulator, level: Float[np.ndarray, " element"]
) -> Float[np.ndarray, "datum summary"]:
    """Directions of the data that tell of the elements, unrelated and of unit scatter."""
    slope = emulator.slope(level)
    weighed = np.linalg.solve(emulator.scatter, slope.T)
    values, vectors = np.linalg.eigh(slope @ weighed)
    told = values > 1e-8 * values.max()
    return weighed @ vectors[:, told] / np.sqrt(values[told])


def _held_out(emulator: Emulator, levels: Levels, means: np.ndarray, data: np.ndarray) -> float:
    """Share of summaries inside their 90 % interval by an emulator that has not seen their run."""
    lever = np.minimum(emulator.leverage(levels), 0.99)
    left_out = means - (means - emulator.mean(levels)) / (1 - lever)[:, None]
    sd = np.sqrt(np.diag(emulator.scatter) * (1 + lever / (1 - lever))[:, None])
    return float((np.abs(data - left_out[:, None]) < 1.645 * sd[:, None]).mean())


def _doubts(drawn: Float[np.ndarray, "drawn element"]) -> list[str]:
    """Words where no element was told: runs were then never brought nearer than the priors."""
    left = ndtri(drawn).var(axis=0)  # The priors' is 1 on this scale.
    if left.min() < _UNTOLD:
        return []
    return [
        f"Every element keeps {left.min():.0%} or more of the priors' variance. Either the data "
        "say little, or runs are too unlike each other over these priors for the emulator, such as "
        "epidemics of which some die out: see whether lpm.calibrate finds more, narrow the priors "
        "around its answer, or use method='smc'."
    ]


def _beyond(drawn: Float[np.ndarray, "drawn element"], levels: Levels) -> float:
    """Share of the posterior farther out than any run of the last batch."""
    return float((_distance(drawn, levels) > _distance(levels, levels).max()).mean())
