"""Who asks a panel during a run: of whom, at what cost, and on which record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import PersonaError
from .asking import ask
from .attempts import Retries
from .budget import Budget
from .interview import Fallback, Interview
from .question import Question
from .replay import Replay
from .replies import Respondent
from .transcripts import read_transcript


@dataclass(frozen=True)
class Interviewer:
    """All that `ask` takes besides the questions, for the many rounds of a run.

    Attributes:
        respondent: who answers.
        transcript: where every attempt goes; a language model needs one, since what it said cannot
            be had again, and so does a budget, which is for the transcript as a whole.
        budget, retries, fallback: as for `ask`.
    """

    respondent: Respondent
    transcript: str | Path | None = None
    budget: Budget | None = None
    retries: Retries | None = None
    fallback: Fallback | None = None

    def recording(self, folder: str | Path | None) -> "Interviewer":
        """With a transcript in `folder` where there is none yet, so that nothing is asked twice.

        Raises:
            PersonaError: there is still none, for a language model or under a budget.
        """
        whole = self
        if self.transcript is None and folder is not None:
            whole = replace(self, transcript=Path(folder) / "transcript.jsonl")
        asked = self.respondent.about.kind in ("http", "local")
        limited = self.budget not in (None, Budget())
        if whole.transcript is None and (asked or limited):
            raise PersonaError(
                f"{self.respondent.about.name} needs a transcript: give checkpoint=, or "
                "respondent=Interviewer(respondent, transcript=FILE)"
            )
        return whole

    def ask(self, questions: Sequence[Question]) -> Interview:
        """One round.

        Raises:
            PersonaError: as `ask`.
        """
        return ask(
            questions,
            self.respondent,
            budget=self.budget,
            transcript=self.transcript,
            retries=self.retries,
            fallback=self.fallback,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the answers, as plain JSON values."""
        about = self.respondent.about
        return {"model": about.model, "is_language_model": about.is_language_model}

    @property
    def record(self) -> dict[str, Any]:
        """Who answered, and the record of it: path, lines and hash of the last line."""
        about = self.respondent.about
        told = {"respondent": about.name, "kind": about.kind, **self.identity}
        if isinstance(self.respondent, Replay):
            played = self.respondent
            told |= {"replayed": str(played.path), "replayed_head": played.head}
        if self.transcript is None or not Path(self.transcript).is_file():
            return told
        attempts = read_transcript(self.transcript)
        head = attempts[-1]["hash"] if attempts else ""
        return told | {"transcript": str(self.transcript), "lines": len(attempts), "head": head}
