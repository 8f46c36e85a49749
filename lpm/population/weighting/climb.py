"""Newton steps until every independent block of zones is settled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from .newton import step
from .repair import Repair, repair_blocks, repair_zones
from .system import EXTREMES, System, blocks_only

# Called with the number of finest zones that are settled, and of all of them.
Progress = Callable[[int, int], None]
Tree = tuple[Float[np.ndarray, "_zone _control"], ...]
# Steps before the totals of a block are suspected to be out of reach. Feasible ones take 5 to 15.
PATIENCE = 30
# In a problem with more prior weights than this, the blocks left after a few steps go on alone:
# that compiles the step once more, which is then worth it.
LARGE, FEW = 200_000, 10


@dataclass(frozen=True)
class Climbed:
    """Where the steps ended.

    Attributes:
        repair: what was fitted in the end, and the totals that were replaced on the way.
        multipliers: per level.
        settled: whether gap and misses of each block are within the tolerance.
        weights: the answer.
        gap: its relative duality gap, per block.
    """

    repair: Repair
    multipliers: Tree
    settled: Bool[np.ndarray, " block"]
    weights: Float[np.ndarray, "finest kind"]
    gap: Float[np.ndarray, " block"]


def climb(
    system: System,
    prior: Float[np.ndarray, "finest kind"],
    outs: Sequence[Bool[np.ndarray, "finest kind"]],
    start: Tree,
    tolerance: float,
    progress: Progress | None = None,
) -> Climbed:
    """The best multipliers; totals that no weights can meet are replaced by the nearest.

    Args:
        prior: of each kind in each finest zone.
        outs: per level, kinds that its exact totals of zero exclude.
        start: multipliers to begin with.
        tolerance: of the relative duality gap, and of misses relative to the block's weights.
        progress: told how many zones are settled.
    """
    none = tuple(np.zeros(target.shape, dtype=bool) for target in system.target)
    above = np.any(np.stack([*outs[1:], np.zeros_like(outs[0])]), axis=0)
    repair = Repair(system, np.where(above | outs[0], 0.0, prior), prior, none, none)
    everywhere = np.ones(system.num_blocks, dtype=bool)
    multipliers, settled = _ascend(repair, start, ~everywhere, start, tolerance, progress)
    bounded = not np.allclose(system.limits, np.log(EXTREMES))
    if not settled.all() and not bounded:
        repair = repair_zones(repair, ~settled, above)
        multipliers, settled = _ascend(repair, multipliers, settled, start, tolerance, progress)
    if not settled.all() and not bounded and len(system.target) > 1:
        repair = repair_blocks(repair, ~settled)
        multipliers, settled = _ascend(repair, multipliers, settled, start, tolerance, progress)
    with jax.enable_x64(True):
        device = jax.tree.map(jnp.asarray, repair.system)
        here = tuple(jnp.asarray(x) for x in multipliers)
        last = step(device, jnp.asarray(repair.prior), here, jnp.asarray(~everywhere))
        weights, gap = np.asarray(last.weights), np.asarray(last.gap)
    return Climbed(repair, multipliers, settled, weights, gap)


def _ascend(
    repair: Repair,
    multipliers: Tree,
    settled: Bool[np.ndarray, " block"],
    start: Tree,
    tolerance: float,
    progress: Progress | None,
) -> tuple[Tree, Bool[np.ndarray, " block"]]:
    """The unsettled blocks anew from the start, the others as they are."""
    rounds = (FEW, PATIENCE - FEW) if repair.prior.size > LARGE else (PATIENCE,)
    for steps in rounds:
        if not settled.all():
            multipliers, settled = _go_on(
                repair, multipliers, settled, start, steps, tolerance, progress
            )
            start = multipliers
    return multipliers, settled


def _go_on(
    repair: Repair,
    multipliers: Tree,
    settled: Bool[np.ndarray, " block"],
    start: Tree,
    steps: int,
    tolerance: float,
    progress: Progress | None,
) -> tuple[Tree, Bool[np.ndarray, " block"]]:
    part, keep = blocks_only(repair.system, ~settled)
    others = int(settled[np.asarray(repair.system.block[0])].sum())
    begin = tuple(x[kept] for x, kept in zip(start, keep, strict=True))
    told = None
    if progress is not None:
        told = lambda done, some: progress(done + others, some + others)  # noqa: E731
    found, now = newton(part, repair.prior[keep[0]], begin, steps, tolerance, told)
    merged = tuple(np.array(x) for x in multipliers)
    for whole, kept, values in zip(merged, keep, found, strict=True):
        whole[kept] = values
    after = settled.copy()
    after[keep[-1]] = now
    return merged, after


def newton(
    system: System,
    prior: Float[np.ndarray, "finest kind"],
    start: Tree,
    steps: int,
    tolerance: float,
    progress: Progress | None,
) -> tuple[Tree, Bool[np.ndarray, " block"]]:
    """Multipliers, and whether the tolerance was reached, per block.

    A block stops one step after it is settled, so that what it becomes does not depend on the
    others.
    """
    block = np.asarray(system.block[0])
    with jax.enable_x64(True):
        device = jax.tree.map(jnp.asarray, system)
        weights, here = jnp.asarray(prior), tuple(jnp.asarray(x) for x in start)
        settled = np.zeros(system.num_blocks, dtype=bool)
        for _ in range(steps):
            found = step(device, weights, here, jnp.asarray(~settled))
            here, near = found.multipliers, np.maximum(found.gap, found.miss)
            settled |= np.asarray(near) <= tolerance
            if progress is not None:
                progress(int(settled[block].sum()), len(block))
            if settled.all():
                break
        return tuple(np.asarray(x) for x in here), settled
