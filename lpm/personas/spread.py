"""From the few personas that were asked to all cells: ridge regression, judged one persona out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..errors import PersonaError
from .anchors import Anchors
from .cells import Cells
from .features import attributes, hashed_words, pairs
from .surface import Surface

_PENALTIES = 10.0 ** np.arange(-4, 5.1, 0.5)
ASKED, NEAR, FAR = 0, 1, 2
_NEAR = 1.0  # Distance to an anchor within which a cell counts as near: one whole attribute.


@dataclass(frozen=True)
class Spread:
    """A surface for all cells, and how well personas left out were foretold.

    Attributes:
        surface: of all cells. Its spread holds that of the answers and the error of prediction.
        source: of each cell: 0 asked, 1 foretold near an anchor, 2 foretold far from any.
        scores: root mean square error, in log-odds, of answers foretold for each persona from the
            others, by set of features; "level" gives everybody the mean.
        chosen: the set that was used.
        penalty: of the ridge.
        explained: share of the answers' variance between personas that was foretold, by knot and
            action together; below 0 the mean would have done better.
        reach: what each cell's log-odds move by for a unit of each anchor's. [cell, anchor]
    """

    surface: Surface
    source: Int[np.ndarray, " cell"]
    scores: Mapping[str, float]
    chosen: str
    penalty: float
    explained: float
    reach: Float[np.ndarray, "cell anchor"]

    def by_anchor(self, gradient: Any) -> Float[np.ndarray, "anchor *knot odds"]:
        """An outcome's derivative by the anchors' answers, from that by the answers of all cells.

        An anchor that is asked again moves its neighbours as well: `where_to_ask` with this and the
        anchors' surface ranks anchors by all that they move.

        Raises:
            PersonaError: a gradient of another shape than the surface.
        """
        slope = np.asarray(gradient, np.float64)
        if slope.shape != self.surface.mean.shape:
            raise PersonaError(
                f"gradient has shape {list(slope.shape)}; the surface of all cells has "
                f"{list(self.surface.mean.shape)}"
            )
        return np.tensordot(self.reach.T, slope, 1)

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())
        shares = [float(np.mean(self.source == code)) for code in (ASKED, NEAR, FAR)]
        return (
            f"One persona left out, error in log-odds: {listed}. Used: {self.chosen}, which "
            f"foretells {self.explained:.0%} of the variance between personas. Of the cells "
            f"{shares[0]:.0%} were asked, {shares[1]:.0%} are near and {shares[2]:.0%} far."
        )


def spread_out(surface: Surface, anchors: Anchors, cells: Cells) -> Spread:
    """Answers of all cells from those of the anchors; a cell that was asked keeps its own.

    Ridge regression of the log-odds at every knot on features of the persona, weighted by how
    closely its paraphrases agree. Sets of features (none, attributes, attributes and their pairs,
    attributes and hashed words of the description) and penalties compete on the error of each
    persona foretold from the others, which a ridge gives in closed form. The winner's error is
    added to the spread of the cells foretold; being the best of several it is a little low.

    Raises:
        PersonaError: a surface that is not of the anchors, or fewer than three of them.
    """
    count = len(anchors)
    if surface.personas != count or count < 3:
        raise PersonaError(
            f"the surface has {surface.personas} personas and there are {count} anchors; give the "
            "answers of all anchors, at least three"
        )
    target = np.asarray(surface.mean, np.float64).reshape(count, -1)
    weight = 1 / np.mean(np.asarray(surface.spread, np.float64).reshape(count, -1) ** 2, axis=1)
    weight = weight / weight.mean()
    best: tuple[float, str, float, np.ndarray, np.ndarray] | None = None
    scores = {}
    for name, features in _candidates(cells).items():
        rows = []
        for penalty in _PENALTIES if features.size else _PENALTIES[:1]:
            left, fitted = _ridge(features, anchors.cell, target, weight, float(penalty))
            error = float(np.sqrt(np.mean(weight[:, None] * left**2)))
            rows.append((error, name, float(penalty), left, fitted))
        winner = min(rows, key=lambda row: row[0])
        scores[name] = winner[0]
        if best is None or winner[0] < best[0]:
            best = winner
    if best is None:
        raise PersonaError("there was nothing to choose from")
    features = _candidates(cells)[best[1]]
    _, reach = _ridge(features, anchors.cell, np.eye(count), weight, best[2])
    reach[anchors.cell] = np.eye(count)
    return _assemble(surface, anchors, best, scores, reach)


def _candidates(cells: Cells) -> dict[str, np.ndarray]:
    known = attributes(cells)
    words = hashed_words([cells.describe(i) for i in range(len(cells))])
    return {
        "level": np.zeros((len(cells), 0)),
        "attributes": known,
        "attributes and pairs": np.column_stack([known, pairs(cells)]),
        "attributes and words": np.column_stack([known, words]),
    }


def _ridge(
    features: Float[np.ndarray, "cell feature"],
    asked: Int[np.ndarray, " anchor"],
    target: Float[np.ndarray, "anchor output"],
    weight: Float[np.ndarray, " anchor"],
    penalty: float,
) -> tuple[Float[np.ndarray, "anchor output"], Float[np.ndarray, "cell output"]]:
    """Errors of each anchor left out, and predictions for every cell; the constant is free."""
    share = weight / weight.sum()
    mine = features[asked]
    centre = share @ mine
    size = np.sqrt(share @ (mine - centre) ** 2)
    scale = np.where(size > 1e-9, size, np.inf)
    mine, every = (mine - centre) / scale, (features - centre) / scale
    # In the space of the anchors, which are few: features may be many.
    root = np.sqrt(weight)[:, None]
    gram = (root * mine) @ (root * mine).T
    constant = root / np.linalg.norm(root)
    inverse = np.linalg.inv(gram + penalty * np.eye(len(asked)))
    free = inverse @ constant / float((constant.T @ inverse @ constant)[0, 0])
    # What is left of the targets once a free constant and the penalised rest are fitted.
    residual = penalty * (inverse - free @ (constant.T @ inverse))
    dual = residual @ (root * target) / penalty
    fitted_level = (free.T @ (root * target)) / np.linalg.norm(root)
    fitted = fitted_level + every @ ((root * mine).T @ dual)
    left = residual @ (root * target) / np.diag(residual)[:, None] / root
    return left, fitted


def _assemble(
    surface: Surface,
    anchors: Anchors,
    best: tuple[float, str, float, np.ndarray, np.ndarray],
    scores: Mapping[str, float],
    reach: Float[np.ndarray, "cell anchor"],
) -> Spread:
    _, chosen, penalty, left, fitted = best
    shape = (len(anchors.nearest), *surface.mean.shape[1:])
    own = np.asarray(surface.spread, np.float64)
    error = np.sqrt(np.mean(left**2, axis=0)).reshape(surface.mean.shape[1:])
    spread = np.broadcast_to(np.sqrt((own**2).mean(axis=0) + error**2), shape).copy()
    mean = fitted.reshape(shape).copy()
    mean[anchors.cell], spread[anchors.cell] = np.asarray(surface.mean), own
    source = np.where(anchors.distance <= _NEAR, NEAR, FAR)
    source[anchors.cell] = ASKED
    target = np.asarray(surface.mean, np.float64).reshape(len(left), -1)
    total = float(((target - target.mean(axis=0)) ** 2).sum())
    explained = 1 - float((left**2).sum()) / total if total > 0 else 0.0
    tables = (jnp.asarray(mean, jnp.float32), jnp.asarray(spread, jnp.float32))
    whole = eqx.tree_at(lambda s: (s.mean, s.spread), surface, tables)
    return Spread(whole, source, scores, chosen, penalty, explained, reach)
