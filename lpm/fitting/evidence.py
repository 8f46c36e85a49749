"""What the data say of a run, told so that other data need no new compilation."""

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from ..errors import FittingError
from ..trajectory import Trajectory
from .chance import fresh_words
from .losses import Series, Together
from .objective import Objective, Points, Readings
from .runs import as_tree, run_losses
from .seam import Loss

LogLikelihood: TypeAlias = Series | Together | Loss


class _Reader:
    """A series without its numbers: equal to another that expects the same of every run."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self._key = (
            series.observable,
            series.window,
            series.first,
            series.background,
            tuple(series.delay),
            np.asarray(series.reported, float).tobytes(),
            np.shape(series.target),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reader) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)


class _Means(eqx.Module):
    """What a run expects of every datum, series after series."""

    readers: tuple[_Reader, ...] = eqx.field(static=True)

    def __call__(self, trajectory: Trajectory) -> Float[Array, " datum"]:
        parts = [one.series.expected(trajectory).ravel() for one in self.readers]
        return jnp.concatenate(parts)


@dataclass(frozen=True)
class Evidence:
    """Data and their law given a run.

    `Series` and `Together` bring data; runs are then read as what they expect of each datum, and
    data can be replicated. Anything else that can be called is a function of the trajectory that
    gives its log-likelihood.

    Attributes:
        law: what the caller gave.
        series: the series it is made of; none for a function.
        readings: what is read off a run, the expected data or the log-likelihood.
    """

    law: LogLikelihood
    series: tuple[Series, ...] = field(init=False)
    readings: Any = field(init=False)

    def __post_init__(self) -> None:
        law = self.law
        series = law.series if isinstance(law, Together) else (law,)
        series = tuple(one for one in series if isinstance(one, Series))
        readings = _Means(tuple(_Reader(one) for one in series)) if series else None
        object.__setattr__(self, "series", series)
        object.__setattr__(self, "readings", readings or Readings(as_tree(self.law)))

    @property
    def observed(self) -> Float[np.ndarray, " datum"]:
        """All data, nan where missing."""
        return np.concatenate([np.asarray(one.target, float).ravel() for one in self.series])

    def with_data(self, data: Float[np.ndarray, " datum"]) -> "Evidence":
        """The same series with other numbers; what is missing stays missing."""
        parts, first = [], 0
        for one in self.series:
            target = np.asarray(one.target, float)
            new = data[first : first + target.size].reshape(target.shape)
            first += target.size
            parts.append(replace(one, target=np.where(np.isnan(target), np.nan, new)))
        return Evidence(Together(tuple(parts)) if isinstance(self.law, Together) else parts[0])

    def need_data(self, who: str) -> None:
        """Refuse what cannot be replicated.

        Raises:
            FittingError: a plain function, a law without sample, or a weight other than 1.
        """
        if not self.series:
            raise FittingError(
                f"{who} needs lpm.fitting.Series, whose data it can simulate; a function of the "
                "trajectory goes with method='smc' or 'variational'"
            )
        for one in self.series:
            if not hasattr(one.noise, "sample"):
                raise FittingError(
                    f"{type(one.noise).__name__} has no sample(key, mean, observed), by which "
                    f"{who} simulates data"
                )
            if one.weight != 1:
                raise FittingError(
                    f"the series of {one.observable!r} weighs {one.weight}; {who} simulates data, "
                    "which have no weight, so leave it at 1"
                )

    def log_likelihoods(
        self, outputs: Float[np.ndarray, "*batch output"]
    ) -> Float[np.ndarray, "*batch"]:
        """Log-likelihood of the data by run; -inf where the run failed."""
        if not self.series:
            found = outputs[..., 0].astype(np.float64)
            return np.where(np.isfinite(found), found, -np.inf)
        flat = outputs.reshape(-1, outputs.shape[-1])
        total, first = np.zeros(len(flat)), 0
        for one in self.series:
            target = np.asarray(one.target, float)
            means = jnp.asarray(flat[:, first : first + target.size])
            first += target.size
            found = jax.vmap(
                lambda mean, one=one, target=target: one.noise.log_likelihood(
                    target, mean.reshape(target.shape)
                )
            )(means)
            total += one.weight * np.asarray(found, np.float64).reshape(len(flat), -1).sum(axis=1)
        failed = ~np.isfinite(flat).all(axis=1) | ~np.isfinite(total)
        return np.where(failed, -np.inf, total).reshape(outputs.shape[:-1])

    def replicate(
        self, key: Key[Array, ""], means: Float[np.ndarray, "run datum"], draws: int
    ) -> Float[np.ndarray, "run draw datum"]:
        """Data that each run might have had published, several times over."""
        parts, first = [], 0
        for number, one in enumerate(self.series):
            target = np.asarray(one.target, float)
            some = jnp.asarray(means[:, first : first + target.size], jnp.float32)
            first += target.size
            keys = jax.random.split(jax.random.fold_in(key, number), (len(means), draws))

            def draw(key: Array, mean: Array, one: Series = one, target: Any = target) -> Array:
                mean = mean.reshape(target.shape)
                return one.noise.sample(key, mean, target).ravel()  # pyright: ignore[reportAttributeAccessIssue]

            parts.append(np.asarray(jax.vmap(jax.vmap(draw, (0, None)))(keys, some), np.float64))
        return np.concatenate(parts, axis=2)


def as_key(words: UInt32[Array, "world 2"], purpose: str) -> Key[Array, ""]:
    """A JAX key for one purpose, the same for the same worlds."""
    return jax.random.wrap_key_data(fresh_words(words, 1, purpose)[0], impl="threefry2x32")


def run_each(
    objective: Objective, points: Points, purpose: str
) -> Float[np.ndarray, "point output"]:
    """Outputs with a world of its own for every point, counted and kept like all others.

    Where the scatter of runs is to be learnt beside their mean, one run at each of many points
    says more than many runs at a few.
    """

    def compute() -> dict[str, np.ndarray]:
        rows = run_losses(
            objective.scenario,
            objective.populations[0],
            objective.readings,
            fresh_words(objective.words, len(points), purpose),
            objective.space.params,
            objective.space.place(points),
            objective.steps,
            objective.every,
            strict=False,
        )
        return {"outputs": rows.reshape(len(points), -1)}

    found = objective.journal.answer(f"runs, {purpose}", points, compute)["outputs"]
    objective.runs += len(points)
    return found
