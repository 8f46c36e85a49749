"""What is seen of worlds: the slopes of a loss, and how they come back to the state."""

import jax
import jax.numpy as jnp
import numpy as np

from ...axes import Array
from ...params import Params
from ...trajectory import Trajectory
from ..seam import Loss
from .twins import Fields, differences, lanes_dot
from .worlds import Leaves, World


def loss_slopes(
    loss: Loss, world: World, rows: dict[str, Array], moving: Leaves, steps: int, every: int
) -> tuple[Array, dict[str, Array], Leaves]:
    """The loss of the base, and its derivatives by the observables and the final state."""
    smooth = {n: x for n, x in rows.items() if jnp.issubdtype(x.dtype, jnp.floating)}

    def value(smooth: dict[str, Array], moving: Leaves) -> Array:
        observed = {**rows, **smooth}
        trajectory = Trajectory(
            time=np.arange(1, steps // every + 1, dtype=np.int32) * every,
            observed=observed,
            state=world.state(moving, jnp.int32(steps)),
            faults={},
            snapshots={},
            log_probability=jnp.zeros(steps // every),
            plain=observed,
            unit=world.scenario.unit,
        )
        return jnp.sum(loss(trajectory))

    found, slopes = jax.value_and_grad(value, argnums=(0, 1))(smooth, moving)
    return found, *slopes


def on_steps(slope: Array, steps: int, every: int) -> Array:
    """Derivatives by rows as derivatives by what could be seen after each step."""
    whole = jnp.zeros((steps, *slope.shape[1:]), slope.dtype)
    return whole.at[every - 1 :: every].set(slope)


def observe_back(
    world: World,
    params: Params,
    fields: Fields,
    base: Leaves,
    twins: Leaves,
    slope: dict[str, Array],
    t: Array,
) -> tuple[Leaves, Fields, Array]:
    """Adjoints of the leaves that are seen, derivatives by the fields, and what is unexplained."""

    def seen(leaves: Leaves, fields: Fields) -> dict[str, Array]:
        found = world.observe(params.replace(**fields), leaves, t)
        return {name: found[name] for name in slope}

    def worth(leaves: Leaves) -> Array:
        products = jax.tree.map(lambda a, b: jnp.sum(a * b), seen(leaves, fields), slope)
        return sum(jax.tree.leaves(products), jnp.zeros(()))

    def back(leaves: Leaves) -> tuple[Leaves, Array]:
        middle = [(one + other) / 2 for one, other in zip(base, leaves, strict=True)]
        return jax.grad(worth)(middle), worth(leaves) - worth(base)

    adjoint, gained = jax.vmap(back)(twins)
    direct = jax.vjp(lambda fields: seen(base, fields), fields)[1](slope)[0]
    return adjoint, direct, gained - lanes_dot(adjoint, differences(twins, base))
