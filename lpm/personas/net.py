"""A small network from a persona and a situation to log-odds, and its fit to a panel's answers."""

from typing import Any, final

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from ..axes import Array

CHECKS, STEPS = 12, 50  # The fit is looked at after every 50 steps, and stops at the best look.
_MOST_KNOTS = 16  # Knots that a step looks at: an answer has neighbours that say nearly the same.


@final
class Net(nn.Module):
    """Features and coordinates to log-odds, through layers of tanh: smooth in the situation.

    Attributes:
        outputs: log-odds of each action but the first.
        width, depth: of the hidden layers.
    """

    outputs: int
    width: int = 64
    depth: int = 2

    @nn.compact
    def __call__(self, x: Float[Array, "*lead feature"]) -> Float[Array, "*lead odds"]:
        """Deviation from what all personas say, in units of its size."""
        for _ in range(self.depth):
            x = nn.tanh(nn.Dense(self.width)(x))
        return nn.Dense(self.outputs, kernel_init=nn.initializers.normal(0.01))(x)


@final
class Table(eqx.Module):
    """What a net is fitted to.

    Attributes:
        features: of the personas asked, of mean 0 and standard deviation 1. [persona, feature]
        places: coordinate of each knot in [-1, 1] along every variable. [knot, variable]
        odds: answers. [persona, knot, odds]
        weight: of the personas, of mean 1.
    """

    features: Float[Array, "persona feature"]
    places: Float[Array, "knot variable"]
    odds: Float[Array, "persona knot odds"]
    weight: Float[Array, " persona"]


def inputs_of(
    features: Float[Array, "persona feature"], places: Float[Array, "knot variable"]
) -> Float[Array, "persona knot input"]:
    """Every persona at every knot."""
    people, knots = features.shape[0], places.shape[0]
    both = (
        jnp.broadcast_to(features[:, None], (people, knots, features.shape[1])),
        jnp.broadcast_to(places[None], (people, knots, places.shape[1])),
    )
    return jnp.concatenate(both, axis=-1)


def level_and_size(
    odds: Float[Array, "persona knot odds"], weight: Float[Array, " persona"]
) -> tuple[Float[Array, "knot odds"], Float[Array, ""]]:
    """What personas say on average at each knot, and how far one of them is from it."""
    share = weight / jnp.sum(weight)
    level = jnp.einsum("p,pko->ko", share, odds)
    square = jnp.einsum("p,pko->ko", share, (odds - level[None]) ** 2)
    return level, jnp.sqrt(jnp.mean(square)) + 1e-6


def train(
    net: Net, table: Table, weight: Float[Array, " persona"], key: Array, decay: float, checks: int
) -> Any:
    """Weights of one net after every `STEPS` steps: least squares with decay (AdamW).

    Personas of weight 0 are not looked at: neither their answers nor what they do to the level.
    """
    level, size = level_and_size(table.odds, weight)
    target = (table.odds - level[None]) / size
    share = weight / jnp.sum(weight)
    knots = table.places.shape[0]
    some = min(knots, _MOST_KNOTS)
    start, luck = jax.random.split(key)
    first = net.init(start, jnp.zeros(table.features.shape[1] + table.places.shape[1]))
    steps = checks * STEPS
    optimiser = optax.adamw(optax.cosine_decay_schedule(1e-2, steps, 0.05), weight_decay=decay)

    def loss(weights: Any, at: Array) -> Array:
        said: Any = net.apply(weights, inputs_of(table.features, table.places[at]))
        return jnp.mean(jnp.einsum("p,pko->ko", share, (said - target[:, at]) ** 2))

    def step(state: Any, key: Array) -> Any:
        weights, memory = state
        at = jnp.arange(knots) if some == knots else jax.random.choice(key, knots, (some,), False)
        moves, memory = optimiser.update(jax.grad(loss)(weights, at), memory, weights)
        return (optax.apply_updates(weights, moves), memory), None

    def look(state: Any, keys: Array) -> Any:
        state, _ = jax.lax.scan(step, state, keys)
        return state, state[0]

    keys = jax.random.split(luck, (checks, STEPS))
    return jax.lax.scan(look, (first, optimiser.init(first)), keys)[1]
