"""What asking New York takes: by the personas, whatever the number of agents."""

import pytest

from lpm.personas import (
    Band,
    Http,
    Inquiry,
    Plan,
    cells_of,
    choose_anchors,
    personas_of,
    plan,
)
from lpm.population import new_york

BANDS = (
    Band(
        "age",
        "age",
        (18.0, 35.0, 50.0, 65.0),
        ("You are a child.", "You are 18 to 34.", "You are 35 to 49.", "You are 50 to 64.", "Old."),
    ),
    Band("work", "employed", (1.0,), ("You do not work.", "You go out to work."), (0.0, 1.0)),
    Band("sex", "sex", (1.0,), ("You are of the first sex.", "You are of the second.")),
    Band(
        "borough",
        "borough",
        (1.0, 2.0, 3.0, 4.0),
        ("In the first.", "In the second.", "In the third.", "In the fourth.", "In the fifth."),
    ),
)
SAID = (
    "You have been told that you are infected. How many of 100 people like these would stay at "
    "home for a week, at each level of how many in town are ill?",
    "You have just heard that you carry the infection. Of 100 people like these, how many would "
    "not leave the house for seven days, at each level of illness in town?",
    "A test says that you are infected. Say for each level of illness in town how many of 100 "
    "people like these would keep to their home for a week.",
)
KNOTS = {"ill": (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}
ACTIONS = ("go out", "stay at home")


def planned(agents: int, along: bool) -> Plan:
    """64 anchors, 8 levels, 3 wordings; all levels in one prompt, or each in its own."""
    cells = cells_of(new_york(agents, seed=1), BANDS)
    people = personas_of(cells, choose_anchors(cells, 64).cell)
    single = Inquiry(KNOTS, tuple(f"{said} Ill are {{ill:.1%}}." for said in SAID), ACTIONS)
    asked = (curves() if along else single).questions(people)
    return plan(asked, Http("a-model", "http://127.0.0.1:9/v1"))


def curves() -> Inquiry:
    return Inquiry(KNOTS, SAID, ACTIONS, along="ill", level="where {ill:.1%} are ill")


@pytest.mark.parametrize(("along", "calls"), [(True, 192), (False, 1536)])
def test_an_elicitation_of_new_york_stays_below_two_thousand_calls(along, calls):
    """64 x 3 with all eight levels in one prompt, 64 x 8 x 3 with one each; agents do not enter."""
    pytest.importorskip("openai", reason="Http needs it: pip install 'lpm[personas]'")
    few, many = planned(10_000, along), planned(40_000, along)
    assert few.calls == many.calls == calls < 2000
    tokens = few.once.tokens
    assert abs(many.once.tokens - tokens) < 0.02 * tokens  # Other cells, other words.
    print(f"{calls} calls, {tokens:,} tokens at the most")


def test_more_anchors_are_more_calls():
    """The control: the count is of what is asked, and not a constant."""
    cells = cells_of(new_york(10_000, seed=1), BANDS)
    asked = [
        len(curves().questions(personas_of(cells, chosen.cell)))
        for chosen in (choose_anchors(cells, 32), choose_anchors(cells, 64))
    ]
    assert asked == [96, 192]
