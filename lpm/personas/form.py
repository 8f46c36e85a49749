"""One question put to personas at every level of a situation, and the answers it has so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from ..errors import PersonaError, listing
from .answers import Answers
from .codebook import Codebook, Number
from .interview import Interview
from .question import Persona, Question, Settings

# A persona and its level of each variable, by number.
Entry: TypeAlias = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Form:
    """A question for every persona at every level of a situation.

    "Of 100 people like these, how many would ...?" for two or more actions, or one bounded number.
    Every wording is a question of its own, and so is every order in which actions are listed.

    Attributes:
        personas: who is asked; their names differ.
        knots: levels of each variable of the situation, rising.
        wordings: templates that say the same, each with `{name}` for every variable.
        actions: what may be done, in words; or none where `number` is asked.
        number: that is asked instead of actions.
        turned: whether actions are listed backwards as well, in questions of their own.
        settings: how to answer.
        codebooks: what an answer looks like, by order.

    Raises:
        PersonaError: neither actions nor a number, or both; personas of one name; no wording.
    """

    personas: tuple[Persona, ...]
    knots: Mapping[str, Sequence[float]]
    wordings: tuple[str, ...]
    actions: tuple[str, ...] = ()
    number: Number | None = None
    turned: bool = False
    settings: Settings = field(default_factory=Settings)
    codebooks: tuple[Codebook, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = [persona.name for persona in self.personas]
        if not names or len(set(names)) < len(names):
            raise PersonaError(f"personas {listing(names)}: give one or more, of different names")
        if (self.number is None) != (len(self.actions) > 1) or not self.wordings:
            raise PersonaError(
                f"a form has {len(self.actions)} actions, "
                f"{'no' if self.number is None else 'a'} number and {len(self.wordings)} wordings; "
                "give two or more actions or one number, and a wording or more"
            )
        object.__setattr__(self, "codebooks", self._codebooks())

    @property
    def shape(self) -> tuple[int, ...]:
        """Personas, and levels of each variable."""
        return (len(self.personas), *(len(levels) for levels in self.knots.values()))

    @property
    def each(self) -> int:
        """Questions for one persona at one level: wordings times orders."""
        return len(self.wordings) * len(self.codebooks)

    def entries(self) -> list[Entry]:
        """Every persona at every level."""
        levels = [range(n) for n in self.shape[1:]]
        return [(persona, at) for persona in range(self.shape[0]) for at in product(*levels)]

    def questions(self, entries: Sequence[Entry] | None = None) -> list[Question]:
        """All wordings and orders for some entries, or for all."""
        return [
            Question(
                self.personas[persona],
                wording,
                codebook,
                {name: float(self.knots[name][k]) for name, k in zip(self.knots, at, strict=True)},
                settings=self.settings,
            )
            for persona, at in (self.entries() if entries is None else entries)
            for wording in self.wordings
            for codebook in self.codebooks
        ]

    def read(self, interview: Interview) -> Float[np.ndarray, "entry wording order action"]:
        """Answers to `questions`, in that order: shares of the actions, or the number."""
        names = sorted(self.codebooks[0].names)
        table = np.stack([interview.array(name) for name in names], axis=-1)
        table = table.reshape(-1, len(self.wordings), len(self.codebooks), len(names))
        return table if self.number else table / table.sum(axis=-1, keepdims=True)

    def answers(self, interview: Interview) -> Answers:
        """Answers to all questions of the form.

        Raises:
            PersonaError: an interview about another number of questions.
        """
        return Tally.none(self).told(self.entries(), interview).answers()

    def _codebooks(self) -> tuple[Codebook, ...]:
        if self.number is not None:
            return (Codebook((self.number,)),)
        # Opaque keys of one width: their order is that of the actions, whatever their words.
        numbers = [
            Number(f"a{i:02d}", (0, 100), f"of 100 such people: {action}", whole=True)
            for i, action in enumerate(self.actions)
        ]
        names = tuple(number.name for number in numbers)
        orders = [numbers, numbers[::-1]] if self.turned else [numbers]
        return tuple(Codebook(tuple(order), (names,)) for order in orders)


@dataclass(frozen=True)
class Tally:
    """Answers to a form so far.

    Attributes:
        form: the question.
        values: shares of the actions, or the number; nan where nobody was asked yet.
            [persona, *knot, wording, order, action]
    """

    form: Form
    values: Float[np.ndarray, "persona *knot wording order action"]

    @classmethod
    def none(cls, form: Form) -> "Tally":
        """Nobody was asked yet."""
        actions = max(len(form.actions), 1)
        shape = (*form.shape, len(form.wordings), len(form.codebooks), actions)
        return cls(form, np.full(shape, np.nan))

    @property
    def asked(self) -> Bool[np.ndarray, " persona *knot"]:
        """Which personas have answered at which levels."""
        return np.asarray(np.isfinite(self.values).all(axis=(-3, -2, -1)))

    def told(self, entries: Sequence[Entry], interview: Interview) -> "Tally":
        """With the answers to `form.questions(entries)`.

        Raises:
            PersonaError: an interview about another number of questions.
        """
        if len(interview.questions) != len(entries) * self.form.each:
            raise PersonaError(
                f"the interview has {len(interview.questions)} questions; {len(entries)} entries "
                f"of this form take {len(entries) * self.form.each}"
            )
        values = self.values.copy()
        for (persona, at), row in zip(entries, self.form.read(interview), strict=True):
            values[(persona, *at)] = row
        return replace(self, values=values)

    def answers(self) -> Answers:
        """All answers.

        Raises:
            PersonaError: somebody was not asked at some level.
        """
        left = int((~self.asked).sum())
        if left:
            raise PersonaError(f"{left} of {self.asked.size} entries were not asked yet")
        number = self.form.number
        names = self.form.actions if number is None else (number.name,)
        bounds = None if number is None else (float(number.within[0]), float(number.within[1]))
        return Answers(self.form.knots, names, self.values, bounds)
