"""The gradient that a search for a policy follows: of a goal and its constraints together."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..errors import FittingError
from .averaging import Mean
from .chance import generator_for
from .choosing import FEW, choose
from .gradients import choose_estimator
from .lagrangian import Lagrangian, Weighed
from .objective import Objective, Outputs, Points
from .seam import Estimator

Point = Float[np.ndarray, " number"]
First = Float[np.ndarray, "first element"]  # Where something begins.
Values = Float[np.ndarray, " point"]
Tell = Callable[[str, Points, Outputs], None]

MODEL = "surrogate"  # The name of the search that follows no gradient but a Gaussian process.
_MODELLED = 60  # Numbers up to which a surrogate is trusted to know its way.
_CHECKED = 8  # Worlds in which a gradient is checked.


@dataclass(frozen=True)
class Effort:
    """How to search; see `lpm.optimise`."""

    budget: float
    starts: int
    optimiser: str
    estimator: str | Estimator
    step: float
    rate: float | None


@dataclass
class Slopes:
    """Values and gradients of a Lagrangian over some of the worlds, others each time.

    Attributes:
        label: crn, none (differences along random directions), or the name of `method`.
        method: a gradient in reverse, or `None`.
        batch: worlds in each call; a gradient in reverse sees all.
        price: runs that one gradient in reverse costs, for each world.
    """

    objective: Objective
    lagrangian: Lagrangian
    label: str
    method: Estimator | None
    step: float
    sentences: tuple[str, ...] = ()
    batch: int = 0
    price: float = 4.0
    tell: Tell = lambda *_: None
    _calls: int = 0
    _rng: Any = field(init=False)

    def __post_init__(self) -> None:
        self._rng = generator_for(self.objective.words, "directions")
        self.batch = self.batch or self.objective.worlds

    @property
    def partial(self) -> bool:
        """Whether a few worlds at a time will do: not for averages over the worst of them."""
        return self.method is None and isinstance(self.lagrangian.average, Mean)

    @property
    def cost(self) -> float:
        """Runs for one point."""
        if self.method is None:
            return 2.0 * self._directions * self.batch
        return self.objective.worlds * (1 + self.price * (2 if self._twice else 1))

    def __call__(self, points: Points) -> tuple[Values, Points]:
        """Values and gradients at several points."""
        return self._in_reverse(points) if self.method else self._by_differences(points)

    @property
    def _directions(self) -> int:
        size = self.objective.space.size
        return size if self.label == "crn" else min(size, FEW)

    @property
    def _twice(self) -> bool:
        return bool(self.lagrangian.constraints) and not isinstance(self.lagrangian.average, Mean)

    def _by_differences(self, points: Points) -> tuple[Values, Points]:
        objective, size = self.objective, points.shape[1]
        worlds = (self._calls * self.batch + np.arange(self.batch)) % objective.worlds
        self._calls += 1
        whole = self.label == "crn"
        # A unit vector moves each of many elements little, so the step grows with their number.
        step = self.step if whole else min(self.step * np.sqrt(size), 1.0)
        directions = np.eye(size)
        if not whole:
            directions = np.linalg.qr(self._rng.standard_normal((size, self._directions)))[0].T
        moved = points[:, None, None] + step * np.stack([directions, -directions])
        found = objective.evaluate(moved.reshape(-1, size), worlds.tolist())
        sides = found.reshape(len(points), 2, len(directions), *found.shape[1:]).astype(np.float64)
        outputs = sides.mean(axis=(1, 2))
        slopes = (sides[:, 0] - sides[:, 1]) / (2 * step)
        values, weights = self._weigh(points, outputs)
        along = np.einsum("pwo,pdwo->pd", weights, slopes)
        return values, along @ directions * (size / len(directions))

    def _in_reverse(self, points: Points) -> tuple[Values, Points]:
        assert self.method is not None
        outputs = self.objective.evaluate(points).astype(np.float64)
        values, weights = self._weigh(points, outputs)
        goal = self.lagrangian.goal
        rows = []
        for z, weight in zip(points, weights, strict=True):
            if not self._twice:  # All worlds weigh the same.
                slopes = self._reverse(z, weight[0] * len(weight))
                rows.append(slopes.mean(axis=0))
                continue
            share = weight @ goal / (goal @ goal)
            bound = weight - share[:, None] * goal
            own = self._reverse(z, goal)
            rows.append(share @ own + self._reverse(z, bound[0] * len(bound)).mean(axis=0))
        return values, np.stack(rows)

    def _reverse(self, z: Point, weights: Float[np.ndarray, " output"]) -> np.ndarray:
        assert self.method is not None
        loss = Weighed(self.objective.readings, jnp.asarray(weights, jnp.float32))
        return self.objective.reverse(z[None], self.method, self.label, loss)[1][0]

    def _weigh(self, points: Points, outputs: Outputs) -> tuple[Values, Any]:
        self.lagrangian.observe(outputs)
        self.tell("descent", points, outputs)
        return self.lagrangian.weigh(outputs)


def choose_slopes(objective: Objective, lagrangian: Lagrangian, z: Point, effort: Effort) -> Slopes:
    """The gradient to follow: one asked for, or the best that passes its check at `z`.

    What is checked is goal and constraints together, each in units of its spread.
    """
    named, step = effort.estimator, effort.step
    if not isinstance(named, str):
        label = getattr(named, "__name__", type(named).__name__)
        said = (f"{label} was taken without a check.",)
        return Slopes(objective, lagrangian, label, named, step, said)
    few = objective.space.size <= FEW
    if named == MODEL:
        if lagrangian.constraints:
            raise FittingError("estimator='surrogate' knows no constraints; use 'auto' or 'crn'")
        return Slopes(objective, lagrangian, MODEL, None, step)
    if named == "crn" or (named == "auto" and few):
        return Slopes(objective, lagrangian, "crn", None, step)
    weights = np.array(lagrangian.goal) / lagrangian.scale
    for c, o, scale in zip(
        lagrangian.constraints, lagrangian.outputs, lagrangian.scales, strict=True
    ):
        weights[o] += (c.sign or 1) / scale
    whole = Weighed(objective.readings, jnp.asarray(weights, jnp.float32))
    probe = replace(objective, readings=_Row(whole), words=objective.words[:_CHECKED], runs=0.0)
    chosen = choose(probe, z, lagrangian.average, estimator=named, step=step, loss=whole)
    objective.runs += probe.runs
    if chosen.label == "none":
        if not lagrangian.constraints and objective.space.size <= _MODELLED:
            said = (*chosen.sentences, "A Gaussian process of all runs was searched instead.")
            return Slopes(objective, lagrangian, MODEL, None, step, said)
        said = (*chosen.sentences, "Differences along random directions were followed instead.")
        return Slopes(objective, lagrangian, "none", None, step, said)
    method = choose_estimator(chosen.label, step)[0]
    price = chosen.price / probe.worlds
    return Slopes(objective, lagrangian, chosen.label, method, step, chosen.sentences, price=price)


class _Row(Weighed):
    """The sum in a row of one."""

    def __init__(self, whole: Weighed) -> None:
        self.readings, self.weights = whole.readings, whole.weights

    def __call__(self, trajectory: Any) -> Any:
        return super().__call__(trajectory)[None]
