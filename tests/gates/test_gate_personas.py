"""Does a small survey mend a biased panel, leave a right one alone, and refuse to mend noise?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lpm.personas import correct
from tests.gates import teachers

pytestmark = pytest.mark.gate

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


def passes(seen: dict[str, float]) -> bool:
    """What the gate asks of a teacher that is wrong."""
    return (
        seen["fall"] >= 0.8
        and 0.8 <= seen["variance ratio"] <= 1.25
        and 0.85 <= seen["coverage of 90 %"] <= 0.95
    )


def tell(report: Callable[..., None], what: str, seen: dict[str, float]) -> None:
    for name, value in seen.items():
        report(f"{what}: {name}", value)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_small_survey_mends_a_biased_panel_where_nobody_was_asked(report, share):
    seen = measure(teachers.biased, share)
    tell(report, f"biased, survey of {share:.0%}", seen)
    assert passes(seen), seen


def test_two_thousand_answers_mend_most_of_it_and_say_how_sure_they_are(report):
    """The limit: some six answers at each level of a cell. Intervals hold, the fall is less."""
    seen = measure(teachers.biased, 0.005)
    tell(report, "biased, 2,000 answers", seen)
    assert not passes(seen)
    assert seen["fall"] > 0.6
    assert seen["coverage of 90 %"] >= 0.85


def test_48_anchors_are_mended_less_and_intervals_hold(report):
    """The limit: what ridge regression cannot foretell of a cell stays in its bias."""
    seen = measure(teachers.biased, 0.02, teachers.elicit_few)
    tell(report, "48 anchors", seen)
    assert seen["fall"] > 0.6
    assert 0.8 <= seen["variance ratio"] <= 1.25
    assert 0.85 <= seen["coverage of 90 %"] <= 0.95


def test_a_right_panel_is_left_alone(report):
    seen = measure(teachers.right, 0.02)
    tell(report, "right", seen)
    # A survey of 8,000 adds luck of its own: a tenth of the panel's error, or 0.3 points of bias.
    assert seen["error of a cell after"] <= 1.1 * seen["error of a cell before"]
    assert seen["bias after"] <= seen["bias before"] + 0.003
    assert 0.8 <= seen["variance ratio"] <= 1.25
    assert seen["coverage of 90 %"] >= 0.85


def test_a_teacher_of_noise_fails_the_gate(report):
    """The control: what the survey alone can tell is not enough to pass."""
    seen = measure(teachers.noise, 0.02)
    tell(report, "noise", seen)
    assert not passes(seen), seen
    assert seen["fall"] < 0.7
    assert seen["error of a cell after"] > 2 * 0.05
