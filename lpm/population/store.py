"""A population in a folder of its own: people as parquet, ties as arrays, and where from."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import polars as pl

from lpm.errors import DataError, listing
from lpm.networks import Graph, Lattice
from lpm.networks.graph import from_rows

from .population import Population

_ABOUT, _PEOPLE, _FORMAT = "population.json", "people.parquet", 1
_TABLES = (".parquet", ".csv")
# What a record says besides its format.
_TOLD = (
    "size",
    "capacity",
    "columns",
    "labels",
    "recycle",
    "provenance",
    "fingerprint",
    "networks",
)


def save_population(population: Population, folder: str | os.PathLike[str]) -> Path:
    """Write a population to a new folder, whole or not at all, and return its path.

    Columns keep their names and types; ties go to one `.npz` file for each network.

    Raises:
        DataError: the folder exists, or a network is of a kind that cannot be stored.
    """
    path = Path(folder)
    if path.exists():
        raise DataError(f"{path} exists already; give the name of a new folder")
    networks = {name: _pack(name, population.network(name)) for name in population.networks}
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        _write(population, networks, scratch)
        scratch.chmod(0o755)  # A folder for temporary files is its owner's alone.
        scratch.rename(path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return path


def load_population(path: str | os.PathLike[str], *, capacity: int | None = None) -> Population:
    """Read a folder that `save_population` wrote, or a table of persons (.parquet or .csv).

    Args:
        path: the folder or file.
        capacity: rows to make room for.

    Raises:
        DataError: there is no such folder or file, a part of it is missing or unreadable, or it is
            not what was written.
    """
    path = Path(path)
    if path.is_file() and path.suffix in _TABLES:
        return _load_table(path, capacity)
    about = _read_about(path)
    columns = _read_people(path, about)
    population = Population(
        {name: columns[name] for name in about["columns"]},
        capacity=about["capacity"],
        slot=columns["slot"],
        labels=about["labels"],
        recycle=about["recycle"],
        provenance=about["provenance"],
    )
    for name, kind in about["networks"].items():
        population = population.connect(name, _unpack(path / f"ties-{name}.npz", kind))
    if population.fingerprint != about["fingerprint"]:
        raise DataError(
            f"{path} holds people with the fingerprint {population.fingerprint}, but "
            f"{_ABOUT} says {about['fingerprint']}; write the population anew"
        )
    return population if capacity is None else population.with_capacity(capacity)


def _write(population: Population, networks: dict[str, Any], folder: Path) -> None:
    slots = np.asarray(population.slot)[: population.size]
    kept = {**population.stored(), "slot": slots}
    pl.DataFrame({name: np.ascontiguousarray(x) for name, x in kept.items()}).write_parquet(
        folder / _PEOPLE
    )
    about = {
        "format": _FORMAT,
        "size": population.size,
        "capacity": population.capacity,
        "columns": list(population.columns),
        "labels": {name: list(words) for name, words in population.labels.items()},
        "recycle": population.recycle,
        "provenance": list(population.provenance),
        "fingerprint": population.fingerprint,
        "networks": {name: kind for name, (kind, _) in networks.items()},
    }
    for name, (_, arrays) in networks.items():
        np.savez(folder / f"ties-{name}.npz", **arrays)
    (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _pack(name: str, network: Any) -> tuple[str, dict[str, np.ndarray]]:
    """Kind of a network and its arrays by name."""
    if isinstance(network, Graph):
        names = ("neighbours", "extra", "owner", "weight", "extra_weight", "mutual")
    elif isinstance(network, Lattice):
        names = ("neighbours",)
    else:
        raise DataError(
            f"network {name!r} is a {type(network).__name__}; only Graph and Lattice are stored, "
            "and groups are columns whose name ends in _id"
        )
    found = {part: getattr(network, part) for part in names}
    return type(network).__name__, {n: np.asarray(x) for n, x in found.items() if x is not None}


def _unpack(path: Path, kind: str) -> Graph | Lattice:
    try:
        # Opened here, since NumPy leaves a torn file open.
        with path.open("rb") as file, np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if kind == "Lattice":
            return Lattice(arrays["neighbours"])
        rows = [jnp.asarray(arrays[name]) for name in ("neighbours", "extra", "owner")]
        graph = from_rows(*rows, mutual=bool(arrays.get("mutual", False)))
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read as the ties of a {kind}: {error}") from error
    if "weight" not in arrays:
        return graph
    near, far = arrays["weight"], arrays["extra_weight"]
    total = near.sum(axis=1) + np.bincount(arrays["owner"], far.sum(axis=1), len(near))
    return eqx.tree_at(
        lambda g: (g.weight, g.extra_weight, g.total),
        graph,
        tuple(jnp.asarray(x, jnp.float32) for x in (near, far, total)),
        is_leaf=lambda x: x is None,
    )


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / _ABOUT
    if not path.is_file():
        raise DataError(
            f"{folder} is no population: there is no {path}; give a folder that "
            f"`lpm population draw` wrote, or a table of persons ({listing(_TABLES)})"
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        known = about["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not the record of a population: {error}") from error
    if known != _FORMAT:
        raise DataError(f"{path} has format {known}; this version of lpm reads {_FORMAT}")
    lost = [name for name in _TOLD if name not in about]
    if lost:
        raise DataError(f"{path} does not say {listing(lost)}; write the population anew")
    return about


def _read_people(folder: Path, about: dict[str, Any]) -> dict[str, np.ndarray]:
    path = folder / _PEOPLE
    try:
        frame = pl.read_parquet(path)
        columns = {name: frame[name].to_numpy() for name in (*about["columns"], "slot")}
    except (OSError, KeyError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as {listing(about['columns'])}: {error}") from error
    if frame.height != about["size"]:
        raise DataError(f"{path} has {frame.height:,} rows, but {_ABOUT} says {about['size']:,}")
    return columns


def _load_table(path: Path, capacity: int | None) -> Population:
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as a table of persons: {error}") from error
    return Population.from_frame(frame, capacity=capacity, provenance=(str(path),))
