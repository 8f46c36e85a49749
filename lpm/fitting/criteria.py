"""What least squares lower: the averaged loss, or the misfit of the mean run."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, final, runtime_checkable

import numpy as np
from jaxtyping import Float

from .averaging import Average

Vector: TypeAlias = Float[np.ndarray, " element"]
Matrix: TypeAlias = Float[np.ndarray, "element element"]
Worlds: TypeAlias = Float[np.ndarray, "world output"]
Slopes: TypeAlias = Float[np.ndarray, "world datum element"]
_FOLDS = 5  # Of the runs that tell the noise between runs.


@runtime_checkable
class Criterion(Protocol):
    """A number from loss and residuals by world, with its Gauss-Newton equations."""

    def values(
        self, outputs: Float[np.ndarray, "point world output"]
    ) -> Float[np.ndarray, " point"]:
        """The number at several points."""
        ...

    def normal_equations(self, outputs: Worlds, slopes: Slopes) -> tuple[Vector, Matrix]:
        """Its gradient and Gauss-Newton matrix."""
        ...

    def information(self, outputs: Worlds, slopes: Slopes) -> Matrix:
        """The Gauss-Newton matrix without what noise in the slopes adds to it."""
        ...

    def scatter(self, outputs: Worlds, slopes: Slopes) -> Matrix:
        """Covariance between worlds of the gradient that the criterion itself does not count."""
        ...

    def told_by(self, outputs: Worlds) -> int:
        """Runs whose luck the fit's own mean holds."""
        ...


@final
@dataclass(frozen=True)
class Averaged:
    """The loss averaged over worlds."""

    average: Average

    def values(
        self, outputs: Float[np.ndarray, "point world output"]
    ) -> Float[np.ndarray, " point"]:
        """The average at several points."""
        return self.average.weigh(outputs[..., 0].astype(np.float64))[0]

    def normal_equations(self, outputs: Worlds, slopes: Slopes) -> tuple[Vector, Matrix]:
        """Sums over worlds, as the average weighs them."""
        outputs = outputs.astype(np.float64)
        _, weights = self.average.weigh(outputs[:, 0])
        gradient = np.einsum("w,wd,wde->e", weights, outputs[:, 1:], slopes)
        return gradient, np.einsum("w,wde,wdf->ef", weights, slopes, slopes)

    def information(self, outputs: Worlds, slopes: Slopes) -> Matrix:
        """From products of different worlds, whose noise is independent."""
        _, weights = self.average.weigh(outputs[:, 0].astype(np.float64))
        return _across(slopes * np.sqrt(weights * len(weights))[:, None, None])

    def scatter(self, outputs: Worlds, slopes: Slopes) -> Matrix:
        """How the gradient differs between runs, and so would with the run behind the data."""
        outputs = outputs.astype(np.float64)
        if len(outputs) < 2:
            return np.zeros((slopes.shape[-1],) * 2)
        scores = outputs[:, 1:] @ slopes.mean(axis=0)
        return np.atleast_2d(np.cov(scores, rowvar=False))

    def told_by(self, outputs: Worlds) -> int:
        """The worlds of the fit."""
        return len(outputs)


@final
@dataclass(frozen=True)
class Synthetic:
    """Half the squared distance of the mean run from the data, in units of their joint noise.

    The data are one run seen through noise, so that their covariance about the mean run is that of
    the observations, 1 in residuals, plus that between runs, plus what the mean over a few runs
    has itself. The mean of each run's own likelihood would prefer params whose runs vary little.

    Attributes:
        root: turns residuals into independent ones of variance 1, [datum, datum].
        runs: residuals about their mean of the runs that told the noise between runs.
        shift: by how much their mean differs from that of the worlds of the fit at the same point.
            Added everywhere it makes the mean that of many runs, as long as runs that share their
            random numbers move alike.

    Source: Wood (2010), Nature 466, with the covariance held while the mean is fitted.
    """

    root: Float[np.ndarray, "datum datum"]
    runs: Float[np.ndarray, "run datum"] | None = None
    shift: Float[np.ndarray, " datum"] | None = None

    def _mean(
        self, outputs: Float[np.ndarray, "*point world output"]
    ) -> Float[np.ndarray, "*point datum"]:
        found = outputs[..., 1:].astype(np.float64).mean(axis=-2)
        return found if self.shift is None else found + self.shift

    def values(
        self, outputs: Float[np.ndarray, "point world output"]
    ) -> Float[np.ndarray, " point"]:
        """Half the chi-square at several points."""
        with np.errstate(invalid="ignore"):
            misses = self._mean(outputs) @ self.root.T
        found = 0.5 * (misses**2).sum(axis=-1)
        return np.where(np.isfinite(found), found, np.inf)

    def normal_equations(self, outputs: Worlds, slopes: Slopes) -> tuple[Vector, Matrix]:
        """Those of generalised least squares."""
        miss = self.root @ self._mean(outputs)
        slope = self.root @ slopes.mean(axis=0)
        return slope.T @ miss, slope.T @ slope

    def information(self, outputs: Worlds, slopes: Slopes) -> Matrix:  # noqa: ARG002
        """From products of different worlds, whose noise is independent."""
        return _across(np.einsum("cd,wde->wce", self.root, slopes))

    def scatter(self, outputs: Worlds, slopes: Slopes) -> Matrix:
        """What runs that had no part in the covariance scatter beyond it.

        A covariance from few runs is too small along the very directions that it makes weigh most.
        """
        size = slopes.shape[-1]
        if self.runs is None or len(self.runs) < 2 * _FOLDS:
            return np.zeros((size, size))
        slope, runs, worlds = slopes.mean(axis=0), self.runs, self.told_by(outputs)
        fold = np.arange(len(runs)) % _FOLDS
        held = np.zeros((size, size))
        for number in range(_FOLDS):
            root = _root(shrunk_covariance(runs[fold != number]), worlds)
            scores = runs[fold == number] @ root.T @ (root @ slope)
            held += scores.T @ scores / len(runs)
        weighed = self.root.T @ (self.root @ slope)
        counted = weighed.T @ shrunk_covariance(runs) @ weighed
        return _no_less_than_0(held - counted)

    def told_by(self, outputs: Worlds) -> int:
        """The worlds of the fit, or the more numerous runs that shift their mean."""
        return len(outputs) if self.shift is None or self.runs is None else len(self.runs)


def _across(slopes: Slopes) -> Matrix:
    """Mean of the products of slopes of any two different worlds; no eigenvalue below 0."""
    worlds, total = len(slopes), slopes.sum(axis=0)
    if worlds < 2:
        return total.T @ total
    own = np.einsum("wde,wdf->ef", slopes, slopes)
    return _no_less_than_0((total.T @ total - own) / (worlds * (worlds - 1)))


def _no_less_than_0(matrix: Matrix) -> Matrix:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def noise_root(
    runs: Float[np.ndarray, "run datum"], worlds: int
) -> Float[np.ndarray, "datum datum"]:
    """The root for `Synthetic`, from residuals of many runs at one point.

    Args:
        runs: residuals of runs with keys of their own.
        worlds: runs that the mean is taken over, whose luck is counted as well.
    """
    runs = (runs - runs.mean(axis=0)) * np.sqrt(len(runs) / (len(runs) - 1))
    return _root(shrunk_covariance(runs.astype(np.float64)), worlds)


def joint_noise(runs: Float[np.ndarray, "run datum"], here: Worlds) -> Synthetic:
    """The criterion, from residuals of many runs at one point.

    Args:
        runs: residuals of runs with keys of their own, three or more.
        here: outputs at the same point in the worlds of the fit.
    """
    runs = runs.astype(np.float64)
    mean, count = runs.mean(axis=0), len(runs)
    shift = None
    if count > len(here):
        shift = mean - here[:, 1:].astype(np.float64).mean(axis=0)
    runs = (runs - mean) * np.sqrt(count / (count - 1))
    return Synthetic(_root(shrunk_covariance(runs), max(count, len(here))), runs, shift)


def shrunk_covariance(
    runs: Float[np.ndarray, "run datum"],
) -> Float[np.ndarray, "datum datum"]:
    """Covariance of rows about 0, its correlations drawn to 0 as far as their own noise says.

    Fewer runs than data leave most directions without any variance, and chi-squares far too large.

    Source: Schäfer & Strimmer (2005), Statistical Applications in Genetics 4(1):32, target D.
    """
    count = len(runs)
    sd = np.sqrt((runs**2).mean(axis=0))
    unit = runs / np.where(sd > 0, sd, 1.0)
    linked = unit.T @ unit / count
    # The variance of a mean of products, all pairs at once.
    noise = ((unit**2).T @ unit**2 / count - linked**2) / (count - 1)
    apart = ~np.eye(len(sd), dtype=bool)
    signal = float((linked[apart] ** 2).sum())
    share = min(1.0, float(noise[apart].sum()) / signal) if signal > 0 else 1.0
    linked = np.where(apart, (1 - share) * linked, linked)
    return linked * sd[:, None] * sd


def _root(
    between: Float[np.ndarray, "datum datum"], worlds: int
) -> Float[np.ndarray, "datum datum"]:
    values, vectors = np.linalg.eigh(between * (1 + 1 / worlds))
    return (vectors / np.sqrt(1 + np.maximum(values, 0.0))) @ vectors.T
