"""Births and deaths under static shapes: slots are appended, or reused with a new generation."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from .aggregates import running_count
from .axes import AGENT, Array, Float, axis_names, hints, is_array
from .errors import ScenarioError, unknown
from .state import State, keep_alive

S = TypeVar("S", bound=State)


def death(state: S, dying: Float[Array, " agent"]) -> S:
    """Empty the slots where `dying` is 1: `alive` is cleared and every float becomes zero.

    Where `dying` is not a number the agent lives on and its floats are not numbers either, so that
    the run reports it.

    Raises:
        ScenarioError: the run's estimator is `mean_field`; nobody dies by a fraction.
    """
    _refuse_fractions(state, "death")
    alive = state.alive & ~(jax.lax.stop_gradient(dying) > 0.5)
    changes = {
        name: keep_alive(alive, _spoil(getattr(state, name), dying))
        for name, annotation in hints(type(state)).items()
        if _per_agent(annotation) and jnp.issubdtype(getattr(state, name).dtype, jnp.floating)
    }
    return state.replace(alive=alive, **changes)


def birth(state: S, mothers: Float[Array, " agent"], **columns: Any) -> S:
    """Add one living agent per mother (`mothers` is 0 or 1).

    A newborn inherits every variable of its mother, household included; `columns` name what it
    does not inherit: a number, or one value per agent read at the mother. Newborns take the
    slots after the last one ever used, in the order of their mothers; a population that recycles
    puts them into empty slots instead and counts up their generation. Networks other than Groups
    keep their edges: a newborn has none.

    Births beyond the capacity are not made, and where `mothers` is not a number the mother's floats
    become so; the run reports the step as a fault.

    Raises:
        ScenarioError: an unknown variable, or the run's estimator is `mean_field`.
    """
    _refuse_fractions(state, "birth")
    own = type(state).variables()
    wrong = [name for name in columns if name not in own]
    if wrong:
        raise ScenarioError(unknown(type(state).__name__, "variable", wrong, own))
    bearing = (jax.lax.stop_gradient(mothers) > 0.5) & state.alive
    rank = running_count(bearing) - 1
    births, capacity = jnp.sum(bearing, dtype=jnp.int32), state.alive.shape[0]
    if state.generation is None:
        room = jnp.arange(capacity, dtype=jnp.int32) >= state.next_slot
        order = jnp.arange(capacity, dtype=jnp.int32) - state.next_slot
        next_slot = state.next_slot + births
    else:
        room = ~state.alive
        order = running_count(room) - 1
        spare = jnp.sum(room, dtype=jnp.int32)
        next_slot = jnp.where(births > spare, capacity + 1, state.next_slot)
    # mother_of[k]: storage row of the k-th mother; born[i]: row i receives the order[i]-th newborn.
    mother_of = (
        jnp.zeros(capacity, jnp.int32)
        .at[jnp.where(bearing, rank, capacity)]
        .set(jnp.arange(capacity, dtype=jnp.int32), mode="drop")
    )
    born = room & (order < births)
    mother = jnp.where(born, mother_of[jnp.clip(order, 0, capacity - 1)], 0)
    changes = {
        name: _spoil(_inherit(getattr(state, name), born, mother, columns.get(name)), mothers)
        for name, annotation in hints(type(state)).items()
        if _per_agent(annotation) and name not in ("alive", "slot", "generation")
    }
    changes |= {
        name: value.adopt(born, mother)
        for name in hints(type(state))
        if hasattr(value := getattr(state, name), "adopt")
    }
    if state.generation is not None:
        changes["generation"] = state.generation + born.astype(jnp.int32)
    return state.replace(alive=state.alive | born, next_slot=next_slot, **changes)


def _inherit(x: Array, born: Array, mother: Array, given: Any) -> Array:
    inherited = x[mother]
    if given is not None:
        given = jnp.asarray(given).astype(x.dtype)
        inherited = given[mother] if given.ndim == x.ndim else jnp.broadcast_to(given, x.shape)
    mask = born.reshape(born.shape + (1,) * (x.ndim - 1))
    return jnp.where(mask, inherited, x)


def _spoil(x: Array, by: Array) -> Array:
    """`x`, if float, without a number wherever `by` is none."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    lost = jnp.isnan(by).reshape(by.shape + (1,) * (x.ndim - 1))
    return jnp.where(lost, jnp.full((), jnp.nan, x.dtype), x)


def _per_agent(annotation: Any) -> bool:
    return is_array(annotation) and axis_names(annotation)[:1] == (AGENT,)


def _refuse_fractions(state: State, verb: str) -> None:
    if state.estimator == "mean_field":
        raise ScenarioError(
            f"{verb} needs whole people, but estimator='mean_field' draws fractions of them; "
            "run with 'stop', 'straight_through' or 'score'"
        )
