"""A persona that sets tax rates, a step at a time, from what came of past ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from ..errors import PersonaError
from .asking import ask
from .codebook import Codebook, Number
from .question import Persona, Question, Settings
from .replies import Respondent

_TASK = (
    "You set the income tax. Each rate below is paid on the part of a yearly income that lies in "
    "its bracket; what comes in is handed back to all in equal parts. People earn less of what is "
    "taxed more. Welfare counts what people have, and counts the poor more. Make welfare as high "
    "as you can over the years to come."
)


@dataclass(frozen=True)
class Year:
    """Rates of one year, one for each bracket, and what came of them."""

    rates: tuple[float, ...]
    welfare: float


@dataclass(frozen=True)
class Legislator:
    """How the history of a tax is put to a persona, and what it may propose.

    As in LLM Economist (Karten et al. 2025) it sees the last years and the best, and moves every
    rate by at most `most` steps of `step`. Nothing but whole numbers of steps is taken from an
    answer, so that a rate never leaves its bounds, whatever is said.

    Attributes:
        persona: who decides.
        edges: lower edge of each bracket, rising, the first 0.
        unit: of income and welfare.
        step: of a rate.
        most: steps in a year.
        highest: rate.
        last, best: years in the question.
        settings: how to answer.

    Raises:
        PersonaError: edges that do not rise from 0, or a number that is out of its range.
    """

    persona: Persona
    edges: tuple[float, ...]
    unit: str = "USD"
    step: float = 0.1
    most: int = 2
    highest: float = 1.0
    last: int = 10
    best: int = 5
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        rises = all(np.diff(self.edges) > 0)
        if not self.edges or self.edges[0] != 0 or not rises:
            raise PersonaError(f"edges {list(self.edges)} must rise, the first 0")
        if not 0 < self.step <= self.highest <= 1 or min(self.most, self.last) < 1 or self.best < 0:
            raise PersonaError(
                f"step = {self.step}, highest = {self.highest}, most = {self.most}, last = "
                f"{self.last}, best = {self.best}; 0 < step <= highest <= 1, most and last are 1 "
                "or more, and best is 0 or more"
            )

    @property
    def codebook(self) -> Codebook:
        """Whole steps, up or down, for every bracket."""
        points = 100 * self.step
        return Codebook(
            tuple(
                Number(
                    f"move_{j + 1}",
                    (-self.most, self.most),
                    f"steps of {points:g} points by which the rate of bracket {j + 1} changes",
                    whole=True,
                )
                for j in range(len(self.edges))
            )
        )

    def question(self, history: Sequence[Year]) -> Question:
        """What is asked after some years.

        Raises:
            PersonaError: no history, or years with another number of rates.
        """
        if not history or any(len(year.rates) != len(self.edges) for year in history):
            raise PersonaError(
                f"the history has {len(history)} years; give one or more, each with "
                f"{len(self.edges)} rates"
            )
        values: dict[str, float] = {}
        lines = [_TASK, f"Brackets begin at (a year, {self.unit}):"]
        for j, edge in enumerate(self.edges):
            values[f"edge_{j}"] = edge
            lines.append(f"- bracket {j + 1}: {{edge_{j}:.0f}}")
        number = range(len(history))
        lines.append("The last years, rates in percent:")
        lines += self._rows("last", list(number)[-self.last :], history, values)
        if self.best:
            first = sorted(number, key=lambda i: (-history[i].welfare, i))[: self.best]
            lines.append("The best years so far:")
            lines += self._rows("best", first, history, values)
        lines.append("How do you change each rate for the next year?")
        text = "\n".join(lines)
        return Question(self.persona, text, self.codebook, values, settings=self.settings)

    def moved(self, rates: Sequence[float], answer: Any) -> tuple[float, ...]:
        """Rates after an answer, within 0 and the highest.

        Raises:
            PersonaError: an answer that the codebook does not take.
        """
        moves = self.codebook.check(answer).values()
        return tuple(
            float(np.clip(round(rate + self.step * move, 10), 0.0, self.highest))
            for rate, move in zip(rates, moves, strict=True)
        )

    def _rows(
        self, name: str, which: Sequence[int], history: Sequence[Year], values: dict[str, float]
    ) -> list[str]:
        lines = []
        for i in which:
            rates = " ".join(f"{{{name}_{i}_{j}:.0f}}" for j in range(len(self.edges)))
            values |= {f"{name}_{i}_{j}": 100 * rate for j, rate in enumerate(history[i].rates)}
            # Five digits: what a replay measures again is the same text, whatever the machine.
            values |= {f"{name}_{i}_year": i + 1, f"{name}_{i}_w": history[i].welfare}
            lines.append(
                f"Year {{{name}_{i}_year:.0f}}: rates {rates}; welfare {{{name}_{i}_w:.5g}}"
            )
        return lines


@dataclass(frozen=True)
class Reign:
    """The years of a legislator.

    Attributes:
        years: the first with the rates at the start.
        calls: questions that were asked.
    """

    years: tuple[Year, ...]
    calls: int

    @property
    def best(self) -> Year:
        """The year of highest welfare, the first of equals."""
        return max(self.years, key=lambda year: year.welfare)

    @property
    def rates(self) -> Float[np.ndarray, "year bracket"]:
        """Rates of every year."""
        return np.array([year.rates for year in self.years])

    def frame(self) -> pl.DataFrame:
        """A row for each year: welfare, and the rate of each bracket."""
        rows = [
            {"year": i + 1, "welfare": year.welfare}
            | {f"rate_{j + 1}": rate for j, rate in enumerate(year.rates)}
            for i, year in enumerate(self.years)
        ]
        return pl.DataFrame(rows)


def govern(
    legislator: Legislator,
    economy: Callable[[tuple[float, ...]], float],
    respondent: Respondent,
    *,
    start: Sequence[float],
    years: int,
    **asking: Any,
) -> Reign:
    """Ask a legislator once a year for so many years, each answer judged by an economy.

    With `transcript=` every question is on record; a `Replay` of it gives the same years without a
    model, as long as the economy gives the same welfare to five digits.

    Args:
        legislator: what is asked.
        economy: welfare under rates.
        respondent: who answers.
        start: rates of the first year.
        years: after it.
        asking: options of `ask`: budget, transcript, retries, fallback, progress.

    Raises:
        PersonaError: rates out of bounds, welfare that is not finite, or what `ask` raises.
    """
    rates = tuple(float(rate) for rate in start)
    if len(rates) != len(legislator.edges) or not all(0 <= r <= legislator.highest for r in rates):
        raise PersonaError(
            f"start = {list(rates)}; give {len(legislator.edges)} rates in "
            f"[0, {legislator.highest:g}]"
        )
    history = [_judged(economy, rates)]
    for _ in range(years):
        said = ask([legislator.question(history)], respondent, **asking).values[0]
        rates = legislator.moved(rates, said)
        history.append(_judged(economy, rates))
    return Reign(tuple(history), years)


def _judged(economy: Callable[[tuple[float, ...]], float], rates: tuple[float, ...]) -> Year:
    welfare = float(economy(rates))
    if not np.isfinite(welfare):
        raise PersonaError(f"welfare under rates {list(rates)} is {welfare}; it must be finite")
    return Year(rates, welfare)
