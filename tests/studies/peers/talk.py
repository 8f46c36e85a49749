"""How a fitting package in an environment of its own asks the study for runs: lines of JSON.

The first line received is the task; each line sent asks for runs at some points or tells an
estimate; the last one ends the talk. Whatever the package prints goes to the standard error.
"""

import json
import os
import sys

import numpy as np


class Talk:
    """One task, and the runs asked for so far."""

    def __init__(self):
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.task = json.loads(sys.stdin.readline())
        self.lower, self.upper = np.array(self.task["lower"]), np.array(self.task["upper"])
        self.size, self.seed = len(self.lower), self.task["seed"]
        self.observed = [np.array(one) for one in self.task["observed"]]
        self.budgets, self.runs = self.task["budgets"], 0

    def run(self, points):
        """[point, 2, datum]: what each run expects, and data drawn from that."""
        points = np.atleast_2d(np.asarray(points, float))
        self._send({"points": points.tolist()})
        self.runs += len(points)
        return np.array(json.loads(sys.stdin.readline()))

    def tell(self, estimate, runs=None, number=0):
        """An estimate for one of the observed, and the runs that went into it."""
        runs = self.runs if runs is None else runs
        found = np.asarray(estimate, float).tolist()
        self._send({"estimate": found, "runs": int(runs), "number": number})

    def end(self):
        self._send({"end": True})

    def _send(self, what):
        self._out.write(json.dumps(what) + "\n")
        self._out.flush()


def tell_best(talk, points, losses):
    """The best point among the first so many, for each budget."""
    for budget in talk.budgets:
        if budget <= len(losses):
            best = int(np.argmin(losses[:budget]))
            talk.tell(points[best], runs=budget)
    talk.end()
