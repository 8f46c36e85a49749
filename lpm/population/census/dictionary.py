"""What is known of the variables of the American Community Survey's public files."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import final

import polars as pl

_FOLDER = files("lpm.population") / "data" / "census"


@final
@dataclass(frozen=True)
class Variable:
    """A variable of the 2023 dictionaries.

    Attributes:
        name: as in the files of 2023.
        kind: number; code, digits of one width; flag, a code that says an answer was filled in;
            or text.
        width: characters of a code.
        dollars: factor that brings amounts to one year's prices: income, housing or none.
        codes: its codes in order where they are few, as runs such as `01-12 88`.
    """

    name: str
    kind: str
    width: int
    dollars: str = ""
    codes: str = ""

    def allows(self, code: str) -> bool:
        """Whether the dictionary can hold `code`; True where the codes are too many to list."""
        if self.kind not in ("code", "flag"):
            return True
        if len(code) != self.width or not code.isdigit():
            return False
        runs = [run.split("-") for run in self.codes.split()]
        return not runs or any(run[0] <= code <= run[-1] for run in runs)


@cache
def variables() -> dict[str, Variable]:
    """Variables by name; `data/census/README.md` says where they are from."""
    table = pl.read_csv(
        (_FOLDER / "variables.csv").read_bytes(), schema_overrides={"codes": pl.String}
    )
    return {
        row["variable"]: Variable(
            row["variable"], row["kind"], row["width"], row["dollars"] or "", row["codes"] or ""
        )
        for row in table.iter_rows(named=True)
    }
