"""Ask many questions: cached, side by side, within a budget, every attempt on record."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import PersonaError, listing
from .attempts import Asker, Outcome, Retries
from .budget import Budget, Ledger, Spent
from .codebook import Failure
from .interview import Fallback, Interview, weight_share
from .question import Question
from .replies import Provenance, Respondent
from .transcripts import Transcript


@dataclass(frozen=True)
class Sofar:
    """How far a round of asking has come: questions settled, of how many, and what it took."""

    done: int
    total: int
    spent: Spent
    failures: Mapping[str, int]


def ask(
    questions: Sequence[Question],
    respondent: Respondent,
    *,
    budget: Budget | None = None,
    transcript: str | Path | None = None,
    retries: Retries | None = None,
    fallback: Fallback | None = None,
    progress: Callable[[Sofar], None] | None = None,
) -> Interview:
    """Answers to all questions, or an error: nothing is made up.

    What the transcript has already is not asked again, so a run that broke off is resumed by the
    same call. The budget is for the transcript as a whole. Questions run in threads, as many as the
    respondent takes at once, so no event loop is needed or disturbed.

    Raises:
        PersonaError: no questions; a reply that could not be used after all retries, or a budget
            that is used up, where no `fallback` was chosen or it would touch a larger share of the
            population than it may. All that came back is in the transcript by then.
    """
    questions = tuple(questions)
    if not questions:
        raise PersonaError("there are no questions to ask")
    _check_personas(questions)
    with ExitStack() as stack:
        record = stack.enter_context(Transcript.open(transcript)) if transcript else None
        ledger = Ledger(budget or Budget(), record.spent if record else Spent())
        asker = Asker(respondent, ledger, record, retries or Retries())
        return _Round(questions, asker, fallback, progress).run()


@dataclass
class _Round:
    """One call of `ask`: what is open, what is settled, and when to stop."""

    questions: tuple[Question, ...]
    asker: Asker
    fallback: Fallback | None
    progress: Callable[[Sofar], None] | None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    keys: list[str] = field(init=False)
    total: int = field(init=False)
    weights: dict[str, float] = field(init=False)
    people: dict[str, set[str]] = field(init=False)  # Personas of a key: alike, they share it.
    touched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        model = self.asker.respondent.about.model
        self.keys = [question.key(model) for question in self.questions]
        self.weights = {q.persona.name: q.persona.weight for q in self.questions}
        self.people = {}
        for key, question in zip(self.keys, self.questions, strict=True):
            self.people.setdefault(key, set()).add(question.persona.name)
        self.total = len(self.people)

    def run(self) -> Interview:
        first = dict(zip(reversed(self.keys), reversed(self.questions), strict=True))
        todo = {key: first[key] for key in dict.fromkeys(self.keys)}  # In order, each once.
        for key in todo:
            if (known := self.asker.known(key, todo[key])) is not None:
                self.outcomes[key] = known
        self._tell()
        self._ask_all({key: q for key, q in todo.items() if key not in self.outcomes})
        return self._answers()

    def _ask_all(self, todo: Mapping[str, Question]) -> None:
        at_once = self.asker.respondent.about.at_once
        stop = self.asker.stop
        waiting = iter(todo.items())
        with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="lpm-ask") as pool:
            running: dict[Future[Outcome], str] = {}
            try:
                while True:
                    while len(running) < at_once and not stop.is_set():
                        if (following := next(waiting, None)) is None:
                            break
                        running[pool.submit(self.asker.settle, *following)] = following[0]
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._settled(running.pop(future), future)
            except BaseException:
                stop.set()  # Calls under way come to their end, and are recorded.
                raise

    def _settled(self, key: str, future: Future[Outcome]) -> None:
        outcome = future.result()
        if outcome.values is not None or outcome.failure is not None:
            self.outcomes[key] = outcome
        if outcome.failure is not None:
            self.touched |= self.people[key]
            if not self._bearable():
                self.asker.stop.set()
        self._tell()

    def _bearable(self) -> bool:
        """Whether what has failed so far is within what the fallback may touch."""
        if self.fallback is None:
            return False
        return weight_share(self.touched, self.weights) <= self.fallback.most_share

    def _tell(self) -> None:
        if self.progress is not None:
            spent, failures = self.asker.ledger.spent, dict(self.asker.failures)
            self.progress(Sofar(len(self.outcomes), self.total, spent, failures))

    def _answers(self) -> Interview:
        bad = {k: o for k, o in self.outcomes.items() if o.failure is not None}
        if bad and not self._bearable():
            raise PersonaError(self._refuse(bad))
        values, codes = [], []
        for key, question in zip(self.keys, self.questions, strict=True):
            outcome = self.outcomes[key]
            if outcome.values is None and self.fallback is not None:
                values.append(self.fallback.fill(question))
                codes.append(Provenance.FALLBACK)
            elif outcome.values is not None:
                values.append(outcome.values)
                codes.append(outcome.provenance)
        for key, outcome in bad.items():
            if outcome.failure is Failure.BUDGET:  # So that a replay knows why there is nothing.
                self.asker.record_unasked(self.questions[self.keys.index(key)], key, outcome)
        return Interview(
            self.questions,
            tuple(values),
            tuple(codes),
            dict(self.asker.failures),
            self.asker.ledger.spent,
            self.asker.respondent.about,
        )

    def _refuse(self, bad: Mapping[str, Outcome]) -> str:
        key, outcome = next(iter(bad.items()))
        question = self.questions[self.keys.index(key)]
        counts = Counter(str(o.failure) for o in bad.values())
        kinds = ", ".join(f"{n} x {kind}" for kind, n in sorted(counts.items()))
        said = f"{question.persona.name!r}: {outcome.problem}"
        answered = sum(o.values is not None for o in self.outcomes.values())
        told = f"{answered} of {self.total} questions have an answer; {kinds}. First {said}"
        if self.fallback is None:
            return f"{told}. No fallback was chosen, so there is no result"
        share, most = weight_share(self.touched, self.weights), self.fallback.most_share
        return f"{told}. The fallback would touch {share:.1%} of the people, more than {most:.1%}"


def _check_personas(questions: Sequence[Question]) -> None:
    """A name stands for one description and one weight."""
    personas: dict[str, object] = {}
    for question in questions:
        persona = question.persona
        if personas.setdefault(persona.name, persona) != persona:
            raise PersonaError(
                f"two personas are called {listing([persona.name])}; each needs a name of its own"
            )
