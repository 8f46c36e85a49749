"""`assimilate`: parameters and states, week by week, as reports come in and are revised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...axes import is_traced
from ...errors import FittingError
from ...launch import key_words
from ...params import Params
from ...population import Population
from ...scenario import Scenario
from ..chance import generator_for
from ..journal import Journal
from ..posterior import Posterior
from ..request import choose_fields
from ..space import Space
from ..watching import open_watch
from .evidence import read_evidence, surprise
from .forecast import Outlook, look_ahead, now, pick_rows, quantile_frame
from .members import Members, Rows, Runs, begin
from .request import (
    check_horizon,
    check_request,
    describe,
    draw_priors,
    read_walk,
)
from .store import States, keep_reports, open_journal
from .stream import Datum, Stream
from .update import Tuning, check_possible, update
from .weeks import Assimilation, Week, alarm

Known = dict[int, tuple[Datum, ...]]


def assimilate(
    scenario: Scenario[Any, Any],
    population: Population,
    stream: Stream,
    *,
    fields: Sequence[str] | None = None,
    walk: Mapping[str, float | int] | None = None,
    members: int = 200,
    ahead: int = 4,
    lag: int = 4,
    key: Any = 0,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    least: float | int = 0.5,
    inflation: float | int = 1.0,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> Assimilation:
    """Take in a stream of reports week by week: parameters, what goes on now, and what comes.

    Each member of the ensemble is a whole run with parameters of its own, drawn from the priors.
    After a week its reports are taken in as `lpm.fitting.assimilation.update.update` says. A week
    counts with the reports as they are known at its update; where one of an earlier week has come
    in late or was revised since, the members of the week before are fetched back and the weeks from
    there on gone through again with what is known now, so that nothing counts twice. Revisions of
    more than `lag` weeks are left out, and counted.

    The states of all members must fit into memory twice, and those of `lag + 1` further weeks on
    the host or, with `out`, on disk. In a folder, each week appears when it is done: the same call
    with a longer stream goes on from the last one, bit for bit as if it had never stopped.

    States are chosen among those that there are, and cannot be moved to where no member is: after a
    shock that none foresaw it takes some weeks, and `Week.alarm` says so. Of some hundred members
    intervals are wider than the exact ones by a tenth or two; of fifty or fewer, too narrow.

    Args:
        scenario: what is run.
        population: who it happens to; births and deaths may be among it.
        stream: reports and how they come about.
        fields: float parameters to learn; all that are declared as such by default.
        walk: for parameters that change in time, the standard deviation of their step before each
            week, on the unconstrained scale.
        members: runs in the ensemble; 200 for a handful of parameters.
        ahead: weeks of forecasts.
        lag: weeks within which revisions are taken in; 0 leaves all of them out.
        key: an int or a JAX key.
        params: values of all other fields, if not the scenario's defaults.
        steps: horizon, if not the scenario's; it must hold the stream and the weeks ahead.
        every: steps of a row, as for `lpm.simulate`.
        least: share of the members that weights must leave effective; what more the data say is
            taken in by a Kalman step. 0 is a particle filter, 1 an ensemble Kalman filter.
        inflation: of the correction for a finite ensemble; 1 as derived, 0 none.
        out: folder to keep weeks in and to go on from.
        progress: a bar; by default where a person looks.

    Raises:
        FittingError: a stream that does not fit the scenario or the folder, a walk of other fields,
            numbers out of range, or a week that no member explains.
        ScenarioError: names that are no parameters, params of another scenario, or a horizon that
            ends too early.
        SimulationError: a variable left its bounds in some member, or memory is short.
    """
    chosen = scenario.params if params is None else params
    check_request(scenario, chosen, members, ahead, lag, least, inflation)
    space = Space(chosen, choose_fields(chosen, "parameter", fields))
    check_horizon(scenario, chosen, stream, ahead, steps, every)
    words = key_words(key)
    if words.ndim != 1 or is_traced((chosen, words)):
        raise FittingError("assimilate takes one key, and params that are no tracers")
    steps_of_walk = read_walk(space, dict(walk or {}))
    points = draw_priors(space, members, words)
    runs, start = begin(
        scenario, population, space, stream.feeds, points, steps_of_walk, words, every,
        stream.update,
    )  # fmt: skip
    tuning = Tuning(float(least), float(inflation))
    folder = None if out is None else Path(out)
    about = describe(scenario, population, chosen, words, every, stream) | {
        "verb": "assimilate",
        "fields": list(space.fields),
        "walk": steps_of_walk.tolist(),
        "choices": [members, ahead, lag, tuning.least, tuning.inflation],
    }
    journal = open_journal(folder, about, stream)
    course = _Course(runs, stream, population, tuning, ahead, lag, States(start, folder), journal)
    with open_watch(progress, stream.weeks * members, scenario.name) as watch:
        for week in range(1, stream.weeks + 1):
            course.take_in(week)
            keep_reports(folder, stream, week)
            watch(week * members, course.weeks[-1].surprise)
    return Assimilation(tuple(course.weeks), journal.recalled)


@dataclass
class _Course:
    """An assimilation under way."""

    runs: Runs
    stream: Stream
    population: Population
    tuning: Tuning
    ahead: int
    lag: int
    states: States
    journal: Journal
    used: Known = field(default_factory=dict)
    weeks: list[Week] = field(default_factory=list)

    def take_in(self, week: int) -> None:
        """One more week."""
        known = self.stream.known(week)
        changed = [k for k in range(1, week) if known.get(k, ()) != self.used.get(k, ())]
        within = [k for k in changed if k >= week - self.lag]
        first = min([*within, week])
        for k in range(first, week + 1):
            self.used[k] = known.get(k, ())
        about = {"gone_back": week - first, "left_out": len(changed) - len(within)}
        asked = self._digits(max(1, week - self.lag), week)
        entry = self.journal.answer(f"week {week}", asked, lambda: self._compute(first, week))
        self.states.drop(week - self.lag, week)
        self.weeks.append(self._week(week, entry, about))

    def _compute(self, first: int, week: int) -> dict[str, np.ndarray]:
        members, rows, found = self._go_through(self.states.get(first - 1, week - 1), first)
        self.states.put(first, week, members)
        for k in range(first + 1, week + 1):
            members, rows, found = self._go_through(members, k)
            self.states.put(k, week, members)
        names = self._observables()
        known = {k: self.used[k] for k in range(1, week + 1)}
        outlook = look_ahead(self.runs, members, rows, self.stream, known, week, self.ahead)
        return found | {
            "points": members.points,
            "now": now(rows, names),
            **{name: getattr(outlook, name) for name in ("feeds", "ends", "horizons", "draws")},
        }

    def _go_through(
        self, members: Members, week: int
    ) -> tuple[Members, Rows, dict[str, np.ndarray]]:
        """Members through a week and its update; their rows, and how it went."""
        runs, data, size = self.runs, self.used[week], len(members.points)
        members, rows = runs.advance(members, week)
        if not data:
            about = [np.nan, size, 1.0, size]
            return members, rows, {"about": np.array(about, float)}
        evidence = read_evidence(data, self.stream.feeds, rows, runs.first_row(week))
        densities = evidence.densities
        check_possible(densities, week)
        odd = surprise(evidence, runs.words, f"surprise in week {week}")
        rng = generator_for(runs.words[None], f"update of week {week}")
        summaries = now(rows, self._observables())
        new = update(members.points, summaries, evidence.misses, densities, self.tuning, rng)
        members = members.pick(new.chosen, new.points)
        about = [odd, new.effective, new.by_weights, new.distinct]
        return members, pick_rows(rows, new.chosen), {"about": np.array(about, float)}

    def _observables(self) -> list[str]:
        return [name for name, shape in self.runs.shapes.items() if shape == ()]

    def _digits(self, first: int, week: int) -> np.ndarray:
        """The reports in use, as numbers."""
        names, found = list(self.stream.feeds), []
        for k in range(first, week + 1):
            for one in self.used.get(k, ()):
                found += [k, names.index(one.feed), one.end, one.value, *one.shares]
        return np.array(found, float)

    def _week(self, number: int, entry: dict[str, np.ndarray], about: dict[str, int]) -> Week:
        odd, effective, by_weights, distinct = entry["about"].tolist()
        day, names = self.stream.at(number), self._observables()
        outlook = Outlook(*(entry[n] for n in ("feeds", "ends", "horizons", "draws")))
        size, rows = len(entry["points"]), number * self.stream.update
        diagnostics = {"effective": effective, "by_weights": by_weights, "distinct": distinct}
        diagnostics |= {name: float(x) for name, x in about.items()}
        every = self.runs.setting.plan.every
        return Week(
            number,
            day,
            Posterior(
                self.runs.scenario, self.population, self.runs.space, entry["points"],
                "assimilation", size, rows * every, every, dict(diagnostics),
            ),
            quantile_frame([day] * len(names), names, [0] * len(names), entry["now"]),
            outlook.frame(self.stream),
            {name: entry["now"][:, i] for i, name in enumerate(names)},
            odd,
            diagnostics,
            alarm([*(w.surprise for w in self.weeks), odd]),
        )  # fmt: skip
