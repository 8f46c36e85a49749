"""A sheet of questions: a TOML or JSON file that says who is asked what, by whom, at what cost.

A key never stands in a sheet: it comes from the environment. An example, with all that must be
there and some of what may:

    template = "Cases a day are {cases:.0f} in 100,000. Of 100 such people, how many stay at home?"
    event = "The mayor asks people to stay at home."   # data, fenced; a situation may have its own
    repeats = 3

    [answer]                      # or [answer.numbers] with support = {within = [0, 100]}
    actions = ["home", "out"]
    levels = ["without pay", "with pay of 50 dollars a day"]

    [[persona]]
    name = "nurses"
    text = "Nurses of about 40 with children."
    weight = 31000

    [[situation]]
    cases = 10

    [respondent]                  # or kind = "local" with path, or kind = "replay" with path
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

import inspect
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import PersonaError, listing, unknown
from .attempts import Retries
from .budget import Budget, Price
from .codebook import Codebook, Number
from .interview import Fallback
from .question import Persona, Question, Settings
from .replay import Replay
from .replies import Respondent
from .respondents import KEY_VARIABLE, Http, Local

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
}
_SECRETS = ("key", "api_key", "token", "password")
Made = TypeVar("Made")


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
    _known(str(path), found, _TOP)
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
    _known(f"respondent of kind {kind}", options, types)
    options = {n: _typed(f"respondent: {n}", v, types[n]) for n, v in options.items()}
    if "path" in options:
        options["path"] = (base or Path()) / options["path"]
    makers: Mapping[str, Callable[..., Any]] = {"http": Http, "local": Local, "replay": Replay}
    return _make(f"respondent of kind {kind}", makers[kind], options)


def _sheet(path: Path, found: Mapping[str, Any]) -> Sheet:
    for name in ("template", "answer", "persona"):
        if name not in found:
            raise PersonaError(f"{name} is missing; a sheet needs template, answer and persona")
    price = _section(found, "price", Price, {"prompt": float, "answer": float}, "currency source")
    limits = {"calls": int, "tokens": int, "money": float, "overhead": int}
    budget = _options(found, "budget", limits)
    return Sheet(
        path,
        _typed("name", found.get("name", path.stem), str),
        _questions(found),
        _table(found, "respondent"),
        _make("budget", Budget, {**budget, "price": price}),
        _section(
            found,
            "retries",
            Retries,
            {"transport": int, "content": int, "first_wait": float, "longest_wait": float},
        )
        or Retries(),
        _fallback(found),
    )


def _questions(found: Mapping[str, Any]) -> tuple[Question, ...]:
    book = _codebook(_table(found, "answer"))
    wanted = {"temperature": float, "most_tokens": int, "seed": int}
    settings = _section(found, "settings", Settings, wanted) or Settings()
    repeats = _typed("repeats", found.get("repeats", 1), int)
    if repeats < 1:
        raise PersonaError(f"repeats = {repeats} must be at least 1")
    common = _typed("event", found.get("event", ""), str)
    asked = []
    for persona in _personas(found):
        for situation in _tables(found, "situation") or [{}]:
            values = dict(situation)
            event = _typed("situation: event", values.pop("event", common), str)
            for repeat in range(repeats):
                template = _typed("template", found["template"], str)
                q = Question(persona, template, book, values, event, settings, repeat)
                asked.append(q)
    return tuple(asked)


def _personas(found: Mapping[str, Any]) -> list[Persona]:
    types = {"name": str, "text": str, "weight": float}
    made = []
    for number, table in enumerate(_tables(found, "persona"), start=1):
        where = f"persona {number}"
        _known(where, table, types)
        options = {n: _typed(f"{where}: {n}", v, types[n]) for n, v in table.items()}
        made.append(_make(where, Persona, options))
    if not made:
        raise PersonaError("persona: there is none; a sheet needs one at least")
    return made


def _codebook(table: Mapping[str, Any]) -> Codebook:
    if "numbers" in table:
        _known("answer", table, ("numbers",))
        return Codebook(tuple(_number(n, t) for n, t in _table(table, "numbers").items()))
    _known("answer", table, ("actions", "levels", "of"))
    words = [_words(table, name) for name in ("actions", "levels")]
    return Codebook.curve(*words, of=_typed("answer: of", table.get("of", 100), int))


def _number(name: str, table: object) -> Number:
    if not isinstance(table, Mapping):
        raise PersonaError(f"answer: {name} must be a table with within = [low, high]")
    _known(f"answer: {name}", table, ("within", "meaning", "whole"))
    ends = table.get("within")
    if not isinstance(ends, list) or len(ends) != 2:
        raise PersonaError(f"answer: {name}: within = {ends!r} must be [low, high]")
    low, high = (_typed(f"answer: {name}: within", end, float) for end in ends)
    meaning = _typed(f"answer: {name}: meaning", table.get("meaning", ""), str)
    whole = _typed(f"answer: {name}: whole", table.get("whole", False), bool)
    return Number(name, (low, high), meaning, whole)


def _fallback(found: Mapping[str, Any]) -> Fallback | None:
    table = _table(found, "fallback")
    if not table:
        return None
    _known("fallback", table, ("answer", "most_share"))
    values = _table(table, "answer")
    most = _typed("fallback: most_share", table.get("most_share", 0.05), float)
    return Fallback(lambda _: values, most)


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


def _section(
    found: Mapping[str, Any],
    name: str,
    maker: Callable[..., Made],
    types: Mapping[str, type],
    texts: str = "",
) -> Made | None:
    options = _options(found, name, {**types, **dict.fromkeys(texts.split(), str)})
    return _make(name, maker, options) if options else None


def _options(found: Mapping[str, Any], name: str, types: Mapping[str, type]) -> dict[str, Any]:
    table = _table(found, name)
    _known(name, table, types)
    return {n: _typed(f"{name}: {n}", value, types[n]) for n, value in table.items()}


def _make(where: str, maker: Callable[..., Made], options: Mapping[str, Any]) -> Made:
    wanted = inspect.signature(maker).parameters.values()
    missing = [p.name for p in wanted if p.default is p.empty and p.name not in options]
    if missing:
        raise PersonaError(f"{where}: {listing(missing)} is missing")
    return maker(**options)


def _table(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = found.get(name, {})
    if not isinstance(table, Mapping):
        raise PersonaError(f"{name} must be a table, not {table!r}")
    return table


def _tables(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    tables = found.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
        raise PersonaError(f"{name} must be a list of tables: write [[{name}]]")
    return tables


def _words(table: Mapping[str, Any], name: str) -> list[str]:
    words = table.get(name)
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise PersonaError(f"answer: {name} = {words!r} must be a list of texts, or give numbers")
    return words


def _typed(where: str, value: object, kind: type[Made]) -> Made:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # type: ignore[return-value] - kind is float here
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        raise PersonaError(f"{where} = {value!r} must be {words[kind]}")
    return value


def _known(owner: str, found: Mapping[str, Any], names: Any) -> None:
    if wrong := [name for name in found if name not in names]:
        raise PersonaError(unknown(owner, "entry", wrong, names))
