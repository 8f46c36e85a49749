"""A guide of any shape: a flow about a normal law, as flowjax has them."""

from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ..population.seeds import Generator
from .evidence import as_key
from .flows import import_flowjax
from .normal_guide import NormalGuide, Values
from .objective import Points

_LAYERS, _WIDTH = 3, 16
_KNOTS, _WITHIN = 8, 6.0  # Of its splines, beyond which a flow leaves points where they are.
_WIDER = 4.0  # Times the root of the normal guide, which misses the tails of other shapes.
_ITERATIONS, _RATE = 400, 5e-3  # Of adam, at each refit.
_DEEP = 20.0  # And 1 for each element, below the best: beyond, how far does not matter.
_HELD = 0.2  # Of the points, by which the best iteration is chosen.


@dataclass
class FlowGuide:
    """The law of a flow in the units of a normal guide.

    Attributes:
        normal: a law, wider than the guide it starts from, whose units the flow works in.
        flow: of flowjax, of the standardised points.
        room: points it sees at most, so that all rounds share their compiled programs.
    """

    normal: NormalGuide
    flow: Any
    room: int

    def draw(self, rng: Generator, count: int) -> Points:
        """Points drawn from the flow."""
        key = jax.random.key(int(rng.integers(2**31)))
        with jax.numpy_rank_promotion("allow"):  # flowjax leans on it
            z = np.asarray(self.flow.sample(key, (count,)), np.float64)
        return self.normal.mean + z @ self.normal.root.T

    def log_density(self, points: Points) -> Values:
        """The flow's, in the units of the points, of which there is room for all."""
        with jax.numpy_rank_promotion("allow"):
            found = np.asarray(_log_prob(self.flow, self._padded(points)), np.float64)
        return found[: len(points)] - np.log(np.diag(self.normal.root)).sum()

    def _padded(self, points: Points) -> Float[Array, "room element"]:
        """Standardised, and filled up with zeros, so that all rounds share a program."""
        z = np.pad(self.normal.standard(points), ((0, self.room - len(points)), (0, 0)))
        return jnp.asarray(z, jnp.float32)

    def refit(self, points: Points, values: Values, _laws: Values) -> "FlowGuide":
        """Descend the variance over all points; the iteration that is best on points held out.

        All count alike: those that are unlikely keep the flow from growing where they are.
        """
        short = self.room - len(points)
        level = np.maximum(values - values.max(), -_DEEP - len(self.normal.mean))
        counts = np.arange(self.room) < len(points)
        held = np.arange(self.room) % round(1 / _HELD) == 0
        moved, fixed = eqx.partition(self.flow, eqx.is_inexact_array)
        with jax.numpy_rank_promotion("allow"):
            best = _fit(
                moved,
                fixed,
                self._padded(points),
                jnp.asarray(np.pad(level, (0, short)), jnp.float32),
                jnp.asarray(counts & ~held, jnp.float32),
                jnp.asarray(counts & held, jnp.float32),
            )
        return replace(self, flow=eqx.combine(best, fixed))


def flow_about(normal: NormalGuide, room: int, words: Any) -> FlowGuide:
    """A flow that has learnt nothing yet, with room for so many points.

    Raises:
        FittingError: flowjax is not installed.
    """
    flowjax = import_flowjax("guide='flow'")
    size = len(normal.mean)
    normal = NormalGuide(normal.mean, _WIDER * normal.root)
    with jax.numpy_rank_promotion("allow"):
        flow = flowjax.flows.masked_autoregressive_flow(
            as_key(words, "flow guide"),
            base_dist=flowjax.distributions.Normal(jnp.zeros(size)),
            transformer=flowjax.bijections.RationalQuadraticSpline(knots=_KNOTS, interval=_WITHIN),
            flow_layers=_LAYERS,
            nn_width=_WIDTH,
        )
    moved, fixed = eqx.partition(flow, eqx.is_inexact_array)
    return FlowGuide(normal, eqx.combine(jax.tree.map(lambda x: 0.1 * x, moved), fixed), room)


@eqx.filter_jit
def _log_prob(flow: Any, z: Float[Array, "room element"]) -> Float[Array, " room"]:
    return flow.log_prob(z)


@eqx.filter_jit
def _fit(
    moved: Any,
    fixed: Any,
    z: Float[Array, "room element"],
    level: Float[Array, " room"],
    counts: Float[Array, " room"],
    held: Float[Array, " room"],
) -> Any:
    """The leaves of the flow at the best of the iterations."""
    adam = optax.chain(
        optax.clip_by_global_norm(10.0),
        optax.adam(optax.cosine_decay_schedule(_RATE, _ITERATIONS)),
    )

    def losses(moved: Any) -> tuple[jax.Array, jax.Array]:
        lacks = level - eqx.combine(moved, fixed).log_prob(z)
        middle = jnp.sum(counts * lacks) / jnp.sum(counts)
        misses = jnp.square(lacks - middle)
        return jnp.sum(counts * misses) / jnp.sum(counts), jnp.sum(held * misses) / jnp.sum(held)

    def iterate(carry: Any, _: Any) -> tuple[Any, None]:
        moved, state, best, least = carry
        (_, other), up = jax.value_and_grad(losses, has_aux=True)(moved)
        better = other < least
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), moved, best)
        changes, state = adam.update(up, state)
        return (optax.apply_updates(moved, changes), state, best, jnp.minimum(other, least)), None

    begin = (moved, adam.init(moved), moved, jnp.inf)
    (_, _, best, _), _ = jax.lax.scan(iterate, begin, None, length=_ITERATIONS)
    return best
