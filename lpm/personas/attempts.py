"""One question until it is answered or given up: hold, ask, settle, record, judge, try again."""

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import PersonaError
from .budget import ExhaustedError, Hold, Ledger, OverrunError
from .codebook import Failure, RejectedError
from .question import Question
from .replies import Fault, Provenance, Reply, Respondent
from .transcripts import ACCEPTED, Transcript


@dataclass(frozen=True)
class Retries:
    """How often to try again, apart for what went wrong on the way and for what was said.

    Attributes:
        transport: after 429, 5xx, timeouts and drops.
        content: after a reply that could not be used; it is told what was wrong.
        first_wait, longest_wait: seconds between tries on the way; they double. A server that asks
            for more than the longest is given up.
    """

    transport: int = 5
    content: int = 2
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def __post_init__(self) -> None:
        if self.transport < 0 or self.content < 0:
            raise PersonaError(f"retries {self.transport}, {self.content} must be 0 or more")
        if not 0 <= self.first_wait <= self.longest_wait:
            raise PersonaError(
                f"first_wait = {self.first_wait} must be 0 to longest_wait = {self.longest_wait}"
            )

    def wait(self, key: str, failed: int, asked: float) -> float:
        """Seconds before the next try: doubling, and spread so that not all come at once."""
        spread = 0.5 + int(hashlib.sha256(f"{key}{failed}".encode()).hexdigest()[:8], 16) / 2**32
        backed_off = min(self.longest_wait, self.first_wait * 2 ** (failed - 1) * spread)
        return max(asked, backed_off)


@dataclass(frozen=True)
class Outcome:
    """What became of a question; neither values nor failure where it was not settled."""

    values: Mapping[str, float] | None = None
    failure: Failure | None = None
    problem: str = ""
    provenance: Provenance = Provenance.NONE


@dataclass
class Asker:
    """Asks one question at a time, from many threads.

    Attributes:
        respondent, ledger, record, retries: who, at what cost, on what record, how often.
        failures: replies that could not be used, by kind.
        stop: set where no further call is to be made.
        turn: to count.
    """

    respondent: Respondent
    ledger: Ledger
    record: Transcript | None
    retries: Retries
    failures: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def known(self, key: str, question: Question) -> Outcome | None:
        """What is on record, checked again."""
        attempt = self.record.accepted.get(key) if self.record else None
        if attempt is None:
            return None
        values = question.codebook.check(attempt["values"])
        return Outcome(values, provenance=Provenance(attempt["provenance"]))

    def settle(self, key: str, question: Question) -> Outcome:
        """Ask until there is an answer, or no use in asking on."""
        return self.pursue(key, question)[0]

    def pursue(self, key: str, question: Question) -> tuple[Outcome, Reply]:
        """As `settle`, with the last reply."""
        reply = Reply()
        failed: Counter[bool] = Counter()  # By whether it was on the way.
        number = 0
        while not self.stop.is_set():
            try:
                held = self.ledger.hold(question)
            except ExhaustedError as over:
                self._count(Failure.BUDGET)
                return Outcome(failure=Failure.BUDGET, problem=str(over)), reply
            if self.stop.is_set():
                self.ledger.release(held)
                break
            outcome, reply = self._attempt(key, question, held, number)
            number += 1
            if outcome.values is not None:
                return outcome, reply
            on_the_way = reply.fault is not None
            failed[on_the_way] += 1
            if not self._again(reply.fault, failed[on_the_way]):
                return outcome, reply
            if reply.fault is None:
                question = replace(question, correction=_correct(outcome.failure))
            else:
                self.stop.wait(self.retries.wait(key, failed[True], reply.fault.wait))
        return Outcome(), reply

    def record_unasked(self, question: Question, key: str, outcome: Outcome) -> None:
        """Put on record that a question was left out."""
        if self.record is not None:
            self._write(question, key, Reply(), outcome, Hold(0, 0), -1, False)

    def _count(self, failure: Failure) -> None:
        with self.turn:
            self.failures[failure] += 1

    def _again(self, fault: Fault | None, failed: int) -> bool:
        if fault is None:
            return failed <= self.retries.content
        patient = fault.wait <= self.retries.longest_wait
        return fault.again and patient and failed <= self.retries.transport

    def _attempt(
        self, key: str, question: Question, held: Hold, number: int
    ) -> tuple[Outcome, Reply]:
        """One call: whatever comes of it is booked and on record before anything else happens."""
        broken: BaseException | None = None
        try:
            (reply,) = self.respondent.reply([question])
        except BaseException as error:  # Raised again below, once the call is on record.
            broken = error
            told = f"{type(error).__name__}: {error}"
            reply = Reply(fault=Fault(told, charged=not isinstance(error, PersonaError)))
        outcome = _judge(question, reply)
        prompt, answer = _used(reply)
        try:
            used = self.ledger.settle(held, prompt, answer)
        except OverrunError as error:
            broken, used = broken or error, Hold(prompt or 0, answer or 0)
        if outcome.failure is not None:
            self._count(outcome.failure)
        if self.record is not None:
            self._write(question, key, reply, outcome, used, number, True)
        if broken is not None:
            raise broken
        return outcome, reply

    def _write(
        self,
        question: Question,
        key: str,
        reply: Reply,
        outcome: Outcome,
        used: Hold,
        number: int,
        sent: bool,
    ) -> None:
        about, price = self.respondent.about, self.ledger.budget.price
        content: dict[str, Any] = {
            "key": key,
            "name": question.persona.name,
            "weight": float(question.persona.weight),
            **question.parts(about.model),
            "correction": question.correction,
            "respondent": about.name,
            "kind": about.kind,
            "is_language_model": about.is_language_model,
            "attempt": number,
            "sent": sent,
            "verdict": ACCEPTED if outcome.failure is None else str(outcome.failure),
            "problem": outcome.problem,
            "values": None if outcome.values is None else dict(outcome.values),
            "provenance": int(outcome.provenance),
            "text": reply.text,
            "finish": reply.finish,
            "refusal": reply.refusal,
            "answered_by": reply.model,
            "prompt_tokens": used.prompt,
            "answer_tokens": used.answer,
            "guessed": None in _used(reply),
            "price": None if price is None else [price.prompt, price.answer, price.currency],
            "price_source": "" if price is None else price.source,
            "seconds": reply.seconds,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        assert self.record is not None
        self.record.append(content)


def _judge(question: Question, reply: Reply) -> Outcome:
    """Whether a reply is an answer."""
    fault = reply.fault
    if fault is not None:
        return Outcome(failure=fault.kind, problem=fault.message)
    try:
        if reply.refusal or reply.finish == "content_filter":
            told = reply.refusal[:200] or "the server's filter withheld the answer"
            raise RejectedError(Failure.REFUSAL, told)
        if reply.finish == "length":
            raise RejectedError(
                Failure.TRUNCATION,
                f"the answer was cut off at most_tokens = {question.settings.most_tokens}",
            )
        if reply.finish != "stop":
            raise RejectedError(Failure.OFF_SCHEMA, f"finish = {reply.finish!r} is not 'stop'")
        values = question.codebook.read(reply.text)
    except RejectedError as error:
        return Outcome(failure=error.kind, problem=str(error))
    return Outcome(values, provenance=reply.provenance)


def _used(reply: Reply) -> tuple[int | None, int | None]:
    """Prompt and answer tokens; nothing where the server turned the call away."""
    if reply.fault is not None and not reply.fault.charged:
        return 0, 0
    return reply.prompt_tokens, reply.answer_tokens


def _correct(failure: Failure | None) -> str:
    """What to say before asking again: words of ours only, nothing that the model said."""
    wrong = {
        Failure.REFUSAL: "it gave no numbers. They describe groups, and advise nobody",
        Failure.TRUNCATION: "it was too long. Give the JSON object alone",
        Failure.MALFORMED: "it was not one JSON object and nothing else",
        Failure.OFF_SCHEMA: "it did not have exactly the keys described above, each with a number",
        Failure.WRONG_NUMBER: "a number lay outside its bounds, or all of a group were zero",
    }
    told = wrong.get(failure, "it had another form") if failure else "it had another form"
    return f"Your last answer could not be used: {told}. Answer again."
