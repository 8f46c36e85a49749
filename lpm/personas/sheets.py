"""A sheet of questions: a TOML or JSON file that says who is asked what, by whom, at what cost.

A key never stands in a sheet: it comes from the environment. An example, with all that must be
there and some of what may:

    template = "Cases a day are {cases:.0f} in 100,000. Of 100 such people, how many stay at home?"
    event = "The mayor asks people to stay at home."   # data, fenced; a situation may have its own
    repeats = 3

    [answer]                      # or [answer.numbers] with support = {within = [0, 100]}
    actions = ["home", "out"]
    levels = ["without pay", "with pay of 50 dollars a day"]
    at = [{pay = 0}, {pay = 50}]  # for rules

    [[persona]]
    name = "nurses"
    text = "Nurses of about 40 with children."
    weight = 31000
    facts = {age = 40, work = 1}  # for rules, which cannot read

    [[situation]]
    cases = 10

    [respondent]                  # or kind = "local" or "replay" with path, or "rules" with card
    kind = "http"
    model = "qwen3"
    url = "http://127.0.0.1:8080/v1"

    [budget]
    calls = 800

    [price]                       # per million tokens; left out, costs stay unknown
    prompt = 0.5
    answer = 1.5
    currency = "USD"
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PersonaError
from .attempts import Retries
from .budget import Budget, Price
from .codebook import Codebook, Number
from .entries import (
    build,
    check_names,
    read_options,
    read_section,
    read_table,
    read_tables,
    read_words,
    typed,
)
from .interview import Fallback
from .question import Persona, Question, Settings
from .replay import Replay
from .replies import Respondent
from .respondents import KEY_VARIABLE, Http, Local
from .rule_cards import read_rules

_TOP = (
    "name",
    "template",
    "event",
    "repeats",
    "answer",
    "persona",
    "situation",
    "settings",
    "respondent",
    "budget",
    "price",
    "retries",
    "fallback",
)
_KINDS: Mapping[str, Mapping[str, type]] = {
    "http": {"model": str, "url": str, "at_once": int, "timeout": float, "limit": str},
    "local": {"path": str, "context": int, "at_once": int, "threads": int, "layers": int},
    "replay": {"path": str, "model": str, "head": str},
    "rules": {"card": str},
}
_SECRETS = ("key", "api_key", "token", "password")


@dataclass(frozen=True)
class Sheet:
    """What a file asks for.

    Attributes:
        path: of the file.
        name: of the sheet, for people to read.
        questions: persona by persona, then situation by situation, then repeat by repeat.
        respondent: kind and options as they stand in the file, if any.
        budget, retries, fallback: as `ask` takes them.
    """

    path: Path
    name: str
    questions: tuple[Question, ...]
    respondent: Mapping[str, Any]
    budget: Budget
    retries: Retries
    fallback: Fallback | None


def read_sheet(path: str | Path) -> Sheet:
    """Read a sheet, and check all of it before anything is asked.

    Raises:
        PersonaError: the file is missing or unreadable, a name in it is unknown or missing, or a
            value is not what it must be; the message names the file and the place.
    """
    path = Path(path)
    found = _load(path)
    check_names(str(path), found, _TOP)
    try:
        return _sheet(path, found)
    except PersonaError as error:
        raise PersonaError(f"{path}: {error}") from None


def make_respondent(given: Mapping[str, Any], base: Path | None = None) -> Respondent:
    """A respondent from its kind and options; paths are relative to `base`.

    Raises:
        PersonaError: an unknown kind or option, or a key among them.
    """
    options = dict(given)
    for secret in (name for name in options if name.lower() in _SECRETS):
        raise PersonaError(
            f"respondent: {secret!r} must not stand in a file; set {KEY_VARIABLE} instead"
        )
    kind = options.pop("kind", None)
    if kind not in _KINDS:
        raise PersonaError(f"respondent: kind = {kind!r} must be one of {', '.join(_KINDS)}")
    types = _KINDS[kind]
    check_names(f"respondent of kind {kind}", options, types)
    options = {n: typed(f"respondent: {n}", v, types[n]) for n, v in options.items()}
    for name in ("path", "card"):
        if name in options and (name == "path" or options[name].endswith(".toml")):
            options[name] = (base or Path()) / options[name]
    makers: Mapping[str, Callable[..., Any]] = {
        "http": Http,
        "local": Local,
        "replay": Replay,
        "rules": read_rules,
    }
    return build(f"respondent of kind {kind}", makers[kind], options)


def _sheet(path: Path, found: Mapping[str, Any]) -> Sheet:
    for name in ("template", "answer", "persona"):
        if name not in found:
            raise PersonaError(f"{name} is missing; a sheet needs template, answer and persona")
    return Sheet(
        path,
        typed("name", found.get("name", path.stem), str),
        _questions(found),
        read_table(found, "respondent"),
        **_terms(found),
    )


def _terms(found: Mapping[str, Any]) -> dict[str, Any]:
    """Budget, retries and fallback."""
    price = read_section(
        found, "price", Price, {"prompt": float, "answer": float}, "currency source"
    )
    limits = {"calls": int, "tokens": int, "money": float, "overhead": int}
    budget = read_options(found, "budget", limits)
    waits = {"transport": int, "content": int, "first_wait": float, "longest_wait": float}
    return {
        "budget": build("budget", Budget, {**budget, "price": price}),
        "retries": read_section(found, "retries", Retries, waits) or Retries(),
        "fallback": _fallback(found),
    }


def _questions(found: Mapping[str, Any]) -> tuple[Question, ...]:
    book = _codebook(read_table(found, "answer"))
    wanted = {"temperature": float, "most_tokens": int, "seed": int}
    settings = read_section(found, "settings", Settings, wanted) or Settings()
    repeats = typed("repeats", found.get("repeats", 1), int)
    if repeats < 1:
        raise PersonaError(f"repeats = {repeats} must be at least 1")
    common = typed("event", found.get("event", ""), str)
    asked = []
    for persona in _personas(found):
        for situation in read_tables(found, "situation") or [{}]:
            values = dict(situation)
            event = typed("situation: event", values.pop("event", common), str)
            for repeat in range(repeats):
                template = typed("template", found["template"], str)
                q = Question(persona, template, book, values, event, settings, repeat)
                asked.append(q)
    return tuple(asked)


def _personas(found: Mapping[str, Any]) -> list[Persona]:
    types = {"name": str, "text": str, "weight": float, "facts": dict}
    made = []
    for number, table in enumerate(read_tables(found, "persona"), start=1):
        where = f"persona {number}"
        check_names(where, table, types)
        options = {n: typed(f"{where}: {n}", v, types[n]) for n, v in table.items()}
        options["facts"] = _numbers(f"{where}: facts", options.get("facts", {}))
        made.append(build(where, Persona, options))
    if not made:
        raise PersonaError("persona: there is none; a sheet needs one at least")
    return made


def _codebook(table: Mapping[str, Any]) -> Codebook:
    if "numbers" in table:
        check_names("answer", table, ("numbers",))
        return Codebook(tuple(_number(n, t) for n, t in read_table(table, "numbers").items()))
    check_names("answer", table, ("actions", "levels", "of", "at"))
    words = [read_words(table, name) for name in ("actions", "levels")]
    at = [_numbers("answer: at", level) for level in read_tables(table, "at")]
    return Codebook.curve(*words, of=typed("answer: of", table.get("of", 100), int), at=at)


def _numbers(where: str, table: Mapping[str, Any]) -> dict[str, float]:
    return {name: typed(f"{where}: {name}", value, float) for name, value in table.items()}


def _number(name: str, table: object) -> Number:
    if not isinstance(table, Mapping):
        raise PersonaError(f"answer: {name} must be a table with within = [low, high]")
    check_names(f"answer: {name}", table, ("within", "meaning", "whole"))
    ends = table.get("within")
    if not isinstance(ends, list) or len(ends) != 2:
        raise PersonaError(f"answer: {name}: within = {ends!r} must be [low, high]")
    low, high = (typed(f"answer: {name}: within", end, float) for end in ends)
    meaning = typed(f"answer: {name}: meaning", table.get("meaning", ""), str)
    whole = typed(f"answer: {name}: whole", table.get("whole", False), bool)
    return Number(name, (low, high), meaning, whole)


def _fallback(found: Mapping[str, Any]) -> Fallback | None:
    table = read_table(found, "fallback")
    if not table:
        return None
    check_names("fallback", table, ("answer", "most_share"))
    values = read_table(table, "answer")
    most = typed("fallback: most_share", table.get("most_share", 0.05), float)
    return Fallback(lambda _: values, most)


def read_interviewer(path: str | Path) -> dict[str, Any]:
    """Respondent, budget, retries and fallback of a sheet, whether or not it has questions.

    Raises:
        PersonaError: as `read_sheet`, or a sheet that names no respondent.
    """
    path = Path(path)
    found = _load(path)
    check_names(str(path), found, _TOP)
    try:
        if not (given := read_table(found, "respondent")):
            raise PersonaError("respondent is missing; say who answers")
        return {"respondent": make_respondent(given, path.parent), **_terms(found)}
    except PersonaError as error:
        raise PersonaError(f"{path}: {error}") from None


def _load(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PersonaError(f"{path} cannot be read: {error}") from None
    try:
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise PersonaError(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise PersonaError(f"{path} must hold a table of {', '.join(_TOP[:5])} and so on")
    return found
