"""Scores of forecasts: closed forms of the normal law, the published definition, and errors."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy import stats

from lpm.analysis.forecast_plots import plot_forecast, plot_scores
from lpm.analysis.forecasts import (
    LEVELS,
    crps,
    quantile_frame,
    score_forecasts,
    summarise_scores,
    weighted_interval_score,
)
from lpm.errors import DataError
from lpm.fitting.chance import generator_for
from lpm.launch import key_words


def luck(purpose):
    return generator_for(key_words([7]), purpose)


def crps_of_normal(y):
    """Gneiting & Raftery (2007), for the standard normal law."""
    return y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)


def interval_score(low, high, alpha, y):
    return high - low + 2 / alpha * max(low - y, 0) + 2 / alpha * max(y - high, 0)


def forecast(values, levels, **about):
    head = {"date": date(2020, 10, 3), "target": "deaths", "horizon": 1} | about
    return pl.DataFrame({"quantile": levels, "value": values}).with_columns(
        **{name: pl.lit(x) for name, x in head.items()}
    )


def seen(value, **about):
    head = {"date": [date(2020, 10, 3)], "target": ["deaths"], "value": [value]}
    return pl.DataFrame(head | {name: [x] for name, x in about.items()})


@pytest.mark.parametrize("y", [-2.5, -0.3, 0.0, 1.1, 4.0])
def test_dense_levels_give_the_crps_of_a_normal_law(y):
    levels = (np.arange(1999) + 1) / 2000
    found = weighted_interval_score(levels, stats.norm.ppf(levels), np.array(y))
    # Levels end 1/2000 short of 0 and 1, where losses are below |y| + 3.5.
    assert found == pytest.approx(crps_of_normal(y), abs=(abs(y) + 3.5) / 1000)


def test_the_score_is_the_published_sum_over_intervals():
    levels, y = np.array(LEVELS), 7.3
    values = np.sort(luck("quantiles").normal(5, 2, len(levels)))
    intervals = len(levels) // 2
    total = 0.5 * abs(y - values[intervals])
    for k in range(intervals):
        alpha = 2 * levels[k]
        total += alpha / 2 * interval_score(values[k], values[-1 - k], alpha, y)
    found = score_forecasts(forecast(values, levels), seen(y)).row(0, named=True)
    assert found["wis"] == pytest.approx(total / (intervals + 0.5))
    assert found["under"] + found["over"] + found["width"] == pytest.approx(found["wis"])


def test_draws_of_a_normal_law_have_its_crps():
    draws = luck("draws").normal(size=(400, 50))
    found = crps(draws, np.full(400, 0.7))
    error = found.std(ddof=1) / np.sqrt(400)
    assert found.mean() == pytest.approx(crps_of_normal(0.7), abs=4 * error)


def test_intervals_of_the_right_law_cover_as_often_as_they_say_and_narrow_ones_do_not():
    rng, count = luck("coverage"), 2000
    about = pl.DataFrame({"date": np.arange(count), "target": "x", "horizon": 1})
    observed = pl.DataFrame(
        {"date": np.arange(count), "target": "x", "value": rng.normal(size=count)}
    )
    inside, wis = {}, {}
    for spread in (1.0, 0.4):
        draws = np.broadcast_to(spread * stats.norm.ppf((np.arange(999) + 1) / 1000), (count, 999))
        scores = score_forecasts(quantile_frame(about, draws), observed)
        row = summarise_scores(scores, ["target"]).row(0, named=True)
        inside[spread], wis[spread] = (row["inside_50"], row["inside_95"]), row["wis"]
    for found, level in zip(inside[1.0], (0.5, 0.95), strict=True):
        assert abs(found - level) < 4 * np.sqrt(level * (1 - level) / count)
    assert inside[0.4][1] < 0.7  # 2 Phi(1.96 * 0.4) - 1 is 0.57.
    assert wis[0.4] > wis[1.0]


def test_forecasts_are_matched_by_all_common_columns():
    levels = np.array([0.25, 0.5, 0.75])
    both = pl.concat([forecast([1.0, 2.0, 3.0], levels, place=p, model="m") for p in ("a", "b")])
    truth = pl.concat([seen(2.0, place="a"), seen(5.0, place="b")])
    found = score_forecasts(both, truth, intervals=(0.5,))
    assert found["absolute_error"].to_list() == [0.0, 3.0]
    assert found["inside_50"].to_list() == [True, False]


@pytest.mark.parametrize(
    ("levels", "values", "message"),
    [
        ([0.25, 0.75], [1.0, 2.0], "symmetric about 0.5 and hold it"),
        ([0.2, 0.5, 0.75], [1.0, 2.0, 3.0], "symmetric about 0.5 and hold it"),
        ([0.25, 0.5, 0.75], [1.0, 3.0, 2.0], "quantiles fall as levels rise"),
        ([0.1, 0.5, 0.9], [1.0, 2.0, 3.0], "no central interval of 50%"),
    ],
)
def test_forecasts_that_will_not_do_are_refused(levels, values, message):
    with pytest.raises(DataError, match=message):
        score_forecasts(forecast(values, levels), seen(1.0))


def test_frames_that_will_not_do_are_refused():
    good = forecast([1.0, 2.0, 3.0], [0.25, 0.5, 0.75])
    with pytest.raises(DataError, match="have no column"):
        score_forecasts(good.drop("horizon"), seen(1.0))
    with pytest.raises(DataError, match="have no column"):
        score_forecasts(good, seen(1.0).drop("date"))
    with pytest.raises(DataError, match="twice for the same"):
        score_forecasts(good, pl.concat([seen(1.0), seen(2.0)]))
    with pytest.raises(DataError, match="differ in their levels"):
        score_forecasts(pl.concat([good, good[:1]]), seen(1.0))
    with pytest.raises(DataError, match="nothing that was forecast"):
        score_forecasts(good, seen(1.0).with_columns(target=pl.lit("cases")))
    with pytest.raises(DataError, match="two or more"):
        crps(np.ones((3, 1)), np.ones(3))
    with pytest.raises(DataError, match="rows of draws"):
        quantile_frame(good, np.ones((1, 4)))
    scores = score_forecasts(good, seen(1.0), intervals=(0.5,))
    with pytest.raises(DataError, match="no column"):
        summarise_scores(scores, ["place"])


def test_a_fan_draws_its_median_and_asks_for_one_course():
    levels = [0.025, 0.25, 0.5, 0.75, 0.975]
    days = [date(2020, 10, 3), date(2020, 10, 10)]
    fan = pl.concat(
        [forecast([1.0, 2.0, 3.0 + i, 6.0, 8.0], levels, date=day) for i, day in enumerate(days)]
    )
    ax = plot_forecast(fan, seen(2.0))
    assert ax.lines[-1].get_ydata().tolist() == [3.0, 4.0]
    with pytest.raises(DataError, match="filter it to one course"):
        plot_forecast(pl.concat([fan, fan]), seen(2.0))
    with pytest.raises(DataError, match=r"lack the level 0\.025"):
        plot_forecast(fan.filter(pl.col("quantile") > 0.1), seen(2.0))


def test_bars_of_scores_add_up_to_the_score():
    scores = score_forecasts(
        forecast(np.linspace(1, 9, len(LEVELS)), list(LEVELS), model="a"), seen(11.0)
    )
    ax = plot_scores(summarise_scores(scores, ["model"]))
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(scores["wis"][0])
