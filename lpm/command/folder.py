"""The folder of a run: claimed once, filled by renames, resumed from its own record."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import SimulationError

_SPEC, _CHECKPOINT, _REPORT = "spec.json", "checkpoint", "report.html"
SWEEP, TABLE = "sweep.json", "sweep.parquet"  # Record and result of a sweep.


@dataclass(frozen=True)
class Spec:
    """All that decides what a run computes, as plain JSON values.

    `population` is the file people were read from, if any, and `people` their fingerprint; `fit`
    is what was asked of a fit, and empty for a run. `respondent` is who answers for a panel.
    """

    scenario: str
    scenario_sha256: str
    agents: int
    steps: int
    runs: int
    seed: int
    population: str = ""
    people: str = ""
    every: int = 1
    compared: bool = True
    changes: dict[str, Any] = field(default_factory=dict)
    legend: dict[str, Any] = field(default_factory=dict)
    respondent: str = ""
    lpm: str = ""
    fit: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, record: str = _SPEC) -> "Spec":
        """The record of a run folder, or of a sweep's.

        Raises:
            SimulationError: the folder holds none, or one that cannot be read.
        """
        path = folder / record
        if not path.is_file():
            verb = "sweep" if record == SWEEP else "run"
            raise SimulationError(f"{folder} holds no {record}; give a folder `lpm {verb}` made")
        names = {f.name for f in fields(cls)}
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{name: value for name, value in stored.items() if name in names})
        except (json.JSONDecodeError, AttributeError, TypeError) as error:
            raise SimulationError(f"{path} is not the record of a run: {error}") from error


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its results; `checkpoint` is gone once it has finished.

    Attributes:
        path: the folder.
        last: the file that is written last.
    """

    path: Path
    last: str = _REPORT

    @classmethod
    def claim(cls, path: Path | None, name: str, spec: Spec, record: str = _SPEC) -> "RunFolder":
        """Make a new folder with its `record`; without `path`, one under `runs/` named by the time.

        Raises:
            SimulationError: the folder exists already.
        """
        if path is None:
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            base = Path("runs") / f"{name}-{stamp}"
            tries = [base, *(base.with_name(f"{base.name}-{i}") for i in range(2, 100))]
        else:
            tries = [path]
        for folder in tries:
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            whole = cls(folder, TABLE if record == SWEEP else _REPORT)
            whole.write(record, json.dumps(asdict(spec), indent=2) + "\n")
            return whole
        raise SimulationError(taken(tries[0]))

    @property
    def checkpoint(self) -> Path:
        """Folder of the checkpoints, there while the run is unfinished."""
        return self.path / _CHECKPOINT

    @property
    def finished(self) -> bool:
        """Whether the last file was written and the checkpoints were cleared away."""
        return (self.path / self.last).is_file() and not self.checkpoint.exists()

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file under another name and rename it, so that it is there whole or not."""
        scratch, target = self.path / f".{name}.part", self.path / name
        data = content.encode("utf-8") if isinstance(content, str) else content
        scratch.write_bytes(data)
        scratch.replace(target)
        return target

    def write_all(self, contents: Mapping[str, str | bytes]) -> None:
        """Write several files; the report comes last, as the sign of a finished run."""
        for name in sorted(contents, key=lambda n: n == _REPORT):
            self.write(name, contents[name])

    def finish(self) -> None:
        """Clear away checkpoints and what a kill left half-written."""
        for torn in [*self.path.glob(".*.part"), *self.path.glob(".*-*")]:
            shutil.rmtree(torn) if torn.is_dir() else torn.unlink()
        if self.checkpoint.exists():
            done = self.checkpoint.rename(self.path / f".{_CHECKPOINT}-done")
            shutil.rmtree(done)

    def discard_if_empty(self) -> None:
        """Remove the folder if nothing was computed yet, so that its name is free again."""
        kept = ("**/arrays", "**/*.parquet", "**/*.npz", "*.jsonl")
        saved = any(any(self.path.glob(pattern)) for pattern in kept)
        if not saved:
            shutil.rmtree(self.path)


def check_new(path: Path | None) -> None:
    """Refuse an output folder that exists, before any work is done.

    Raises:
        SimulationError: it exists.
    """
    if path is not None and path.exists():
        raise SimulationError(taken(path))


def taken(path: Path) -> str:
    """Message for a folder that exists."""
    begun = (path / _SPEC).is_file() or (path / SWEEP).is_file()
    again = f", or continue it with --resume {path}" if begun else ""
    return f"{path} exists already; give --out the name of a new folder{again}"
