"""A network and its rivals: fitted to the same weeks, and scored on those after."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from ..errors import FittingError
from .curves import Curve, Network, Pieces, Weights
from .forecasts import Contest, compare, score
from .freedom import effective_count
from .inverting import learn_without_gradients
from .predicting import Fitted, observed, persistence, predict
from .regional_fit import CONSTANT, NETWORK, PERSISTENCE, RegionalFit
from .regional_request import Split
from .regions import Regions
from .rollouts import Rollout, likelihoods
from .training import Effort, Lesson, begin, learn

_LAST = 0.35  # Of the budget, for the weeks that were held back to stop by.


def check_estimator(lesson: Lesson, split: Split, estimator: str) -> tuple[str, tuple[str, ...]]:
    """The gradient to follow, checked in the first region where the fit starts."""
    rollout = Rollout(lesson.regions, lesson.words, split.stop)
    start = rollout.start
    laws = likelihoods(lesson.regions, 0, split.stop, split.stop)

    def compute() -> dict[str, np.ndarray]:
        expected = rollout.expected(start[None])
        pulls = []
        for law, mean in zip(laws, expected, strict=True):
            value, slope = jax.value_and_grad(law)(
                jnp.asarray(mean[0], jnp.float32), jnp.ones(mean.shape[1])
            )
            if not np.isfinite(np.asarray(value)):
                name = lesson.regions.names[len(pulls)]
                raise FittingError(
                    f"the data of region '{name}' are impossible where the fit starts; start from "
                    "other params, or give its series a background"
                )
            pulls.append(np.asarray(slope, np.float64)[None])
        chosen = rollout.check(start, pulls, estimator, 0)
        return {
            "label": np.array(chosen.label),
            "sentences": np.array(chosen.sentences, dtype=np.str_),
            "runs": np.array(rollout.runs),
        }

    found = lesson.journal.answer(f"check of {estimator}", start, compute)
    rollout.runs = float(found["runs"])
    lesson.take(rollout)
    return str(found["label"]), tuple(str(x) for x in found["sentences"])


@dataclass
class Contestants:
    """A network and its rivals, fitted to the same weeks and scored on those after."""

    lesson: Lesson
    split: Split
    effort: Effort
    others: Regions | None
    order: tuple[str, ...]
    scale: tuple[np.ndarray, np.ndarray]

    def carry_out(self, network: Network, notes: tuple[str, ...]) -> RegionalFit:
        """The fit, the rivals, the scores, and the fit to all weeks."""
        lesson, split = self.lesson, self.split
        weights = self._fit(network, NETWORK)
        whole = self.effort.label != "none"
        count = effective_count(network, weights, lesson, split.score, whole=whole)
        pieces = self._count_pieces(network, count)
        numbers = (network.regions, network.weekly, network.steady, split.score)
        one, several = Pieces(*numbers, 1), Pieces(*numbers, pieces)
        name = f"piecewise constant ({pieces} pieces)"
        # Where one piece is all that the count allows, both rivals are the same.
        rivals: dict[str, tuple[Curve, Weights]] = {CONSTANT: (one, self._fit(one, CONSTANT))}
        rivals[name] = (several, self._fit(several, name)) if pieces > 1 else rivals[CONSTANT]
        scores = self._score({NETWORK: (network, weights), **rivals})
        mine = _of(scores, NETWORK)
        contests = tuple(
            compare(mine, _of(scores, rival), rival) for rival in (PERSISTENCE, CONSTANT, name)
        )
        final = replace(network, weeks=split.whole)
        label = self.effort.label
        if label == "none":
            notes = (
                *notes,
                "The last layer was fitted without gradients, by ensemble Kalman inversion.",
            )
            weights = self._without(final, weights, NETWORK + ", all weeks", split.whole)
        else:
            effort = replace(self.effort, budget=_LAST * self.effort.budget)
            weights = learn(
                final, weights, lesson, effort, NETWORK + ", all weeks", split.whole, split.whole
            )
        return RegionalFit(
            weeks=split.whole,
            scores=scores,
            contests=contests,
            pieces=pieces,
            count=count,
            history=lesson.history(),
            runs=int(lesson.runs),
            estimator="ensemble Kalman inversion" if label == "none" else label,
            notes=(*notes, *_verdict(contests[-1], contests[1])),
            _fitted=self._fitted(final, weights),
            _regions=lesson.regions,
            _others=self.others,
            _order=self.order,
        )

    def _fit(self, curve: Curve, stage: str) -> Weights:
        lesson, split = self.lesson, self.split
        weights = begin(curve, lesson, self.effort.members)
        if self.effort.label == "none":
            return self._without(curve, weights, stage, split.score)
        early = replace(self.effort, budget=(1 - _LAST) * self.effort.budget)
        weights = learn(curve, weights, lesson, early, stage, split.score, split.stop)
        late = replace(self.effort, budget=_LAST * self.effort.budget)
        return learn(curve, weights, lesson, late, f"{stage}, to the end", split.score, split.score)

    def _without(self, curve: Curve, weights: Weights, stage: str, last: int) -> Weights:
        return learn_without_gradients(curve, weights, self.lesson, self.effort, stage, last)

    def _count_pieces(self, network: Network, count: float) -> int:
        free = (count / network.regions - network.steady) / max(network.weekly, 1)
        return int(np.clip(round(free), 1, self.split.stop))

    def _fitted(self, curve: Curve, weights: Weights) -> Fitted:
        lesson = self.lesson
        return Fitted(curve, weights, *self.scale, len(lesson.regions.names), lesson.words)

    def _score(self, fits: dict[str, tuple[Curve, Weights]]) -> pl.DataFrame:
        first, last = self.split.score, self.split.whole
        parts = []
        places = [(self.lesson.regions, True)]
        if self.others is not None:
            places.append((self.others, False))
        for regions, known in places:
            truth = observed(regions, first, last)
            if truth["value"].is_nan().all():
                continue
            frames = {PERSISTENCE: persistence(regions, first, last)}
            for name, (curve, weights) in fits.items():
                fitted = self._fitted(curve, weights)
                frames[name], spent = predict(fitted, regions, first, last, known=known)
                self.lesson.runs += spent
            for name, frame in frames.items():
                table = score(frame, truth)
                told = {"fit": pl.lit(name), "left_out": pl.lit(not known)}
                parts.append(table.with_columns(**told))
        whole = pl.concat(parts)
        return whole.select("fit", "left_out", *(x for x in whole.columns[:-2]))


def _of(scores: pl.DataFrame, name: str) -> pl.DataFrame:
    return scores.filter((pl.col("fit") == name) & ~pl.col("left_out"))


def _verdict(pieces: Contest, constant: Contest) -> tuple[str, ...]:
    lost = [x.rival for x in (pieces, constant) if not x.beats]
    if not lost:
        return ("The covariates earn their keep on weeks held out.",)
    return (
        f"The network does NOT beat {' or '.join(lost)} parameters on weeks held out: what it says "
        "of the covariates is not borne out by forecasts.",
    )
