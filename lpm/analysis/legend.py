"""Legend: what a scenario's file says about how its observables are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import ScenarioError, unknown
from ..trajectory import Trajectory
from .summary import words


@dataclass(frozen=True)
class Legend:
    """Words for figures and tables.

    Attributes:
        labels: name of each element of an array observable, such as age bands.
        units: unit of an observable, such as "people/day".
        together: titles of figures, and the scalar observables each shows in one frame.
    """

    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    together: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, module: ModuleType) -> "Legend":
        """Read `LABELS`, `UNITS` and `TOGETHER` of a scenario's module; each may be missing.

        Raises:
            ScenarioError: one of them is not a dict.
        """
        found = {}
        for name in ("labels", "units", "together"):
            value = getattr(module, name.upper(), {})
            if not isinstance(value, Mapping):
                raise ScenarioError(
                    f"{name.upper()} must be a dict by observable, not {type(value).__name__}"
                )
            found[name] = {
                key: entry if isinstance(entry, str) else [str(e) for e in entry]
                for key, entry in value.items()
            }
        return cls(**found)

    def check(self, trajectory: Trajectory) -> None:
        """Refuse words for what is not observed, and the wrong number of labels.

        Raises:
            ScenarioError: names the entry and what is there.
        """
        named = [*self.labels, *self.units, *(n for group in self.together.values() for n in group)]
        wrong = [name for name in named if name not in trajectory.observed]
        if wrong:
            raise ScenarioError(unknown("observe", "observable", wrong, trajectory.observed))
        for name, labels in self.labels.items():
            shape = np.shape(trajectory.observed[name])[len(trajectory.lead) + 1 :]
            if len(shape) != 1 or shape[0] != len(labels):
                raise ScenarioError(
                    f"LABELS[{name!r}] has {len(labels)} names, but the observable has "
                    f"{list(shape)} elements"
                )

    def axis(self, observable: str) -> str:
        """Name and unit of an observable, for an axis or a title."""
        unit = self.units.get(observable, "")
        return f"{words(observable)} ({unit})" if unit else words(observable)

    def record(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)
