"""What a scenario must be for the lineage adjoint, read off its structure before anything runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core as extension

from ...axes import Array, hints, kind
from ...engine import MOVING
from ...errors import FittingError, unknown
from ...launch import complete, make_plan
from ...params import Params
from ...population import Population
from ...scenario import Scenario
from .tapes import Base, Fixed
from .twins import Fields, Roots, advance
from .worlds import World


def check_fields(params: Params, fields: Sequence[str]) -> None:
    """Refuse names that are no float fields.

    Raises:
        FittingError: names them.
    """
    known = [n for n in type(params).knobs() if kind(hints(type(params))[n]) == "float"]
    wrong = [name for name in fields if name not in known]
    if wrong:
        raise FittingError(unknown(type(params).__name__, "float field", wrong, known))


def prepare(
    scenario: Scenario[Any, Any],
    population: Population,
    params: Params,
    fields: Sequence[str],
    key: Array,
    every: int,
) -> World:
    """The scenario as a world whose fields act through coins alone.

    Raises:
        FittingError: a variable that is set from a field, or that is an id or a mask and changes
            with a coin; says which.
    """
    plan = make_plan(scenario, params, "stop", False, every, None)
    arrays = {name: jnp.asarray(x) for name, x in population.arrays().items()}
    world = World(scenario, population, arrays, key, plan)
    state = jax.eval_shape(lambda params: world.start(Base(), params), params)
    full = population.size == population.capacity
    world = replace(world, plan=complete(plan, state, params, key, full))
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]

    def check(params: Params) -> None:
        at = {name: jnp.asarray(getattr(params, name)) for name in fields}
        _check_start(world, params, at, state, names)
        _check_step(world, params, at, state, names)

    jax.eval_shape(check, params)
    return world


def sizes(
    world: World, params: Params, fields: Sequence[str], roots: Roots, twins: int
) -> tuple[int, int]:
    """Bytes of the worlds between two steps, and of those with the record of a step."""

    def step(key: Array, params: Params) -> Any:
        here = replace(world, key=key).settle(params)
        at = {name: jnp.asarray(getattr(params, name)) for name in fields}
        start = here.begin(Base(), params, [])
        lanes = [jnp.broadcast_to(x, (twins, *x.shape)) for x in start]
        nobody = jnp.zeros((twins, world.population.capacity), bool)
        record = advance(
            here, lambda w: w.move(jnp.int32(0)), params, at, roots, start, lanes, nobody
        )[2]
        return (start, lanes), record

    worlds, record = jax.eval_shape(step, world.key, params)
    state, more = (
        sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree)) for tree in (worlds, record)
    )
    return state, state + more


def _check_start(world: World, params: Params, at: Fields, state: Any, names: list[str]) -> None:
    def begin(fields: Fields, x: list[Array]) -> tuple[list[Array], list[Array]]:
        tape = Fixed(x, [])
        leaves = jax.tree.leaves(world.start(tape, params.replace(**fields)))
        return leaves, tape.p

    def leaves(fields: Fields, x: list[Array]) -> list[Array]:
        return begin(fields, x)[0]

    coins = _coins(lambda tape: world.start(tape, params))
    by_field = _depends(leaves, (at, coins), 0)
    _refuse(names, by_field, "set from a field in init, by more than coins")
    if not any(_depends(lambda *x: begin(*x)[1], (at, coins), 0)):
        return  # All worlds start alike.
    rigid = [
        role != MOVING or not jnp.issubdtype(leaf.dtype, jnp.floating)
        for role, leaf in zip(world.plan.roles, jax.tree.leaves(state), strict=True)
    ]
    hanging = _depends(leaves, (at, coins), 1)
    bad = [a and b for a, b in zip(hanging, rigid, strict=True)]
    _refuse(names, bad, "set in init by a coin that a field moves, and no float that changes later")


def _check_step(world: World, params: Params, at: Fields, state: Any, names: list[str]) -> None:
    roles = world.plan.roles
    rigid = [
        role == MOVING and not jnp.issubdtype(leaf.dtype, jnp.floating)
        for role, leaf in zip(roles, jax.tree.leaves(state), strict=True)
    ]
    _refuse(names, rigid, "changed by a process, but no floats, as with births and deaths")
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)
    start, fixed = world.plan.split(zeros)
    move = replace(world, fixed=tuple(fixed)).move(jnp.zeros((), jnp.int32))

    def step(fields: Fields, x: list[Array]) -> list[Array]:
        return move(Fixed(x, []), params.replace(**fields), start)

    coins = _coins(lambda tape: move(tape, params, start))
    moving = [name for name, role in zip(names, roles, strict=True) if role == MOVING]
    by_field = _depends(step, (at, coins), 0)
    _refuse(moving, by_field, "set from a field in a process, by more than coins")


def _coins(act: Any) -> list[Array]:
    """Zeros in the shape of the coins that `act` tosses."""
    shapes: list[tuple[int, ...]] = []

    def toss() -> Array:
        tape = Base()
        act(tape)
        shapes.extend(x.shape for x in tape.x)
        return jnp.zeros(())

    jax.eval_shape(toss)
    return [jnp.zeros(shape) for shape in shapes]


def _depends(function: Any, arguments: tuple[Any, ...], which: int) -> list[bool]:
    """Per output: whether it can depend on the argument of that number."""
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    sizes = [len(jax.tree.leaves(argument)) for argument in arguments]
    first = sum(sizes[:which])
    tainted = set(jaxpr.invars[first : first + sizes[which]])
    for equation in jaxpr.eqns:
        used = [v for v in equation.invars if not isinstance(v, extension.Literal)]
        if any(v in tainted for v in used):
            tainted.update(equation.outvars)
    return [not isinstance(v, extension.Literal) and v in tainted for v in jaxpr.outvars]


def _refuse(names: list[str], bad: list[bool], what: str) -> None:
    wrong = [f"State{name}" for name, flag in zip(names, bad, strict=True) if flag]
    if wrong:
        are = "is" if len(wrong) == 1 else "are"
        raise FittingError(
            f"{', '.join(wrong)} {are} {what}; lineage follows coins of agents and float "
            "variables that add them up: use crn or score"
        )
