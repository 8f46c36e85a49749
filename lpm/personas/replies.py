"""Who answers questions, and what comes back: the protocol between asking and answering."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

from .codebook import Failure
from .question import Question


class Provenance(IntEnum):
    """Where a number came from, by cell."""

    NONE = 0
    MODEL = 1
    RULES = 2
    FALLBACK = 3
    GENERALISED = 4


@dataclass(frozen=True)
class About:
    """Who answers.

    Attributes:
        name: for people to read; never holds a key.
        model: part of the key of every answer.
        kind: http, local, replay or rules.
        is_language_model: whether reports may call it one.
        at_once: how many questions to have under way together.
    """

    name: str
    model: str
    kind: str
    is_language_model: bool
    at_once: int = 1


@dataclass(frozen=True)
class Fault:
    """Why no reply came.

    Attributes:
        message: without keys.
        again: whether it may pass, so that asking again makes sense.
        wait: seconds that the server asks to be left alone.
        charged: whether the tokens may have been paid for all the same.
        kind: transport, unless a transcript repeats another failure.
        status: of HTTP, 0 where there was none.
    """

    message: str
    again: bool = False
    wait: float = 0.0
    charged: bool = False
    kind: Failure = Failure.TRANSPORT
    status: int = 0


@dataclass(frozen=True)
class Reply:
    """What came back for one question: raw text, not yet an answer, or a fault.

    Attributes:
        text: as it came.
        finish: why the model stopped; `stop` when it was done.
        refusal: words with which it declined.
        model: as the server names it, with its fingerprint.
        prompt_tokens, answer_tokens: `None` where the server does not say.
        seconds: it took.
        fault: why there is no text.
        provenance: of an answer read from it.
    """

    text: str = ""
    finish: str = ""
    refusal: str = ""
    model: str = ""
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    seconds: float = 0.0
    fault: Fault | None = None
    provenance: Provenance = Provenance.MODEL


@runtime_checkable
class Respondent(Protocol):
    """Answers batches of questions, from any thread, and needs no event loop."""

    @property
    def about(self) -> About:
        """Who it is."""
        ...

    def reply(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """One reply to each question, in their order. What goes wrong on the way is a `fault`."""
        ...
