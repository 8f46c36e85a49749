"""A search for a policy in a model of all runs so far, where no gradient can be followed."""

import numpy as np
from jaxtyping import Float

from .chance import generator_for
from .lagrangian import Lagrangian
from .objective import Objective, Outputs, Points
from .policy_slopes import First, Tell
from .surrogate import Region, best_of, learn_surrogate, propose

_AT_ONCE, _KEPT = 4, 300  # Points of the model in each round, and at most behind it.
_ENDS = 6  # Points that deserve a closer look.
_GROWN = 1.2  # Its hyperparameters are learnt again when it has grown by so much.


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
    `points` and `outputs` are those of the screen; further points are seen in all worlds. The
    model sees policies in the units of their fields, where welfare is smoother than in numbers
    without bounds, and where several of these mean the same.
    """
    rng = generator_for(objective.words, "gaussian process")
    worlds, end = objective.worlds, objective.runs + runs
    region = Region.about(points, objective.space.flat)

    def see(z: Points) -> Float[np.ndarray, " point"]:
        found = objective.evaluate(z)
        tell("model", z, found)
        return lagrangian.goals(found)

    values = lagrangian.goals(outputs)
    z, values = points[np.isfinite(values)], values[np.isfinite(values)]
    noisy = np.full(len(z), worlds / outputs.shape[1])
    # The screen saw other worlds, with other luck: what all share of it is taken off.
    top = np.argsort(values)[: int(np.clip(runs / worlds / 4, 1, 4))]
    again = see(z[top])
    top, again = top[np.isfinite(again)], again[np.isfinite(again)]
    if len(top):
        values = np.append(values + np.mean(again - values[top]), again)
        z, noisy = np.concatenate([z, z[top]]), np.append(noisy, np.ones(len(top)))
    logs, learnt = None, 0
    while True:
        keep = np.argsort(values)[:_KEPT]
        if len(keep) >= _GROWN * learnt:
            logs, learnt = None, len(keep)
        found = learn_surrogate(region.scaled(z[keep]), values[keep], noisy[keep], logs)
        logs = found.logs
        if objective.runs + _AT_ONCE * worlds > end:
            return best_of(found, region, z[keep], rng, _ENDS)
        more = propose(found, region, z[keep], rng, _AT_ONCE)
        seen = see(more)
        fine = np.isfinite(seen)
        z, values = np.concatenate([z, more[fine]]), np.append(values, seen[fine])
        noisy = np.append(noisy, np.ones(int(fine.sum())))
