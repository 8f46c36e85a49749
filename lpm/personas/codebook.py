"""What an answer may be: numbers with names and bounds; their JSON schema; reading a reply."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, SupportsFloat

from ..errors import PersonaError, listing

_SHOWN = 4  # Numbers of a codebook where it is printed.
_MOST_CHARACTERS = 200_000  # Of a reply: what is longer is no answer to any question of ours.


class Failure(StrEnum):
    """Why a reply could not be used."""

    REFUSAL = "refusal"
    TRUNCATION = "truncation"
    MALFORMED = "malformed"
    OFF_SCHEMA = "off-schema"
    WRONG_NUMBER = "wrong number"
    TRANSPORT = "transport"
    BUDGET = "budget"


class RejectedError(PersonaError):
    """A reply that is not an answer: `kind` says how, the message what would have been right."""

    def __init__(self, kind: Failure, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Number:
    """One number of an answer: its key in the JSON, closed bounds, and what it means."""

    name: str
    within: tuple[float | int, float | int]
    meaning: str = ""
    whole: bool = False

    def __post_init__(self) -> None:
        low, high = self.within
        if not self.name.isidentifier() or not self.name.isascii():
            raise PersonaError(f"name {self.name!r} of a number must be a plain word, as stance_2")
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise PersonaError(f"{self.name}: within {self.within} must be two finite, rising ends")

    @property
    def short(self) -> str:
        """Name and bounds, as `hours in [0, 60]`."""
        low, high = self.within
        return f"{self.name} in [{low:g}, {high:g}]"

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema. Bounds of whole numbers are in it; all are checked again on reading."""
        if not self.whole:
            return {"type": "number"}
        low, high = self.within
        return {"type": "integer", "minimum": math.ceil(low), "maximum": math.floor(high)}

    def read(self, value: object) -> float:
        """`value` of a parsed reply as a float.

        Raises:
            RejectedError: it is no number, not a whole one where it must be, or out of bounds.
        """
        kind = "a whole number" if self.whole else "a number"
        if isinstance(value, bool) or not isinstance(value, int | float):
            shown = json.dumps(value)[:60]
            raise RejectedError(Failure.OFF_SCHEMA, f"{self.name} = {shown} must be {kind}")
        low, high = self.within
        if not low <= value <= high:  # False for a NaN, and exact for whole numbers of any length.
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)[:40]
            raise RejectedError(
                Failure.WRONG_NUMBER, f"{self.name} = {shown} is outside [{low:g}, {high:g}]"
            )
        if self.whole and value != int(value):
            raise RejectedError(Failure.WRONG_NUMBER, f"{self.name} = {value:.6g} must be {kind}")
        return float(value)


@dataclass(frozen=True, repr=False)
class Codebook:
    """The numbers that make up an answer.

    Attributes:
        numbers: in the order of the answer.
        groups: of names whose numbers are weights and cannot all be zero; they may be none.
        at: the levels of a curve in numbers, for `Rules`, who cannot read; no model is told them.
    """

    numbers: tuple[Number, ...]
    groups: tuple[tuple[str, ...], ...] = ()
    at: tuple[Mapping[str, SupportsFloat], ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if not names or len(set(names)) < len(names):
            raise PersonaError(f"a codebook needs different names, not {listing(names)}")
        for name in (n for group in self.groups for n in group):
            if name not in names or self.numbers[names.index(name)].within[0] < 0:
                raise PersonaError(f"group member {name!r} must be a number of at least 0")

    @classmethod
    def curve(
        cls,
        actions: Sequence[str],
        levels: Sequence[str] = (),
        of: int = 100,
        at: Sequence[Mapping[str, SupportsFloat]] = (),
    ) -> "Codebook":
        """How many `of` so many people would take each action, at each level of a situation.

        Names are `action_k` for level k from 0, with the words of the action joined by `_`; where
        there are no levels, the action alone. `levels` says each level in words, with its unit;
        `at` says it in numbers.

        Raises:
            PersonaError: not as many levels in numbers as in words, where there are any.
        """
        if at and len(at) != len(levels):
            raise PersonaError(f"at has {len(at)} levels for {len(levels)} in words; give each")
        ends = [(f"_{k}", f", {level}") for k, level in enumerate(levels)] or [("", "")]
        numbers = tuple(
            Number(slug(action) + end, (0, of), f"of {of} such people, {action}{level}", whole=True)
            for end, level in ends
            for action in actions
        )
        groups = tuple(tuple(slug(action) + end for action in actions) for end, _ in ends)
        return cls(numbers, groups, tuple(at))

    def __repr__(self) -> str:
        shown = [number.short for number in self.numbers[:_SHOWN]]
        if len(self.numbers) > _SHOWN:
            shown.append(f"{len(self.numbers) - _SHOWN} more")
        groups = f"; {len(self.groups)} groups, none all 0" if self.groups else ""
        return f"Codebook of {', '.join(shown)}{groups}"

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of an answer."""
        return tuple(number.name for number in self.numbers)

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema in the dialect that all servers share: flat, all required, nothing more."""
        return {
            "type": "object",
            "properties": {number.name: number.schema for number in self.numbers},
            "required": list(self.names),
            "additionalProperties": False,
        }

    def describe(self) -> str:
        """The answer's form in words, for the end of a prompt."""
        lines = ["Answer with one JSON object and nothing else. Its keys are:"]
        for number in self.numbers:
            low, high = number.within
            kind = "whole number" if number.whole else "number"
            meaning = f", {number.meaning}" if number.meaning else ""
            lines.append(f"- {number.name}: {kind} from {low:g} to {high:g}{meaning}")
        return "\n".join(lines)

    def read(self, text: str) -> dict[str, float]:
        """The numbers in a reply. The reply is parsed as JSON; nothing in it is carried out.

        Raises:
            RejectedError: malformed JSON, other keys or types than declared, or wrong numbers.
        """
        if len(text) > _MOST_CHARACTERS:
            raise RejectedError(Failure.MALFORMED, f"the answer has {len(text):,} characters")
        try:
            found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
        except (ValueError, RecursionError) as error:
            message = str(error).splitlines()[0][:120]
            raise RejectedError(Failure.MALFORMED, f"not one JSON object: {message}") from None
        if not isinstance(found, dict):
            raise RejectedError(Failure.OFF_SCHEMA, f"not an object but a {type(found).__name__}")
        return self.check(found)

    def check(self, found: Mapping[str, Any]) -> dict[str, float]:
        """Parsed values as an answer, in the order of the codebook.

        Raises:
            RejectedError: other keys or types than declared, or wrong numbers.
        """
        missing = [name for name in self.names if name not in found]
        extra = [str(name)[:40] for name in found if name not in self.names]
        if missing or extra:
            wrong = [f"{k} {listing(v)}" for k, v in (("lacks", missing), ("adds", extra)) if v]
            raise RejectedError(Failure.OFF_SCHEMA, f"the answer {' and '.join(wrong)}")
        values = {number.name: number.read(found[number.name]) for number in self.numbers}
        for group in self.groups:
            if sum(values[name] for name in group) <= 0:
                raise RejectedError(Failure.WRONG_NUMBER, f"{listing(group)} are all zero")
        return values


def slug(words: str) -> str:
    """Words as a plain name: "stay at home" is stay_at_home."""
    return re.sub(r"[^0-9A-Za-z_]+", "_", words).strip("_")


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found
