"""Constraints on expected values, and the augmented Lagrangian that holds a search to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..trajectory import Trajectory
from .averaging import Average, Mean
from .objective import Outputs

Points = Float[np.ndarray, " point"]
PerConstraint = Float[np.ndarray, "point constraint"]
Weights = Float[np.ndarray, "point world output"]

_FIRST, _GROWTH, _LARGEST = 10.0, 3.0, 1e5  # Of the penalty, whose units are spreads.
_FALLEN = 0.7  # A violation that is below this share of the last one has fallen.


@final
@dataclass(frozen=True)
class Constraint:
    """A bound on the expected value of a function of a run; see `at_most`, `at_least`, `equal`.

    Attributes:
        function: of the trajectory of one run: a float, or one per row whose sum is meant.
        limit: in units of the function.
        sign: 1 where the value may not exceed the limit, -1 where not fall short of it, 0 neither.
        slack: what counts as on the limit, in units of the function.
    """

    function: Callable[[Trajectory], jax.Array]
    limit: float
    name: str
    sign: int
    slack: float

    def excess(self, values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """How far values are beyond the limit; below zero where they keep it."""
        return (values - self.limit) * (self.sign or 1)

    def __str__(self) -> str:
        relation = {1: "at most", -1: "at least", 0: "equal to"}[self.sign]
        return f"{self.name} {relation} {self.limit:.6g}"


def at_most(
    function: Callable[[Trajectory], jax.Array], limit: float, name: str | None = None
) -> Constraint:
    """The expected value of `function` over worlds does not exceed `limit`.

    Args:
        function: of the trajectory of one run to a float, or one per row whose sum is meant.
        limit: in its units.
        name: for the report; the function's name by default.
    """
    slack = 1e-5 * max(abs(limit), 1e-3)  # Outputs are float32.
    return Constraint(function, float(limit), _name(function, name), 1, slack)


def at_least(
    function: Callable[[Trajectory], jax.Array], limit: float, name: str | None = None
) -> Constraint:
    """The expected value of `function` does not fall short of `limit`; see `at_most`."""
    slack = 1e-5 * max(abs(limit), 1e-3)
    return Constraint(function, float(limit), _name(function, name), -1, slack)


def equal(
    function: Callable[[Trajectory], jax.Array],
    limit: float,
    name: str | None = None,
    slack: float | None = None,
) -> Constraint:
    """The expected value of `function` is `limit`, give or take `slack`; see `at_most`.

    `slack` is a thousandth of the limit by default.
    """
    slack = 1e-3 * max(abs(limit), 1e-3) if slack is None else float(slack)
    return Constraint(function, float(limit), _name(function, name), 0, slack)


def _name(function: Any, name: str | None) -> str:
    return name or getattr(function, "__name__", type(function).__name__)


class Weighed(eqx.Module):
    """A weighted sum of the readings of a run; its weights are data and not part of the code."""

    readings: Any
    weights: Float[Array, " output"]

    def __call__(self, trajectory: Trajectory) -> Float[Array, ""]:
        """The sum."""
        return jnp.sum(self.weights * self.readings(trajectory))


class Lagrangian:
    """One number to lower for a goal under constraints, with a multiplier per start and constraint.

    Goal and constraints are measured in their spread over a screen, so that one penalty fits all.

    Args:
        goal: weight of each output in the goal, [output].
        average: of the goal over worlds.
        constraints: on the outputs behind them.
        outputs: where each constraint is found among the outputs.

    Source: Rockafellar (1973), Mathematical Programming 5; Nocedal & Wright (2006), chapter 17.
    """

    def __init__(
        self,
        goal: Float[np.ndarray, " output"],
        average: Average,
        constraints: Sequence[Constraint] = (),
        outputs: Sequence[int] = (),
    ) -> None:
        self.goal, self.average = np.asarray(goal, np.float64), average
        self.constraints, self.outputs = tuple(constraints), tuple(outputs)
        self.scale, self.scales = 1.0, np.ones(len(self.constraints))
        self.pull = 1.0  # Weight of the goal; 0 looks for what is feasible alone.
        self._both = np.array([c.sign == 0 for c in self.constraints], bool)
        self._slack = np.array([c.slack for c in self.constraints])
        self.reset(1)

    def reset(self, starts: int) -> None:
        """Forget the multipliers; there are so many starts now."""
        self.multipliers = np.zeros((starts, len(self.constraints)))
        self.penalty = np.full((starts, 1), _FIRST)
        self._last = np.full(starts, np.inf)
        self._seen: list[PerConstraint] = []

    def keep(self, start: int) -> None:
        """Go on with one of the starts."""
        self.multipliers, self.penalty = self.multipliers[[start]], self.penalty[[start]]
        self._last, self._seen = self._last[[start]], []

    def measure(self, outputs: Outputs) -> None:
        """Take the spreads over points as units."""
        values, excess = self.goals(outputs), self.excess(outputs).mean(axis=1)
        self.scale = _spread(values, 1.0)
        self.scales = np.array(
            [_spread(excess[:, i], max(abs(c.limit), 1e-3)) for i, c in enumerate(self.constraints)]
        )

    def goals(self, outputs: Outputs) -> Points:
        """What is lowered, without constraints."""
        return self.average.weigh(outputs.astype(np.float64) @ self.goal)[0]

    def excess(self, outputs: Outputs) -> Float[np.ndarray, "point world constraint"]:
        """How far each world is beyond each limit."""
        columns = [
            c.excess(outputs[..., o].astype(np.float64))
            for c, o in zip(self.constraints, self.outputs, strict=True)
        ]
        return np.stack(columns, axis=-1) if columns else np.zeros((*outputs.shape[:2], 0))

    def weigh(self, outputs: Outputs) -> tuple[Points, Weights]:
        """The number to lower, and its derivative by each output in each world."""
        losses = outputs.astype(np.float64) @ self.goal
        value, share = self.average.weigh(losses)
        weights = (self.pull / self.scale) * share[..., None] * self.goal
        value = self.pull * value / self.scale
        if self.constraints:
            mean = self.excess(outputs).mean(axis=1) / self.scales
            force = self._force(mean)
            value = value + ((force**2 - self.multipliers**2) / (2 * self.penalty)).sum(axis=1)
            for i, (c, o) in enumerate(zip(self.constraints, self.outputs, strict=True)):
                rise = (c.sign or 1) * force[:, i] / self.scales[i] / outputs.shape[1]
                weights[..., o] += rise[:, None]
        return value, weights

    def observe(self, outputs: Outputs) -> None:
        """Remember the constraints' values for the next update."""
        self._seen.append(self.excess(outputs).mean(axis=1) / self.scales)

    def update(self) -> None:
        """Move the multipliers by the mean violations since the last update.

        The penalty grows only where the violation has not fallen.
        """
        if not self.constraints or not self._seen:
            return
        mean = np.mean(self._seen, axis=0)
        self._seen = []
        self.multipliers = self._force(mean)
        size = np.where(self._both, np.abs(mean), mean)
        violation = np.where(size > self._slack / self.scales, size, 0.0).max(axis=1)
        stuck = (violation > 0) & (violation > _FALLEN * self._last)
        grown = np.minimum(self.penalty * _GROWTH, _LARGEST)
        self.penalty = np.where(stuck[:, None], grown, self.penalty)
        self._last = violation

    def prices(self, start: int = 0) -> Float[np.ndarray, " constraint"]:
        """Multipliers in units of the goal per unit of each constraint."""
        return self.multipliers[start] * self.scale / self.scales

    def margins(self, outputs: Outputs) -> PerConstraint:
        """A standard error of each constraint in its spread; 0 for an equality."""
        error = standard_error(self.excess(outputs)) / self.scales
        return np.where(self._both, 0.0, error)

    def judge(self, outputs: Outputs, safety: float = 1.0) -> tuple[Points, Points]:
        """The goal, and the largest violation in units of its spread; 0 where feasible.

        A limit counts as kept where the mean is within it by `safety` standard errors. In a search
        luck must not pass for feasibility, hence 1; on fresh keys -2 forgives as many.
        """
        with np.errstate(invalid="ignore"):
            goals, excess = self.goals(outputs), self.excess(outputs)
            mean, error = excess.mean(axis=1), standard_error(excess)
            size = np.where(self._both, np.abs(mean), mean + safety * error)
            allowed = np.where(
                self._both, np.maximum(abs(safety) * error, self._slack), self._slack
            )
            beyond = np.where(size <= allowed, 0.0, size / self.scales)
        violation = beyond.max(axis=1, initial=0.0)
        lost = ~np.isfinite(goals) | ~np.isfinite(violation)
        return np.where(lost, np.inf, goals), np.where(lost, np.inf, violation)

    def order(self, outputs: Outputs) -> np.ndarray:
        """Points from best to worst: feasible first, by the goal; then by violation."""
        goals, violation = self.judge(outputs)
        return np.lexsort((goals, violation))

    def _force(self, mean: PerConstraint) -> PerConstraint:
        force = self.multipliers + self.penalty * mean
        return np.where(self._both, force, np.maximum(force, 0.0))


def standard_error(worlds: Float[np.ndarray, "point world _"]) -> Float[np.ndarray, "point _"]:
    """Of the mean over worlds; 0 for a single one, of which nothing is known."""
    count = worlds.shape[1]
    return worlds.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else 0.0 * worlds[:, 0]


def pseudo_values(
    average: Average, losses: Float[np.ndarray, "point world"]
) -> Float[np.ndarray, "point world"]:
    """Numbers per world whose mean is the average, and whose spread gives its standard error.

    For a mean the losses themselves; else the jackknife (Efron & Stein 1981, Ann. Stat. 9).
    """
    count = losses.shape[1]
    if isinstance(average, Mean) or count < 2:
        return losses
    whole = average.weigh(losses)[0]
    rest = [average.weigh(np.delete(losses, i, axis=1))[0] for i in range(count)]
    return count * whole[:, None] - (count - 1) * np.stack(rest, axis=1)


def _spread(values: Points, otherwise: float) -> float:
    known = values[np.isfinite(values)]
    spread = float(known.std()) if len(known) > 1 else 0.0
    return spread if spread > 0 else otherwise
