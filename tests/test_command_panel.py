"""`lpm run` of a scenario with a panel: rules, a sheet, a replay; said, recorded, resumed."""

import json

import numpy as np
import pytest

import lpm
from lpm.__main__ import main
from lpm.personas import read_transcript

SIZE = ("--agents", "200", "--steps", "8", "--runs", "1")
SHEET = """
[respondent]
kind = "rules"
card = "carbon_tax"
[budget]
calls = CALLS
"""


def said(capsys, *words, code=0):
    assert main([str(word) for word in words]) == code
    told = capsys.readouterr()
    return " ".join((told.out + told.err).split())


def support(folder):
    return lpm.load(folder / "policy").observed["support"]


@pytest.fixture(scope="module")
def by_rules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "rules"
    assert main(["run", "opinion", *SIZE, "--out", str(folder)]) == 0
    return folder


def test_a_run_says_and_records_who_answered(by_rules):
    about = lpm.load(by_rules / "policy").provenance["panel"]
    assert (about["kind"], about["is_language_model"]) == ("rules", False)
    assert about["head"] == read_transcript(by_rules / "transcript.jsonl")[-1]["hash"]
    assert about["rounds"][0] == {"step": 0, "reason": "start", "tainted": False}
    page = (by_rules / "report.html").read_text()
    assert "NOT a language model" in page
    assert about["head"] in page


def test_a_transcript_replays_a_run(by_rules, tmp_path, capsys):
    record, folder = by_rules / "transcript.jsonl", tmp_path / "again"
    told = said(
        capsys, "run", "opinion", *SIZE, "--respondent", f"replay:{record}", "--out", folder
    )
    assert "as recorded in transcript.jsonl (no language model)" in told
    assert np.array_equal(support(folder), support(by_rules))
    told = said(capsys, "run", "--resume", folder, "--respondent", "rules", code=2)
    assert "--respondent rules is not what" in told
    told = said(
        capsys, "run", "opinion", *SIZE, "--seed", "7", "--respondent", f"replay:{record}", code=2
    )
    assert "the nearest question on record" in told


def test_a_sheet_says_who_answers_and_at_what_cost(by_rules, tmp_path, capsys):
    sheet = tmp_path / "who.toml"
    sheet.write_text(SHEET.replace("CALLS", "3"))
    folder = tmp_path / "enough"
    told = said(capsys, "run", "opinion", *SIZE, "--respondent", sheet, "--out", folder)
    assert "NOT a language model" in told
    assert np.array_equal(support(folder), support(by_rules))
    assert json.loads((folder / "spec.json").read_text())["respondent"] == str(sheet)
    sheet.write_text(SHEET.replace("CALLS", "2"))
    folder = tmp_path / "short"
    told = said(capsys, "run", "opinion", *SIZE, "--respondent", sheet, "--out", folder, code=2)
    assert "over the limit of 2" in told
    assert len(read_transcript(folder / "transcript.jsonl")) == 2  # Paid for, and kept.
    sheet.write_text(SHEET.replace("CALLS", "3"))
    said(capsys, "run", "--resume", folder)
    assert np.array_equal(support(folder), support(by_rules))
    assert len(read_transcript(folder / "transcript.jsonl")) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sir", "--respondent", "rules"), "sir has no panel to answer for"),
        (("opinion", "--respondent", "rules:isolaton"), "isolaton"),
        (("opinion", "--respondent", "replay:nowhere.jsonl"), "nowhere.jsonl is no file"),
        (("opinion", "--respondent", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("opinion", "--respondent", "rules:isolation"), "card 'isolation' answers"),
    ],
)
def test_a_wrong_respondent_is_refused(tmp_path, capsys, words, message):
    folder = tmp_path / "run"
    assert message in said(capsys, "run", *words, *SIZE, "--out", folder, code=2)
    # A question that was put and not answered is on record, which is kept.
    assert folder.exists() == (folder / "transcript.jsonl").exists()
