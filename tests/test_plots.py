"""Figures: what they show, what they refuse, and that they need no display."""

import sys

import numpy as np
import pytest

import lpm
from lpm.analysis import (
    LivePlot,
    plot_bands,
    plot_by,
    plot_compare,
    plot_difference,
    plot_overview,
)
from lpm.analysis.legend import Legend
from lpm.analysis.picture import Picture, picture_of
from lpm.analysis.plots import drawable
from lpm.command.scenarios import load
from lpm.errors import ScenarioError, SimulationError
from lpm.trajectory import Provenance, Trajectory

LEGEND = Legend(
    labels={"cases_by_age": ["young", "old"]},
    units={"cases": "people", "cases_by_age": "people"},
    together={"Stages": ["cases", "deaths"]},
)


def made(shift: float = 0.0, runs: int = 3, key: int = 0) -> Trajectory:
    """A trajectory of sines: two scalars, one array of two, one of a hundred."""
    t = np.arange(1, 21)
    rise = 1_000 * (1 + np.sin(t / 4)) + 10 * np.arange(runs)[:, None] + shift
    observed = {
        "cases": rise,
        "deaths": 0.1 * rise,
        "cases_by_age": np.stack([0.4 * rise, 0.6 * rise], axis=-1),
        "map": np.zeros((runs, 20, 100)),
    }
    return Trajectory(
        time=t,
        observed=observed,
        state=None,
        faults={"x": np.full(runs, -1)},
        snapshots={},
        log_probability=np.zeros((runs, 20)),
        plain=observed,
        lead=("run",),
        unit="day",
        source=Provenance({"key": [[0, key + i] for i in range(runs)], "population": {}}),
    )


def texts(figure: Picture) -> set[str]:
    return {t.get_text() for ax in figure.axes for t in [*ax.texts, ax.title, ax.xaxis.label]} | {
        ax.get_title(loc="left") for ax in figure.axes
    }


def test_bands_name_each_line_at_its_end_in_its_colour():
    ax = plot_bands(made(), ["cases", "deaths"], legend=LEGEND)
    named = {t.get_text(): t.get_color() for t in ax.texts}
    assert set(named) == {"cases", "deaths"}
    assert len(set(named.values())) == 2
    assert ax.get_xlabel() == "day"


def test_names_at_the_ends_never_overlap():
    trajectory = made()
    flat = {f"x{i}": np.ones((3, 20)) for i in range(8)}
    ax = plot_bands(Trajectory(**{**trajectory._parts(), "observed": flat}))
    heights = sorted(t.get_position()[1] for t in ax.texts)
    assert np.diff(heights).min() > 0.07
    assert heights[-1] <= 1


def test_the_band_is_the_5_to_95_per_cent_range_of_the_runs():
    trajectory = made(runs=40)
    ax = plot_bands(trajectory, ["cases"])
    outline = ax.collections[0].get_paths()[0].vertices
    low, high = np.quantile(trajectory.observed["cases"], (0.05, 0.95), axis=0)
    assert outline[:, 1].max() == pytest.approx(high.max())
    assert outline[:, 1].min() == pytest.approx(low.min())


def test_comparison_draws_the_baseline_and_the_policy():
    ax = plot_compare(made(200), made(), "cases", legend=LEGEND)
    assert {t.get_text() for t in ax.texts} == {"baseline", "policy"}
    assert ax.get_title(loc="left") == "cases (people)"


def test_overview_has_one_frame_per_number_observed():
    axes = plot_overview(made(), made(200), legend=LEGEND)
    assert [ax.get_title(loc="left") for ax in axes] == ["cases", "deaths"]


def test_difference_is_taken_run_by_run():
    axes = plot_difference(made(200), made())
    bold = max(axes[0].lines, key=lambda line: line.get_linewidth())
    assert np.allclose(bold.get_ydata(), -200)


def test_small_multiples_share_their_axis_and_carry_labels():
    axes = plot_by(made(), "cases_by_age", baseline=made(200), legend=LEGEND)
    assert [ax.get_title(loc="left") for ax in axes] == ["young", "old"]
    assert axes[0].get_ylim() == axes[1].get_ylim()
    highest = max(ax.dataLim.y1 for ax in axes)
    assert axes[0].get_ylim()[1] >= highest


def test_numbers_on_axes_have_thousands_separators():
    ax = plot_bands(made(), ["cases"])
    ax.figure.draw_without_rendering()
    assert any("," in label.get_text() for label in ax.get_yticklabels())


def test_a_single_run_has_no_band():
    assert not plot_bands(made(runs=1), ["cases"]).collections


def test_a_figure_is_png_and_svg_without_links():
    figure = picture_of(plot_bands(made(), ["cases"]))
    assert figure.png().startswith(b"\x89PNG")
    assert figure._repr_png_().startswith(b"\x89PNG")
    svg = figure.svg()
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "matplotlib.org" not in svg


def test_the_same_run_gives_the_same_svg():
    assert picture_of(plot_bands(made())).svg() == picture_of(plot_bands(made())).svg()


def test_only_short_array_axes_are_drawn():
    assert drawable(made(), "cases_by_age")
    assert not drawable(made(), "map")


def test_unknown_observables_are_named():
    with pytest.raises(SimulationError, match=r"no scalar observable \[casess\].*did you mean"):
        plot_bands(made(), ["casess"])
    with pytest.raises(SimulationError, match=r"no observable \[nothing\]"):
        plot_by(made(), "nothing")


def test_an_array_observable_is_refused_where_a_number_is_drawn():
    with pytest.raises(SimulationError, match="no scalar observable"):
        plot_compare(made(), made(), "cases_by_age")


def test_too_many_elements_are_refused():
    with pytest.raises(SimulationError, match="at most 24"):
        plot_by(made(), "map")


def test_wrong_number_of_labels_is_refused():
    with pytest.raises(SimulationError, match="2 elements, but there are 3 labels"):
        plot_by(made(), "cases_by_age", ["a", "b", "c"])


def test_a_difference_without_common_luck_is_refused():
    with pytest.raises(SimulationError, match="other keys or populations"):
        plot_difference(made(key=5), made())


def test_arrays_alone_cannot_be_drawn_as_lines():
    trajectory = made()
    arrays = {"map": trajectory.observed["map"]}
    with pytest.raises(SimulationError, match="every observable is an array"):
        plot_overview(Trajectory(**{**trajectory._parts(), "observed": arrays}))


def test_axes_of_another_figure_are_not_taken_for_ours():
    own = picture_of(plot_bands(made(), ["cases"]))
    assert picture_of(own.axes[0]) is own
    other = type("Figure", (Picture.__mro__[1],), {})()
    with pytest.raises(SimulationError, match="made elsewhere"):
        picture_of(plot_bands(made(), ["cases"], ax=other.subplots()))


def test_legend_refuses_what_is_not_observed_and_miscounted_labels():
    LEGEND.check(made())
    with pytest.raises(ScenarioError, match=r"no observable \[casses\].*did you mean \[cases\]"):
        Legend(units={"casses": "people"}).check(made())
    with pytest.raises(ScenarioError, match=r"LABELS\['cases_by_age'\] has 3 names"):
        Legend(labels={"cases_by_age": ["a", "b", "c"]}).check(made())


def test_a_live_plot_redraws_between_segments(town):
    shown: list[Picture] = []
    live = LivePlot(["prevalence"], shown.append)
    lpm.simulate(load("sir").scenario, town, key=0, steps=12, progress=live)
    assert len(shown) > 2
    assert live.figure is shown[-1]
    assert "prevalence" in texts(shown[-1])


def test_a_live_plot_outside_a_notebook_only_keeps_its_figure():
    live = LivePlot(["cases"])
    live(made())
    assert live.figure is not None


def test_a_live_plot_in_a_notebook_replaces_its_figure(monkeypatch):
    calls = []

    class Handle:
        def display(self, figure):
            calls.append(("display", figure))

        def update(self, figure):
            calls.append(("update", figure))

    shell = type("IPython", (), {"get_ipython": staticmethod(object)})
    display = type("display", (), {"DisplayHandle": Handle})
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    live = LivePlot(["cases"])
    live(made())
    live(made())
    assert [how for how, _ in calls] == ["display", "update"]
    assert calls[1][1] is live.figure
