"""`lpm personas`: a sheet planned, asked of a real model, replayed and reported; every message."""

import json
import re
import tomllib

import polars as pl
import pytest

from lpm.__main__ import main
from lpm.errors import PersonaError
from lpm.personas import Http, read_sheet, read_transcript
from tests.small_model import write_model

SHEET = """
name = "stay at home"
template = "Cases a day are {cases:.0f} in 100,000. How many stay at home?"
event = "The mayor asks people to stay at home."
repeats = 2

[answer]
actions = ["home", "out"]
levels = ["without pay"]

[[persona]]
name = "nurses"
text = "Nurses of about 40 with children."
weight = 3

[[persona]]
name = "retired"
text = "Retired people of about 75."

[[situation]]
cases = 10

[[situation]]
cases = 100
event = "Nothing new."

[settings]
most_tokens = 120

[respondent]
kind = "local"
path = "small.gguf"
threads = 1

[budget]
calls = 24

[price]
prompt = 2
answer = 8
currency = "EUR"
source = "made up for a test"

[retries]
content = 2

[fallback]
most_share = 0.3
answer = {home_0 = 50, out_0 = 50}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    pytest.importorskip("xllamacpp", reason="xllamacpp is missing: pip install 'lpm[personas]'")
    folder = tmp_path_factory.mktemp("sheet")
    write_model(folder / "small.gguf", seed=5)
    (folder / "home.toml").write_text(SHEET)
    return folder


def said(capsys, *words):
    assert main(["personas", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_plan_ask_replay_report(place, capsys):
    sheet, path = place / "home.toml", place / "home.jsonl"
    told = said(capsys, "plan", sheet)
    assert "8 questions; 8 to ask" in told
    assert "EUR" in told
    assert not path.exists()
    first = said(capsys, "ask", sheet, "--out", place / "asked.parquet")
    attempts = read_transcript(path)
    head = attempts[-1]["hash"]
    assert f"head {head}" in first
    assert "share of the people by source" in first
    prompt, answer = (sum(a[n] for a in attempts) for n in ("prompt_tokens", "answer_tokens"))
    money = (2 * prompt + 8 * answer) / 1e6
    assert f"{len(attempts)} calls, {prompt + answer:,} tokens, {money:.4f} EUR" in first
    accepted = sum(a["verdict"] == "accepted" for a in attempts)
    told = said(capsys, "plan", sheet)
    assert f"{accepted} of them answered" in told
    assert accepted == 8  # So that below nothing is left to ask.
    said(capsys, "ask", sheet)
    assert read_transcript(path) == attempts
    assert "answered: 100.0%" in said(capsys, "report", path)
    (place / "small.gguf").rename(place / "gone.gguf")
    try:
        out = place / "replayed.parquet"
        told = said(capsys, "replay", sheet, "--head", head, "--out", out)
    finally:
        (place / "gone.gguf").rename(place / "small.gguf")
    assert "no model was asked" in told
    assert out.read_bytes() == (place / "asked.parquet").read_bytes()
    told = said(capsys, "report", path, "--head", head, "--parquet", place / "attempts.parquet")
    assert f"{len(attempts)} lines, whole and in order" in told
    assert re.search(rf"\b{round(money, 6)}\b", told)
    assert pl.read_parquet(place / "attempts.parquet").height == len(attempts)


def test_a_transcript_that_was_tampered_with_is_refused(place, capsys):
    path = place / "bad.jsonl"
    assert main(["personas", "ask", str(place / "home.toml"), "--transcript", str(path)]) == 0
    path.write_bytes(path.read_bytes().replace(b'"name":"retired"', b'"name":"retirec"', 1))
    line = 1 + path.read_bytes().split(b"retirec")[0].count(b"\n")
    for words in (["report", path], ["replay", place / "home.toml", "--transcript", path]):
        capsys.readouterr()
        assert main(["personas", *map(str, words)]) == 2
        assert f"line {line} was changed" in capsys.readouterr().err


def test_shifts_by_events_are_measured_and_only_the_neutral_is_asked(place, capsys):
    path = place / "shifts.jsonl"
    told = said(capsys, "ask", place / "home.toml", "--transcript", path)
    first = read_transcript(path)
    more = ["--transcript", path, "--neutral", "Fine weather."]
    told = said(capsys, "ask", place / "home.toml", *more)
    assert re.search(r"shift answers by up to \d+\.\d\d in log-odds; \d of 8 answers were", told)
    fresh = read_transcript(path)[len(first) :]
    assert {a["event"] for a in fresh} == {"Fine weather."}
    assert f"transcript: {path}, {len(first) + len(fresh)} calls" in told


def test_probe_says_what_the_model_honours(place, capsys):
    told = said(capsys, "probe", place / "home.toml")
    assert "schema: enforced" in told
    assert "seeds: kept" in told


def test_the_same_sheet_as_json_asks_the_same(place):
    toml = read_sheet(place / "home.toml")
    (place / "home.json").write_text(json.dumps(tomllib.loads(SHEET)))
    assert read_sheet(place / "home.json").questions == toml.questions
    assert [q.event for q in toml.questions[::2]] == [
        "The mayor asks people to stay at home.",
        "Nothing new.",
    ] * 2
    assert [q.repeat for q in toml.questions] == [0, 1] * 4


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("template =", "templat =", r"no entry \[templat\].*did you mean \[template\]"),
        ('name = "nurses"', "name = 3", "persona 1: name = 3 must be a text"),
        ('name = "retired"', 'names = "retired"', r"persona 2 has no entry \[names\]"),
        ("weight = 3", "weight = -3", "weight = -3.0 must be 0 or more"),
        ("cases = 100", "deaths = 100", "template asks for 'cases'"),
        ("repeats = 2", "repeats = 0", "repeats = 0 must be at least 1"),
        ("repeats = 2", "repeats = true", "repeats = True must be a whole number"),
        ("calls = 24", "calls = 2.5", "budget: calls = 2.5 must be a whole number"),
        ("calls = 24", "call = 24", r"budget has no entry \[call\].*did you mean \[calls\]"),
        ("prompt = 2", "", r"price: \[prompt\] is missing"),
        ("most_share = 0.3", "most_share = 3", "most_share = 3.0 must lie in"),
        ('actions = ["home", "out"]', "actions = []", r"actions = \[\] must be a list of texts"),
        ("[answer]\n", "[answer]\nnumbers = {a = 3}\n", r"answer has no entry \[actions, levels\]"),
        ("[[situation]]\ncases = 10\n", "[[situation]\n", "home.toml: "),
    ],
)
def test_a_wrong_sheet_says_where_and_what_would_be_right(tmp_path, old, new, match):
    assert old in SHEET
    path = tmp_path / "home.toml"
    path.write_text(SHEET.replace(old, new, 1))
    with pytest.raises(PersonaError, match=match) as caught:
        read_sheet(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("respondent", "match"),
    [
        ('kind = "http"\nmodel = "m"\nkey = "sk-1"', "'key' must not stand in a file"),
        ('kind = "oracle"', "kind = 'oracle' must be one of http, local, replay"),
        ('kind = "http"\nmodel = "m"\nurl = "ftp://a"', "must begin with http"),
        ('kind = "http"\nmodel = "m"\nurl = "http://me:pw@a/v1"', "not in the url"),
        ('kind = "http"\nmodel = "m"\nat_once = 0', "at_once = 0 must be at least 1"),
        ('kind = "http"\nmodel = "m"\nlimit = "n"', "must be max_tokens or"),
        ('kind = "http"', "respondent of kind http: [model] is missing"),
        ('kind = "local"\npath = "none.gguf"', "is no file; give a GGUF file"),
        ('kind = "local"\npath = "home.toml"', "is no GGUF file"),
        ('kind = "replay"\npath = "none.jsonl"', "is no file; give the transcript"),
        ("", "names no respondent; give --model and --url, --gguf, or --card"),
    ],
)
def test_a_wrong_respondent_is_said_before_anything_is_asked(tmp_path, capsys, respondent, match):
    pytest.importorskip("openai", reason="openai is missing: pip install 'lpm[personas]'")
    path = tmp_path / "home.toml"
    start, end = SHEET.index('kind = "local"'), SHEET.index("[budget]")
    path.write_text(SHEET[:start] + respondent + "\n" + SHEET[end:])
    assert main(["personas", "ask", str(path)]) == 2
    told = capsys.readouterr().err
    assert match in " ".join(told.split())
    assert "pw@" not in told
    assert "sk-1" not in told
    assert not path.with_suffix(".jsonl").exists()


def test_results_are_never_written_over(place, capsys):
    taken = place / "taken.csv"
    taken.write_text("mine")
    assert main(["personas", "ask", str(place / "home.toml"), "--out", str(taken)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["personas", "ask", str(place / "home.toml"), "--out", "a.txt"]) == 2
    assert "must end in .parquet or .csv" in capsys.readouterr().err
    assert taken.read_text() == "mine"


def test_a_server_is_named_on_the_command_line(place, capsys):
    pytest.importorskip("openai", reason="openai is missing: pip install 'lpm[personas]'")
    url = ["--url", "http://127.0.0.1:9/v1"]
    told = said(capsys, "plan", place / "home.toml", "--model", "qwen", *url)
    assert "stay at home: qwen at 127.0.0.1:9" in told
    assert Http("qwen", url[1]).about.is_language_model
