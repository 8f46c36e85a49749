"""The isolation scenario: decisions as the card says, and the gradient that crosses the panel."""

import numpy as np

import lpm
from lpm import personas
from scenarios import isolation
from scenarios.isolation import KNOTS, PERSONAS, STAY, answered_by, scenario

TOWN = lpm.Population.toy(400, seed=3)


def level(share):
    """A panel that answers the same always: the heuristic without a response."""
    odds = np.log(share / (1 - share))
    shape = tuple(len(levels) for levels in KNOTS.values())

    def panel(cells):
        mean = np.full((len(cells), *shape, 1), odds)
        return personas.make_surface(mean, 0.1, KNOTS, ("go out as usual", STAY))

    return panel


def test_the_told_stay_at_home_as_often_as_the_card_says_of_their_cell():
    town = lpm.Population.toy(6_000, seed=4)
    params = scenario.params.replace(seeded=0.5, told=1.0, payment=0.0, home=0, work=0, community=0)
    run = lpm.simulate(scenario, town, key=1, params=params, steps=1, snapshots=[0], devices=1)
    state = run.state
    assert isinstance(state, isolation.State)
    seeds = np.asarray(run.snapshots[0].infectious) > 0
    # Nothing happened before them, so the trend is 0; recovery takes both kinds alike.
    stay = np.asarray(state.isolated)[seeds]
    out = np.asarray(state.infectious)[seeds]
    cells = personas.cells_of(town, PERSONAS)
    rules = personas.read_rules("isolation")
    odds, _ = rules.log_odds(
        cells, {"prevalence": (0.3, 1.0), "trend": (0.0, 1.0), "payment": (0.0, 1.0)}
    )
    other, _ = rules.log_odds(
        cells, {"prevalence": (1.0, 2.0), "trend": (0.0, 1.0), "payment": (0.0, 1.0)}
    )
    # The panel was asked at 0.3 and 1 of prevalence; the truth is half, between the two.
    low, high = (1 / (1 + np.exp(-x[cells.cell_of, 0, 0, 0][seeds])) for x in (odds, other))
    left = stay + out > 0
    for who in (cells.value("work")[cells.cell_of][seeds] == w for w in (0, 1)):
        share = stay[left & who].mean()
        error = np.sqrt(share * (1 - share) / (left & who).sum())
        assert low[left & who].mean() - 3.5 * error < share < high[left & who].mean() + 3.5 * error
    assert 0.01 < (high - low).mean() < 0.08


def test_without_anyone_told_the_panel_does_not_matter():
    nobody = {"told": 0.0, "seeded": 0.02}
    runs = [
        lpm.simulate(s, TOWN, key=5, params=s.params.replace(**nobody), steps=20, devices=1)
        for s in (scenario, answered_by(level(0.9)))
    ]
    assert np.array_equal(*(run.observed["attack_rate"] for run in runs))
    assert not runs[0].observed["isolated"].any()


def test_who_stays_at_home_infects_the_household_alone():
    everyone = answered_by(level(1 - 1e-6))
    params = everyone.params.replace(told=1.0, seeded=0.1, home=0.0)
    run = lpm.simulate(everyone, TOWN, key=6, params=params, steps=12, devices=1)
    first = run.observed["attack_rate"][0]
    params = params.replace(work=0.0, community=0.0, home=0.2)
    at_home = lpm.simulate(everyone, TOWN, key=6, params=params, steps=12, devices=1)
    # Decisions come first in a day, so nobody who is told ever goes out.
    assert (run.observed["attack_rate"] == first).all()
    assert at_home.observed["attack_rate"][-1] > first


def test_prevalence_beyond_the_levels_asked_is_flagged():
    low = {**KNOTS, "prevalence": (0.0, 0.003, 0.01)}

    def panel(cells):
        return personas.surface_of(personas.read_rules("isolation").ask(cells, low), out_of=np.inf)

    model = answered_by(panel)
    run = lpm.simulate(model, TOWN, key=1, params=model.params.replace(seeded=0.1), steps=2)
    assert run.observed["beyond"].tolist() == [1.0, 1.0]
    inside = lpm.simulate(scenario, TOWN, key=1, steps=2)
    assert inside.observed["beyond"].tolist() == [0.0, 0.0]


def test_the_purpose_says_what_is_illustrative():
    text = isolation.__doc__ or ""
    assert "not a language model" in text
    assert "illustrative" in text
