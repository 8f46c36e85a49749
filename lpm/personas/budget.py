"""What asking may cost at most, and the ledger that keeps to it while many ask at once."""

import math
import threading
from dataclasses import dataclass, field

from ..errors import PersonaError
from .question import Question


@dataclass(frozen=True)
class Price:
    """What a million tokens cost, by whose word.

    Attributes:
        prompt, answer: per million tokens, in `currency`.
        source: page and date of the price list, for the record.
    """

    prompt: float
    answer: float
    currency: str = "USD"
    source: str = ""

    def __post_init__(self) -> None:
        if not all(math.isfinite(x) and x >= 0 for x in (self.prompt, self.answer)):
            raise PersonaError(f"price {self.prompt}, {self.answer} must be 0 or more per million")

    def of(self, prompt: int, answer: int) -> float:
        """Money for so many tokens."""
        return (prompt * self.prompt + answer * self.answer) / 1e6


@dataclass(frozen=True)
class Budget:
    """Hard limits on all that one transcript may cost; `None` sets no limit.

    A price that is not given stays unknown: it is never taken for zero.

    Attributes:
        calls, tokens, money: the limits; money is in the price's currency.
        price: of tokens.
        overhead: tokens that a server may add to each prompt, for its chat format and its own
            instructions. One that adds more is stopped.
    """

    calls: int | None = None
    tokens: int | None = None
    money: float | None = None
    price: Price | None = None
    overhead: int = 256

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "money", "overhead"):
            limit = getattr(self, name)
            if limit is not None and not (math.isfinite(limit) and limit >= 0):
                raise PersonaError(f"budget: {name} = {limit} must be 0 or more")
        if self.money is not None and self.price is None:
            raise PersonaError("budget: money needs a price; unknown prices stay unknown")


@dataclass(frozen=True)
class Spent:
    """What has been spent.

    Attributes:
        calls: requests sent, whether or not they were answered.
        prompt, answer: tokens.
        guessed: calls whose tokens nobody told, counted at the most they can have been.
        price: of tokens, or `None` where it is unknown.
    """

    calls: int = 0
    prompt: int = 0
    answer: int = 0
    guessed: int = 0
    price: Price | None = None

    @property
    def tokens(self) -> int:
        """Prompt and answer together."""
        return self.prompt + self.answer

    @property
    def money(self) -> float | None:
        """In the price's currency; `None` where the price is unknown."""
        return None if self.price is None else self.price.of(self.prompt, self.answer)

    def plus(self, calls: int, prompt: int, answer: int, guessed: int = 0) -> "Spent":
        """With so much more."""
        return Spent(
            self.calls + calls,
            self.prompt + prompt,
            self.answer + answer,
            self.guessed + guessed,
            self.price,
        )

    def __str__(self) -> str:
        money = self.money
        cost = "cost unknown (no price)"
        if money is not None and self.price is not None:
            cost = f"{money:.4f} {self.price.currency}"
        guess = f", {self.guessed:,} of them at the most they can be" if self.guessed else ""
        return f"{self.calls:,} calls, {self.tokens:,} tokens{guess}, {cost}"


@dataclass(frozen=True)
class Hold:
    """Tokens set aside for a call that is under way: the most that it can use."""

    prompt: int
    answer: int


def most_tokens(question: Question, overhead: int = Budget.overhead) -> Hold:
    """The most tokens that one call can use.

    No tokeniser makes more tokens than a text has bytes, as each stands for at least one.
    """
    said = sum(len(m["content"].encode()) for m in question.messages)
    schema = len(str(question.codebook.schema).encode())  # Some servers put it into the prompt.
    return Hold(said + schema + overhead, question.settings.most_tokens)


def amount(value: float | int) -> str:
    """A count in full, money to six digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


class ExhaustedError(PersonaError):
    """The budget does not allow another call."""


class OverrunError(PersonaError):
    """A server used more tokens than it was allowed to."""


@dataclass
class Ledger:
    """Keeps within a budget while many ask: what a call may use is set aside before it is made."""

    budget: Budget
    spent: Spent = field(default_factory=Spent)
    _held: Spent = field(default_factory=Spent, init=False)
    _turn: threading.Condition = field(default_factory=threading.Condition, init=False)

    def __post_init__(self) -> None:
        self.spent = Spent(
            self.spent.calls,
            self.spent.prompt,
            self.spent.answer,
            self.spent.guessed,
            self.budget.price,
        )

    def hold(self, question: Question) -> Hold:
        """Set aside what a call may use; waits for calls under way where they may leave enough.

        Raises:
            ExhaustedError: it does not fit even when they are done.
        """
        need = most_tokens(question, self.budget.overhead)
        with self._turn:
            while over := self._over(need, with_held=True):
                if self._over(need, with_held=False) or not self._held.calls:
                    raise ExhaustedError(over)
                self._turn.wait()
            self._held = self._held.plus(1, need.prompt, need.answer)
        return need

    def settle(self, held: Hold, prompt: int | None, answer: int | None) -> Hold:
        """Give back what was set aside and book what was used; `None` books the most it can be.

        Raises:
            OverrunError: more was used than set aside. It is booked all the same.
        """
        used = Hold(
            held.prompt if prompt is None else prompt, held.answer if answer is None else answer
        )
        guessed = int(prompt is None or answer is None)
        with self._turn:
            self._held = self._held.plus(-1, -held.prompt, -held.answer)
            self.spent = self.spent.plus(1, used.prompt, used.answer, guessed)
            self._turn.notify_all()
        if used.prompt > held.prompt or used.answer > held.answer:
            raise OverrunError(
                f"the server used {used.prompt} + {used.answer} tokens where at most "
                f"{held.prompt} + {held.answer} were set aside; it ignores most_tokens, or adds "
                "more to prompts than the budget's overhead"
            )
        return used

    def release(self, held: Hold) -> None:
        """Give back what was set aside for a call that was not made."""
        with self._turn:
            self._held = self._held.plus(-1, -held.prompt, -held.answer)
            self._turn.notify_all()

    def _over(self, need: Hold, with_held: bool) -> str:
        """Which limit another call would break, in words, or nothing."""
        total = self.spent.plus(1, need.prompt, need.answer)
        if with_held:
            total = total.plus(self._held.calls, self._held.prompt, self._held.answer)
        limits = self.budget
        for name in ("calls", "tokens", "money"):
            limit, wanted = getattr(limits, name), getattr(total, name)
            if limit is not None and wanted is not None and wanted > limit:
                return (
                    f"budget: the next call could take {name} to {amount(wanted)}, over the limit "
                    f"of {amount(limit)}; spent so far: {self.spent}"
                )
        return ""
