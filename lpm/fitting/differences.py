"""Differences with common random numbers: the reference of every other estimator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError
from ..params import Params
from ..population import Population
from ..scenario import Scenario
from .runs import run_losses, sum_rows
from .seam import Loss, PerRun
from .stencils import Stencil, place_stencil


@dataclass(frozen=True)
class Differences:
    """Central differences in which both sides share their random numbers.

    Two runs per key for every element of a field and every size; the variance for events that a
    threshold decides is about 1 / (step x agents). The bias is of the order of step squared.

    Attributes:
        step: distance to each side, on a field's unconstrained scale (`Knob.unconstrain`), where
            0.05 is about 5 % of a value; one for all fields, or by name.
        sizes: multiples of `step`. The gradient is that of the first; `gaps` are what the second
            differs by, and about three quarters of the bias (Richardson).
    """

    step: float | Mapping[str, float] = 0.05
    sizes: tuple[float, ...] = (1.0, 0.5)

    def __call__(
        self,
        scenario: Scenario[Any, Any],
        population: Population,
        loss: Loss,
        keys: UInt32[Array, "run 2"],
        params: Params,
        fields: tuple[str, ...],
        steps: int,
        every: int,
    ) -> PerRun:
        """Gradients by run of the loss by `fields`."""
        asked = (scenario, population, loss, keys, params, fields, steps, every)
        rows, stencils = self._evaluate(*asked)
        cost = float(rows.shape[0] * rows.shape[1]) * steps * population.capacity
        values = sum_rows(rows.reshape(-1, *rows.shape[2:])).reshape(rows.shape[:2])
        return self._derive(values, stencils, params, fields, cost)

    def of_each(
        self,
        scenario: Scenario[Any, Any],
        population: Population,
        readings: Loss,
        keys: UInt32[Array, "run 2"],
        params: Params,
        fields: tuple[str, ...],
        steps: int,
        every: int,
    ) -> list[PerRun]:
        """Gradients of each of the numbers that `readings` gives for a run, from the same runs."""
        asked = (scenario, population, readings, keys, params, fields, steps, every)
        rows, stencils = self._evaluate(*asked)
        cost = float(rows.shape[0] * rows.shape[1]) * steps * population.capacity
        columns = np.moveaxis(rows.astype(np.float64), -1, 0)
        return [self._derive(values, stencils, params, fields, cost) for values in columns]

    def _evaluate(
        self,
        scenario: Scenario[Any, Any],
        population: Population,
        loss: Loss,
        keys: UInt32[Array, "run 2"],
        params: Params,
        fields: tuple[str, ...],
        steps: int,
        every: int,
    ) -> tuple[Float[np.ndarray, "variant run ..."], dict[tuple[str, float], Stencil]]:
        """What the loss is at every point, and where the points lie."""
        stencils = {
            (name, size): place_stencil(
                type(params).knobs()[name], getattr(params, name), size * self._step(name)
            )
            for name in fields
            for size in self.sizes
        }
        changed, labels = _variants(params, fields, stencils)
        runs, variants = len(keys), len(labels)
        rows = run_losses(
            scenario,
            population,
            loss,
            jnp.tile(keys, (variants, 1)),
            params,
            {name: np.repeat(x, runs, axis=0) for name, x in changed.items()},
            steps,
            every,
            lambda lane: f"run {lane % runs} {labels[lane // runs]}",
        )
        return rows.reshape(variants, runs, *rows.shape[1:]), stencils

    def _derive(
        self,
        values: Float[np.ndarray, "variant run"],
        stencils: Mapping[tuple[str, float], Stencil],
        params: Params,
        fields: tuple[str, ...],
        cost: float,
    ) -> PerRun:
        found = _differences(values, fields, stencils, self.sizes, params)
        first = {name: found[name, self.sizes[0]] for name in fields}
        gaps = {name: found[name, size] - first[name] for name in fields for size in self.sizes[1:]}
        return PerRun(first, values[0], cost, gaps)

    def _step(self, name: str) -> float:
        step = self.step.get(name, 0.05) if isinstance(self.step, Mapping) else self.step
        if not 0 < step <= 0.5:
            raise FittingError(
                f"the step of {name} is {step}; give one above 0 and at most 0.5 on its "
                "unconstrained scale"
            )
        return float(step)


def _variants(
    params: Params, fields: tuple[str, ...], stencils: Mapping[tuple[str, float], Stencil]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Values of each field by variant, and what each variant is called; the first is the start."""
    labels = ["at the start"]
    changes: list[tuple[str, int, float]] = []
    for (name, _), stencil in stencils.items():
        for element, point in np.ndindex(stencil.points.shape[::-1]):
            at = float(stencil.points[point, element])
            index = f"[{element}]" if np.ndim(getattr(params, name)) else ""
            labels.append(f"with {name}{index} = {at:g}")
            changes.append((name, element, at))
    changed = {}
    for name in fields:
        value = np.asarray(getattr(params, name))
        rows = np.tile(value.ravel(), (len(labels), 1))
        for variant, (other, element, at) in enumerate(changes, 1):
            if other == name:
                rows[variant, element] = at
        changed[name] = rows.reshape(-1, *value.shape)
    return changed, labels


def _differences(
    values: Float[np.ndarray, "variant run"],
    fields: tuple[str, ...],
    stencils: Mapping[tuple[str, float], Stencil],
    sizes: tuple[float, ...],
    params: Params,
) -> dict[tuple[str, float], np.ndarray]:
    """Derivatives [run, *field] by name and size, from the losses in the order of `_variants`."""
    found, next_variant = {}, 1
    for name in fields:
        for size in sizes:
            near, far, middle = stencils[name, size].weights[..., None]
            sides = values[next_variant : next_variant + 2 * len(near)].reshape(len(near), 2, -1)
            next_variant += 2 * len(near)
            slopes = near * sides[:, 0] + far * sides[:, 1] + middle * values[0]
            shape = (values.shape[1], *np.shape(getattr(params, name)))
            found[name, size] = slopes.T.reshape(shape)
    return found
