"""`Rules`: the default respondent, a card of documented log-odds. It is not a language model."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import PersonaError, listing, unknown
from .answers import Answers
from .cells import Cells
from .question import Question, digest
from .replies import About, Provenance, Reply
from .rule_answers import answer

STATUSES = ("sourced", "illustrative")
CONSTRUCTS = ("susceptibility", "severity", "benefits", "barriers", "cues", "trust")
MOST_BY_TEXT = 3.0  # Log-odds by which text may move an answer, either way.
_MOST_TEXT = 4_000  # Characters that are read.
_WORD = re.compile(r"[a-z']+")


@dataclass(frozen=True)
class Term:
    """One coefficient of a card.

    The log-odds of the action move by `size` times the product of all factors, each
    `(value - centre) / unit`, or `log(1 + value / unit)` where `log` is set.

    Attributes:
        construct: of the Health Belief Model (and trust) that it stands for.
        size: log-odds.
        spread: standard deviation that the size is known with.
        factors: (name, centre, unit, log) of attributes and variables of the situation.
        status: `sourced`, or `illustrative` for an assumption.
        source: where a sourced size is from; for an illustrative one what it rests on.
    """

    construct: str
    size: float
    spread: float
    factors: tuple[tuple[str, float, float, bool], ...]
    status: str
    source: str


@dataclass(frozen=True)
class Rules:
    """Answers from log-odds cards and a small lexicon, in the shape of the Health Belief Model.

    No language model: the same card gives the same answers, and no text is understood beyond the
    words of its lexicon. It answers one question about one action against doing nothing: for the
    cells of a population all at once by `ask`, and as a `Respondent` wherever a model could, from
    the facts of a persona, the numbers of a question and the words of an event.

    Attributes:
        name: of the card.
        question: as a persona would be asked it.
        actions: the two actions, that of the log-odds last.
        terms: the coefficients, the level first.
        lexicon: log-odds by which a word moves a construct.
        number: name of a number that it answers as well: the share of the second action is its way
            from the lower to the upper bound.
    """

    name: str
    question: str
    actions: tuple[str, str]
    terms: tuple[Term, ...]
    lexicon: Mapping[str, Mapping[str, float]]
    number: str = ""

    is_language_model = False

    def __str__(self) -> str:
        counts = {s: sum(term.status == s for term in self.terms) for s in STATUSES}
        return (
            f"Rules {self.name!r}: documented log-odds, NOT a language model; "
            f"{counts['sourced']} coefficients sourced, {counts['illustrative']} illustrative"
        )

    @property
    def about(self) -> About:
        """No language model; the name in keys holds a hash of the card: another card, another."""
        return About(str(self), self._model, "rules", self.is_language_model)

    @cached_property
    def _model(self) -> str:
        return f"rules-{self.name}@{digest(json.loads(json.dumps(asdict(self))))[:12]}"

    def reply(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """Answers to single questions, by the same log-odds as `ask`.

        Raises:
            PersonaError: a question that is not the card's: other actions, or a fact or a number
                that the card lacks or does not know.
        """
        return [
            Reply(
                text=json.dumps(answer(self, question)),
                finish="stop",
                model=self.about.model,
                prompt_tokens=0,
                answer_tokens=0,
                provenance=Provenance.RULES,
            )
            for question in questions
        ]

    def ask(
        self,
        cells: Cells,
        knots: Mapping[str, Sequence[float]],
        *,
        of: Any = None,
        text: str = "",
    ) -> Answers:
        """Answers of the cells (or of those in `of`) at all levels of the situation.

        Three "paraphrases" stand for what the coefficients leave open: one at the mean and one a
        standard deviation of the log-odds to either side, so that the spread of the answers is that
        of the card. There is one option order.

        Args:
            cells: whose attributes are used.
            knots: levels of each variable of the situation.
            of: cells that are asked, such as `anchors.cell`.
            text: news that the personas have read; only words of the lexicon count.

        Raises:
            PersonaError: a factor that is neither an attribute nor a variable, or knots of
                something that the card does not use.
        """
        odds, spread = self.log_odds(cells, knots, of=of, text=text)
        replicates = odds[..., None] + spread[..., None] * np.array([-1.0, 0.0, 1.0])
        share = 1 / (1 + np.exp(-replicates))
        values = np.stack([1 - share, share], axis=-1)[..., None, :]
        return Answers(knots, self.actions, values)

    def log_odds(
        self,
        cells: Cells,
        knots: Mapping[str, Sequence[float]],
        *,
        of: Any = None,
        text: str = "",
    ) -> tuple[Float[np.ndarray, " persona *knot"], Float[np.ndarray, " persona *knot"]]:
        """Log-odds of the second action against the first, and their standard deviation.

        Raises:
            PersonaError: as for `ask`.
        """
        used = self.factors
        unused = [name for name in knots if name not in used]
        known = [*cells.names, *knots]
        lost = [name for name in used if name not in known]
        if unused or lost:
            raise PersonaError(
                unknown(f"card {self.name!r}", "factor", unused, used)
                if unused
                else f"card {self.name!r} needs {listing(sorted(lost))}; the cells and the "
                f"situation have {listing(known)}"
            )
        chosen = slice(None) if of is None else np.asarray(of)
        axes = len(knots)
        values = {name: cells.value(name)[chosen].reshape(-1, *(1,) * axes) for name in cells.names}
        for i, (name, levels) in enumerate(knots.items()):
            shape = [1] * (axes + 1)
            shape[i + 1] = len(levels)
            values[name] = np.asarray(levels, np.float64).reshape(shape)
        odds, spread = self.at(values)
        people = len(cells.value(cells.names[0])[chosen])
        shape = (people, *(len(levels) for levels in knots.values()))
        return np.broadcast_to(odds + self.moved_by(text), shape), np.broadcast_to(spread, shape)

    @property
    def factors(self) -> tuple[str, ...]:
        """Attributes and variables that the card uses."""
        return tuple(dict.fromkeys(f[0] for term in self.terms for f in term.factors))

    def at(self, values: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds and their standard deviation from a value (or an array) for every factor."""
        sizes = [np.asarray(_product(term, values)) for term in self.terms]
        odds = sum(term.size * x for term, x in zip(self.terms, sizes, strict=True))
        variance = sum((term.spread * x) ** 2 for term, x in zip(self.terms, sizes, strict=True))
        return np.asarray(odds, np.float64), np.asarray(np.sqrt(np.asarray(variance, np.float64)))

    def moved_by(self, text: str) -> float:
        """Log-odds by which a text moves every answer, within `MOST_BY_TEXT` either way."""
        total = sum(self.read(text).values())
        return float(np.clip(total, -MOST_BY_TEXT, MOST_BY_TEXT))

    def read(self, text: str) -> dict[str, float]:
        """Log-odds by construct: words of the lexicon, turned by negation, raised by "very".

        A negation turns the next two words, an intensifier counts the next one half more.
        """
        words = _WORD.findall(
            text[:_MOST_TEXT].lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        )
        turned, raised = self.lexicon["negations"], self.lexicon["intensifiers"]
        found: dict[str, float] = dict.fromkeys(CONSTRUCTS, 0.0)
        for i, word in enumerate(words):
            before = words[max(i - 2, 0) : i]
            sign = -1.0 if any(w in turned or w.endswith("n't") for w in before) else 1.0
            more = 1.5 if before and before[-1] in raised else 1.0
            for construct in CONSTRUCTS:
                found[construct] += sign * more * self.lexicon.get(construct, {}).get(word, 0.0)
        return found

    def table(self) -> list[dict[str, Any]]:
        """One row per coefficient: construct, factors, size, spread, status, source."""
        return [
            {
                "construct": term.construct,
                "factors": " x ".join(factor[0] for factor in term.factors) or "level",
                "size": term.size,
                "spread": term.spread,
                "status": term.status,
                "source": term.source,
            }
            for term in self.terms
        ]


def _product(term: Term, values: Mapping[str, Any]) -> np.ndarray | float:
    product: np.ndarray | float = 1.0
    for name, centre, unit, log in term.factors:
        x = values[name]
        product = product * (np.log1p(x / unit) if log else (x - centre) / unit)
    return product
