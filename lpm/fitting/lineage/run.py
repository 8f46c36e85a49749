"""One run of the lineage adjoint: worlds forward in time, and their differences back."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...axes import Array
from ...engine import find_faults
from ...params import Params
from ...segments import fault_names
from ..seam import Loss
from .observed import loss_slopes, observe_back, on_steps
from .twins import Fields, Roots, advance, credit_all, differences, lanes_dot, retrace
from .worlds import Leaves, World

_KEPT_BYTES = 2**28  # Steps are kept whole up to here; beyond it they are computed again.


class Worlds(NamedTuple):
    """The moving leaves of a base and of its twins, and the first step each check failed at."""

    base: Leaves
    twins: Leaves
    faults: Array


class Past(NamedTuple):
    """A base and its twins over time, in segments of equal length but for the last.

    Attributes:
        first: record of `init`.
        starts: by segment but for the last: its worlds before its first step.
        kept: by step of the last segment: the worlds before it, and its record.
        rows: observables of the base after each step.
        end: the worlds after the last step.
    """

    first: dict[str, Any]
    starts: Worlds | None
    kept: tuple[Worlds, dict[str, Any]]
    rows: dict[str, Array]
    end: Worlds


class Back(NamedTuple):
    """What is carried back: adjoints by twin, and what has been found so far.

    Attributes:
        inner: the adjoint times the differences, by twin.
        direct: the part of the gradient that passes no coin.
        tally: what is unexplained and what roots explain, whatever their signs, [2, twin].
    """

    adjoint: Leaves
    inner: Array
    gradient: Fields
    direct: Fields
    tally: Array


class Lineages:
    """The lineages of one run.

    Args:
        length: steps in a segment; the last one is kept, the others are computed again.
    """

    def __init__(
        self,
        world: World,
        params: Params,
        fields: Fields,
        roots: Roots,
        twins: int,
        steps: int,
        length: int,
    ) -> None:
        self._world, self._params, self._fields = world, params, fields
        self._roots, self._twins = roots, twins
        self._steps, self._length = steps, length
        self._last = steps - (math.ceil(steps / length) - 1) * length

    def forward(self) -> Past:
        """The base and its twins to the end."""
        world, before = self._world, self._steps - self._last
        nobody = jnp.zeros((self._twins, world.population.capacity), bool)
        at = (self._params, self._fields, self._roots, [], [], nobody)
        base, twins, first = advance(world, lambda w: w.begin, *at)
        worlds = Worlds(base, twins, jnp.full(len(world.plan.checks), -1, jnp.int32))
        starts, rows = None, []
        if before:

            def segment(worlds: Worlds, start: Array) -> Any:
                after, (_, _, row) = self._steps_from(worlds, start, self._length, keep=False)
                return after, (worlds, row)

            at_starts = jnp.arange(0, before, self._length, dtype=jnp.int32)
            worlds, (starts, row) = jax.lax.scan(segment, worlds, at_starts)
            rows.append({n: x.reshape(-1, *x.shape[2:]) for n, x in row.items()})
        end, (worlds, record, row) = self._steps_from(worlds, jnp.int32(before), self._last)
        rows.append(row)
        whole = {name: jnp.concatenate([part[name] for part in rows]) for name in row}
        return Past(first, starts, (worlds, record), whole, end)

    def backward(self, past: Past, loss: Loss, every: int) -> dict[str, Any]:
        """Value and gradient of the loss, faults, the tally, and what roots were worth.

        `first` [coin, 3] and `worth` [step, coin, 3] are those of `init` and of each step, as
        `retrace` gives them; `direct` is the part of the gradient that passes no coin.
        """
        steps, world = self._steps, self._world
        rows = {name: x[every - 1 :: every] for name, x in past.rows.items()}
        value, by_rows, by_state = loss_slopes(loss, world, rows, past.end.base, steps, every)
        slopes = {name: on_steps(x, steps, every) for name, x in by_rows.items()}
        carry = self._end(past.end, by_state, {name: x[-1] for name, x in slopes.items()})
        # What is seen after a step belongs to the state before the next one.
        earlier = {n: jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]]) for n, x in slopes.items()}
        carry, worth = self._back(carry, past, earlier)
        at = (self._params, self._fields, past.first, [], [], carry.adjoint)
        begun = retrace(world, lambda w: w.begin, *at)
        rooted = jnp.broadcast_to(begun.rooted, carry.inner.shape)
        left = jnp.abs(carry.inner - rooted - begun.handed)
        parts = (carry.gradient, begun.gradient, carry.direct)
        return {
            "value": value,
            "gradient": jax.tree.map(lambda *x: sum(x), *parts),
            "direct": carry.direct,
            "first": begun.worth,
            "worth": worth,
            "faults": dict(zip(fault_names(world.plan), past.end.faults, strict=True)),
            "tally": carry.tally + jnp.stack([left, jnp.abs(rooted)]),
        }

    def alike(self, first: list[Array], worths: list[Array]) -> list[Fields]:
        """Derivatives if all coins of a number in a step have the same worth.

        One set for each of `first` [coin] and `worths` [step, coin], those of `init` and of the
        steps.
        """

        def tick(carry: Any, now: Any) -> Any:
            base, gradients = carry
            t, *worth = now
            move = self._world.move(t)
            base, more = credit_all(move, self._params, self._fields, base, worth)
            return (base, jax.tree.map(jnp.add, gradients, more)), None

        start = credit_all(self._world.begin, self._params, self._fields, [], first)
        steps = jnp.arange(self._steps, dtype=jnp.int32)
        return jax.lax.scan(tick, start, (steps, *worths))[0][1]

    def _steps_from(self, worlds: Worlds, start: Array, count: int, keep: bool = True) -> Any:
        """The worlds after `count` steps; by step, those before it, its record, and its row."""
        world = self._world

        def tick(now: Worlds, t: Array) -> Any:
            touched = world.touched(now.base, now.twins)
            at = (self._params, self._fields, self._roots, now.base, now.twins, touched)
            base, twins, record = advance(world, lambda w: w.move(t), *at)
            faults = find_faults(world.plan, world.state(base, t + 1), now.faults, "", t + 1)
            row = world.observe(self._params, base, t + 1)
            return Worlds(base, twins, faults), (*((now, record) if keep else (None, None)), row)

        return jax.lax.scan(tick, worlds, start + jnp.arange(count, dtype=jnp.int32))

    def _see(self, worlds: Worlds, slope: dict[str, Array], t: Array) -> Any:
        at = (self._params, self._fields, worlds.base, worlds.twins)
        return observe_back(self._world, *at, slope, t)

    def _end(self, worlds: Worlds, by_state: Leaves, slope: dict[str, Array]) -> Back:
        seen, direct, error = self._see(worlds, slope, jnp.int32(self._steps))
        adjoint = [mine[None] + other for mine, other in zip(by_state, seen, strict=True)]
        inner = lanes_dot(adjoint, differences(worlds.twins, worlds.base))
        nothing = jax.tree.map(jnp.zeros_like, self._fields)
        tally = jnp.stack([jnp.abs(error), jnp.zeros_like(error)])
        return Back(adjoint, inner, nothing, direct, tally)

    def _back(self, carry: Back, past: Past, slopes: dict[str, Array]) -> tuple[Back, Array]:
        """All steps backwards, segment by segment."""
        before, length = self._steps - self._last, self._length
        tail = {name: x[before:] for name, x in slopes.items()}
        carry, worth = self._back_over(carry, jnp.int32(before), past.kept, tail)
        if past.starts is None:
            return carry, worth

        def segment(carry: Back, one: Any) -> Any:
            start, worlds, slope = one
            _, kept = self._steps_from(worlds, start, length)
            return self._back_over(carry, start, kept[:2], slope)

        parts = {n: x[:before].reshape(-1, length, *x.shape[1:]) for n, x in slopes.items()}
        starts = jnp.arange(0, before, length, dtype=jnp.int32)
        carry, more = jax.lax.scan(segment, carry, (starts, past.starts, parts), reverse=True)
        return carry, jnp.concatenate([more.reshape(-1, *more.shape[2:]), worth])

    def _back_over(
        self,
        carry: Back,
        start: Array,
        kept: tuple[Worlds, dict[str, Any]],
        slopes: dict[str, Array],
    ) -> tuple[Back, Array]:
        """The steps that are kept, backwards; `slopes` are by what is seen before each."""

        def tock(carry: Back, one: Any) -> Any:
            t, worlds, record, slope = one
            at = (self._params, self._fields, record, worlds.base, worlds.twins, carry.adjoint)
            done = retrace(self._world, lambda w: w.move(t), *at)
            seen, direct, error = self._see(worlds, slope, t)
            left = jnp.abs(carry.inner - done.rooted - done.handed) + jnp.abs(error)
            adjoint = [mine + other for mine, other in zip(done.adjoint, seen, strict=True)]
            after = Back(
                adjoint,
                lanes_dot(adjoint, differences(worlds.twins, worlds.base)),
                jax.tree.map(jnp.add, carry.gradient, done.gradient),
                jax.tree.map(jnp.add, carry.direct, direct),
                carry.tally + jnp.stack([left, jnp.abs(done.rooted)]),
            )
            return after, done.worth

        times = start + jnp.arange(kept[0].faults.shape[0], dtype=jnp.int32)
        return jax.lax.scan(tock, carry, (times, *kept, slopes), reverse=True)


def segment_length(steps: int, state_bytes: int, step_bytes: int) -> int:
    """Steps in a segment: all where they fit, else the number that takes the least memory.

    `step_bytes` are kept for each step of one segment, `state_bytes` for each segment.
    """
    if steps * step_bytes <= _KEPT_BYTES:
        return steps
    least = math.ceil(math.sqrt(steps * state_bytes / step_bytes))
    return max(least, _KEPT_BYTES // step_bytes, 1)
