"""A single question answered by a card: its facts and numbers in, the numbers of an answer out."""

import math
from collections.abc import Mapping
from typing import Any, Protocol, SupportsFloat, runtime_checkable

import numpy as np

from ..errors import PersonaError, listing, unknown
from .codebook import Number, slug
from .question import Question

# Repeats stand for what the coefficients leave open: the mean, and a standard deviation each way.
_STEPS = (0.0, -1.0, 1.0)


@runtime_checkable
class Card(Protocol):
    """What is needed of `Rules` here."""

    @property
    def name(self) -> str:
        """Of the card."""
        ...

    @property
    def actions(self) -> tuple[str, str]:
        """In words."""
        ...

    @property
    def number(self) -> str:
        """Name of the number that it answers as well, if any."""
        ...

    @property
    def factors(self) -> tuple[str, ...]:
        """Attributes and variables that the card uses."""
        ...

    def at(self, values: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds and their standard deviation."""
        ...

    def moved_by(self, text: str) -> float:
        """Log-odds by which a text moves every answer."""
        ...


def answer(card: Card, question: Question) -> dict[str, float | int]:
    """The numbers that the codebook of the question asks for.

    Raises:
        PersonaError: they are not what the card is about, or a factor is missing or unknown.
    """
    book = question.codebook
    levels = book.at or ({},)
    ends = [f"_{k}" for k in range(len(levels))]
    if not book.at and not any(name.endswith("_0") for name in book.names):
        ends = [""]  # One situation, which the prompt says.
    if card.number and book.names == tuple(card.number + end for end in ends):
        shares = [_share(card, question, level) for level in levels]
        return {n.name: _place(n, x) for n, x in zip(book.numbers, shares, strict=True)}
    slugs = [slug(action) for action in card.actions]
    wanted = {words + end for end in ends for words in slugs}
    if set(book.names) != wanted:
        number = f" or [{card.number}]" if card.number else ""
        raise PersonaError(
            f"card {card.name!r} answers {listing(sorted(wanted))}{number}; the question asks for "
            f"{listing(book.names)}"
        )
    by_name = {number.name: number for number in book.numbers}
    found: dict[str, float | int] = {}
    for end, level in zip(ends, levels, strict=True):
        share = _share(card, question, level)
        first, second = (by_name[words + end] for words in slugs)
        found[second.name] = _place(second, share)
        found[first.name] = second.within[1] - found[second.name]
    return {name: found[name] for name in book.names}


def _share(card: Card, question: Question, level: Mapping[str, SupportsFloat]) -> float:
    """Share of the second action in one situation."""
    known = {**question.persona.facts, **question.told, **level}
    lost = [name for name in card.factors if name not in known]
    if lost:
        raise PersonaError(
            f"card {card.name!r} needs {listing(lost)}; the facts of "
            f"{question.persona.name!r} and the question give {listing(known)}"
        )
    idle = [name for name in (*question.told, *level) if name not in card.factors]
    if idle:
        raise PersonaError(unknown(f"card {card.name!r}", "factor", idle, card.factors))
    odds, spread = card.at({name: float(known[name]) for name in card.factors})
    moved = float(odds) + card.moved_by(question.event)
    return 1 / (1 + math.exp(-(moved + _STEPS[question.repeat % 3] * float(spread))))


def _place(number: Number, share: float) -> float | int:
    """A share as the way between the bounds of a number, whole where it must be."""
    low, high = number.within
    place = low + (high - low) * share
    return min(max(round(place), math.ceil(low)), math.floor(high)) if number.whole else place
