"""Does a small survey mend a biased panel, leave a right one alone, and refuse to mend noise?"""

from collections.abc import Callable

import pytest

from tests.gates import teachers
from tests.gates.behaviour import alone, measure, mends, passes

pytestmark = pytest.mark.gate


def tell(report: Callable[..., None], what: str, seen: dict[str, float]) -> None:
    for name, value in seen.items():
        report(f"{what}: {name}", value)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_small_survey_mends_a_biased_panel_where_nobody_was_asked(report, share):
    seen = measure(teachers.biased, share)
    tell(report, f"biased, survey of {share:.0%}", seen)
    report(f"survey of {share:.0%} alone: error of a cell after", alone(share))
    assert passes(seen, share), seen


def test_two_thousand_answers_mend_most_of_it_and_say_how_sure_they_are(report):
    """The limit: some six answers at each level of a cell. Intervals hold, the fall is less."""
    seen = measure(teachers.biased, 0.005)
    tell(report, "biased, 2,000 answers", seen)
    assert not mends(seen)
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
    assert not mends(seen), seen
    assert seen["fall"] < 0.7
    assert seen["error of a cell after"] > 2 * 0.05


def test_one_answer_for_everybody_fails_by_the_error_of_a_cell_alone(report):
    """The control of that condition: what is far off falls far by the survey alone."""
    seen = measure(teachers.right, 0.02, teachers.one_answer)
    tell(report, "one answer for all", seen)
    assert mends(seen), seen
    assert not passes(seen, 0.02), seen
