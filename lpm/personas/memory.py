"""What groups have lived through, in numbers: moving averages by cell, kept inside a run."""

import math

import jax.numpy as jnp

from ..aggregates import count_by_segment
from ..axes import Array, Bool, Float, Int


def lived_by(
    x: Float[Array, " agent"],
    cell: Int[Array, " agent"],
    alive: Bool[Array, " agent"],
    cells: int,
) -> Float[Array, " cell"]:
    """Mean of `x` over the living of each cell (or persona); 0 where nobody lives.

    Whole numbers add up exactly, fractions to the rounding of float32 over blocks of a million.
    """
    here = alive.astype(x.dtype)
    return count_by_segment(x * here, cell, cells) / jnp.maximum(
        count_by_segment(here, cell, cells), 1
    )


def remember(
    memory: Float[Array, " cell"],
    x: Float[Array, " agent"],
    cell: Int[Array, " agent"],
    alive: Bool[Array, " agent"],
    *,
    half_life: float,
) -> Float[Array, " cell"]:
    """The memory a step later: what is `half_life` steps ago counts half of what is now.

    An exponential moving average of `lived_by`; a cell in which nobody lives remembers what it did.
    Observe it, and a panel tells every persona its own.
    """
    cells = memory.shape[0]
    people = count_by_segment(alive.astype(x.dtype), cell, cells)
    now = jnp.where(people > 0, lived_by(x, cell, alive, cells), memory)
    return memory - math.expm1(-math.log(2) / half_life) * (now - memory)
