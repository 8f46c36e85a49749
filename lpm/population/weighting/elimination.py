"""The normal equations of a tree of zones, solved from the finest upwards.

The Schur complement of each zone is added to the zone above, so that no matrix is larger than
the controls of one zone and those above it, however many zones there are.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Float

from lpm.axes import Array

from .dual import Tree, totals
from .system import System

# Relative to the diagonal: dependent columns leave the matrix singular, which this cures. It does
# not move the optimum, only the last digits of a step.
RIDGE = 1e-11
SMALLEST_RIDGE = 1e-12  # for zones with nothing in them
# Numbers in the largest temporary array of the normal matrices.
CHUNK = 2**24


def solve(system: System, weights: Float[Array, "finest kind"], right: Tree) -> Tree:
    """X in (A' W A + V) x = right, by elimination from the finest zones upwards."""
    sizes = [pick.shape[0] for pick in system.picks]
    front = _fronts(system, weights)
    rights = jnp.concatenate(
        [right[0], jnp.zeros((right[0].shape[0], sum(sizes[1:])), right[0].dtype)], axis=1
    )
    extra = _diagonals(system, weights)
    kept = []
    for level, size in enumerate(sizes):
        front = front.at[:, :size, :size].add(jax.vmap(jnp.diag)(extra[level]))
        factor, across, inner, front, rights = jax.vmap(partial(_eliminate, size))(front, rights)
        kept.append((factor, across, inner))
        if level + 1 < len(sizes):
            up, length = system.parent[level], right[level + 1].shape[0]
            front = jax.ops.segment_sum(front, up, length)
            rights = jax.ops.segment_sum(rights, up, length)
            rights = rights.at[:, : sizes[level + 1]].add(right[level + 1])
    return _substitute(system, kept)


def _fronts(
    system: System, weights: Float[Array, "finest kind"]
) -> Float[Array, "finest front front"]:
    stacked = jnp.concatenate([jnp.asarray(pick) for pick in system.picks])

    def normal(row: Float[Array, " kind"]) -> Float[Array, "front front"]:
        gram = (system.columns * row[:, None]).T @ system.columns
        return gram[stacked][:, stacked]

    size = system.columns.size + stacked.shape[0] ** 2
    return jax.lax.map(normal, weights, batch_size=max(1, min(CHUNK // size, len(weights))))


def _diagonals(system: System, weights: Float[Array, "finest kind"]) -> Tree:
    """Variances of the totals, and a ridge in proportion to the diagonal before elimination."""
    squares = totals(replace(system, columns=system.columns**2), weights)
    return tuple(
        jnp.asarray(variance)
        + RIDGE * (square + 1e-6 * jnp.max(square, axis=1, keepdims=True) + SMALLEST_RIDGE)
        for variance, square in zip(system.variance, squares, strict=True)
    )


def _eliminate(
    size: int, front: Float[Array, "front front"], right: Float[Array, " front"]
) -> tuple[
    Float[Array, "own own"],
    Float[Array, "own rest"],
    Float[Array, " own"],
    Float[Array, "rest rest"],
    Float[Array, " rest"],
]:
    factor = jnp.linalg.cholesky(front[:size, :size])
    across = solve_triangular(factor, front[:size, size:], lower=True)
    inner = solve_triangular(factor, right[:size], lower=True)
    rest = front[size:, size:] - across.T @ across
    return factor, across, inner, rest, right[size:] - across.T @ inner


def _substitute(system: System, kept: list) -> Tree:
    """Back from the coarsest zones to the finest."""
    above = jnp.zeros((kept[-1][0].shape[0], 0), kept[-1][0].dtype)
    found = []
    for level in reversed(range(len(kept))):
        factor, across, inner = kept[level]
        right = inner - jnp.einsum("zor,zr->zo", across, above)
        own = jax.vmap(lambda f, r: solve_triangular(f.T, r, lower=False))(factor, right)
        found.append(own)
        if level:
            above = jnp.concatenate([own, above], axis=1)[system.parent[level - 1]]
    return tuple(reversed(found))
