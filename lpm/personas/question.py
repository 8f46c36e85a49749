"""A question: who is asked, in what situation, after which news, and what an answer looks like."""

import hashlib
import json
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from textwrap import shorten
from typing import Any, SupportsFloat

from ..errors import PersonaError, listing
from .codebook import Codebook
from .events import clean_event, fence

_ROLE = (
    "You describe how a group of real people would behave. You do not act for them and you do not "
    "say how they should behave. The people are: "
)
_SHOWN = 90  # Characters of a text where a question is printed.
KEYED = ("model", "persona", "facts", "event", "prompt", "schema", "settings", "repeat")


@dataclass(frozen=True)
class Persona:
    """People described in words, and how many the description stands for.

    Attributes:
        name: short and unique among those asked.
        text: the description, as a model reads it.
        weight: people, or their share: any unit that all personas have in common.
        facts: the description in numbers, for `Rules`, who cannot read; no model is told them.
    """

    name: str
    text: str
    weight: float = 1.0
    facts: Mapping[str, SupportsFloat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for fact, value in self.facts.items():
            if not fact.isidentifier() or not math.isfinite(float(value)):
                raise PersonaError(
                    f"persona {self.name!r}: fact {fact!r} = {value} must be a finite number "
                    "under a plain name"
                )
        if not self.name or not self.text.strip():
            raise PersonaError(f"persona {self.name!r} needs a name and a text")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise PersonaError(f"persona {self.name!r}: weight = {self.weight} must be 0 or more")


@dataclass(frozen=True)
class Settings:
    """How a model is to answer.

    Attributes:
        temperature: 0 for the likeliest words.
        most_tokens: of an answer, hidden reasoning included.
        seed: sent along, never relied upon; `None` sends none.
    """

    temperature: float = 0.0
    most_tokens: int = 400
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= 2):
            raise PersonaError(f"temperature = {self.temperature} must lie in [0, 2]")
        if self.most_tokens < 1:
            raise PersonaError(f"most_tokens = {self.most_tokens} must be at least 1")


@dataclass(frozen=True, repr=False)
class Question:
    """One question to one persona.

    Attributes:
        persona: who is asked.
        template: with `{name}` or `{name:.1f}` where numbers go.
        codebook: what an answer looks like.
        values: the numbers that fill the template, all of them.
        event: text from outside; it is cleaned, fenced, and never part of the template.
        settings: how to answer.
        repeat: tells apart questions that are otherwise the same.
        correction: what was wrong with the last reply, in our words; no part of the key.
        filled: the template with its numbers.
    """

    persona: Persona
    template: str
    codebook: Codebook
    values: Mapping[str, SupportsFloat] = field(default_factory=dict)
    event: str = ""
    settings: Settings = field(default_factory=Settings)
    repeat: int = 0
    correction: str = ""
    filled: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "event", clean_event(self.event) if self.event else "")
        object.__setattr__(self, "filled", fill(self.template, self.values))

    @property
    def system(self) -> str:
        """What the model is told of its role and of the persona."""
        return _ROLE + self.persona.text.strip()

    @property
    def prompt(self) -> str:
        """The template with its numbers, and the form of the answer."""
        return f"{self.filled}\n\n{self.codebook.describe()}"

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat to send: two messages, since some chat formats take no more."""
        again = f"\n\n{self.correction}" if self.correction else ""
        said = fence(self.event) + self.prompt + again
        return [{"role": "system", "content": self.system}, {"role": "user", "content": said}]

    @property
    def as_sent(self) -> str:
        """All that a model gets to read, for people: `print(question.as_sent)`.

        Where a server can hold a model to the schema of the answer, `codebook.schema` goes along.
        """
        return "\n\n".join(f"[{each['role']}]\n{each['content']}" for each in self.messages)

    @property
    def told(self) -> dict[str, float]:
        """The numbers of the template as it prints them, which is all that anyone is told.

        Raises:
            PersonaError: a format that prints no number, as `{cases:x}`.
        """
        return printed(self.template, self.values)

    def __repr__(self) -> str:
        asked = shorten(self.filled, _SHOWN, placeholder=" ...")
        news = (
            f", after news {shorten(self.event, _SHOWN, placeholder=' ...')!r}"
            if self.event
            else ""
        )
        again = f", repeat {self.repeat}" if self.repeat else ""
        answer = listing(self.codebook.names, 4)
        return f"Question to {self.persona.name!r}: {asked!r}{news}{again}, for {answer}"

    def parts(self, model: str) -> dict[str, Any]:
        """All that an answer depends on, as plain JSON values."""
        numbers = {
            "persona": {name: float(x) for name, x in self.persona.facts.items()},
            "levels": [{n: float(x) for n, x in level.items()} for level in self.codebook.at],
        }
        # Only where there are any: questions without have the keys that they always had.
        facts = {"facts": numbers} if any(numbers.values()) else {}
        return facts | {
            "model": model,
            "persona": self.system,
            "event": self.event,
            "prompt": self.prompt,
            "schema": self.codebook.schema,
            "settings": {
                "temperature": float(self.settings.temperature),
                "most_tokens": self.settings.most_tokens,
                "seed": self.settings.seed,
            },
            "repeat": self.repeat,
        }

    def key(self, model: str) -> str:
        """Hash of `parts`: questions with the same key are one question."""
        return digest(self.parts(model))


def fill(template: str, values: Mapping[str, SupportsFloat]) -> str:
    """`template` with numbers in place of `{name}` or `{name:format}`.

    Raises:
        PersonaError: names that do not match, anything but a plain name in braces, or a value
            that is not a finite number.
    """
    if not template.strip():
        raise PersonaError("the template of a question is empty")
    written: list[str] = []
    used: set[str] = set()
    for text, name, form, conversion in _pieces(template):
        written.append(text)
        if name is None:
            continue
        if not name.isidentifier() or conversion or "{" in (form or ""):
            raise PersonaError(f"template: {{{name}}} must be a plain name, as {{cases:.0f}}")
        if name not in values:
            raise PersonaError(f"template asks for {name!r}, but values has {listing(values)}")
        used.add(name)
        written.append(_number(name, values[name], form or ""))
    if idle := sorted(set(values) - used):
        raise PersonaError(f"values {listing(idle)} stand nowhere in the template")
    return "".join(written)


def insert(template: str, words: Mapping[str, str]) -> str:
    """`template` with words in place of some of its names; the others stay as they are."""
    written = []
    for text, name, form, _ in _pieces(template):
        written.append(_braced(text))
        if name is not None and name in words:
            written.append(_braced(words[name]))
        elif name is not None:
            written.append(f"{{{name}:{form}}}" if form else f"{{{name}}}")
    return "".join(written)


def printed(template: str, values: Mapping[str, SupportsFloat]) -> dict[str, float]:
    """The numbers of a template as they are printed: 12.3 under `{x:.0f}` is 12.

    A number that is printed twice counts as it is printed first.

    Raises:
        PersonaError: as `fill`, or a format that does not print a plain number.
    """
    found: dict[str, float] = {}
    for _, name, form, _ in _pieces(template):
        if name is None or name in found:
            continue
        if name not in values:
            raise PersonaError(f"template asks for {name!r}, but values has {listing(values)}")
        text = _number(name, values[name], form or "").replace(",", "").replace("_", "").strip()
        try:
            found[name] = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            raise PersonaError(f"template: {{{name}:{form}}} prints {text!r}, no number") from None
    return found


def placeholders(template: str) -> dict[str, str]:
    """Names in the template, each with the format it is first printed in.

    Raises:
        PersonaError: anything but a plain name in braces.
    """
    found: dict[str, str] = {}
    for _, name, form, conversion in _pieces(template):
        if name is not None:
            if not name.isidentifier() or conversion or "{" in (form or ""):
                raise PersonaError(f"template: {{{name}}} must be a plain name, as {{cases:.0f}}")
            found.setdefault(name, form or "")
    return found


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of plain JSON values, whatever the order of their names."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def canonical(content: Mapping[str, Any]) -> str:
    """Plain JSON values as text that is the same for the same content."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _pieces(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(template))
    except ValueError as error:
        raise PersonaError(f"template: {error}; write {{{{ and }}}} for braces") from None


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _number(name: str, value: object, form: str) -> str:
    # A plain number first, so that a NumPy or JAX scalar makes the same text, and the same key.
    if isinstance(value, bool | str | bytes) or not isinstance(value, SupportsFloat):
        raise PersonaError(f"values: {name} = {value!r} must be a number; text goes into event")
    plain = _plain(value)
    if not math.isfinite(plain):
        raise PersonaError(f"values: {name} = {value} must be finite")
    try:
        return format(plain, form)
    except ValueError:
        raise PersonaError(f"template: {{{name}:{form}}} does not format {plain!r}") from None


def _plain(value: SupportsFloat) -> float | int:
    try:
        return operator.index(value)  # type: ignore[arg-type] - what is not whole says so
    except TypeError:
        return float(value)
