"""The gate of behaviour for a real model, in one command:

    export LPM_PERSONAS_GGUF=model.gguf                 or, of an endpoint,
    export LPM_PERSONAS_URL=http://127.0.0.1:8080/v1 LPM_PERSONAS_MODEL=name
    python -m tests.gates.real_model --out FOLDER

The key of an endpoint is in LPM_PERSONAS_KEY. Every cell of the made-up town of `teachers` is
described in words and asked, in three wordings and both orders of the options, 720 questions, how
many of a hundred would stay at home at each of six levels of an epidemic. Asking goes through
`lpm.personas.ask`, every attempt to FOLDER/transcript.jsonl; the same command again goes on where
it was, and asks nothing that is on record. The answers are then a panel like those of the teachers,
and pass if a survey of 2 % of the town mends it (or it needs no mending) and leaves at most four
fifths of the error that it leaves of one answer for everybody, which it mends as well; and if they
are answers: alike in both orders, rising with the epidemic, and different for different people.

Writes report.json and report.md. Exit: 0 passed, 1 failed, 2 not asked to the end, 77 skipped,
since neither variable was set. `--cells` and `--paraphrases` ask less, to try a model out; what
ridge regression cannot foretell of the cells left out may then fail a good one.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lpm.errors import LpmError, PersonaError
from lpm.personas import (
    Answers,
    Codebook,
    Http,
    Interview,
    Local,
    Persona,
    Question,
    Respondent,
    Settings,
    Surface,
    ask,
    choose_anchors,
    make_surface,
    read_transcript,
    spread_out,
    surface_of,
)
from tests.gates import teachers
from tests.gates.behaviour import adds, alone, measure, mends, unharmed
from tests.studies.record import commit

GGUF, URL, MODEL = "LPM_PERSONAS_GGUF", "LPM_PERSONAS_URL", "LPM_PERSONAS_MODEL"
PASSED, FAILED, BROKEN, SKIPPED = 0, 1, 2, 77
SHARE = 0.02  # of the town, surveyed
ACTIONS = ("go_out", "stay")
WORDS = (
    ("Aged 18 to 30.", "Aged 30 to 42.", "Aged 42 to 55.", "Aged 55 to 67.", "Over 67 years old."),
    ("In the lowest quarter of incomes.", "A little below the middle of incomes.",
     "A little above the middle of incomes.", "In the highest quarter of incomes."),
    ("Live alone.", "Live with one other person.", "Live in a large family."),
    ("Do not go out to work.", "Go out to work."),
)  # fmt: skip
ASKED = (
    "An illness goes round in town. Of 100 such people, how many {first}, and how many {second}, "
    "on an ordinary day?",
    "There is an epidemic where these people live. Think of 100 of them. On a usual day, how many "
    "would {first} and how many would {second}?",
    "Suppose an infection spreads in their town. Out of 100 people like this, say how many {first} "
    "and how many {second} on a typical day.",
)
DOING = {"go_out": "go out as usual", "stay": "stay at home"}


@dataclass(frozen=True)
class Checks:
    """What is asked of the answers themselves, with what a pass takes.

    Attributes:
        order: mean distance of shares between the two orders of options; at most 0.1.
        rising: share of the cells of which more stay in the worst than in no epidemic; at least
            0.75, where chance gives half.
        telling: variance between cells over that of their means by wordings; at least 3, where
            chance gives 1.
    """

    order: float
    rising: float
    telling: float

    @property
    def passed(self) -> bool:
        """All three."""
        return self.order <= 0.1 and self.rising >= 0.75 and self.telling >= 3


def questions(cells: Sequence[int], paraphrases: int) -> list[Question]:
    """By cell, then wording, then order."""
    levels = [f"when {level:.0%} of the town are ill" for level in teachers.KNOTS["prevalence"]]
    found = []
    for cell in cells:
        told = " ".join(words[band] for words, band in zip(WORDS, teachers.CELL[cell], strict=True))
        who = Persona(f"cell {cell}", f"Adults. {told}")
        for wording in ASKED[:paraphrases]:
            for order in (ACTIONS, ACTIONS[::-1]):
                book = Codebook.curve(order, levels)
                said = wording.format(first=DOING[order[0]], second=DOING[order[1]])
                found.append(Question(who, said, book, settings=Settings(most_tokens=600)))
    return found


def shares(answers: Interview, paraphrases: int) -> Float[np.ndarray, "cell knot wording order"]:
    """Of each cell that stay at home."""
    knots = range(len(teachers.KNOTS["prevalence"]))
    stay, out = (
        np.stack([answers.array(f"{action}_{k}") for k in knots], axis=-1)
        for action in ACTIONS[::-1]
    )
    table = (stay / (stay + out)).reshape(-1, paraphrases, 2, len(knots))
    return np.moveaxis(table, -1, 1)


def check(stay: Float[np.ndarray, "cell knot wording order"]) -> Checks:
    """The three figures of the answers."""
    replies = stay.mean(axis=1).reshape(len(stay), -1)
    within = replies.var(axis=1, ddof=1).mean() / replies.shape[1]
    between = replies.mean(axis=1).var(ddof=1)
    curve = stay.mean(axis=(2, 3))
    return Checks(
        order=float(np.abs(stay[..., 0].mean(axis=2) - stay[..., 1].mean(axis=2)).mean()),
        rising=float((curve[:, -1] > curve[:, 0]).mean()),
        telling=float(between / within) if within > 0 else 0.0,
    )


def panel(stay: Float[np.ndarray, "cell knot wording order"], asked: int) -> Surface:
    """The answers as a surface; cells that were not asked are foretold by ridge regression."""
    values = np.stack([1 - stay, stay], axis=-1)
    surface = surface_of(Answers(teachers.KNOTS, ("go out", "stay"), values))
    if asked == teachers.CELLS:
        return surface
    cells, anchors = chosen(asked)
    told = make_surface(surface.mean, surface.spread, teachers.KNOTS, surface.actions)
    return spread_out(told, anchors, cells).surface


def chosen(asked: int) -> tuple[Any, Any]:
    """The cells of the town, and which of them are asked."""
    cells = teachers.cells(np.ones(teachers.CELLS))
    return cells, choose_anchors(cells, asked, seed=1)


def judge(
    respondent: Respondent, out: Path, cells: int = teachers.CELLS, paraphrases: int = len(ASKED)
) -> dict[str, Any]:
    """Ask, measure, and write both reports.

    Raises:
        PersonaError: as `lpm.personas.ask`.
    """
    who = range(teachers.CELLS) if cells == teachers.CELLS else chosen(cells)[1].cell.tolist()
    path = out / "transcript.jsonl"
    answers = ask(questions(list(who), paraphrases), respondent, transcript=path)
    stay = shares(answers, paraphrases)
    surface, checks = panel(stay, cells), check(stay)
    seen = measure(teachers.right, SHARE, lambda here, told: surface)
    mended = adds(seen, SHARE) and (mends(seen) or unharmed(seen))
    found = {
        "passed": mended and checks.passed,
        "model": answers.about.name,
        "is_language_model": answers.about.is_language_model,
        "asked": {"cells": cells, "paraphrases": paraphrases, "questions": len(answers.questions)},
        "survey": {
            "passed": mended,
            "share of the town": SHARE,
            **seen,
            "error of a cell after, of one answer for all": alone(SHARE),
        },
        "answers": {"passed": checks.passed, **vars(checks)},
        "failures": dict(answers.failures),
        "spent": str(answers.spent),
        "transcript": {"file": path.name, "head": read_transcript(path)[-1]["hash"]},
        "commit": commit(),
    }
    (out / "report.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "report.md").write_text(page(found))
    return found


def page(found: Mapping[str, Any]) -> str:
    """The report for people to read."""
    word, asked = {True: "passed", False: "FAILED"}, found["asked"]
    lines = [
        f"# Gate of behaviour: {word[found['passed']]}",
        "",
        f"{found['model']}, {asked['questions']} questions about {asked['cells']} kinds of people; "
        f"{found['spent']}. Transcript head {found['transcript']['head']}, commit "
        f"{found['commit']}.",
        "",
    ]
    for name, title in (
        (
            "answers",
            "Answers alike in both orders (to 0.1), rising (0.75), telling people apart (3)",
        ),
        ("survey", "A panel that a survey of 2 % of the town mends, where nobody was asked"),
    ):
        part = dict(found[name])
        lines += [f"## {title}: {word[part.pop('passed')]}", "", "| what | measured |", "|---|---|"]
        lines += [f"| {what} | {value:.3f} |" for what, value in part.items()]
        lines.append("")
    return "\n".join(lines)


def from_environment(threads: int) -> Respondent | None:
    """Who the variables name, if anybody.

    Raises:
        PersonaError: a file that is none, or an endpoint without a model's name.
    """
    if path := os.environ.get(GGUF):
        return Local(path, threads=threads)
    if os.environ.get(URL) or os.environ.get(MODEL):
        if not os.environ.get(MODEL):
            raise PersonaError(f"{URL} is set, but {MODEL} is not; say which model to ask")
        return Http(os.environ[MODEL])
    return None


def main(words: Sequence[str] | None = None) -> int:
    """Run the gate; the exit status is the verdict."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the reports")
    parser.add_argument("--cells", type=int, default=teachers.CELLS, help="kinds of people asked")
    parser.add_argument("--paraphrases", type=int, default=len(ASKED), choices=range(1, 4))
    parser.add_argument("--threads", type=int, default=2, help="of the processor, for a file")
    asked = parser.parse_args(words)
    try:
        respondent = from_environment(asked.threads)
        if respondent is None:
            print(f"skipped: set {GGUF}, or {URL} and {MODEL}, to a model to be judged")
            return SKIPPED
        asked.out.mkdir(parents=True, exist_ok=True)
        found = judge(respondent, asked.out, asked.cells, asked.paraphrases)
    except LpmError as error:
        print(f"not asked to the end: {error}")
        return BROKEN
    print(page(found))
    return PASSED if found["passed"] else FAILED


if __name__ == "__main__":
    raise SystemExit(main())
