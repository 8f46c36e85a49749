"""A diary of a search for a policy: a row for every point that was looked at."""

from typing import Any

import numpy as np

from .lagrangian import Lagrangian
from .objective import Objective, Outputs, Points
from .watching import Watch


class Diary:
    """Keeps a row for every point that was looked at, and moves the bar."""

    def __init__(self, objective: Objective, lagrangian: Lagrangian, watch: Watch) -> None:
        self._objective, self._lagrangian, self._watch = objective, lagrangian, watch
        self.rows: list[dict[str, Any]] = []
        self._iteration, self._lowest = 0, np.inf

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
        self._iteration += 1
        self._lowest = min(self._lowest, float(goals.min()))
        self._watch(runs, self._lowest)
