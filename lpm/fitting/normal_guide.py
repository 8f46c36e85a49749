"""A normal guide to a posterior.

A guide is a law on the unconstrained scale, drawn from and refitted to what was seen there. It is
refitted to minimise the variance, over points, of the log-density less its own: nothing is left
where the guide is the posterior, whatever the points. Over draws of the guide itself the slope of
this variance is that of the divergence KL(guide, posterior).

Source: Richter et al. (2020), Advances in Neural Information Processing Systems 33.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..population.seeds import Generator
from .objective import Points

_FARTHEST, _BENT = 3.0, 4.0  # Of a refit: sds that the mean moves, times that precisions grow.
Values = Float[np.ndarray, " point"]


@dataclass
class NormalGuide:
    """A normal law: its mean, and the lower Cholesky root of its covariance."""

    mean: Float[np.ndarray, " element"]
    root: Float[np.ndarray, "element element"]

    def draw(self, rng: Generator, count: int) -> Points:
        """Draws and their mirror images."""
        half = rng.standard_normal((-(-count // 2), len(self.mean)))
        return (self.mean + np.concatenate([half, -half]) @ self.root.T)[:count]

    def standard(self, points: Points) -> Points:
        """The points in the guide's own units."""
        return np.linalg.solve(self.root, (points - self.mean).T).T

    def log_density(self, points: Points) -> Values:
        """Of the normal law."""
        size = len(self.mean)
        normal = -0.5 * (self.standard(points) ** 2).sum(axis=1) - 0.5 * size * np.log(2 * np.pi)
        return normal - np.log(np.diag(self.root)).sum()

    def refit(self, points: Points, values: Values, laws: Values) -> "NormalGuide":
        """Follow the nearest quadratic to the log-density, held near this guide.

        Log-densities may lack a constant; `laws` are of the guides that the points are drawn from.
        Points count by how likely they are now, against when they were drawn, once at most.
        Regression finds what the guide lacks, in Hermite polynomials of unit variance under it.
        Under its own draws their coefficients are the mean slope and curvature of the log-density.

        Source: Salimans & Knowles (2013), Bayesian Analysis 8.
        """
        size, root = len(self.mean), self.root
        z, own = self.standard(points), self.log_density(points)
        counts, lacks = np.exp(np.minimum(own - laws, 0.0)), values - own
        rows, columns = np.tril_indices(size)
        scale = np.where(rows == columns, np.sqrt(0.5), 1.0)
        squares = scale * (z[:, rows] * z[:, columns] - (rows == columns))
        terms = np.concatenate([np.ones((len(z), 1)), z, squares], axis=1)
        # A ridge on all but the level, as heavy as one draw.
        known = terms.T @ (counts[:, None] * terms) + np.diag(np.arange(terms.shape[1]) > 0)
        found = np.linalg.solve(known, terms.T @ (counts * lacks))
        bend = np.zeros((size, size))
        bend[rows, columns] = scale * found[1 + size :]
        curves, axes = np.linalg.eigh(np.eye(size) - bend - bend.T)
        curves = np.clip(curves, 1 / _BENT, _BENT)
        move = axes @ ((axes.T @ found[1 : 1 + size]) / curves)
        move *= min(1.0, _FARTHEST / max(float(np.linalg.norm(move)), 1e-9))
        part = root @ (axes / np.sqrt(curves))
        return NormalGuide(self.mean + root @ move, np.linalg.cholesky(part @ part.T))
