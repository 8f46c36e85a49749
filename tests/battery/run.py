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
BLOCKS = 1 << 12  # of one run; after 2**32 words the key of the next run
KEY = jax.random.key_data(jax.random.key(2024))
NAMES = np.array([crc32(f"process_{i}".encode()) for i in range(1024)], np.uint32)
Word = Callable[..., jax.Array]


def mixed(key: jax.Array, step: jax.Array, stream: jax.Array, call: jax.Array) -> Stream:
    """The generator's own stream key, for arrays of steps, streams and calls."""
    return fold(fold(key, step, stream), call, 0)


def added(key: jax.Array, step: jax.Array, stream: jax.Array, call: jax.Array) -> Stream:
    """Control: step, stream and call are added, so streams come again."""
    return key[0], key[1] + step + stream + call


def permuted(stream: Stream, counter: jax.Array, lane: jax.Array | int = 0) -> jax.Array:
    """Control: no feed-forward, so no word comes twice in a stream."""
    word = (counter ^ stream[0]) + lane
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return (word ^ (word >> 16)) + stream[1]


def address(order: str, n: jax.Array) -> dict[str, jax.Array]:
    """What tells the n-th draw of an ordering from the first; the rest of its name is fixed."""
    match order:
        case "slots":  # one draw of a very large population
            return {"counter": n}
        case "steps":  # one agent's draw in one process, step after step
            return {"step": n}
        case "few":  # sixty-four agents, step after step
            return {"step": n >> 6, "counter": n & 63}
        case "streams":  # one agent, 1,024 processes of 16 calls, step after step
            return {"step": n >> 14, "stream": jnp.asarray(NAMES)[n >> 4 & 1023], "call": n & 15}
        case "calls":  # one agent, four calls of one process, step after step
            return {"step": n >> 2, "call": n & 3}
        case "seeds":  # runs of seed 0, 1, 2, ..., sixteen agents each
            return {"seed": n >> 4, "counter": n & 15}
        case "lanes":  # eight numbers for each agent
            return {"counter": n >> 3, "lane": n & 7}
        case _:  # a thousand slots, used again and again
            return {"counter": n % 1024, "generation": n // 1024}


def ordering(order: str, combine: Callable[..., Stream], word: Word) -> Callable[[int], jax.Array]:
    """Block number to the next BLOCK words, in one of the orders in which draws are made."""

    @jax.jit
    def block(number: jax.Array) -> jax.Array:
        n = number * jnp.uint32(BLOCK) + jnp.arange(BLOCK, dtype=jnp.uint32)
        at = address(order, n)
        key = (KEY[0] + number // BLOCKS, at.get("seed", KEY[1]))
        step, name = at.get("step", jnp.uint32(7)), at.get("stream", jnp.uint32(crc32(b"infect")))
        stream = combine(key, step, name, at.get("call", jnp.uint32(0)) + 1)
        place = [at.get("counter", jnp.full_like(n, 123)), at.get("lane", 0)]
        return word(stream, *place, *(at[x] for x in ("generation",) if x in at))

    return lambda number: block(jnp.uint32(number))


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
