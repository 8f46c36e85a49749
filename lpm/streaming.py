"""Ensembles larger than memory: batches of runs go to disk one after the other."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl

from .errors import ScenarioError, SimulationError
from .launch import key_words
from .params import Params
from .population import Population
from .processes import by_leader
from .provenance import describe_run, identity
from .scenario import Scenario
from .simulation import ensemble, settle, together
from .trajectory import SCALARS, Trajectory, load

_ABOUT = "ensemble.json"
_BATCH_BYTES = 2**27  # Of observables in memory at a time.


@dataclass(frozen=True)
class StoredEnsemble:
    """Runs in a folder, read when they are asked for.

    Attributes:
        folder: where they lie, `batch-000000` and so on, each a saved Trajectory.
        runs: how many there are.
        batch: how many runs a batch has, the last one perhaps fewer.
    """

    folder: Path
    runs: int
    batch: int

    def batches(self) -> Iterator[Trajectory]:
        """The batches in order, one in memory at a time; runs count from 0 in each."""
        for first in range(0, self.runs, self.batch):
            yield load(_place(self.folder, first))

    def scan(self, observable: str | None = None) -> pl.LazyFrame:
        """Tidy rows of all runs as `Trajectory.frame` has them, lazily.

        Scalars in a column each, or one array observable by its name. A query such as
        `.group_by("day").agg(pl.col("prevalence").mean())` with `.collect(engine="streaming")`
        never holds them all.

        Raises:
            SimulationError: no such observable.
        """
        name = SCALARS if observable is None else f"{observable}.parquet"
        parts = []
        for first in range(0, self.runs, self.batch):
            file = _place(self.folder, first) / name
            if not file.exists():
                wanted = "scalar observable" if observable is None else f"array {observable!r}"
                raise SimulationError(f"{file.parent} holds no {wanted}")
            part = pl.scan_parquet(file)
            run = "run" if "run" in part.collect_schema() else "run_index"
            parts.append(part.with_columns(pl.col(run) + first))
        return pl.concat(parts)


def ensemble_to_parquet(
    scenario: Scenario,
    population: Population,
    folder: str | os.PathLike[str],
    *,
    keys: Any,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    batch: int | None = None,
    devices: Any = None,
    progress: bool | None = None,
) -> StoredEnsemble:
    """Run `ensemble` a batch of keys at a time, each batch written before the next begins.

    Memory holds one batch, however many keys there are, and the runs are those of `ensemble`. A
    batch appears whole or not at all; the same call on the same folder goes on after the last.

    Args:
        scenario: what to run.
        population: one population.
        folder: where batches go; new, or that of the same ensemble.
        keys: an array of JAX keys, or a list of ints or keys: one per run.
        params, steps, every, devices, progress: as for `ensemble`.
        batch: runs in a batch; if not given, as many as advance together, and their observables
            in 128 MB.

    Raises:
        ScenarioError: as for `ensemble`, or several populations.
        SimulationError: as for `ensemble`; a batch below 1; a folder of something else.
    """
    if not isinstance(population, Population):
        raise ScenarioError(f"population is a {type(population).__name__}; give one lpm.Population")
    folder, words = Path(folder), key_words(list(keys) if isinstance(keys, range) else keys)
    if words.ndim != 2:
        raise SimulationError("an ensemble takes several keys: jax.random.split(key, runs)")
    if batch is not None and batch < 1:
        raise SimulationError(f"batch = {batch}; give at least one run")
    params, steps = settle(scenario, params, steps, every)
    size = batch or _batch(scenario, population, params, steps, every, words)
    about = identity(describe_run(scenario, population, params, words, steps, every, "stop"))
    about = {**about, "key": hashlib.sha256(np.asarray(words).tobytes()).hexdigest()}
    by_leader(partial(_claim, folder, {"runs": words.shape[0], "batch": size, "about": about}))
    for first in range(0, words.shape[0], size):
        place = _place(folder, first)
        if by_leader(place.exists):
            continue
        runs = ensemble(
            scenario,
            population,
            keys=words[first : first + size],
            params=params,
            steps=steps,
            every=every,
            devices=devices,
            progress=progress,
            keep_state=False,
        )
        by_leader(partial(runs.save, place))
    return StoredEnsemble(folder, words.shape[0], size)


def load_ensemble(folder: str | os.PathLike[str]) -> StoredEnsemble:
    """An ensemble that `ensemble_to_parquet` wrote.

    Raises:
        SimulationError: the folder is none, or batches are missing.
    """
    folder = Path(folder)
    about = _read(folder)
    missing = [
        place.name
        for first in range(0, about["runs"], about["batch"])
        if not (place := _place(folder, first)).exists()
    ]
    if missing:
        raise SimulationError(
            f"{folder} lacks {len(missing)} batches from {missing[0]}; go on with the call that "
            "began it"
        )
    return StoredEnsemble(folder, about["runs"], about["batch"])


def _batch(
    scenario: Scenario,
    population: Population,
    params: Params,
    steps: int,
    every: int,
    keys: jax.Array,
) -> int:
    """Runs that advance together and whose observables fit."""
    lanes = together(population.capacity) // (params.variants() or 1)
    if scenario.panel is None:

        def observed(key: jax.Array) -> Any:
            options = {"params": params, "steps": steps, "every": every}
            return ensemble(scenario, population, keys=key[None], **options).observed

        seen = jax.eval_shape(observed, keys[0])
        bytes_of_run = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(seen))
        lanes = min(lanes, _BATCH_BYTES // max(1, bytes_of_run))
    return max(1, min(lanes, keys.shape[0]))


def _place(folder: Path, first: int) -> Path:
    return folder / f"batch-{first:06d}"


def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Make the folder this ensemble's, or see that it is.

    Raises:
        SimulationError: it holds something else; names what differs.
    """
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f".{_ABOUT}"
        scratch.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        scratch.rename(folder / _ABOUT)
        return
    stored = _read(folder)
    here, there = ({**each["about"], "runs": each["runs"]} for each in (about, stored))
    differ = [name for name in here if here[name] != there.get(name)]
    if stored["batch"] != about["batch"]:
        differ.append("batch")
    if differ:
        raise SimulationError(
            f"{folder} holds another ensemble: it differs in {', '.join(differ)}; give a new folder"
        )


def _read(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SimulationError(f"{folder} holds no ensemble: {error}") from error
