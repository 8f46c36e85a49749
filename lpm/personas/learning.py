"""Networks fitted to a panel's answers and held against ridge regression, one persona left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..axes import Array
from ..errors import PersonaError
from .anchors import Anchors
from .cells import Cells
from .curves import monotone
from .features import attributes
from .net import CHECKS, STEPS, Net, Table, inputs_of, level_and_size, train
from .spread import Spread, spread_out
from .surface import Surface
from .surrogate import Surrogate, places_of

_DECAY = 0.1
_TOGETHER = 16  # Personas left out side by side: that many ensembles are in memory.


@dataclass(frozen=True)
class Learnt:
    """What was learnt from a panel, and which of two ways to generalise it foretells better.

    Attributes:
        net: the networks.
        ridge: the answers spread by ridge regression.
        scores: root mean square error, in log-odds, of answers foretold for each persona from the
            others: of every set of features of the ridge, and of "net".
        chosen: the name with the lowest error.
        left_out: errors of the networks on each persona left out. [persona, *knot, odds]
        steps: of training, after which that error was lowest.
    """

    net: Surrogate
    ridge: Spread
    scores: Mapping[str, float]
    chosen: str
    left_out: Float[np.ndarray, "persona *knot odds"]
    steps: int

    @property
    def panel(self) -> Surface | Surrogate:
        """What to use: the networks where they foretell better, else the ridge."""
        return self.net if self.chosen == "net" else self.ridge.surface

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())
        kind = "networks" if self.chosen == "net" else "ridge regression"
        return f"One persona left out, error in log-odds: {listed}. Used: {self.chosen} ({kind})."


def learn(
    surface: Surface,
    anchors: Anchors,
    cells: Cells,
    key: Array,
    *,
    features: Any = None,
    members: int = 5,
    width: int = 64,
) -> Learnt:
    """An ensemble of networks for a panel, used only if it foretells personas better than ridge.

    Every network starts from other weights. For each persona the whole ensemble is trained on the
    others, and its mean held against what that persona said; training stops where this error is
    lowest, as the ridge's penalty is chosen by its own. The error enters the spread of all cells
    that were not asked. With the few anchors of a panel the ridge often wins, and is then used.

    The time is that of `members` times `len(anchors)` small fits: seconds to a few minutes.

    Args:
        surface: answers of the anchors.
        anchors: who was asked.
        cells: of the population.
        key: of the first weights.
        features: of the cells, [cell, feature]; `attributes` if not given.
        members: networks, two at least, since their spread is used.
        width: of their two hidden layers.

    Raises:
        PersonaError: what `spread_out` refuses, features that do not fit, or too few members.
    """
    if members < 2 or width < 1:
        raise PersonaError(
            f"members = {members}, width = {width}; give two members or more, of "
            "a width of 1 or more"
        )
    ridge = spread_out(surface, anchors, cells)
    known = _standard(attributes(cells) if features is None else features, anchors, len(cells))
    table = _table(surface, known[anchors.cell])
    net = Net(surface.mean.shape[-1], width)
    keys = jax.random.split(key, members)
    said = _foretell(net, table, keys)  # [persona, check, member, knot, odds]
    off = np.asarray(table.odds, np.float64)[:, None] - np.asarray(said, np.float64).mean(axis=2)
    weight = np.asarray(table.weight, np.float64)
    errors = np.sqrt(np.mean(weight[:, None, None, None] * off**2, axis=(0, 2, 3)))
    best = int(errors.argmin())
    scores = {**ridge.scores, "net": float(errors[best])}
    left = off[:, best]
    weights = jax.tree.map(lambda x: x[:, best], _fit(net, table, keys))
    apart = np.asarray(said, np.float64)[:, best].var(axis=1, ddof=1).mean(axis=(0, 1))
    return Learnt(
        _surrogate(surface, anchors, jnp.asarray(known), table, net, weights, left, apart),
        ridge,
        scores,
        min(scores, key=lambda name: scores[name]),
        left.reshape(surface.mean.shape),
        (best + 1) * STEPS,
    )


def _standard(features: Any, anchors: Anchors, cells: int) -> Float[np.ndarray, "cell feature"]:
    """Features of mean 0 and standard deviation 1 over the anchors; what all share becomes 0."""
    found = np.asarray(features, np.float64)
    if found.ndim != 2 or len(found) != cells or not np.isfinite(found).all():
        raise PersonaError(
            f"features have shape {list(found.shape)}; give finite numbers [cell, feature] for "
            f"{cells} cells"
        )
    mine = found[anchors.cell]
    size = mine.std(axis=0)
    return ((found - mine.mean(axis=0)) / np.where(size > 1e-9, size, np.inf)).astype(np.float32)


def _table(surface: Surface, features: Float[np.ndarray, "anchor feature"]) -> Table:
    people, odds = surface.personas, surface.mean.shape[-1]
    levels = np.meshgrid(*(np.asarray(x) for x in surface.levels), indexing="ij")
    names = surface.variables
    places = [
        places_of(surface, dict(zip(names, at, strict=True)))
        for at in zip(*(x.reshape(-1) for x in levels), strict=True)
    ]
    variance = jnp.mean(surface.spread.reshape(people, -1) ** 2, axis=1)
    weight = 1 / variance
    return Table(
        jnp.asarray(features),
        jnp.stack(places),
        surface.mean.reshape(people, -1, odds),
        weight / jnp.mean(weight),
    )


@partial(jax.jit, static_argnums=0)
def _foretell(
    net: Net, table: Table, keys: Array
) -> Float[Array, "persona check member knot odds"]:
    """What ensembles that never saw a persona say of it, at every look of their training."""
    people = table.features.shape[0]

    def without(persona: Any) -> Any:
        weight = table.weight * (jnp.arange(people) != persona)
        level, size = level_and_size(table.odds, weight)
        rows = inputs_of(table.features[persona][None], table.places)[0]

        def member(key: Any) -> Any:
            looks = train(net, table, weight, key, _DECAY, CHECKS)
            said: Any = jax.vmap(lambda weights: net.apply(weights, rows))(looks)
            return level[None] + size * said

        return jnp.moveaxis(jax.vmap(member)(keys), 0, 1)

    return jax.lax.map(without, jnp.arange(people), batch_size=_TOGETHER)


@partial(jax.jit, static_argnums=0)
def _fit(net: Net, table: Table, keys: Array) -> Any:
    """Weights of all members after every look, [member, check, ...]."""
    return jax.vmap(lambda key: train(net, table, table.weight, key, _DECAY, CHECKS))(keys)


def _surrogate(
    surface: Surface,
    anchors: Anchors,
    features: Float[Array, "cell feature"],
    table: Table,
    net: Net,
    weights: Any,
    left: Float[np.ndarray, "anchor knot odds"],
    apart: Float[np.ndarray, " odds"],
) -> Surrogate:
    cells, shape = features.shape[0], surface.mean.shape[1:]
    level, size = level_and_size(table.odds, table.weight)
    rows = inputs_of(table.features, table.places)
    members: Any = jax.vmap(lambda w: net.apply(w, rows))(weights)
    said = jnp.mean(members, axis=0)
    base = np.broadcast_to(np.asarray(level), (cells, *level.shape)).copy()
    base[anchors.cell] = np.asarray(table.odds - size * said)
    own = np.asarray(surface.spread, np.float64)
    error = np.sqrt(np.mean(left**2, axis=0)).reshape(shape)
    spread = np.broadcast_to(np.sqrt((own**2).mean(axis=0) + error**2), (cells, *shape)).copy()
    spread[anchors.cell] = own
    tables = {
        "mean": jnp.asarray(base.reshape(cells, *shape), jnp.float32),
        "spread": jnp.asarray(spread, jnp.float32),
        "curve": monotone,
    }
    found = Surrogate(
        base=Surface(**{**vars(surface), **tables}),
        features=features,
        asked=jnp.zeros(cells).at[anchors.cell].set(1.0),
        weights=weights,
        size=size,
        agreed=jnp.asarray(apart, jnp.float32),
        centre=jnp.zeros(apart.shape),
        net=net,
    )
    every = found.tabulated().mean
    return eqx.tree_at(
        lambda s: s.centre, found, jnp.mean(every, axis=tuple(range(every.ndim - 1)))
    )
