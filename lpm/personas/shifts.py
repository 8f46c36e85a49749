"""What a text does to answers: asked with it and with a neutral one, the difference bounded.

An event that orders the model about moves the answers it was meant to inform. Nothing in a text
says which of the two happened, so the shift is measured, limited and reported, whatever the text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ..errors import PersonaError
from .asking import ask
from .codebook import Codebook
from .interview import Interview
from .question import Question
from .replies import Respondent

NEUTRAL = "The weather office reports that the day was as usual for the season."
MOST_SHIFT = 3.0  # Log-odds: from even odds to 95 in 100.
_SMOOTH = 0.5  # Of 100 people: half a person keeps the log-odds of none and of all finite.
_PEOPLE = 100.0
_HALVINGS = 60  # Beyond the digits of a double.


@dataclass(frozen=True)
class Shifts:
    """What the events did to answers, in log-odds.

    A number in a group counts as its share of the group, against all the rest; any other as its
    place between its bounds. Shares are smoothed by half a person in a hundred.

    Attributes:
        names: of the numbers.
        raw: [question, number], as the answers say.
        kept: the same after the limit.
        values: probabilities by number once the limit is kept, [question, number].
        most: the limit.
        answers: with the events, then without.
    """

    names: tuple[str, ...]
    raw: Float[np.ndarray, "question number"]
    kept: Float[np.ndarray, "question number"]
    values: Float[np.ndarray, "question number"]
    most: float
    answers: tuple[Interview, Interview]

    @property
    def limited(self) -> Bool[np.ndarray, " question"]:
        """Questions of which some shift was larger than the limit."""
        return np.max(np.abs(self.raw), axis=1) > self.most

    def __str__(self) -> str:
        largest = float(np.max(np.abs(self.raw)))
        return (
            f"events shift answers by up to {largest:.2f} in log-odds; "
            f"{int(self.limited.sum())} of {len(self.raw)} answers were limited to {self.most:g}"
        )


def measure_shifts(
    questions: Sequence[Question],
    respondent: Respondent,
    *,
    neutral: str = NEUTRAL,
    most: float = MOST_SHIFT,
    **how: Any,
) -> Shifts:
    """Ask each question with its event and with a `neutral` text, and limit the difference.

    Where the limit is passed, the answer is drawn back along the geometric path to the neutral one
    until it is kept, all numbers of a group together, so that shares stay shares.

    Args:
        questions: all with an event and with one codebook.
        respondent: who is asked.
        neutral: text that should move nobody.
        most: limit of a shift, in log-odds.
        how: as for `ask`, but no fallback: a shift to or from what was not said is none.

    Raises:
        PersonaError: as `ask`; a question without an event, codebooks that differ, a wrong limit,
            a fallback.
    """
    questions = tuple(questions)
    if how.get("fallback") is not None:
        raise PersonaError("fallback: shifts are measured between answers, not what stands in")
    if not (math.isfinite(most) and most > 0):
        raise PersonaError(f"most = {most} must be above 0")
    for question in questions:
        if not question.event:
            raise PersonaError(f"question to {question.persona.name!r} has no event to measure")
        if question.codebook != questions[0].codebook:
            raise PersonaError("questions have different codebooks; measure each kind apart")
    twins = tuple(replace(question, event=neutral) for question in questions)
    both = ask((*questions, *twins), respondent, **how)
    told, plain = _half(both, 0, len(questions)), _half(both, len(questions), len(both.questions))
    book = questions[0].codebook
    after, before = _shares(book, told), _shares(book, plain)
    values = np.array(before)
    for members in _groups(book):
        for row in range(len(questions)):
            b, a = before[row, members], after[row, members]
            values[row, members] = draw_back(b, a, most)
    raw = _log_odds(after) - _log_odds(before)
    kept = _log_odds(values) - _log_odds(before)
    return Shifts(book.names, raw, kept, values, most, (told, plain))


def draw_back(
    before: Float[np.ndarray, " option"], after: Float[np.ndarray, " option"], most: float
) -> Float[np.ndarray, " option"]:
    """The point nearest `after` on the geometric path from `before` that shifts by at most `most`.

    One option alone is a probability against its complement; several add up to one.
    """
    alone = len(before) == 1
    b = np.array([before[0], 1 - before[0]]) if alone else before
    a = np.array([after[0], 1 - after[0]]) if alone else after

    def at(part: float) -> np.ndarray:
        path = np.exp((1 - part) * np.log(b) + part * np.log(a))
        return path / path.sum()

    def bounded(part: float) -> bool:
        return bool(np.max(np.abs(_log_odds(at(part)) - _log_odds(b))) <= most)

    low, high = 0.0, 1.0
    if bounded(1.0):
        return after
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if bounded(middle) else (low, middle)
    return at(low)[: len(before)]


def _half(both: Interview, first: int, last: int) -> Interview:
    part = slice(first, last)
    return replace(
        both, questions=both.questions[part], values=both.values[part], codes=both.codes[part]
    )


def _groups(book: Codebook) -> list[list[int]]:
    """Places of numbers that belong together; a number in no group is alone."""
    grouped = [[book.names.index(name) for name in group] for group in book.groups]
    inside = {place for group in grouped for place in group}
    return grouped + [[place] for place in range(len(book.names)) if place not in inside]


def _shares(book: Codebook, answers: Interview) -> Float[np.ndarray, "question number"]:
    """Every number as a probability strictly between 0 and 1."""
    table = np.stack([answers.array(name) for name in book.names], axis=1)
    shares = np.empty_like(table)
    for members in _groups(book):
        part = table[:, members]
        if len(members) == 1:
            low, high = book.numbers[members[0]].within
            part = (part - low) / (high - low)
            shares[:, members] = (_PEOPLE * part + _SMOOTH) / (_PEOPLE + 2 * _SMOOTH)
        else:
            part = _PEOPLE * part / part.sum(axis=1, keepdims=True) + _SMOOTH
            shares[:, members] = part / part.sum(axis=1, keepdims=True)
    return shares


def _log_odds(share: np.ndarray) -> np.ndarray:
    return np.log(share) - np.log1p(-share)
