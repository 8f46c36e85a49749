"""Figures of a fit: what they show and what they refuse."""

import numpy as np
import polars as pl
import pytest
from matplotlib.collections import PathCollection

from lpm.analysis.picture import COLOURS, OTHER, Picture, picture_of
from lpm.analysis.population_plots import (
    plot_expansion,
    plot_noise,
    plot_pyramid,
    plot_shares,
    plot_totals,
)
from lpm.errors import DataError


def cells(families: int = 2, exact: bool = False) -> pl.DataFrame:
    rows = [
        {
            "level": level,
            "zone": f"{zone}",
            "family": f"table {i}",
            "target": 10.0 * zone + i,
            "reached": 10.0 * zone + i + 1,
            "z": None if exact else (-1.0, 0.5, 2.0, 9.0)[zone],
        }
        for level in ("tract", "county")
        for zone in range(4)
        for i in range(families)
    ]
    return pl.DataFrame(rows, schema_overrides={"z": pl.Float64})


def points(ax) -> np.ndarray:
    found = [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
    return np.concatenate([np.asarray(x) for x in found])


def test_totals_draw_each_cell_once_by_level():
    axes = plot_totals(cells())
    assert [ax.get_title(loc="left") for ax in axes] == ["tract (4 zones)", "county (4 zones)"]
    assert len(points(axes[0])) == 8
    assert np.all(points(axes[1])[:, 1] - points(axes[1])[:, 0] == 1)
    assert picture_of(axes).png(40).startswith(b"\x89PNG")


def test_families_beyond_the_colours_share_grey():
    axes = plot_totals(cells(10))
    figure = axes[0].figure
    assert isinstance(figure, Picture)
    legend = figure.legends[0]
    assert [t.get_text() for t in legend.get_texts()][-1] == "3 others"
    assert legend.get_lines()[0].get_color() == COLOURS[0]
    assert legend.get_lines()[-1].get_color() == OTHER


def test_noise_counts_those_inside_and_keeps_those_far_out():
    ax = plot_noise(cells())[0]
    assert ax.get_title(loc="left") == "tract: 50% of 8 inside"
    assert sum(bar.get_height() for bar in ax.patches[1:]) == pytest.approx(1)
    assert ax.patches[-1].get_height() == pytest.approx(0.25)
    with pytest.raises(DataError, match="no totals with an error"):
        plot_noise(cells(exact=True))


def test_expansion_names_records_not_used():
    ax = plot_expansion(np.array([0.0, 0.5, 1.0, 2.0, 300.0]))
    assert ax.get_title(loc="left") == "5 records, 1 of them not used"
    assert sum(bar.get_height() for bar in ax.patches) == 5
    assert ax.get_xlim()[0] <= 0.01
    assert plot_expansion(np.array([0.9, 1.1])).get_xlim() == pytest.approx((0.1, 10))


def test_a_pyramid_holds_shares_of_all_people():
    drawn = np.array([[10.0, 20.0], [30.0, 40.0]])
    ax = plot_pyramid(drawn, ["young", "old"], ["female", "male"], 3 * drawn)
    widths = [bar.get_width() for bar in ax.patches if hasattr(bar, "get_width")]
    assert widths == pytest.approx([-10, -20, 30, 40])
    outline = [p.get_data().values for p in ax.patches if hasattr(p, "get_data")]
    assert np.concatenate(outline) == pytest.approx([-10, -20, 30, 40])
    assert ax.get_xlim()[0] == -ax.get_xlim()[1]
    with pytest.raises(DataError, match="two sexes"):
        plot_pyramid(drawn, ["all"], ["female", "male"])


def test_shares_stand_beside_their_reference():
    ax = plot_shares(np.array([1.0, 3.0]), ["1", "2+"], np.array([2.0, 2.0]))
    assert [bar.get_height() for bar in ax.patches] == [25, 75]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2+"]
    with pytest.raises(DataError, match="2 classes have 1 names"):
        plot_shares(np.array([1.0, 3.0]), ["1"])
