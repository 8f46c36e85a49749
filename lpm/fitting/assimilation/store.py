"""Where an assimilation keeps what it needs to go on: members of the last weeks, and reports."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import polars as pl

from ...errors import FittingError
from ..journal import Journal, write
from .members import Members
from .reports import say
from .stream import Stream

_KEY = ("series", "date", "as_of")


class States:
    """Members at the end of the last weeks, in a folder or, without one, in memory.

    A week that is gone through again is kept beside what it was before, under the number of the
    update that did so, until neither is needed; so a kill leaves those of the last whole
    update.

    Args:
        start: members at step 0, which are never kept.
        folder: where to keep them.
    """

    def __init__(self, start: Members, folder: Path | None) -> None:
        self._start = start
        self._folder = None if folder is None else folder / "states"
        self._kept: dict[int, dict[str, np.ndarray]] = {}

    def put(self, week: int, update: int, members: Members) -> None:
        """Keep members of a week as an update leaves them."""
        if self._folder is None:
            self._kept[week] = members.arrays()
            return
        arrays: Any = members.arrays()
        arrays["digest"] = np.array(_digest(arrays))
        write(self._path(week, update), lambda file: np.savez(file, **arrays))

    def get(self, week: int, update: int) -> Members:
        """Members of a week as the last update up to this one left them.

        Raises:
            FittingError: they are not there, or damaged.
        """
        if week == 0:
            return self._start
        if self._folder is None:
            return self._start.restore(self._kept[week])
        there = [path for path in self._files() if _numbers(path)[0] == week]
        there = [path for path in there if _numbers(path)[1] <= update]
        if not there:
            raise FittingError(
                f"{self._folder} holds no members of week {week}, from which this stream goes on; "
                "give another folder to begin anew"
            )
        path = there[-1]
        try:
            with np.load(path) as file:
                arrays = {name: file[name] for name in file.files}
            fine = str(arrays.pop("digest")) == _digest(arrays)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise FittingError(f"{path} cannot be read; give another folder") from error
        if not fine:
            raise FittingError(f"{path} is damaged; give another folder to begin anew")
        return self._start.restore(arrays)

    def drop(self, oldest: int, update: int) -> None:
        """Forget weeks before `oldest`, and what updates before this one made of the others."""
        self._kept = {week: x for week, x in self._kept.items() if week >= oldest}
        best: dict[int, int] = {}
        for path in self._files():
            week, number = _numbers(path)
            if number <= update:
                best[week] = max(number, best.get(week, 0))
        for path in self._files():
            week, number = _numbers(path)
            if week < oldest or number < best.get(week, 0):
                path.unlink()

    def _path(self, week: int, update: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{week:05d}-{update:05d}.npz"

    def _files(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob("*-*.npz"))


def open_journal(folder: Path | None, about: Mapping[str, Any], stream: Stream) -> Journal:
    """The journal of an assimilation, its stream held against the reports it has taken in.

    Raises:
        FittingError: another assimilation, or a stream that lacks or changes what was taken in.
    """
    journal = Journal(folder, about)
    for path in _reports(folder)[-1:]:
        _check_same(stream, pl.read_parquet(path), int(path.stem.split("-")[1]), path)
    return journal


def keep_reports(folder: Path | None, stream: Stream, week: int) -> None:
    """Keep the reports that were known at the update of a week."""
    if folder is None:
        return
    old = _reports(folder)
    path = folder / f"reports-{week:05d}.parquet"
    if old and old[-1] >= path:
        return
    write(path, stream.until_week(week).write_parquet)
    for other in old:
        other.unlink()


def _reports(folder: Path | None) -> list[Path]:
    return [] if folder is None else sorted(folder.glob("reports-*.parquet"))


def _check_same(stream: Stream, kept: pl.DataFrame, week: int, path: Path) -> None:
    if stream.weeks < week:
        raise FittingError(
            f"the stream is known until {stream.until}, {stream.weeks} whole weeks, but "
            f"{path.parent} has taken in {week}; give the whole stream, with what came since"
        )
    given = stream.until_week(week)
    for first, second, says in (
        (kept, given, "was taken in, and is not in the stream any more"),
        (given, kept, f"is new, though week {week} is taken in"),
    ):
        lost = first.join(second, on=_KEY, how="anti")
        if len(lost):
            raise FittingError(
                f"{say(lost.row(0, named=True))} {says}; give the whole stream, and a later as_of "
                "to what is new or revised"
            )
    both = kept.join(given, on=_KEY, suffix="_now")
    both = both.filter(~pl.col("value").eq_missing(pl.col("value_now")))
    if len(both):
        row = both.row(0, named=True)
        raise FittingError(
            f"{say(row)} was {row['value']} when it was taken in, and now is {row['value_now']}; "
            "give a revision as a further report with a later as_of"
        )


def _numbers(path: Path) -> tuple[int, int]:
    week, update = path.stem.split("-")
    return int(week), int(update)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    mark = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        mark.update(f"{name} {array.dtype} {array.shape}".encode())
        mark.update(array.tobytes())
    return mark.hexdigest()[:24]
