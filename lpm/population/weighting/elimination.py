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
# Of the zones of a level: Cholesky factor, and what ties them to the levels above.
Factor = tuple[Float[Array, "_zone _own _own"], Float[Array, "_zone _own _rest"]]
# Numbers in the largest temporary array of the normal matrices.
CHUNK = 2**24


def solve(system: System, weights: Float[Array, "finest kind"], right: Tree) -> Tree:
    """X in (A' W A + V) x = right, by elimination from the finest zones upwards.

    Dependent totals leave x open along some directions, and the ridge fills those with rounding;
    x is the one that has none of it.
    """
    ridge = ridges(system, weights)
    factors = _factorise(system, weights, ridge)
    found = _substitute(system, factors, right)
    # (A' W A + V + R)^-1 R is one along the open directions and next to nothing along the others.
    filled = tuple(r * x for r, x in zip(ridge, found, strict=True))
    excess = _substitute(system, factors, filled)
    return tuple(x - y for x, y in zip(found, excess, strict=True))


def _factorise(system: System, weights: Float[Array, "finest kind"], ridge: Tree) -> list[Factor]:
    """Factors of each level, the finest first."""
    front, factors = _fronts(system, weights), []
    for level, pick in enumerate(system.picks):
        size = pick.shape[0]
        extra = jnp.asarray(system.variance[level]) + ridge[level]
        front = front.at[:, :size, :size].add(jax.vmap(jnp.diag)(extra))
        factor, across, front = jax.vmap(partial(_eliminate, size))(front)
        factors.append((factor, across))
        if level + 1 < len(system.picks):
            length = system.target[level + 1].shape[0]
            front = jax.ops.segment_sum(front, system.parent[level], length)
    return factors


def _fronts(
    system: System, weights: Float[Array, "finest kind"]
) -> Float[Array, "finest front front"]:
    stacked = jnp.concatenate([jnp.asarray(pick) for pick in system.picks])

    def normal(row: Float[Array, " kind"]) -> Float[Array, "front front"]:
        gram = (system.columns * row[:, None]).T @ system.columns
        return gram[stacked][:, stacked]

    size = system.columns.size + stacked.shape[0] ** 2
    return jax.lax.map(normal, weights, batch_size=max(1, min(CHUNK // size, len(weights))))


def ridges(system: System, weights: Float[Array, "finest kind"]) -> Tree:
    """What is added to the diagonal, in proportion to it as it is before elimination."""
    squares = totals(replace(system, columns=system.columns**2), weights)
    return tuple(
        RIDGE * (square + 1e-6 * jnp.max(square, axis=1, keepdims=True) + SMALLEST_RIDGE)
        for square in squares
    )


def _eliminate(
    size: int, front: Float[Array, "front front"]
) -> tuple[Float[Array, "own own"], Float[Array, "own rest"], Float[Array, "rest rest"]]:
    factor = jnp.linalg.cholesky(front[:size, :size])
    across = solve_triangular(factor, front[:size, size:], lower=True)
    return factor, across, front[size:, size:] - across.T @ across


def _substitute(system: System, factors: list[Factor], right: Tree) -> Tree:
    """From the finest zones up, and back down."""
    width = sum(pick.shape[0] for pick in system.picks[1:])
    rest = jnp.zeros((right[0].shape[0], width), right[0].dtype)
    inner = []
    for level, (factor, across) in enumerate(factors):
        size = system.picks[level].shape[0]
        if level:
            up = system.parent[level - 1]
            rest = jax.ops.segment_sum(rest, up, right[level].shape[0])
            own, rest = right[level] + rest[:, :size], rest[:, size:]
        else:
            own = right[0]
        inner.append(jax.vmap(lambda f, r: solve_triangular(f, r, lower=True))(factor, own))
        rest = rest - jnp.einsum("zor,zo->zr", across, inner[-1])
    above = jnp.zeros((factors[-1][0].shape[0], 0), rest.dtype)
    found = []
    for level in reversed(range(len(factors))):
        factor, across = factors[level]
        right_side = inner[level] - jnp.einsum("zor,zr->zo", across, above)
        own = jax.vmap(lambda f, r: solve_triangular(f.T, r, lower=False))(factor, right_side)
        found.append(own)
        if level:
            above = jnp.concatenate([own, above], axis=1)[system.parent[level - 1]]
    return tuple(reversed(found))
