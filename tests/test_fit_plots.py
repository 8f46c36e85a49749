"""Figures of fits and of sensitivity: what is drawn, in words and numbers, and what is refused."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from lpm.analysis.fit_plots import (
    plot_coverage,
    plot_fit_history,
    plot_gradient_check,
    plot_profile,
    plot_residuals,
)
from lpm.analysis.picture import picture_of
from lpm.analysis.sensitivity_plots import plot_sensitivity
from lpm.errors import DataError
from lpm.fitting.coverage import Coverage


def words_in(axes) -> str:
    return " ".join(
        text.get_text() for text in picture_of(axes).findobj(lambda x: hasattr(x, "get_text"))
    )


@dataclass
class Fit:
    history: pl.DataFrame
    frame: pl.DataFrame = field(default_factory=pl.DataFrame)

    def residuals(self):
        return self.frame


HISTORY = pl.DataFrame(
    {
        "stage": ["screen"] * 3 + ["least squares"] * 3,
        "iteration": range(6),
        "start": [0] * 6,
        "runs": [8, 8, 8, 16, 24, 32],
        "loss": [9.0, float("inf"), 7.0, 6.0, 6.5, 5.0],
        "R0": [1.0, 9.0, 2.0, 2.2, 2.1, 2.4],
        "recovery": [0.1, 0.9, 0.2, 0.3, 0.3, 0.35],
    }
)
MISSES = pl.DataFrame(
    {
        "series": ["cases"] * 4 + ["deaths"] * 2,
        "period": [0, 1, 0, 1, 0, 1],
        "class": [0, 0, 1, 1, 0, 0],
        "observed": [3.0, None, 5.0, 6.0, 0.0, 1.0],
        "expected": [2.5, 4.0, 4.0, 6.5, 0.5, 0.5],
        "low": [2.0, 3.0, 3.0, 5.0, 0.0, 0.0],
        "high": [3.0, 5.0, 5.0, 8.0, 1.0, 1.0],
        "residual": [0.5, None, 4.5, -0.2, -0.5, 0.5],
    }
)


def test_history_draws_the_loss_and_every_element_and_leaves_out_failures():
    axes = plot_fit_history(Fit(HISTORY))
    assert [ax.get_title("left") for ax in axes] == ["loss", "R0", "recovery"]
    points = np.concatenate(
        [line.get_xydata() for line in axes[1].lines if line.get_marker() == "o"]
    )
    assert 9.0 not in points[:, 1]
    best = [line for line in axes[0].lines if line.get_marker() == "None"]
    assert [line.get_ydata().tolist() for line in best] == [[9.0, 7.0], [6.0, 6.0, 5.0]]
    # What leads is where the loss was lowest, not the element's own minimum.
    lead = [line for line in axes[1].lines if line.get_marker() == "None"][1]
    assert lead.get_ydata().tolist() == [2.2, 2.2, 2.4]
    assert "screen" in words_in(axes)
    far = HISTORY.with_columns(loss=pl.Series([1e6, 9.0, 7.0, 6.0, 6.5, 5.0]))
    assert "1 above" in words_in(plot_fit_history(far))
    assert len(plot_fit_history(HISTORY, ["R0"])) == 2


def test_residuals_have_a_pair_of_frames_by_series_and_class():
    axes = plot_residuals(Fit(HISTORY, MISSES))
    assert [ax.get_title("left") for ax in axes[::2]] == ["cases 0", "cases 1", "deaths"]
    assert axes[3].get_ylim()[1] > 4.5  # The large miss is inside the frame.
    assert axes[1].get_ylim() == (-3, 3)
    band = axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (2, 5)
    assert len(plot_residuals(MISSES.filter(pl.col("series") == "deaths"))) == 2


def test_a_profile_shows_where_a_parabola_crosses():
    at = np.linspace(1, 3, 41)
    frame = pl.DataFrame({"R0": at, "loss": at, "rise": 0.5 * ((at - 2) / 0.25) ** 2})
    ax = plot_profile(frame)
    ends = sorted(
        line.get_xdata()[0] for line in ax.lines if line.get_xdata()[0] == line.get_xdata()[-1]
    )
    # 1.96 standard errors to each side; straight lines between points a fifth of one apart.
    assert ends == pytest.approx([2 - 1.96 * 0.25, 2 + 1.96 * 0.25], abs=0.005)
    flat = plot_profile(frame.with_columns(rise=pl.lit(0.1)))
    assert len(flat.lines) == 2  # No end where the data say nothing.


def checked(passed, tangent=True):
    table = pl.DataFrame(
        {
            "field": ["a", "b", "c"],
            "ratio": [1.02, 2e6, float("nan")],
            "low": [0.95, -np.inf, -np.inf],
            "high": [1.08, np.inf, np.inf],
            "verdict": ["right", "too noisy", "wrong"],
        }
    )
    norms = pl.DataFrame({"day": [1, 2, 3], "norm": [0.1, 10.0, float("inf")]})
    return SimpleNamespace(
        table=table,
        tangent=norms if tangent else None,
        cosine=(0.9, 0.8, 1.0),
        passed=passed,
        estimate=SimpleNamespace(estimator="straight_through"),
    )


def test_a_gradient_check_says_its_verdict_and_cuts_what_leaves_the_frame():
    axes = plot_gradient_check(checked(False))
    told = words_in(axes)
    assert "straight_through FAILS against crn; cosine 0.90 [0.80, 1.00]" in told
    assert "2e+06" in told
    assert "not finite from 3 on" in told
    assert "b: too noisy" in told
    assert axes[0].get_xlim() == (-1, 3)
    assert axes[1].get_yscale() == "log"
    assert "passes" in words_in(plot_gradient_check(checked(True, tangent=False)))
    assert "is undecided" in words_in(plot_gradient_check(checked(None)))


def test_coverage_shows_ranks_and_bands():
    even = (np.arange(100) + 0.5) / 100
    narrow = np.repeat([0.01, 0.99], 50)
    axes = plot_coverage(Coverage(np.stack([even, narrow], axis=1), ("R0", "gamma"), {}))
    told = words_in(axes)
    assert "Coverage over 100 truths: FAILS" in told
    heights = [
        [bar.get_height() for bar in ax.patches if bar.get_width() < 0.2] for ax in axes[::2]
    ]
    assert heights[0] == [10] * 10
    assert heights[1] == [50] + [0] * 8 + [50]
    assert axes[3].lines[1].get_ydata().tolist() == [0, 0, 0, 0]
    alone = plot_coverage(Coverage(even[:, None], ("R0",), {}))
    assert "passes" in words_in(alone)


SLOPES = pl.DataFrame(
    {
        "outcome": ["attack", "attack", "peak"],
        "field": ["a", "b", "a"],
        "measure": ["d log y / d log x", "d log y / d x", "d log y / d log x"],
        "estimate": [0.5, -2.0, 1.0],
        "low": [0.4, -3.0, None],
        "high": [0.6, -1.0, None],
        "bias": [0.05, None, None],
    }
)
SHARES = pl.DataFrame(
    {
        "outcome": ["attack"] * 4,
        "source": ["a", "b", "parameters together", "luck"],
        **{
            f"{name}{end}": [value[0] + shift, value[1] + shift, 0.7 + shift, 0.3 + shift]
            for name, value in (("first", (0.1, 0.4)), ("total", (0.2, 0.6)))
            for end, shift in (("", 0.0), ("_low", -0.1), ("_high", 0.1))
        },
    }
)


def test_the_strongest_knob_is_on_top_and_luck_stands_apart():
    axes = plot_sensitivity(SimpleNamespace(table=SHARES))
    labels = [tick.get_text() for tick in axes[0].get_yticklabels()]
    assert labels == ["luck", "parameters together", "a", "b"]
    assert "total: with interactions" in words_in(axes)
    axes = plot_sensitivity(SLOPES)
    assert len(axes) == 2
    labels = [tick.get_text() for tick in axes[0].get_yticklabels()]
    assert labels == ["a  (d log y / d log x)", "b  (d log y / d x)"]
    assert "less its measured bias" in words_in(axes)


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda: plot_fit_history(HISTORY, ["R1"]), r"history has no element \[R1\]"),
        (lambda: plot_fit_history(3), "a int cannot be drawn here; give a table, or .* `history`"),
        (lambda: plot_fit_history(HISTORY.head(0)), "no rows"),
        (lambda: plot_fit_history(HISTORY[1:2]), "no point of the history has a finite loss"),
        (lambda: plot_residuals(HISTORY), "no columns .'series', 'period'"),
        (
            lambda: plot_residuals(
                pl.concat([MISSES.with_columns(pl.lit(i).alias("class")) for i in range(13)])
            ),
            "26 series and classes cannot be drawn",
        ),
        (lambda: plot_profile(HISTORY), "no columns .'rise'"),
        (lambda: plot_gradient_check(HISTORY), "no columns .'field', 'ratio'"),
        (
            lambda: plot_coverage(Coverage(np.zeros((20, 13)), tuple("abcdefghijklm"), {})),
            "13 elements cannot be drawn",
        ),
        (lambda: plot_sensitivity(HISTORY), "neither of elasticities nor of Sobol"),
    ],
)
def test_what_cannot_be_drawn_is_refused(act, match):
    with pytest.raises(DataError, match=match):
        act()


def test_every_figure_can_be_a_file():
    assert (
        picture_of(
            plot_profile(pl.DataFrame({"a": [1.0, 2], "loss": [1.0, 2], "rise": [0.0, 1]}))
        ).png()[1:4]
        == b"PNG"
    )
    assert picture_of(plot_gradient_check(checked(None))).svg().startswith("<svg")
    assert picture_of(plot_residuals(MISSES)).svg().startswith("<svg")
