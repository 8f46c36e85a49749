"""The command that judges a real model: it passes who knows, fails who does not, and says so."""

import json
import os

import numpy as np
import pytest

from lpm import personas
from lpm.population.seeds import generator
from tests.gates import real_model, teachers
from tests.small_model import write_model

pytestmark = pytest.mark.gate


class Clerk:
    """A respondent that reads who is described, and knows the town as `biased` does."""

    about = personas.About("clerk", "clerk-1", "scripted", False)

    def __init__(self, lean=0.0, turn=1.0, knows=True):
        odds = teachers.biased(teachers.town(3))
        self.knows = knows
        self.odds = odds if turn == 1 else odds[:, ::-1]
        self.lean = lean

    def reply(self, questions):
        return [self.one(question) for question in questions]

    def one(self, question):
        text, names = question.persona.text, question.codebook.names
        band = [
            next(i for i, words in enumerate(attribute) if words in text)
            for attribute in real_model.WORDS
        ]
        cell = int(np.flatnonzero((band == teachers.CELL).all(axis=1))[0])
        stay_first = names[0].startswith("stay")
        wording = next(
            i
            for i, asked in enumerate(real_model.ASKED)
            if question.filled.startswith(asked.split("{")[0])
        )
        luck = generator(cell * 10 + wording * 2 + stay_first).standard_normal()
        odds = self.odds[cell] + 0.3 * luck + self.lean * (1 if stay_first else -1)
        stay = np.round(100 / (1 + np.exp(-odds))).astype(int) if self.knows else [30] * 6
        said = {f"stay_{k}": int(x) for k, x in enumerate(stay)}
        said |= {f"go_out_{k}": int(100 - x) for k, x in enumerate(stay)}
        return personas.Reply(text=json.dumps(said), finish="stop")


def test_who_knows_the_town_with_the_usual_sins_passes(tmp_path, report):
    found = real_model.judge(Clerk(), tmp_path)
    for part in ("answers", "survey"):
        for name, value in found[part].items():
            report(name, float(value))
    assert found["passed"], found
    assert not found["is_language_model"]
    written = json.loads((tmp_path / "report.json").read_text())
    assert written == found
    assert "Gate of behaviour: passed" in (tmp_path / "report.md").read_text()
    # Again, from the record alone, by nobody.
    replay = personas.Replay(tmp_path / "transcript.jsonl")
    (tmp_path / "again").mkdir()
    again = real_model.judge(replay, tmp_path / "again")
    assert (again["survey"], again["answers"]) == (found["survey"], found["answers"])


@pytest.mark.parametrize(
    ("clerk", "figure"), [(Clerk(lean=0.6), "order"), (Clerk(turn=-1.0), "rising")]
)
def test_who_leans_to_the_first_option_or_has_it_backwards_fails(tmp_path, clerk, figure, report):
    found = real_model.judge(clerk, tmp_path)
    report(figure, float(found["answers"][figure]))
    assert not found["passed"]
    assert not found["answers"]["passed"]


def test_who_says_the_same_of_everybody_fails_by_what_the_survey_alone_can_do(tmp_path, report):
    found = real_model.judge(Clerk(knows=False), tmp_path)
    report("fall", found["survey"]["fall"])
    assert found["survey"]["fall"] > 0.8
    assert not found["answers"]["passed"]
    assert not found["survey"]["passed"]


@pytest.fixture
def nobody(monkeypatch):
    for name in (real_model.GGUF, real_model.URL, real_model.MODEL, "LPM_PERSONAS_KEY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_random_weights_fail_by_the_exit_status(tmp_path, nobody, capsys, report):
    """The control, by real inference; few questions, since a verdict on noise takes no more."""
    pytest.importorskip("xllamacpp", reason="xllamacpp runs the model: pip install 'lpm[personas]'")
    nobody.setenv(real_model.GGUF, str(write_model(tmp_path / "random.gguf", seed=2)))
    out = tmp_path / "report"
    few = ("--cells", "12", "--paraphrases", "1", "--threads", "1")
    status = real_model.main(["--out", str(out), *few])
    found = json.loads((out / "report.json").read_text())
    for part in ("answers", "survey"):
        for name, value in found[part].items():
            report(name, float(value))
    assert status == real_model.FAILED
    assert found["is_language_model"]
    assert not found["passed"]
    assert not found["survey"]["passed"]
    assert "FAILED" in capsys.readouterr().out


def test_without_a_model_it_is_skipped_and_says_what_to_set(tmp_path, nobody, capsys):
    assert real_model.main(["--out", str(tmp_path / "no")]) == real_model.SKIPPED
    assert "LPM_PERSONAS_GGUF" in capsys.readouterr().out
    assert not (tmp_path / "no").exists()


def test_what_cannot_be_asked_is_no_verdict(tmp_path, nobody, capsys):
    nobody.setenv(real_model.GGUF, str(tmp_path / "none.gguf"))
    assert real_model.main(["--out", str(tmp_path / "no")]) == real_model.BROKEN
    assert "is no file" in capsys.readouterr().out
    nobody.delenv(real_model.GGUF)
    nobody.setenv(real_model.URL, "http://127.0.0.1:9/v1")
    assert real_model.main(["--out", str(tmp_path / "no")]) == real_model.BROKEN
    assert "LPM_PERSONAS_MODEL is not" in capsys.readouterr().out


@pytest.mark.skipif(
    not (os.environ.get(real_model.GGUF) or os.environ.get(real_model.URL)),
    reason=f"set {real_model.GGUF}, or {real_model.URL} and {real_model.MODEL}, to judge a model",
)
def test_the_model_of_the_environment(tmp_path):
    assert real_model.main(["--out", str(tmp_path)]) == real_model.PASSED
