"""The dual of the fit: what multipliers mean, and how far they are from the best.

Primal: minimise sum w log(w / w0) - w + w0 over zones and records, plus half the squared misses
in standard errors, exact totals being met. Dual: maximise over multipliers m

    D(m) = m't - m'Vm / 2 - sum (w(m) - w0),    w(m) = w0 exp(A m),

where each zone adds up the multipliers of the zones above it. All of it is in float64: the
caller opens the context.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Float

from lpm.axes import Array

from .system import System

Tree = tuple[Float[Array, "_zone _control"], ...]
LARGEST_EXPONENT = 600.0  # beyond it float64 overflows
TINY = 1e-300  # for quotients of zones with nothing in them


def exponents(system: System, multipliers: Tree) -> Float[Array, "finest kind"]:
    """A m: logarithm of the factor on each prior weight."""
    shape = (system.zone_of[0].shape[0], system.columns.shape[1])
    total = jnp.zeros(shape, multipliers[0].dtype)
    for pick, zone_of, values in zip(system.picks, system.zone_of, multipliers, strict=True):
        total = total.at[:, pick].add(values[zone_of])
    return total @ system.columns.T


def weigh(
    system: System, prior: Float[Array, "finest kind"], multipliers: Tree
) -> Float[Array, "finest kind"]:
    """Weights that belong to the multipliers."""
    return prior * jnp.exp(jnp.clip(exponents(system, multipliers), max=LARGEST_EXPONENT))


def totals(system: System, weights: Float[Array, "finest kind"]) -> Tree:
    """What the weights add up to, in the units of the targets."""
    found = weights @ system.columns
    return tuple(
        jax.ops.segment_sum(found[:, pick], zone_of, target.shape[0])
        for pick, zone_of, target in zip(system.picks, system.zone_of, system.target, strict=True)
    )


def per_block(system: System, level: int, values: Float[Array, " zone"]) -> Float[Array, " block"]:
    """Values of a level's zones added up by independent block."""
    return jax.ops.segment_sum(values, system.block[level], system.num_blocks)


def largest(
    system: System, level: int, values: Float[Array, "zone column"]
) -> Float[Array, " block"]:
    """Largest size of any value in each independent block."""
    widest = jnp.max(jnp.abs(values), axis=1, initial=0.0)
    return jnp.maximum(
        jax.ops.segment_max(widest, jnp.asarray(system.block[level]), system.num_blocks), 0.0
    )


def gap_of(
    system: System,
    prior: Float[Array, "finest kind"],
    weights: Float[Array, "finest kind"],
    change: Float[Array, "finest kind"],
    multipliers: Tree,
) -> Float[Array, " block"]:
    """Primal minus dual value, over the primal value and the sum of weights.

    The primal point is w (1 + A d) with the Newton direction d, which meets exact totals to
    rounding. Its distance to the dual value is a sum of terms that are never negative, so that
    nothing cancels: the divergence from w, and a square for each total with an error.
    """
    ratio = jnp.maximum(1 + change, 0.0)
    point = weights * ratio
    excess = weights * (xlogy(ratio, ratio) - ratio + 1)
    gap = per_block(system, 0, excess.sum(axis=1))
    found = totals(system, point)
    for level, reached in enumerate(found):
        miss = reached - system.target[level]
        soft = system.variance[level] > 0
        spread = jnp.sqrt(jnp.where(soft, system.variance[level], 1.0))
        square = 0.5 * (miss / spread + spread * multipliers[level]) ** 2
        terms = jnp.where(soft, square, jnp.abs(multipliers[level] * miss))
        gap = gap + per_block(system, level, terms.sum(axis=1))
    safe = jnp.where(prior > 0, prior, 1.0)
    entropy = xlogy(point, point / safe) - point + prior
    value = per_block(system, 0, entropy.sum(axis=1))
    return gap / (value + per_block(system, 0, point.sum(axis=1)) + TINY)
