"""Cards of rules: TOML files of log-odds, each coefficient marked and explained."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import PersonaError, listing, unknown
from .rules import CONSTRUCTS, STATUSES, Rules, Term

CARDS = Path(__file__).parent / "cards"


def read_rules(card: str | Path) -> Rules:
    """The rules of a card: the name of one that comes along, or a TOML file.

    Raises:
        PersonaError: no such card, or one with a coefficient that is not marked, not explained,
            or of an unknown construct.
    """
    path = Path(card)
    if path.suffix != ".toml":
        known = sorted(each.stem for each in CARDS.glob("*.toml"))
        if str(card) not in known:
            raise PersonaError(unknown("lpm.personas", "card", [str(card)], known))
        path = CARDS / f"{card}.toml"
    elif not path.is_file():
        raise PersonaError(f"there is no card {path}")
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    missing = [part for part in ("question", "actions", "term") if part not in read]
    if missing:
        raise PersonaError(f"card {path.stem!r} lacks {listing(missing)}")
    if len(read["actions"]) != 2:
        raise PersonaError(f"card {path.stem!r} has actions {read['actions']}; give two")
    terms = tuple(_term(path.stem, i, entry) for i, entry in enumerate(read["term"]))
    lexicon = {"negations": {}, "intensifiers": {}, **read.get("lexicon", {})}
    for name in ("negations", "intensifiers"):
        lexicon[name] = dict.fromkeys(lexicon[name], 1.0)
    number = read.get("number", "")
    return Rules(path.stem, read["question"], tuple(read["actions"]), terms, lexicon, number)


def _term(card: str, number: int, entry: Mapping[str, Any]) -> Term:
    where = f"term {number} of card {card!r}"
    needed = ("construct", "size", "spread", "status", "source")
    missing = [part for part in needed if entry.get(part) in (None, "")]
    if missing:
        raise PersonaError(f"{where} lacks {listing(missing)}; nothing goes in unexplained")
    if entry["status"] not in STATUSES:
        raise PersonaError(f"{where} has status {entry['status']!r}; it is one of {list(STATUSES)}")
    if entry["construct"] not in ("level", *CONSTRUCTS):
        raise PersonaError(unknown(where, "construct", [entry["construct"]], CONSTRUCTS))
    if entry["spread"] < 0:
        raise PersonaError(f"{where} has spread {entry['spread']}; give 0 or more")
    factors = tuple(
        (f["of"], float(f.get("centre", 0)), float(f.get("unit", 1)), bool(f.get("log", False)))
        for f in entry.get("factors", [])
    )
    return Term(
        entry["construct"],
        float(entry["size"]),
        float(entry["spread"]),
        factors,
        entry["status"],
        entry["source"],
    )
