"""What asking would take, before anything is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import PersonaError
from .attempts import Retries
from .budget import Budget, Hold, Spent, amount, most_tokens
from .question import Question
from .replies import Respondent
from .transcripts import ACCEPTED, read_transcript, total_spent


@dataclass(frozen=True, repr=False)
class Plan:
    """What a round of asking would take.

    Attributes:
        questions: different ones.
        known: of these, answered in the transcript already.
        once: if each of the others takes one call with the most tokens it can use.
        worst: if each takes all retries.
        spent: by the transcript so far.
        budget: the limits.
    """

    questions: int
    known: int
    once: Spent
    worst: Spent
    spent: Spent
    budget: Budget

    @property
    def calls(self) -> int:
        """Calls to make, if none fails."""
        return self.once.calls

    @property
    def fits(self) -> bool:
        """Whether one call for each question is certain to fit into the budget."""
        return not self.short

    @property
    def short(self) -> tuple[str, ...]:
        """Limits that one call for each question may break, in words."""
        total = self.spent.plus(self.once.calls, self.once.prompt, self.once.answer)
        found = []
        for name in ("calls", "tokens", "money"):
            limit, wanted = getattr(self.budget, name), getattr(total, name)
            if limit is not None and wanted > limit:
                found.append(
                    f"{name} could come to {amount(wanted)}, over the limit of {amount(limit)}"
                )
        return tuple(found)

    def __repr__(self) -> str:
        known = f", {self.known:,} of them answered" if self.known else ""
        lines = [
            f"Plan of {self.questions:,} questions{known}; {self.calls:,} to ask",
            f"  one call each, at the most: {self.once}",
            f"  all retries, at the most: {self.worst}",
        ]
        if self.spent.calls:
            lines.append(f"  spent before: {self.spent}")
        if self.budget.calls is self.budget.tokens is self.budget.money is None:
            lines.append("  budget: none")
        else:
            lines.append("  budget: " + ("; ".join(self.short) or "fits, if no call is repeated"))
        return "\n".join(lines)


def plan(
    questions: Sequence[Question],
    respondent: Respondent,
    *,
    budget: Budget | None = None,
    transcript: str | Path | None = None,
    retries: Retries | None = None,
) -> Plan:
    """What `ask` with the same arguments would take; asks nothing and writes nothing.

    Tokens are upper bounds: a text has no more tokens than bytes, commonly a fourth of that.

    Raises:
        PersonaError: no questions, or a transcript that was tampered with.
    """
    if not questions:
        raise PersonaError("there are no questions to ask")
    budget, retries = budget or Budget(), retries or Retries()
    model = respondent.about.model
    different = {question.key(model): question for question in questions}
    there = transcript is not None and Path(transcript).is_file()
    attempts = read_transcript(transcript) if transcript is not None and there else []
    known = {a["key"] for a in attempts if a["verdict"] == ACCEPTED} & set(different)
    holds = [
        most_tokens(question, budget.overhead)
        for key, question in different.items()
        if key not in known
    ]
    tries = 1 + retries.transport + retries.content
    return Plan(
        len(different),
        len(known),
        _total(holds, 1, budget),
        _total(holds, tries, budget),
        Spent(price=budget.price).plus(*_amounts(total_spent(attempts))),
        budget,
    )


def _total(holds: Sequence[Hold], tries: int, budget: Budget) -> Spent:
    prompt, answer = sum(h.prompt for h in holds), sum(h.answer for h in holds)
    return Spent(len(holds) * tries, prompt * tries, answer * tries, price=budget.price)


def _amounts(spent: Spent) -> tuple[int, int, int, int]:
    return spent.calls, spent.prompt, spent.answer, spent.guessed
