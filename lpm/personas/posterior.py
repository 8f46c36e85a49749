"""Mode, curvature and evidence of a correction: a multinomial model with effects of cells.

Penalised likelihood in float64. The effects of cells meet only through the common coefficients, so
the curvature is a small dense block and one smaller block for each cell (a Schur complement): the
work grows linearly with the cells.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import PersonaError
from .terms import Terms

_STEPS, _CLOSE = 60, 1e-8


@dataclass(frozen=True)
class Scales:
    """How far the correction may go before the survey speaks.

    Attributes:
        common: of the common coefficients, in units of the panel's own spread.
        own: standard deviation of the cells' own effects along each direction, and at each knot by
            itself, in log-odds.
    """

    common: float
    own: Float[np.ndarray, " effect"]


@dataclass(frozen=True)
class Mode:
    """The mode and the curvature there.

    Attributes:
        common: coefficients b. [odds, column]
        own: effects g of the cells asked. [asked, odds, effect]
        evidence: log of the integrated likelihood, by Laplace's approximation.
        reduced: curvature of b with g integrated out. [coefficient, coefficient]
        inverse: of each asked cell's own curvature. [asked, each, each]
        cross: curvature between b and g. [asked, coefficient, each]
    """

    common: Float[np.ndarray, "odds column"]
    own: Float[np.ndarray, "asked odds effect"]
    evidence: float
    reduced: Float[np.ndarray, "coefficient coefficient"]
    inverse: Float[np.ndarray, "asked each each"]
    cross: Float[np.ndarray, "asked coefficient each"]


def find_mode(
    terms: Terms,
    asked: np.ndarray,
    counts: Float[np.ndarray, "asked knot action"],
    scales: Scales,
    start: Mode | None = None,
) -> Mode:
    """Newton's method with halved steps from `start`, or from no correction.

    Raises:
        PersonaError: no convergence, which takes counts or answers beyond reason.
    """
    problem = _Problem(terms, asked, counts, scales)
    odds, rank = terms.columns.shape[0], terms.own.shape[1]
    common = np.zeros((odds, terms.columns.shape[-1])) if start is None else start.common
    own = np.zeros((len(asked), odds, rank)) if start is None else start.own
    value = problem.value(common, own)
    for _ in range(_STEPS):
        curvature = problem.curvature(common, own)
        step = problem.step(common, own, curvature)
        factor = 1.0
        moved = common + step[0], own + step[1]
        gain = problem.value(*moved) - value
        while gain < -_CLOSE * (1 + abs(value)) and factor > 1e-4:
            factor /= 2
            moved = common + factor * step[0], own + factor * step[1]
            gain = problem.value(*moved) - value
        common, own = moved
        value += gain
        if abs(gain) < _CLOSE * (1 + abs(value)):
            return problem.mode(common, own, value)
    raise PersonaError("the correction does not converge; check the counts of the survey")


def log_shares(odds: Float[np.ndarray, "odds asked knot"]) -> Float[np.ndarray, "asked knot all"]:
    """Logs of the shares of all actions, the first with log-odds 0."""
    every = np.concatenate([np.zeros((1, *odds.shape[1:])), odds])
    top = every.max(axis=0)
    return np.moveaxis(every - top - np.log(np.exp(every - top).sum(axis=0)), 0, -1)


class _Problem:
    def __init__(self, terms: Terms, asked: np.ndarray, counts: np.ndarray, scales: Scales) -> None:
        self.columns, self.basis = terms.columns[:, asked], terms.own
        self.panel, self.counts = terms.panel[:, asked], counts
        self.people = counts.sum(axis=-1)
        self.odds, _, _, self.width = self.columns.shape
        self.prior = terms.precision / scales.common**2
        self.stiff = 1 / (terms.spread[:, asked].T[..., None] * scales.own) ** 2

    def shares(self, common: np.ndarray, own: np.ndarray) -> np.ndarray:
        moved = np.einsum("acxi,ai->acx", self.columns, common)
        moved = moved + np.einsum("xr,car->acx", self.basis, own)
        return log_shares(self.panel + moved)

    def value(self, common: np.ndarray, own: np.ndarray) -> float:
        prior = np.einsum("ai,aij,aj->", common, self.prior, common) + (self.stiff * own**2).sum()
        return float((self.counts * self.shares(common, own)).sum() - prior / 2)

    def curvature(self, common: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, ...]:
        share = np.exp(self.shares(common, own))[..., 1:]
        weight = share[..., None] * (np.eye(self.odds) - share[..., None, :])
        weight = weight * self.people[..., None, None]
        size, rank = self.odds * self.width, self.basis.shape[1]
        effects = self.odds * rank
        asked = len(self.people)
        weighted = np.einsum("cxab,bcxj->cxabj", weight, self.columns, optimize=True)
        whole = np.einsum("acxi,cxabj->aibj", self.columns, weighted, optimize=True)
        for a in range(self.odds):
            whole[a, :, a] += self.prior[a]
        cross = np.einsum("xs,cxbaj->cajbs", self.basis, weighted, optimize=True)
        each = np.einsum("xr,cxab,xs->carbs", self.basis, weight, self.basis, optimize=True)
        each = each.reshape(asked, effects, effects)
        each[:, range(effects), range(effects)] += self.stiff.reshape(asked, effects)
        return whole.reshape(size, size), cross.reshape(asked, size, effects), each

    def step(
        self, common: np.ndarray, own: np.ndarray, curvature: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        whole, cross, each = curvature
        share = np.exp(self.shares(common, own))[..., 1:]
        left = self.counts[..., 1:] - self.people[..., None] * share
        first = np.einsum("acxi,cxa->ai", self.columns, left)
        first -= np.einsum("aij,aj->ai", self.prior, common)
        second = np.einsum("xr,cxa->car", self.basis, left) - self.stiff * own
        inverse = np.linalg.inv(each)
        reduced = whole - np.einsum("cip,cpq,cjq->ij", cross, inverse, cross, optimize=True)
        flat = second.reshape(len(own), -1)
        right = first.ravel() - np.einsum("cip,cpq,cq->i", cross, inverse, flat, optimize=True)
        moved = np.linalg.solve(reduced, right)
        rest = np.einsum("cpq,cq->cp", inverse, flat - np.einsum("cip,i->cp", cross, moved))
        return moved.reshape(common.shape), rest.reshape(own.shape)

    def mode(self, common: np.ndarray, own: np.ndarray, value: float) -> Mode:
        whole, cross, each = self.curvature(common, own)
        inverse = np.linalg.inv(each)
        reduced = whole - np.einsum("cip,cpq,cjq->ij", cross, inverse, cross, optimize=True)
        evidence = value - (_log_det(reduced) + _log_det(each)) / 2
        evidence += (_log_det(self.prior) + np.log(self.stiff).sum()) / 2
        return Mode(common, own, float(evidence), reduced, inverse, cross)


def _log_det(matrices: np.ndarray) -> float:
    return float(np.sum(np.linalg.slogdet(matrices)[1]))
