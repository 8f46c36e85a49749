"""Production with constant elasticity of substitution, and the wages it pays."""

import jax.numpy as jnp

from ..axes import Array, Float, Number, Scalar


def ces_output(
    inputs: Float[Array, " kind"], shares: Float[Array, " kind"], substitution: Number
) -> Scalar:
    """A (sum_k a_k L_k**r)**(1/r) with r = 1 - 1/substitution and A = 1; constant returns.

    Args:
        inputs: L, positive, such as hours of labour by education.
        shares: a, not negative, summing to 1 by convention.
        substitution: elasticity between any two inputs, positive; 1 is Cobb-Douglas.

    Source: Arrow, Chenery, Minhas & Solow (1961).
    """
    r = 1 - 1 / jnp.asarray(substitution, jnp.float32)
    near = jnp.abs(r) < 1e-3
    safe = jnp.where(near, 1.0, r)
    logs = jnp.log(inputs)
    cobb_douglas = jnp.exp(jnp.sum(shares * logs) / jnp.sum(shares))
    general = jnp.sum(shares * jnp.exp(safe * logs)) ** (1 / safe)
    return jnp.where(near, cobb_douglas, general)


def ces_wages(
    inputs: Float[Array, " kind"], shares: Float[Array, " kind"], substitution: Number
) -> Float[Array, " kind"]:
    """What a competitive firm pays for a unit of each input: its marginal product.

    a_k (Y / L_k)**(1 / substitution), so that wages times inputs add up to output (Euler).
    """
    output = ces_output(inputs, shares, substitution)
    return shares * (output / inputs) ** (1 / jnp.asarray(substitution, jnp.float32))
