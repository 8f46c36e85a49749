"""Sums over the square window around each cell of a grid."""

import jax.numpy as jnp

from ..axes import Array, Float, Int
from ..errors import ScenarioError


def window_sum(
    grid: Float[Array, "row column"] | Int[Array, "row column"], radius: int, *, periodic: bool
) -> Float[Array, "row column"] | Int[Array, "row column"]:
    """Sum over the cells up to `radius` rows and columns away, the cell itself included.

    A periodic grid wraps round; otherwise nothing lies beyond its margin. The sum has the dtype of
    `grid`: 8-bit integers, the fastest, hold sums of up to 127.

    Example:
        >>> window_sum(jnp.ones((3, 3)), 1, periodic=False).tolist()
        [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]

    Raises:
        ScenarioError: a window that reaches round a periodic grid to itself, or a radius below 0.
    """
    if radius < 0 or (periodic and 2 * radius + 1 > min(grid.shape)):
        raise ScenarioError(
            f"radius is {radius}; on a {'periodic ' if periodic else ''}grid of {grid.shape} a "
            "window must hold each cell once"
        )
    for axis in (0, 1):
        grid = _along(grid, radius, periodic, axis)
    return grid


def _along(grid: Array, radius: int, periodic: bool, axis: int) -> Array:
    length = grid.shape[axis]
    width = [(0, 0), (0, 0)]
    width[axis] = (radius, radius)
    wide = jnp.pad(grid, width, mode="wrap" if periodic else "constant")
    total = grid
    for offset in range(2 * radius + 1):
        if offset != radius:
            part = [slice(None), slice(None)]
            part[axis] = slice(offset, offset + length)
            total = total + wide[tuple(part)]
    return total
