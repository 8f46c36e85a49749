"""What a filter reads off a period: how a series sees the latest rows of one particle."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..errors import FittingError, unknown
from .losses import Series

Rows = dict[str, Array]


@runtime_checkable
class Reports(Protocol):
    """A series with a law of its own, period by period, in place of a `Series`.

    For noise that has parameters of the scenario, or reads several observables. Beside the two
    methods it has `observables`, the names it reads; `target`, [period, ...] with `nan` where
    missing; `window`, the rows of a period; and `first`, the rows before the first one.
    """

    observables: tuple[str, ...]
    target: Any
    window: int
    first: int

    def expected(self, rows: Rows) -> Array:
        """What is expected of a period; `rows` hold its observables by name, [window, ...]."""
        ...

    def log_density(self, rows: Rows, target: Array) -> Array:
        """Log-density of the period's target, one number."""
        ...


class Reading:
    """A series as a filter reads it; equal to another of the same series, so that jit may cache.

    Attributes:
        observables: names that it reads.
        name: how errors call it.
        target: [period, ...], float64.
        window, first: rows of a period, and before the first.
        lags: rows before a period that still count in it.
    """

    def __init__(self, series: Any) -> None:
        plain = isinstance(series, Series)
        if not plain and not isinstance(series, Reports):
            raise FittingError(
                f"a series is a {type(series).__name__}; give an lpm.fitting.Series, or an object "
                "with observables, target, window, first, expected and log_density"
            )
        self.series = series
        self.observables = (series.observable,) if plain else tuple(series.observables)
        self.name = ", ".join(self.observables)
        self.target = np.asarray(series.target, np.float64)
        self.window, self.first = int(series.window), int(series.first)
        self.lags = len(series.delay) - 1 if plain else 0
        self.periods = len(self.target)
        self.known = ~np.isnan(self.target.reshape(self.periods, -1)).all(axis=1)
        if self.window < 1 or self.first < 0 or not self.known.any():
            raise FittingError(
                f"the series of {self.name} has window {self.window}, first {self.first} and "
                f"{int(self.known.sum())} known periods; give at least 1, 0 and 1"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and other.series is self.series

    def __hash__(self) -> int:
        return id(self.series)

    @property
    def ends(self) -> int:
        """Rows up to the end of its last period."""
        return self.first + self.periods * self.window

    def due(self, rows: Any) -> tuple[Any, Any]:
        """Whether a period ends after so many rows, and which one (0 where none)."""
        past = rows - self.first
        period = past // self.window - 1
        ends = (past % self.window == 0) & (period >= 0) & (period < self.periods)
        return ends, jnp.where(ends, period, 0) if isinstance(rows, jax.Array) else period

    def check(self, shapes: dict[str, Any]) -> None:
        """Refuse observables that are not there, or of another shape than the target.

        Raises:
            FittingError: says which.
        """
        missing = [name for name in self.observables if name not in shapes]
        if missing:
            raise FittingError(unknown("scenario", "observable", missing, shapes))
        rows = {
            name: jax.ShapeDtypeStruct((self.window + self.lags, *shapes[name].shape), jnp.float32)
            for name in self.observables
        }
        found = jax.eval_shape(lambda rows: self.expected(rows, jnp.int32(0)), rows)
        if found.shape != self.target.shape[1:]:
            raise FittingError(
                f"target of {self.name!r} is {list(self.target.shape)}, but a period of a run "
                f"gives {list(found.shape)}"
            )
        density = jax.eval_shape(lambda rows: self.log_density(rows, jnp.int32(0)), rows)
        if density.shape != ():
            raise FittingError(
                f"log_density of {self.name!r} gives {list(density.shape)}; it must be one number"
            )

    def expected(self, rows: Rows, period: Int[Array, ""]) -> Float[Array, "..."]:
        """What is expected of a period whose rows, and the lagged ones before, are `rows`."""
        if not isinstance(self.series, Series):
            return jnp.asarray(self.series.expected(rows), jnp.float32)
        events, lags = jnp.asarray(rows[self.series.observable], jnp.float32), self.lags
        late = jnp.zeros_like(events[: self.window])
        for lag, share in enumerate(np.asarray(self.series.delay, np.float32).tolist()):
            late = late + share * events[lags - lag : lags - lag + self.window]
        reported = np.asarray(self.series.reported, np.float32)
        share = jnp.broadcast_to(reported, (self.periods,))[period] if reported.ndim else reported
        return late.sum(axis=0) * share + self.series.background

    def log_density(self, rows: Rows, period: Int[Array, ""]) -> Float[Array, ""]:
        """Log-density of what was published for a period; 0 where nothing was."""
        if not isinstance(self.series, Series):
            wanted = jnp.asarray(self.target, jnp.float32)[period]
            found = self.series.log_density(rows, wanted)
            return jnp.where(jnp.asarray(self.known)[period], found, 0.0)
        # Laws of counts prepare the target on the host, hence all periods at once: XLA computes of
        # an elementwise law only the one that is read.
        mean = jnp.broadcast_to(self.expected(rows, period), self.target.shape)
        every = self.series.noise.log_likelihood(self.target, mean)
        return every.reshape(self.periods, -1).sum(axis=1)[period] * self.series.weight


def read(series: Any) -> tuple[Reading, ...]:
    """One series or several, as readings.

    Raises:
        FittingError: none, or something that is no series.
    """
    several = series if isinstance(series, Sequence) else (series,)
    if not several:
        raise FittingError("there is no series; give at least one")
    return tuple(Reading(one) for one in several)


def stretch(readings: Sequence[Reading]) -> int:
    """Rows of a period of the filter: the most that lie inside one period of every series."""
    return math.gcd(*(one.window for one in readings), *(one.first for one in readings))


def weighted(readings: Sequence[Reading], width: int, periods: int) -> bool:
    """Whether anything is published at the end of one of the filter's first periods."""
    for one in readings:
        for rows in range(width, (periods + 1) * width, width):
            ends, period = one.due(rows)
            if ends and bool(np.asarray(one.known)[period]):
                return True
    return False
