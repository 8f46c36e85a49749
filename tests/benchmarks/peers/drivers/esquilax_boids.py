"""Esquilax: the rules of our flock by its spatial transform, compiled before the clock starts.

The plane is cut into cells as wide as a bird sees, the narrowest that find every neighbour.
"""

import functools
import sys

import esquilax
import jax
import jax.numpy as jnp
import meter

STEPS = int(sys.argv[2])
DENSITY, VISION, APART = 0.02, 5.0, 1.0
COHESION, ALIGNMENT, SEPARATION = 0.03, 0.05, 0.015


def look(side, me, other):
    """What a bird sees: how many, towards where, how they fly, and those too near."""
    towards = esquilax.utils.space.shortest_vector(me["place"], other["place"], side)
    too_near = jnp.sum(towards**2) < APART**2
    return 1.0, towards, jnp.where(too_near, -towards, 0.0), other["heading"]


class Flock(esquilax.Sim):
    def __init__(self, size):
        self.size, self.side = size, max((size / DENSITY) ** 0.5, 2 * VISION)
        nothing = jnp.zeros(2)
        self.see = esquilax.transforms.spatial(
            look,
            reduction=esquilax.reductions.Reduction((jnp.add,) * 4, (0.0, *(nothing,) * 3)),
            i_range=VISION,
            dims=self.side,
        )

    def default_params(self):
        return None

    def initial_state(self, key, _params):
        places, angles = jax.random.split(key)
        angle = jax.random.uniform(angles, (self.size,), maxval=2 * jnp.pi)
        return {
            "place": jax.random.uniform(places, (self.size, 2), maxval=self.side),
            "heading": jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1),
            "seen": jnp.zeros(self.size),
        }

    def step(self, _i, _key, _params, birds):
        seen, *sums = self.see(self.side, birds, birds, pos=birds["place"])
        towards, away, flow = (total / jnp.maximum(seen, 1)[:, None] for total in sums)
        heading = birds["heading"] + COHESION * towards + SEPARATION * away + ALIGNMENT * flow
        heading = heading / jnp.linalg.norm(heading, axis=1, keepdims=True)
        place = (birds["place"] + heading) % self.side
        return {"place": place, "heading": heading, "seen": seen}, None


@functools.cache
def compiled(size):
    flock, key = Flock(size), jax.random.PRNGKey(0)  # noqa: TID251 - as its examples do
    birds = flock.initial_state(key, None)
    run = Flock.run.lower(flock, STEPS, key, None, birds, show_progress=False).compile()
    return flock, run


def build(size, seed):
    flock, steps_of = compiled(size)
    key = jax.random.PRNGKey(seed)  # noqa: TID251 - as its examples do
    start, rest = jax.random.split(key)
    return {"run": steps_of, "birds": flock.initial_state(start, None), "key": rest}


def run(model, _steps):
    birds, _, _ = model["run"](model["key"], None, model["birds"])
    model["birds"] = jax.block_until_ready(birds)


def summarise(model):
    birds = model["birds"]
    order = jnp.hypot(*birds["heading"].mean(axis=0))
    return {"order": float(order), "seen": float(birds["seen"].mean())}


meter.main(build, run, summarise)
