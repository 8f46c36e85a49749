"""One question about a response surface: every prompt it makes, and the replies read back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lpm.errors import PersonaError
from lpm.personas import (
    About,
    Inquiry,
    Number,
    Persona,
    Reply,
    Settings,
    ask,
    log_odds,
    read_rules,
)
from lpm.personas.question import insert
from lpm.population.seeds import generator

CELLS = 5
KNOTS = {"cases": (0.0, 0.1, 0.3, 1.0), "pay": (0.0, 1.0)}
PEOPLE = tuple(Persona(f"cell {i}", f"You are of group {i}.", i + 1.0) for i in range(CELLS))
WORDINGS = ("At {cases:.2f} ill and {pay:.1f} paid?", "{pay:.1f} paid, {cases:.2f} ill?")
ACTIONS = ("go out", "stay at home", "leave town")
SHARES = generator(2).dirichlet(np.full(3, 0.8), (CELLS, 4, 2))
COUNTS = np.floor(100 * SHARES).astype(int) + 1


class Table:
    """Answers from a table of counts, found by the persona's words and what the prompt tells."""

    about = About("a table", "table-1", "rules", False, 2)

    def reply(self, questions):
        return [self.one(question) for question in questions]

    def one(self, question):
        cell = int(question.persona.text.rstrip(".").split()[-1])
        levels = question.codebook.at or ({},)
        said = {}
        for k, level in enumerate(levels):
            told = {**question.values, **level}
            at = tuple(KNOTS[name].index(told[name]) for name in KNOTS)
            end = f"_{k}" if question.codebook.at else ""
            for action, count in zip(ACTIONS, COUNTS[(cell, *at)], strict=True):
                said[action.replace(" ", "_") + end] = int(count)
        return Reply(json.dumps({name: said[name] for name in question.codebook.names}), "stop")


def curve(along, **more):
    others = " and ".join(f"{{{name}:.2f}}" for name in KNOTS if name != along)
    said = (f"At {others}?", f"Say {others}. And then?")
    return Inquiry(KNOTS, said, ACTIONS, along=along, level=f"{{{along}:.1f}}", **more)


@pytest.mark.parametrize("orders", [1, 2])
@pytest.mark.parametrize("along", [None, "cases", "pay"])
def test_every_reply_finds_its_place_whatever_is_asked_along(along, orders):
    """Axes are persona, cases, pay, wording, order, action; shares those of the table."""
    inquiry = Inquiry(KNOTS, WORDINGS, ACTIONS, orders=orders) if along is None else curve(along)
    inquiry = replace(inquiry, orders=orders)
    asked = inquiry.questions(PEOPLE)
    prompts = CELLS * 8 / (1 if along is None else len(KNOTS[along]))
    assert len(asked) == prompts * 2 * orders
    found = inquiry.answers(ask(asked, Table()))
    wanted = COUNTS / COUNTS.sum(axis=-1, keepdims=True)
    assert found.values.shape == (CELLS, 4, 2, 2, orders, 3)
    assert np.abs(found.values - wanted[:, :, :, None, None]).max() < 1e-12
    assert found.actions == ACTIONS


def test_orders_and_wordings_are_prompts_of_their_own():
    asked = Inquiry(KNOTS, WORDINGS, ACTIONS, orders=2).questions(PEOPLE[:1])
    assert len({q.key("m") for q in asked}) == len(asked) == 32
    assert [q.codebook.names[0] for q in asked[:2]] == ["go_out", "leave_town"]
    assert asked[0].prompt.index("go out") < asked[0].prompt.index("leave town")
    assert asked[1].prompt.index("go out") > asked[1].prompt.index("leave town")
    twice = Inquiry(KNOTS, WORDINGS[:1] * 2, ACTIONS).questions(PEOPLE[:1])
    assert len({q.key("m") for q in twice}) == 16


def test_some_entries_are_asked_alone_and_read_back():
    inquiry = curve("cases")
    entries = [(3, (1,)), (0, (0,))]
    told = ask(inquiry.questions(PEOPLE, entries), Table())
    assert len(told.questions) == 4
    read = inquiry.read(told, entries)
    wanted = np.stack([COUNTS[3, :, 1], COUNTS[0, :, 0]])
    wanted = wanted / wanted.sum(axis=-1, keepdims=True)
    assert np.abs(read - wanted[:, :, None, None]).max() < 1e-12
    with pytest.raises(PersonaError, match="4 questions, which are not the 4 of these 2 entries"):
        inquiry.read(told, [(3, (0,)), (0, (1,))])
    with pytest.raises(PersonaError, match="4 questions, which are not the 8"):
        inquiry.answers(told)


def test_the_level_and_the_actions_are_words_in_the_prompt():
    said = "- stay_at_home_1: whole number from 0 to 100, of 100 such people, stay at home, 1.0"
    assert said in curve("pay").questions(PEOPLE)[0].prompt.splitlines()


class Hours:
    about = About("hours", "hours-1", "rules", False, 1)

    def reply(self, questions):
        return [Reply(json.dumps(self.said(question)), "stop") for question in questions]

    def said(self, question):
        kept = [level["kept"] for level in question.codebook.at] or [question.values["kept"]]
        return {n: 40 * k for n, k in zip(question.codebook.names, kept, strict=True)}


@pytest.mark.parametrize("along", [None, "kept"])
def test_a_number_keeps_its_bounds_at_each_level(along):
    said, level = ("Now?", "{kept:.1f} kept") if along else ("Kept: {kept:.1f}", "")
    hours = Number("hours", (0, 60), "hours a week")
    inquiry = Inquiry({"kept": (0.5, 1.0)}, (said,), number=hours, along=along, level=level)
    asked = inquiry.questions(PEOPLE[:2])
    assert len(asked) == (2 if along else 4)
    answers = inquiry.answers(ask(asked, Hours()))
    assert answers.bounds == (0.0, 60.0)
    assert np.array_equal(answers.values[:, :, 0, 0, 0], [[20, 40]] * 2)
    assert np.isfinite(log_odds(answers)).all()


def test_rules_answer_one_level_at_a_time_as_they_answer_a_curve():
    rules, facts = read_rules("isolation"), {"age": 40.0, "work": 1.0, "income": 40_000.0}
    nurse = Persona("nurse", "A nurse.", 1.0, facts)
    knots = {"payment": (0.0, 1.0), "prevalence": (0.0, 0.1), "trend": (0.0, 1.0)}
    rest = "ill {prevalence:.2f}, trend {trend:.0f}"
    single = Inquiry(knots, (f"{{payment:.0%}} paid, {rest}",), rules.actions, of=10**6)
    along = Inquiry(knots, (rest,), rules.actions, along="payment", level="{payment:.0%}", of=10**6)
    one, other = (x.answers(ask(x.questions([nurse]), rules)).values for x in (single, along))
    assert np.array_equal(one, other)
    assert np.ptp(one) > 0.1


def test_a_variable_in_words_stands_in_the_prompt_and_keeps_its_place():
    """Words are put in as they are, braces included, and are no numbers that are told."""
    words = {"side": ("You doubt {it}.", "You believe it.")}
    knots = {"side": (0.0, 1.0), **KNOTS}
    inquiry = Inquiry(knots, ("{side} " + WORDINGS[0],), ACTIONS, words=words)
    asked = inquiry.questions(PEOPLE)
    assert asked[0].filled == "You doubt {it}. At 0.00 ill and 0.0 paid?"
    assert set(asked[0].values) == {"cases", "pay"}
    values = inquiry.answers(ask(asked, Table())).values
    wanted = COUNTS / COUNTS.sum(axis=-1, keepdims=True)
    assert np.abs(values - wanted[:, None, :, :, None, None]).max() < 1e-12
    assert insert("{a} {{b}} {c:.1f}", {"a": "{x}"}) == "{{x}} {{b}} {c:.1f}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": ()}, "0 actions, no number"),
        ({"actions": ("one",)}, "1 actions"),
        ({"number": Number("hours", (0, 60))}, "3 actions, a number"),
        ({"wordings": ()}, "0 wordings"),
        ({"wordings": ("At {cases:.2f}?",)}, r"says \[cases\]; it must say \[cases, pay\]"),
        ({"orders": 3}, "orders = 3"),
        ({"knots": {"cases": (0.0, 1.0), "pay": (1.0, 1.0)}}, "knots of 'pay'"),
        ({"along": "rain"}, "along = 'rain', but knots has"),
        ({"along": "pay", "wordings": ("{cases:.2f}?",)}, "level = '' must say {pay}"),
        ({"level": "{pay:.0%}"}, "must say nothing, since along is not given"),
        ({"words": {"pay": ("none",)}}, "'pay' has 1 texts"),
        ({"actions": ("go out", "go-out")}, "a codebook needs different names"),
    ],
)
def test_bad_inquiries_are_refused_in_words(change, message):
    sound = {"knots": KNOTS, "wordings": WORDINGS, "actions": ACTIONS}
    Inquiry(**sound, settings=Settings(most_tokens=50))
    with pytest.raises(PersonaError, match=message):
        Inquiry(**(sound | change))


def test_an_inquiry_wants_personas_of_different_names():
    with pytest.raises(PersonaError, match="of different names"):
        Inquiry(KNOTS, WORDINGS, ACTIONS).questions(PEOPLE[:1] * 2)
    with pytest.raises(PersonaError, match="give one or more"):
        Inquiry(KNOTS, WORDINGS, ACTIONS).questions([])
