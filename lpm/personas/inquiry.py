"""A question about a response surface: what to ask of whom, and the replies as `Answers`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from jaxtyping import Int

from ..errors import PersonaError, listing
from .answers import Answers
from .cells import Cells
from .codebook import Codebook
from .interview import Interview
from .question import Persona, Question, Settings, placeholders


@dataclass(frozen=True)
class Inquiry:
    """How many of 100 people like these would take each action, at every knot of a situation.

    One variable is asked about at all its knots in one prompt, so that nothing else seems to change
    with it; the others stand in the text, one prompt for each combination of their knots.

    Attributes:
        actions: in words; the first is what the log-odds of the others are against.
        knots: levels of each variable, rising, at least two.
        wordings: paraphrases of the question, with `{name:format}` for all variables but `along`.
        along: the variable that is asked about at all knots at once.
        level: words for one of its knots, such as "where {payment:.0%} of lost wages are paid".
        orders: 2 asks again with the actions the other way round.
        of: how many people an answer speaks of.
        event: news that the people have read.
        settings: how a model is to answer.

    Raises:
        PersonaError: a variable that is missing in a wording, or stands where it should not.
    """

    actions: tuple[str, ...]
    knots: Mapping[str, Sequence[float]]
    wordings: tuple[str, ...]
    along: str
    level: str
    orders: int = 1
    of: int = 100
    event: str = ""
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if self.along not in self.knots:
            raise PersonaError(f"along = {self.along!r}, but knots has {listing(self.knots)}")
        if not self.wordings or self.orders not in (1, 2):
            raise PersonaError(f"{len(self.wordings)} wordings, {self.orders} orders; give 1 or 2")
        if set(placeholders(self.level)) != {self.along}:
            raise PersonaError(f"level = {self.level!r} must say {{{self.along}}} and nothing else")
        others = set(self.knots) - {self.along}
        for wording in self.wordings:
            if set(placeholders(wording)) != others:
                raise PersonaError(
                    f"the wording {wording!r} says {listing(sorted(placeholders(wording)))}; "
                    f"it must say {listing(sorted(others))}"
                )

    def questions(self, personas: Sequence[Persona]) -> tuple[Question, ...]:
        """All that is to be asked: persona, other variables, wording, order, in this order."""
        return tuple(self._ask(*each) for each in self._each(personas))

    def answers(self, interview: Interview, personas: Sequence[Persona]) -> Answers:
        """The replies to `questions` of the same personas as shares.

        Raises:
            PersonaError: an interview about something else.
        """
        asked = self.questions(personas)
        if interview.questions != asked:
            raise PersonaError(
                f"the interview has {len(interview.questions)} other questions than the "
                f"{len(asked)} of this inquiry"
            )
        levels = range(len(self.knots[self.along]))
        people = [
            [[said[f"{a}_{k}"] for a in self._slugs()] for k in levels] for said in interview.values
        ]
        names = list(self.knots)
        outer = [len(self.knots[name]) for name in names if name != self.along]
        shape = (len(personas), *outer, len(self.wordings), self.orders, len(levels), -1)
        counts = np.moveaxis(np.reshape(np.array(people, np.float64), shape), -2, 1)
        counts = np.moveaxis(counts, 1, 1 + names.index(self.along))
        return Answers(self.knots, self.actions, counts / counts.sum(axis=-1, keepdims=True))

    def _slugs(self) -> list[str]:
        return [action.replace(" ", "_") for action in self.actions]

    def _each(
        self, personas: Sequence[Persona]
    ) -> Iterator[tuple[Persona, dict[str, float], int, int]]:
        others = {name: knots for name, knots in self.knots.items() if name != self.along}
        for persona, values in product(personas, product(*others.values())):
            for wording, order in product(range(len(self.wordings)), range(self.orders)):
                yield persona, dict(zip(others, values, strict=True)), wording, order

    def _ask(
        self, persona: Persona, values: Mapping[str, float], wording: int, order: int
    ) -> Question:
        slugs = self._slugs() if order == 0 else self._slugs()[::-1]
        at = [{self.along: float(knot)} for knot in self.knots[self.along]]
        words = [self.level.format(**level) for level in at]
        book = Codebook.curve(slugs, words, self.of, at)
        template = self.wordings[wording]
        return Question(persona, template, book, values, self.event, self.settings, wording)


def personas_of(cells: Cells, chosen: Int[np.ndarray, " persona"]) -> tuple[Persona, ...]:
    """Cells as personas: described in words, with their values as facts and their weight."""
    return tuple(
        Persona(
            f"cell {int(cell)}",
            cells.describe(int(cell)),
            float(cells.weight[cell]),
            {name: float(cells.value(name)[cell]) for name in cells.names},
        )
        for cell in chosen
    )
