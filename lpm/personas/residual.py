"""What a small survey corrects in a panel's answers, and how sure one may be of cells not asked."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import ndtri

from ..errors import PersonaError
from ..population.seeds import generator
from .posterior import Mode, Scales, find_mode
from .surface import Surface
from .survey import Survey
from .terms import Terms, make_terms

# Where the scales are expected before the survey, on the log scale: the panel is off by about its
# own spread, cells differ from it by a fifth of a log-odds more; each give or take a factor of 4.
_EXPECTED = {"common": 0.0, "own": np.log(0.2)}
_GIVE = np.log(4.0)


@dataclass(frozen=True)
class Correction:
    """A panel's surface after a survey.

    Attributes:
        surface: corrected; its spread is the posterior standard deviation of the log-odds. A cell
            not asked keeps what cells may differ by of their own.
        contrast: of each action, 1 / temperature: above 1 people differ more than the panel said.
        scales: found by the evidence; `common` above 1 says that the panel was surer than right.
        coefficients: of the standardised features (the first is the constant) along each direction
            of the situation. [odds, feature, rank]
        error: posterior standard deviation of those. [odds, feature, rank]
        evidence: log of the integrated likelihood.
        panel: the surface before.
    """

    surface: Surface
    contrast: Float[np.ndarray, " odds"]
    scales: Scales
    coefficients: Float[np.ndarray, "odds feature rank"]
    error: Float[np.ndarray, "odds feature rank"]
    evidence: float
    panel: Surface
    _terms: Terms
    _mode: Mode
    _asked: np.ndarray

    def draw(self, seed: int) -> Surface:
        """One surface from the posterior, every cell's own effect drawn; its spread is 0.

        Its cells differ by as much as those of the population, which those of the mean do not.
        """
        rng = generator(seed)
        mode, terms = self._mode, self._terms
        root = np.linalg.inv(np.linalg.cholesky(mode.reduced)).T
        move = root @ rng.standard_normal(len(root))
        common = mode.common + move.reshape(mode.common.shape)
        odds, cells = terms.spread.shape
        own = rng.standard_normal((cells, odds, terms.own.shape[1]))
        own *= terms.spread.T[..., None] * self.scales.own
        # Given b, an asked cell's effect is normal about what b leaves to it.
        tied = np.einsum("cpq,ciq,i->cp", mode.inverse, mode.cross, move)
        roots = np.linalg.cholesky(mode.inverse)
        lucky = np.einsum("cpq,cq->cp", roots, rng.standard_normal(roots.shape[:2]))
        own[self._asked] = mode.own + (lucky - tied).reshape(mode.own.shape)
        mean = _moved(terms, common, own)
        return _rebuilt(self.panel, mean, np.zeros_like(mean))

    def interval(
        self, coverage: float = 0.9
    ) -> tuple[Float[np.ndarray, " cell *knot"], Float[np.ndarray, " cell *knot"]]:
        """Lower and upper shares of the second action of two, at every knot of every cell.

        Raises:
            PersonaError: a coverage outside (0, 1), or more than two actions.
        """
        if not 0 < coverage < 1 or self.surface.mean.shape[-1] != 1:
            raise PersonaError(f"coverage = {coverage} of {self.surface.actions}; give two actions")
        from_middle = float(ndtri((1 + coverage) / 2))
        mean, spread = (np.asarray(x[..., 0]) for x in (self.surface.mean, self.surface.spread))
        low, high = mean - from_middle * spread, mean + from_middle * spread
        return 1 / (1 + np.exp(-low)), 1 / (1 + np.exp(-high))


def correct(
    surface: Surface,
    survey: Survey,
    features: Any,
    *,
    rank: int = 2,
    weights: Any = None,
    scales: Scales | None = None,
) -> Correction:
    """Correct a panel by a survey of a few people, of some of the cells.

    The log-odds of a cell become `panel + (contrast - 1) (panel - mean) + features . B .
    directions + own effect of the cell`, with B of the given rank, all by penalised likelihood. The
    penalty of B is the mean squared correction in units of the panel's spread: where paraphrases
    agreed, the survey must insist. How strong penalties are is found by the evidence (Laplace), so
    that a panel that is right is left alone and one that is wrong is not believed.

    Intervals are for the cells' true log-odds, given the scales that the evidence found. They hold
    where cells differ from the common correction in no more systematic a way than those asked do.

    Args:
        surface: of all cells.
        survey: counts by cell and knot.
        features: of every cell, without a constant. [cell, feature]
        rank: directions of the situation along which features act; the first is the constant.
        weights: of the cells; equal if not given.
        scales: in place of those found by the evidence.

    Raises:
        PersonaError: shapes that do not fit, or a fit that does not converge.
    """
    survey.check(surface)
    share = np.ones(surface.personas) if weights is None else np.asarray(weights, np.float64)
    if share.shape != (surface.personas,) or not (share > 0).all():
        raise PersonaError(
            f"weights of shape {list(share.shape)}; give {surface.personas} positive numbers"
        )
    terms = make_terms(surface, features, rank, share)
    asked = survey.asked
    counts = survey.counts[asked].reshape(len(asked), -1, survey.counts.shape[-1])
    counts = counts / survey.design_effect
    if scales is None:
        scales = _find_scales(terms, asked, counts)
    mode = find_mode(terms, asked, counts, scales)
    return _finish(surface, terms, asked, scales, mode)


def _find_scales(terms: Terms, asked: np.ndarray, counts: np.ndarray) -> Scales:
    """The scales of highest evidence: of b, of constants, of other directions, of single knots."""
    knots = terms.own.shape[0]
    rank = terms.own.shape[1] - knots
    warm: list[Mode] = []
    start = np.array([_EXPECTED["common"], *[_EXPECTED["own"]] * 3])

    def loss(point: np.ndarray) -> float:
        mode = find_mode(terms, asked, counts, _scales(point, rank, knots), *warm[-1:])
        warm.append(mode)
        return -mode.evidence + (((point - start) / _GIVE) ** 2).sum() / 2

    simplex = np.concatenate([start[None], start + np.eye(len(start))])
    options = {"xatol": 0.05, "fatol": 0.02, "maxfev": 200, "initial_simplex": simplex}
    found = minimize(loss, start, method="Nelder-Mead", options=options)
    return _scales(found.x, rank, knots)


def _scales(point: np.ndarray, rank: int, knots: int) -> Scales:
    own = np.exp(np.repeat(point[1:], [1, rank - 1, knots]))
    return Scales(float(np.exp(point[0])), own)


def _finish(
    surface: Surface, terms: Terms, asked: np.ndarray, scales: Scales, mode: Mode
) -> Correction:
    odds, cells, knots, width = terms.columns.shape
    effects = terms.own.shape[1]
    rank = effects - knots
    covariance = np.linalg.inv(mode.reduced)
    own = np.zeros((cells, odds, effects))
    own[asked] = mode.own
    # The derivative of a cell's log-odds by b, what b moves in its own effect included.
    tied = np.einsum("cpq,ciq->cpi", mode.inverse, mode.cross).reshape(
        len(asked), odds, effects, -1
    )
    variance = np.empty((odds, cells, knots))
    for a in range(odds):
        slope = np.zeros((cells, knots, odds * width))
        slope[..., a * width : (a + 1) * width] = terms.columns[a]
        slope[asked] -= np.einsum("xr,cri->cxi", terms.own, tied[:, a])
        variance[a] = np.einsum("cxi,ij,cxj->cx", slope, covariance, slope, optimize=True)
        free = (terms.spread[a][:, None] * scales.own) ** 2
        lone = free @ (terms.own**2).T
        block = slice(a * effects, (a + 1) * effects)
        inner = mode.inverse[:, block, block]
        lone[asked] = np.einsum("xr,crs,xs->cx", terms.own, inner, terms.own)
        variance[a] += lone
    mean = _moved(terms, mode.common, own)
    table = mode.common[:, 1:].reshape(odds, -1, rank)
    deviations = np.sqrt(np.diag(covariance)).reshape(odds, width)[:, 1:]
    return Correction(
        surface=_rebuilt(surface, mean, np.sqrt(variance)),
        contrast=1 + mode.common[:, 0],
        scales=scales,
        coefficients=table,
        error=deviations.reshape(table.shape),
        evidence=mode.evidence,
        panel=surface,
        _terms=terms,
        _mode=mode,
        _asked=asked,
    )


def _moved(terms: Terms, common: np.ndarray, own: np.ndarray) -> np.ndarray:
    moved = terms.panel + np.einsum("acxi,ai->acx", terms.columns, common)
    return moved + np.einsum("xr,car->acx", terms.own, own)


def _rebuilt(surface: Surface, mean: np.ndarray, spread: np.ndarray) -> Surface:
    shape = surface.mean.shape
    tables = [
        jnp.asarray(np.moveaxis(table, 0, -1).reshape(shape), jnp.float32)
        for table in (mean, spread)
    ]
    return eqx.tree_at(lambda s: (s.mean, s.spread), surface, tuple(tables))
