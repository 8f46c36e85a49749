"""Dated events of a run, and the digest of them that personas have read."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import PersonaError
from .events import clean_event

_MOST_HEADLINE, _MOST_SOURCE, _MOST_DIGEST = 300, 60, 1500  # Characters.


@dataclass(frozen=True)
class Event:
    """Something that happened, as its headline tells it.

    Attributes:
        step: before which personas hear of it.
        headline: text from outside, cleaned here; it is quoted, never part of a template.
        source: who says so.
        tainted: whether nobody has vouched for the text, as for all that comes from a feed or a
            user. The digest says so, and the run's record keeps it.

    Raises:
        PersonaError: a step below 0, or a text that is empty or too long.
    """

    step: int
    headline: str
    source: str
    tainted: bool = True

    def __post_init__(self) -> None:
        if self.step < 0:
            raise PersonaError(f"event {self.headline[:60]!r} is at step {self.step}; 0 or later")
        for name, most in (("headline", _MOST_HEADLINE), ("source", _MOST_SOURCE)):
            object.__setattr__(self, name, clean_event(getattr(self, name), most))


@dataclass(frozen=True)
class Digest:
    """What personas have read: a text for `Question.event`, and whether some of it is tainted."""

    text: str = ""
    tainted: bool = False


def digest_of(events: Sequence[Event], step: int, unit: str, most: int) -> Digest:
    """The newest `most` headlines up to `step`, oldest first, within 1,500 characters.

    What is left out is the oldest: a memory of bounded length, however long the run.
    """
    heard = sorted((e for e in events if e.step <= step), key=lambda e: e.step)[-most:]
    lines = [_line(event, unit) for event in heard]
    while sum(map(len, lines)) + len(lines) > _MOST_DIGEST:
        heard, lines = heard[1:], lines[1:]
    return Digest(" ".join(lines), any(event.tainted for event in heard))


def _line(event: Event, unit: str) -> str:
    doubt = ", not verified" if event.tainted else ""
    return f"{unit} {event.step}, {event.source}{doubt}: {event.headline.rstrip('.')}."
