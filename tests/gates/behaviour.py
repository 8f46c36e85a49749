"""What the gate measures of a panel: whether a small survey mends it where nobody was asked."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from lpm.personas import correct
from tests.gates import teachers

TOWNS = 10
Z90 = 1.6449  # of the standard normal


def measure(
    teacher: Callable[..., Any], share: float, elicit: Callable[..., Any] = teachers.elicit
) -> dict[str, float]:
    """Over ten towns, on the cells left out of the survey."""
    before, after, ratios, covered, errors = [], [], [], [], []
    for seed in range(TOWNS):
        here = teachers.town(500 + seed)
        panel = elicit(here, teacher(here))
        survey, left = teachers.ask_people(here, share)
        found = correct(panel, survey, teachers.FEATURES, weights=here.weight)
        odds, spread = (np.asarray(x)[..., 0] for x in (found.surface.mean, found.surface.spread))
        before.append(teachers.bias_of(panel.mean[..., 0], here, left))
        after.append(teachers.bias_of(odds, here, left))
        true = teachers.share_of(here.truth)[left]
        drawn = teachers.share_of(found.draw(seed).mean[..., 0])[left]
        ratios.append(drawn.var(axis=0).mean() / true.var(axis=0).mean())
        covered.append((np.abs(odds - here.truth)[left] < Z90 * spread[left]).mean())
        pair = (teachers.share_of(panel.mean[..., 0])[left], teachers.share_of(odds)[left])
        errors.append([np.sqrt(((each - true) ** 2).mean()) for each in pair])
    was, now = np.mean(errors, axis=0)
    return {
        "bias before": float(np.mean(before)),
        "bias after": float(np.mean(after)),
        "fall": 1 - float(np.mean(after) / np.mean(before)),
        "variance ratio": float(np.mean(ratios)),
        "coverage of 90 %": float(np.mean(covered)),
        "error of a cell before": float(was),
        "error of a cell after": float(now),
    }


@cache
def alone(share: float) -> float:
    """Error of a cell that such a survey leaves of a panel that says the same of everybody."""
    return measure(teachers.right, share, teachers.one_answer)["error of a cell after"]


def adds(seen: dict[str, float], share: float) -> bool:
    """Whether the panel knew anything: at most four fifths of what the survey alone leaves.

    One answer for everybody is far off, so that its bias falls far by the survey alone.
    """
    return seen["error of a cell after"] <= 0.8 * alone(share)


def passes(seen: dict[str, float], share: float) -> bool:
    """What the gate asks of a teacher that is wrong, after a survey of a share of the people."""
    return mends(seen) and adds(seen, share)


def mends(seen: dict[str, float]) -> bool:
    """What any panel is asked that a survey mends, whatever the panel knew."""
    return (
        seen["fall"] >= 0.8
        and 0.8 <= seen["variance ratio"] <= 1.25
        and 0.85 <= seen["coverage of 90 %"] <= 0.95
    )


def unharmed(seen: dict[str, float]) -> bool:
    """What it asks of one that is right as it is: a bias of 3 points, and nothing made worse."""
    return (
        seen["bias before"] <= 0.03
        and seen["bias after"] <= seen["bias before"] + 0.003
        and seen["error of a cell after"] <= 1.1 * seen["error of a cell before"]
        and 0.8 <= seen["variance ratio"] <= 1.25
        and seen["coverage of 90 %"] >= 0.85
    )
