"""Save a run between segments and continue it bit for bit, also after a kill."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .errors import SimulationError
from .processes import by_leader
from .provenance import identity

_ABOUT = "about.json"
_SHARE = 0.05  # Of the run's time may go into saving.


@cache
def _orbax() -> Any:
    # Loaded at the first save: orbax takes longer to import than all the rest of lpm.
    orbax = import_module("orbax.checkpoint")
    # Process 0 writes whole arrays; orbax must not wait for the others.
    alone = orbax.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix="lpm"
    )
    handler = orbax.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return orbax.Checkpointer(handler, multiprocessing_options=alone)


class Checkpoints:
    """Folder of saved states of one run; does nothing when the folder is `None`.

    A save is written beside its name and renamed into place, so a kill leaves the one before it.
    Saving takes about a twentieth of the run's time at most; the last step is always saved.
    Of several processes that share a run (`shared`) the first alone reads and writes.

    Raises:
        SimulationError: the folder belongs to another run.
    """

    def __init__(
        self, folder: str | Path | None, about: dict[str, Any], *, shared: bool = False
    ) -> None:
        self.folder = None if folder is None else Path(folder).resolve()
        self._paid, self._since = 0.0, time.monotonic()
        self._once: Callable[[Callable[[], Any]], Any] = by_leader if shared else _alone
        if self.folder is not None:
            self._once(partial(_claim, self.folder, about))

    def latest(self) -> dict[str, Any] | None:
        """The last complete save, or `None`.

        Raises:
            SimulationError: the save is torn or its content was changed.
        """
        return None if self.folder is None else self._once(partial(self._read, self.folder))

    def _read(self, folder: Path) -> dict[str, Any] | None:
        steps = self._steps()
        if not steps:
            return None
        path = folder / str(steps[-1])
        try:
            digest = (path / "sha256").read_text(encoding="ascii").strip()
            payload = _orbax().restore(path / "arrays")
            payload = jax.tree.map(np.asarray, payload)
            payload = {**_EMPTY, **payload}
            intact = digest == _digest(payload)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SimulationError(f"checkpoint {path} cannot be read: {_hint(path)}") from error
        if not intact:
            raise SimulationError(f"checkpoint {path} is damaged: {_hint(path)}")
        return payload

    def _steps(self) -> list[int]:
        """Steps with a complete save, in order."""
        there = [] if self.folder is None else self.folder.glob("[0-9]*")
        return sorted(int(path.name) for path in there if path.name.isdigit())

    def save(self, payload: Callable[[], dict[str, Any]], *, last: bool) -> None:
        """Save what `payload()` gives, unless saving has taken more than its share of time."""
        if self.folder is None:
            return
        began = time.monotonic()
        if not last and self._once(lambda: self._paid > _SHARE * (began - self._since)):
            return
        content = payload()
        self._once(partial(self._write, self.folder, content))
        self._paid += time.monotonic() - began

    def _write(self, folder: Path, content: dict[str, Any]) -> None:
        step = int(content["step"])
        scratch, target = folder / f".{step}", folder / str(step)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        _orbax().save(scratch / "arrays", {k: v for k, v in content.items() if len_of(v)})
        (scratch / "sha256").write_text(_digest(content), encoding="ascii")
        if not target.exists():
            scratch.rename(target)
        # The save before stays, to fall back on.
        for old in self._steps()[:-2]:
            shutil.rmtree(folder / str(old), ignore_errors=True)


def _alone(action: Callable[[], Any]) -> Any:
    return action()


def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Make the folder, or make sure that it is this run's."""
    mine = json.loads(json.dumps(identity(about)))
    path = folder / _ABOUT
    if path.exists():
        _check_same(path, mine)
        return
    scratch = path.with_suffix(".part")
    if folder.exists() and any(p != scratch for p in folder.iterdir()):
        raise SimulationError(
            f"{folder} is not empty and holds no checkpoint of lpm; give another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    scratch.write_text(json.dumps(mine, indent=2), encoding="utf-8")
    scratch.rename(path)


_EMPTY: dict[str, Any] = {
    "observed": {},
    "moving": [],
    "snapshots": {},
    "interviews": {},
    "faults": np.zeros(0, np.int32),
}


def len_of(value: Any) -> int:
    """Number of array elements in a payload entry; empty ones are not written."""
    return sum(np.size(leaf) for leaf in jax.tree.leaves(value))


def _digest(payload: dict[str, Any]) -> str:
    mark = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(payload):
        if np.size(leaf):
            array = np.ascontiguousarray(leaf)
            mark.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
            mark.update(array.tobytes())
    return mark.hexdigest()


def _check_same(path: Path, mine: dict[str, Any]) -> None:
    try:
        theirs = json.loads(path.read_text(encoding="utf-8"))
        differing = sorted(k for k in {*mine, *theirs} if mine.get(k) != theirs.get(k))
    except (json.JSONDecodeError, AttributeError, TypeError) as error:
        raise SimulationError(f"{path} is not a checkpoint of lpm: {error}") from error
    if differing:
        name = differing[0]
        raise SimulationError(
            f"{path.parent} is a checkpoint of another run: they differ in {differing} "
            f"({name}: {str(theirs.get(name))[:80]} there, {str(mine.get(name))[:80]} here)"
        )


def _hint(path: Path) -> str:
    return f"delete {path.name} to go on from the save before it, or the folder to start anew"
