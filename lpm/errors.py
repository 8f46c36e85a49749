"""Everything lpm raises, and the one way a message lists what would have been right."""

from collections.abc import Iterable
from difflib import get_close_matches


class LpmError(Exception):
    """Base of every error raised by lpm; catch it to catch them all."""


class DataError(LpmError, ValueError):
    """A file, a column or a value that was read is not what was declared."""


class ScenarioError(LpmError, ValueError):
    """A scenario's structure is wrong: shapes, names, return values."""


class SimulationError(LpmError):
    """A run could not start, resume or stay within its declared bounds."""


class PersonaError(LpmError):
    """A respondent did not answer, or answered outside the codebook."""


class FittingError(LpmError):
    """A fit cannot be trusted: gradient check, budget or data."""


def listing(names: Iterable[str], limit: int = 12) -> str:
    """`names` in brackets, shortened after `limit`, for the end of a message."""
    names = [str(name) for name in names]
    shown = ", ".join(names[:limit])
    return f"[{shown}, ... {len(names) - limit} more]" if len(names) > limit else f"[{shown}]"


def unknown(owner: str, kind: str, wrong: Iterable[str], known: Iterable[str]) -> str:
    """Message for names that `owner` does not have, with the nearest spelling."""
    wrong, known = list(wrong), list(known)
    close = [hit for name in wrong for hit in get_close_matches(name, known, n=1)]
    hint = f"; did you mean {listing(close)}?" if close else ""
    return f"{owner} has no {kind} {listing(wrong)}; it has {listing(known)}{hint}"
