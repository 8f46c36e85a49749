"""A year's gradient fits into memory: read off the compiled program, no clock, no luck."""

import jax
import jax.numpy as jnp
import pytest

import lpm
from scenarios.epidemic import scenario

pytestmark = pytest.mark.gate
AGENTS, DAYS = 20_000, 365


def test_a_gradient_over_a_year_keeps_a_kilobyte_of_each_new_yorker():
    """A million people within 4 GB would be 4,000 bytes each; 1,029 were measured at 100,000."""
    town = scenario.population(AGENTS, seed=1)
    params = jax.tree.map(jnp.asarray, scenario.params)

    def total(params):
        run = lpm.simulate(
            scenario,
            town,
            key=0,
            params=params,
            steps=DAYS,
            estimator="straight_through",
            devices=1,
        )
        return jnp.sum(run.observed["new_infections"])

    memory = jax.jit(jax.grad(total, allow_int=True)).lower(params).compile().memory_analysis()
    held = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    assert held / AGENTS < 1_300
    # Every step of a plain scan would be kept: the state alone is some 60 bytes an agent.
    assert held / AGENTS < 60 * DAYS / 10
