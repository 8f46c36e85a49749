"""What plans, interviews, questions and codebooks look like in a notebook or at a prompt."""

import json

import pytest

from lpm.personas import (
    About,
    Budget,
    Codebook,
    Fallback,
    Number,
    Persona,
    Price,
    Question,
    Reply,
    Retries,
    ask,
    plan,
    read_rules,
)
from lpm.personas.respondents import chat

CURVE = Codebook.curve(("go out", "stay at home"), [f"at {i}" for i in range(8)])
HOME = Codebook((Number("home", (0, 100), whole=True),))
PEOPLE = [Persona("cell 0", "A nurse. " * 30, 3.0), Persona("cell 1", "A clerk. " * 30, 1.0)]
LONG = "Of 100 such people, how many stay at home if {cases:.0f} are ill? " + "Think of it. " * 40


class Someone:
    """Answers the first persona, and has nothing to say of the second."""

    def __init__(self, is_model):
        self.about = About("someone", "someone-1", "http" if is_model else "rules", is_model)

    def reply(self, questions):
        said = [json.dumps({"home": 3}) if "cell 0" in q.persona.name else "Hm." for q in questions]
        return [Reply(text, "stop", prompt_tokens=50, answer_tokens=5) for text in said]


def asked(book=HOME, **more):
    return [Question(person, LONG, book, {"cases": 7}, **more) for person in PEOPLE]


def held(is_model=True, budget=None):
    fallback = Fallback(lambda question: {"home": 50}, most_share=0.5)
    options = {"fallback": fallback, "retries": Retries(content=0), "budget": budget}
    return ask(asked(), Someone(is_model), **options)


@pytest.mark.parametrize("is_model", [True, False])
def test_an_interview_says_who_answered_for_how_many_and_what_failed(is_model):
    """Three of four people are of the first persona; the second reply is no JSON."""
    for shown in (repr(held(is_model)), str(held(is_model))):
        lines = shown.splitlines()
        assert lines[0] == "Interview of 2 personas, 2 questions"
        said = "a language model" if is_model else "no language model"
        assert lines[1] == f"  answered by someone, {said}"
        assert lines[2].endswith("75.0% model, 25.0% fallback")
        assert lines[3].endswith("could not be used: 1 x malformed")
        assert lines[4] == "  spent: 2 calls, 110 tokens, cost unknown (no price)"
        assert len(lines) == 5


def test_a_price_and_no_failures_are_said_as_well():
    price = Price(1e4, 1e4, "EUR")
    assert "110 tokens, 1.1000 EUR" in repr(held(budget=Budget(price=price)))
    only = ask(asked()[:1], Someone(True))
    assert "could not be used: none" in repr(only)
    rules = read_rules("isolation")
    assert "no language model" in repr(type(only)((), (), (), {}, only.spent, rules.about))


def test_a_plan_says_questions_calls_tokens_and_whether_it_fits():
    lines = repr(plan(asked(), Someone(True))).splitlines()
    assert lines[0] == "Plan of 2 questions; 2 to ask"
    assert lines[1].startswith("  one call each, at the most: 2 calls, ")
    assert lines[1].endswith("tokens, cost unknown (no price)")
    assert lines[3:] == ["  budget: none"]
    tight = plan(asked(), Someone(True), budget=Budget(calls=1))
    assert repr(tight).endswith("budget: calls could come to 2, over the limit of 1")
    loose = plan(asked(), Someone(True), budget=Budget(calls=2))
    assert repr(loose).endswith("budget: fits, if no call is repeated")


def test_what_is_spent_and_known_is_in_the_plan(tmp_path):
    path = tmp_path / "asked.jsonl"
    ask(asked()[:1], Someone(True), transcript=path)
    shown = repr(plan(asked(), Someone(True), transcript=path))
    assert shown.startswith("Plan of 2 questions, 1 of them answered; 1 to ask")
    assert "spent before: 1 calls, 55 tokens" in shown


def test_a_question_and_its_codebook_are_a_line_each():
    shown = repr(asked(CURVE, event="The mayor asks people to stay. " * 20, repeat=2)[0])
    assert len(shown) < 400
    assert "\n" not in shown
    for part in ("'cell 0'", "if 7 are ill?", "The mayor", "repeat 2", "go_out_0", "12 more"):
        assert part in shown
    assert repr(CURVE) == (
        "Codebook of go_out_0 in [0, 100], stay_at_home_0 in [0, 100], go_out_1 in [0, 100], "
        "stay_at_home_1 in [0, 100], 12 more; 8 groups, none all 0"
    )
    assert repr(HOME) == "Codebook of home in [0, 100]"


def test_the_page_of_a_question_holds_every_word_that_is_sent():
    """Held against the body that `Http` and `Local` send."""
    question = asked(CURVE, event="The mayor asks people to stay.", correction="Give numbers.")[0]
    sent = [each["content"] for each in chat(question, "max_tokens")["messages"]]
    page = question.as_sent
    for text in sent:
        assert text in page
        page = page.replace(text, "")
    assert page == "[system]\n\n\n[user]\n"
