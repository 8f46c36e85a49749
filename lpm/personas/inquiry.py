"""A question about a response surface: what to ask of whom, and the replies as `Answers`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from ..errors import PersonaError, listing
from .answers import Answers, check_knots
from .cells import Cells
from .codebook import Codebook, Number
from .interview import Interview
from .question import Persona, Question, Settings, insert, placeholders

# A persona, and a level of each variable that is not asked along, by number.
Entry: TypeAlias = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Inquiry:
    """How many of 100 people like these would take each action at every knot of a situation.

    Or what one bounded number is there. One prompt asks about one combination of knots, or, with
    `along`, about all knots of that variable at once: fewer calls, and nothing else seems to change
    with it. Each wording and each order of the actions is a prompt of its own.

    Attributes:
        knots: levels of each variable, rising, at least two.
        wordings: paraphrases of the question, each with `{name:format}` for all variables but
            `along`. A wording may be given twice: it is asked twice.
        actions: in words, two or more; the first is what the log-odds of the others are against.
        number: that is asked for, instead of actions.
        along: the variable that is asked about at all its knots in one prompt.
        level: words for one of these, such as "where {payment:.0%} of lost wages are paid".
        words: for variables that are no numbers: what each knot is called in the wordings.
        orders: 2 asks again with the actions the other way round.
        of: how many people an answer speaks of.
        event: news that the people have read.
        settings: how a model is to answer.

    Raises:
        PersonaError: neither actions nor a number, or both; knots that do not rise; a variable that
            is missing in a wording, or stands where it should not.
    """

    knots: Mapping[str, Sequence[float]]
    wordings: tuple[str, ...]
    actions: tuple[str, ...] = ()
    number: Number | None = None
    along: str | None = None
    level: str = ""
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    orders: int = 1
    of: int = 100
    event: str = ""
    settings: Settings = field(default_factory=Settings)
    codebooks: tuple[Codebook, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_knots(self.knots)
        if (self.number is None) != (len(self.actions) > 1) or not self.wordings:
            raise PersonaError(
                f"an inquiry has {len(self.actions)} actions, "
                f"{'no' if self.number is None else 'a'} number and {len(self.wordings)} wordings; "
                "give two or more actions or one number, and a wording or more"
            )
        if self.orders not in ((1, 2) if self.number is None else (1,)):
            raise PersonaError(f"orders = {self.orders}; give 1, or 2 where there are actions")
        _check_names(self)
        object.__setattr__(self, "codebooks", tuple(map(self._codebook, range(self.orders))))

    @property
    def answered(self) -> tuple[str, ...]:
        """The actions, or the name of the number."""
        return self.actions if self.number is None else (self.number.name,)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Of the number; `None` for actions."""
        if self.number is None:
            return None
        low, high = self.number.within
        return float(low), float(high)

    @property
    def outer(self) -> dict[str, Sequence[float]]:
        """Levels of the variables that are asked about one by one."""
        return {name: knots for name, knots in self.knots.items() if name != self.along}

    @property
    def each(self) -> int:
        """Questions for one entry: wordings times orders."""
        return len(self.wordings) * self.orders

    def entries(self, personas: int) -> list[Entry]:
        """Every one of so many personas at every combination of levels."""
        levels = [range(len(knots)) for knots in self.outer.values()]
        return [(persona, at) for persona in range(personas) for at in product(*levels)]

    def questions(
        self, personas: Sequence[Persona], entries: Sequence[Entry] | None = None
    ) -> tuple[Question, ...]:
        """All wordings and orders for some entries, or for all: entry, wording, order.

        Raises:
            PersonaError: no personas, or two of one name.
        """
        names = [persona.name for persona in personas]
        if not names or len(set(names)) < len(names):
            raise PersonaError(f"personas {listing(names)}: give one or more, of different names")
        asked = self.entries(len(personas)) if entries is None else entries
        return tuple(q for persona, at in asked for q in self._ask(personas[persona], at))

    def answers(self, interview: Interview) -> Answers:
        """The replies to `questions` of whichever personas the interview is with.

        Raises:
            PersonaError: an interview about something else, or about some entries only.
        """
        people = {question.persona.name: question.persona for question in interview.questions}
        read = self.read(interview, self.entries(len(people)))
        shape = tuple(len(knots) for knots in self.outer.values())
        values = read.reshape(len(people), *shape, *read.shape[1:])
        if self.along is not None:
            at = list(self.knots).index(self.along)
            values = np.moveaxis(values, 1 + len(shape), 1 + at)
        return Answers(self.knots, self.answered, values, self.bounds)

    def read(
        self, interview: Interview, entries: Sequence[Entry]
    ) -> Float[np.ndarray, "entry *along wording order action"]:
        """Replies to the questions of some entries: shares of the actions, or the number.

        Raises:
            PersonaError: an interview about something else.
        """
        first = interview.questions[:: self.each]
        fits = len(interview.questions) == len(entries) * self.each and all(
            self._ask(question.persona, at) == asked
            for question, (_, at), asked in zip(
                first, entries, _parts(interview.questions, self.each), strict=True
            )
        )
        if not fits:
            raise PersonaError(
                f"the interview has {len(interview.questions)} questions, which are not the "
                f"{len(entries) * self.each} of these {len(entries)} entries of the inquiry"
            )
        names = self.codebooks[0].names
        table = np.array([[said[name] for name in names] for said in interview.values], np.float64)
        table = table.reshape(len(entries), len(self.wordings), self.orders, -1, len(self.answered))
        if self.number is None:
            table = table / table.sum(axis=-1, keepdims=True)
        return table[:, :, :, 0] if self.along is None else np.moveaxis(table, 3, 1)

    def _ask(self, persona: Persona, at: tuple[int, ...]) -> tuple[Question, ...]:
        """One entry, in all wordings and orders."""
        level = dict(zip(self.outer, at, strict=True))
        words = {name: texts[level[name]] for name, texts in self.words.items()}
        values = {n: float(self.knots[n][k]) for n, k in level.items() if n not in words}
        return tuple(
            Question(
                persona,
                insert(wording, words) if words else wording,
                codebook,
                values,
                self.event,
                self.settings,
                repeat,
            )
            for repeat, wording in enumerate(self.wordings)
            for codebook in self.codebooks
        )

    def _codebook(self, order: int) -> Codebook:
        at = [{self.along: float(x)} for x in self.knots[self.along]] if self.along else []
        levels = [self.level.format(**each) for each in at]
        if self.number is None:
            return Codebook.curve(self.actions[:: -1 if order else 1], levels, self.of, at)
        if not levels:
            return Codebook((self.number,))
        name, meaning = self.number.name, self.number.meaning
        numbers = [
            replace(self.number, name=f"{name}_{k}", meaning=f"{meaning}, {words}".lstrip(", "))
            for k, words in enumerate(levels)
        ]
        return Codebook(tuple(numbers), (), tuple(at))


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


def _parts(questions: tuple[Question, ...], each: int) -> list[tuple[Question, ...]]:
    return [questions[i : i + each] for i in range(0, len(questions), each)]


def _check_names(inquiry: Inquiry) -> None:
    along, wanted = inquiry.along, set(inquiry.outer)
    if along is not None and along not in inquiry.knots:
        raise PersonaError(f"along = {along!r}, but knots has {listing(inquiry.knots)}")
    if set(placeholders(inquiry.level)) != ({along} if along is not None else set()):
        said = f"{{{along}}} and nothing else" if along else "nothing, since along is not given"
        raise PersonaError(f"level = {inquiry.level!r} must say {said}")
    for name, texts in inquiry.words.items():
        if name not in wanted or len(texts) != len(inquiry.knots[name]):
            raise PersonaError(
                f"words: {name!r} has {len(texts)} texts; give one for each knot of a variable "
                f"that is not asked along: {listing(wanted)}"
            )
    for wording in inquiry.wordings:
        if set(placeholders(wording)) != wanted:
            raise PersonaError(
                f"the wording {wording!r} says {listing(sorted(placeholders(wording)))}; "
                f"it must say {listing(sorted(wanted))}"
            )
