"""ABMax: births and deaths by its rank match of newborns and free slots; a run is compiled."""

import functools
import sys

import jax
import jax.numpy as jnp
import meter
from abmax.functions import create_agents, set_agents_rank_match, step_agents
from abmax.structs import Agent, Params, Set, Signal
from flax import struct

STEPS = int(sys.argv[2])


@struct.dataclass
class Animal(Agent):
    @staticmethod
    def create_agent(agent_type, params, number, active, key):
        return Animal(
            id=number,
            active_state=active,
            age=0.0,
            agent_type=agent_type,
            params=None,
            state=None,
            policy=None,
            key=key,
        )


def grow_older(animal, _signal, _params):
    key, luck = jax.random.split(animal.key)
    survives = jnp.where(jax.random.uniform(luck) < 0.05, 0, animal.active_state)
    return animal.replace(key=key, age=animal.age + 1.0, active_state=survives)


def be_born(animal, _params):
    return animal.replace(age=0.0, active_state=jnp.ones_like(animal.active_state))


def step(herd, key):
    spare = jnp.zeros(herd.agents.age.shape)
    herd = step_agents(grow_older, Params({}), Signal({"none": spare}), herd)
    alive = herd.agents.active_state
    breeds = jnp.where(jax.random.uniform(key, alive.shape) < 0.05, alive, 0)
    masks = Params({"select_mask": 1 - alive, "change_mask": breeds})
    herd, _ = set_agents_rank_match(be_born, Params({"none": spare}), masks, -1, herd)
    return herd, jnp.sum(alive)


@functools.partial(jax.jit, static_argnums=1)
def advance(herd, steps, key):
    return jax.lax.scan(step, herd, jax.random.split(key, steps))[0]


def build(size, seed):
    room, key = 2 * size, jax.random.PRNGKey(seed)  # noqa: TID251 - as its examples do
    nothing = Params({"none": jnp.zeros(room)})
    agents = create_agents(Animal, nothing, room, size, 0, key)
    agents = agents.replace(active_state=agents.active_state.astype(jnp.int32))
    herd = Set(
        num_agents=room,
        num_active_agents=jnp.int32(size),
        agents=agents,
        id=0,
        set_type=0,
        params=None,
        state=None,
        policy=None,
        key=key,
    )
    return {"herd": herd, "key": jax.random.fold_in(key, 1)}


def run(model, steps):
    model["herd"] = jax.block_until_ready(advance(model["herd"], steps, model["key"]))


def summarise(model):
    agents = model["herd"].agents
    alive = agents.active_state > 0
    return {"population": float(alive.sum()), "age": float(agents.age[alive].mean())}


meter.main(build, run, summarise)
