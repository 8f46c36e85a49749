"""How much somebody could still gain by acting otherwise, found by a solver of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from ..errors import DataError

Actions: TypeAlias = Float[np.ndarray, " asked"]
Utility: TypeAlias = Callable[[Actions, Int[np.ndarray, " asked"]], Actions]

_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Gap:
    """What each of a sample of agents could gain alone.

    Attributes:
        agents: their indices.
        actions: what they do.
        best: what would be best for them.
        gains: utility at the best less utility as it is; never far below 0.
        scale: typical size of utility in the sample, to judge gains by.
    """

    agents: Int[np.ndarray, " asked"]
    actions: Actions
    best: Actions
    gains: Actions
    scale: float

    @property
    def exploitability(self) -> float:
        """Mean gain over the scale: 0 where nobody can do better."""
        return float(np.maximum(self.gains, 0).mean() / self.scale)

    @property
    def largest(self) -> float:
        """The largest gain over the scale."""
        return float(self.gains.max() / self.scale)

    def __str__(self) -> str:
        worst = int(np.argmax(self.gains))
        return (
            f"{len(self.agents)} agents could gain {self.exploitability:.2g} of utility on average "
            f"and {self.largest:.2g} at most, agent {self.agents[worst]} by doing "
            f"{self.best[worst]:.4g} instead of {self.actions[worst]:.4g}"
        )


def best_response_gap(
    utility: Utility,
    actions: Float[np.ndarray, " agent"],
    low: float,
    high: float,
    *,
    agents: Int[np.ndarray, " asked"],
    points: int = 401,
    refine: int = 40,
) -> Gap:
    """What agents could gain by another action while all others keep theirs.

    All of [low, high] is searched on a grid in double precision, and the best cell and its
    neighbours are narrowed down by golden sections: kinks and several peaks do no harm as long as
    they are wider than the grid. This is not how a scenario finds its actions, and so it can tell.

    Args:
        utility: of an action of each of some agents, given their indices; others are as they are.
        actions: what everybody does, [agent].
        low: least action.
        high: largest action.
        agents: indices of those to ask, such as a random sample.
        points: of the grid.
        refine: golden sections.

    Raises:
        DataError: nobody to ask, an empty range, or a utility that is not finite.
    """
    if not len(agents) or not low < high or points < 3:
        raise DataError(
            f"{len(agents)} agents, actions from {low} to {high}, {points} points; give one agent, "
            "a range and three points at least"
        )
    now = _evaluate(utility, actions[agents].astype(np.float64), agents)
    grid = np.linspace(low, high, points)
    values = np.stack([_evaluate(utility, np.full(len(agents), x), agents) for x in grid])
    top = values.argmax(axis=0)
    left, right = grid[np.maximum(top - 1, 0)], grid[np.minimum(top + 1, points - 1)]
    best, most = grid[top], values.max(axis=0)
    for _ in range(refine):
        width = _GOLDEN * (right - left)
        inner = right - width, left + width
        a, b = (_evaluate(utility, x, agents) for x in inner)
        for x, value in zip(inner, (a, b), strict=True):
            best, most = np.where(value > most, x, best), np.maximum(value, most)
        left, right = np.where(a < b, inner[0], left), np.where(a < b, right, inner[1])
    scale = float(np.abs(now).mean()) or 1.0
    return Gap(agents, actions[agents].astype(np.float64), best, most - now, scale)


def _evaluate(utility: Utility, at: Actions, agents: Int[np.ndarray, " asked"]) -> Actions:
    values = np.asarray(utility(at, agents), np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"the utility of agent {agents[bad[0]]} is {values[bad[0]]} at action {at[bad[0]]:g}"
        )
    return values
