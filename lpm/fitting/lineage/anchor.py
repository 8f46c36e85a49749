"""The length of a gradient of many elements, from differences along its own direction."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ...params import Params
from ...population import Population
from ...scenario import Scenario
from ..chance import fresh_words
from ..runs import run_losses, sum_rows
from ..seam import Loss
from ..stencils import unit_length

_STEP, _FARTHEST = 0.05, 1.0  # On the unconstrained scale: of each element, and of all together.
_PAIRS = 3  # For each key: its own luck, and more.
RUNS = 2 * _PAIRS

Gradients = Mapping[str, Float[np.ndarray, "run ..."]]


def anchor(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    keys: UInt32[Array, "run 2"],
    params: Params,
    gradients: Gradients,
    steps: int,
    every: int,
) -> dict[str, Float[np.ndarray, "run ..."]]:
    """Gradients by run whose part along their mean is that of differences.

    Along a direction in which all elements move together a difference has little noise, and it has
    no bias but that of its step. What is at right angles to it stays as it was. Each run of a
    gradient gets the differences of its own key and of further ones, `RUNS` runs in all.
    """
    knobs, runs = type(params).knobs(), len(keys)
    values = {name: np.asarray(getattr(params, name)) for name in gradients}
    centre = _flat(np.asarray(knobs[n].unconstrain(x)) for n, x in values.items())
    # An element on its bound has no unconstrained scale to move on, and keeps its part.
    lengths = _flat(unit_length(knobs[n], x) for n, x in values.items())
    lengths = np.where(np.isfinite(centre), lengths, 0.0)
    mine = np.concatenate([np.reshape(x, (runs, -1)) for x in gradients.values()], axis=1)
    own = (mine * lengths).mean(axis=0, dtype=np.float64)
    size = float(np.linalg.norm(own))
    if not size or not np.isfinite(size):
        return dict(gradients)
    direction = own / size
    reach = min(_STEP * np.sqrt(own.size), _FARTHEST)
    sides = [_moved(params, values, centre, sign * reach * direction) for sign in (1, -1)]
    changed = {
        name: np.repeat(np.stack([side[name] for side in sides]), runs * _PAIRS, axis=0)
        for name in values
    }
    luck = jnp.concatenate([keys, fresh_words(keys, runs * (_PAIRS - 1), "anchor")])
    rows = run_losses(
        scenario, population, loss, jnp.tile(luck, (2, 1)), params, changed, steps, every
    )
    above, below = sum_rows(rows).reshape(2, _PAIRS, runs).mean(axis=1)
    missing = (above - below) / (2 * reach) - (mine * lengths) @ direction
    back = np.divide(direction, lengths, out=np.zeros_like(direction), where=lengths > 0)
    return _by_name(values, mine + missing[:, None] * back)


def _moved(
    params: Params,
    values: Mapping[str, Float[np.ndarray, "..."]],
    centre: Float[np.ndarray, " element"],
    move: Float[np.ndarray, " element"],
) -> dict[str, Float[np.ndarray, "..."]]:
    """The fields moved on the unconstrained scale, inside their domains."""
    moved = _by_name(values, (centre + move)[None])
    found = {}
    for name, value in values.items():
        knob = type(params).knobs()[name]
        z = moved[name][0].astype(np.float32)
        known = np.isfinite(z)
        x = np.where(known, np.asarray(knob.constrain(np.where(known, z, 0.0))), value)
        domain = knob.domain
        inside = np.clip(x, domain.lower, domain.upper) if domain.bounded else x
        found[name] = np.asarray(inside)
    return found


def _flat(parts: Iterable[Float[np.ndarray, "..."]]) -> Float[np.ndarray, " element"]:
    return np.concatenate([np.ravel(part).astype(np.float64) for part in parts])


def _by_name(
    values: Mapping[str, Float[np.ndarray, "..."]], rows: Float[np.ndarray, "run element"]
) -> dict[str, Float[np.ndarray, "run ..."]]:
    """Rows of all elements as fields."""
    parts = np.split(rows, np.cumsum([x.size for x in values.values()])[:-1], axis=1)
    return {
        name: part.reshape(len(rows), *x.shape)
        for (name, x), part in zip(values.items(), parts, strict=True)
    }
