"""Entries of a TOML or JSON file, read one by one; a message says where a wrong one stands."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import PersonaError, listing, unknown

Made = TypeVar("Made")


def read_section(
    found: Mapping[str, Any],
    name: str,
    maker: Callable[..., Made],
    types: Mapping[str, type],
    texts: str = "",
) -> Made | None:
    """An object made of a table's entries, or nothing where the table is missing or empty.

    Raises:
        PersonaError: it is not so; says where.
    """
    options = read_options(found, name, {**types, **dict.fromkeys(texts.split(), str)})
    return build(name, maker, options) if options else None


def read_options(found: Mapping[str, Any], name: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Entries of a table, each of its type.

    Raises:
        PersonaError: it is not so; says where.
    """
    table = read_table(found, name)
    check_names(name, table, types)
    return {n: typed(f"{name}: {n}", value, types[n]) for n, value in table.items()}


def build(where: str, maker: Callable[..., Made], options: Mapping[str, Any]) -> Made:
    """What `maker` makes of the options; says which are missing.

    Raises:
        PersonaError: it is not so; says where.
    """
    wanted = inspect.signature(maker).parameters.values()
    missing = [p.name for p in wanted if p.default is p.empty and p.name not in options]
    if missing:
        raise PersonaError(f"{where}: {listing(missing)} is missing")
    return maker(**options)


def read_table(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table inside another, empty where it is missing.

    Raises:
        PersonaError: it is not so; says where.
    """
    table = found.get(name, {})
    if not isinstance(table, Mapping):
        raise PersonaError(f"{name} must be a table, not {table!r}")
    return table


def read_tables(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of tables, empty where it is missing.

    Raises:
        PersonaError: it is not so; says where.
    """
    tables = found.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
        raise PersonaError(f"{name} must be a list of tables: write [[{name}]]")
    return tables


def read_words(table: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts that must be there.

    Raises:
        PersonaError: it is not so; says where.
    """
    words = table.get(name)
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise PersonaError(f"answer: {name} = {words!r} must be a list of texts, or give numbers")
    return words


def typed(where: str, value: object, kind: type[Made]) -> Made:
    """A value of a type; a whole number will do for a number.

    Raises:
        PersonaError: it is not so; says where.
    """
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # type: ignore[return-value] - kind is float here
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        words = {int: "a whole number", float: "a number", str: "a text", dict: "a table"}
        raise PersonaError(f"{where} = {value!r} must be {words.get(kind, 'true or false')}")
    return value


def check_names(owner: str, found: Mapping[str, Any], names: Any) -> None:
    """Refuse names that nobody reads.

    Raises:
        PersonaError: it is not so; says where.
    """
    if wrong := [name for name in found if name not in names]:
        raise PersonaError(unknown(owner, "entry", wrong, names))
