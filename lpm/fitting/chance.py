"""Randomness of a fit beside that of its runs, all of it from the keys the caller gave."""

import hashlib

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

from ..population.seeds import Generator, generator


def fresh_words(
    words: UInt32[Array, "run 2"], count: int, purpose: str
) -> UInt32[Array, "fresh 2"]:
    """Key words that no other purpose sees, the same for the same keys."""
    rows = [_digest(words, f"{purpose} {number}")[:8] for number in range(count)]
    return jnp.asarray(np.stack([np.frombuffer(row, np.uint32) for row in rows]))


def generator_for(words: UInt32[Array, "run 2"], purpose: str) -> Generator:
    """A generator on the host, for search directions and perturbed observations."""
    return generator(int.from_bytes(_digest(words, purpose)[:8], "little"))


def _digest(words: UInt32[Array, "run 2"], purpose: str) -> bytes:
    whole = hashlib.sha256(np.asarray(words).astype("<u4").tobytes())
    whole.update(purpose.encode())
    return whole.digest()
