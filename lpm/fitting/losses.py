"""From a trajectory to a loss: what was published, and how it comes about from what happened."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from ..axes import Array
from ..errors import FittingError, unknown
from ..trajectory import Trajectory
from .noise import NegativeBinomial, Noise


@final
@dataclass(frozen=True)
class Series:
    """A published series and the observable behind it. Called with a run, it is a loss.

    What is expected of a period is the observable summed over the period's rows, times the share
    that is ever reported, after a delay, plus a background. Only periods that are published count:
    write `nan` for weeks that are missing, and the newest weeks again when they are revised.

    Attributes:
        observable: its name, one number or one array per row.
        target: published numbers, [period] or [period, class].
        noise: how they scatter about their expectation.
        window: rows that make a period, such as 7 for weeks of a daily run.
        first: rows before the first period.
        reported: share of events that are ever reported; one number, or one per period.
        delay: share of the reported that are reported 0, 1, 2, ... rows after the event.
        background: expected count of a period from elsewhere; keeps a count that the model thinks
            impossible from being infinitely bad.
        weight: of the whole series among several; 1 is the likelihood's own.

    Raises:
        FittingError: a target that is negative, infinite or all missing, shares outside [0, 1], or
            a delay that does not sum to 1.
    """

    observable: str
    target: Any
    noise: Noise = field(default_factory=NegativeBinomial)
    window: int = 1
    first: int = 0
    reported: Any = 1.0
    delay: Sequence[float] = (1.0,)
    background: float = 1e-3
    weight: float = 1.0

    def __post_init__(self) -> None:
        target = np.asarray(self.target, float)
        known = target[~np.isnan(target)]
        if target.ndim not in (1, 2) or not known.size or not (np.isfinite(known).all()):
            raise FittingError(
                f"target of {self.observable!r} has shape {list(target.shape)} and {known.size} "
                "known values; give finite numbers, [period] or [period, class], nan where missing"
            )
        if (known < 0).any():
            period = int(np.argwhere(target < 0)[0][0])
            raise FittingError(f"target of {self.observable!r} is negative in period {period}")
        shares = np.asarray(self.reported, float)
        if not ((shares >= 0) & (shares <= 1)).all():
            raise FittingError(f"reported of {self.observable!r} must lie in [0, 1]")
        lags = np.asarray(self.delay, float)
        if (lags < 0).any() or abs(lags.sum() - 1) > 1e-6:
            raise FittingError(
                f"delay of {self.observable!r} sums to {lags.sum():g}; its shares must sum to 1"
            )
        if self.window < 1 or self.first < 0 or self.background < 0:
            raise FittingError(
                f"{self.observable!r} has window {self.window}, first {self.first} and background "
                f"{self.background}; give at least 1 row, and 0 or more of the others"
            )

    @property
    def periods(self) -> int:
        """Periods of the target, known or not."""
        return len(np.asarray(self.target))

    def expected(self, trajectory: Trajectory) -> Float[Array, "period ..."]:
        """What the run expects of each period.

        Raises:
            FittingError: no such observable, or the run is shorter than the target.
        """
        if self.observable not in trajectory.observed:
            raise FittingError(
                unknown("trajectory", "observable", [self.observable], trajectory.observed)
            )
        events = jnp.asarray(trajectory.observed[self.observable], jnp.float32)
        rows = self.first + self.periods * self.window
        if events.shape[0] < rows:
            raise FittingError(
                f"the target of {self.observable!r} needs {rows} rows, but the run has "
                f"{events.shape[0]}; run longer or shorten the target"
            )
        lags = np.asarray(self.delay, np.float32)
        late = sum(
            share * jnp.concatenate([jnp.zeros_like(events[:lag]), events[: len(events) - lag]])
            for lag, share in enumerate(lags.tolist())
        )
        inside = jnp.asarray(late)[self.first : rows]
        sums = inside.reshape(self.periods, self.window, *events.shape[1:]).sum(axis=1)
        shares = np.asarray(self.reported, np.float32)
        shares = shares.reshape(shares.shape + (1,) * (sums.ndim - shares.ndim))
        return sums * shares + self.background

    def log_likelihood(self, trajectory: Trajectory) -> Float[Array, " period"]:
        """Log-likelihood of each period, 0 where nothing is published.

        Raises:
            FittingError: as `expected`, or the target has other classes than the observable.
        """
        mean, target = self._mean(trajectory), np.asarray(self.target, float)
        found = self.noise.log_likelihood(target, mean)
        return found.reshape(self.periods, -1).sum(axis=1) * self.weight

    def _mean(self, trajectory: Trajectory) -> Float[Array, "period ..."]:
        mean, shape = self.expected(trajectory), list(np.shape(self.target))
        if list(mean.shape) != shape:
            raise FittingError(
                f"target of {self.observable!r} is {shape}, but the run gives "
                f"{list(mean.shape)} for its periods"
            )
        return mean

    def residuals(self, trajectory: Trajectory) -> Float[Array, " datum"]:
        """Misses in standard deviations, period by period, and class by class within one.

        Half their squares are the negative log-likelihood but for a constant, or nearly so.

        Raises:
            FittingError: the noise has no residuals, or as `log_likelihood`.
        """
        if not hasattr(self.noise, "residuals"):
            raise FittingError(f"{type(self.noise).__name__} has no residuals")
        mean, target = self._mean(trajectory), np.asarray(self.target, float)
        found = self.noise.residuals(target, mean)  # pyright: ignore[reportAttributeAccessIssue]
        return found.ravel() * np.sqrt(self.weight)

    def simulate(self, trajectory: Trajectory, key: Key[Array, ""]) -> "Series":
        """The same series with numbers that the run might have had published.

        What is missing stays missing.

        Raises:
            FittingError: the noise has no sample, or as `log_likelihood`.
        """
        if not hasattr(self.noise, "sample"):
            raise FittingError(f"{type(self.noise).__name__} has no sample(key, mean, observed)")
        mean, target = self._mean(trajectory), np.asarray(self.target, float)
        drawn = self.noise.sample(key, mean, target)  # pyright: ignore[reportAttributeAccessIssue]
        return replace(self, target=np.where(np.isnan(target), np.nan, np.asarray(drawn, float)))

    def name(self, datum: int) -> str:
        """How an error names one of the residuals."""
        width = int(np.prod(np.asarray(self.target).shape[1:]))
        period, rest = divmod(datum, width)
        return f"{self.observable}, period {period}" + (f", class {rest}" if width > 1 else "")

    @property
    def data(self) -> int:
        """Residuals, known or not."""
        return int(np.asarray(self.target).size)

    def __call__(self, trajectory: Trajectory) -> Float[Array, " row"]:
        """Negative log-likelihood, each period's in the row in which the period ends."""
        found = self.log_likelihood(trajectory)
        rows = trajectory.observed[self.observable].shape[0]
        ends = self.first + (1 + np.arange(self.periods)) * self.window - 1
        return jnp.zeros(rows).at[ends].set(-found)


@final
@dataclass(frozen=True)
class Together:
    """Several series of one run, as one loss, row by row."""

    series: tuple[Series, ...]

    def __call__(self, trajectory: Trajectory) -> Float[Array, " row"]:
        """Negative log-likelihood by row, added up over the series."""
        parts = [one(trajectory) for one in self.series]
        return jnp.sum(jnp.stack(parts), axis=0)

    def residuals(self, trajectory: Trajectory) -> Float[Array, " datum"]:
        """Those of all series, one after the other."""
        return jnp.concatenate([one.residuals(trajectory) for one in self.series])

    def simulate(self, trajectory: Trajectory, key: Key[Array, ""]) -> "Together":
        """The same series with numbers that the run might have had published.

        Raises:
            FittingError: as `Series.simulate`.
        """
        keys = jax.random.split(key, len(self.series))
        return Together(
            tuple(one.simulate(trajectory, k) for one, k in zip(self.series, keys, strict=True))
        )

    def name(self, datum: int) -> str:
        """How an error names one of the residuals."""
        for one in self.series:
            if datum < one.data:
                return one.name(datum)
            datum -= one.data
        raise IndexError(datum)

    @property
    def data(self) -> int:
        """Residuals of all series."""
        return sum(one.data for one in self.series)


def together(*series: Series) -> Together:
    """A loss that adds up several series of one run, row by row."""
    return Together(series)


def log_mean_exp(log_likelihoods: Float[Array, " run"]) -> Float[Array, ""]:
    """Log of the mean likelihood over runs: what a run of random length says of the data.

    Unlike the mean of the logs it is not ruled by the unluckiest run.
    """
    runs = log_likelihoods.shape[0]
    return jax.scipy.special.logsumexp(log_likelihoods) - jnp.log(runs)


def synthetic_likelihood(
    statistics: Float[Array, "run statistic"], observed: Float[Array, " statistic"]
) -> Float[Array, ""]:
    """Log-density of observed statistics under the normal law of those of the runs.

    The covariance is that of the runs; with fewer runs than about five times the statistics it is
    too rough to be used.

    Raises:
        FittingError: not more runs than statistics.

    Source: Wood (2010), Nature 466, equation 1.
    """
    runs, size = statistics.shape
    if runs <= size + 1:
        raise FittingError(f"{runs} runs cannot tell the spread of {size} statistics; give more")
    mean = statistics.mean(axis=0)
    centred = statistics - mean[None]
    covariance = centred.T @ centred / (runs - 1)
    factor = jnp.linalg.cholesky(covariance)
    z = jax.scipy.linalg.solve_triangular(factor, observed - mean, lower=True)
    half = jnp.sum(jnp.log(jnp.diagonal(factor)))
    return -0.5 * jnp.sum(z**2) - half - 0.5 * size * jnp.log(2 * jnp.pi)
