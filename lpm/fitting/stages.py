"""The stages of a calibration: a screen, a search from the best of it, the curvature at its end."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from ..errors import FittingError
from .averaging import Average, Mean
from .chance import fresh_words, generator_for
from .choosing import Chosen, choose
from .criteria import Averaged, Criterion, Synthetic, joint_noise
from .curvature import MOST, Curvature, fit_surface
from .descent import descend
from .kalman import invert
from .least_squares import Place, jacobians, place, search
from .objective import Objective, Points
from .seam import Loss
from .watching import Watch

_SCREENED = 256  # Points of the screen, at most.
_EDGE = 0.02  # Levels of the priors closer to 0 or 1 are left out of the screen.
_SAMPLES = (
    1 / 16,
    1 / 6,
)  # Of the budget, runs that tell the noise between runs: near, at the end.
_SAMPLE = 128  # Of these, at most.
_ROUNDS = 6  # Least squares is worth its differences if it can afford so many steps.


@dataclass
class State:
    """How far a fit has come, so that an interrupted one still has something to show."""

    z: Float[np.ndarray, " element"]
    loss: float
    estimator: str = "none"
    notes: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    criterion: Criterion = field(default_factory=lambda: Averaged(Mean()))
    curvature: Curvature | None = None
    chi_square: tuple[float, int] | None = None
    outputs: int = 1
    data: int = 0
    settled: bool = False


@dataclass(frozen=True)
class Plan:
    """How to search: see `lpm.calibrate`.

    Attributes:
        method: the optimiser settled on.
        synthetic: whether the mean run is fitted, and not the mean of the losses.
    """

    budget: float
    method: str
    synthetic: bool
    estimator: str
    starts: int
    step: float
    rate: float


class Teller:
    """Keeps the history, the best point and the bar."""

    def __init__(self, objective: Objective, state: State, watch: Watch) -> None:
        self._objective, self._state, self._watch = objective, state, watch
        self._iteration, self._restarted = 0, False

    def restart(self) -> None:
        """What is told next is of another measure, and replaces the best so far."""
        self._restarted = True

    def __call__(self, stage: str, points: Points, values: Float[np.ndarray, " point"]) -> None:
        """Take down what was found at some points."""
        runs, space = int(self._objective.runs), self._objective.space
        flat = space.flat(points)
        for start, (row, value) in enumerate(zip(flat, values, strict=True)):
            elements = dict(zip(space.labels, row.tolist(), strict=True))
            head = {"stage": stage, "iteration": self._iteration, "start": start, "runs": runs}
            self._state.rows.append(head | {"loss": float(value)} | elements)
        self._iteration += 1
        best = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
        if values[best] <= self._state.loss or (self._restarted and np.isfinite(values[best])):
            self._restarted = False
            self._state.z, self._state.loss = points[best], float(values[best])
        self._watch(runs, self._state.loss)


def choose_method(objective: Objective, optimiser: str, estimator: str, budget: float) -> str:
    """The optimiser to use, where the caller leaves it open.

    Raises:
        FittingError: an unknown one, or one that this loss or estimator does not go with.
    """
    known = ("auto", "least_squares", "adam", "lbfgs", "kalman")
    if optimiser not in known:
        raise FittingError(f"optimiser = {optimiser!r}; it is one of {list(known)}")
    squares = bool(objective.readings.further)
    if optimiser in ("least_squares", "kalman") and not squares:
        raise FittingError(f"{optimiser} needs a loss with residuals, such as lpm.fitting.Series")
    if optimiser == "least_squares" and estimator not in ("auto", "crn"):
        raise FittingError(f"least_squares differentiates by crn, not by {estimator}")
    least = (2 * objective.space.size + 6) * objective.worlds
    if optimiser == "least_squares" and budget < least:
        raise FittingError(
            f"budget = {budget:g} runs; least_squares needs at least {least} for one step"
        )
    if optimiser != "auto":
        return optimiser
    affordable = _ROUNDS * 2 * objective.space.size * objective.worlds <= budget
    return "least_squares" if squares and affordable and estimator in ("auto", "crn") else "adam"


def find_lowest(
    objective: Objective, average: Average, loss: Loss, plan: Plan, state: State, tell: Teller
) -> None:
    """Screen, search and tell the curvature; all that is found is left in `state`."""
    points = _screen(objective, average, plan, state, tell)
    if plan.method == "least_squares":
        _least_squares(objective, plan, points, state, tell)
        return
    if plan.method == "kalman":
        _invert(objective, average, plan, state, tell)
        return
    chosen = choose(
        objective, points[0], average, estimator=plan.estimator, step=plan.step, loss=loss
    )
    state.estimator = chosen.label
    state.notes += chosen.sentences
    if chosen.label == "none" and objective.readings.further:
        state.notes.append("Fitted by ensemble Kalman inversion instead, which needs no gradient.")
        _invert(objective, average, plan, state, tell)
        return
    if chosen.label == "none":
        state.estimator = "crn, random directions"
        state.notes.append("Fitted along differences in random directions instead.")
    _descend(objective, average, chosen, plan, points, state, tell)
    rng, labels = generator_for(objective.words, "surface"), tuple(objective.space.labels)
    for _ in range(2):  # The surface's lowest point is where the next surface is centred.
        curvature, lowest = fit_surface(
            objective, average, state.z, state.loss, plan.budget, rng, labels
        )
        if curvature is None:
            break
        state.curvature = curvature
        found = objective.evaluate(lowest[None])[..., 0].astype(np.float64)
        tell("surface", lowest[None], average.weigh(found)[0])


def _least_squares(
    objective: Objective, plan: Plan, points: Points, state: State, tell: Teller
) -> None:
    curving = (2 * objective.space.size + 1) * objective.worlds
    stage = "least squares"

    def take_down(places: list[Place]) -> None:
        points, values = (
            np.stack([one.z for one in places]),
            np.array([one.value for one in places]),
        )
        tell(stage, points, values)

    def go_on(points: Points, budget: float, most: int | None = None) -> list[Place]:
        tell.restart()
        return search(
            objective,
            state.criterion,
            place(objective, state.criterion, points),
            step=plan.step,
            budget=budget,
            most=most,
            after=take_down,
        )

    state.estimator = "crn"
    if not plan.synthetic:
        best = go_on(points, plan.budget - curving)[0]
    else:
        # Once near, what is left of the misfit is mostly luck of the runs, and takes its weight.
        state.criterion = Synthetic(np.eye(state.outputs - 1))
        places = go_on(points, 0.4 * plan.budget, most=2)
        for number, until in enumerate((0.7 * plan.budget, plan.budget)):
            sample = int(np.clip(_SAMPLES[number] * plan.budget, 8, _SAMPLE))
            again = len(places) * objective.worlds
            if objective.runs + sample + again + curving > plan.budget:
                break
            runs = _many_runs(objective, places[0].z, sample, f"between runs {number}")
            if len(runs) > 2:
                state.criterion = joint_noise(runs, places[0].outputs)
            stage = "least squares, noise between runs"
            points = np.stack([one.z for one in places]) if number == 0 else places[0].z[None]
            places = go_on(points, until - curving)
        best = places[0]
        state.chi_square = 2 * float(best.value), int(state.data) - objective.space.size
    state.z, state.loss = best.z, best.value
    # A longer step than the search's: what it adds in bias it saves many times over in noise.
    slopes = jacobians(objective, best.z[None], min(3 * plan.step, 0.5))[0]
    square = state.criterion.information(best.outputs, slopes)
    scatter = state.criterion.scatter(best.outputs, slopes)
    labels = tuple(objective.space.labels)
    state.curvature = Curvature(square, scatter, state.criterion.told_by(best.outputs), labels)
    state.settled = objective.runs + curving < plan.budget


def _many_runs(
    objective: Objective, z: Float[np.ndarray, " element"], count: int, purpose: str
) -> Float[np.ndarray, "run datum"]:
    """Residuals at one point over runs with keys of their own; those that fail are left out."""
    other = replace(objective, words=fresh_words(objective.words, count, purpose), runs=0.0)
    runs = other.evaluate(z[None])[0, :, 1:]
    objective.runs += count
    return runs[np.isfinite(runs).all(axis=1)]


def _screen(
    objective: Objective, average: Average, plan: Plan, state: State, tell: Teller
) -> Points:
    """The best of the start and of points spread over the priors, best first.

    They are compared in a single world: a screen is rough.
    """
    count = min(_SCREENED, int(plan.budget / 4))
    if plan.starts == 1 or count < 4:
        return state.z[None]
    points = spread_over_priors(objective, int(np.log2(count)))
    points = np.concatenate([state.z[None], points])
    outputs = objective.evaluate(points, [0])[..., 0].astype(np.float64)
    order = np.argsort(np.where(np.isfinite(outputs[:, 0]), outputs[:, 0], np.inf))
    chosen = points[order[: min(plan.starts, len(order))]]
    whole = objective.evaluate(chosen)[..., 0].astype(np.float64)
    values = average.weigh(whole)[0]
    tell("screen", chosen, values)
    return chosen[np.argsort(values)]


def spread_over_priors(objective: Objective, power: int) -> Points:
    """2 to the `power` points of a Sobol sequence, at levels of the priors."""
    count = 2**power
    levels = qmc.Sobol(objective.space.size, scramble=False).random_base2(power) + 0.5 / count
    return objective.space.quantiles(_EDGE + (1 - 2 * _EDGE) * levels)


def _descend(
    objective: Objective,
    average: Average,
    chosen: Chosen,
    plan: Plan,
    points: Points,
    state: State,
    tell: Teller,
) -> None:
    size, slope = objective.space.size, chosen.slope
    before = objective.runs
    terms = (size + 1) * (size + 2) // 2
    # Keep enough for the surface, where there will be one.
    spare = min(2 * (4 * terms + 4 * size) * objective.worlds, (plan.budget - before) / 3)
    left = plan.budget - (spare if size <= MOST else 0.0)

    def evaluate(points: Points) -> Float[np.ndarray, " point"]:
        return average.weigh(objective.evaluate(points)[..., 0].astype(np.float64))[0]

    rounds = ((points[:1], 1),) if len(points) == 1 else ((points, 3), (None, 1))
    for some, share in rounds:
        begin = state.z[None] if some is None else some
        began = objective.runs
        values, gradients = slope(begin)
        tell("descent", begin, values)
        if not np.isfinite(gradients).any():
            raise FittingError("no start has a finite gradient; begin from other params")
        cost = objective.runs - began
        cost += len(begin) * 6 * objective.worlds if plan.method == "lbfgs" else 0
        iterations = int((left - objective.runs) / share / max(cost, 1))
        if iterations < 1:
            break
        end = objective.runs + iterations * cost
        descend(
            slope,
            begin,
            optimiser=plan.method,
            iterations=iterations,
            rate=plan.rate,
            evaluate=evaluate,
            after=lambda d, end=end, cost=cost: (
                tell("descent", d.points[-1], d.values[-1]),
                objective.runs + cost <= end,
            )[1],
        )
    state.settled = True


def _invert(objective: Objective, average: Average, plan: Plan, state: State, tell: Teller) -> None:
    size = objective.space.size
    left = plan.budget - objective.runs
    members = int(np.clip(left / 8 / objective.worlds, 4, max(4 * size, 100)))
    points = spread_over_priors(objective, int(np.ceil(np.log2(members))))[:members]
    points[0] = state.z
    last, values = invert(
        objective,
        average,
        points,
        budget=plan.budget - objective.worlds,
        after=lambda points, values: tell("kalman", points, values),
    )
    known = last[np.isfinite(values)]
    middle = known.mean(axis=0)[None]
    found = objective.evaluate(middle)[..., 0].astype(np.float64)
    tell("kalman", middle, average.weigh(found)[0])
    state.estimator, state.settled = "ensemble Kalman inversion", True
    if len(known) > 2 * size:
        spread = np.atleast_2d(np.cov(known, rowvar=False))
        zero = np.zeros_like(spread)
        labels = tuple(objective.space.labels)
        state.curvature = Curvature(np.linalg.pinv(spread), zero, objective.worlds, labels)
