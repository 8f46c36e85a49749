"""Find a scenario by path or name, and load its file."""

import sys
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from ..analysis.legend import Legend
from ..errors import LpmError, ScenarioError, listing
from ..scenario import Scenario

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Loaded:
    """A scenario with its file and its words for figures."""

    scenario: Scenario[Any, Any]
    path: Path
    legend: Legend


def shipped() -> dict[str, Path]:
    """Scenarios that come with lpm, by name: inside the wheel, or beside the package."""
    inside = _PACKAGE / "_scenarios"
    folder = inside if inside.is_dir() else _PACKAGE.parent / "scenarios"
    return {p.stem: p for p in sorted(folder.glob("*.py")) if not p.stem.startswith("_")}


def find(name: str) -> Path:
    """Path of a scenario: a file, `scenarios/NAME.py` here, or one that comes with lpm.

    Raises:
        ScenarioError: none of these; names the nearest.
    """
    path = Path(name)
    if path.is_file():
        return path.resolve()
    local = Path("scenarios") / f"{name}.py"
    if local.is_file():
        return local.resolve()
    known = shipped()
    if name in known:
        return known[name]
    close = get_close_matches(path.stem, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ScenarioError(
        f"there is no file {name}, and no scenario of that name in {listing(known)}{hint}"
    )


def load(name: str) -> Loaded:
    """Run a scenario's file and take its `scenario`.

    Raises:
        ScenarioError: no such file, it does not run, or it defines no `scenario`.
    """
    path = find(name)
    module = _execute(path)
    scenario = getattr(module, "scenario", None)
    if not isinstance(scenario, Scenario):
        found = "nothing of that name" if scenario is None else f"a {type(scenario).__name__}"
        raise ScenarioError(f"{path} must define `scenario = lpm.Scenario(...)`; it has {found}")
    return Loaded(scenario, path, Legend.of(module))


def _execute(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"lpm_scenario.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ScenarioError(f"{path} is not a Python file; give one that defines `scenario`")
    module = module_from_spec(spec)
    # Annotations are resolved through the module's entry here.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ScenarioError(f"{path}, line {error.lineno}: {error.msg}") from error
    except ImportError as error:
        raise ScenarioError(f"{path} cannot be imported: {error}") from error
    except LpmError as error:
        raise type(error)(f"{path}: {error}") from error
    return module
