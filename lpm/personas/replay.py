"""A transcript in place of a model."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from ..errors import PersonaError, listing
from .codebook import Failure
from .question import KEYED, Question
from .replies import About, Fault, Provenance, Reply
from .transcripts import ACCEPTED, read_transcript

_COMPARED = 200  # Prompts that are compared letter by letter for an error message, at most.


class Replay:
    """A transcript that answers in place of the model. It is strict: what was not asked, fails.

    What failed in the recorded run fails again in the same way, so that fallbacks repeat as well.
    """

    def __init__(self, path: str | Path, model: str = "", head: str = "") -> None:
        self.path = Path(path)
        attempts = read_transcript(path, head)
        self.head = attempts[-1]["hash"] if attempts else ""
        models = sorted({a["model"] for a in attempts})
        if model and model not in models:
            raise PersonaError(f"{path} has no answers of {model!r}; it has {listing(models)}")
        if not model and len(models) != 1:
            raise PersonaError(f"{path} has answers of {listing(models)}; say which, as model=")
        self.model = model or models[0]
        self._attempts: dict[str, dict[str, Any]] = {}
        for attempt in attempts:
            kept = self._attempts.get(attempt["key"])
            if kept is None or kept["verdict"] != ACCEPTED:
                self._attempts[attempt["key"]] = attempt
        ours = [a for a in self._attempts.values() if a["model"] == self.model]
        self._nearby = ours
        self._is_model = all(a["is_language_model"] for a in ours)

    @property
    def about(self) -> About:
        """The recorded model."""
        name = f"{self.model} as recorded in {self.path.name}"
        return About(name, self.model, "replay", self._is_model)

    def reply(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """The recorded replies.

        Raises:
            PersonaError: one was not asked in the recorded run; the message says what differs.
        """
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Reply:
        attempt = self._attempts.get(question.key(self.model))
        if attempt is None:
            raise PersonaError(self._missing(question))
        fault = None
        if attempt["verdict"] != ACCEPTED:
            fault = Fault(attempt["problem"], kind=Failure(attempt["verdict"]))
        return Reply(
            text=attempt["text"],
            finish=attempt["finish"],
            refusal=attempt["refusal"],
            model=attempt["answered_by"],
            prompt_tokens=0,
            answer_tokens=0,
            fault=fault,
            provenance=Provenance(attempt["provenance"]),
        )

    def _missing(self, question: Question) -> str:
        asked = question.parts(self.model)
        told = f"{self.path} has no answer of {question.persona.name!r} to: {question.filled}"
        if not self._nearby:
            return told

        counts = [len(_differing(asked, near)) for near in self._nearby]
        close = [n for n, c in zip(self._nearby, counts, strict=True) if c == min(counts)]
        nearest = max(
            close[:_COMPARED],
            key=lambda near: SequenceMatcher(None, asked["prompt"], near["prompt"]).ratio(),
        )
        said = nearest["prompt"].removesuffix(question.codebook.describe()).strip()
        return (
            f"{told}; the nearest question on record, to {nearest['name']!r}, differs in "
            f"{listing(_differing(asked, nearest))}: {said}"
        )


def _differing(asked: Mapping[str, Any], near: Mapping[str, Any]) -> list[str]:
    return [part for part in KEYED if asked.get(part) != near.get(part)]
