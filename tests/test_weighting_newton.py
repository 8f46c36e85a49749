"""Newton steps on the dual: where totals depend on each other, multipliers stay where they are."""

import jax
import jax.numpy as jnp
import numpy as np

from lpm.population.weighting import Level, Problem
from lpm.population.weighting.newton import step
from lpm.population.weighting.priors import zone_priors
from lpm.population.weighting.problem import UNBOUNDED
from lpm.population.weighting.system import build_system


def two_partitions_of_one_whole() -> Problem:
    """Sizes and incomes of the same households: the parts of both add up to all of them."""
    seeds = np.random.SeedSequence(7)  # noqa: TID251
    size, income, weight, shift = (
        np.random.Generator(np.random.PCG64(s))  # noqa: TID251
        for s in seeds.spawn(4)
    )
    records = 4000
    of_size, of_income = size.integers(0, 7, records), income.integers(0, 16, records)
    adds = np.concatenate([np.eye(7)[of_size], np.eye(16)[of_income]], axis=1)
    prior = weight.uniform(20, 400, records)
    target = prior @ adds * shift.uniform(0.9, 1.1, 23)
    target[7:] *= target[:7].sum() / target[7:].sum()
    target[7] += 1e-5  # As sums of printed decimals differ, far below what is reconciled.
    names = tuple(f"control {i}" for i in range(23))
    level = Level("city", ("all",), names, adds, target[None], np.zeros((1, 23)), np.zeros(1, int))
    return Problem(prior, (level,))


def test_multipliers_do_not_wander_along_dependent_totals():
    problem = two_partitions_of_one_whole()
    system, kinds, _ = build_system(problem, 1.0, UNBOUNDED)
    prior = kinds.gather(zone_priors(problem))
    found, gaps = [], []
    with jax.enable_x64(True):
        device = jax.tree.map(jnp.asarray, system)
        here = tuple(jnp.zeros(target.shape) for target in system.target)
        for _ in range(60):
            after = step(device, jnp.asarray(prior), here, jnp.ones(1, bool))
            here = after.multipliers
            found.append(np.asarray(here[0]))
            gaps.append(float(after.gap[0]))
    assert gaps[8] < 1e-12
    assert gaps[-1] < 1e-12
    # Without the correction they move by about one at every step.
    assert np.abs(found[-1] - found[8]).max() < 1e-3
