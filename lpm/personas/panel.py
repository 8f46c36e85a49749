"""Panel: who is asked during a run, what, when, and which variables the answers fill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import PersonaError, listing, unknown
from .codebook import Codebook, Number
from .headlines import Digest, Event, digest_of
from .question import Persona, Question, Settings, placeholders
from .recorded import Reason


@dataclass(frozen=True)
class Watch:
    """An observable that calls for another interview when it has moved.

    Attributes:
        observable: a scalar that the scenario observes.
        drift: dead-band: how far it may move from where the panel was last told it was.
        hull: range that the first answers hold for; it grows with every value that the panel is
            asked at, and leaving it calls for an interview.
        every: steps between two looks.
    """

    observable: str
    drift: float | int | None = None
    hull: tuple[float | int, float | int] | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.drift is None and self.hull is None:
            raise PersonaError(f"watch of {self.observable!r}: give drift, or hull, or both")
        if self.drift is not None and not self.drift >= 0:
            raise PersonaError(f"watch of {self.observable!r}: drift = {self.drift} must be >= 0")
        if self.hull is not None and not self.hull[0] <= self.hull[1]:
            raise PersonaError(f"watch of {self.observable!r}: hull {self.hull} must not fall")
        _check_period(f"watch of {self.observable!r}: every", self.every)


@dataclass(frozen=True)
class Panel:
    """Described people who are interviewed between segments of a run.

    They are asked before step 0, before steps `every`, 2 `every`, ..., when an event arrives, and
    when a watched observable has moved. Each answer is one number for each variable in `answers`.

    Attributes:
        personas: descriptions, or `Persona`s where they have facts for `Rules`.
        question: template over observables, each with a format, as `{support:+.2f}`: what is told
            is what is printed. An observable with one value per persona tells each its own.
        answers: state variables with the single axis `persona` and two bounds, which the answers
            keep.
        every: steps between interviews; `None` for none by calendar.
        events: dated news. Their text is quoted to the personas and goes nowhere else.
        watch: observables that call for an interview.
        card: of `Rules`, who answer where nobody else was given.
        scale: answers are whole numbers of 1 / `scale`, as servers can hold models to.
        headlines: of the newest events that personas keep in mind.
        settings: how a model is to answer.

    Raises:
        PersonaError: no personas or answers, a name twice, a template or period that is none.
    """

    personas: Sequence[Persona | str]
    question: str
    answers: tuple[str, ...]
    every: int | None = None
    events: Sequence[Event] = ()
    watch: Sequence[Watch] = ()
    card: str = ""
    scale: int = 100
    headlines: int = 5
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        people = [p if isinstance(p, Persona) else Persona(p, p) for p in self.personas]
        names = [person.name for person in people]
        if not names or len(set(names)) < len(names):
            raise PersonaError(f"personas {listing(names)}: give at least one, each its own name")
        if not self.answers or len(set(self.answers)) < len(self.answers):
            raise PersonaError(f"answers {listing(self.answers)}: name state variables, each once")
        bare = [name for name, form in placeholders(self.question).items() if not form]
        if bare:
            raise PersonaError(f"question: {listing(bare)} need a format, as {{{bare[0]}:.2f}}")
        if self.every is not None:
            _check_period("every", self.every)
        _check_period("scale", self.scale)
        _check_period("headlines", self.headlines)
        for name, value in (("personas", people), ("events", self.events), ("watch", self.watch)):
            object.__setattr__(self, name, tuple(value))

    def __len__(self) -> int:
        return len(self.personas)

    @property
    def observables(self) -> tuple[str, ...]:
        """Names that the question and the watches need."""
        watched = (watch.observable for watch in self.watch)
        return tuple(dict.fromkeys([*placeholders(self.question), *watched]))

    def stops(self, steps: int) -> frozenset[int]:
        """Steps of a run before which somebody has to look or ask."""
        periods = [watch.every for watch in self.watch]
        periods += [self.every] if self.every is not None else []
        found = {0, *(event.step for event in self.events if event.step < steps)}
        return frozenset(found.union(*(range(0, steps, period) for period in periods)))

    def due(self, step: int) -> Reason | None:
        """Why everybody is asked before this step, if they are."""
        if step == 0:
            return Reason.START
        if any(event.step == step for event in self.events):
            return Reason.EVENT
        by_date = self.every is not None and step % self.every == 0
        return Reason.CALENDAR if by_date else None

    def digest(self, step: int, unit: str) -> Digest:
        """What the personas have read by this step."""
        return digest_of(self.events, step, unit, self.headlines)

    def codebook(self, domains: Mapping[str, tuple[float | int, float | int, str]]) -> Codebook:
        """The answer: a whole number for each variable, from its bounds and unit.

        Raises:
            PersonaError: bounds that are no whole numbers of 1 / `scale`.
        """
        numbers = []
        for name in self.answers:
            low, high, unit = domains[name]
            ends = tuple(round(end * self.scale) for end in (low, high))
            if not np.allclose(ends, np.array([low, high]) * self.scale, rtol=0, atol=1e-9):
                raise PersonaError(
                    f"{name}: its bounds [{low:g}, {high:g}] times scale = {self.scale} must be "
                    "whole numbers; give another scale"
                )
            times = f"{self.scale} times " if self.scale != 1 else ""
            numbers.append(Number(name, (ends[0], ends[1]), f"{times}{unit}", whole=True))
        return Codebook(tuple(numbers))

    def questions(
        self, seen: Mapping[str, Any], codebook: Codebook, news: Digest
    ) -> list[Question]:
        """One question to each persona about what is seen in one run.

        Raises:
            PersonaError: an observable that is neither one number nor one for each persona.
        """
        told = list(placeholders(self.question))
        if lost := [name for name in told if name not in seen]:
            raise PersonaError(unknown("observe", "observable", lost, seen))
        for name in told:
            if np.shape(seen[name]) not in ((), (len(self),)):
                raise PersonaError(
                    f"question: {name!r} has shape {list(np.shape(seen[name]))}; a panel of "
                    f"{len(self)} can be told one number, or one for each persona"
                )
        return [
            Question(
                persona,
                self.question,
                codebook,
                {n: float(seen[n] if np.ndim(seen[n]) == 0 else seen[n][i]) for n in told},
                news.text,
                self.settings,
            )
            for i, persona in enumerate(self.personas)
            if isinstance(persona, Persona)
        ]


def _check_period(where: str, value: int) -> None:
    if isinstance(value, bool) or value < 1:
        raise PersonaError(f"{where} = {value}; give a whole number of at least 1")
