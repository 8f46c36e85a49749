"""A transcript: chained, whole after a crash, and every kind of tampering named by its line."""

import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lpm.errors import PersonaError
from lpm.personas import (
    About,
    Codebook,
    Number,
    Persona,
    Question,
    Replay,
    Reply,
    ask,
    attempts_frame,
    read_transcript,
)
from lpm.personas.transcripts import START, Transcript

BOOK = Codebook((Number("home", (0, 100), whole=True),))


class Scripted:
    """Says a number that depends on the persona's name."""

    about = About("scripted", "script-1", "rules", False, 3)

    def reply(self, questions):
        texts = [json.dumps({"home": int(q.persona.name)}) for q in questions]
        return [Reply(t, "stop", prompt_tokens=10, answer_tokens=5) for t in texts]


def asked(count):
    return [Question(Persona(str(i), f"Group {i}."), "Of 100?", BOOK) for i in range(count)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("transcript") / "run.jsonl"
    ask(asked(6), Scripted(), transcript=path)
    return path.read_bytes()


def put(tmp_path, data):
    path = tmp_path / "run.jsonl"
    path.write_bytes(data)
    return path


def test_lines_are_chained_from_the_start_to_the_head(tmp_path, written):
    attempts = read_transcript(put(tmp_path, written))
    assert [a["line"] for a in attempts] == list(range(1, 7))
    assert [a["previous"] for a in attempts] == [START, *(a["hash"] for a in attempts[:-1])]
    # Each value that was asked for is there, with what it depends on.
    assert sorted(a["values"]["home"] for a in attempts) == [0, 1, 2, 3, 4, 5]
    assert all(a["prompt"].startswith("Of 100?") and a["model"] == "script-1" for a in attempts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_is_found_in_its_line(tmp_path, written, data):
    place = data.draw(st.integers(0, len(written) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b not in (written[place], 10)))
    changed = written[:place] + bytes([byte]) + written[place + 1 :]
    line = written[:place].count(b"\n") + 1
    path = put(tmp_path, changed)
    if place == len(written) - 1:  # Without its end the last line is torn, not changed.
        assert len(read_transcript(path)) == 5
        return
    with pytest.raises(PersonaError, match=rf"line {line}\b"):
        read_transcript(path)


def test_lines_taken_out_moved_or_added_are_found(tmp_path, written):
    lines = written.splitlines(keepends=True)
    cases = {
        2: [lines[0], *lines[2:]],
        3: [*lines[:2], lines[3], lines[2], *lines[4:]],
        4: [*lines[:3], lines[0], *lines[3:]],
        1: lines[1:],
    }
    for number, changed in cases.items():
        with pytest.raises(PersonaError, match=f"line {number} does not follow"):
            read_transcript(put(tmp_path, b"".join(changed)))


def test_a_rehashed_line_breaks_the_next(tmp_path, written):
    from lpm.personas.question import canonical, digest

    lines = written.splitlines()
    forged = {**json.loads(lines[2]), "values": {"home": 99.0}}
    forged.pop("hash")
    forged["hash"] = digest(forged)
    lines[2] = canonical(forged).encode()
    with pytest.raises(PersonaError, match="line 4 does not follow"):
        read_transcript(put(tmp_path, b"\n".join(lines) + b"\n"))


def test_lines_cut_off_the_end_are_found_by_the_head(tmp_path, written):
    head = read_transcript(put(tmp_path, written))[-1]["hash"]
    path = put(tmp_path, b"".join(written.splitlines(keepends=True)[:-1]))
    assert len(read_transcript(path)) == 5  # The chain alone cannot tell.
    with pytest.raises(PersonaError, match="lines were cut off its end"):
        read_transcript(path, head)


def test_a_torn_line_is_set_aside_and_its_question_asked_again(tmp_path, written):
    path = put(tmp_path, written[:-40])
    found = ask(asked(6), Scripted(), transcript=path)
    assert list(found.array("home")) == [0, 1, 2, 3, 4, 5]
    assert found.spent.calls == 6
    torn = (tmp_path / "run.jsonl.torn").read_bytes()
    assert torn == written.splitlines()[-1][:-39] + b"\n"


def test_tampering_stops_asking_before_it_begins(tmp_path, written):
    path = put(tmp_path, written.replace(b'"home":3.0', b'"home":9.0'))
    with pytest.raises(PersonaError, match="was changed: its hash does not match"):
        ask(asked(7), Scripted(), transcript=path)
    assert path.read_bytes().count(b"\n") == 6


def test_two_writers_are_kept_apart_and_a_closed_one_does_not_write(tmp_path):
    path = tmp_path / "run.jsonl"
    with Transcript.open(path) as first, pytest.raises(PersonaError, match="by another process"):
        Transcript.open(path)
    with pytest.raises(PersonaError, match="is closed"):
        first.append({})


def test_a_table_holds_every_attempt(tmp_path, written):
    path = put(tmp_path, written)
    frame = attempts_frame(path)
    frame.write_parquet(tmp_path / "run.parquet")
    back = pl.read_parquet(tmp_path / "run.parquet")
    assert back.equals(frame)
    rows = read_transcript(path)
    assert list(back["hash"]) == [r["hash"] for r in rows]
    assert [json.loads(v) for v in back["values"]] == [r["values"] for r in rows]
    assert [json.loads(v) for v in back["schema"]] == [r["schema"] for r in rows]


def test_replay_answers_what_was_asked_and_nothing_else(tmp_path, written):
    path = put(tmp_path, written)
    found = ask(asked(6)[::-1], Replay(path))
    assert list(found.array("home")) == [5, 4, 3, 2, 1, 0]
    assert not found.about.is_language_model
    with pytest.raises(PersonaError, match=r"no answer of '6' .* differs in \[persona\]"):
        ask(asked(7), Replay(path))
    other = [Question(Persona("1", "Group 1."), "Of 90?", BOOK, repeat=2)]
    with pytest.raises(PersonaError, match=r"differs in \[prompt, repeat\]"):
        ask(other, Replay(path))
    with pytest.raises(PersonaError, match=r"no answers of 'm'; it has \[script-1\]"):
        Replay(path, "m")
    with pytest.raises(PersonaError, match="is no file"):
        Replay(tmp_path / "none.jsonl")
