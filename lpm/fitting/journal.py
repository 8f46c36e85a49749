"""A journal of what a fit has computed, so that an interrupted fit repeats nothing."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import FittingError

_ABOUT = "fit.json"
Entry = dict[str, np.ndarray]


class Journal:
    """Results in the order in which they were asked for, each a file that appears by rename.

    A fit is a function of its inputs alone. Run again with the same folder, it asks the same
    questions, and those the journal holds are answered from it, bit for bit.

    Args:
        folder: where to keep it; `None` keeps nothing.
        about: what must agree for a fit to be continued, as plain JSON values.

    Raises:
        FittingError: the folder holds something else, or another fit.
    """

    def __init__(self, folder: str | Path | None, about: Mapping[str, Any]) -> None:
        self._folder = None if folder is None else Path(folder)
        self._count = 0
        self.recalled = 0
        if self._folder is not None:
            self._open(self._folder, json.loads(json.dumps(about, default=str)))

    def answer(self, question: str, asked: np.ndarray, compute: Callable[[], Entry]) -> Entry:
        """What `compute` gives, or gave when the same was asked at this place before.

        Raises:
            FittingError: the journal holds the answer to another question here.
        """
        if self._folder is None:
            return compute()
        digest = _digest(question, asked)
        path = self._folder / "journal" / f"{self._count:06d}.npz"
        self._count += 1
        if path.exists():
            with np.load(path) as kept:
                if str(kept["_digest"]) != digest:
                    raise FittingError(
                        f"{path} answers another question than this fit asks ({question}): the "
                        "code or the machine has changed; give another folder for a new fit"
                    )
                self.recalled += 1
                return {name: kept[name] for name in kept.files if name != "_digest"}
        found = compute()
        whole: Any = {**found, "_digest": np.array(digest)}
        write(path, lambda file: np.savez(file, **whole))
        return found

    def _open(self, folder: Path, about: dict[str, Any]) -> None:
        path = folder / _ABOUT
        if path.exists():
            kept = json.loads(path.read_text())
            for name in sorted(about.keys() | kept.keys()):
                if kept.get(name) != about.get(name):
                    raise FittingError(
                        f"{folder} holds another fit: its {name} is {_short(kept.get(name))}, here "
                        f"it is {_short(about.get(name))}; give another folder"
                    )
        elif folder.exists() and any(folder.iterdir()):
            raise FittingError(f"{folder} is not empty and holds no fit; give a new folder")
        else:
            (folder / "journal").mkdir(parents=True, exist_ok=True)
            text = json.dumps(about, indent=2)
            write(path, lambda file: file.write(text.encode()))


def write(path: Path, put: Callable[[Any], object]) -> None:
    """A file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        put(file)
    os.replace(part, path)


def write_result(folder: str | Path, history: pl.DataFrame, summary: Mapping[str, Any]) -> Path:
    """Write history.csv and result.json into a new folder, or that of the journal behind them.

    Raises:
        FittingError: the folder holds a result that no journal leads to.
    """
    folder = Path(folder)
    text = json.dumps(summary, indent=2)
    path = folder / "result.json"
    if path.exists() and not (folder / _ABOUT).exists() and path.read_text() != text:
        raise FittingError(f"{path} is the result of another fit; give another folder")
    write(folder / "history.csv", history.write_csv)
    write(path, lambda file: file.write(text.encode()))
    return folder


def _digest(question: str, asked: np.ndarray) -> str:
    whole = hashlib.sha256(question.encode())
    whole.update(np.ascontiguousarray(asked, np.float64).tobytes())
    return whole.hexdigest()[:24]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
