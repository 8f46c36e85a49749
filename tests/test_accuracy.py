"""Measures of fit, by hand on a small fit and against a known figure on a real one."""

import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lpm
from lpm.errors import DataError
from lpm.population.accuracy import accuracy, compare_totals, drawn_counts, fit_cells
from lpm.population.weighting import Fitted, Level, Problem

DATA = Path(os.environ.get("LPM_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
KNOX = DATA / "acs_blockgroup_moe_knox"
needs_knox = pytest.mark.skipif(
    not KNOX.exists(), reason="the block group tables are not here; name their folder in LPM_DATA"
)

# Three records: a home of one, a home of two, a home of four.
INCIDENCE = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 1.0, 4.0]])
WEIGHTS = np.array([[8.0, 1.0, 1.0], [3.0, 4.0, 0.0]])


def problem() -> Problem:
    tract = Level(
        name="tract",
        zones=("A", "B"),
        controls=("size one", "size more", "people"),
        incidence=INCIDENCE,
        target=np.array([[9.0, 1.0, 16.0], [4.0, 4.0, 0.0]]),
        error=np.array([[0.5, 0.0, 1.0], [1.0, 0.0, 2.0]]),
        zone_of=np.array([0, 1]),
    )
    county = Level(
        name="county",
        zones=("C",),
        controls=("size one",),
        incidence=INCIDENCE[:, :1],
        target=np.array([[12.0]]),
        error=np.array([[2.0]]),
        zone_of=np.array([0, 0]),
    )
    return Problem(prior=np.ones(3), levels=(tract, county))


def cell(cells: pl.DataFrame, zone: str, control: str) -> dict:
    return cells.filter((pl.col("zone") == zone) & (pl.col("control") == control)).row(
        0, named=True
    )


def test_cells_hold_target_reached_and_z():
    cells = compare_totals(problem(), WEIGHTS)
    assert cells.height == 7
    one = cell(cells, "A", "size one")
    assert (one["target"], one["reached"], one["difference"]) == (9, 8, -1)
    assert one["z"] == -2
    assert one["base"] == 10
    # Shares 0.9 and 0.8 of ten homes.
    assert one["z_share"] == pytest.approx(-0.1 / math.sqrt(0.9 * 0.1 / 10))
    assert cell(cells, "A", "size more")["z"] is None
    people = cell(cells, "A", "people")
    assert (people["reached"], people["family"], people["z_share"]) == (14, "people", None)
    assert cell(cells, "C", "size one")["reached"] == 11
    named = compare_totals(problem(), WEIGHTS, {"people": "B01003"})
    assert cell(named, "B", "people")["family"] == "B01003"


def test_measures_equal_those_by_hand():
    measures = accuracy(compare_totals(problem(), WEIGHTS))
    assert measures["family"].to_list() == ["size", "people", "size"]
    size = measures.row(0, named=True)
    # T = 9 1 4 4, E = 8 2 3 4.
    assert (size["cells"], size["total"], size["tae"]) == (4, 18, 3)
    assert size["tae_share"] == pytest.approx(3 / 18)
    assert size["sae"] == pytest.approx(3 / 18)
    assert size["srmse"] == pytest.approx(math.sqrt(3 / 4) / 4.5)
    assert size["largest"] == 1
    # |z| = 2 and 1 of the two cells with errors.
    assert (size["inside"], size["z_largest"]) == (0.5, 2)
    assert size["chi_square"] == pytest.approx(1 / 9 + 1 + 1 / 4)
    roots = [(8, 9), (2, 1), (3, 4)]
    assert size["freeman_tukey"] == pytest.approx(
        4 * sum((math.sqrt(e) - math.sqrt(t)) ** 2 for e, t in roots)
    )
    people = measures.row(1, named=True)
    # T = 16 0, E = 14 11: an empty target has no relative error, but adds to all the others.
    assert (people["tae"], people["largest"]) == (13, 2 / 16)
    assert people["freeman_tukey"] == pytest.approx(4 * ((4 - math.sqrt(14)) ** 2 + 11))


def test_one_control_of_a_family_is_measured_against_its_units():
    by_control = accuracy(compare_totals(problem(), WEIGHTS), ["level", "control"])
    one = by_control.row(0, named=True)
    # 13 homes of one among 18 homes.
    assert one["tae_share"] == pytest.approx(2 / 13)
    assert one["sae"] == pytest.approx(2 / 18)
    by_zone = accuracy(compare_totals(problem(), WEIGHTS), ["level", "zone", "family"])
    assert by_zone.row(0, named=True)["sae"] == pytest.approx(2 / 10)


def test_a_perfect_fit_measures_zero():
    perfect = Problem(
        problem().prior,
        (
            Level(
                "tract", ("A", "B"), ("size one", "size more", "people"), INCIDENCE,
                WEIGHTS @ INCIDENCE, np.zeros((2, 3)), np.array([0, 1]),
            ),
        ),
    )  # fmt: skip
    empty = pl.DataFrame()
    fitted = Fitted(perfect, WEIGHTS, np.zeros(2), infeasible=empty, reconciled=empty)
    measures = accuracy(fit_cells(fitted), ["level"]).row(0, named=True)
    assert measures["tae"] == measures["srmse"] == measures["freeman_tukey"] == 0
    assert measures["inside"] is None


def test_negative_totals_have_no_chi_square():
    cells = compare_totals(problem(), WEIGHTS).with_columns(target=-pl.col("target"))
    assert accuracy(cells)["freeman_tukey"].is_null().all()
    # Sums such as income may be negative; how far they are missed is not.
    assert (accuracy(cells)[["tae_share", "sae", "srmse"]] >= 0).to_numpy().all()


def people(**other) -> lpm.Population:
    """A home of one and two of two in zone 0, a home of one in zone 1, and two in quarters."""
    columns = {
        "household_id": [0, 1, 1, 2, 2, 3, -1, -1],
        "record": [0, 1, 1, 1, 1, 0, 2, 2],
        "zone_id": [0, 0, 0, 0, 0, 1, 1, 1],
    } | other
    return lpm.Population({name: np.array(x) for name, x in columns.items()})


def test_households_drawn_are_counted_once_and_people_in_quarters_each():
    counts = drawn_counts(people(), problem())
    assert counts.tolist() == [[1, 2, 0], [1, 0, 2]]
    assert cell(compare_totals(problem(), counts), "A", "people")["reached"] == 1 + 2 * 2


def test_zones_with_labels_are_matched_by_name():
    columns = {n: people().host(n) for n in people().columns}
    labelled = lpm.Population(columns, labels={"zone_id": ("B", "elsewhere")})
    assert drawn_counts(labelled, problem()).tolist() == [[0, 0, 0], [1, 2, 0]]
    named = np.array([20, 0, 1])
    shifted = people(record=[0, 1, 1, 1, 1, 0, 20, 20])
    assert drawn_counts(shifted, problem(), records=named).tolist() == [[0, 1, 2], [2, 1, 0]]


def test_people_of_no_zone_are_passed_over():
    columns = {n: people().host(n) for n in people().columns}
    columns["zone_id"] = np.array([0, 0, 0, 0, 0, -1, -1, 1])
    labelled = lpm.Population(columns, labels={"zone_id": ("A", "B")})
    assert drawn_counts(labelled, problem()).tolist() == [[1, 2, 0], [0, 0, 1]]


@needs_knox
@pytest.mark.parametrize(
    ("area", "inside"), [("4701601", 0.69), ("4701602", 0.70), ("4701603", 0.70)]
)
def test_design_weights_leave_a_known_share_of_totals_inside_their_noise(area, inside):
    households, errors, totals, weights = (
        pl.read_csv(KNOX / f"{name}_{area}.csv.gz", infer_schema_length=None)
        for name in ("cind", "sg2", "cg2", "wt")
    )
    names = [name for name in totals.columns if name != "GEOID"]
    spread = np.sqrt(np.sum(errors.select(names).to_numpy() ** 2, axis=0))
    level = Level(
        "area", (area,), tuple(names),
        households.select(names).to_numpy().astype(float),
        totals.select(names).to_numpy().astype(float).sum(axis=0)[None],
        spread[None], np.zeros(1, int),
    )  # fmt: skip
    design = weights[weights.columns[-1]].to_numpy().astype(float)
    cells = compare_totals(Problem(design, (level,)), design[None])
    # The share that the data set's description gives, to two digits.
    assert round(accuracy(cells, ["level"])["inside"].item(), 2) == inside


def test_bad_input_is_refused():
    with pytest.raises(DataError, match=r"shape \[2, 2\], but the problem has 2 zones and 3 rec"):
        compare_totals(problem(), WEIGHTS[:, :2])
    with pytest.raises(DataError, match=r"cells has no column \[table\]"):
        accuracy(compare_totals(problem(), WEIGHTS), ["table"])
    with pytest.raises(DataError, match=r"population has no column \[source\]"):
        drawn_counts(people(), problem(), record="source")
    with pytest.raises(DataError, match="record = 7 is none of the problem's 3 records"):
        drawn_counts(people(record=[0, 1, 1, 1, 1, 7, 2, 2]), problem())
    with pytest.raises(DataError, match="zone_id runs from 0 to 2; the problem has 2 zones"):
        drawn_counts(people(zone_id=[0, 0, 0, 0, 0, 2, 1, 1]), problem())
