"""Names that a package imports when they are first asked for, so that it opens quickly."""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def later(
    package: str, names: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package where `names`, by module, wait until they are used.

    A module of the list can be asked for as well. No name may be that of a module of the same
    package, which the import system would put in its place.
    """
    where = {name: module for module, found in names.items() for name in found}

    def find(name: str) -> Any:
        if name in names:
            return import_module(f"{package}.{name}")
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{where[name]}"), name)

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *where})

    return find, listed
