"""The New York study: what its file may hold, how weeks are made, and the rivals' forecasts."""

import json

import numpy as np
import polars as pl
import pytest

import lpm
from calibration import new_york_covid as study, new_york_forecasts as ahead
from lpm.fitting.chance import generator_for
from lpm.launch import key_words


def luck():
    return generator_for(key_words([3]), "rivals")


def table(tmp_path, change):
    frame = pl.DataFrame(
        {
            "week": ["2020-02-29", "2020-03-07"],
            "borough": ["Queens", "Queens"],
            "cases": [3, 4],
            "admissions": [1, None],
            "deaths": [0, 1],
        }
    )
    path = tmp_path / "weeks.csv"
    change(frame).write_csv(path)
    return path


def test_the_shipped_weeks_are_of_four_boroughs_and_the_bronx_is_not_fitted():
    data = study.read()
    assert data.weeks == 69
    for counts in data.counts.values():
        assert np.isnan(counts[:, 0]).all()
        assert not np.isnan(counts[:, 1:]).any()
    # Added up from the daily file by other code: the week of 28 March 2020.
    totals = [float(np.nansum(data.counts[name][4])) for name in study.TARGETS]
    assert totals == [27450, 9260, 2722]


def test_a_missing_number_is_missing(tmp_path):
    data = study.read(table(tmp_path, lambda frame: frame))
    assert np.isnan(data.counts["admissions"][1, 3])
    assert data.counts["cases"][:, 3].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("deaths"), "no column"),
        (lambda f: f.with_columns(borough=pl.lit("Newark")), "New York has"),
        (lambda f: f.with_columns(week=pl.lit("2020-02-29")), "one row per week"),
        (lambda f: f.with_columns(week=pl.lit("soon")), "one row per week"),
        (lambda f: f.with_columns(cases=-pl.col("cases")), "negative"),
        (
            lambda f: f.with_columns(week=pl.Series(["2020-02-29", "2020-03-08"])),
            "weeks must follow",
        ),
    ],
)
def test_a_file_that_will_not_do_is_refused(tmp_path, change, message):
    with pytest.raises(lpm.DataError, match=message):
        study.read(table(tmp_path, change))


def test_weeks_are_sums_of_seven_days_and_a_part_of_a_week_is_left_out(tmp_path):
    days = pl.date_range(pl.date(2020, 2, 29), pl.date(2020, 3, 16), eager=True)
    frame = pl.DataFrame(
        {
            "date": days,
            "borough": "Queens",
            "case_count": range(17),
            "hospitalized_count": [1] * 17,
            "death_count": [0] * 17,
        }
    )
    frame.write_csv(tmp_path / "daily.csv")
    found = study.make_table(tmp_path / "daily.csv")
    assert found["cases"].to_list() == [sum(range(7)), sum(range(7, 14))]
    assert found["admissions"].to_list() == [7, 7]


@pytest.mark.parametrize("target", study.TARGETS)
def test_delays_have_the_mean_they_say(target):
    shares = np.array(study.delay(target))
    mean, sd = study.DELAYS[target]
    days = np.arange(len(shares)) + 0.5
    assert shares.sum() == pytest.approx(1)
    assert shares @ days == pytest.approx(mean, abs=0.1)
    assert np.sqrt(shares @ days**2 - (shares @ days) ** 2) == pytest.approx(sd, abs=0.2)


def test_persistence_stays_and_widens():
    past = 100 * np.exp(0.1 * np.sin(np.arange(30)))
    draws = ahead.persist(past, luck())
    assert np.median(draws, axis=1) == pytest.approx([past[-1]] * ahead.AHEAD, rel=0.1)
    shaky = ahead.persist(100 * np.exp(np.cumsum(luck().normal(size=40))), luck())
    wide = np.quantile(np.log(shaky + 1), 0.9, axis=1) - np.median(np.log(shaky + 1), axis=1)
    assert wide[-1] > wide[0]


def test_the_equation_forecasts_its_own_epidemic():
    theta = np.r_[np.log([1.8, 6.0, 1e-4]), -2.0]
    course = ahead.seir_weeks(theta, 1e6, 16)
    draws = ahead.fit_seir(course[:12], 1e6, luck())
    assert np.median(draws, axis=1) == pytest.approx(course[12:16], rel=0.1)


def test_relative_scores_are_ratios_to_persistence():
    rows = [
        {"model": m, "borough": "Queens", "target": "deaths", "horizon": h, "date": h, "wis": w}
        for m, w in (("persistence", 2.0), ("city", 1.0))
        for h in (1, 2)
    ]
    more = dict.fromkeys(
        ("absolute_error", "under", "over", "width", "inside_50", "inside_95"), 1.0
    )
    found = ahead.compare(pl.DataFrame([row | more for row in rows]))
    by_model = {row["model"]: row for row in found["relative_to_persistence"]}
    assert by_model["city"]["ratio_of_means"] == by_model["city"]["geometric"] == 0.5
    json.dumps(found)
