"""Observed beside expected, period by period."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Array, Float

from ..errors import FittingError
from ..trajectory import Trajectory
from .journal import Journal
from .losses import Series, Together
from .objective import Objective
from .seam import Loss


@dataclass(frozen=True, eq=False)
class _Expected:
    """What is expected of all periods; no tree, since targets are arrays and decide no equality."""

    series: tuple[Series, ...]

    def __call__(self, trajectory: Trajectory) -> Float[Array, " datum"]:
        return jnp.concatenate([one.expected(trajectory).ravel() for one in self.series])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Expected)
            and len(self.series) == len(other.series)
            and all(a is b for a, b in zip(self.series, other.series, strict=True))
        )

    def __hash__(self) -> int:
        return hash(tuple(id(one) for one in self.series))


def series_in(loss: Loss) -> tuple[Series, ...]:
    """The series a loss is made of; none for a plain function."""
    if isinstance(loss, Together):
        return loss.series
    return (loss,) if isinstance(loss, Series) else ()


def residual_table(
    objective: Objective, point: Float[np.ndarray, " element"], loss: Loss
) -> pl.DataFrame:
    """A row per series, period and class; see `Fit.residuals`.

    Raises:
        FittingError: the loss is not made of series.
    """
    series = series_in(loss)
    if not series:
        raise FittingError("the loss is a plain function; residuals need lpm.fitting.Series")
    # Its runs are nobody's budget, and its answers belong in no journal.
    reader = replace(objective, readings=_Expected(series), journal=Journal(None, {}))
    expected = reader.evaluate(point[None])[0].astype(np.float64)
    frames, first = [], 0
    for one in series:
        target = np.asarray(one.target, float)
        part = expected[:, first : first + one.data].reshape(-1, *target.shape)
        first += one.data
        period, *rest = np.indices(target.shape)
        mean = part.mean(axis=0)
        misses = -np.asarray(one.noise.residuals(target, jnp.asarray(mean, jnp.float32)))  # pyright: ignore[reportAttributeAccessIssue]
        columns = {
            "series": [one.observable] * target.size,
            "period": period.ravel(),
            "class": (rest[0] if rest else np.zeros_like(period)).ravel(),
            "observed": target.ravel(),
            "expected": mean.ravel(),
            "low": part.min(axis=0).ravel(),
            "high": part.max(axis=0).ravel(),
            "residual": np.where(np.isnan(target), np.nan, misses).ravel(),
        }
        frames.append(pl.DataFrame(columns).fill_nan(None))
    return pl.concat(frames)
