"""`lpm run` over several processes: on this machine, or one of them under a scheduler."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from ..errors import LpmError, SimulationError
from ..processes import join, several

_GRACE = 15  # Seconds for the others to end by themselves, and say why, once one has.
_WRONG, _STOPPED = 2, 130


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say on how many devices and processes."""
    parser.add_argument("--devices", type=int, metavar="D", help="devices to use (all)")
    parser.add_argument(
        "--processes", type=int, metavar="P", help="processes to start here, or in all"
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="be one of the processes; process 0 listens there; `auto` where JAX finds it",
    )
    parser.add_argument("--process-id", type=int, metavar="I", help="which one, from 0")
    parser.add_argument(
        "--patience", type=float, default=60, metavar="S", help="seconds to wait for them (60)"
    )
    parser.add_argument("--force", action="store_true", help="run although memory looks too small")


def take_part(options: argparse.Namespace) -> bool:
    """Join the other processes if asked to; whether this one starts them instead and is done.

    Raises:
        SimulationError: options that do not fit together, nobody answers, or a process failed.
    """
    coordinator = options.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    if options.process_id is not None and not coordinator:
        raise SimulationError(f"--process-id {options.process_id} needs --coordinator HOST:PORT")
    if coordinator:
        join(coordinator, options.processes, options.process_id, options.patience)
        return False
    if options.processes is None or options.processes == 1:
        return False
    if options.processes < 1:
        raise SimulationError(f"--processes {options.processes}: give at least 1")
    start_here(options.words, options.processes)
    return True


@contextmanager
def ending_together() -> Iterator[None]:
    """End at once on an error: a process that waits for the others to finish would wait in vain."""
    try:
        yield
    except (LpmError, KeyboardInterrupt) as error:
        if not several():
            raise
        stopped = isinstance(error, KeyboardInterrupt)
        print(  # noqa: T201 - the console may be gone with the next line
            f"error: {' '.join(str(error).split()) or 'interrupted'}", file=sys.stderr, flush=True
        )
        sys.stdout.flush()
        os._exit(_STOPPED if stopped else _WRONG)
    if several():
        jax.distributed.shutdown()


def start_here(words: list[str], processes: int) -> None:
    """Run the same command in several processes on this machine, until all have ended.

    Raises:
        SimulationError: one failed; the others are ended, and it says what that one said.
    """
    address = f"127.0.0.1:{_free_port()}"
    with tempfile.TemporaryDirectory(prefix="lpm-") as scratch:
        told = [Path(scratch) / f"{i}" for i in range(processes)]
        children = []
        for i, file in enumerate(told):
            more = ["--coordinator", address, "--process-id", str(i)]
            with file.open("wb") as said:
                children.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "lpm", *words, *more],
                        stdout=None if i == 0 else subprocess.DEVNULL,
                        stderr=said,
                    )
                )
        try:
            first = _wait(children)
        except KeyboardInterrupt:
            _end(children)
            raise KeyboardInterrupt(_last_words(told[0])) from None
        finally:
            _end(children)
        if first is not None:
            raise SimulationError(_blame(first, children[first].returncode, told))


def _wait(children: list[subprocess.Popen[Any]]) -> int | None:
    """The first process to fail, once all have ended or had time to; `None` if none did."""
    first, until = None, float("inf")
    while time.monotonic() < until:
        codes = [child.poll() for child in children]
        failed = [i for i, code in enumerate(codes) if code]
        if failed and first is None:
            first, until = failed[0], time.monotonic() + _GRACE
        if all(code is not None for code in codes):
            break
        time.sleep(0.05)
    return first


def _end(children: list[subprocess.Popen[Any]]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
    for child in children:
        child.wait()


def _blame(first: int, code: int, told: list[Path]) -> str:
    """What the first process to fail said, or how it ended."""
    words = _last_words(told[first])
    if code < 0:
        name = signal.Signals(-code).name
        return (
            f"process {first} of {len(told)} was ended by {name}, and the others with it; "
            f"continue from the last checkpoint with --resume. {words}".strip()
        )
    return words or f"process {first} of {len(told)} ended with code {code}"


def _last_words(file: Path) -> str:
    """The last error line of a process, without the word itself."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
