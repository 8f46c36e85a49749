"""What the machine can do just now: triad bandwidth and random reads, in C, else in NumPy."""

import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lpm.population.seeds import generator

_READS, _LENGTH, _TABLES = 20_000_000, 10_000_000, (125_000, 1_000_000, 10_000_000)


def measure() -> dict[str, Any]:
    """Bytes per second of a triad and reads per second from tables of several sizes."""
    compiler = shutil.which("cc")
    found = _compiled(compiler) if compiler else _by_numpy()
    about = {"cores": os.cpu_count(), "processor": _processor(), "load": os.getloadavg()[0]}
    return {"by": "C" if compiler else "NumPy", **about, **found}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _compiled(compiler: str) -> dict[str, Any]:
    source = Path(__file__).with_name("machine.c")
    with tempfile.TemporaryDirectory() as folder:
        binary = str(Path(folder) / "machine")
        options = ["-O3", "-march=native", "-fopenmp"]
        subprocess.run([compiler, *options, str(source), "-o", binary], check=True)
        arguments = [str(n) for n in (os.cpu_count() or 1, _LENGTH, _READS, *_TABLES)]
        return json.loads(subprocess.check_output([binary, *arguments], text=True))


def _by_numpy() -> dict[str, Any]:
    a, b, c = (np.zeros(_LENGTH) for _ in range(3))
    rng = generator(0)

    def triad() -> None:
        np.multiply(c, 3.0, out=a)
        np.add(a, b, out=a)

    reads = {}
    for size in _TABLES:
        table = np.zeros(size, np.uint8)
        index = rng.integers(0, size, _READS // 10, dtype=np.int32)
        reads[str(size)] = index.size / _best(lambda t=table, i=index: t[i].sum())
    # NumPy reads and writes `a` once more than a fused triad does.
    return {"triad": 5 * 8 * _LENGTH / _best(triad), "reads": reads}


def _best(work: Any, repeat: int = 3) -> float:
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
