"""A network in place of a panel: answers of all cells, smooth in the situation, inside a run."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..axes import Array, Number, Scalar
from .curves import monotone
from .net import Net, inputs_of
from .response import AbstractResponse
from .surface import Surface


@final
class Surrogate(AbstractResponse):
    """An ensemble of networks fitted to a panel, which is read as a `Surface` is.

    Log-odds are what all personas say at a situation (a curve through its knots), what the networks
    say of the cell's features there, and for a cell that was asked what they miss of its answers:
    at the knots such a cell says what it said. Smooth in the situation between the outer knots and
    level beyond; `outside` says where that is. Only the situation is kept for the backward pass.

    Attributes:
        base: what is added to the networks, by cell; its spread is that of the answers, and the
            error on personas left out where a cell was not asked.
        features: of the cells, as the networks take them.
        asked: 1 for cells whose own answers are known, else 0.
        weights: of the networks, one beside the other.
        size: log-odds of one unit of what they say.
        agreed: variance between the networks on personas left out: the error holds that much.
        centre: mean log-odds over cells and knots, about which `shifted` draws answers together.
        net: their shape.
    """

    base: Surface
    features: Float[Array, "persona feature"]
    asked: Float[Array, " persona"]
    weights: Any
    size: Scalar
    agreed: Float[Array, " odds"]
    centre: Float[Array, " odds"]
    net: Net = eqx.field(static=True)

    @property
    def personas(self) -> int:
        """How many cells there are."""
        return self.base.personas

    def asked_for(self) -> tuple[tuple[str, ...], tuple[float, float] | None]:
        """Names of the actions, or of the number; and bounds of the number, `None` for actions."""
        return self.base.asked_for()

    def odds(self, **situation: Number) -> Float[Array, "persona odds"]:
        """Log-odds of every cell in one situation: a number for each variable.

        Raises:
            PersonaError: a variable that is missing or unknown.
        """
        base = self.base.odds(**situation)
        return base + jnp.mean(self._members(situation), axis=0)

    def spread_at(self, **situation: Number) -> Float[Array, "persona odds"]:
        """Standard deviation of the log-odds in one situation.

        Of a cell that was not asked: the error on personas left out, and what the networks disagree
        beyond what they disagreed about those.

        Raises:
            PersonaError: a variable that is missing or unknown.
        """
        known = self.base.spread_at(**situation)
        apart = jnp.var(self._members(situation), axis=0, ddof=1)
        more = jnp.maximum(apart - self.agreed[None], 0.0) * (1 - self.asked[:, None])
        return jnp.sqrt(known**2 + more)

    def outside(self, **situation: Number) -> Scalar:
        """1 where a variable lies beyond the levels that were asked about, else 0.

        Raises:
            PersonaError: a variable that is missing or unknown.
        """
        return self.base.outside(**situation)

    def shifted(self, *, temperature: Number = 1.0, shift: Number = 0.0) -> "Surrogate":
        """Answers with another temperature and level, as `Surface.shifted` gives them.

        Args:
            temperature: above 0; above 1 answers draw together about their mean.
            shift: in log-odds, of every action but the first.
        """
        centre = self.centre.reshape((1,) * (self.base.mean.ndim - 1) + (-1,))
        moved = centre + (self.base.mean - centre) / temperature + shift
        changed = (moved, self.size / temperature, self.centre + shift)
        return eqx.tree_at(lambda s: (s.base.mean, s.size, s.centre), self, changed)

    def tabulated(self) -> Surface:
        """Its answers at the knots as a `Surface`: for `correct`, and where memory is short."""
        situations = _grid(self.base)
        read = jax.jit(jax.vmap(lambda x: (self.odds(**x), self.spread_at(**x))))
        shape = self.base.mean.shape
        mean, spread = (jnp.moveaxis(x, 0, 1).reshape(shape) for x in read(situations))
        return eqx.tree_at(lambda s: (s.mean, s.spread), self.base, (mean, spread))

    def _members(self, situation: Any) -> Float[Array, "member persona odds"]:
        place = places_of(self.base, situation)
        return _say(self.net, self.weights, self.features, place) * self.size


def places_of(base: Surface, situation: Any) -> Float[Array, " variable"]:
    """Coordinates of a situation: the number of the knot, smoothly between knots, in [-1, 1].

    Knots are where the questions were put, so that even steps between them are even steps here,
    however unevenly they lie.
    """
    found = []
    for name, levels in zip(base.variables, base.levels, strict=True):
        numbers = jnp.linspace(-1.0, 1.0, levels.shape[0])
        found.append(monotone(numbers, levels, jnp.asarray(situation[name], jnp.float32)))
    return jnp.stack(found)


# The features are put through again on the way back: a step of a run keeps its situation alone.
@eqx.filter_checkpoint
def _say(
    net: Net,
    weights: Any,
    features: Float[Array, "persona feature"],
    place: Float[Array, " variable"],
) -> Float[Array, "member persona odds"]:
    rows = inputs_of(features, place[None])[:, 0]
    said: Any = jax.vmap(lambda member: net.apply(member, rows))(weights)
    return said


def _grid(base: Surface) -> dict[str, Float[Array, " knot"]]:
    """The situation of every knot, the last variable's levels fastest."""
    levels = np.meshgrid(*(np.asarray(x) for x in base.levels), indexing="ij")
    return {
        name: jnp.asarray(x.reshape(-1)) for name, x in zip(base.variables, levels, strict=True)
    }
