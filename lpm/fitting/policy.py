"""What an optimisation found: a policy, what it is worth, and how far that can be believed."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from ..params import Params, html_table
from .journal import write_result
from .rescoring import Comparison
from .shaped import Shaped


@dataclass(frozen=True)
class Policy:
    """A policy that was searched for, scored on worlds that the search has not seen.

    Attributes:
        params: the whole params, chosen fields replaced.
        welfare: over fresh keys; under `WorstShare`, over the worst of them.
        standard_error: of it.
        start_welfare: where the search began, over the keys of the search.
        feasible: whether every constraint is met on fresh keys, within two standard errors.
        against_random: the same beside random search at equal runs; None if it was interrupted.
        constraints: a row per constraint; see `lpm.fitting.rescoring.constraint_table`.
        history: a row per point that was looked at: stage, iteration, start, runs so far, worlds
            it was seen in, welfare, every constraint, every number of the policy.
        runs: spent to choose the policy; random search spent as many more.
        estimator: of the gradients.
        notes: checks and choices made on the way, in words.
        finished: whether the search came to its end; if not, this is the best that it had seen.
    """

    params: Params
    welfare: float
    standard_error: float
    start_welfare: float
    feasible: bool
    against_random: Comparison | None
    constraints: pl.DataFrame
    history: pl.DataFrame
    runs: int
    estimator: str
    notes: tuple[str, ...]
    finished: bool
    point: Float[np.ndarray, " number"] = field(repr=False)
    _space: Shaped = field(repr=False)
    _name: str = field(repr=False)

    @property
    def table(self) -> pl.DataFrame:
        """A row per number of the policy: element, start and chosen, in units of its field."""
        rows = self._space.flat(np.stack([self._space.start, self.point]))
        return pl.DataFrame({"element": self._space.labels, "start": rows[0], "chosen": rows[1]})

    @property
    def report(self) -> str:
        """The result in words."""
        head = (
            f"Policy for {self._name} by {self.estimator} after {self.runs} runs: welfare "
            f"{self.welfare:.6g} ({self.standard_error:.2g}) on fresh keys, "
            f"{self.start_welfare:.6g} at the start of the search; "
            f"{self.against_random or 'not compared with random search'}."
        )
        head = head if self.finished else f"UNFINISHED. {head}"
        lines = [head if self.feasible else f"NOT FEASIBLE. {head}"]
        for row in self.table.to_dicts():
            lines.append(f"  {row['element']}: {row['start']:.4g} -> {row['chosen']:.4g}")
        for row in self.constraints.to_dicts():
            text = (
                f"  {row['constraint']} {row['relation']} {row['limit']:.6g}: {row['value']:.6g} "
                f"({row['standard_error']:.2g})"
            )
            if not row["feasible"]:
                text += f", NOT MET by {abs(row['excess']):.4g}"
            elif row["binds"]:
                text += (
                    f"; binds, a unit is worth {row['multiplier']:.4g} "
                    f"({row['multiplier_standard_error']:.2g})"
                )
            lines.append(text)
        return "\n".join([*lines, *(f"  {x}" for x in self.notes)])

    def save(self, folder: str | Path) -> Path:
        """Write history.csv and result.json into a new folder.

        Raises:
            FittingError: the folder holds another result.
        """
        return write_result(folder, self.history, self.summary())

    def summary(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "scenario": self._name,
            "params": _plain(self.params),
            "welfare": self.welfare,
            "standard_error": self.standard_error,
            "start_welfare": self.start_welfare,
            "feasible": self.feasible,
            "finished": self.finished,
            "against_random": _compared(self.against_random),
            "constraints": self.constraints.to_dicts(),
            "table": self.table.to_dicts(),
            "runs": self.runs,
            "estimator": self.estimator,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.report

    def _repr_html_(self) -> str:
        first = escape(self.report.splitlines()[0])
        tables = [html_table(self.table.to_dicts())]
        if len(self.constraints):
            tables.append(html_table(self.constraints.to_dicts()))
        return f"<p>{first}</p>{''.join(tables)}"


def _compared(against: Comparison | None) -> dict[str, Any] | None:
    if against is None:
        return None
    return {
        "verdict": against.verdict,
        "difference": against.difference,
        "standard_error": against.standard_error,
        "interval": [against.low, against.high],
        "welfare": against.welfare,
        "feasible": list(against.feasible),
        "runs": against.runs,
        "params": _plain(against.params),
    }


def _plain(params: Params) -> dict[str, Any]:
    return {name: np.asarray(getattr(params, name)).tolist() for name in type(params).knobs()}
