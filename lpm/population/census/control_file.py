"""Controls written in TOML.

```toml
[level.county]          # optional; what holds for its controls unless they say otherwise
hard = true

[[control]]
name = "households"
level = "county"
counts = "household"    # or person, household person, quarters person
target = "B11016_001"   # several cells are added up: ["B11016_002", "B11016_009"]

[[control]]
name = "vehicles"
level = "county"
counts = "household"
expression = "CAST(VEH AS INT)"    # a number is added up; true or false chooses
target = "B25046_001"

[[family]]              # a partition, in one go
name = "household size"
level = "tract"
counts = "household"
variable = "NP"
cuts = [1, 2, 3]        # 1, 2, and 3 or more; -inf may come first
targets = ["B11016_010", ["B11016_003", "B11016_011"], "larger"]

[[family]]
name = "sex"
level = "tract"
counts = "person"
variable = "SEX"
universe = "AGEP >= 25" # who is parted; everything counted unless said
values = {male = ["1"], female = ["2"]}
targets = {male = "B15002_002", female = "B15002_019"}
```
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lpm.errors import DataError, listing, unknown

from .controls import Control, family
from .schema import read_toml

_CONTROL = ("name", "level", "counts", "target", "expression", "hard", "error")
_FAMILY = (
    *("name", "level", "counts", "variable", "targets"),
    *("cuts", "values", "universe", "hard", "error"),
)


def read_controls(path: str | Path) -> list[Control]:
    """The controls of a TOML file, in its order: families after single ones.

    The top of this module shows the format.

    Raises:
        DataError: the file is no TOML, or declares no control; names the entry and the key.
    """
    path = Path(path)
    table = read_toml(path)
    _known(table, ("level", "control", "family"), path.name)
    levels = table.get("level", {})
    for name, level in levels.items():
        _known(level, ("hard",), f"{path.name} [level.{name}]")
    controls = [
        _control(entry, f"{path.name} [[control]] {i}", levels)
        for i, entry in enumerate(table.get("control", []), start=1)
    ]
    for i, entry in enumerate(table.get("family", []), start=1):
        controls += _family(entry, f"{path.name} [[family]] {i}", levels)
    if not controls:
        raise DataError(f"{path.name} declares no [[control]] and no [[family]]")
    return controls


def _control(entry: Mapping[str, Any], owner: str, levels: Mapping[str, Any]) -> Control:
    _check(entry, owner, _CONTROL, ("name", "level", "counts", "target"), levels)
    given = {**levels.get(entry["level"], {}), **entry}
    return Control(**{**given, "target": _cells(entry["target"])})


def _family(entry: Mapping[str, Any], owner: str, levels: Mapping[str, Any]) -> list[Control]:
    _check(entry, owner, _FAMILY, _FAMILY[:5], levels)
    given = {**levels.get(entry["level"], {}), **entry}
    targets = entry["targets"]
    if isinstance(targets, Mapping):
        parts = list(entry.get("values", {}))
        if set(parts) != set(targets):
            raise DataError(
                f"{owner}: targets are for {listing(targets)}, values for {listing(parts)}"
            )
        targets = [targets[part] for part in parts]
    return family(**{**given, "targets": [_cells(target) for target in targets]})


def _cells(target: str | Sequence[str]) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else tuple(target)


def _check(
    entry: Mapping[str, Any],
    owner: str,
    known: Sequence[str],
    needed: Sequence[str],
    levels: Mapping[str, Any],
) -> None:
    _known(entry, known, owner)
    missing = [name for name in needed if name not in entry]
    if missing:
        raise DataError(f"{owner} does not say {listing(missing)}")
    if levels and entry["level"] not in levels:
        raise DataError(unknown(owner, "level", [entry["level"]], levels))


def _known(table: Mapping[str, Any], known: Sequence[str], owner: str) -> None:
    wrong = [name for name in table if name not in known]
    if wrong:
        raise DataError(unknown(owner, "key", wrong, known))
