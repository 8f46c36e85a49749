"""A flock (Reynolds 1987): each bird steers by those it sees, on a torus.

It flies towards where they are (cohesion), the way they fly (alignment), and away from those too
near (separation), each in the mean over those it sees. All turn at once, then fly on at unit speed.
"""

import jax
import jax.numpy as jnp

import lpm
from lpm import Array, Draw, Float, Population, Scalar
from lpm.space import Plane

DENSITY = 0.02
VISION = 5.0


class Params(lpm.Params):
    cohesion: Scalar = lpm.parameter(0.03, within=(0, None), unit="1/length")
    alignment: Scalar = lpm.parameter(0.05, within=(0, None), unit="share of heading")
    separation: Scalar = lpm.parameter(0.015, within=(0, None), unit="1/length")
    too_near: Scalar = lpm.constant(1.0, unit="length")


class State(lpm.State):
    plane: Plane
    x: Float[Array, " agent"]
    y: Float[Array, " agent"]
    heading_x: Float[Array, " agent"] = lpm.variable(within=(-1, 1))
    heading_y: Float[Array, " agent"] = lpm.variable(within=(-1, 1))
    seen: Float[Array, " agent"] = lpm.variable(within=(0, None))


def init(population: Population, params: Params, draw: Draw) -> State:
    side = max((population.size / DENSITY) ** 0.5, 2 * VISION)
    angle = 2 * jnp.pi * draw.uniform("agent")
    return State.of(
        population,
        plane=Plane(side, side, VISION),
        x=side * draw.uniform("agent"),
        y=side * draw.uniform("agent"),
        heading_x=jnp.cos(angle),
        heading_y=jnp.sin(angle),
        seen=0,
    )


def meet(dx: Array, dy: Array, mine: tuple[Array, ...], theirs: tuple[Array, ...]) -> tuple:
    near = dx * dx + dy * dy < mine[0] ** 2
    away = (jnp.where(near, -d, 0) for d in (dx, dy))
    return (jnp.ones_like(dx), dx, dy, *away, *theirs)


def fly(state: State, params: Params, draw: Draw) -> State:
    heading = state.heading_x, state.heading_y
    margin = jnp.broadcast_to(params.too_near, state.x.shape)
    seen, *sums = state.plane.sums(meet, state.x, state.y, (margin,), heading, where=state.alive)
    weight = params.cohesion, params.separation, params.alignment
    turned = [
        old + sum(w * s for w, s in zip(weight, sums[axis::2], strict=True)) / jnp.maximum(seen, 1)
        for axis, old in enumerate(heading)
    ]
    length = turned[0] ** 2 + turned[1] ** 2
    scale = jnp.where(length > 0, jax.lax.rsqrt(jnp.where(length > 0, length, 1)), 0)
    heading_x, heading_y = (jnp.clip(turn * scale, -1, 1) for turn in turned)
    return state.replace(
        x=(state.x + heading_x) % state.plane.width,
        y=(state.y + heading_y) % state.plane.height,
        heading_x=heading_x,
        heading_y=heading_y,
        seen=seen,
    )


def observe(state: State, params: Params) -> dict[str, Scalar]:
    flow = [jnp.mean(h, where=state.alive) for h in (state.heading_x, state.heading_y)]
    order = jnp.sqrt(flow[0] ** 2 + flow[1] ** 2 + 1e-12)
    return {"order": order, "seen": jnp.mean(state.seen, where=state.alive)}


scenario = lpm.Scenario(init, (fly,), observe, Params(), steps=100)
