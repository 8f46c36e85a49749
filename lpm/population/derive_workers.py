"""Derive the shipped tables of workers in New York State from survey records: aggregates only.

    python -m lpm.population.derive_workers --data DIR [--out DIR]

`DIR` holds the folder `pums_acs1_2024`. What is in the tables is said in `data/workers/README.md`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import DataError

from .workers import AGES, BANDS_OF_HOURS, CELL_OF_WORK, FOLDER, OCCUPATIONS, PARTS, QUANTILES

CELL = 30  # Sample records below which a row is that of the coarser table.
_FIRST_CODE = (10, 3600, 4700, 6000, 7700)  # of the occupation groups, in OCCP
_SCHOOLING = (16, 21, 22)  # lowest SCHL of diploma, bachelor, graduate


def derive(data: Path) -> dict[str, pl.DataFrame]:
    """All tables by name, rounded as they are shipped.

    Raises:
        DataError: the survey file is missing.
    """
    people = read_people(data)
    workers = people.filter("works")
    adjusted, ages, bands = _adjust(workers)
    return {
        "people": _people(people),
        "occupations": _shares(workers, ["sex", "education"], "occupation", len(OCCUPATIONS)),
        "hours": _shares(workers, CELL_OF_WORK, "hours", len(BANDS_OF_HOURS)),
        "time": _time(workers),
        "wages": _wages(adjusted),
        "wage_by_age": ages,
        "wage_by_hours": bands,
        "tail": _tail(workers),
    }


def read_people(data: Path) -> pl.DataFrame:
    """People of 16 and over, coded as the tables are; `works` says who has wages and hours."""
    path = data / "pums_acs1_2024" / "p_36.parquet"
    if not path.exists():
        raise DataError(f"no file {path}; --data names the folder that holds pums_acs1_2024")
    names = ["PWGTP", "AGEP", "SEX", "SCHL", "OCCP", "WKHP", "WKWN", "WAGP"]
    hours, weeks, wages = (pl.col(n).fill_null(0) for n in ("WKHP", "WKWN", "WAGP"))
    works = (hours > 0) & (weeks > 0) & (wages > 0) & (pl.col("OCCP") < 9800)
    return (
        pl.read_parquet(path, columns=names)
        .filter(pl.col("AGEP") >= AGES[0])
        .with_columns(
            sex=pl.col("SEX").cast(pl.Int32) - 1,
            band=_code(pl.col("AGEP"), AGES[1:]),
            education=_code(pl.col("SCHL").fill_null(0), _SCHOOLING),
            occupation=_code(pl.col("OCCP").fill_null(0), _FIRST_CODE[1:]),
            hours=_code(hours, BANDS_OF_HOURS[1:]),
            works=works.fill_null(value=False),
            weight=pl.col("PWGTP").cast(pl.Float64),
        )
        .with_columns(wage=wages / (hours * weeks).clip(1))
    )


def _code(column: pl.Expr, starts: Sequence[int]) -> pl.Expr:
    """0 below the first start, 1 from there to the second, and so on."""
    return sum(((column >= start).cast(pl.Int32) for start in starts), pl.lit(0, pl.Int32))


def _people(people: pl.DataFrame) -> pl.DataFrame:
    keys = ["sex", "band", "education"]
    found = people.group_by(keys).agg(
        people=pl.col("weight").sum().round().cast(pl.Int64),
        working=((pl.col("weight") * pl.col("works")).sum() / pl.col("weight").sum()).round(4),
        records=pl.len(),
    )
    if found["records"].min() < CELL:  # pyright: ignore[reportOperatorIssue]: a number
        raise DataError(f"a cell of sex, age and education rests on fewer than {CELL} records")
    return found.drop("records").sort(keys)


def _shares(workers: pl.DataFrame, given: Sequence[str], of: str, count: int) -> pl.DataFrame:
    """Share of each code of a column by cell, [cell x code], from coarser cells where few."""
    rows = []
    for key, cell in workers.group_by(given, maintain_order=True):
        used = cell if len(cell) >= CELL * count else workers.filter(pl.col(given[-1]) == key[-1])
        weight = np.bincount(used[of], used["weight"], minlength=count)
        share = np.round(weight / weight.sum(), 4)
        rows += [(*key, code, float(x)) for code, x in enumerate(share)]
    return pl.DataFrame(rows, [*given, of, "share"], orient="row").sort([*given, of])


def _time(workers: pl.DataFrame) -> pl.DataFrame:
    """Means of ten equal parts of usual hours, and of weeks, in each band of hours."""
    rows = []
    for (band,), cell in workers.group_by("hours"):
        for part in range(PARTS):
            row = [band, part]
            for name in ("WKHP", "WKWN"):
                ordered = cell.sort(name)
                place = (pl.col("weight").cum_sum() - pl.col("weight") / 2) / pl.col("weight").sum()
                inside = ordered.with_columns(part=(place * PARTS).floor()).filter(part=part)
                row.append(round(float(np.average(inside[name], weights=inside["weight"])), 2))
            rows.append(row)
    return pl.DataFrame(rows, ["hours", "part", "usual", "weeks"], orient="row").sort(
        "hours", "part"
    )


def _adjust(workers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Wages without what age and hours explain within an education; and those two factors.

    Factors are ratios of weighted medians: of each band to its education, hours first.
    """
    tables = []
    for column in ("hours", "band"):
        rows = []
        for (education,), cell in workers.group_by("education"):
            middle = weighted_quantiles(cell["wage"], cell["weight"], [0.5])[0]
            for (code,), part in cell.group_by(column):
                used = part if len(part) >= CELL else workers.filter(pl.col(column) == code)
                own = weighted_quantiles(used["wage"], used["weight"], [0.5])[0]
                rows.append((education, code, round(float(own / middle), 4)))
        table = pl.DataFrame(rows, ["education", column, "factor"], orient="row")
        tables.append(table.sort("education", column))
        joined = workers.join(table, on=["education", column])
        workers = joined.with_columns(wage=pl.col("wage") / pl.col("factor")).drop("factor")
    return workers, tables[1], tables[0]


def _wages(workers: pl.DataFrame) -> pl.DataFrame:
    """Quantiles of adjusted hourly wages by sex, education and occupation.

    Of those who work all year and at least 35 hours: an hourly wage is annual wages over hours
    times weeks, and errors in a small number of hours spread it beyond what anybody is paid.
    """
    workers, rows = workers.filter((pl.col("WKWN") >= 50) & (pl.col("WKHP") >= 35)), []
    for key, cell in workers.group_by(CELL_OF_WORK, maintain_order=True):
        used = cell if len(cell) >= 5 * CELL else workers.filter(pl.col("education") == key[1])
        found = weighted_quantiles(used["wage"], used["weight"], QUANTILES)
        rows.append((*key, *np.round(found, 2).tolist()))
    names = [f"p{q:g}" for q in np.round(100 * np.asarray(QUANTILES), 1)]
    return pl.DataFrame(rows, [*CELL_OF_WORK, *names], orient="row").sort(CELL_OF_WORK)


def _tail(workers: pl.DataFrame) -> pl.DataFrame:
    """The Pareto law of annual wages beyond what the survey tells one by one.

    Wages above the Bureau's limit are filed as their mean, and so that mean gives the index,
    mean / (mean - limit). The limit is the next lower wage in the file.
    """
    wages, weight = workers["WAGP"].to_numpy(), workers["weight"].to_numpy()
    mean = wages.max()
    limit = wages[wages < mean].max()
    share = weight[wages == mean].sum() / weight.sum()
    row = {"above": int(limit), "alpha": round(float(mean / (mean - limit)), 3)}
    return pl.DataFrame([row | {"share": round(float(share), 5)}])


def weighted_quantiles(
    values: pl.Series, weights: pl.Series, q: Sequence[float]
) -> Float[np.ndarray, " quantile"]:
    """Smallest value that at least each share of the weight does not exceed."""
    order = np.argsort(values.to_numpy(), kind="stable")
    below = np.cumsum(weights.to_numpy()[order])
    index = np.searchsorted(below, np.asarray(q) * below[-1])
    return values.to_numpy()[order][np.minimum(index, len(order) - 1)].astype(np.float64)


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(str(FOLDER)))
    arguments = parser.parse_args()
    tables = derive(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_csv(arguments.out / f"{name}.csv")


if __name__ == "__main__":
    main()
