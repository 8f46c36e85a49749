"""Derive the shipped tables of New York City from survey files: aggregates, no records.

    python -m lpm.population.derive_new_york --data DIR [--out DIR]

`DIR` holds the folders `acs5_county_2020_2024`, `pums_acs1_2024` and `contacts_us_states`; what is
in them, and what comes out, is described in `data/new_york/README.md`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from lpm.errors import DataError

from .ages import BANDS, SEXES, STATES, Chain, combine, fit_tilt
from .contact_matrices import EDGES, SETTINGS
from .derive_households import (
    ROW,
    composition_shares,
    member_states,
    merge_small,
    tabulate,
)
from .shipped import BOROUGHS, OPEN_SIZE, borough_shares

_FIPS = ("36005", "36047", "36061", "36081", "36085")
_PUMA = {"042": 0, "043": 1, "041": 2, "044": 3, "045": 4}
_EMPLOYED = (1, 2, 4, 5)
_AT_WORK = (1, 4)
_AT_HOME = 11
_CONTACTS = {"household": 4.11, "school": 11.41, "work": 8.07, "community": 2.79}


def derive(data: Path) -> dict[str, pl.DataFrame]:
    """All derived tables by name, rounded as they are shipped.

    Raises:
        DataError: a survey file is missing.
    """
    people = _read_people(data)
    members = member_states(people.filter(pl.col("TYPEHUGQ") == 1))
    boroughs = _boroughs(data, people)
    sizes, large = _household_sizes(data, members)
    compositions = composition_shares(members, len(BOROUGHS))
    kinds = [
        (c, size - c - e, e)
        for size, c, e in compositions.select("size", "children", "elderly").unique().rows()
    ]
    parts = tabulate(members, sorted(kinds))
    chain = Chain(parts.first, combine(parts.bands, parts.females))
    age_sex = _age_sex(people, boroughs)
    return {
        "boroughs": boroughs,
        "household_sizes": sizes,
        "large_households": large,
        "compositions": compositions,
        "first_member": _first_table(parts.first),
        "next_band": _band_table(parts.bands),
        "next_sex": _sex_table(parts.females),
        "tilt": _tilt(chain, compositions, sizes, large, age_sex),
        "age_sex": age_sex,
        "years": _years(people),
        "employment": _employment(people),
        "contacts": _contacts(data),
        "contact_ages": _contact_ages(data),
    }


def _read(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    if not path.exists():
        raise DataError(f"no file {path}; --data names the folder that holds {path.parent.name}")
    return pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path, columns=columns)


def _read_people(data: Path) -> pl.DataFrame:
    folder = data / "pums_acs1_2024"
    homes = _read(folder / "h_36.parquet", columns=["SERIALNO", "WGTP", "TYPEHUGQ"])
    columns = ["SERIALNO", "SPORDER", "PUMA", "PWGTP", "AGEP", "SEX", "ESR", "JWTRNS"]
    people = _read(folder / "p_36.parquet", columns=columns)
    borough = pl.col("PUMA").str.slice(0, 3).replace_strict(_PUMA, default=None)
    people = people.with_columns(borough=borough).filter(pl.col("borough").is_not_null())
    people = people.join(homes, on="SERIALNO", how="left", maintain_order="left")
    band = np.digitize(people["AGEP"].to_numpy(), BANDS) - 1
    return people.with_columns(
        band=pl.Series(band),
        cell=pl.Series(band * 2 + people["SEX"].to_numpy() - 1),
        employed=pl.col("ESR").is_in(_EMPLOYED).fill_null(value=False),
    )


def _county(data: Path, table: str) -> pl.DataFrame:
    frame = _read(data / "acs5_county_2020_2024" / f"{table}.parquet")
    order = {fips: i for i, fips in enumerate(_FIPS)}
    borough = pl.col("geo_id").replace_strict(order, default=None)
    return frame.with_columns(borough=borough).filter(pl.col("borough").is_not_null())


def _boroughs(data: Path, people: pl.DataFrame) -> pl.DataFrame:
    totals = _county(data, "b01003").select("borough", people="total_population")
    homes = _county(data, "b11016").group_by("borough").agg(pl.col("total_households").first())
    work = (
        _county(data, "b23025")
        .group_by("borough")
        .agg(
            pl.col("population_16_plus").first(),
            employed=pl.col("units").filter(pl.col("bracket_index").is_in([1, 3])).sum(),
        )
    )
    median = _county(data, "b01002").select("borough", "median_age")
    weight = pl.col("PWGTP")
    at_work = pl.col("ESR").is_in(_AT_WORK)
    survey = people.group_by("borough").agg(
        quarters=weight.filter(pl.col("TYPEHUGQ") > 1).sum() / weight.sum(),
        works_from_home=weight.filter(at_work & (pl.col("JWTRNS") == _AT_HOME)).sum()
        / weight.filter(at_work).sum(),
    )
    joined = totals
    for other in (homes, work, median, survey):
        joined = joined.join(other, on="borough")
    names = {"total_households": "households", "population_16_plus": "people_16"}
    return (
        joined.sort("borough")
        .with_columns(pl.col("quarters", "works_from_home").round(5))
        .with_columns(name=pl.Series(BOROUGHS), fips=pl.Series(_FIPS))
        .rename(names)
    )


def _household_sizes(data: Path, members: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    sizes = _county(data, "b11016").sort("borough", "bracket_index")
    sizes = sizes.select("borough", size="bracket_index", households="units")
    homes = members.filter((pl.col("rank") == 0) & (pl.col("members") >= OPEN_SIZE))
    large = homes.group_by(size="members").agg(share=pl.col("WGTP").sum()).sort("size")
    large = large.with_columns((pl.col("share") / pl.col("share").sum()).round(5))
    return sizes, large


def _age_sex(people: pl.DataFrame, boroughs: pl.DataFrame) -> pl.DataFrame:
    """People by borough, sort of dwelling, age band and sex, scaled to the county totals."""
    tables = []
    for quarters in (0, 1):
        here = people.filter((pl.col("TYPEHUGQ") > 1) == bool(quarters))
        city, _ = _tally(here)
        for borough, total, share in boroughs.select("borough", "people", "quarters").rows():
            weights, records = _tally(here.filter(pl.col("borough") == borough))
            shares = merge_small(weights, records, city)
            count = total * (share if quarters else 1 - share)
            tables.append(
                pl.DataFrame(
                    {
                        "borough": borough,
                        "quarters": quarters,
                        "age_from": np.repeat(BANDS, 2),
                        "sex": np.tile(SEXES, len(BANDS)),
                        "people": (shares * count).round(1),
                    }
                )
            )
    return pl.concat(tables)


def _tally(people: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    cells = people["cell"].to_numpy()
    weights = np.bincount(cells, people["PWGTP"].to_numpy(), STATES)
    return weights, np.bincount(cells, minlength=STATES)


def _years(people: pl.DataFrame) -> pl.DataFrame:
    """Single years within an age band, whole city; the survey's top code 95 stands for 92 up."""
    years = people.group_by(age="AGEP").agg(pl.col("PWGTP").sum(), pl.col("band").first())
    share = pl.col("PWGTP") / pl.col("PWGTP").sum().over("band")
    return years.sort("age").select("age", share=share.round(5))


def _employment(people: pl.DataFrame) -> pl.DataFrame:
    """Employed share by borough, band and sex; the whole city's below `ROW` records.

    Rows with `borough` = 5 are people in group quarters of the whole city.
    """
    at_home = people.filter(pl.col("TYPEHUGQ") == 1)
    places = [at_home.filter(pl.col("borough") == b) for b in range(len(BOROUGHS))]
    places.append(people.filter(pl.col("TYPEHUGQ") > 1))
    city, _ = _employed(at_home)
    tables = []
    for place, here in enumerate(places):
        share, records = _employed(here)
        share = np.where(records < ROW, city if place < len(BOROUGHS) else 0.0, share)
        tables.append(
            pl.DataFrame(
                {
                    "borough": place,
                    "age_from": np.repeat(BANDS, 2),
                    "sex": np.tile(SEXES, len(BANDS)),
                    "share": share.round(4),
                }
            )
        )
    return pl.concat(tables).filter(pl.col("age_from") >= 15)


def _employed(people: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    everyone, records = _tally(people)
    working, _ = _tally(people.filter(pl.col("employed")))
    return np.divide(working, everyone, out=np.zeros(STATES), where=everyone > 0), records


def _first_table(first: dict) -> pl.DataFrame:
    rows = [
        (*key, state, round(float(share), 6))
        for key, shares in sorted(first.items())
        for state, share in enumerate(shares)
        if round(float(share), 6) > 0
    ]
    return pl.DataFrame(rows, ["children", "adults", "elderly", "state", "share"], orient="row")


def _band_table(bands: dict) -> pl.DataFrame:
    rows = [
        (*key, int(here), int(after), round(float(table[here, after]), 6))
        for key, table in sorted(bands.items())
        for here, after in zip(*np.nonzero(table.round(6)), strict=True)
    ]
    names = ["class", "next_class", "is_first", "remaining", "has_children"]
    return pl.DataFrame(rows, [*names, "band", "next", "share"], orient="row")


def _sex_table(females: dict) -> pl.DataFrame:
    rows = [
        (*key, *(round(float(share), 4) for share in shares))
        for key, shares in sorted(females.items())
    ]
    names = ["class", "next_class", "is_first", "has_children", "gap"]
    return pl.DataFrame(rows, [*names, "after_male", "after_female"], orient="row")


def _tilt(
    chain: Chain,
    compositions: pl.DataFrame,
    sizes: pl.DataFrame,
    large: pl.DataFrame,
    age_sex: pl.DataFrame,
) -> pl.DataFrame:
    """Factors by borough, band and sex that bring household members to their published ages."""
    tables = []
    for borough in range(len(BOROUGHS)):
        shares = borough_shares(borough, compositions, sizes, large)
        here = age_sex.filter((pl.col("borough") == borough) & (pl.col("quarters") == 0))
        factor = fit_tilt(chain, shares, here["people"].to_numpy())
        tables.append(here.select("borough", "age_from", "sex", factor=pl.Series(factor.round(6))))
    return pl.concat(tables)


def _contacts(data: Path) -> pl.DataFrame:
    """Mean daily contacts by setting between age bands, from the state's single-year matrices."""
    folder = data / "contacts_us_states"
    people = _read(folder / "new_york_age_distribution_85.csv")["population"].to_numpy()
    band = np.digitize(np.arange(len(people)), EDGES) - 1
    member = np.eye(len(EDGES))[band]
    within = member * people[:, None] / (member.T @ people)[band][:, None]
    tables = []
    for setting in SETTINGS:
        frequency = _read(folder / f"new_york_F_{setting}_setting_85.parquet").to_numpy()
        contacts = _CONTACTS[setting] * (within.T @ frequency @ member)
        tables.append(
            pl.DataFrame(
                {
                    "setting": setting,
                    "age_from": np.repeat(EDGES, len(EDGES)),
                    "contact_age_from": np.tile(EDGES, len(EDGES)),
                    "contacts": contacts.ravel().round(5),
                }
            )
        )
    return pl.concat(tables)


def _contact_ages(data: Path) -> pl.DataFrame:
    people = _read(data / "contacts_us_states" / "new_york_age_distribution_85.csv")
    band = np.digitize(people["age"].to_numpy(), EDGES) - 1
    count = np.bincount(band, people["population"].to_numpy())
    return pl.DataFrame({"age_from": EDGES, "people": count.round().astype(int)})


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the derived tables as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, prog="derive_new_york")
    parser.add_argument("--data", type=Path, required=True, help="folder of the survey folders")
    here = Path(__file__).parent / "data" / "new_york"
    parser.add_argument("--out", type=Path, default=here, help="where the CSV files go")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    for name, table in derive(given.data).items():
        table.write_csv(given.out / f"{name}.csv")


if __name__ == "__main__":
    main()
