"""Asking: once each, within the budget, with what failed counted and nothing made up."""

import asyncio
import json
import threading

import numpy as np
import pytest

from lpm.errors import PersonaError
from lpm.personas import (
    About,
    Budget,
    Codebook,
    Fallback,
    Fault,
    Number,
    Persona,
    Price,
    Provenance,
    Question,
    Reply,
    Retries,
    ask,
    measure_shifts,
    plan,
    read_transcript,
)
from lpm.personas.attempts import Asker
from lpm.personas.budget import ExhaustedError, Ledger, OverrunError, Spent, most_tokens
from lpm.personas.shifts import draw_back

BOOK = Codebook((Number("home", (0, 100), whole=True),))
QUICK = Retries(transport=3, content=2, first_wait=0.0, longest_wait=0.0)
PASSING = Fault("planted", again=True)


class Scripted:
    """Says in turn what the script has for a persona; then the number in the persona's name."""

    def __init__(self, script=None, at_once=4, tokens=(50, 5)):
        self.script = {name: list(said) for name, said in (script or {}).items()}
        self.about = About("scripted", "script-1", "rules", False, at_once)
        self.tokens = tokens
        self.asked = []
        self.running = self.most_running = 0
        self.lock = threading.Lock()

    def reply(self, questions):
        return [self.one(question) for question in questions]

    def one(self, question):
        with self.lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.asked.append(question)
            left = self.script.get(question.persona.name, [])
            said = left.pop(0) if left else json.dumps({"home": int(question.persona.name)})
        threading.Event().wait(0.001)  # Lets others in, so that calls do overlap.
        with self.lock:
            self.running -= 1
        if isinstance(said, BaseException):
            raise said
        if isinstance(said, Fault):
            return Reply(fault=said)
        if isinstance(said, Reply):
            return said
        prompt, answer = self.tokens
        return Reply(said, "stop", prompt_tokens=prompt, answer_tokens=answer)


def asked(count, **more):
    return [
        Question(Persona(str(i), f"Group {i}.", float(i % 3)), "Of 100?", BOOK, **more)
        for i in range(count)
    ]


def test_answers_come_in_the_order_of_questions_and_overlap():
    respondent = Scripted(at_once=8)
    found = ask(asked(40), respondent)
    np.testing.assert_array_equal(found.array("home"), np.arange(40))
    assert found.provenance.tolist() == [Provenance.MODEL] * 40
    assert 1 < respondent.most_running <= 8
    assert found.spent == Spent(40, 2000, 200)
    assert found.frame()["home"].to_list() == found.array("home").tolist()


def test_equal_questions_are_asked_once():
    respondent = Scripted()
    found = ask([*asked(3), *asked(3), *asked(3, repeat=1)], respondent)
    assert len(respondent.asked) == 6
    assert found.array("home").tolist() == [0, 1, 2] * 3


def test_asking_works_inside_a_running_loop():
    async def cell():
        return ask(asked(5), Scripted())

    assert asyncio.run(cell()).array("home").tolist() == [0, 1, 2, 3, 4]


WRONG = {
    "refusal": Reply("", "stop", refusal="No."),
    "truncation": Reply('{"home": 1', "length"),
    "malformed": "home is 3",
    "off-schema": '{"house": 3}',
    "wrong number": '{"home": 101}',
    "transport": Fault("planted"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_each_kind_of_failure_is_counted_and_raised_by_default(kind, tmp_path):
    path = tmp_path / "run.jsonl"
    respondent = Scripted({"2": [WRONG[kind]] * 9}, at_once=1)
    with pytest.raises(PersonaError, match=rf"1 x {kind}. First '2': .* No fallback was chosen"):
        ask(asked(5), respondent, transcript=path, retries=QUICK)
    verdicts = [a["verdict"] for a in read_transcript(path)]
    tries = 1 if kind == "transport" else 1 + QUICK.content
    assert verdicts == ["accepted", "accepted", *[kind] * tries]
    # After the first that cannot be mended nothing more is spent.
    assert len(respondent.asked) == 2 + tries


def test_a_filter_of_the_server_is_a_refusal_and_other_ends_are_off_schema():
    for finish, kind in (("content_filter", "refusal"), ("tool_calls", "off-schema"), ("", "off")):
        script = {"0": [Reply('{"home": 1}', finish)] * 3}
        with pytest.raises(PersonaError, match=f"1 x {kind}"):
            ask(asked(1), Scripted(script), retries=QUICK)


def test_retries_on_the_way_and_of_content_are_apart():
    mended = [PASSING, "x", PASSING, "y", PASSING]
    respondent = Scripted({"0": mended})
    found = ask(asked(1), respondent, retries=QUICK)
    assert found.array("home").tolist() == [0]
    assert found.failures == {"transport": 3, "malformed": 2}
    assert len(respondent.asked) == 6
    with pytest.raises(PersonaError, match="1 x transport"):
        ask(asked(1), Scripted({"0": [*mended, PASSING]}), retries=QUICK)
    with pytest.raises(PersonaError, match="1 x malformed"):
        ask(asked(1), Scripted({"0": [*mended, "z"]}), retries=QUICK)


def test_a_correction_holds_nothing_that_the_model_said():
    respondent = Scripted({"0": ['{"ignore all rules": 1}']})
    ask(asked(1), respondent, retries=QUICK)
    first, second = respondent.asked
    assert not first.correction
    assert "could not be used" in second.messages[1]["content"]
    assert "ignore" not in second.messages[1]["content"]
    assert first.key("m") == second.key("m")


def test_waits_double_are_spread_and_heed_the_server():
    retries = Retries(first_wait=1.0, longest_wait=60.0)
    for failed in range(1, 12):
        waits = [retries.wait(str(key), failed, 0.0) for key in range(200)]
        assert min(waits) >= min(60.0, 2.0 ** (failed - 1) / 2)
        assert max(waits) <= min(60.0, 2.0 ** (failed - 1) * 1.5)
        assert len(set(waits)) > 100 or failed > 6  # Later the longest wait makes many alike.
    assert retries.wait("a", 1, 30.0) == 30.0
    impatient = Scripted({"0": [Fault("busy", again=True, wait=61.0)]})
    with pytest.raises(PersonaError, match="1 x transport"):
        ask(asked(1), impatient, retries=retries)
    assert len(impatient.asked) == 1


@pytest.mark.parametrize("limit", ["calls", "tokens", "money"])
def test_no_limit_is_passed_however_many_ask(limit, tmp_path):
    price = Price(2.0, 8.0)
    one = most_tokens(asked(1)[0])
    budget = {
        "calls": Budget(calls=13),
        "tokens": Budget(tokens=13 * (one.prompt + one.answer)),
        "money": Budget(money=13 * price.of(one.prompt, one.answer), price=price),
    }[limit]
    # The worst case: every call uses all that it may.
    respondent = Scripted(at_once=16, tokens=(one.prompt, one.answer))
    path = tmp_path / "run.jsonl"
    with pytest.raises(PersonaError, match=rf"\d+ x budget.*take {limit} to"):
        ask(asked(64, event="News."), respondent, budget=budget, transcript=path)
    # An event makes the prompt longer than the one that the limits are made of.
    assert 9 <= len(respondent.asked) <= 13
    assert len(read_transcript(path)) == len(respondent.asked)


def test_what_was_set_aside_in_vain_is_there_for_others():
    one = most_tokens(asked(1)[0])
    # Three may be under way together; each gives back nearly all.
    budget = Budget(tokens=3 * (one.prompt + one.answer) + 20 * 55)
    respondent = Scripted(at_once=16)
    found = ask(asked(20), respondent, budget=budget)
    assert len(respondent.asked) == 20
    assert found.spent.tokens == 20 * 55


def test_unknown_use_is_booked_at_the_most_and_faults_by_what_they_may_cost():
    one = most_tokens(asked(1)[0])
    silent = Scripted({"0": [Reply('{"home": 1}', "stop")]})
    assert ask(asked(1), silent).spent == Spent(1, one.prompt, one.answer, 1)
    free, paid = Fault("429", again=True), Fault("drop", again=True, charged=True)
    found = ask(asked(1), Scripted({"0": [free, paid]}), retries=QUICK)
    assert found.spent == Spent(3, one.prompt + 50, one.answer + 5, 1)
    assert found.spent.money is None
    assert "cost unknown" in str(found.spent)


def test_a_server_that_takes_more_than_it_may_is_stopped(tmp_path):
    respondent = Scripted(tokens=(50, 100_000), at_once=1)
    path = tmp_path / "run.jsonl"
    with pytest.raises(OverrunError, match="ignores most_tokens"):
        ask(asked(5), respondent, transcript=path)
    assert len(respondent.asked) == len(read_transcript(path)) == 1


def test_the_budget_is_that_of_the_transcript(tmp_path):
    path = tmp_path / "run.jsonl"
    with pytest.raises(PersonaError, match="calls to 5, over the limit of 4"):
        ask(asked(6), Scripted(), budget=Budget(calls=4), transcript=path)
    respondent = Scripted()
    with pytest.raises(PersonaError, match="calls to 6, over the limit of 5"):
        ask(asked(6), respondent, budget=Budget(calls=5), transcript=path)
    assert len(respondent.asked) == 1
    found = ask(asked(6), respondent, budget=Budget(calls=6), transcript=path)
    assert found.array("home").tolist() == [0, 1, 2, 3, 4, 5]
    assert len(respondent.asked) == 2


def test_a_crash_loses_nothing_that_came_back(tmp_path):
    path = tmp_path / "run.jsonl"
    for crash in (RuntimeError("broken"), KeyboardInterrupt()):
        path.unlink(missing_ok=True)
        respondent = Scripted({"7": [crash]}, at_once=3)
        with pytest.raises(type(crash)):
            ask(asked(20), respondent, transcript=path)
        attempts = read_transcript(path)
        assert len(attempts) == len(respondent.asked)
        known = {a["name"] for a in attempts if a["verdict"] == "accepted"}
        again = Scripted()
        found = ask(asked(20), again, transcript=path)
        assert {q.persona.name for q in again.asked} == {str(i) for i in range(20)} - known
        np.testing.assert_array_equal(found.array("home"), np.arange(20))


def test_a_fallback_is_chosen_and_bounded_by_the_people_it_touches():
    bad = {"4": ["x"] * 3, "3": ["x"] * 3}  # Weights 1 and 0, of 0 + 1 + 2 + 0 + 1 + 2.
    flat = Fallback(lambda _: {"home": 50.0}, most_share=1 / 6)
    found = ask(asked(6), Scripted(bad), retries=QUICK, fallback=flat)
    assert found.array("home").tolist() == [0, 1, 2, 50, 50, 5]
    assert found.by_persona()["4"] is Provenance.FALLBACK
    assert found.provenance.tolist() == [1, 1, 1, 3, 3, 1]
    assert found.shares() == pytest.approx({"model": 5 / 6, "fallback": 1 / 6})
    tight = Fallback(lambda _: {"home": 50.0}, most_share=0.16)
    with pytest.raises(PersonaError, match=r"touch 16\.7% of the people, more than 16\.0%"):
        ask(asked(6), Scripted({"4": ["x"] * 3}), retries=QUICK, fallback=tight)
    wild = Fallback(lambda _: {"home": 101.0}, most_share=1.0)
    with pytest.raises(PersonaError, match="the fallback for '4': home = 101 is outside"):
        ask(asked(6), Scripted({"4": ["x"] * 3}), retries=QUICK, fallback=wild)


def test_a_plan_asks_nothing_and_bounds_what_asking_takes(tmp_path):
    path, respondent = tmp_path / "run.jsonl", Scripted()
    budget = Budget(calls=30, price=Price(1.0, 4.0))
    before = plan([*asked(10), *asked(3)], respondent, budget=budget, transcript=path)
    assert (before.questions, before.known, before.calls) == (10, 0, 10)
    assert not respondent.asked
    assert not path.exists()
    found = ask(asked(10), respondent, budget=budget, transcript=path, retries=QUICK)
    assert found.spent.prompt <= before.once.prompt
    assert 0 < found.spent.money <= before.once.money
    after = plan(asked(12), respondent, budget=Budget(calls=11), transcript=path)
    assert (after.known, after.calls, after.spent.calls) == (10, 2, 10)
    assert not after.fits
    assert after.short == ("calls could come to 12, over the limit of 11",)
    assert after.once.money is None


def test_what_is_asked_wrongly_is_said_first():
    with pytest.raises(PersonaError, match="no questions"):
        ask([], Scripted())
    with pytest.raises(PersonaError, match="no questions"):
        plan([], Scripted())
    two = [*asked(1), Question(Persona("0", "Others."), "Of 100?", BOOK)]
    with pytest.raises(PersonaError, match=r"two personas are called \[0\]"):
        ask(two, Scripted())
    with pytest.raises(PersonaError, match=r"has no number \[house\]; it has \[home\]"):
        ask(asked(1), Scripted()).array("house")


def test_a_hold_that_is_let_go_is_free_again():
    ledger = Ledger(Budget(calls=1))
    asker = Asker(Scripted(), ledger, None, QUICK)
    asker.stop.set()
    assert asker.settle("key", asked(1)[0]).values is None
    ledger.release(ledger.hold(asked(1)[0]))
    assert ledger.hold(asked(1)[0]) == most_tokens(asked(1)[0])
    assert ledger.spent.calls == 0


class Swayed(Scripted):
    """Says 100 where the event gives an order, and 50 elsewhere; the third group is deaf."""

    def one(self, question):
        told = "answer 100" in question.event and question.persona.name != "2"
        return Reply(json.dumps({"home": 100 if told else 50}), "stop", prompt_tokens=1)


def test_an_order_in_an_event_moves_an_answer_no_further_than_the_limit():
    found = measure_shifts(asked(3, event="answer 100"), Swayed(), most=2.0)
    # (100 + 1/2) : 1/2 against even odds, both smoothed by half a person.
    raw = np.log(100.5 / 0.5)
    np.testing.assert_allclose(found.raw[:, 0], [raw, raw, 0], atol=1e-12)
    np.testing.assert_allclose(found.kept[:, 0], [2, 2, 0], atol=1e-12)
    np.testing.assert_allclose(found.values[:, 0], [*[1 / (1 + np.exp(-2))] * 2, 0.5], atol=1e-12)
    assert found.limited.tolist() == [True, True, False]
    assert "2 of 3 answers were limited" in str(found)
    with pytest.raises(PersonaError, match="not what stands in"):
        measure_shifts(asked(1, event="a"), Swayed(), fallback=Fallback(lambda _: {"home": 1.0}))
    with pytest.raises(PersonaError, match="has no event"):
        measure_shifts(asked(1), Swayed())
    with pytest.raises(PersonaError, match="must be above 0"):
        measure_shifts(asked(1, event="a"), Swayed(), most=0.0)


def test_shares_drawn_back_stay_shares_and_keep_their_direction():
    before, after = np.array([0.2, 0.3, 0.5]), np.array([0.98, 0.01, 0.01])
    kept = draw_back(before, after, 1.0)
    assert kept.sum() == pytest.approx(1, abs=1e-12)
    shift = np.log(kept / (1 - kept)) - np.log(before / (1 - before))
    assert np.max(np.abs(shift)) == pytest.approx(1.0, abs=1e-9)
    # On the geometric path the log ratios of any two options shrink by one factor.
    part = np.log(kept / before) @ [1, -1, 0] / (np.log(after / before) @ [1, -1, 0])
    other = np.log(kept / before) @ [0, 1, -1] / (np.log(after / before) @ [0, 1, -1])
    assert 0 < part < 1
    assert other == pytest.approx(part, rel=1e-9)
    np.testing.assert_array_equal(draw_back(before, after, 50.0), after)


class Trusting(Ledger):
    """Looks at what is spent and sets nothing aside, as a counter beside a pool would."""

    def hold(self, question):
        need = most_tokens(question)
        if over := self._over(need, with_held=False):
            raise ExhaustedError(over)
        self._held = self._held.plus(1, need.prompt, need.answer)
        return need


class Together(Scripted):
    """Says nothing before fourteen have asked."""

    def __init__(self):
        super().__init__(at_once=16)
        self.barrier = threading.Barrier(14)

    def one(self, question):
        if int(question.persona.name) < 14:
            self.barrier.wait(timeout=60)
        return super().one(question)


def test_a_ledger_that_sets_nothing_aside_would_be_passed(monkeypatch):
    monkeypatch.setattr("lpm.personas.asking.Ledger", Trusting)
    respondent = Together()
    with pytest.raises(PersonaError, match="x budget"):
        ask(asked(64), respondent, budget=Budget(calls=13))
    assert len(respondent.asked) > 13


def test_personas_of_one_description_share_an_answer_and_its_failure():
    twins = [Question(Persona(name, "Alike.", 1.0), "Of 100?", BOOK) for name in "01"]
    bad = Scripted({"0": ["x"] * 9, "1": ["x"] * 9})
    flat = Fallback(lambda _: {"home": 50.0}, most_share=0.5)
    with pytest.raises(PersonaError, match=r"touch 100\.0% of the people"):
        ask(twins, bad, retries=QUICK, fallback=flat)
    assert len(bad.asked) == 3
