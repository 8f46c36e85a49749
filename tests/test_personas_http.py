"""Real inference over real HTTP: nothing is lost, whatever happens on the way; files and keys."""

import pytest

from lpm.errors import PersonaError
from lpm.personas import (
    Budget,
    Codebook,
    Fallback,
    Http,
    Local,
    Number,
    Persona,
    Question,
    Replay,
    Retries,
    Settings,
    ask,
    measure_shifts,
    probe,
    read_transcript,
)
from tests.faulty_proxy import faulty_proxy
from tests.small_model import serve_model, write_model

pytest.importorskip("openai", reason="openai is missing: pip install 'lpm[personas]'")

SECRET = "sk-not-to-be-written-anywhere-4711"
# No group, so that whatever a random model says under the schema is an answer.
BOOK = Codebook(tuple(Number(name, (0, 100), whole=True) for name in ("home_0", "out_0")))
SETTINGS = Settings(most_tokens=120)
QUICK = Retries(transport=3, content=2, first_wait=0.01, longest_wait=0.05)
# Under a load this machine may be slow: only faults that are meant to time out may do so.
PATIENT = 60.0


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "small.gguf", seed=5)


@pytest.fixture(scope="module")
def server(gguf_file):
    with serve_model(gguf_file, key=SECRET) as url:
        yield url


def asked(*names, event=""):
    return [
        Question(
            Persona(name, f"People called {name}."), "Of 100?", BOOK, event=event, settings=SETTINGS
        )
        for name in names
    ]


def http(url, timeout=PATIENT, at_once=4, key=SECRET):
    return Http("small", url, key, at_once=at_once, timeout=timeout)


def test_the_model_file_is_half_a_megabyte(gguf_file):
    assert 0.4e6 < gguf_file.stat().st_size < 0.6e6


def test_the_same_file_answers_alike_over_http_and_in_process(gguf_file, server):
    questions = asked("nurses", "drivers", "retired", "students", event="The mayor asks for care.")
    over = ask(questions, http(server + "/v1"))
    inside = ask(questions, Local(gguf_file, threads=1))
    assert over.values == inside.values
    assert over.spent.tokens == inside.spent.tokens
    # The negative control: other weights answer otherwise.
    other = write_model(gguf_file.with_name("other.gguf"), seed=6)
    assert ask(questions, Local(other, threads=1)).values != over.values


WAY = ("429", "500", "503", "drop", "mid-stream drop", "broken body", "no choices")
CONTENT = {
    "malformed": "malformed",
    "eval": "malformed",
    "none": "malformed",
    "wrong number": "wrong number",
    "off-schema": "off-schema",
    "text for a number": "off-schema",
    "truncation": "truncation",
    "refusal": "refusal",
}


def test_every_fault_is_retried_on_record_and_replaced_by_a_real_answer(server, tmp_path):
    faults = {f"w{i}.": [fault] for i, fault in enumerate(WAY)}
    faults |= {f"c{i}.": [fault] for i, fault in enumerate(CONTENT)}
    faults["both."] = ["429", "malformed", "500", "refusal", "drop"]
    names = [name.rstrip(".") for name in faults]
    path = tmp_path / "run.jsonl"
    with faulty_proxy(server, faults) as proxy:
        found = ask(asked(*names), http(proxy.url), transcript=path, retries=QUICK)
    attempts = read_transcript(path)
    assert len(attempts) == proxy.requests == found.spent.calls == 2 * (len(names) - 1) + 6
    verdicts = {n: [a["verdict"] for a in attempts if a["name"] == n] for n in names}
    for i in range(len(WAY)):
        assert verdicts[f"w{i}"] == ["transport", "accepted"]
    for i, kind in enumerate(CONTENT.values()):
        assert verdicts[f"c{i}"] == [kind, "accepted"]
    way, said = "transport", ["malformed", "refusal"]
    assert verdicts["both"] == [way, said[0], way, said[1], way, "accepted"]
    # Faults change nothing about the answer: it is that of the bare server.
    plain = ask(asked(*names), http(server + "/v1"))
    same = [n for n in names if n.startswith("w")]  # Corrections are part of the others' prompts.
    for question, one, other in zip(found.questions, found.values, plain.values, strict=True):
        assert one == other or question.persona.name not in same
    # And the record replays without the server, every value and every code.
    again = ask(asked(*names), Replay(path))
    assert again.values == found.values
    assert again.codes == found.codes


def test_slow_replies_time_out_and_are_booked_at_the_most(server, tmp_path):
    path = tmp_path / "run.jsonl"
    with faulty_proxy(server, {"slow.": ["slow"] * 2}, slow=PATIENT) as proxy:
        once = Retries(transport=0, content=0)
        with pytest.raises(PersonaError, match=r"1 x transport.*[Tt]ime"):
            ask(asked("slow"), http(proxy.url, timeout=0.3), transcript=path, retries=once)
    (attempt,) = read_transcript(path)
    assert attempt["guessed"]
    assert attempt["answer_tokens"] == SETTINGS.most_tokens


def test_a_wrong_key_is_not_tried_again_and_never_written(server, tmp_path):
    path, wrong = tmp_path / "run.jsonl", "sk-wrong-0815"
    with faulty_proxy(server, {}) as proxy:
        with pytest.raises(PersonaError, match="HTTP 401") as caught:
            ask(asked("nurses"), http(proxy.url, key=wrong), transcript=path, retries=QUICK)
        assert proxy.requests == 1
        assert proxy.keys == {f"Bearer {wrong}"}
    (attempt,) = read_transcript(path)
    assert attempt["prompt_tokens"] == attempt["answer_tokens"] == 0
    assert wrong not in path.read_text()
    assert wrong not in str(caught.value)


def test_keys_stand_nowhere(server, tmp_path, monkeypatch):
    monkeypatch.setenv("LPM_PERSONAS_KEY", SECRET)
    monkeypatch.setenv("LPM_PERSONAS_URL", server + "/v1")
    respondent = Http("small")
    path = tmp_path / "run.jsonl"
    found = ask(asked("nurses"), respondent, transcript=path)
    written = path.read_text() + repr(respondent) + repr(found) + str(respondent.about)
    assert SECRET not in written


def test_the_key_of_one_server_is_not_sent_to_another(server, tmp_path, monkeypatch):
    for name in ("LPM_PERSONAS_URL", "LPM_PERSONAS_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with faulty_proxy(server, {}) as proxy:
        with pytest.raises(PersonaError, match="HTTP 401"):
            ask(asked("nurses"), Http("small", proxy.url), retries=Retries(0, 0))
        assert proxy.keys == {"Bearer none"}
        monkeypatch.setenv("OPENAI_BASE_URL", proxy.url)
        ask(asked("nurses"), Http("small"))
        assert proxy.keys == {"Bearer none", f"Bearer {SECRET}"}
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert Http("small").url == "https://api.openai.com/v1"
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(PersonaError, match="url: give the address of a server"):
        Http("small")


def test_a_key_that_the_server_repeats_is_hidden(server, tmp_path):
    # The word 429 that the proxy says stands for a key here.
    path = tmp_path / "run.jsonl"
    with (
        faulty_proxy(server, {"nurses": ["429"] * 9}) as proxy,
        pytest.raises(PersonaError, match=r"planted \[key\]"),
    ):
        ask(asked("nurses"), http(proxy.url, key="429"), transcript=path, retries=Retries(0, 0))
    assert "planted [key]" in path.read_text()


def test_the_budget_holds_while_many_ask(server, tmp_path):
    names = [f"group {i}" for i in range(24)]
    faults = {f"group {i}.": ["429", "malformed"] for i in range(0, 24, 3)}
    for limit in (Budget(calls=9), Budget(tokens=9_000)):
        path = tmp_path / f"{limit.calls}.jsonl"
        with faulty_proxy(server, faults) as proxy:
            with pytest.raises(PersonaError, match="x budget"):
                ask(
                    asked(*names),
                    http(proxy.url, at_once=8),
                    budget=limit,
                    transcript=path,
                    retries=QUICK,
                )
            counted = proxy.requests if limit.calls else proxy.tokens
        most = limit.calls or limit.tokens
        assert 0 < counted <= most
        assert len(read_transcript(path)) == proxy.requests


def test_a_run_that_broke_off_asks_nothing_twice(server, tmp_path):
    names = [f"group {i}" for i in range(8)]
    path = tmp_path / "run.jsonl"
    with faulty_proxy(server, {"group 5.": ["400"]}) as proxy:
        with pytest.raises(PersonaError, match="1 x transport"):
            ask(asked(*names), http(proxy.url, at_once=2), transcript=path, retries=QUICK)
        known = {a["name"] for a in read_transcript(path) if a["verdict"] == "accepted"}
        assert 0 < len(known) < len(names)
        found = ask(asked(*names), http(proxy.url, at_once=2), transcript=path, retries=QUICK)
        assert proxy.requests == len(names) + 1
    assert found.values == ask(asked(*names), http(server + "/v1")).values


def test_a_dead_port_is_a_fault_and_a_long_prompt_is_not_tried_again(server, tmp_path):
    dead = Http("small", "http://127.0.0.1:9/v1", SECRET, timeout=5.0)
    with pytest.raises(PersonaError, match="1 x transport"):
        ask(asked("nurses"), dead, retries=Retries(1, 0, 0.01, 0.01))
    long = [Question(Persona("nurses", "x" * 6000), "Of 100?", BOOK, settings=SETTINGS)]
    path = tmp_path / "run.jsonl"
    with pytest.raises(PersonaError, match="HTTP 400"):
        ask(long, http(server + "/v1"), transcript=path, retries=QUICK)
    assert len(read_transcript(path)) == 1


def test_an_endpoint_that_honours_the_schema_passes_the_probe(server, tmp_path):
    path = tmp_path / "probe.jsonl"
    found = probe(http(server + "/v1"), transcript=path)
    assert (found.schema, found.seeds) == ("enforced", "kept")
    assert len(read_transcript(path)) <= 6


def test_endpoints_that_do_not_are_told_apart(server):
    prose = {"weather": ["eval"] * 6}
    with faulty_proxy(server, prose) as proxy:
        assert probe(http(proxy.url), retries=QUICK).schema == "ignored"
    for status, word in (("400", "rejected"), ("401", "unreachable"), ("500", "unreachable")):
        with faulty_proxy(server, {"weather": [status] * 20}) as proxy:
            assert probe(http(proxy.url), retries=QUICK).schema == word


def test_a_fallback_touches_no_more_people_than_it_may(server, tmp_path):
    names = [f"group {i}." for i in range(10)]
    broken = {"group 3.": ["refusal"] * 9}
    half = Fallback(lambda _: {"home_0": 50.0, "out_0": 50.0}, most_share=0.1)
    questions = asked(*[n.rstrip(".") for n in names])
    path = tmp_path / "run.jsonl"
    with faulty_proxy(server, broken) as proxy:
        found = ask(questions, http(proxy.url), transcript=path, retries=QUICK, fallback=half)
    assert found.shares() == pytest.approx({"model": 0.9, "fallback": 0.1})
    again = ask(questions, Replay(path), retries=QUICK, fallback=half)
    assert again.values == found.values
    assert again.codes == found.codes
    broken["group 4."] = ["drop"] * 9
    with (
        faulty_proxy(server, broken) as proxy,
        pytest.raises(PersonaError, match=r"touch 20\.0% of the people, more than 10\.0%"),
    ):
        ask(questions, http(proxy.url), retries=QUICK, fallback=half)


def test_shifts_are_those_of_the_two_answers_apart(server):
    questions = asked("nurses", "drivers", event="Stay at home.")
    respondent = http(server + "/v1")
    found = measure_shifts(questions, respondent, neutral="Fine weather.")
    told, plain = found.answers
    assert told.values == ask(questions, respondent).values
    calm = asked("nurses", "drivers", event="Fine weather.")
    assert plain.values == ask(calm, respondent).values
