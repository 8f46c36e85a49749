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


@final
@dataclass(frozen=True)
class Synthetic:
    """Half the squared distance of the mean run from the data, in units of their joint noise.

    The data are one run seen through noise, so that their covariance about the mean run is that of
    the observations, 1 in residuals, plus that between runs, plus what the mean over a few runs
    has itself. The mean of each run's own likelihood would prefer params whose runs vary little.

    Attributes:
        root: turns residuals into independent ones of variance 1, [datum, datum].

    Source: Wood (2010), Nature 466, with the covariance held while the mean is fitted.
    """

    root: Float[np.ndarray, "datum datum"]

    def values(
        self, outputs: Float[np.ndarray, "point world output"]
    ) -> Float[np.ndarray, " point"]:
        """Half the chi-square at several points."""
        with np.errstate(invalid="ignore"):
            misses = outputs[..., 1:].astype(np.float64).mean(axis=1) @ self.root.T
        found = 0.5 * (misses**2).sum(axis=-1)
        return np.where(np.isfinite(found), found, np.inf)

    def normal_equations(self, outputs: Worlds, slopes: Slopes) -> tuple[Vector, Matrix]:
        """Those of generalised least squares."""
        miss = self.root @ outputs[:, 1:].astype(np.float64).mean(axis=0)
        slope = self.root @ slopes.mean(axis=0)
        return slope.T @ miss, slope.T @ slope

    def information(self, outputs: Worlds, slopes: Slopes) -> Matrix:  # noqa: ARG002
        """From products of different worlds, whose noise is independent."""
        return _across(np.einsum("cd,wde->wce", self.root, slopes))

    def scatter(self, outputs: Worlds, slopes: Slopes) -> Matrix:  # noqa: ARG002
        """Nothing: it is in the covariance."""
        return np.zeros((slopes.shape[-1],) * 2)


def _across(slopes: Slopes) -> Matrix:
    """Mean of the products of slopes of any two different worlds; no eigenvalue below 0."""
    worlds, total = len(slopes), slopes.sum(axis=0)
    if worlds < 2:
        return total.T @ total
    own = np.einsum("wde,wdf->ef", slopes, slopes)
    found = (total.T @ total - own) / (worlds * (worlds - 1))
    values, vectors = np.linalg.eigh(found)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def joint_noise(
    runs: Float[np.ndarray, "run datum"], worlds: int
) -> Float[np.ndarray, "datum datum"]:
    """The root for `Synthetic`, from residuals of many runs at one point.

    Args:
        runs: residuals of runs with keys of their own.
        worlds: runs that the mean is taken over.
    """
    between = np.atleast_2d(np.cov(runs.astype(np.float64), rowvar=False)) * (1 + 1 / worlds)
    values, vectors = np.linalg.eigh(between)
    return (vectors / np.sqrt(1 + np.maximum(values, 0.0))) @ vectors.T
