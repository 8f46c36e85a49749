"""The fit against published examples: a textbook, a demo, and a production tool's own answer."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population.weighting import (
    Level,
    Problem,
    explain_fit,
    fit_weights,
    importance_errors,
    ipf,
    reached_totals,
)

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LPM_DATA", ROOT.parent / "shared" / "data"))


def folder(name):
    return pytest.mark.skipif(
        not (DATA / name).exists(), reason=f"{name} is not here; name its parent in LPM_DATA"
    )


def one_level(name, zones, controls, incidence, target, prior=None):
    target = np.asarray(target, dtype=float)
    level = Level(
        name,
        tuple(map(str, zones)),
        tuple(controls),
        np.asarray(incidence, dtype=float),
        target,
        np.zeros_like(target),
        np.arange(len(target)),
    )
    return Problem(np.ones(len(incidence)) if prior is None else prior, (level,))


def columns(frame, expressions):
    chosen = [expression.cast(pl.Float64).alias(name) for name, expression in expressions.items()]
    return frame.select(chosen).fill_null(0.0).to_numpy()


def cake_map():
    people = pl.read_csv(DATA / "spatial_microsim_book" / "cakemap_ind.csv", infer_schema=False)
    totals = pl.read_csv(DATA / "spatial_microsim_book" / "cakemap_cons.csv")
    wanted = {}
    for name in totals.columns:
        if name[0] in "mf":
            sex, age = {"m": "1", "f": "2"}[name[0]], name[1:].replace("_", "-")
            wanted[name] = (pl.col("Sex") == sex) & (pl.col("ageband4") == age)
        elif name in ("Car", "NoCar"):
            wanted[name] = pl.col("Car") == {"Car": "1", "NoCar": "2"}[name]
        else:
            wanted[name] = pl.col("NSSEC8") == {"Other": "97"}.get(name, name[1:])
    incidence = columns(people, wanted)
    assert (incidence.sum(axis=1) == 3).all()
    return one_level("ward", range(124), wanted, incidence, totals.to_numpy())


@folder("spatial_microsim_book")
def test_three_student_wards_are_infeasible_and_the_others_exact():
    fitted = fit_weights(cake_map())
    assert set(fitted.infeasible["zone"]) == {"83", "81", "6"}
    assert fitted.infeasible["proven"].all()
    (level,) = fitted.problem.levels
    off = np.abs(reached_totals(level, fitted.weights) / level.target - 1).max(axis=1)
    feasible = np.setdiff1d(np.arange(124), [83, 81, 6])
    assert off[feasible].max() < 1e-12
    assert fitted.gap.max() < 1e-12
    # What cannot be met is not made up for by more people.
    assert np.abs(fitted.weights.sum(axis=1) / level.target[:, :12].sum(axis=1) - 1).max() < 1e-6
    # Student wards have too few respondents of class Other, which the text says first.
    assert "ward 83: No weights meet all its totals; off are" in explain_fit(fitted)
    assert "Other 17381" in explain_fit(fitted)


@folder("spatial_microsim_book")
def test_rounded_wards_are_scaled_to_their_age_table_and_reported():
    fitted = fit_weights(cake_map())
    problem = cake_map()
    published, used = problem.levels[0].target, fitted.problem.levels[0].target
    np.testing.assert_array_equal(published[:, :12], used[:, :12])
    for table in (slice(12, 14), slice(14, 24)):
        np.testing.assert_allclose(used[:, table].sum(axis=1), used[:, :12].sum(axis=1), rtol=1e-12)
    off = published[:, 14:].sum(axis=1) != published[:, :12].sum(axis=1)
    assert off.sum() == 72
    assert fitted.reconciled["zone"].unique().len() == 72
    assert (fitted.reconciled["used"] / fitted.reconciled["published"] - 1).abs().max() < 1e-3


@folder("spatial_microsim_book")
def test_raking_agrees_where_totals_can_be_met():
    fitted = fit_weights(cake_map())
    raked = ipf(fitted.problem, sweeps=400)
    feasible = np.setdiff1d(np.arange(124), [83, 81, 6])
    np.testing.assert_allclose(raked[feasible], fitted.weights[feasible], rtol=1e-8, atol=1e-9)


@folder("spatial_microsim_book")
def test_the_small_world_gets_the_weights_of_the_textbook():
    people = pl.read_csv(DATA / "spatial_microsim_book" / "simpleworld_ind.csv")
    age = pl.read_csv(DATA / "spatial_microsim_book" / "simpleworld_age.csv").to_numpy()
    sex = pl.read_csv(DATA / "spatial_microsim_book" / "simpleworld_sex.csv").to_numpy()
    a, s = pl.col("age"), pl.col("sex")
    wanted = {"young": a < 50, "old": a >= 50, "m": s == "m", "f": s == "f"}
    problem = one_level("zone", "abc", wanted, columns(people, wanted), np.hstack([age, sex]))
    fitted = fit_weights(problem)
    np.testing.assert_allclose(reached_totals(problem.levels[0], fitted.weights), [
        [8, 4, 6, 6], [2, 8, 4, 6], [7, 4, 3, 8],
    ], rtol=1e-12)  # fmt: skip
    # Zone 1 as Lovelace and Dumont (2016) print it.
    np.testing.assert_allclose(fitted.weights[0], [1.228, 1.228, 3.544, 1.544, 4.456], atol=5e-4)


@folder("urbansim_synthpop_demo")
def test_households_and_persons_that_differ_by_rounding_are_reconciled():
    path = DATA / "urbansim_synthpop_demo"
    homes = pl.read_parquet(path / "household_sample.parquet")
    persons = pl.read_parquet(path / "person_sample.parquet")
    wanted, target = {}, []
    for name, skip in (("hh", 2), ("person", 1)):
        text = (path / f"{name}_marginals.csv").read_text().splitlines()
        rows = [line.split(",") for line in text]
        for variable, category in list(zip(rows[0], rows[1], strict=True))[skip:]:
            wanted[variable, category] = name
        target.append(np.array([row[skip:] for row in rows[2:]], dtype=float))
    incidence = [
        homes.select((pl.col(v) == c).cast(pl.Float64)).to_series().fill_null(0.0)
        if name == "hh"
        else homes.join(
            persons.filter(pl.col(v) == c).group_by("serialno").len("n"),
            on="serialno", how="left", maintain_order="left",
        )["n"].fill_null(0).cast(pl.Float64)
        for (v, c), name in wanted.items()
    ]  # fmt: skip
    problem = one_level(
        "zone",
        range(1, 22),
        [" ".join(x) for x in wanted],
        np.stack(incidence, 1),
        np.hstack(target),
    )
    fitted = fit_weights(problem)
    used = fitted.problem.levels[0].target
    for table in (slice(3, 5), slice(5, 8), slice(8, 11)):
        np.testing.assert_allclose(used[:, table].sum(axis=1), used[:, :3].sum(axis=1), rtol=1e-12)
    assert fitted.reconciled["zone"].unique().len() == 21
    met = ~np.isin(np.array(problem.levels[0].zones), fitted.infeasible["zone"].to_list())
    off = np.abs(reached_totals(fitted.problem.levels[0], fitted.weights) - used)
    assert off[met].max() < 1e-6
    assert fitted.infeasible["proven"].all()
    assert fitted.gap.max() < 1e-9
    assert met.sum() >= 1


PERSONS = {
    "POP_Total": pl.lit(1.0),
    **{
        f"PAge_{name}": pl.col("PAge").is_in(codes)
        for name, codes in {
            "0_4": [0], "5_18": [1, 2, 3], "19_24": [4], "25_44": [5, 6], "45_64": [7, 8],
            "65p": [9, 10],
        }.items()
    },
    "PGender_M": pl.col("PGender") == 1,
    "PGender_F": pl.col("PGender") == 2,
    **{
        f"PComm_{letter}": pl.col("PComm") == mode
        for letter, mode in {
            "a": "active", "c": "auto", "o": "other", "t": "transit", "h": "workFromHome",
        }.items()
    },
}  # fmt: skip
HOMES = {
    "HH_Total": pl.lit(1.0),
    **{f"HHSize_{i}": pl.col("HHSize") == i for i in (1, 2, 3)},
    "HHSize_4p": pl.col("HHSize") >= 4,
    **{f"HHIncome_{x}": pl.col("HHIncome") == i + 1 for i, x in enumerate(("low", "med", "high"))},
    "HHDwelling_Single": pl.col("HHDwelling") == 1,
    "HHDwelling_Multiple": pl.col("HHDwelling") == 2,
}
# The example's own: a total of households, sizes, incomes, and all the rest.
IMPORTANCE = [1e9] + [5e6] * 4 + [1e4] * 3 + [1e3] * 16


def travel_survey(cluster):
    """One cluster of the production tool's weighting example, and that tool's answer."""
    path = DATA / "popsim_survey_weighting"
    homes = pl.read_parquet(path / "seed_households.parquet")
    homes = homes.filter(pl.col("SUBREGCluster") == cluster)
    persons = pl.read_parquet(path / "seed_persons.parquet")
    sums = persons.group_by("hhID").agg(**{k: e.cast(pl.Float64).sum() for k, e in PERSONS.items()})
    sums = sums.with_columns(POP_Total=pl.sum_horizontal("PGender_M", "PGender_F"))
    whole = homes.join(sums, on="hhID", how="left", maintain_order="left")
    totals = pl.read_csv(path / "control_totals_subcluster.csv")
    totals = totals.filter(pl.col("SUBREGCluster") == cluster)
    controls = [*HOMES, *PERSONS]
    incidence = np.hstack([columns(whole, HOMES), columns(whole, {k: pl.col(k) for k in PERSONS})])
    answer = whole.join(
        pl.read_parquet(path / "reference_weights.parquet"),
        left_on="hhID", right_on="hh_id", how="left", maintain_order="left",
    )["SUBREGCluster_balanced_weight"].to_numpy()  # fmt: skip
    problem = one_level(
        "cluster", [cluster], controls, incidence, totals.select(controls).to_numpy(),
        prior=whole["HHweight"].to_numpy(),
    )  # fmt: skip
    return problem, answer


@folder("popsim_survey_weighting")
def test_exact_totals_of_the_travel_survey_are_all_met():
    problem, _ = travel_survey(1)
    fitted = fit_weights(problem)
    assert fitted.infeasible.is_empty()
    off = reached_totals(problem.levels[0], fitted.weights) / problem.levels[0].target - 1
    assert np.abs(off).max() < 1e-10


@folder("popsim_survey_weighting")
def test_the_travel_survey_is_weighted_as_the_production_tool_does_it():
    """With its importances as errors, and its limits of 0.5 and 4 on the change of a weight.

    Without the limits the totals are met closer, but the weights correlate at 0.81 only. The
    tool's count of persons without a commute found none, so that it is left out here too.
    """
    reached, wanted, ours, theirs = [], [], [], []
    for cluster in (1, 2, 3, 4):
        problem, answer = travel_survey(cluster)
        level = problem.levels[0]
        errors = importance_errors(level.target, np.array(IMPORTANCE))
        problem = replace(problem, levels=(replace(level, error=errors),))
        fitted = fit_weights(problem, bounds=(0.5, 4.0))
        reached.append(reached_totals(level, fitted.weights)[0])
        wanted.append(level.target[0])
        ours.append(fitted.weights[0])
        theirs.append(answer)
    off, total = np.abs(np.array(reached) - wanted), np.array(wanted)
    assert off[:, :10].sum() / total[:, :10].sum() <= 0.0012
    assert off[:, 10:19].sum() / total[:, 10:19].sum() <= 0.0008
    assert off[:, :5].max() < 1.0
    assert np.corrcoef(np.concatenate(ours), np.concatenate(theirs))[0, 1] > 0.99


def test_raking_refuses_what_it_cannot_do():
    problem = one_level("zone", "a", ["persons"], [[1.0], [2.0]], [[3.0]])
    with pytest.raises(DataError, match=r"records in categories only; not \[persons\]"):
        ipf(problem)
    with pytest.raises(DataError, match="one level; the problem has 2"):
        ipf(replace(problem, levels=problem.levels * 2))
    level = replace(problem.levels[0], error=np.ones((1, 1)))
    with pytest.raises(DataError, match="no standard errors"):
        ipf(replace(problem, levels=(level,)))
