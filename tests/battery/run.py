"""Run TestU01 on the generator as the simulator uses it; see README.md beside this file."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np

from lpm.counter import Stream, fold, words

HERE = Path(__file__).parent
BLOCK = 1 << 20
KEY = jax.random.key_data(jax.random.key(2024))
NAMES = np.array([crc32(f"process_{i}".encode()) for i in range(1024)], np.uint32)
Word = Callable[..., jax.Array]


def mixed(key: jax.Array, step: jax.Array, stream: jax.Array, call: jax.Array) -> Stream:
    """The generator's own stream key, for arrays of steps, streams and calls."""
    return fold(fold(key, step, stream), call, 0)


def added(key: jax.Array, step: jax.Array, stream: jax.Array, call: jax.Array) -> Stream:
    """Control: step, stream and call are added, so streams come again."""
    return jnp.broadcast_to(key[0], step.shape), key[1] + step + stream + call


def permuted(stream: Stream, counter: jax.Array, lane: jax.Array | int = 0) -> jax.Array:
    """Control: no feed-forward, so no word comes twice in a stream."""
    word = (counter ^ stream[0]) + lane
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return (word ^ (word >> 16)) + stream[1]


def ordering(name: str, combine: Callable[..., Stream], word: Word) -> Callable[[int], jax.Array]:
    """Block number to the next BLOCK words, in one of the orders in which draws are made."""
    step, stream, call = (jnp.uint32(x) for x in (7, crc32(b"infect"), 1))
    names = jnp.asarray(NAMES)

    def slots(n: jax.Array) -> jax.Array:  # one draw over a very large population
        return word(combine(KEY, step, stream, call), n)

    def steps(n: jax.Array) -> jax.Array:  # one agent's draw in one process, step after step
        return word(combine(KEY, n, jnp.full_like(n, stream), jnp.full_like(n, call)), n * 0 + 123)

    def few(n: jax.Array) -> jax.Array:  # sixty-four agents, step after step
        return word(combine(KEY, n >> 6, jnp.full_like(n, stream), jnp.full_like(n, call)), n & 63)

    def streams(n: jax.Array) -> jax.Array:  # one agent, every process and call, step after step
        return word(combine(KEY, n >> 14, names[(n >> 4) & 1023], (n & 15) + 1), n * 0 + 123)

    def calls(n: jax.Array) -> jax.Array:  # one agent, four calls of one process, step after step
        return word(combine(KEY, n >> 2, jnp.full_like(n, stream), (n & 3) + 1), n * 0 + 123)

    def seeds(n: jax.Array) -> jax.Array:  # runs with seeds 0, 1, 2, ..., sixteen agents each
        seed = n >> 4
        return word(combine((seed * 0, seed), seed * 0 + 7, seed * 0 + stream, call), n & 15)

    def lanes(n: jax.Array) -> jax.Array:  # eight numbers for each agent
        return word(combine(KEY, step, stream, call), n >> 3, n & 7)

    def generations(n: jax.Array) -> jax.Array:  # one thousand slots used again and again
        return word(combine(KEY, step, stream, call), n % 1024, 0, n // 1024)

    chosen = locals()[name]

    @jax.jit
    def block(number: jax.Array) -> jax.Array:
        return chosen(number * jnp.uint32(BLOCK) + jnp.arange(BLOCK, dtype=jnp.uint32))

    return lambda number: block(jnp.uint32(number & 0xFFFFFFFF))


ORDERINGS = ("slots", "steps", "few", "streams", "calls", "seeds", "lanes", "generations")
VARIANTS = {"lpm": (mixed, words), "added": (added, words), "permuted": (mixed, permuted)}


def compile_driver(folder: Path) -> Path:
    """The TestU01 driver, compiled."""
    driver = folder / "driver"
    libraries = ["-ltestu01", "-ltestu01probdist", "-ltestu01mylib", "-lm"]
    subprocess.run(["cc", "-O2", "-o", driver, HERE / "driver.c", *libraries], check=True)
    return driver


def examine(variant: str, order: str, battery: str, reverse: bool) -> dict[str, object]:
    """Stream one ordering of one variant into one battery and summarise its p-values."""
    block = ordering(order, *VARIANTS[variant])
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [compile_driver(Path(folder)), battery, f"{variant}-{order}"]
        report = Path(folder) / "report"
        with report.open("w") as out:
            driver = subprocess.Popen(
                command + ["reversed"] * reverse, stdin=subprocess.PIPE, stdout=out
            )
            assert driver.stdin is not None
            number = 0
            try:
                while driver.poll() is None:
                    driver.stdin.write(np.asarray(block(number)).tobytes())
                    number += 1
            except BrokenPipeError:
                pass
            if driver.wait() != 0:
                raise SystemExit(f"the driver failed on {variant} {order}")
        lines = [line.split("\t") for line in report.read_text().splitlines()]
    p = {
        f"{i} {line[1]}": float(line[2])
        for i, line in enumerate(line for line in lines if line[0] == "PVALUE")
    }
    extreme = {name: value for name, value in p.items() if not 1e-3 <= value <= 1 - 1e-3}
    failed = [name for name, value in p.items() if not 1e-10 <= value <= 1 - 1e-10]
    return {
        "variant": variant,
        "ordering": order,
        "battery": {"small": "SmallCrush", "crush": "Crush", "big": "BigCrush"}[battery],
        "bits": "reversed" if reverse else "as drawn",
        "words": int(next(line[1] for line in lines if line[0] == "WORDS")),
        "p_values": len(p),
        "outside_0.001_0.999": extreme,
        "failed_1e-10": len(failed),
        "seconds": round(time.monotonic() - start),
    }


def main() -> None:
    """Run what is asked for and append each result to the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--battery", choices=["small", "crush", "big"], default="small")
    parser.add_argument("--variant", choices=sorted(VARIANTS), default="lpm")
    parser.add_argument("--ordering", choices=ORDERINGS, action="append")
    parser.add_argument("--reversed", action="store_true")
    parser.add_argument("--verdict", type=Path, default=HERE / "verdict.json")
    arguments = parser.parse_args()
    for order in arguments.ordering or ORDERINGS:
        if arguments.variant == "permuted" and order == "generations":
            continue
        result = examine(arguments.variant, order, arguments.battery, arguments.reversed)
        result["jax"] = jax.__version__
        result["machine"] = f"{platform.machine()}, {jax.devices()[0].platform}"
        old = json.loads(arguments.verdict.read_text()) if arguments.verdict.exists() else []
        arguments.verdict.write_text(json.dumps([*old, result], indent=1) + "\n")
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    main()
