"""The lineage adjoint: what flipped coins are worth, followed through twins and swept back.

A coin of probability p tossed for one agent adds dp times the worth of the coin to a derivative:
how much better the rest of the run is with it than without. A twin on the same random numbers in
which a few coins, the roots, are flipped shows what they are worth, depleted as the world is: who
was infected by a lineage cannot be infected again. One sweep back over the differences gives each
root what became of it, so that the cost does not depend on how many fields there are. Through what
a whole population shares a lineage reaches everybody a little; that part is added in the mean.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ...errors import FittingError, SimulationError
from ...params import Params
from ...population import Population
from ...scenario import Scenario
from ..runs import as_tree, keep, map_lanes, parts_of
from ..seam import Loss, PerRun
from .anchor import RUNS, anchor
from .run import Lineages, segment_length
from .smoothing import shrink, smooth
from .structure import check_fields, prepare, sizes
from .twins import Roots
from .worlds import World


@final
@dataclass(frozen=True)
class Lineage:
    """Gradients of an expected loss by any number of fields, for about as much as a few runs.

    For scenarios whose only chance that depends on the fields or on what happened are coins of
    agents (`draw.bernoulli`, `lpm.infections`); whose fields act through the probabilities of
    coins, and in `observe`; and whose state changes by sums and products of coins and state. What
    does not fit is refused by the structure of the scenario, before any run: births, categories,
    coins of no agent, fields that set a variable. Thresholds in the state show only in the
    differences between worlds; they are refused after the first run, if they are as plain as they
    usually are, or after the last.

    Half of the twins have more of the rarer events than the run and half have fewer, so that what
    lineages take from each other cancels to first order: the bias is of the order of the square of
    `rate` times how many agents a lineage reaches, plus one over the size of what is shared. The
    variance is about inversely proportional to `rate` times `twins`. The loss is taken as linear
    in the difference that one lineage makes. Memory holds all steps where they fit into 256 MB,
    else the steps of one segment at a time.

    An element of a field such as a rate by week and group has few roots of its own. Under `smooth`
    the shape of the gradient of a field of three elements or more is that of worths smoothed over
    steps and runs, as if all coins of a call were worth the same in a step, corrected as far as
    the roots say so beyond their noise. Where worths differ much among the elements and runs are
    few, the shape is pulled towards equal worths. Under `anchored` the part of the gradient along
    its own direction is that of a few differences, which see it with less noise than roots do.

    Source: the worth of one flipped coin is that of smoothed perturbation analysis (Fu & Hu 1997)
    and stochastic triples (Arya et al. 2022), which follow one at a time.

    Attributes:
        rate: roots by the rarer side's probability of a coin.
        floor: probability of a root in coins that are hardly ever tossed.
        twins: worlds with roots of their own beside each run, an even number: half of them have
            more of the rarer events than the run, the others fewer.
        unexplained: share of the worth of all roots that may stay unexplained by sums and products
            of coins. The curvature of hazards is below 1 % through `infections`, a lost threshold
            half or more.
        smooth: whether fields of three elements or more are smoothed.
        anchored: whether, of three elements or more, the part along the gradient itself is taken
            from three differences a key.
    """

    rate: float = 0.05
    floor: float = 1e-5
    twins: int = 4
    unexplained: float = 0.2
    smooth: bool = True
    anchored: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 0.5 or not 0 <= self.floor <= 0.5:
            raise FittingError(
                f"rate = {self.rate}, floor = {self.floor}; give a rate in (0, 0.5] and a floor in "
                "[0, 0.5]"
            )
        if self.twins < 2 or self.twins % 2:
            raise FittingError(f"twins = {self.twins}; give an even number, of 2 or more")

    def __call__(
        self,
        scenario: Scenario[Any, Any],
        population: Population,
        loss: Loss,
        keys: UInt32[Array, "run 2"],
        params: Params,
        fields: tuple[str, ...],
        steps: int,
        every: int,
    ) -> PerRun:
        """Gradients by run of the loss by `fields`.

        Raises:
            ScenarioError: a draw that is no coin of an agent, or one in an inner loop.
            FittingError: a field that acts otherwise than through coins, or differences between
                worlds that are not made of sums and products of coins.
        """
        check_fields(params, fields)
        roots = Roots(self.rate, self.floor)
        signature = (self, *parts_of(scenario), fields, steps, every)

        def look() -> tuple[World, int]:
            world = prepare(scenario, population, params, fields, keys[0], every)
            found = sizes(world, params, fields, roots, self.twins)
            return world, segment_length(steps, *found)

        shapes = tuple(np.shape(x) for x in jax.tree.leaves(params))
        world, length = keep(population, "lineage world", (*signature, shapes), look)

        def lineages(key: Array, params: Params) -> Lineages:
            at = {name: jnp.asarray(getattr(params, name)) for name in fields}
            here = replace(world, key=key).settle(params)
            return Lineages(here, params, at, roots, self.twins, steps, length)

        def run(key: Array, loss: Loss, params: Params) -> dict[str, Any]:
            mine = lineages(key, params)
            return mine.backward(mine.forward(), loss, every)

        tally = np.zeros(2)

        def check(first: int, batch: dict[str, Any]) -> None:
            nonlocal tally
            tally = tally + (batch["tally"].astype(np.float64) ** 2).sum(axis=(0, 2))
            self._refuse(batch, tally, first, first + 1 == len(keys), scenario.unit)

        shared = (as_tree(loss), jax.tree.map(jnp.asarray, params))
        found = map_lanes(population, "lineage", signature, run, keys, shared, 1, check)
        gradients = {name: found["gradient"][name] for name in fields}
        # The base and its direction, then twice its adjoint; twins forward, half way, and twice
        # back; what was not kept once more.
        again = (steps - 1) // length * length / steps
        sweeps = 4 + 4 * self.twins + again * (2 + self.twins)
        many = tuple(name for name in fields if np.size(np.asarray(getattr(params, name))) > 2)
        if many and self.smooth:
            gradients |= _smoothed(lineages, population, signature, keys, params, many, found)
            sweeps += 4  # base, chances half way, and two adjoints
        elements = sum(np.size(np.asarray(getattr(params, name))) for name in fields)
        if self.anchored and elements > 2:
            gradients = anchor(scenario, population, loss, keys, params, gradients, steps, every)
            sweeps += RUNS
        cost = float(len(keys)) * steps * population.capacity * sweeps
        return PerRun(gradients, found["value"].astype(np.float64), cost)

    def _refuse(
        self,
        found: dict[str, Any],
        tally: Float[np.ndarray, " 2"],
        run: int,
        last: bool,
        unit: str,
    ) -> None:
        """Stop at a run that left its bounds, or when differences are not understood.

        What is clear after the first run stops there, so that no more of a budget is spent.
        """
        for variable, steps in found["faults"].items():
            if steps[0] >= 0:
                raise SimulationError(
                    f"State.{variable} left its bounds or was not finite at {unit} {steps[0]} in "
                    f"run {run}"
                )
        left = float(np.sqrt(tally[0] / max(tally[1], 1e-30)))
        if not left <= self.unexplained * (1 if last else 2):
            raise FittingError(
                f"{left:.0%} of the differences between worlds are not sums and products of coins "
                "and state, such as a threshold or a count that is compared; lineage cannot "
                "differentiate this scenario: use differences"
            )


def _smoothed(
    lineages: Callable[[Array, Params], Lineages],
    population: Population,
    signature: tuple[Any, ...],
    keys: UInt32[Array, "run 2"],
    params: Params,
    fields: tuple[str, ...],
    found: dict[str, Any],
) -> dict[str, Any]:
    """Gradients by run of fields with many elements, each of which has few roots of its own."""
    worth, by_run = smooth(found["worth"])
    first, first_by_run = smooth(found["first"][:, None])

    def run(lane: Any, first: Array, worth: Array, params: Params) -> list[dict[str, Any]]:
        key, own_first, own = lane
        return lineages(key, params).alike([first, own_first], [worth, own])

    single = [x.astype(np.float32) for x in (first[0], worth, first_by_run[:, 0], by_run)]
    first, worth, *own = map(jnp.asarray, single)
    shared = (first, worth, jax.tree.map(jnp.asarray, params))
    alike, spread = map_lanes(
        population, "lineage, smooth", (*signature, fields), run, (keys, *own), shared, 1
    )
    direct = found["direct"]
    return {
        n: shrink(found["gradient"][n], alike[n] + direct[n], spread[n] + direct[n]) for n in fields
    }
