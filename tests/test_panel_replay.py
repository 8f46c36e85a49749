"""A committed transcript gives the committed numbers without a network; a changed one does not."""

import json
import socket

import numpy as np
import pytest

import lpm
from lpm.errors import PersonaError
from lpm.personas import Interviewer, Local, Replay, read_transcript
from scenarios.opinion import scenario
from tests.golden.panel.write import OBSERVABLES, TRANSCRIPT, backend, exact, run
from tests.small_model import write_model


@pytest.fixture
def no_network(monkeypatch):
    def blocked(*_, **__):
        raise AssertionError("a replay opened a socket")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, blocked)
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, blocked)


def test_a_replay_gives_the_golden_numbers_without_a_network(no_network):
    wanted = json.loads(OBSERVABLES.read_text())
    with pytest.raises(AssertionError, match="opened a socket"):
        socket.create_connection(("127.0.0.1", 9))  # The block is real.
    found = run(Replay(TRANSCRIPT, head=wanted["head"]))
    numbers = exact(found)
    assert numbers.keys() == wanted["observed"].keys()
    if backend() == wanted["backend"]:
        assert numbers == wanted["observed"]
    for name, values in wanted["observed"].items():
        mine, theirs = (list(map(float.fromhex, x)) for x in (numbers[name], values))
        assert np.allclose(mine, theirs, rtol=2e-4, atol=1e-5), name
    about = found.provenance["panel"]
    assert about["rounds"] == wanted["rounds"]
    assert about["replayed_head"] == wanted["head"]
    assert (about["kind"], about["is_language_model"]) == ("replay", True)


def test_the_transcript_is_of_a_server_and_tells_people_apart():
    lines = read_transcript(TRANSCRIPT)
    assert {line["kind"] for line in lines} == {"http"}
    said = {line["values"]["stance"] for line in lines if line["values"]}
    assert len(said) > 3  # So that a replay that mixed up its answers would be seen.


def test_a_model_in_this_process_answers_a_panel(tmp_path):
    """From a file, through the same path; and its answers are kept, since none come twice."""
    pytest.importorskip("xllamacpp", reason="xllamacpp is missing: pip install 'lpm[personas]'")
    model = Local(write_model(tmp_path / "small.gguf", seed=7), threads=1)
    people, path = lpm.Population.toy(300, seed=5), tmp_path / "told.jsonl"
    asked = {"key": 11, "steps": 12, "devices": 1}
    with pytest.raises(PersonaError, match="needs a transcript"):
        lpm.simulate(scenario, people, respondent=model, **asked)
    found = lpm.simulate(scenario, people, respondent=Interviewer(model, transcript=path), **asked)
    assert found.provenance["panel"]["kind"] == "local"
    again = lpm.simulate(scenario, people, respondent=Replay(path), **asked)
    assert np.array_equal(found.observed["support"], again.observed["support"])


@pytest.mark.parametrize("change", ["stance", "order", "end"])
def test_a_tampered_transcript_is_refused(tmp_path, change):
    """An answer that was changed, lines that were moved, or the last ones cut off."""
    data = TRANSCRIPT.read_bytes()
    line = next(x for x in read_transcript(TRANSCRIPT) if x["values"])
    lines = data.splitlines(keepends=True)
    changed = {
        "stance": data.replace(
            b'"values":{"stance":%.1f}' % line["values"]["stance"], b'"values":{"stance":1.0}', 1
        ),
        "order": b"".join([lines[1], lines[0], *lines[2:]]),
        "end": b"".join(lines[:-1]),
    }[change]
    assert changed != data
    path = tmp_path / "changed.jsonl"
    path.write_bytes(changed)
    with pytest.raises(PersonaError, match=r"changed|does not follow|cut off"):
        Replay(path, head=json.loads(OBSERVABLES.read_text())["head"])
    path.write_bytes(data)
    Replay(path, head=json.loads(OBSERVABLES.read_text())["head"])  # The control.
