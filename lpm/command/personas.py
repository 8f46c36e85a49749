"""`lpm personas`: plan, ask, replay and report a sheet of questions, and probe who answers them."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import PersonaError
from ..personas import (
    Interview,
    Provenance,
    Replay,
    Respondent,
    Sheet,
    Sofar,
    ask as ask_all,
    attempts_frame,
    make_respondent,
    measure_shifts,
    plan as plan_all,
    probe as probe_one,
    read_sheet,
    read_transcript,
    total_spent,
)
from .persona_options import ADD_OPTIONS
from .persona_tables import answered, by_model, by_verdict, costs, strings
from .tables import show

_ROWS = 40  # Of a table on the screen.
_SHEET, _TRANSCRIPT = "sheet", "transcript"


def add_personas(commands: argparse._SubParsersAction) -> None:
    """Declare `lpm personas` and its verbs."""
    parser = commands.add_parser(
        "personas", help="ask described people what they would do", description=__doc__
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    told: dict[str, tuple[Callable[..., None], str]] = {
        "plan": (plan, "what asking would take: calls, tokens, money; asks nothing"),
        "ask": (ask, "ask, with every attempt in a transcript; again, it goes on where it was"),
        "replay": (replay, "the same answers from the transcript, without a network"),
        "report": (report, "what a transcript holds, and whether it is whole"),
        "probe": (probe, "whether the endpoint honours schemas and seeds: at most six questions"),
    }
    for name, (act, words) in told.items():
        verb = verbs.add_parser(name, help=words, description=words)
        kind = _TRANSCRIPT if name == "report" else _SHEET
        what = "of `lpm personas ask`" if name == "report" else "a TOML or JSON file of questions"
        verb.add_argument(kind, type=Path, help=what)
        ADD_OPTIONS[name](verb)
        verb.set_defaults(act=act)


def plan(options: argparse.Namespace, console: Console) -> None:
    """Say what asking would take.

    Raises:
        PersonaError: the sheet or the transcript is wrong.
    """
    sheet, respondent = _begin(options, console)
    path = _transcript(options, sheet)
    found = plan_all(
        sheet.questions, respondent, budget=sheet.budget, transcript=path, retries=sheet.retries
    )
    rows = [
        costs("one call each", found.once),
        costs("all retries", found.worst),
        costs("spent before", found.spent),
    ]
    known = f", {found.known:,} of them answered in {path}" if found.known else ""
    _say(console, f"{found.questions:,} questions{known}; {found.calls:,} to ask")
    show(console, rows, "At the most")
    for limit in found.short:
        _say(console, f"budget: {limit}")
    if found.fits:
        _say(console, "this fits into the budget, if no call has to be repeated")


def ask(options: argparse.Namespace, console: Console) -> None:
    """Ask what is not answered yet, and show the answers.

    Raises:
        PersonaError: as `lpm.personas.ask`.
    """
    sheet, respondent = _begin(options, console)
    path = _transcript(options, sheet)
    with _bar() as told:
        answers = ask_all(
            sheet.questions,
            respondent,
            budget=sheet.budget,
            transcript=path,
            retries=sheet.retries,
            fallback=sheet.fallback,
            progress=told,
        )
    _show(console, answers, options.out)
    if options.neutral:
        _show_shifts(console, sheet, respondent, answers, options.neutral, path)
    attempts = read_transcript(path)
    spent = replace(total_spent(attempts), price=sheet.budget.price)
    _say(console, f"transcript: {path}, {spent}; head {attempts[-1]['hash']}")


def replay(options: argparse.Namespace, console: Console) -> None:
    """Answer a sheet from its transcript.

    Raises:
        PersonaError: a question is not on record, or the transcript was tampered with.
    """
    sheet = read_sheet(options.sheet)
    respondent = Replay(_transcript(options, sheet), options.model or "", options.head or "")
    answers = ask_all(sheet.questions, respondent, retries=sheet.retries, fallback=sheet.fallback)
    _say(console, f"{sheet.name}: {respondent.about.name}; no model was asked")
    _show(console, answers, options.out)


def report(options: argparse.Namespace, console: Console) -> None:
    """Say what a transcript holds.

    Raises:
        PersonaError: it was tampered with, or is empty.
    """
    attempts = read_transcript(options.transcript, options.head or "")
    if not attempts:
        raise PersonaError(f"{options.transcript} is empty; ask first")
    frame = attempts_frame(options.transcript)
    _say(console, f"{options.transcript}: {len(attempts):,} lines, whole and in order")
    _say(console, f"head {attempts[-1]['hash']}; keep it elsewhere to notice lines cut off the end")
    show(console, [strings(row) for row in by_model(frame).iter_rows(named=True)], "Who answered")
    show(console, [strings(row) for row in by_verdict(frame).iter_rows(named=True)], "Attempts")
    _say(console, f"share of the people all of whose questions are answered: {answered(frame):.1%}")
    for model in frame.filter(~pl.col("is_language_model"))["model"].unique().sort():
        _say(console, f"{model} is not a language model")
    if options.parquet:
        _check_free(options.parquet)
        frame.write_parquet(options.parquet)
        _say(console, f"table: {options.parquet}")


def probe(options: argparse.Namespace, console: Console) -> None:
    """Find out what the respondent honours.

    Raises:
        PersonaError: the sheet is wrong, or its budget allows no calls.
    """
    sheet, respondent = _begin(options, console)
    path = options.transcript
    found = probe_one(respondent, budget=sheet.budget, transcript=path, retries=sheet.retries)
    _say(console, f"schema: {found.schema}")
    _say(console, f"seeds: {found.seeds}")
    if found.detail:
        _say(console, f"  {found.detail}")


def _begin(options: argparse.Namespace, console: Console) -> tuple[Sheet, Respondent]:
    """The sheet, and who answers it: as given here, else as the sheet says."""
    if getattr(options, "out", None) is not None:
        _check_out(options.out)
    sheet = read_sheet(options.sheet)
    given: Mapping[str, Any] = sheet.respondent
    base = sheet.path.parent
    if options.card:
        given, base = {"kind": "rules", "card": options.card}, Path()
    elif options.gguf:
        given, base = {"kind": "local", "path": options.gguf}, Path()
    elif options.model or options.url:
        kept = given if given.get("kind") == "http" else {"kind": "http"}
        new = {"model": options.model, "url": options.url}
        given = {**kept, **{name: value for name, value in new.items() if value}}
    if not given:
        raise PersonaError(
            f"{sheet.path} names no respondent; give --model and --url, --gguf, or --card"
        )
    respondent = make_respondent(given, base)
    about = respondent.about
    _say(console, f"{sheet.name}: {about.name}")
    if not about.is_language_model:
        _say(console, f"{about.model} is not a language model")
    return sheet, respondent


def _show_shifts(
    console: Console,
    sheet: Sheet,
    respondent: Respondent,
    answers: Interview,
    neutral: str,
    path: Path,
) -> None:
    """What events do to answers; what they were is on record, so only the neutral is asked."""
    told = [
        question
        for question, code in zip(answers.questions, answers.codes, strict=True)
        if question.event and code is not Provenance.FALLBACK
    ]
    if not told:
        raise PersonaError(f"{sheet.path}: no answer to an event whose shift could be measured")
    found = measure_shifts(
        told,
        respondent,
        neutral=neutral,
        budget=sheet.budget,
        transcript=path,
        retries=sheet.retries,
    )
    _say(console, str(found))


def _transcript(options: argparse.Namespace, sheet: Sheet) -> Path:
    return options.transcript or sheet.path.with_suffix(".jsonl")


@contextmanager
def _bar() -> Iterator[Callable[[Sofar], None]]:
    """Progress and cost so far, where a person looks."""
    shown = Console(stderr=True)
    columns = TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    cost = TextColumn("{task.description}")
    with Progress(
        *columns, cost, console=shown, transient=True, disable=not shown.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)

        def told(sofar: Sofar) -> None:
            bar.update(task, completed=sofar.done, total=sofar.total, description=str(sofar.spent))

        yield told


def _show(console: Console, answers: Interview, out: Path | None) -> None:
    frame = answers.frame()
    plain = frame.drop("event")
    rows = [strings(row) for row in plain.head(_ROWS).iter_rows(named=True)]
    show(console, rows, "Answers")
    if len(plain) > _ROWS:
        _say(console, f"... {len(plain) - _ROWS:,} more rows")
    shares = ", ".join(f"{share:.1%} {name}" for name, share in answers.shares().items())
    _say(console, f"share of the people by source: {shares}")
    for kind, count in sorted(answers.failures.items()):
        _say(console, f"  {count:,} x {kind}")
    if out is not None:
        _check_out(out)
        frame.write_csv(out) if out.suffix == ".csv" else frame.write_parquet(out)
        _say(console, f"answers: {out}")


def _check_out(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise PersonaError(f"--out {path} must end in .parquet or .csv")
    _check_free(path)


def _check_free(path: Path) -> None:
    if path.exists():
        raise PersonaError(f"{path} exists already; give the name of a new file")


def _say(console: Console, message: str) -> None:
    console.print(message, highlight=False, markup=False, soft_wrap=True)
