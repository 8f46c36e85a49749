"""Whether a respondent honours what it is asked: the schema of an answer, and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .attempts import Asker, Retries
from .budget import Budget, ExhaustedError, Ledger, Spent
from .codebook import Codebook, Failure, Number, RejectedError
from .question import Persona, Question, Settings
from .replies import Reply, Respondent
from .transcripts import Transcript

# Keys and bounds that nobody would hit upon, and a request that asks for something else: a model
# that is free to write does not meet them, since the prompt it gets does not name them.
_ODD = Codebook(
    (
        Number("qx7_vermilion", (417, 419), whole=True),
        Number("zb3_ostrich", (-88, -86), whole=True),
    )
)
_SOMEONE = Persona("probe", "People who like to talk about the weather.")
_FREE = "Write two friendly sentences about rain on a Sunday, in plain prose. No lists, no code."


@dataclass(frozen=True)
class Probe:
    """What a respondent was found to do.

    Attributes:
        schema: enforced, ignored, rejected (the server declined it), undecided (all answers were
            cut off), or unreachable.
        seeds: kept (same seed, same text; another seed, another text), ignored (same seed, other
            text), undecided (all texts alike) or unknown.
        detail: the first thing that went wrong, in the server's words.
    """

    schema: str
    seeds: str
    detail: str = ""


@dataclass(frozen=True, repr=False)
class _Bare(Question):
    """A question whose prompt does not say what the answer must look like."""

    @property
    def prompt(self) -> str:
        """The template alone."""
        return self.filled


def probe(
    respondent: Respondent,
    *,
    budget: Budget | None = None,
    transcript: str | Path | None = None,
    retries: Retries | None = None,
) -> Probe:
    """Ask for prose under a schema of odd keys three times, then with seeds: at most six calls.

    An endpoint that answers by the schema enforces it. Many accept it and do not; some decline it.
    The calls count against the budget and go to the transcript like all others.

    Raises:
        PersonaError: the budget does not allow the calls.
    """
    retries = replace(retries or Retries(transport=2), content=0)
    record = Transcript.open(transcript) if transcript else None
    try:
        ledger = Ledger(budget or Budget(), record.spent if record else Spent())
        asker = Asker(respondent, ledger, record, retries)
        cold = Settings(temperature=0.0, most_tokens=120)
        asked = [_Bare(_SOMEONE, _FREE, _ODD, settings=cold, repeat=i) for i in range(3)]
        schema, detail = _schema(asker, asked)
        seeds = _seeds(asker) if schema in ("enforced", "ignored") else "unknown"
        return Probe(schema, seeds, detail)
    finally:
        if record is not None:
            record.close()


def _schema(asker: Asker, asked: Sequence[Question]) -> tuple[str, str]:
    seen = 0
    for question in asked:
        reply = _reply(asker, question)
        if reply.fault is not None:
            word = "rejected" if reply.fault.status in (400, 422) else "unreachable"
            return word, reply.fault.message
        cut = reply.finish == "length" and "{" in reply.text  # It may have been on its way.
        try:
            question.codebook.read(reply.text)
            seen += 1
        except RejectedError as error:
            if not cut:
                return "ignored", str(error)
    return ("enforced" if seen else "undecided"), ""


def _reply(asker: Asker, question: Question) -> Reply:
    outcome, reply = asker.pursue(question.key(asker.respondent.about.model), question)
    if outcome.failure is Failure.BUDGET:
        raise ExhaustedError(f"probe: {outcome.problem}")
    return reply


def _seeds(asker: Asker) -> str:
    texts: list[str] = []
    for repeat, seed in enumerate((11, 11, 12)):
        hot = Settings(temperature=1.0, most_tokens=60, seed=seed)
        form = Codebook.curve(["rain", "sun", "fog", "snow"], ["tomorrow", "in a week"])
        reply = _reply(asker, Question(_SOMEONE, _FREE, form, settings=hot, repeat=repeat))
        if reply.fault is not None:
            return "unknown"
        texts.append(reply.text)
    if texts[0] != texts[1]:
        return "ignored"
    return "kept" if texts[2] != texts[0] else "undecided"
