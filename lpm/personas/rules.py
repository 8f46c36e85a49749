"""`Rules`: the default respondent, a card of documented log-odds. It is not a language model."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import PersonaError, listing, unknown
from .answers import Answers
from .cells import Cells

CARDS = Path(__file__).parent / "cards"
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
    words of its lexicon. It answers one question about one action against doing nothing.

    Attributes:
        name: of the card.
        question: as a persona would be asked it.
        actions: the two actions, that of the log-odds last.
        terms: the coefficients, the level first.
        lexicon: log-odds by which a word moves a construct.
    """

    name: str
    question: str
    actions: tuple[str, str]
    terms: tuple[Term, ...]
    lexicon: Mapping[str, Mapping[str, float]]

    is_language_model = False

    def __str__(self) -> str:
        counts = {s: sum(term.status == s for term in self.terms) for s in STATUSES}
        return (
            f"Rules {self.name!r}: documented log-odds, NOT a language model; "
            f"{counts['sourced']} coefficients sourced, {counts['illustrative']} illustrative"
        )

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
        used = {factor[0] for term in self.terms for factor in term.factors}
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
        sizes = [np.asarray(_product(term, values)) for term in self.terms]
        odds = sum(term.size * x for term, x in zip(self.terms, sizes, strict=True))
        variance = sum((term.spread * x) ** 2 for term, x in zip(self.terms, sizes, strict=True))
        people = len(cells.value(cells.names[0])[chosen])
        shape = (people, *(len(levels) for levels in knots.values()))
        odds = np.asarray(odds) + self.moved_by(text)
        return np.broadcast_to(odds, shape), np.broadcast_to(np.sqrt(variance), shape)

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


def _product(term: Term, values: Mapping[str, np.ndarray]) -> np.ndarray | float:
    product: np.ndarray | float = 1.0
    for name, centre, unit, log in term.factors:
        x = values[name]
        product = product * (np.log1p(x / unit) if log else (x - centre) / unit)
    return product


def read_rules(card: str | Path) -> Rules:
    """The rules of a card: the name of one that comes along, or a TOML file.

    Raises:
        PersonaError: no such card, or one with a coefficient that is not marked, not explained,
            or of an unknown construct.
    """
    path = Path(card)
    if path.suffix != ".toml":
        known = sorted(each.stem for each in CARDS.glob("*.toml"))
        if str(card) not in known:
            raise PersonaError(unknown("lpm.personas", "card", [str(card)], known))
        path = CARDS / f"{card}.toml"
    elif not path.is_file():
        raise PersonaError(f"there is no card {path}")
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    missing = [part for part in ("question", "actions", "term") if part not in read]
    if missing:
        raise PersonaError(f"card {path.stem!r} lacks {listing(missing)}")
    if len(read["actions"]) != 2:
        raise PersonaError(f"card {path.stem!r} has actions {read['actions']}; give two")
    terms = tuple(_term(path.stem, i, entry) for i, entry in enumerate(read["term"]))
    lexicon = {"negations": {}, "intensifiers": {}, **read.get("lexicon", {})}
    for name in ("negations", "intensifiers"):
        lexicon[name] = dict.fromkeys(lexicon[name], 1.0)
    return Rules(path.stem, read["question"], tuple(read["actions"]), terms, lexicon)


def _term(card: str, number: int, entry: Mapping[str, Any]) -> Term:
    where = f"term {number} of card {card!r}"
    needed = ("construct", "size", "spread", "status", "source")
    missing = [part for part in needed if entry.get(part) in (None, "")]
    if missing:
        raise PersonaError(f"{where} lacks {listing(missing)}; nothing goes in unexplained")
    if entry["status"] not in STATUSES:
        raise PersonaError(f"{where} has status {entry['status']!r}; it is one of {list(STATUSES)}")
    if entry["construct"] not in ("level", *CONSTRUCTS):
        raise PersonaError(unknown(where, "construct", [entry["construct"]], CONSTRUCTS))
    if entry["spread"] < 0:
        raise PersonaError(f"{where} has spread {entry['spread']}; give 0 or more")
    factors = tuple(
        (f["of"], float(f.get("centre", 0)), float(f.get("unit", 1)), bool(f.get("log", False)))
        for f in entry.get("factors", [])
    )
    return Term(
        entry["construct"],
        float(entry["size"]),
        float(entry["spread"]),
        factors,
        entry["status"],
        entry["source"],
    )
