"""What was answered, by whom, and what stands in where nothing usable came back."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, UInt8

from ..errors import PersonaError, unknown
from .budget import Spent
from .codebook import RejectedError
from .question import Question
from .replies import About, Provenance


@dataclass(frozen=True)
class Fallback:
    """What to take where no usable answer came, chosen by name.

    Attributes:
        answer: numbers for a question, as its codebook wants them.
        most_share: of the people, by the personas' weights, that it may touch.
    """

    answer: Callable[[Question], Mapping[str, float]]
    most_share: float = 0.05

    def __post_init__(self) -> None:
        if not (math.isfinite(self.most_share) and 0 <= self.most_share <= 1):
            raise PersonaError(f"most_share = {self.most_share} must lie in [0, 1]")

    def fill(self, question: Question) -> dict[str, float]:
        """Its answer, held to the codebook like any other.

        Raises:
            PersonaError: it is no answer.
        """
        try:
            return question.codebook.check(self.answer(question))
        except RejectedError as error:
            raise PersonaError(f"the fallback for {question.persona.name!r}: {error}") from error


@dataclass(frozen=True, repr=False)
class Interview:
    """Answers to all questions of a round.

    Attributes:
        questions: as asked.
        values: by name, one mapping for each question.
        codes: where each came from.
        failures: replies in this round that could not be used, by kind.
        spent: by the transcript as a whole.
        about: who answered.
    """

    questions: tuple[Question, ...]
    values: tuple[Mapping[str, float], ...]
    codes: tuple[Provenance, ...]
    failures: Mapping[str, int]
    spent: Spent
    about: About

    def array(self, name: str) -> Float[np.ndarray, " question"]:
        """One number of every answer.

        Raises:
            PersonaError: an answer has no number of that name.
        """
        for values in self.values:
            if name not in values:
                raise PersonaError(unknown("the answer", "number", [name], values))
        return np.array([values[name] for values in self.values], np.float64)

    @property
    def provenance(self) -> UInt8[np.ndarray, " question"]:
        """Code of each question, as in `Provenance`."""
        return np.array(self.codes, np.uint8)

    def frame(self) -> pl.DataFrame:
        """One row per question: persona, weight, repeat, situation, answer and provenance."""
        rows = [
            {
                "persona": q.persona.name,
                "weight": q.persona.weight,
                **{f"in_{name}": float(value) for name, value in q.values.items()},
                "event": q.event,
                "repeat": q.repeat,
                **values,
                "provenance": code.name.lower(),
            }
            for q, values, code in zip(self.questions, self.values, self.codes, strict=True)
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def by_persona(self) -> dict[str, Provenance]:
        """Code of each persona: a fallback anywhere makes it one."""
        found: dict[str, Provenance] = {}
        for question, code in zip(self.questions, self.codes, strict=True):
            name = question.persona.name
            found[name] = max(code, found.get(name, Provenance.NONE))
        return found

    def shares(self) -> dict[str, float]:
        """Share of the people whose behaviour comes from each source, by the personas' weights."""
        codes = self.by_persona()
        weights = {q.persona.name: q.persona.weight for q in self.questions}
        return {
            code.name.lower(): weight_share([n for n, c in codes.items() if c == code], weights)
            for code in sorted(set(codes.values()))
        }

    def __repr__(self) -> str:
        is_model = "a language model" if self.about.is_language_model else "no language model"
        people = len({question.persona.name for question in self.questions})
        shares = ", ".join(f"{share:.1%} {name}" for name, share in self.shares().items())
        failed = ", ".join(f"{n:,} x {kind}" for kind, n in sorted(self.failures.items()))
        return "\n".join(
            [
                f"Interview of {people:,} personas, {len(self.questions):,} questions",
                f"  answered by {self.about.name}, {is_model}",
                f"  people by source of their answers: {shares}",
                f"  replies that could not be used: {failed or 'none'}",
                f"  spent: {self.spent}",
            ]
        )


def weight_share(some: Iterable[str], weights: Mapping[str, float]) -> float:
    """Share of the people that personas of these names stand for; without weights all are alike."""
    total, names = math.fsum(weights.values()), set(some)
    if total == 0:
        return len(names) / len(weights)
    return math.fsum(w for name, w in weights.items() if name in names) / total
