"""Weights of a curve without gradients: ensemble Kalman inversion of its last layer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..errors import FittingError
from .averaging import Mean
from .chance import generator_for
from .curves import Curve, Weights
from .kalman import invert
from .objective import Objective, Outputs, Points
from .rollouts import Likelihood, Rollout, likelihoods
from .training import Effort, Lesson

_SPREAD = 0.5  # Of the last layer's weights at first.
_TIMES = 2  # Members of the Kalman ensemble for each number it moves.


def learn_without_gradients(
    curve: Curve, weights: Weights, lesson: Lesson, effort: Effort, stage: str, last: int
) -> Weights:
    """Weights of all members, from data of all weeks before `last`.

    All but the last layer stays as it was drawn. Members are taken evenly from the Kalman
    ensemble, which stops when the data are met as closely as their noise allows.

    Raises:
        FittingError: noise without residuals, or a budget that is too small.
    """
    first = jax.tree.map(lambda x: x[0], weights)
    moved, others = curve.split(first)
    flat, unravel = ravel_pytree(moved)
    count = max(_TIMES * flat.size, 20)
    regions = lesson.regions
    rollout = Rollout(regions, lesson.words, last)
    laws = likelihoods(regions, 0, last, last)
    _need_residuals(laws)
    cost = count * len(regions.names) * len(lesson.words) * last / lesson.whole
    if effort.budget < 3 * cost:
        raise FittingError(
            f"budget = {effort.budget:.0f} runs; without gradients {flat.size} numbers need "
            f"{count} points and so at least {int(np.ceil(3 * cost))} runs, or fewer keys"
        )

    def place(point: Float[Array, " number"]) -> tuple[Array, Array]:
        whole = curve.merge(unravel(point), others)
        weekly, steady = curve(whole, lesson.inputs, lesson.mix)
        return rollout.place(weekly, steady), curve.misses(weekly)

    base = rollout.objectives[0]
    joint = _Joint(
        base.scenario,
        base.populations,
        base.readings,
        lesson.words,
        base.space,
        base.steps,
        base.every,
        lesson.journal,
    )
    joint.attach(rollout, jax.jit(jax.vmap(place)), laws, stage)
    rng = generator_for(lesson.words, f"Kalman ensemble of the {stage}")
    members = np.concatenate(
        [np.zeros((1, flat.size)), _SPREAD * rng.standard_normal((count - 1, flat.size))]
    )

    def after(points: Points, values: Float[np.ndarray, " point"]) -> None:  # noqa: ARG001
        fine = values[np.isfinite(values)]
        loss = float(fine.mean()) if fine.size else float("inf")
        row = {"fit": stage, "weeks": last, "iteration": len(lesson.rows) + 1}
        data = max(sum(x.data for x in laws), 1)
        spent = lesson.runs + joint.runs * last / lesson.whole
        lesson.rows.append({**row, "runs": spent, "loss": loss / data, "held_out_loss": None})
        lesson.tell(stage, spent, loss / data)

    points, values = invert(
        joint, Mean(), members, budget=effort.budget * lesson.whole / last, after=after
    )
    lesson.runs += joint.runs * last / lesson.whole
    fine = np.flatnonzero(np.isfinite(values))
    if not fine.size:
        raise FittingError("every run of the ensemble fails; start from other params")
    pick = fine[np.linspace(0, fine.size - 1, effort.members).astype(int)]
    rows = [curve.merge(unravel(jnp.asarray(points[i], jnp.float32)), others) for i in pick]
    return jax.tree.map(lambda *x: jnp.stack(x), *rows)


@dataclass
class _Joint(Objective):
    """Misses of all regions, as outputs at points that are weights of a curve."""

    _parts: list[Any] = field(default_factory=list)

    def attach(self, rollout: Rollout, place: Any, laws: list[Likelihood], stage: str) -> None:
        """What it evaluates."""
        residuals = [jax.jit(jax.vmap(one.residuals)) for one in laws]
        self._parts = [rollout, place, residuals, stage]

    @property
    def worlds(self) -> int:
        """Runs for one point."""
        return len(self.words) * len(self._parts[0].objectives)

    def evaluate(self, points: Points, worlds: Sequence[int] | None = None) -> Outputs:  # noqa: ARG002
        """Half the squared misses, then the misses, with all worlds taken together."""
        rollout, place, residuals, stage = self._parts
        elements, rough = place(jnp.asarray(points, jnp.float32))
        elements = np.asarray(elements, np.float64)

        def compute() -> dict[str, np.ndarray]:
            expected = rollout.expected(elements)
            parts = [
                np.asarray(one(jnp.asarray(mean, jnp.float32)))
                for one, mean in zip(residuals, expected, strict=True)
            ]
            fine = np.asarray(np.isfinite(np.concatenate(expected, axis=1)).all(axis=1))
            misses = np.concatenate([*parts, np.asarray(rough)], axis=1)
            half = 0.5 * (misses.astype(np.float64) ** 2).sum(axis=1)
            rows = np.concatenate([half[:, None], misses], axis=1)
            rows = np.where(fine[:, None], rows, np.inf).astype(np.float32)
            return {"outputs": np.expand_dims(rows, 1)}

        found = self.journal.answer(f"{stage} without gradients", points, compute)["outputs"]
        self.runs += len(points) * self.worlds
        rollout.runs = 0.0
        return found


def _need_residuals(laws: list[Likelihood]) -> None:
    for law in laws:
        for one in law.series:
            if not hasattr(one.noise, "residuals"):
                raise FittingError(
                    f"no gradient passes its check here, and {type(one.noise).__name__} of "
                    f"{one.observable!r} has no residuals to do without; choose another noise"
                )
