"""Rebuild the shipped table of PUMS variables, from the Census Bureau's dictionaries."""

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import polars as pl

FILES = ("pums_dict_acs1_2023.csv.gz", "pums_dict_acs5_2019_2023.csv.gz")
LONGEST = 80  # characters of a list of codes; occupations and languages are left out
CHANGING = ("RAC2P",)  # two digits until 2022 and four since
_COLUMNS = ("row", "variable", "type", "width", "low", "high", "label")  # NAME: label under low
_REPLICATE = r"^P?WGTP\d+$"


def derive(folder: Path) -> pl.DataFrame:
    """Variables of the 2023 dictionaries: variable, kind, width, dollars, codes.

    `kind` is number, code (digits of one width), flag (whether the Bureau filled in an answer) or
    text (anything else). `dollars` names the factor that brings amounts to one year's prices.
    """
    rows = pl.concat([_read(folder / name) for name in FILES])
    rows = rows.filter(~pl.col("variable").str.contains(_REPLICATE))
    names = rows.filter(pl.col("row") == "NAME").group_by("variable", maintain_order=True)
    variables = names.agg(
        pl.first("type"),
        pl.col("width").cast(pl.Int64).max(),
        income=pl.col("low").str.contains("ADJINC to").any(),
        housing=pl.col("low").str.contains("ADJHSG to").any(),
        flag=pl.col("low").str.contains("(?i)allocation flag$").any(),
    )
    values = rows.filter((pl.col("row") == "VAL") & ~pl.col("low").str.contains("^b+$"))
    listed = {name: _runs(part) for (name,), part in values.group_by("variable")}
    return pl.DataFrame(
        [_describe(row, listed.get(row["variable"], [])) for row in variables.iter_rows(named=True)]
    ).sort("variable")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder pums_dictionary")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "data" / "census")
    options = parser.parse_args(arguments)
    derive(options.data).write_csv(options.out / "variables.csv")


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, has_header=False, new_columns=list(_COLUMNS), infer_schema=False)


def _describe(row: dict, runs: list[tuple[str, str]]) -> dict[str, str | int]:
    width = row["width"]
    even = all(len(code) == width and code.isdigit() for run in runs for code in run)
    kind = "number" if row["type"] == "N" else "code" if even and runs else "text"
    if row["flag"]:
        kind = "flag"
    if row["variable"] in CHANGING:
        kind = "text"
    codes = " ".join(low if low == high else f"{low}-{high}" for low, high in runs)
    shown = codes if kind in ("code", "flag") and len(codes) <= LONGEST else ""
    dollars = "income" if row["income"] else "housing" if row["housing"] else ""
    return {
        "variable": row["variable"],
        "kind": kind,
        "width": width,
        "dollars": dollars,
        "codes": shown,
    }


def _runs(values: pl.DataFrame) -> list[tuple[str, str]]:
    """Codes as runs of consecutive ones."""
    spans = sorted(set(values.select("low", "high").rows()))
    if not all(low.isdigit() and high.isdigit() for low, high in spans):
        return spans
    starts = [0] + [i + 1 for i, (a, b) in enumerate(pairwise(spans)) if int(b[0]) > int(a[1]) + 1]
    return [
        (spans[start][0], spans[stop - 1][1])
        for start, stop in zip(starts, [*starts[1:], len(spans)], strict=True)
    ]


if __name__ == "__main__":
    main()
