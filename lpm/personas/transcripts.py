"""Every attempt to get an answer, one line of JSON each, chained by hashes; what replays a run.

A line holds the hash of the line before it, so a changed, moved or missing line is found and named.
Lines cut off at the end are found by whoever kept the `head` of the whole.
"""

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import PersonaError, listing
from .budget import Spent
from .question import canonical, digest

try:  # Not on Windows, where two writers are not kept apart.
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None

START = "0" * 64
ACCEPTED = "accepted"
_LINE = ("line", "previous", "hash")


@dataclass
class Transcript:
    """A transcript that is being written: opened, checked, and added to by one process.

    Attributes:
        path: of the file.
        accepted: the attempt that answered, by key.
        spent: calls and tokens of all attempts.
        head: hash of the last line, to be kept elsewhere.
        lines: how many there are.
    """

    path: Path
    accepted: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    head: str = START
    lines: int = 0

    @classmethod
    def open(cls, path: str | Path) -> "Transcript":
        """Open or begin a transcript.

        A last line without its end, as a crash leaves it, is moved to a file beside it. A call
        that was under way in a crash leaves no line, and will be made again.

        Raises:
            PersonaError: another process writes it, or it was tampered with.
        """
        whole = cls(Path(path))
        whole.path.parent.mkdir(parents=True, exist_ok=True)
        whole._file = os.open(whole.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            whole._lock_file()
            whole._set_torn_aside()
            for attempt in read_transcript(whole.path):
                whole._count(attempt)
        except BaseException:
            os.close(whole._file)
            raise
        return whole

    def __post_init__(self) -> None:
        self._file = -1
        self._turn = threading.Lock()

    def __enter__(self) -> "Transcript":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def append(self, content: Mapping[str, Any]) -> None:
        """Add one attempt: it is on the disk when this returns.

        Raises:
            PersonaError: the file is closed, or the disk took only a part.
        """
        with self._turn:
            if self._file < 0:
                raise PersonaError(f"{self.path} is closed; open it again to go on")
            attempt = {**content, "line": self.lines + 1, "previous": self.head}
            attempt["hash"] = digest(attempt)
            data = (canonical(attempt) + "\n").encode()
            if os.write(self._file, data) != len(data):  # One write, so that lines never mix.
                self.close()  # Nothing may follow half a line.
                raise PersonaError(f"{self.path}: the disk did not take a whole line; is it full?")
            os.fsync(self._file)
            self._count(attempt)

    def _count(self, attempt: Mapping[str, Any]) -> None:
        self.head, self.lines = attempt["hash"], attempt["line"]
        if attempt["verdict"] == ACCEPTED:
            self.accepted.setdefault(attempt["key"], attempt)
        if attempt["sent"]:
            self.spent = _plus(self.spent, attempt)

    def _lock_file(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PersonaError(f"{self.path} is being written by another process") from None

    def _set_torn_aside(self) -> None:
        data = self.path.read_bytes()
        kept = data.rfind(b"\n") + 1
        if kept < len(data):
            with open(f"{self.path}.torn", "ab") as torn:
                torn.write(data[kept:] + b"\n")
            os.ftruncate(self._file, kept)


def read_transcript(path: str | Path, head: str = "") -> list[dict[str, Any]]:
    """All attempts of a transcript, once it is certain that they are as they were written.

    `head`, where given, is the hash of the last line; it tells whether lines were cut off the end.

    Raises:
        PersonaError: the file is missing, or a line was changed, moved, added or taken out; the
            message names the first such line.
    """
    path = Path(path)
    if not path.is_file():
        raise PersonaError(f"{path} is no file; give the transcript of a run")
    attempts: list[dict[str, Any]] = []
    previous = START
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        attempt = _checked(path, number, text, previous)
        previous = attempt["hash"]
        attempts.append(attempt)
    if head and previous != head:
        raise PersonaError(
            f"{path} ends after line {len(attempts)} with {previous[:12]}, not with {head[:12]}: "
            "lines were cut off its end, or it is another transcript"
        )
    return attempts


def _checked(path: Path, number: int, text: bytes, previous: str) -> dict[str, Any]:
    where = f"{path} line {number}"
    try:
        attempt = json.loads(text)
    except (ValueError, RecursionError):
        raise PersonaError(f"{where} is not JSON: the transcript was tampered with") from None
    needed = (*_LINE, "key", "verdict", "sent", "prompt_tokens", "answer_tokens", "guessed")
    if not isinstance(attempt, dict) or any(name not in attempt for name in needed):
        raise PersonaError(f"{where} is no attempt: it must have {listing(needed)}")
    # The bytes themselves are compared: JSON that only looks the same was not written here.
    body = {name: value for name, value in attempt.items() if name != "hash"}
    if digest(body) != attempt["hash"] or canonical(attempt).encode() != text:
        raise PersonaError(f"{where} was changed: its hash does not match what it says")
    if attempt["previous"] != previous or attempt["line"] != number:
        raise PersonaError(f"{where} does not follow the line before it: lines were moved or lost")
    return attempt


def total_spent(attempts: Iterable[Mapping[str, Any]]) -> Spent:
    """What all attempts together took."""
    spent = Spent()
    for attempt in attempts:
        spent = _plus(spent, attempt) if attempt["sent"] else spent
    return spent


def attempts_frame(path: str | Path) -> pl.DataFrame:
    """One row per attempt; nested values as JSON text. Write it with `write_parquet`.

    Raises:
        PersonaError: as `read_transcript`.
    """
    rows = [{name: _flat(value) for name, value in a.items()} for a in read_transcript(path)]
    return pl.DataFrame(rows, infer_schema_length=None)


def _flat(value: Any) -> Any:
    return canonical({"": value})[4:-1] if isinstance(value, dict | list) else value


def _plus(spent: Spent, attempt: Mapping[str, Any]) -> Spent:
    prompt, answer = attempt["prompt_tokens"], attempt["answer_tokens"]
    return spent.plus(1, prompt, answer, int(attempt["guessed"]))
