"""Scenario: init, processes, observe, params and horizon in one object."""

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp

from .axes import Array, Bool, axis_names, describe, hints, is_array
from .draw import Draw
from .errors import ScenarioError, listing, unknown
from .params import Params, html_table
from .personas import Panel, Recorded
from .population import Population
from .state import State

S = TypeVar("S", bound=State)
P = TypeVar("P", bound=Params)

# How many days, hours, ... one entry of a schedule array covers.
_SPAN = {"hour": 1 / 24, "day": 1, "week": 7, "month": 365.25 / 12, "year": 365.25}


@dataclass(frozen=True)
class Scenario(Generic[S, P]):
    """A model ready to run.

    Attributes:
        init: `(population, params, draw) -> state`, the state at step 0.
        processes: `(state, params, draw) -> state`, applied in this order at every step. All
            agents are updated at once from the state at the start of a process (synchronous).
        observe: `(state, params) -> {name: array}`, read after a step.
        params: default parameters.
        steps: default horizon.
        unit: what one step is: "day", "year", ...
        population: `(size, *, seed, capacity) -> Population`, who it happens to unless the caller
            brings another population.
        baseline: changes of params that the run is compared with, such as `{"closure": 0}`.
        panel: described people who are interviewed between segments of a run; their answers fill
            variables of the state.

    Raises:
        ScenarioError: processes without distinct names, no steps, a baseline that does not fit
            the params, or a wrong type.
    """

    init: Callable[..., S]
    processes: tuple[Callable[..., S], ...]
    observe: Callable[..., Mapping[str, Any]]
    params: P
    steps: int = dataclasses.field(kw_only=True)
    unit: str = dataclasses.field(kw_only=True, default="step")
    population: Callable[..., Population] = dataclasses.field(kw_only=True, default=Population.toy)
    baseline: Mapping[str, Any] = dataclasses.field(kw_only=True, default_factory=dict)
    panel: Panel | None = dataclasses.field(kw_only=True, default=None)

    def __post_init__(self) -> None:
        if callable(self.processes):
            raise ScenarioError("processes must be a tuple: write (process,) for a single one")
        parts = {"init": self.init, "observe": self.observe, "population": self.population}
        for part, value in parts.items():
            if not callable(value):
                raise ScenarioError(f"{part} must be a function, not {type(value).__name__}")
        names = [process_name(process) for process in self.processes]
        if len(set(names)) < len(names):
            raise ScenarioError(
                f"two processes share a name in {names}; names seed the random streams"
            )
        if not isinstance(self.params, Params):
            raise ScenarioError(f"params must be a lpm.Params, not {type(self.params).__name__}")
        check_steps(self.steps)
        self.params.replace(**self.baseline)

    @property
    def name(self) -> str:
        """Name of the file or module the scenario was written in."""
        return str(getattr(self.init, "__module__", "scenario")).rsplit(".", 1)[-1]

    @property
    def purpose(self) -> str:
        """Docstring of the scenario's file."""
        return str(getattr(self.init, "__globals__", {}).get("__doc__") or "")

    def replace(self, **changes: Any) -> "Scenario[S, P]":
        """A copy with other params, steps or processes.

        Raises:
            ScenarioError: a name that a scenario does not have.
        """
        names = [field.name for field in dataclasses.fields(self)]
        wrong = [name for name in changes if name not in names]
        if wrong:
            raise ScenarioError(unknown("Scenario", "part", wrong, names))
        return dataclasses.replace(self, **changes)

    def answered(self, answers: Recorded) -> "Scenario[S, P]":
        """The same scenario with the answers of a run in place of its panel.

        All of it is one program then, which gradients and fits can cross; the answers stay as they
        were, whatever the parameters.
        """
        return self.replace(processes=(answers.hear, *self.processes), panel=None)

    def table(self) -> list[dict[str, Any]]:
        """One row per part: what it is and where it comes in the schedule."""
        rows = [{"part": "init", "name": process_name(self.init), "schedule": "step 0"}]
        rows += [
            {"part": "process", "name": process_name(p), "schedule": f"{i}, all agents at once"}
            for i, p in enumerate(self.processes, 1)
        ]
        if self.panel is not None:
            told = ", ".join(self.panel.answers)
            rows += [{"part": "panel", "name": f"{len(self.panel)} personas", "schedule": told}]
        rows += [{"part": "observe", "name": process_name(self.observe), "schedule": "after"}]
        rows += [{"part": "horizon", "name": f"{self.steps} x {self.unit}", "schedule": ""}]
        return rows

    def _repr_html_(self) -> str:
        return html_table(self.table()) + html_table(self.params.table())


def process_name(process: Callable[..., Any]) -> str:
    """Name that seeds a process's random stream.

    Raises:
        ScenarioError: a lambda, or an object without a name.
    """
    name = getattr(process, "__name__", None)
    if not name or name == "<lambda>":
        raise ScenarioError(
            f"{process!r} has no name; its name seeds its random stream, so use def"
        )
    return name


def check_steps(steps: Any) -> int:
    """`steps` as an int of at least one.

    Raises:
        ScenarioError: anything else.
    """
    if isinstance(steps, bool) or not hasattr(steps, "__index__") or int(steps) < 1:
        raise ScenarioError(f"steps = {steps!r}; give a whole number of steps, at least 1")
    return int(steps)


def check_every(every: Any, steps: int) -> None:
    """Refuse a cadence of observables that no step of the run meets.

    Raises:
        ScenarioError: not a whole number, below one or beyond the run.
    """
    if isinstance(every, bool) or not hasattr(every, "__index__") or every < 1:
        raise ScenarioError(f"every = {every!r}; give a whole number of steps, at least 1")
    if every > steps:
        raise ScenarioError(
            f"every = {every} is beyond the {steps} steps of the run, so nothing would be observed"
        )


def entry_span(axis: str, unit: str) -> float:
    """Steps that one entry along a schedule's axis covers; 0 for an axis that is no schedule."""
    return 1.0 if axis in ("step", unit) else _SPAN.get(axis, 0) / _SPAN.get(unit, math.inf)


def check_schedules(params: Params, steps: int, unit: str) -> None:
    """Refuse a schedule array that ends before the run does.

    An axis named step, hour, day, week, month or year is read as a schedule. Reading past its end
    would repeat the last entry in silence.

    Raises:
        ScenarioError: names the field, its length and the length that would do.
    """
    for name in params.knobs():
        annotation = hints(type(params))[name]
        axes = axis_names(annotation) if is_array(annotation) else ()
        for position, axis in enumerate(axes):
            span = entry_span(axis, unit)
            if span <= 0:
                continue
            value = getattr(params, name)
            length = value.shape[position + int(params.varies(name))]
            needed = math.ceil(steps / span - 1e-9)
            if length < needed:
                raise ScenarioError(
                    f"{type(params).__name__}.{name} has {length} entries along '{axis}', but "
                    f"{steps} steps of one {unit} need {needed}"
                )


def every(period: int, process: Callable[..., S], *, offset: int = 0) -> Callable[..., S]:
    """The same process, acting only at steps `offset`, `offset + period`, ... and idle between.

    Raises:
        ScenarioError: a period below 1.
    """
    if isinstance(period, bool) or not hasattr(period, "__index__") or period < 1:
        raise ScenarioError(f"every({period!r}, ...): give a whole number of steps, at least 1")

    def act(state: S, params: Any, draw: Draw) -> S:
        due = (state.t >= offset) & ((state.t - offset) % period == 0)
        if draw.estimator != "score":
            return _act_if(due, process, state, params, draw)
        # The log-probability of draws has to leave the branch, so both branches are computed.
        before = draw.log_probability
        acted = process(state, params, draw)
        check_state(process, acted, state)
        draw.discount(due, before)
        return jax.tree.map(
            lambda new, old: old if new is old else jnp.where(due, new, old), acted, state
        )

    act.__name__ = process_name(process)
    act.__doc__ = process.__doc__
    return act


def _act_if(
    due: Bool[Array, ""], process: Callable[..., S], state: S, params: Any, draw: Draw
) -> S:
    """`process` where `due`; a leaf that it does not replace stays the same object."""
    old = jax.tree.leaves(state)
    replaced: list[bool] = []

    def probe() -> Array:
        # On a copy, so that looking does not count as drawing.
        acted = process(state, params, copy.copy(draw))
        check_state(process, acted, state)
        replaced.extend(a is not b for a, b in zip(jax.tree.leaves(acted), old, strict=True))
        return acted.t

    jax.eval_shape(probe)

    def pick(leaves: list[Any]) -> list[Any]:
        return [x for x, moves in zip(leaves, replaced, strict=True) if moves]

    new = iter(
        jax.lax.cond(
            due,
            lambda: pick(jax.tree.leaves(process(state, params, draw))),
            lambda: pick(old),
        )
    )
    leaves = [next(new) if moves else x for x, moves in zip(old, replaced, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(state), leaves)


def check_state(process: Callable[..., Any], new: Any, old: State) -> None:
    """Refuse what a process returned unless it is the State it was given, changed in values only.

    Raises:
        ScenarioError: names the process and what came back, or what changed its shape.
    """
    name, owner = process_name(process), type(old).__name__
    if type(new) is not type(old):
        raise ScenarioError(f"process `{name}` must return a {owner}, not {type(new).__name__}")
    before, after = (jax.tree_util.tree_flatten_with_path(state) for state in (old, new))
    if before[1] != after[1]:
        raise ScenarioError(
            f"process `{name}` changed the structure of {owner}; networks and their number of "
            "groups or ties are fixed during a run"
        )
    for (path, x), (_, y) in zip(before[0], after[0], strict=True):
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            raise ScenarioError(
                f"process `{name}` changed {owner}{jax.tree_util.keystr(path)} from {describe(x)} "
                f"to {describe(y)}; shapes are fixed during a run"
            )


def check_observed(observed: Any) -> dict[str, jax.Array]:
    """`observe`'s answer as a dict of arrays.

    Raises:
        ScenarioError: not a dict with at least one named array.
    """
    if not isinstance(observed, Mapping) or not observed:
        raise ScenarioError(
            f"observe must return a dict of named arrays, not {type(observed).__name__}"
        )
    wrong = [name for name in observed if not _is_column(name)]
    if wrong:
        raise ScenarioError(f"observe returned the names {listing(wrong)}; use other, plain words")
    return {name: jnp.asarray(value) for name, value in observed.items()}


def _is_column(name: Any) -> bool:
    """Whether an observable of this name can be a column and a file beside lpm's own."""
    taken = ("run", "variant", "observables", "provenance")
    return isinstance(name, str) and name not in ("", *taken) and not set(name) & {"/", "\\", "."}
