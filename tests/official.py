"""Files laid out as the Census Bureau offers them, made of the survey data beside the repository.

What the data have not (B01001 and B26001) is tallied from the survey and scaled to the published
totals: such cells test the way through, not the numbers.
"""

import zipfile
from pathlib import Path

import numpy as np
import polars as pl

COUNTIES = {"042": "36005", "043": "36047", "041": "36061", "044": "36081", "045": "36085"}
AGES = (0, 5, 10, 15, 18, 20, 21, 22, 25, 30, 35, 40, 45, 50, 55, 60, 62, 65, 67, 70, 75, 80, 85)
# Cells that take the brackets of the tidy tables, in order; further cells of a bracket get 0.
_BRACKETS = {
    "b11016": [["010"], ["003", "011"], ["004", "012"], ["005", "013"], ["006", "014"],
               ["007", "015"], ["008", "016"]],
    "b19001": [[f"{i:03d}"] for i in range(2, 18)],
    "b15003": [[f"{i:03d}" for i in range(2, 17)], ["017", "018"], ["019", "020", "021"], ["022"],
               ["023", "024", "025"]],
    "b23025": [["004"], ["005"], ["006"], ["007"]],
    "b03002": [["003"], ["004"], ["006"], ["005"], ["007"], ["008"], ["009"], ["012"]],
}  # fmt: skip


def write_new_york(data: Path, folder: Path) -> Path:
    """`csv_hny.zip`, `csv_pny.zip` and `acs/` in `folder`, from the survey folders in `data`."""
    pums = data / "pums_acs1_2024"
    homes, people = (pl.read_parquet(pums / f"{kind}_36.parquet") for kind in "hp")
    inside = pl.col("PUMA").str.slice(0, 3).is_in(list(COUNTIES))
    homes, people = homes.filter(inside), people.filter(inside)
    for kind, frame in (("h", homes), ("p", people)):
        with zipfile.ZipFile(folder / f"csv_{kind}ny.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            coded = [pl.col("HISP").cast(pl.String).str.zfill(2)] if kind == "p" else []
            adjusted = frame.with_columns(
                *coded, ADJINC=pl.lit("1000000"), ADJHSG=pl.lit("1000000")
            )
            archive.writestr(f"psam_{kind}36.csv", adjusted.write_csv())
    acs = folder / "acs"
    acs.mkdir()
    for table, cells in _published(data, homes, people).items():
        _write_table(acs / f"ACSDT5Y2024.{table}-Data.csv", table, cells)
    return folder


def _published(
    data: Path, homes: pl.DataFrame, people: pl.DataFrame
) -> dict[str, dict[str, dict[str, float]]]:
    """Table, county and cell to estimate."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    county = data / "acs5_county_2020_2024"
    here = list(COUNTIES.values())
    for table, cells in _BRACKETS.items():
        tidy = pl.read_parquet(county / f"{table}.parquet").filter(pl.col("geo_id").is_in(here))
        for place, index, units in tidy.select("geo_id", "bracket_index", "units").rows():
            row = found.setdefault(table.upper(), {}).setdefault(place, {})
            row |= dict.fromkeys(cells[index - 1], 0)
            row[cells[index - 1][0]] = units
    tenure = pl.read_parquet(county / "b25003.parquet").filter(pl.col("geo_id").is_in(here))
    columns = ("geo_id", "owner_occupied_units", "renter_occupied_units")
    found["B25003"] = {p: {"002": a, "003": b} for p, a, b in tenure.select(columns).rows()}
    total = pl.read_parquet(county / "b01003.parquet").filter(pl.col("geo_id").is_in(here))
    totals = dict(total.select("geo_id", "total_population").rows())
    found["B01003"] = {place: {"001": count} for place, count in totals.items()}
    found |= _tallied(people, homes, totals, found["B15003"], found["B23025"])
    return found


def _tallied(people, homes, totals, schooling, work) -> dict[str, dict[str, dict[str, float]]]:
    """Ages by sex and people in quarters, scaled to agree with the published totals."""
    people = people.join(homes.select("SERIALNO", "TYPEHUGQ"), on="SERIALNO")
    ages: dict[str, dict[str, float]] = {}
    quarters: dict[str, dict[str, float]] = {}
    for prefix, place in COUNTIES.items():
        here = people.filter(pl.col("PUMA").str.starts_with(prefix))
        weight = here["PWGTP"].to_numpy().astype(float)
        age, sex = here["AGEP"].to_numpy(), here["SEX"].cast(pl.Int64).to_numpy()
        old, grown = sum(schooling[place].values()), sum(work[place].values())
        for group, count in (
            (age >= 25, old),
            ((age >= 16) & (age < 25), grown - old),
            (age < 16, totals[place] - grown),
        ):
            weight[group] *= count / weight[group].sum()
        band = np.digitize(age, AGES) - 1
        cells = {}
        for code, first in ((1, 3), (2, 27)):
            sums = np.bincount(band, weight * (sex == code), len(AGES))
            cells |= {f"{first + i:03d}": value for i, value in enumerate(sums.tolist())}
        ages[place] = cells
        outside = here["TYPEHUGQ"].cast(pl.Int64).to_numpy() > 1
        quarters[place] = {"001": float(round((weight * outside).sum()))}
    return {"B01001": ages, "B26001": quarters}


def _write_table(path: Path, table: str, rows: dict[str, dict[str, float]]) -> None:
    cells = sorted(next(iter(rows.values())))
    heads = [f"{table}_{cell}{kind}" for cell in cells for kind in "EM"]
    lines = [",".join(["GEO_ID", "NAME", *heads]), ",".join(["Geography", "Name", *heads])]
    for place, values in sorted(rows.items()):
        numbers = [text for cell in cells for text in (f"{values[cell]:.10g}", "*****")]
        lines.append(",".join([f"0500000US{place}", f"County {place}", *numbers]))
    path.write_text("\ufeff" + "\n".join(lines) + "\n")
