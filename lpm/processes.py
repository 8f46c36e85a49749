"""Several processes that compute one run together: joining, agreeing, one of them writing."""

import hashlib
import json
import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from .errors import LpmError, SimulationError

T = TypeVar("T")
_PIECE = 2**26  # Bytes sent to the others at once.
_ROOM = 1024  # Bytes of a process's words when runs differ.
_SILENCE = 10  # Seconds without a sign of life after which a process counts as gone.
_LOST = ("Gloo", "NCCL", "UNAVAILABLE", "heartbeat", "DEADLINE_EXCEEDED", "coordination")
_PATIENCE = 60  # Seconds to wait for the others at the start.


def join(
    coordinator: str, processes: int | None, process_id: int | None, patience: float = _PATIENCE
) -> None:
    """Become one process of a run; call it before JAX is asked for devices.

    `coordinator` is HOST:PORT of process 0, or `auto` where JAX finds all three by itself (Slurm,
    Open MPI and others that `jax.distributed.initialize` documents). What is `None` JAX finds.

    Raises:
        SimulationError: a number is missing or out of range, or the coordinator does not answer.
    """
    if coordinator == "auto":
        with _deadline(patience, "the job's coordinator, as JAX found it,"):
            _initialise({}, patience)
        return
    if processes is None and process_id is None:
        with _deadline(patience, f"the coordinator {coordinator}"):
            _initialise({"coordinator_address": coordinator}, patience)
        return
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise SimulationError(f"coordinator = {coordinator!r}; give HOST:PORT, or auto")
    if processes is None or processes < 1:
        raise SimulationError(f"processes = {processes}; say how many there are in all")
    if process_id is None or not 0 <= process_id < processes:
        raise SimulationError(
            f"process id = {process_id}; it is between 0 and {processes - 1}, one for each process"
        )
    if process_id:
        _knock(host, int(port), patience)
    given = {
        "coordinator_address": coordinator,
        "num_processes": processes,
        "process_id": process_id,
    }
    waited = f"the coordinator {coordinator}" if process_id else f"all {processes} processes"
    with _deadline(patience, waited):
        _initialise(given, patience)


def _initialise(given: dict[str, Any], patience: float) -> None:
    # Beyond our own deadline: JAX ends the process at its own without saying why.
    try:
        jax.distributed.initialize(
            **given,
            initialization_timeout=int(patience) + 30,
            heartbeat_timeout_seconds=_SILENCE,
            shutdown_timeout_seconds=_SILENCE,
        )
    except ValueError as error:
        raise SimulationError(
            f"JAX could not find out about the processes ({error}); give the coordinator as "
            "HOST:PORT, the number of processes and the process id"
        ) from error


def _knock(host: str, port: int, patience: float) -> None:
    """Wait until somebody listens there.

    Raises:
        SimulationError: nobody did in time.
    """
    until = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((host.strip("[]"), port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise SimulationError(
                    f"the coordinator {host}:{port} did not answer within {patience:g} s "
                    f"({error}); is process 0 running there, and is the port open?"
                ) from None
            time.sleep(0.2)


@contextmanager
def _deadline(patience: float, waited: str) -> Iterator[None]:
    """End this process with one clear line if what is inside takes too long."""

    def give_up() -> None:
        print(  # noqa: T201 - the main thread sits in a call that never returns
            f"error: waited {patience:g} s for {waited}, in vain", file=sys.stderr, flush=True
        )
        os._exit(2)

    timer = threading.Timer(patience, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def several() -> bool:
    """Whether this process is one of several."""
    return jax.process_count() > 1


def leads() -> bool:
    """Whether this is the process that writes; a process alone does."""
    return jax.process_index() == 0


def by_leader(action: Callable[[], T]) -> T:
    """What `action` gives in process 0, in every process; its error, in every process, too.

    Raises:
        SimulationError: in the others, what went wrong in process 0.
    """
    if not several():
        return action()
    failed: Exception | None = None
    message = b""
    if leads():
        try:
            message = pickle.dumps((True, action()))
        except (LpmError, OSError) as error:
            failed, message = error, pickle.dumps((False, str(error)))
    fine, result = pickle.loads(_told(message))
    if failed is not None:
        raise failed
    if not fine:
        raise SimulationError(f"process 0: {result}")
    return result


def _told(message: bytes) -> bytes:
    """The bytes of process 0, in every process."""
    size = np.array(divmod(len(message), _PIECE), np.int32)
    pieces, rest = multihost_utils.broadcast_one_to_all(size).tolist()
    found = []
    for piece in range(pieces + 1):
        length = _PIECE if piece < pieces else rest
        if length:
            part = message[piece * _PIECE : piece * _PIECE + length]
            sent = np.frombuffer(part.ljust(length, b"\0"), np.uint8)
            found.append(np.asarray(multihost_utils.broadcast_one_to_all(sent)).tobytes())
    return b"".join(found)


def agree(mesh: Mesh | None, what: dict[str, Any], about: dict[str, Any]) -> bool:
    """Whether several processes share a run; refuses one that is not the same in all of them.

    `what` must be the same, and of `about` the commit and the Python as well.

    Raises:
        SimulationError: names the first process that differs from process 0, and in what.
    """
    if mesh is None or not mesh.is_multi_process:
        return False
    _compare(what | {name: about[name] for name in ("commit", "python")})
    return True


def _compare(what: dict[str, Any]) -> None:
    mine = json.loads(json.dumps(what))
    text = json.dumps(mine, sort_keys=True).encode()
    marks = np.asarray(
        multihost_utils.process_allgather(np.frombuffer(hashlib.sha256(text).digest(), np.uint8))
    )
    if (marks == marks[0]).all():
        return
    theirs = json.loads(_told(text if leads() else b""))
    names = sorted(k for k in {*mine, *theirs} if mine.get(k) != theirs.get(k))
    words = ", ".join(
        f"{name} ({str(theirs.get(name))[:60]} in process 0, {str(mine.get(name))[:60]} in "
        f"process {jax.process_index()})"
        for name in names
    )
    sent = np.frombuffer(words.encode()[:_ROOM].ljust(_ROOM, b"\0"), np.uint8)
    said = np.asarray(multihost_utils.process_allgather(sent)).reshape(-1, _ROOM)
    told = [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in said]
    differing = next(filter(None, told))
    raise SimulationError(
        f"the processes would not compute the same run; they differ in {differing}; "
        "start all of them with the same files, options and versions"
    )


@contextmanager
def watched() -> Iterator[None]:
    """Say in words when another process of the run has gone.

    Raises:
        SimulationError: a collective failed because a process is not there any more.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        # A lost connection of gloo arrives as a ValueError.
        if not several() or not any(word in str(error) for word in _LOST):
            raise
        first = str(error).splitlines()[0][:200]
        raise SimulationError(
            f"another process of this run has ended, and process {jax.process_index()} with it "
            f"({first}); continue from the last checkpoint with --resume"
        ) from error
