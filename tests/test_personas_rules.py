"""`Rules` where a model could stand: the same law, its own name, and no question but its own."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

import lpm
from lpm.__main__ import main
from lpm.errors import PersonaError
from lpm.personas import (
    Codebook,
    Http,
    Inquiry,
    Number,
    Persona,
    Provenance,
    Question,
    Replay,
    Respondent,
    ask,
    cells_of,
    choose_anchors,
    personas_of,
    read_rules,
)
from lpm.personas.rule_cards import CARDS
from scenarios.isolation import KNOTS, PERSONAS

NURSE = Persona("nurses", "Nurses.", facts={"age": 45.0, "income": 20_000.0, "work": 1.0})
BOOK = Codebook.curve(
    ["go_out_as_usual", "stay_at_home"], ["unpaid", "paid"], 1000, [{"payment": 0}, {"payment": 1}]
)
SAID = "A share of {prevalence:.1%} is ill; the trend over a week is {trend:.1f}."


def question(**more):
    given = {"values": {"prevalence": 0.01, "trend": 0.0}, "codebook": BOOK, "persona": NURSE}
    return Question(template=SAID, **(given | more))


def by_hand(payment, repeat=0):
    """The card at age 45, income 20,000, at work, one in a hundred ill, no trend."""
    sizes = [1, payment, payment / 2, 0.5, math.log(2), math.log(2), 0, 0]
    odds = np.dot(sizes, [0.28, 2.38, 0.3, -0.3, 0.15, 0.5, 0.4, 0.15])
    spread = np.linalg.norm(np.array(sizes) * [0.3, 0.3, 0.3, 0.3, 0.15, 0.3, 0.3, 0.1])
    return 1 / (1 + np.exp(-(odds + (0, -1, 1)[repeat] * spread)))


@pytest.mark.parametrize("repeat", [0, 1, 2])
def test_rules_answer_a_question_by_their_card(repeat):
    rules = read_rules("isolation")
    found = ask([question(repeat=repeat)], rules)
    assert found.codes == (Provenance.RULES,)
    for level, payment in enumerate((0, 1)):
        said = found.values[0]
        assert abs(said[f"stay_at_home_{level}"] - 1000 * by_hand(payment, repeat)) <= 0.5
        assert said[f"stay_at_home_{level}"] + said[f"go_out_as_usual_{level}"] == 1000


def test_rules_are_a_respondent_that_is_no_language_model():
    rules = read_rules("isolation")
    assert isinstance(rules, Respondent)
    assert rules.about.kind == "rules"
    assert not rules.about.is_language_model
    assert "NOT a language model" in rules.about.name


def test_another_card_is_another_name(tmp_path):
    """Or a transcript of one card would answer for another."""
    text = (CARDS / "isolation.toml").read_text()
    card = tmp_path / "isolation.toml"
    card.write_text(text)
    rules, same = read_rules("isolation"), read_rules(card)
    assert same.about.model == rules.about.model
    card.write_text(text.replace("size = 2.38", "size = 2.39"))
    assert read_rules(card).about.model != rules.about.model


def test_an_event_moves_rules_by_the_words_of_their_lexicon():
    rules = read_rules("isolation")
    plain, told = (ask([question(event=e)], rules).values[0] for e in ("", "It is very deadly."))
    odds = [math.log(v["stay_at_home_0"] / v["go_out_as_usual_0"]) for v in (plain, told)]
    assert odds[1] - odds[0] == pytest.approx(0.6, abs=0.01)  # Whole people of a thousand.


def test_an_inquiry_of_all_anchors_is_the_card_over_its_cells():
    """Through questions, keys and replies, or as arrays: half a person in a million apart."""
    cells = cells_of(lpm.Population.toy(500, seed=1), PERSONAS)
    anchors = choose_anchors(cells, 12)
    rules, knots = read_rules("isolation"), {n: KNOTS[n][:3] for n in KNOTS}
    wording = "Prevalence is {prevalence:.3f}, the trend {trend:.1f}."
    inquiry = Inquiry(
        knots,
        (wording,) * 3,
        rules.actions,
        along="payment",
        level="{payment:.2f}",
        of=10**6,
    )
    personas = personas_of(cells, anchors.cell)
    found = inquiry.answers(ask(inquiry.questions(personas), rules)).values
    wanted = rules.ask(cells, knots, of=anchors.cell).values
    assert found.shape == wanted.shape
    # Repeats are the mean, one below and one above; the arrays are below, mean, above.
    assert np.abs(found[..., [1, 0, 2], :, :] - wanted).max() < 0.51e-6
    assert np.abs(found - wanted).max() > 0.01


def test_an_inquiry_turns_the_order_of_actions_and_not_the_answer():
    rules = read_rules("isolation")
    knots = {"payment": (0.0, 1.0), "prevalence": (0.0, 0.1), "trend": (0.0, 1.0)}
    said = ("Of all {prevalence:.3f} are ill, trend {trend:.0f}.",)
    level = "pay {payment:.0%}"
    inquiry = Inquiry(knots, said, rules.actions, along="payment", level=level, orders=2)
    asked = inquiry.questions([NURSE])
    assert asked[0].codebook.names[0] == "go_out_as_usual_0"
    assert asked[1].codebook.names[0] == "stay_at_home_0"
    found = inquiry.answers(ask(asked, rules))
    assert found.values.shape == (1, 2, 2, 2, 1, 2, 2)
    assert np.array_equal(found.values[..., 0, :], found.values[..., 1, :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"persona": Persona("n", "N.", facts={"age": 1.0})}, r"needs \[work, income\]"),
        ({"codebook": Codebook((Number("trust", (0, 1)),))}, r"the question asks for \[trust\]"),
        (
            {"template": SAID + " {rain:.0f}", "values": {"prevalence": 0, "trend": 0, "rain": 1}},
            "no factor .rain.",
        ),
    ],
)
def test_rules_answer_no_question_but_their_own(change, message):
    with pytest.raises(PersonaError, match=message):
        ask([replace(question(), **change)], read_rules("isolation"))


def test_facts_are_part_of_the_key_only_where_there_are_any():
    """A transcript made before there were facts still answers."""
    plain = question(persona=Persona("nurses", "Nurses."), codebook=replace(BOOK, at=()))
    assert "facts" not in plain.parts("m")
    older = replace(NURSE, facts={**NURSE.facts, "age": 46.0})
    assert question().key("m") != question(persona=older).key("m") != plain.key("m")


def test_numbers_count_as_they_are_printed():
    """Questions that read alike share a key, so that they must have one answer."""
    near = {"prevalence": 0.01004, "trend": 0.0}
    assert question().key("m") == question(values=near).key("m")
    assert question(values=near).told == {"prevalence": 0.01, "trend": 0.0}
    rules = read_rules("isolation")
    assert rules.reply([question()])[0].text == rules.reply([question(values=near)])[0].text


SHEET = """
template = "A share of {prevalence:.1%} is ill; trend {trend:.0f}. How many stay at home?"
repeats = 3
[answer]
actions = ["go_out_as_usual", "stay_at_home"]
levels = ["without pay", "with pay"]
at = [{payment = 0}, {payment = 1}]
[[persona]]
name = "nurses"
text = "Nurses."
facts = {age = 45, income = 20000, work = 1}
[[situation]]
prevalence = 0.01
trend = 0
[respondent]
kind = "rules"
card = "isolation"
"""


def test_a_sheet_works_without_any_model(tmp_path, capsys, monkeypatch):
    """Nor any client of one."""
    for client in ("openai", "xllamacpp"):
        monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(PersonaError, match="needs openai"):
        Http("a-model", "http://127.0.0.1:9/v1")  # The control: they are gone.
    sheet, record = tmp_path / "home.toml", tmp_path / "home.jsonl"
    sheet.write_text(SHEET)

    def said(*words):
        assert main(["personas", *map(str, words)]) == 0
        return " ".join(capsys.readouterr().out.split())

    assert "3 to ask" in said("plan", sheet)
    told = said("ask", sheet)
    assert "is not a language model" in told
    assert "100.0% rules" in told
    assert "is not a language model" in said("report", record)
    assert "no model was asked" in said("replay", sheet)
    line = json.loads(record.read_text().splitlines()[0])
    assert (line["kind"], line["is_language_model"], line["provenance"]) == ("rules", False, 2)
    sheet.write_text(SHEET.split("[respondent]")[0])
    assert "3 questions, 3 of them answered" in said("plan", sheet, "--card", "isolation")


def test_a_replay_says_which_question_came_nearest(tmp_path):
    path = tmp_path / "told.jsonl"
    ask([question(), question(repeat=1)], read_rules("isolation"), transcript=path)
    other = question(values={"prevalence": 0.02, "trend": 0.0})
    near = "nearest question on record, to 'nurses', differs in .*: A share of 1.0% is ill"
    with pytest.raises(PersonaError, match=near):
        ask([other], Replay(path))
