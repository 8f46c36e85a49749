"""Sampling errors from replicate weights: by hand, in closed form, and on a real survey."""

import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lpm.economics import Schedule
from lpm.errors import DataError
from lpm.population.census.checks import merge_duplicates
from lpm.population.seeds import generator
from lpm.population.statistics import mean, median, quantile, ratio, share, statistic, total
from lpm.population.variance import (
    balanced,
    bootstrap,
    compare_margins,
    expected_ratio,
    jackknife,
    read_weights,
    standard_error,
    standard_errors,
    successive_differences,
)

DATA = Path(os.environ.get("LPM_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
CALM = DATA / "popsim_calm_oregon" / "seed_households.parquet"
COUNTIES = DATA / "acs5_county_2020_2024" / "b25003.parquet"
needs_calm = pytest.mark.skipif(
    not (CALM.exists() and COUNTIES.exists()),
    reason="the survey files are not here; name their folder in LPM_DATA",
)


def small() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "area": ["a", "a", "b"],
            "rooms": [1.0, 3.0, None],
            "rent": [10.0, 20.0, 30.0],
            "weight": [10.0, 20.0, 30.0],
            "replicates": [[12.0, 8.0], [17.0, 24.0], [33.0, 28.0]],
        },
        schema_overrides={"replicates": pl.Array(pl.Float64, 2)},
    )


def found(table: pl.DataFrame, name: str, column: str = "standard_error") -> float:
    return table.filter(pl.col("statistic") == name)[column].item()


def deleted(x: np.ndarray, size: float) -> pl.DataFrame:
    """A simple random sample of a population of `size`, with delete-one jackknife weights."""
    n = len(x)
    kept = (1 - np.eye(n)) * n / (n - 1) * size / n
    return pl.DataFrame(
        {"x": x, "weight": np.full(n, size / n), "replicates": kept},
        schema_overrides={"replicates": pl.Array(pl.Float64, n)},
    )


def test_errors_equal_those_by_hand():
    table = standard_errors(
        small(),
        {"homes": total(), "rent": total("rent"), "rooms": mean("rooms"), "middle": median("rent")},
    )
    # Totals 60 | 62, 60; rents 1,400 | 1,450, 1,400; rooms 70/30 | 63/29, 80/32; factor 4/2.
    assert found(table, "homes", "estimate") == 60
    assert found(table, "homes") == pytest.approx(math.sqrt(2 * 2**2))
    assert found(table, "rent") == pytest.approx(math.sqrt(2 * 50**2))
    gaps = (63 / 29 - 70 / 30, 80 / 32 - 70 / 30)
    assert found(table, "rooms") == pytest.approx(math.sqrt(2 * (gaps[0] ** 2 + gaps[1] ** 2)))
    # Half of 60 is reached by the second rent, half of 62 only by the third.
    assert found(table, "middle", "estimate") == 20
    assert found(table, "middle") == pytest.approx(math.sqrt(2 * 10**2))
    assert found(table, "homes", "margin") == pytest.approx(1.645 * math.sqrt(8))


def test_groups_have_their_own_errors_and_keep_their_type():
    table = standard_errors(small(), {"homes": total(), "rooms": mean("rooms")}, by=["area"])
    assert table.columns[0] == "area"
    assert table["records"].to_list() == [2, 2, 1, 1]
    homes = table.filter(pl.col("statistic") == "homes")
    assert homes["estimate"].to_list() == [30, 30]
    assert homes["standard_error"].to_list() == pytest.approx([math.sqrt(10), math.sqrt(26)])
    # Nobody in b has a number of rooms: no estimate, and no error that looks like one.
    assert np.isnan(table["estimate"][3])
    assert np.isnan(table["standard_error"][3])


def test_ratios_shares_and_any_function_agree_with_their_definition():
    def dear(records, weight):
        return float(weight[records["rent"].to_numpy() > 15].sum() / weight.sum())

    table = standard_errors(
        small(),
        {
            "share": share(pl.col("rent") > 15),
            "function": statistic(dear),
            "ratio": ratio(pl.col("rent") * 2, "rent"),
        },
    )
    assert found(table, "share", "estimate") == pytest.approx(50 / 60)
    assert found(table, "function") == pytest.approx(found(table, "share"), rel=1e-12)
    assert found(table, "ratio", "estimate") == 2
    assert found(table, "ratio") == 0


def test_a_jackknifed_mean_has_the_textbook_error():
    x = generator(1).lognormal(size=40)
    table = standard_errors(deleted(x, 4_000.0), {"mean": mean("x")}, factor=jackknife(40))
    assert found(table, "mean") == pytest.approx(np.std(x, ddof=1) / math.sqrt(40), rel=1e-9)
    wrong = standard_errors(deleted(x, 4_000.0), {"mean": mean("x")})
    assert found(wrong, "mean") < 0.5 * found(table, "mean")


def test_balanced_half_samples_have_the_stratified_error():
    # Three strata of two; all eight half samples; Fay's version halves its distance.
    y = np.array([1.0, 4.0, 2.0, 2.5, 7.0, 3.0])
    w = np.array([5.0, 5.0, 2.0, 2.0, 1.0, 1.0])
    known = math.sqrt(sum((w[2 * h] * (y[2 * h] - y[2 * h + 1])) ** 2 for h in range(3)))
    for fay in (0.0, 0.5):
        signs = np.array([[1 - 2 * (i >> h & 1) for h in range(3)] for i in range(8)])
        factors = 1 + (1 - fay) * np.stack([signs, -signs], axis=2).reshape(8, 6)
        theta = (w * factors) @ y
        error = standard_error(float(w @ y), theta, balanced(8, fay))
        assert float(error) == pytest.approx(known)


def test_factors_are_those_of_the_literature():
    assert successive_differences(80) == pytest.approx(4 / 80)
    assert bootstrap(200) == 1 / 200
    assert balanced(80, 0.5) == pytest.approx(4 / 80)


def test_errors_of_many_numbers_at_once():
    theta = np.array([[1.0, 3.0], [2.0, 2.0]])
    errors = standard_error(np.array([2.0, 2.0]), theta, 0.5)
    assert errors.tolist() == [1, 0]


def test_a_quantile_passes_by_negative_replicate_weights():
    homes = pl.DataFrame({"x": [1.0, 2.0, 3.0]})
    weights = np.array([[1.0, 4.0], [1.0, -1.0], [1.0, 1.0]])
    assert quantile("x", 0.5).compute(homes, weights).tolist() == [2, 1]
    assert quantile("x", 1.0).compute(homes, weights).tolist() == [3, 1]


def test_five_years_are_sqrt_five_more_precise_than_one():
    rng = generator(2)
    one = standard_errors(deleted(rng.random(100), 1e4), {"m": mean("x")}, factor=jackknife(100))
    five = standard_errors(deleted(rng.random(500), 1e4), {"m": mean("x")}, factor=jackknife(500))
    published = five.select("statistic", margin=1.645 * pl.col("standard_error"))
    both = compare_margins(one, published, on=["statistic"])
    # The spread of 100 uniform numbers is known to about 4.5%.
    assert both["ratio"].item() == pytest.approx(expected_ratio(1, 5), rel=0.15)
    assert expected_ratio(1, 5) == pytest.approx(math.sqrt(5))


@needs_calm
def test_doubled_households_of_the_survey_are_named_and_merged():
    names = [f"WGTP{i}" for i in range(1, 81)]
    raw = pl.read_parquet(CALM).select(
        pl.col("SERIALNO").alias("household_id"),
        pl.col("WGTP").alias("weight"),
        pl.concat_list(names).list.to_array(80).alias("replicates"),
        pl.col("TEN"),
    )
    weights = read_weights(raw)
    naive = standard_error(float(weights[:, 0].sum()), weights[:, 1:].sum(axis=0))
    assert round(float(naive)) == 26_858
    with pytest.raises(DataError, match=r"add up to 90,957 on average, but the weights to 77,536"):
        standard_errors(raw, {"homes": total()})
    merged, _ = merge_duplicates(raw, ["household_id"], "weight", "homes", "merge")
    assert raw.height - merged.height == 628
    assert merged["weight"].sum() == raw["weight"].sum()
    assert round(found(standard_errors(merged, {"homes": total()}), "homes")) == 869
    tenure = {"owned": pl.col("TEN") <= 2, "rented": pl.col("TEN") > 2}
    errors = standard_errors(merged, {name: total(rule) for name, rule in tenure.items()})
    # The same two counties, five years each, 14 years later: the public file is a part of the
    # interviews, hence errors about sqrt(3/2) of the tables'.
    counties = pl.read_parquet(COUNTIES).filter(pl.col("geo_id").is_in(["41003", "41043"]))
    margins = [
        float(np.hypot(*counties[f"{who}_occupied_units_moe"].to_list()))
        for who in ("owner", "renter")
    ]
    published = pl.DataFrame({"statistic": ["owned", "rented"], "margin": margins})
    ratios = compare_margins(errors, published, on=["statistic"])["ratio"]
    assert ratios.is_between(1.0, 1.5).all(), ratios


@pytest.mark.skipif(not CALM.exists(), reason="no CALM files; name their folder in LPM_DATA")
def test_errors_of_a_survey_are_the_published_formula_written_once_more():
    """Var = 4/80 sum over r of (x_r - x)**2, "PUMS accuracy of the data"; in plain NumPy here."""
    names = [f"WGTP{i}" for i in range(1, 81)]
    file = pl.read_parquet(CALM).filter(pl.col("HHINCADJ").is_not_null())
    income = file["HHINCADJ"].to_numpy().astype(float)
    split = file["WGTP"].to_numpy().astype(float)
    spread = file.select(names).to_numpy().astype(float)
    # Of households that stand twice, both weights and one set of replicates count.
    _, first, of = np.unique(file["SERIALNO"].to_numpy(), return_index=True, return_inverse=True)
    weights = np.column_stack([np.bincount(of, split), spread[first]])
    z = np.maximum(income[first], 0)
    tax = np.minimum(z, 30_000) * 0.1 + np.maximum(z - 30_000, 0) * 0.3
    estimates = {
        "households": weights.sum(axis=0),
        "income": (z[:, None] * weights).sum(axis=0) / weights.sum(axis=0),
        "rate": (tax[:, None] * weights).sum(axis=0) / (z[:, None] * weights).sum(axis=0),
    }
    raw = file.select(
        pl.col("SERIALNO").alias("household_id"),
        pl.col("WGTP").alias("weight"),
        pl.concat_list(names).list.to_array(80).alias("replicates"),
        income=pl.col("HHINCADJ").cast(pl.Float64).clip(0),
    )
    merged, _ = merge_duplicates(raw, ["household_id"], "weight", "homes", "merge")
    law = Schedule([0.0, 30_000.0], [0.1, 0.3]).exact()

    def rate(records, weight):
        earned = records["income"].to_numpy()
        return float(weight @ law(earned) / (weight @ earned))

    table = standard_errors(
        merged, {"households": total(), "income": mean("income"), "rate": statistic(rate)}
    )
    for name, x in estimates.items():
        known = math.sqrt(4 / 80 * sum((float(v) - float(x[0])) ** 2 for v in x[1:]))
        assert found(table, name, "estimate") == pytest.approx(float(x[0]), rel=1e-9)
        assert found(table, name) == pytest.approx(known, rel=1e-8)
        around_mean = math.sqrt(4 / 80 * ((x[1:] - x[1:].mean()) ** 2).sum())
        assert abs(around_mean / known - 1) > 1e-7
        assert found(table, name) != pytest.approx(known / 2)  # 1/80, as of the bootstrap


def test_bad_input_is_refused():
    with pytest.raises(DataError, match=r"records has no column \[replicates\]"):
        standard_errors(small().drop("replicates"), {"homes": total()})
    with pytest.raises(DataError, match=r"'replicates' is Float64; give an array"):
        standard_errors(small().with_columns(replicates=pl.col("weight")), {"homes": total()})
    ragged = small().with_columns(replicates=pl.Series([[1.0], [1.0, 2.0], [1.0]]))
    with pytest.raises(DataError, match=r"has \[1, 2\] weights; give equally many"):
        standard_errors(ragged, {"homes": total()})
    gap = small().with_columns(weight=pl.Series([1.0, None, 2.0]))
    with pytest.raises(DataError, match="row 1 has a weight that is missing"):
        standard_errors(gap, {"homes": total()})
    with pytest.raises(DataError, match="cannot be computed"):
        standard_errors(small(), {"x": mean("y")})
    with pytest.raises(DataError, match=r"1 replicates have no spread"):
        successive_differences(1)
    with pytest.raises(DataError, match="fay is 1"):
        balanced(8, 1.0)
    with pytest.raises(DataError, match=r"q is 1\.5"):
        quantile("x", 1.5)
    with pytest.raises(DataError, match=r"no row of errors has the \[statistic\]"):
        compare_margins(
            standard_errors(small(), {"homes": total()}),
            pl.DataFrame({"statistic": ["people"], "margin": [1.0]}),
            on=["statistic"],
        )
