"""World: a scenario as functions of the leaves that move, with its coins on a tape."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import jax.numpy as jnp

from ...axes import AGENT, Array, UInt32
from ...counter import fold
from ...draw import Draw
from ...engine import MOVING, Plan, empty_slots
from ...params import Params
from ...population import Population
from ...scenario import Scenario, check_observed, check_state, process_name
from ...state import State
from .tapes import Base, CoinDraw, Tape

Leaves: TypeAlias = list[Array]
# The moving leaves after a step from those before it, with its coins on a tape.
Move: TypeAlias = Callable[[Tape, Params, Leaves], Leaves]

_ROOTS = 0x52000000  # sets the uniforms of roots apart from those of the run


@final
@dataclass(frozen=True)
class World:
    """A scenario as functions of moving leaves, with its coins on a tape.

    Attributes:
        key: words of the run key.
        plan: completed for this scenario, but for `start`.
        twin: number of the twin, which seeds its roots; may be traced.
        fixed: leaves that no process replaces.
    """

    scenario: Scenario[Any, Any]
    population: Population
    arrays: dict[str, Array]
    key: UInt32[Array, " 2"]
    plan: Plan
    twin: Any = 0
    fixed: tuple[Array, ...] = ()

    def start(self, tape: Tape, params: Params) -> State:
        """The state at step 0."""
        view = self.population.view(self.arrays)
        where = {"slot": jnp.asarray(view.slot), "alive": jnp.asarray(view.alive)}
        sizes = {AGENT: self.population.capacity}
        draw = self._draw(tape, jnp.zeros((), jnp.int32), "init", sizes=sizes, **where)
        return self.scenario.init(view, params, draw)

    def settle(self, params: Params) -> "World":
        """The world with the leaves that no process replaces, from its own `init`."""
        return replace(self, fixed=tuple(self.plan.split(self.start(Base(), params))[1]))

    def begin(self, tape: Tape, params: Params, moving: Leaves) -> Leaves:  # noqa: ARG002
        """The moving leaves at step 0, a `Move` from nothing."""
        return self.plan.split(self.start(tape, params))[0]

    def move(self, t: Array) -> Move:
        """The step from `t`."""

        def act(tape: Tape, params: Params, moving: Leaves) -> Leaves:
            state = self.state(moving, t)
            for process in self.scenario.processes:
                draw = self._draw(
                    tape,
                    t,
                    process_name(process),
                    slot=state.slot,
                    alive=state.alive,
                    sizes=state.sizes(),
                    generation=state.generation,
                )
                new = process(state, params, draw)
                check_state(process, new, state)
                state = empty_slots(new, state) if self.plan.spare else new
            return self.plan.split(state)[0]

        return act

    def touched(self, base: Leaves, twins: Leaves) -> Array:
        """Which agents differ from the base, [twin, agent]."""
        pairs = zip(self.plan.agents, self.plan.roles, strict=True)
        flags = [ours for ours, role in pairs if role == MOVING]
        found = jnp.zeros((twins[0].shape[0], self.population.capacity), bool)
        for ours, one, other in zip(flags, base, twins, strict=True):
            if ours:
                found |= jnp.any((other != one[None]).reshape(*found.shape, -1), axis=2)
        return found

    def state(self, moving: Leaves, t: Array) -> State:
        """The whole state."""
        return self.plan.join(moving, list(self.fixed), t)

    def observe(self, params: Params, moving: Leaves, t: Array) -> dict[str, Array]:
        """What the scenario observes."""
        return check_observed(self.scenario.observe(self.state(moving, t), params))

    def _draw(self, tape: Tape, t: Array, name: str, **where: Any) -> CoinDraw:
        words = jnp.stack(fold(self.key, self.twin, _ROOTS))
        return CoinDraw(tape, Draw(words, t, name, **where), self.key, t, name, **where)
