"""The contagion of texts: the table that moves it, one day against sums written out, its panel."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import lpm
from lpm import personas
from scenarios import isolation, text_contagion as model
from scenarios.text_contagion import NAMES, READ, answered_by, by_counts, by_people, only

TABLE = tomllib.loads(Path("scenarios/text_contagion.toml").read_text())["styles"]
QUIET = {"forgetting": 0.0, "outspoken": 0.0, "spacing": 1.0, "reach": [1.0], "seeded": 1.0}


def turned(scenario, agents, runs):
    """Share of believers that one correction turns, by style and run."""
    weights = np.stack([only(name) for name in NAMES])
    params = scenario.params.replace(**QUIET).replace(corrections=weights)
    town = scenario.population(agents, seed=1)
    run = lpm.ensemble(scenario, town, keys=list(range(runs)), params=params, steps=1, devices=1)
    return 1 - np.asarray(run.observed["believers"])[..., -1]


def wilson(yes, asked):
    ends = stats.binomtest(yes, asked).proportion_ci(0.95, method="wilson")
    return ends.low, ends.high


@pytest.fixture(scope="module")
def by_style():
    return turned(answered_by(by_counts), 100, 100)


def test_the_published_table_comes_back_with_its_intervals(by_style):
    """A hundred sceptics, as in the source, a hundred times over."""
    rates = np.array([style["yes"] / style["asked"] for style in TABLE.values()])
    held = []
    for rate, runs in zip(rates, by_style, strict=True):
        ends = np.array([wilson(round(x * 100), 100) for x in runs])
        held.append(((ends[:, 0] <= rate) & (rate <= ends[:, 1])).mean())
        low, high = wilson(round(rate * 100), 100)
        assert low < runs.mean() < high
    # 1,100 intervals of 95 %, whose true coverage at these rates is 0.93 to 0.98.
    assert 0.93 < np.mean(held) < 0.98
    assert np.abs(by_style.mean(axis=1) - rates).max() < 3.5 * 0.05 / np.sqrt(100)


def test_its_order_of_styles_is_not_that_of_people(by_style):
    people = {n: s["people"] for n, s in TABLE.items() if "people" in s}
    ours = dict(zip(NAMES, by_style.mean(axis=1), strict=True))
    found = stats.spearmanr([ours[n] for n in people], list(people.values()))
    assert len(people) == 9
    assert found.statistic == pytest.approx(0.383, abs=5e-4)
    assert found.pvalue == pytest.approx(0.31, abs=5e-3)


def test_human_strengths_in_its_place_have_the_order_of_people_and_leave_the_intervals():
    """The control: another table is told from the published one."""
    found = dict(zip(NAMES, turned(answered_by(by_people), 2_000, 4).mean(axis=1), strict=True))
    low, high = wilson(22, 100)
    assert found["knowledge"] == pytest.approx(0.185, abs=0.02)
    assert not wilson(65, 100)[0] < found["trust"] < wilson(65, 100)[1]
    people = {n: s["people"] for n, s in TABLE.items() if "people" in s}
    assert stats.spearmanr([found[n] for n in people], list(people.values())).statistic > 0.95
    assert low < found["knowledge"] < high  # plain text and knowledge happen to keep their places


def crooked(cells):
    """A table without any regularity."""
    size = len(cells) * 2 * len(NAMES) * (READ + 1)
    chance = (np.arange(size) * 0.6180339 % 1).reshape(len(cells), 2, len(NAMES), READ + 1)
    return model.table(0.02 + 0.9 * chance)


def test_a_day_is_the_sum_over_all_that_each_may_read():
    """On a network, against binomial sums over its neighbours, person by person."""
    scenario = answered_by(crooked, feed=model.friends)
    town = scenario.population(60, seed=2)
    spin, answer = np.arange(1.0, 12.0) / 11, np.arange(11.0, 0.0, -1) / 11
    params = scenario.params.replace(
        falsehoods=spin, corrections=answer, outspoken=0.4, forgetting=0.2, reach=[0.5], spacing=1.0
    ).replace(retrieval=0.3, storing=0.5, seeded=0.4, curation=0.25)
    runs = [
        lpm.simulate(
            scenario,
            town,
            key=3,
            params=params,
            steps=steps,
            snapshots=[0],
            estimator=estimator,
            devices=1,
        )
        for steps, estimator in ((1, "mean_field"), (2, "mean_field"))
    ]
    before, after, later = (
        np.asarray(x.believes, float) for x in (runs[0].snapshots[0], runs[0].state, runs[1].state)
    )
    ties = np.zeros((60, 60))
    rows = np.asarray(runs[0].state.feed.neighbours)
    for i, row in enumerate(rows):
        ties[i, row[row < 60]] = 1
    for row, owner in zip(
        np.asarray(runs[0].state.feed.extra), np.asarray(runs[0].state.feed.owner), strict=True
    ):
        if owner < 60:
            ties[owner, row[row < 60]] = 1
    assert (ties == ties.T).all()
    cells = personas.cells_of(town, model.ARCHETYPES)
    odds = np.asarray(crooked(cells).mean, float)[..., 0]
    share = 1 / (1 + np.exp(-odds))
    memory = np.zeros(60)
    now = before
    for expected in (after, later):
        now, memory = day(now, memory, ties, share, cells.cell_of, spin, answer)
        # float32: a few sums of eleven and four terms.
        np.testing.assert_allclose(expected, now, atol=3e-6)
    np.testing.assert_allclose(np.asarray(runs[1].state.memory), memory, atol=1e-6)


def day(now, memory, ties, share, cell_of, spin, answer):
    degree = ties.sum(axis=1)
    new = np.zeros(60)
    seen = np.where(degree > 0, ties @ now / np.maximum(degree, 1), 0)
    for i in range(60):
        doubt, hold = share[cell_of[i]]
        deny = 0.4 * (1 - seen[i]) * (degree[i] > 0)
        p = stats.binom.pmf(np.arange(READ + 1), READ, seen[i])
        q = stats.binom.pmf(np.arange(READ + 1), READ, deny)
        misled = (spin / spin.sum()) @ doubt @ p
        dropped = (answer / answer.sum()) @ hold @ q
        misled = 1 - (1 - misled) * np.exp(-0.3 * memory[i])
        dropped = 1 - (1 - dropped) * np.exp(-0.2)
        new[i] = now[i] + (1 - now[i]) * misled - now[i] * dropped
        new[i] *= 1 - 0.5 * (answer / answer.sum()) @ hold[:, 1]
    return new, memory * 0.75 + 0.5 * seen


def deaf(cells):
    """Nobody is misled; a correction turns 22 of a hundred."""
    chance = np.zeros((len(cells), 2, len(NAMES), 2))
    chance[:, model.BELIEVING, :, 1] = 0.22
    return model.table(chance)


def test_corrections_come_on_the_days_that_pass_a_multiple_of_their_spacing():
    scenario = answered_by(deaf)
    still = scenario.params.replace(**QUIET).replace(spacing=2.5, reach=[1.0, 0.0, 0.5])
    run = lpm.simulate(
        scenario,
        scenario.population(400),
        key=0,
        params=still,
        steps=11,
        estimator="mean_field",
        devices=1,
    )
    left = np.asarray(run.observed["believers"], float)
    rate = 0.22
    # Days 3, 5, 8 and 10 pass 2.5, 5, 7.5 and 10; the second reaches nobody, the last two half.
    steps = np.ones(11)
    steps[[2, 7, 9]] = 1 - rate, 1 - rate / 2, 1 - rate / 2
    np.testing.assert_allclose(left, np.cumprod(steps), rtol=1e-5)


def test_guardians_never_believe_it_and_the_rest_may():
    params = model.scenario.params.replace(
        guardians=0.5, falsehoods=only("trust"), reach=[0.0], seeded=0.2
    )
    run = lpm.simulate(
        model.scenario, lpm.Population.toy(2_000), key=1, params=params, steps=20, devices=1
    )
    believes, free = np.asarray(run.state.believes) > 0, np.asarray(run.state.open) > 0
    assert not believes[~free].any()
    assert believes[free].mean() > 0.8


@pytest.fixture(scope="module")
def interview():
    """A panel whose answers are a rule of the words it is asked in."""
    cells = personas.cells_of(lpm.Population.toy(300, seed=1), model.ARCHETYPES)
    return cells, personas.ask(model.questions(cells), Clerk())


class Clerk:
    about = personas.About("clerk", "clerk-1", "scripted", False)

    def reply(self, questions):
        return [self.one(question) for question in questions]

    def one(self, question):
        prompt, text = question.prompt, question.persona.text
        style = next(i for i, s in enumerate(TABLE.values()) if s["words"] in prompt)
        base = 10 * ("under 30" in text) + 5 * ("do not believe" in prompt) + style
        found = [
            f'"keep_{k}": {99 - base - 20 * k}, "change_{k}": {base + 20 * k + 1}' for k in range(3)
        ]
        return personas.Reply(text="{" + ", ".join(found) + "}", finish="stop")


def test_answers_of_a_panel_take_the_place_of_the_counts(interview):
    cells, answers = interview
    assert len(answers.questions) == len(cells) * 2 * 11
    surface = model.by_answers(answers)(cells)
    share = np.asarray(personas.shares_of(surface.mean))[..., 1]
    young = next(i for i in range(len(cells)) if "under 30" in cells.describe(i))
    for cell in range(len(cells)):
        for side in (0, 1):
            for style in range(11):
                k = np.arange(3)
                whole = 10 * (cell == young) + 5 * (side == 0) + style + 20 * k + 1
                smoothed = (whole + 0.5) / 101  # half a person of a hundred
                np.testing.assert_allclose(share[cell, side, style, 1:], smoothed, rtol=1e-5)
    assert (share[..., 0] < 1e-12).all()
    scenario = answered_by(model.by_answers(answers))
    run = lpm.simulate(scenario, lpm.Population.toy(300, seed=1), key=0, steps=3, devices=1)
    assert 0 < float(run.observed["believers"][-1]) < 1


def test_a_panel_of_other_people_or_questions_is_refused(interview):
    _, answers = interview
    other = answered_by(
        model.by_answers(answers),
        bands=(*model.ARCHETYPES, personas.Band("id", "persona", (1.0,), ("A.", "B."))),
    )
    with pytest.raises(lpm.PersonaError, match=r"answers for 3 cells.*wanted 6 cells"):
        lpm.simulate(other, lpm.Population.toy(300), key=0, steps=1)

    def unasked(cells):
        return personas.surface_of(
            personas.read_rules("isolation").ask(
                personas.cells_of(lpm.Population.toy(300), isolation.PERSONAS),
                {"prevalence": (0.0, 1.0), "trend": (0.0, 1.0), "payment": (0.0, 1.0)},
            )
        )

    with pytest.raises(lpm.PersonaError, match="wanted 3 cells"):
        lpm.simulate(answered_by(unasked), lpm.Population.toy(300), key=0, steps=1)


def test_the_table_says_where_it_is_from():
    text = Path("scenarios/text_contagion.toml").read_text()
    for word in ("arXiv:2312.15523", "Evidence:", "Transcribed:", "Traps:"):
        assert word in text
    assert all(style["asked"] == 100 for style in TABLE.values())
    assert "illustrative" in (model.__doc__ or "")
