"""Members of an assimilation: whole runs, each with parameters of its own, week by week."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from ...engine import lanewise
from ...errors import FittingError, unknown
from ...launch import make_plan, start
from ...population import Population
from ...scenario import Scenario
from ...segments import raise_faults
from ..chance import generator_for
from ..runs import TOGETHER
from ..space import Space
from ..swarm import Setting, Swarm, gather, particle_keys, propagate
from .feed import Feed

Rows = dict[str, np.ndarray]


@dataclass(frozen=True)
class Members:
    """Where the runs are after a week.

    Attributes:
        points: parameters on the unconstrained scale.
        swarm: their states, and the rows before.
    """

    points: Float[np.ndarray, "member element"]
    swarm: Swarm

    def pick(
        self, chosen: Int[np.ndarray, " member"], points: Float[np.ndarray, "member element"]
    ) -> "Members":
        """The states of some members, with other parameters."""
        lanes, before = jax.tree.map(lambda x: x[chosen], (self.swarm.lanes, self.swarm.before))
        return Members(points, replace(self.swarm, lanes=lanes, before=before))

    def arrays(self) -> dict[str, np.ndarray]:
        """All that tells these members from those at the start, by name."""
        parts = {f"state_{i}": x for i, x in enumerate(self.swarm.lanes)}
        parts |= {f"before_{name}": x for name, x in self.swarm.before.items()}
        parts |= {"faults": self.swarm.faults}
        return {"points": self.points} | {name: np.asarray(x) for name, x in parts.items()}

    def restore(self, kept: Mapping[str, np.ndarray]) -> "Members":
        """Members as `arrays` told of them; these give the form.

        Raises:
            FittingError: the arrays are of other members.
        """
        mine = self.arrays()
        for name in sorted(mine.keys() | kept.keys()):
            shapes = [(x[name].shape, x[name].dtype) if name in x else None for x in (mine, kept)]
            if shapes[0] != shapes[1]:
                raise FittingError(f"stored members have {name} {shapes[1]}, these {shapes[0]}")
        swarm = replace(
            self.swarm,
            lanes=[jnp.asarray(kept[f"state_{i}"]) for i in range(len(self.swarm.lanes))],
            before={name: jnp.asarray(kept[f"before_{name}"]) for name in self.swarm.before},
            faults=jnp.asarray(kept["faults"]),
        )
        return Members(np.array(kept["points"]), swarm)


@dataclass(frozen=True)
class Runs:
    """How members advance.

    Attributes:
        steps_of_walk: standard deviation of each element's step before a week, unconstrained.
        words: of the key; a member's luck belongs to its place.
        shapes: of each observable that is kept, without the member.
    """

    scenario: Scenario[Any, Any]
    capacity: int
    space: Space
    setting: Setting
    steps_of_walk: Float[np.ndarray, " element"]
    words: UInt32[Array, " 2"]
    shapes: dict[str, tuple[int, ...]]

    def advance(self, members: Members, week: int) -> tuple[Members, Rows]:
        """Members at the end of a week, counted from 1, and the rows kept and new.

        Raises:
            SimulationError: a variable left its bounds.
        """
        rng = generator_for(self.words[None], f"walk in week {week}")
        points = members.points + self.steps_of_walk * rng.standard_normal(members.points.shape)
        swarm = replace(members.swarm, walk=_fold(self.space, points))
        number = jnp.int32(week - 1)
        swarm, rows = _advance(self.setting, swarm, self.space.params, self.words, number)
        names = [f"member {i}" for i in range(len(points))]
        faults = np.asarray(swarm.faults)
        raise_faults(self.setting.plan, faults, self.scenario.unit, self.capacity, names)
        return Members(points, swarm), {name: np.asarray(x) for name, x in rows.items()}

    def first_row(self, week: int) -> int:
        """Number of the first of the rows that `advance` gives."""
        return (week - 1) * self.setting.width - self.setting.kept


def begin(
    scenario: Scenario[Any, Any],
    population: Population,
    space: Space,
    feeds: Mapping[str, Feed],
    points: Float[np.ndarray, "member element"],
    steps_of_walk: Float[np.ndarray, " element"],
    words: UInt32[Array, " 2"],
    every: int,
    width: int,
) -> tuple[Runs, Members]:
    """Members at step 0.

    Raises:
        FittingError: the feeds do not fit the observables.
        SimulationError: memory is short.
    """
    varied = space.params.replace(**space.place(points))
    plan = replace(make_plan(scenario, varied, "stop", False, every, None), batched=True)
    keys = particle_keys(words, len(points))
    plan, state = start(scenario, population, plan, varied, keys)
    moving, fixed = plan.split(state)
    seen = jax.eval_shape(lanewise(plan, varied)[1], jnp.int32(0), moving, fixed, varied)
    shapes = {name: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for name, x in seen.items()}
    for name, feed in feeds.items():
        _check_feed(name, feed, shapes)
    read = {feed.observable for feed in feeds.values()}
    watched = sorted(read | {name for name, x in shapes.items() if x.shape == ()})
    setting = Setting(
        plan,
        len(points),
        max(1, TOGETHER // population.capacity),
        (),
        width,
        max(feed.reach for feed in feeds.values()),
        fields=space.fields,
        watched=tuple(watched),
    )
    swarm = gather(setting, state, shapes, _fold(space, points))
    runs = Runs(
        scenario,
        population.capacity,
        space,
        setting,
        steps_of_walk,
        words,
        {name: shapes[name].shape for name in watched},
    )
    return runs, Members(points, swarm)


@partial(jax.jit, static_argnames=("setting",))
def _advance(
    setting: Setting, swarm: Swarm, params: Any, words: UInt32[Array, " 2"], number: Int[Array, ""]
) -> tuple[Swarm, dict[str, Array]]:
    return propagate(setting, swarm, params, particle_keys(words, setting.particles), number)


def _fold(space: Space, points: Float[np.ndarray, "member element"]) -> dict[str, Array]:
    """Points as fields on their unconstrained scales, [member, *field]."""
    found, first = {}, 0
    for name in space.fields:
        shape = np.shape(getattr(space.params, name))
        size = int(np.prod(shape))
        part = points[:, first : first + size].reshape(len(points), *shape)
        found[name] = jnp.asarray(part, jnp.float32)
        first += size
    return found


def _check_feed(name: str, feed: Feed, shapes: Mapping[str, Any]) -> None:
    if feed.observable not in shapes:
        raise FittingError(
            f"feed {name!r}: " + unknown("scenario", "observable", [feed.observable], shapes)
        )
    shape = shapes[feed.observable].shape
    size = int(np.prod(shape))
    if (shape != () and feed.element is None) or (feed.element or 0) >= size:
        raise FittingError(
            f"feed {name!r} reads element {feed.element} of {feed.observable!r}, which has shape "
            f"{list(shape)}; give an element below {size}, or none of a single number"
        )
