"""The dual of the fit: what multipliers mean, and how far they are from the best.

Primal: minimise sum w log(w / w0) - w + w0 over zones and records, plus half the squared misses
in standard errors, exact totals being met. Dual: maximise over multipliers m

    D(m) = m't - m'Vm / 2 - sum (w(m) - w0),    w(m) = w0 exp(A m),

where each zone adds up the multipliers of the zones above it. With limits on w / w0 the weights
are cut off at them, and the term in w follows. All of it is in float64: the caller opens the
context.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import final

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Float

from lpm.axes import Array

from .system import System

Tree = tuple[Float[Array, "_zone _control"], ...]
TINY = 1e-300  # for quotients of zones with nothing in them


def exponents(system: System, multipliers: Tree) -> Float[Array, "finest kind"]:
    """A m: logarithm of the factor on each prior weight."""
    shape = (system.zone_of[0].shape[0], system.columns.shape[1])
    total = jnp.zeros(shape, multipliers[0].dtype)
    for pick, zone_of, values in zip(system.picks, system.zone_of, multipliers, strict=True):
        total = total.at[:, pick].add(values[zone_of])
    return total @ system.columns.T


@final
@partial(
    jax.tree_util.register_dataclass,
    data_fields=["prior", "exponent", "factor", "weights"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Point:
    """Weights that belong to some multipliers.

    Attributes:
        prior: before.
        exponent: A m.
        factor: logarithm of the factor on the prior: the exponent within the limits.
        weights: after.
    """

    prior: Float[Array, "finest kind"]
    exponent: Float[Array, "finest kind"]
    factor: Float[Array, "finest kind"]
    weights: Float[Array, "finest kind"]

    @property
    def free(self) -> Float[Array, "finest kind"]:
        """Weights that a change of the multipliers changes; zero for the others."""
        return jnp.where(self.factor == self.exponent, self.weights, 0.0)


def locate(system: System, prior: Float[Array, "finest kind"], multipliers: Tree) -> Point:
    """The weights at the multipliers."""
    exponent = exponents(system, multipliers)
    factor = jnp.clip(exponent, system.limits[0], system.limits[1])
    return Point(prior, exponent, factor, prior * jnp.exp(factor))


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


def move(system: System, point: Point, change: Float[Array, "finest kind"]) -> Point:
    """The primal point of the certificate, w (1 + A d) within the limits, for Newton's step d.

    It meets exact totals to rounding, unless it meets a limit.
    """
    ratio = jnp.clip(
        1 + jnp.where(point.free > 0, change, 0.0),
        jnp.exp(system.limits[0] - point.factor),
        jnp.exp(system.limits[1] - point.factor),
    )
    return replace(point, weights=point.weights * ratio)


def gap_of(system: System, here: Point, there: Point, multipliers: Tree) -> Float[Array, " block"]:
    """Primal value at one point minus dual value at another, relative.

    Relative to the primal value and the sum of weights. The difference is a sum of terms that
    are never negative, so that nothing cancels: the divergence of the weights, a square for each
    total with an error, and the price of each exact total that is missed.
    """
    ratio = there.weights / jnp.where(here.weights > 0, here.weights, 1.0)
    excess = here.weights * (xlogy(ratio, ratio) - ratio + 1)
    excess = excess + (there.weights - here.weights) * (here.factor - here.exponent)
    gap = per_block(system, 0, excess.sum(axis=1))
    for level, reached in enumerate(totals(system, there.weights)):
        miss = reached - system.target[level]
        soft = system.variance[level] > 0
        spread = jnp.sqrt(jnp.where(soft, system.variance[level], 1.0))
        square = 0.5 * (miss / spread + spread * multipliers[level]) ** 2
        terms = jnp.where(soft, square, jnp.abs(multipliers[level] * miss))
        gap = gap + per_block(system, level, terms.sum(axis=1))
    weights, prior = there.weights, there.prior
    entropy = xlogy(weights, weights / jnp.where(prior > 0, prior, 1.0)) - weights + prior
    value = per_block(system, 0, entropy.sum(axis=1))
    return gap / (value + per_block(system, 0, weights.sum(axis=1)) + TINY)
