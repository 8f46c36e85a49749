"""Two public data sets as folders that either side reads: records, totals, controls, geography.

Controls, importances and limits are those of the two examples of PopulationSim (BSD-3,
ActivitySim/populationsim, examples/example_survey_weighting and examples/example_calm). Each record
carries what it adds to each control, so that both sides see the same numbers. Of the second
example the person file is not published with the data: its controls of households are all used,
those of persons are not.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

SURVEY, CALM = "popsim_survey_weighting", "popsim_calm_oregon"
Columns = dict[str, pl.Expr]


def classes(stem: str, column: str, edges: list[float]) -> Columns:
    """Yes or no for each class of a column, numbered from 1; a class holds its upper edge."""
    value, bounds = pl.col(column), [-float("inf"), *edges, float("inf")]
    return {
        f"{stem}{i}": (value > low) & (value <= high)
        for i, (low, high) in enumerate(pairwise(bounds), 1)
    }


def travel_survey(data: Path, folder: Path) -> dict[str, Any]:
    """27,980 households weighted to 4 clusters by 24 controls of households and persons."""
    homes = pl.read_parquet(data / SURVEY / "seed_households.parquet")
    persons = pl.read_parquet(data / SURVEY / "seed_persons.parquet")
    size, income, dwelling = pl.col("HHSize"), pl.col("HHIncome"), pl.col("HHDwelling")
    age, sex, way = pl.col("PAge"), pl.col("PGender"), pl.col("PComm")
    household: Columns = {"HH_Total": pl.lit(1)}
    household |= {f"HHSize_{i}": size == i for i in (1, 2, 3)} | {"HHSize_4p": size >= 4}
    household |= {
        f"HHIncome_{name}": income == i for i, name in enumerate(("low", "med", "high"), 1)
    }
    household |= {"HHDwelling_Single": dwelling == 1, "HHDwelling_Multiple": dwelling == 2}
    last = {"0_4": 0, "5_18": 3, "19_24": 4, "25_44": 6, "45_64": 8, "65p": 10}
    person: Columns = {"POP_Total": pl.lit(1)}
    for (_, low), (name, high) in pairwise([("", -1), *last.items()]):
        person[f"PAge_{name}"] = (age > low) & (age <= high)
    person |= {"PGender_M": sex == 1, "PGender_F": sex == 2}
    # Those without a commute are left out: the example's own rule for them finds nobody.
    ways = {"a": "active", "c": "auto", "o": "other", "t": "transit", "h": "workFromHome"}
    person |= {f"PComm_{letter}": way == name for letter, name in ways.items()}
    sums = persons.group_by("hhID").agg(**{k: e.cast(pl.Int64).sum() for k, e in person.items()})
    sums = sums.with_columns(POP_Total=pl.col("PGender_M") + pl.col("PGender_F"))
    homes = homes.join(sums, on="hhID", how="left", maintain_order="left")
    homes = homes.select(
        pl.col("hhID").alias("hh_id"),
        pl.col("HHweight").alias("weight"),
        "SUBREGCluster",
        **{name: which.cast(pl.Int64).fill_null(0) for name, which in household.items()},
        **{name: pl.col(name).fill_null(0) for name in person},
    )
    homes.write_csv(folder / "households.csv")
    totals = pl.read_csv(data / SURVEY / "control_totals_subcluster.csv")
    totals.select("SUBREGCluster", *household, *person).write_csv(folder / "SUBREGCluster.csv")
    totals.select("SUBREGCluster", Region=pl.lit(1)).write_csv(folder / "crosswalk.csv")
    importance = dict.fromkeys([*household, *person], 1e3) | {"HH_Total": 1e9}
    importance |= dict.fromkeys(("HHSize_1", "HHSize_2", "HHSize_3", "HHSize_4p"), 5e6)
    importance |= dict.fromkeys(("HHIncome_low", "HHIncome_med", "HHIncome_high"), 1e4)
    return {
        "geographies": ["Region", "SUBREGCluster"],
        "seed": "SUBREGCluster",
        "total": "HH_Total",
        "levels": {"SUBREGCluster": list(importance)},
        "groups": {
            "households": ["SUBREGCluster", list(household)],
            "persons": ["SUBREGCluster", list(person)],
        },
        "importance": importance,
        "whole": False,
        "bounds": [0.5, 4.0],
        "settings": {"min_expansion_factor": 0.5, "max_expansion_factor": 4},
    }


def calm_oregon(data: Path, folder: Path) -> dict[str, Any]:
    """4,841 rows of the sample, drawn into 930 zones in 35 tracts by 21 controls of households."""
    homes = pl.read_parquet(data / CALM / "seed_households.parquet").filter(pl.col("WGTP") > 0)
    zone: Columns = {"HHBASE": pl.lit(1)} | classes("HHSIZE", "NP", [1, 2, 3])
    zone |= classes("HHAGE", "AGEHOH", [24, 54, 64])
    zone |= classes("HHINC", "HHINCADJ", [21_297, 42_593, 85_185])
    tract = {f"HHWORK{i}": pl.col("NWESR").clip(0, 3) == i for i in range(4)}
    tract |= {n: pl.col("HTYPE") == i for i, n in enumerate(("SF", "MF", "MH", "DUP"), 1)}
    homes = homes.select(
        pl.col("hhnum").cast(pl.Int64).alias("hh_id"),
        pl.col("WGTP").alias("weight"),
        pl.col("PUMA").cast(pl.Int64),
        **{name: which.cast(pl.Int64) for name, which in (zone | tract).items()},
    )
    homes.write_csv(folder / "households.csv")
    zones = pl.read_csv(data / CALM / "control_totals_taz.csv")
    zones.select("TAZ", *zone).write_csv(folder / "TAZ.csv")
    tracts = pl.read_csv(data / CALM / "control_totals_tract.csv")
    tracts.select("TRACT", *tract).write_csv(folder / "TRACT.csv")
    places = zones.select("TAZ", "PUMA", "REGION", TRACT=pl.col("TRACTCE"))
    places.write_csv(folder / "crosswalk.csv")
    importance = dict.fromkeys(zone, 500) | dict.fromkeys(tract, 1e3) | {"HHBASE": 1e9}
    importance |= dict.fromkeys(("HHSIZE1", "HHSIZE2", "HHSIZE3", "HHSIZE4"), 5e3)
    return {
        "geographies": ["REGION", "PUMA", "TRACT", "TAZ"],
        "seed": "PUMA",
        "total": "HHBASE",
        "levels": {"TAZ": list(zone), "TRACT": list(tract)},
        "groups": {
            "household count of zones": ["TAZ", ["HHBASE"]],
            "size, age, income of zones": ["TAZ", list(zone)[1:]],
            "workers, dwelling of tracts": ["TRACT", list(tract)],
        },
        "importance": importance,
        "whole": True,
        # The peer's limit on the sum over all zones has no counterpart in ours.
        "bounds": [0.0, float("inf")],
        "settings": {"max_expansion_factor": 30, "GROUP_BY_INCIDENCE_SIGNATURE": True},
    }


def write_case(build: Any, data: Path, folder: Path) -> dict[str, Any]:
    """The folder of a case, with what both sides need to know about it."""
    folder.mkdir(parents=True)
    case = build(data, folder)
    level_of = {name: level for level, names in case["levels"].items() for name in names}
    rows = {"target": list(level_of), "geography": list(level_of.values())}
    controls = pl.DataFrame(rows).with_columns(
        seed_table=pl.lit("households"),
        importance=pl.Series([float(case["importance"][name]) for name in level_of]),
        control_field=pl.col("target"),
        expression="households." + pl.col("target"),
    )
    controls.write_csv(folder / "controls.csv")
    # The peer insists on a table of persons, which no control uses here.
    homes = pl.read_csv(folder / "households.csv", columns=["hh_id"])
    homes.with_columns(person=1).write_csv(folder / "persons.csv")
    (folder / "case.json").write_text(json.dumps(case))
    return case
