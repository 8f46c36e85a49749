"""A search for a policy in a model of all runs so far, where no gradient can be followed."""

import numpy as np
from jaxtyping import Float

from .chance import generator_for
from .lagrangian import Lagrangian
from .objective import Objective, Outputs, Points
from .policy_slopes import First, Tell
from .surrogate import best_of, learn_surrogate, propose

_AT_ONCE, _KEPT = 4, 300  # Points of the model in each round, and at most behind it.
_ENDS = 6  # Points that deserve a closer look.
_GROWN = 1.2  # Its hyperparameters are learnt again when it has grown by so much.
_MARGIN = 0.2  # How far it may look beyond the screen, in its standard deviations.


def model(
    objective: Objective,
    lagrangian: Lagrangian,
    tell: Tell,
    points: Points,
    outputs: Outputs,
    runs: float,
) -> First:
    """Points worth a closer look under a Gaussian process, after about so many runs.

    Every run stays in use, where a path along noisy differences forgets what it has seen.
    `points` and `outputs` are those of the screen; further points are seen in all worlds.
    """

    def see(x: Points) -> Float[np.ndarray, " point"]:
        found = objective.evaluate(centre + width * x)
        tell("model", centre + width * x, found)
        return lagrangian.goals(found)

    rng = generator_for(objective.words, "gaussian process")
    worlds, end = objective.worlds, objective.runs + runs
    centre, width = points.mean(axis=0), points.std(axis=0) + 1e-9
    x, values = (points - centre) / width, lagrangian.goals(outputs)
    low, high = x.min(axis=0) - _MARGIN, x.max(axis=0) + _MARGIN
    x, values = x[np.isfinite(values)], values[np.isfinite(values)]
    noisy = np.full(len(x), worlds / outputs.shape[1])
    # The screen saw other worlds, with other luck: what all share of it is taken off.
    top = np.argsort(values)[: int(np.clip(runs / worlds / 4, 1, 4))]
    again = see(x[top])
    top, again = top[np.isfinite(again)], again[np.isfinite(again)]
    if len(top):
        values = np.append(values + np.mean(again - values[top]), again)
        x, noisy = np.concatenate([x, x[top]]), np.append(noisy, np.ones(len(top)))
    logs, learnt = None, 0
    while True:
        keep = np.argsort(values)[:_KEPT]
        if len(keep) >= _GROWN * learnt:
            logs, learnt = None, len(keep)
        found = learn_surrogate(x[keep], values[keep], noisy[keep], logs)
        logs = found.logs
        if objective.runs + _AT_ONCE * worlds > end:
            return centre + width * best_of(found, rng, _ENDS, low, high)
        more = propose(found, rng, _AT_ONCE, low, high)
        seen = see(more)
        fine = np.isfinite(seen)
        x, values = np.concatenate([x, more[fine]]), np.append(values, seen[fine])
        noisy = np.append(noisy, np.ones(int(fine.sum())))
