"""Interviews during a run: on the host, between segments, never inside the compiled program."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .axes import axis_names, hints
from .engine import MOVING, Plan, lanewise
from .errors import PersonaError, ScenarioError, SimulationError, unknown
from .personas import Interviewer, Panel, Reason, Recorded, Respondent, read_rules
from .processes import several
from .scenario import Scenario

_ANSWER = "answer_"  # Before the names of variables among what is kept of a round.


@dataclass
class Interviews:
    """The panel of one run, or of runs that advance together.

    Attributes:
        panel, interviewer: who is asked, and by whom.
        unit: of a step, as headlines are dated.
        rounds: what was answered, a row for each round.
    """

    panel: Panel
    interviewer: Interviewer
    unit: str
    rounds: dict[str, list[Any]] = field(default_factory=dict)
    _told: dict[str, np.ndarray] = field(default_factory=dict)  # Where watched observables stood.

    def again(self) -> "Interviews":
        """The same panel, before other runs."""
        return Interviews(self.panel, self.interviewer, self.unit)

    def hold(self, plan: Plan, step: int, moving: list[Any], fixed: Any, params: Any) -> list[Any]:
        """The moving leaves before this step, with new answers where some are due.

        Raises:
            PersonaError: an answer that cannot be had.
            ScenarioError: an observable that is not observed.
        """
        if step not in self.panel.stops(step + 1):
            return moving
        names = self.panel.observables
        seen = _look(plan, names, jnp.int32(step), moving, fixed, params)
        lanes = {n: np.asarray(x) if plan.batched else np.asarray(x)[None] for n, x in seen.items()}
        runs = len(next(iter(lanes.values()))) if lanes else _runs(plan, moving)
        reason = self.panel.due(step)
        reasons = np.full(runs, -1 if reason is None else int(reason))
        if reason is None:
            reasons = self._moved(step, lanes, reasons)
        asked = np.flatnonzero(reasons >= 0)
        if not asked.size:
            return moving
        self._check_lengths(plan, moving)
        answers = self._ask(plan, step, lanes, asked)
        return self._land(plan, step, moving, reasons, answers)

    def _check_lengths(self, plan: Plan, moving: Sequence[Any]) -> None:
        """Refuse variables that are not as long as the panel, before anybody is asked."""
        for name in self.panel.answers:
            found = moving[_place(plan, name)].shape[-1]
            if found != len(self.panel):
                raise ScenarioError(
                    f"{name} has {found} along axis 'persona' for a panel of {len(self.panel)}; "
                    "build it with len(panel)"
                )

    def _moved(self, step: int, seen: Mapping[str, np.ndarray], reasons: np.ndarray) -> np.ndarray:
        """Why each run is asked because of a watched observable, or -1."""
        for i, watch in enumerate(self.panel.watch):
            if step % watch.every:
                continue
            x = _scalar(watch.observable, seen)
            if watch.drift is not None:
                far = np.abs(x - self._told[f"last{i}"]) > watch.drift
                reasons = np.where(far, int(Reason.DRIFT), reasons)
            if watch.hull is not None:
                out = (x < self._told[f"low{i}"]) | (x > self._told[f"high{i}"])
                reasons = np.where(out, int(Reason.HULL), reasons)
        return reasons

    def _ask(
        self, plan: Plan, step: int, seen: Mapping[str, np.ndarray], asked: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Answers of the runs asked by variable, [run, persona]."""
        panel, news = self.panel, self.panel.digest(step, self.unit)
        book = panel.codebook(_domains(plan, panel.answers))
        questions = [
            question
            for run in asked
            for question in panel.questions({n: x[run] for n, x in seen.items()}, book, news)
        ]
        found = self.interviewer.ask(questions)
        for i, watch in enumerate(panel.watch):
            x = _scalar(watch.observable, seen)
            low, high = watch.hull or (np.inf, -np.inf)
            for name, start, keep in (
                ("last", x, lambda _, new: new),
                ("low", low, np.minimum),
                ("high", high, np.maximum),
            ):
                kept = self._told.setdefault(f"{name}{i}", np.full(len(x), start, np.float64))
                kept[asked] = keep(kept[asked], x[asked])
        return {
            name: found.array(name).reshape(len(asked), len(panel)) / panel.scale
            for name in panel.answers
        }

    def _land(
        self,
        plan: Plan,
        step: int,
        moving: list[Any],
        reasons: np.ndarray,
        answers: Mapping[str, np.ndarray],
    ) -> list[Any]:
        """The leaves with the answers in them; what was answered is noted."""
        moving, asked = list(moving), reasons >= 0
        tainted = self.panel.digest(step, self.unit).tainted
        row: dict[str, Any] = {"step": step, "reason": int(reasons.max()), "tainted": int(tainted)}
        for name, values in answers.items():
            place = _place(plan, name)
            old = moving[place]
            whole = np.array(old).reshape(len(reasons), -1)
            whole[asked] = values
            new = whole.reshape(old.shape)
            # As free to be moved as the old one: a bound leaf would compile the segment again.
            moving[place] = jax.device_put(new, old.sharding) if old.committed else jnp.array(new)
            row[_ANSWER + name] = whole
        for name, value in row.items():
            self.rounds.setdefault(name, []).append(value)
        return moving

    def recorded(self, plan: Plan) -> Recorded:
        """What was answered so far."""
        rounds = {n: np.array(x) for n, x in self.rounds.items()}
        values = {n: np.moveaxis(rounds[_ANSWER + n], 0, 1) for n in self.panel.answers}
        return Recorded(
            rounds["step"],
            rounds["reason"],
            rounds["tainted"].astype(bool),
            values if plan.batched else {name: x[0] for name, x in values.items()},
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What the identity of a run holds of its panel."""
        return {"panel": self.interviewer.identity}

    def record(self, answers: Recorded | None) -> dict[str, Any]:
        """What its record holds: who answered, where that is kept, when and why they were asked."""
        rounds = [] if answers is None else answers.table()
        return {"panel": self.interviewer.record | {"rounds": rounds}}

    def save(self) -> dict[str, np.ndarray]:
        """All that a resumed run needs to go on as if it had never stopped."""
        rounds = {f"round-{name}": np.array(rows) for name, rows in self.rounds.items()}
        return rounds | {f"told-{name}": x for name, x in self._told.items()}

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on from what `save` gave."""
        for name, x in saved.items():
            kind, _, key = name.partition("-")
            if kind == "round":
                self.rounds[key] = [row if row.ndim else int(row) for row in x]
            else:
                self._told[key] = np.array(x)


def open_interviews(
    scenario: Scenario[Any, Any],
    respondent: Respondent | Interviewer | None,
    folder: str | Path | None,
) -> Interviews | None:
    """The interviews of a run; nothing without a panel.

    Where nobody is given who answers, the panel's card does, which is said in the log.

    Raises:
        ScenarioError: a respondent without a panel.
        PersonaError: a panel without a respondent or a card, or a language model without a
            transcript.
        SimulationError: several processes share the run.
    """
    panel = scenario.panel
    if panel is None:
        if respondent is not None:
            raise ScenarioError(f"{scenario.name} has no panel that a respondent could answer for")
        return None
    if several():
        raise SimulationError(
            f"{scenario.name} has a panel, which each process would ask anew; use one process, or "
            "scenario.answered(run.answers) with the answers of another run"
        )
    if respondent is None:
        if not panel.card:
            raise PersonaError(
                f"{scenario.name} has a panel and no card for it; give respondent=, such as "
                "personas.Http(...) or personas.Replay(...)"
            )
        respondent = read_rules(panel.card)
        _announce(respondent.about.name)
    if not isinstance(respondent, Interviewer):
        respondent = Interviewer(respondent)
    return Interviews(panel, respondent.recording(folder), scenario.unit)


@cache
def _announce(name: str) -> None:
    """Once in a process, since a fit or a sweep opens many runs."""
    logging.getLogger("lpm.personas").warning("no respondent was given; the panel is %s", name)


@partial(jax.jit, static_argnames=("plan", "names"))
def _look(
    plan: Plan, names: tuple[str, ...], t: Any, moving: Any, fixed: Any, params: Any
) -> dict[str, jax.Array]:
    """Some observables of a state between two segments."""
    seen = lanewise(plan, params)[1](t, moving, fixed, params)
    if lost := [name for name in names if name not in seen]:
        raise ScenarioError(unknown("the panel's question", "observable", lost, seen))
    return {name: seen[name] for name in names}


def _scalar(name: str, seen: Mapping[str, np.ndarray]) -> np.ndarray:
    if seen[name].ndim != 1:
        raise PersonaError(f"watch of {name!r}: it is an array; watch observables of one number")
    return seen[name].astype(np.float64)


def _place(plan: Plan, name: str) -> int:
    """Place of a variable among the moving leaves."""
    number = getattr(jax.tree.unflatten(plan.treedef, range(len(plan.roles))), name)
    return sum(role == MOVING for role in plan.roles[:number])


def _runs(plan: Plan, moving: Sequence[Any]) -> int:
    return moving[0].shape[0] if plan.batched else 1


def _domains(plan: Plan, names: Sequence[str]) -> dict[str, tuple[float | int, float | int, str]]:
    """Bounds and unit of the variables that are answered."""
    variables = type(jax.tree.unflatten(plan.treedef, plan.roles)).variables()
    found = {}
    for name in names:
        domain = variables[name].domain
        assert domain.lower is not None
        assert domain.upper is not None
        found[name] = (domain.lower, domain.upper, variables[name].unit)
    return found


def answered_roles(state: Any, names: Sequence[str], roles: tuple[str, ...]) -> tuple[str, ...]:
    """Roles of leaves, with those that a panel answers among those that move.

    Raises:
        ScenarioError: an answer that is no variable of the single axis `persona` with two bounds.
    """
    owner, variables = type(state).__name__, type(state).variables()
    numbers = jax.tree.unflatten(jax.tree.structure(state), range(len(roles)))
    moved = list(roles)
    for name in names:
        if name not in variables:
            raise ScenarioError(unknown(owner, "variable", [name], variables))
        axes, domain = axis_names(hints(type(state))[name]), variables[name].domain
        if axes != ("persona",) or domain.lower is None or domain.upper is None:
            raise ScenarioError(
                f"{owner}.{name} is answered by the panel; declare it as Float[Array, ' persona'] "
                f"= lpm.variable(within=(low, high)), not along {list(axes)} in {domain}"
            )
        moved[getattr(numbers, name)] = MOVING
    return tuple(moved)
