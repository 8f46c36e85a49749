"""The columns of a correction: what a survey may move in a panel's answers, and how freely."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import PersonaError
from .surface import Surface


@dataclass(frozen=True)
class Terms:
    """Designs of a correction, with the cells' own effects apart.

    Log-odds of action a of cell c at knot x become those of the panel plus
    `columns[a, c, x] . b[a] + own[x] . g[a, c]`: b is common to all cells (the temperature, and
    each attribute along each direction of the situation, hence of low rank), g is the cell's own,
    along the same directions and at each knot by itself.

    Attributes:
        columns: [odds, cell, knot, column]
        own: directions of the situation, of mean square 1, the first the constant, and then every
            knot. [knot, effect]
        precision: of b before the survey, at a scale of 1. [odds, column, column]
        spread: root mean square spread of each cell, relative to that of all. [odds, cell]
        panel: log-odds of the panel. [odds, cell, knot]
    """

    columns: Float[np.ndarray, "odds cell knot column"]
    own: Float[np.ndarray, "knot effect"]
    precision: Float[np.ndarray, "odds column column"]
    spread: Float[np.ndarray, "odds cell"]
    panel: Float[np.ndarray, "odds cell knot"]


def make_terms(surface: Surface, features: Any, rank: int, weights: Any) -> Terms:
    """The columns for a surface: temperature, then attributes times directions.

    The prior of b is such that the mean over cells and knots of the squared correction, in units of
    the panel's own spread there, is 1 at a scale of 1: what the panel was sure of is stiff.

    Args:
        surface: of all cells.
        features: of each cell, without a constant; standardised here. [cell, feature]
        rank: directions of the situation; the first is the constant, the others are those along
            which the personas' answers vary most.
        weights: of the cells.

    Raises:
        PersonaError: features that do not fit the cells, or a rank below 1 or above the knots.
    """
    mean = np.asarray(surface.mean, np.float64)
    cells, odds = mean.shape[0], mean.shape[-1]
    panel = np.moveaxis(mean.reshape(cells, -1, odds), -1, 0)
    spread = np.moveaxis(np.asarray(surface.spread, np.float64).reshape(cells, -1, odds), -1, 0)
    knots = panel.shape[2]
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) != cells or not np.isfinite(features).all():
        raise PersonaError(
            f"features have shape {list(features.shape)}; give finite numbers [cell, feature] for "
            f"{cells} cells"
        )
    if not 1 <= rank <= knots:
        raise PersonaError(f"rank = {rank}; it lies between 1 and the {knots} knots")
    share = weights / weights.sum()
    basis = _directions(panel, share, rank)
    common = np.concatenate([np.ones((cells, 1)), standardised(features, share)], axis=1)
    products = np.einsum("cf,xr->cxfr", common, basis).reshape(cells, knots, -1)
    centre = np.einsum("acx,c->a", panel, share) / knots
    tempered = panel - centre[:, None, None]
    columns = np.concatenate(
        [tempered[..., None], np.broadcast_to(products, (odds, *products.shape))], axis=-1
    )
    count = columns.shape[-1]
    inner = np.einsum("acxi,acxj,acx,c->aij", columns, columns, spread**-2, share) / knots
    # A ridge in proportion keeps columns that no cell tells apart from moving without bound.
    ridge = 1e-3 * np.trace(inner, axis1=1, axis2=2) / count
    precision = count * (inner + ridge[:, None, None] * np.eye(count))
    relative = np.sqrt((spread**2).mean(axis=2))
    relative = relative / np.sqrt((relative**2 * share).sum(axis=1, keepdims=True))
    every = np.concatenate([basis, np.eye(knots)], axis=1)
    return Terms(columns, every, precision, relative, panel)


def standardised(
    features: Float[np.ndarray, "cell feature"], share: Float[np.ndarray, " cell"]
) -> Float[np.ndarray, "cell feature"]:
    """Features of mean 0 and standard deviation 1 over the weighted cells; constants become 0."""
    centred = features - share @ features
    size = np.sqrt(share @ centred**2)
    return centred / np.where(size > 1e-9 * np.abs(features).max(initial=1e-300), size, np.inf)


def _directions(panel: np.ndarray, share: np.ndarray, rank: int) -> np.ndarray:
    """The constant, then the main directions of the answers over the situation."""
    knots = panel.shape[2]
    rows = (panel - panel.mean(axis=2, keepdims=True)) * np.sqrt(share)[:, None]
    _, _, main = np.linalg.svd(rows.reshape(-1, knots), full_matrices=False)
    basis = [np.ones(knots)]
    for direction in main:
        left = direction - sum(b * (b @ direction) / (b @ b) for b in basis)
        if len(basis) < rank and np.linalg.norm(left) > 1e-6:
            basis.append(left)
    spare = np.eye(knots)
    for direction in spare:  # a panel that does not vary leaves directions free to choose
        left = direction - sum(b * (b @ direction) / (b @ b) for b in basis)
        if len(basis) < rank and np.linalg.norm(left) > 1e-6:
            basis.append(left)
    table = np.stack(basis, axis=1)
    return table / np.sqrt((table**2).mean(axis=0))
