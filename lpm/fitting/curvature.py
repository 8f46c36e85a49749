"""How sharply data tell parameters: information, standard errors, and what trades off."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..population.seeds import Generator
from .averaging import Average
from .objective import Objective

_FLAT = 1e-8  # Of the largest eigenvalue: below, a direction is not identified at all.
_TRADES = 0.9  # Correlation from which two elements are said to trade off.
_VAGUE = 1.5  # Standard error on the unconstrained scale, whose logistic prior has 1.8.
MOST = 12  # Elements whose curvature a quadratic surface can tell at a fair cost.

Matrix = Float[np.ndarray, "element element"]
Vector = Float[np.ndarray, " element"]


@dataclass(frozen=True)
class Curvature:
    """The loss around the fit, on the unconstrained scale.

    Attributes:
        information: second derivatives of the loss; where the loss is a negative log-likelihood,
            Fisher's information.
        scatter: covariance of the loss's gradient between runs, which the data's own run adds to
            the error of the fit; zero where unknown.
        worlds: runs the fit averages over.
        labels: of the elements.
    """

    information: Matrix
    scatter: Matrix
    worlds: int
    labels: tuple[str, ...]

    @property
    def eigenvalues(self) -> Vector:
        """Of the information, largest first: how well each independent direction is told."""
        return np.linalg.eigvalsh(self.information)[::-1]

    @property
    def directions(self) -> Matrix:
        """The direction of each eigenvalue, [direction, element]."""
        return np.linalg.eigh(self.information)[1].T[::-1]

    @property
    def covariance(self) -> Matrix:
        """Of the fit: observation noise, and the luck of the data's run and of the fit's own runs.

        A direction that the data do not tell has infinite variance in every element it moves.
        """
        values, vectors = np.linalg.eigh(self.information)
        flat = values <= _FLAT * max(values.max(), 0.0)
        inverse = np.where(flat, 0.0, 1 / np.where(flat, 1.0, values))
        whole = (vectors * inverse) @ vectors.T
        noise = self.information + self.scatter * (1 + 1 / self.worlds)
        found = whole @ noise @ whole
        free = (vectors[:, flat] ** 2).sum(axis=1) > 1e-6
        found[np.ix_(free, free)] = np.inf
        return found

    @property
    def sd(self) -> Vector:
        """Standard error of each element."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def sentences(self) -> list[str]:
        """What the data do not tell, in words."""
        sd, covariance = self.sd, self.covariance
        said = [
            f"The data hardly tell {name}: its standard error spans most of its range."
            for name, width in zip(self.labels, sd, strict=True)
            if not width < _VAGUE
        ]
        for i in range(len(sd)):
            for j in range(i):
                if np.isfinite(sd[i] * sd[j]) and sd[i] * sd[j] > 0:
                    linked = covariance[i, j] / (sd[i] * sd[j])
                    if abs(linked) > _TRADES:
                        how = "one can replace the other" if linked < 0 else "they rise together"
                        said.append(
                            f"{self.labels[j]} and {self.labels[i]} trade off: their errors "
                            f"correlate by {linked:.2f}, so that {how}."
                        )
        return said


def fit_surface(
    objective: Objective,
    average: Average,
    z: Vector,
    value: float,
    budget: float,
    rng: Generator,
    labels: tuple[str, ...],
) -> tuple[Curvature | None, Vector]:
    """Curvature from a quadratic surface through losses around a point, and the surface's lowest.

    Points are spread so far that the loss rises by about 2, which for a log-likelihood is where
    it matters. `None`, and the point itself, where the budget is too small or nothing curves.
    """
    size = len(z)
    terms = (size + 1) * (size + 2) // 2
    points = min(4 * terms, int((budget - objective.runs) / objective.worlds) - 4 * size)
    if size > MOST or points < terms + size:
        return None, z
    reach = np.full(size, 0.1)
    for _ in range(2):
        moves = np.concatenate([np.diag(reach), -np.diag(reach)])
        values = _values(objective, average, z + moves)
        rise = 0.5 * (values[:size] + values[size:]) - value
        factor = np.sqrt(2.0 / np.clip(rise, 0.02, 2e4))
        reach = np.clip(np.where(np.isfinite(rise), reach * factor, reach * 0.2), 0.01, 1.0)
    spread = rng.standard_normal((points, size))
    radius = rng.uniform(size=(points, 1)) ** (1 / size) * np.sqrt(2.0)
    spread = spread / np.linalg.norm(spread, axis=1, keepdims=True) * radius
    values = _values(objective, average, z + spread * reach)
    known = np.isfinite(values)
    if known.sum() < terms + size:
        return None, z
    upper = np.triu_indices(size)

    def columns(x: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((len(x), 1)), x, x[:, upper[0]] * x[:, upper[1]]], axis=1)

    design, wanted = columns(spread[known]), values[known] - value
    # What lies far up the surface bends it least.
    weights = 1 / (1 + np.maximum(wanted - wanted.min(), 0) / 4)
    found = np.linalg.lstsq(design * weights[:, None], wanted * weights, rcond=None)[0]
    square = np.zeros((size, size))
    square[upper] = found[1 + size :]
    square = square + square.T
    eigen, vectors = np.linalg.eigh(square)
    square = (vectors * np.maximum(eigen, 0.0)) @ vectors.T
    lowest = -np.linalg.pinv(square, rcond=1e-6) @ found[1 : 1 + size]
    lowest = lowest / max(1.0, float(np.linalg.norm(lowest)) / np.sqrt(2.0))
    information = square / reach[:, None] / reach[None]
    zero = np.zeros_like(information)
    return Curvature(information, zero, objective.worlds, labels), z + lowest * reach


def _values(objective: Objective, average: Average, points: np.ndarray) -> np.ndarray:
    outputs: Any = objective.evaluate(points)
    return average.weigh(outputs[..., 0].astype(np.float64))[0]
