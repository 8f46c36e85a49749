"""Which gradient a fit may follow: the one asked for if it is right, or the best that is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import FittingError, LpmError
from ..population.seeds import Generator
from .averaging import Average
from .chance import generator_for
from .gradients import choose_estimator
from .intervals import ratio_interval
from .objective import Objective, Points
from .seam import Loss

FEW = 10  # Elements up to which differences along each are affordable.
_DIRECTIONS = 6
_RATIO = (0.8, 1.25)
_ERROR = 0.33  # Relative error of the gradient at which its cosine with the truth is 0.95.
_CANDIDATES = ("straight_through", "mean_field", "lineage", "score")

Slope = Callable[[Points], tuple[Float[np.ndarray, " point"], Points]]
Random = Callable[[int], Float[np.ndarray, "direction element"]]


@dataclass(frozen=True)
class Chosen:
    """A gradient to follow.

    Attributes:
        label: name of the estimator, `crn` for differences, `crn, random directions`, or `none`.
        slope: values and gradients at points, on the unconstrained scale.
        sentences: why, for the report.
        price: runs that a gradient in reverse costs at one point; 0 for differences.
    """

    label: str
    slope: Slope
    sentences: tuple[str, ...]
    price: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """A gradient against differences along some directions.

    Attributes:
        ratio: of the derivatives along the gradient itself, with a 95 % interval.
        error: length of the miss over that of the derivative, noise taken off.
        work: variance times cost, relative to differences along each element.
        price: runs that one gradient costs.
    """

    label: str
    ratio: tuple[float, float, float]
    error: float
    work: float
    price: float

    @property
    def passed(self) -> bool:
        """Whether a fit may follow it."""
        value, low, high = self.ratio
        inside = _RATIO[0] <= value <= _RATIO[1] and low <= 1.1 and high >= 0.9
        return inside and self.error <= _ERROR

    def __str__(self) -> str:
        value, low, high = self.ratio
        return (
            f"{self.label} {'passes' if self.passed else 'fails'} against crn: ratio {value:.3g} "
            f"in [{low:.3g}, {high:.3g}] along its own gradient, relative error {self.error:.2g}"
        )


def choose(
    objective: Objective,
    z: Float[np.ndarray, " element"],
    average: Average,
    *,
    estimator: str = "auto",
    step: float = 0.05,
    loss: Loss | None = None,
) -> Chosen:
    """The gradient to follow from a point, after a check on the user's own model.

    Args:
        objective: what is evaluated; its runs count those of the check.
        z: where to check.
        average: of the losses over worlds.
        estimator: auto, or a name: a fit stops where that one fails its check.
        step: of differences.
        loss: what is differentiated in reverse, if not the first reading.

    Raises:
        FittingError: the estimator asked for fails, with both numbers.
    """
    size = objective.space.size
    if estimator == "crn" or (estimator == "auto" and size <= FEW):
        return Chosen("crn", differences(objective, average, step), ())
    named = estimator != "auto"
    reports, verdicts = [], []
    for label in (estimator,) if named else _CANDIDATES:
        try:
            verdicts.append(judge(objective, z, average, label, step, loss))
        except LpmError as error:
            if named:
                raise
            reports.append(f"{label} is not possible here: {error}")
    reports = [*map(str, verdicts), *reports]
    passing = sorted((v for v in verdicts if v.passed), key=lambda v: v.work)
    if passing:
        label, price = passing[0].label, passing[0].price
        slope = in_reverse(objective, average, label, step, loss)
        return Chosen(label, slope, tuple(reports), price)
    if named:
        raise FittingError(f"{reports[0]}; use estimator='crn' or 'auto'")
    slope = along_random(objective, average, step)
    sentence = "No gradient in reverse passes its check."
    return Chosen("none", slope, (*reports, sentence))


def judge(
    objective: Objective,
    z: Float[np.ndarray, " element"],
    average: Average,
    label: str,
    step: float,
    loss: Loss | None,
) -> Verdict:
    """Compare an estimator with differences along its own gradient and random directions."""
    before = objective.runs
    method, _ = choose_estimator(label, step)
    values, gradients = objective.reverse(z[None], method, label, loss)
    cost = objective.runs - before
    _, weights = average.weigh(values[0])
    if not np.isfinite(gradients).all():
        return Verdict(label, (np.nan, -np.inf, np.inf), np.inf, np.inf, cost)
    mine = weights[:, None] * gradients[0] * len(weights)
    own = mine.mean(axis=0)
    size = np.linalg.norm(own)
    if not size:
        return Verdict(label, (0.0, 0.0, 0.0), 1.0, np.inf, cost)
    random = _frame(generator_for(objective.words, "check"), len(z), min(_DIRECTIONS, len(z)))
    directions = np.concatenate([own[None] / size, random])
    # A unit vector moves each of many elements little, so the step grows with their number.
    reach = min(step * np.sqrt(len(z)), 0.5)
    slopes = objective.slopes(z[None], directions, reach)[0, :, 0]
    reference = weights[:, None] * slopes * len(weights)
    projected = mine @ directions.T
    low, high = ratio_interval(projected[:, :1], reference[:, :1])
    truth, miss = reference[:, 1:], projected[:, 1:] - reference[:, 1:]
    signal = _squared_mean(truth)
    error = np.sqrt(max(_squared_mean(miss), 0.0) / signal) if signal > 0 else np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        variances = projected[:, 1:].var(axis=0) / truth.var(axis=0)
        work = float(np.mean(variances)) * cost / (2 * len(z) * objective.worlds)
        ratio = float(projected[:, 0].mean() / reference[:, 0].mean())
    return Verdict(label, (ratio, float(low[0]), float(high[0])), float(error), work, cost)


def differences(objective: Objective, average: Average, step: float) -> Slope:
    """Differences along every element."""
    every = np.eye(objective.space.size)
    return _along(objective, average, step, lambda _: every)


def along_random(objective: Objective, average: Average, step: float) -> Slope:
    """Differences along a few random directions, others each time; unbiased over the directions.

    Source: Spall (1992), IEEE Transactions on Automatic Control 37.
    """
    rng, size = generator_for(objective.words, "directions"), objective.space.size
    few = min(FEW, size)
    reach = min(step * np.sqrt(size), 0.5)
    return _along(objective, average, reach, lambda _: _frame(rng, size, few))


def in_reverse(
    objective: Objective, average: Average, label: str, step: float, loss: Loss | None
) -> Slope:
    """An estimator's gradient, averaged over worlds."""
    method, _ = choose_estimator(label, step)

    def slope(points: Points) -> tuple[Float[np.ndarray, " point"], Points]:
        values, gradients = objective.reverse(points, method, label, loss)
        found, weights = average.weigh(values)
        return found, np.einsum("pw,pwe->pe", weights, gradients)

    return slope


def _along(objective: Objective, average: Average, step: float, pick: Random) -> Slope:
    count = 0

    def slope(points: Points) -> tuple[Float[np.ndarray, " point"], Points]:
        nonlocal count
        directions = pick(count)
        count += 1
        values = objective.evaluate(points)[..., 0].astype(np.float64)
        found, weights = average.weigh(values)
        slopes = objective.slopes(points, directions, step)[:, :, 0]
        along = np.einsum("pw,pwd->pd", weights, slopes)
        return found, along @ directions * (points.shape[1] / len(directions))

    return slope


def _frame(rng: Generator, size: int, count: int) -> Float[np.ndarray, "direction element"]:
    """Random directions at right angles to each other."""
    return np.linalg.qr(rng.standard_normal((size, count)))[0].T


def _squared_mean(rows: Float[np.ndarray, "world direction"]) -> float:
    """Squared length of the mean over worlds, less what its noise adds."""
    worlds = len(rows)
    noise = rows.var(axis=0, ddof=1) / worlds if worlds > 1 else np.zeros(rows.shape[1])
    return float((rows.mean(axis=0) ** 2 - noise).sum())
