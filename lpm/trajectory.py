"""Trajectory: what a run gave, as arrays, as a tidy frame and as a folder on disk."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from .errors import DataError, SimulationError, listing, unknown
from .personas import Recorded
from .state import State

_PROVENANCE, SCALARS = "provenance.json", "observables.parquet"


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where a trajectory came from; opaque to JAX."""

    record: dict[str, Any] = field(default_factory=dict)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Trajectory:
    """Observables over time, the final state and where they came from.

    Attributes:
        time: steps done when each row was observed, [row].
        observed: arrays by name, [*lead, row, ...]; `lead` is empty for one run.
        state: final state, or `None` where it was not kept; leaves that are the same in every
            run have no leading axis. On several devices it may have more rows than the population,
            empty ones at the end that fill the devices evenly.
        faults: first step at which each checked variable was not finite or left its bounds, -1
            for never, [*lead].
        snapshots: whole states by step, as asked for.
        log_probability: summed log-probability of the discrete draws up to each row, [*lead, row];
            zero unless the estimator is `score` and the run is traced, as under a gradient.
        plain: `observed` without the score's factor (equal in value).
        lead: names of the leading axes, such as ("variant", "run").
        unit: what one step is.
        answers: what the scenario's panel said, where it has one; not written by `save`, since a
            transcript keeps it.
    """

    time: Any
    observed: dict[str, Any]
    state: State | None
    faults: dict[str, Any]
    snapshots: dict[int, Any]
    log_probability: Any
    plain: dict[str, Any] = field(repr=False)
    lead: tuple[str, ...] = field(metadata={"static": True}, default=())
    unit: str = field(metadata={"static": True}, default="step")
    source: Provenance = field(metadata={"static": True}, default=Provenance(), repr=False)
    answers: Recorded | None = field(metadata={"static": True}, default=None, repr=False)

    @property
    def provenance(self) -> dict[str, Any]:
        """Version, commit, seed, params with units, population fingerprint and device."""
        return self.source.record

    def surrogate(self, loss: Callable[["Trajectory"], jax.Array]) -> jax.Array:
        """`loss` of this run, arranged so that its gradient is the likelihood-ratio gradient.

        Under the estimator `score` a plain `jax.grad` is unbiased for losses that are linear in
        the observables; this is unbiased for every loss. Under other estimators it changes
        nothing. Source: Foerster et al. (2018), DiCE, for the factor on the observables.
        """
        bare = Trajectory(
            **{**self._parts(), "observed": self.plain},
        )
        value = loss(bare)
        total = self.log_probability[..., -1]
        return value + jax.lax.stop_gradient(value) * (total - jax.lax.stop_gradient(total))

    def frame(self, observable: str | None = None) -> pl.DataFrame:
        """Tidy rows: one per run and time, a column per scalar observable.

        With the name of an array observable: one row per run, time and element, `index` saying
        which (`index_0`, `index_1`, ... where it has several axes). Where an observable is called
        as a key is, such as `population`, the key becomes `population_index`.

        Raises:
            SimulationError: an unknown name, or no scalar observable to tabulate.
        """
        depth = len(self.lead) + 1
        if observable is None:
            names = [n for n, x in self.observed.items() if np.ndim(x) == depth]
            if not names:
                raise SimulationError(
                    f"every observable is an array; ask for one of {listing(self.observed)}"
                )
        elif observable in self.observed:
            names = [observable]
        else:
            raise SimulationError(unknown("trajectory", "observable", [observable], self.observed))
        first = np.asarray(self.observed[names[0]])
        shape = first.shape[:depth] + (first.shape[depth:] if observable is not None else ())
        index = np.indices(shape, dtype=np.int32)
        extra = len(shape) - depth
        keys = [*self.lead, self.unit]
        keys += ["index"] if extra == 1 else [f"index_{k}" for k in range(extra)]
        # An observable keeps its own name, also where a key would have the same.
        keys = [f"{key}_index" if key in names else key for key in keys]
        columns: dict[str, Any] = {key: index[i].ravel() for i, key in enumerate(keys)}
        columns[keys[depth - 1]] = np.asarray(self.time)[index[depth - 1].ravel()]
        columns |= {name: np.asarray(self.observed[name]).ravel() for name in names}
        return pl.DataFrame(columns)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write observables (parquet) and provenance (JSON) to a new folder, all or nothing.

        The state is not written; a checkpoint keeps it.

        Raises:
            SimulationError: the folder exists already.
        """
        folder = Path(folder)
        if folder.exists():
            raise SimulationError(f"{folder} exists already; give the name of a new folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            self.write(scratch)
            scratch.chmod(0o755)
            scratch.rename(folder)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        return folder

    def write(self, folder: Path) -> None:
        """Write the files of `save` into an existing folder; each appears by a rename."""
        scalars = [n for n, x in self.observed.items() if np.ndim(x) == len(self.lead) + 1]
        if scalars:
            _write_parquet(self.frame(), folder / SCALARS)
        for name in self.observed:
            if name not in scalars:
                _write_parquet(self.frame(name), folder / f"{name}.parquet")
        layout = {
            "lead": list(self.lead),
            "unit": self.unit,
            "time": np.asarray(self.time).tolist(),
            "shapes": {n: list(np.shape(x)) for n, x in self.observed.items()},
            "faults": {n: np.asarray(x).tolist() for n, x in self.faults.items()},
        }
        text = json.dumps({"layout": layout, "provenance": self.provenance}, indent=2)
        scratch = folder / f".{_PROVENANCE}"
        scratch.write_text(text + "\n", encoding="utf-8")
        scratch.rename(folder / _PROVENANCE)

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def _repr_html_(self) -> str:
        return self._last()._repr_html_()

    def __repr__(self) -> str:
        shapes = ", ".join(f"{n}{list(np.shape(x))}" for n, x in self.observed.items())
        return f"Trajectory({len(np.asarray(self.time))} rows, {shapes})"

    def _last(self) -> pl.DataFrame:
        """First, middle and last value of every scalar observable, averaged over runs."""
        rows = []
        for name, x in self.observed.items():
            values = np.asarray(x, dtype=np.float64)
            if values.ndim != len(self.lead) + 1:
                continue
            mean = values.reshape(-1, values.shape[-1]).mean(axis=0)
            rows.append(
                {
                    "observable": name,
                    "first": float(mean[0]),
                    "last": float(mean[-1]),
                    "lowest": float(mean.min()),
                    "highest": float(mean.max()),
                    f"{self.unit} of highest": int(np.asarray(self.time)[mean.argmax()]),
                }
            )
        return pl.DataFrame(rows)


def load(folder: str | os.PathLike[str]) -> Trajectory:
    """Read back what `Trajectory.save` wrote; the state is not part of it.

    Raises:
        DataError: the folder or one of its files is missing or unreadable.
    """
    folder = Path(folder)
    path = folder / _PROVENANCE
    if not path.is_file():
        raise DataError(f"{folder} holds no {_PROVENANCE}; give a folder that a run wrote")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        layout = stored["layout"]
        lead, shapes = tuple(layout["lead"]), layout["shapes"]
        observed = {
            name: _read_column(folder, name, tuple(shape), len(shape) == len(lead) + 1)
            for name, shape in shapes.items()
        }
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a provenance file of lpm: {error}") from error
    return Trajectory(
        time=np.asarray(layout["time"], np.int32),
        observed=observed,
        state=None,
        faults={n: np.asarray(x, np.int32) for n, x in layout["faults"].items()},
        snapshots={},
        log_probability=np.zeros((*(1,) * len(lead), len(layout["time"])), np.float32),
        plain=observed,
        lead=lead,
        unit=layout["unit"],
        source=Provenance(stored["provenance"]),
    )


def _read_column(folder: Path, name: str, shape: tuple[int, ...], scalar: bool) -> np.ndarray:
    path = folder / (SCALARS if scalar else f"{name}.parquet")
    try:
        return pl.read_parquet(path, columns=[name])[name].to_numpy().reshape(shape)
    except (OSError, pl.exceptions.PolarsError, ValueError) as error:
        raise DataError(f"{path} cannot be read as the observable {name!r}: {error}") from error


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    scratch = path.with_name(f".{path.name}")
    frame.write_parquet(scratch)
    scratch.rename(path)


def score_factor(observed: dict[str, Any], log_probability: jax.Array) -> dict[str, Any]:
    """Observables times a factor of value 1 whose derivative is that of the log-probability."""
    box = jnp.exp(log_probability - jax.lax.stop_gradient(log_probability))

    def weigh(x: jax.Array) -> jax.Array:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return x
        return x * box.reshape(box.shape + (1,) * (x.ndim - box.ndim))

    return {name: weigh(x) for name, x in observed.items()}
