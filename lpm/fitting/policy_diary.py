"""A diary of a search for a policy: a row for every point that was looked at."""

from typing import Any

import numpy as np

from .lagrangian import Lagrangian
from .objective import Objective, Outputs, Points
from .policy_slopes import Point
from .watching import Watch

_KEPT = 6  # Points that are remembered as the best.


class Diary:
    """Keeps a row for every point that was looked at, and moves the bar."""

    def __init__(self, objective: Objective, lagrangian: Lagrangian, watch: Watch) -> None:
        self._objective, self._lagrangian, self._watch = objective, lagrangian, watch
        self.rows: list[dict[str, Any]] = []
        self._iteration, self._lowest = 0, np.inf
        self._best: list[tuple[float, float, Point]] = []

    def __call__(self, stage: str, points: Points, outputs: Outputs) -> None:
        """Note points and what came of them."""
        space, runs = self._objective.space, int(self._objective.runs)
        goals, excess = self._lagrangian.goals(outputs), self._lagrangian.excess(outputs)
        limits = self._lagrangian.constraints
        for start, flat in enumerate(space.flat(points)):
            head = {"stage": stage, "iteration": self._iteration, "start": start, "runs": runs}
            head |= {"worlds": outputs.shape[1], "welfare": -float(goals[start])}
            mean = excess[start].mean(axis=0)
            values = {
                c.name: c.limit + (c.sign or 1) * float(x)
                for c, x in zip(limits, mean, strict=True)
            }
            self.rows.append(head | values | dict(zip(space.labels, flat.tolist(), strict=True)))
        judged = zip(*self._lagrangian.judge(outputs), points, strict=True)
        found = [(float(excess), float(goal), point) for goal, excess, point in judged]
        self._best = sorted([*self._best, *found], key=lambda one: one[:2])[:_KEPT]
        self._iteration += 1
        self._lowest = min(self._lowest, float(goals.min()))
        self._watch(runs, self._lowest)

    @property
    def best(self) -> Points:
        """The best points so far, each as its own worlds have it, feasible ones first."""
        points = [point for _, _, point in self._best]
        return np.stack(points) if points else np.empty((0, self._objective.space.size))
