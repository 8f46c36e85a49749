"""`lpm fit`: what it writes, that it resumes, and every message about a table or a request."""

import json
import re

import numpy as np
import polars as pl
import pytest

from lpm.__main__ import main
from lpm.command import fit as fit_module
from lpm.command.fit_data import Request, read_data
from lpm.errors import DataError, FittingError
from lpm.fitting import NegativeBinomial, Normal, Poisson
from lpm.fitting.objective import Objective

FILE = '''"""A town that falls ill."""
import jax.numpy as jnp
import lpm
from lpm import Float, Array, Scalar


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.1, within=(0, 1), unit="1/day")
    share: Scalar = lpm.parameter(1.0, within=(0, 2))
    ceiling: Scalar = lpm.policy(1.0, within=(0, 1))


class State(lpm.State):
    well: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population, params, draw):
    return State.of(population, well=1)


def fall(state, params, draw):
    return state.replace(well=state.well - draw.bernoulli(state.well * params.rate))


def observe(state, params):
    return {"well": lpm.count(state.well), "scaled": params.share * lpm.count(state.well)}


scenario = lpm.Scenario(init, (fall,), observe, Params(), steps=30, unit="day")
'''
RATE = 0.2
WELL = 1000 * (1 - RATE) ** np.arange(1, 13)  # The mean of a constant hazard.
COMMON = ["--agents", "1000", "--keys", "4", "--budget", "160", "--fields", "rate"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    (folder / "town.py").write_text(FILE)
    days = [f"2020-02-{day + 20}" if day < 10 else f"2020-03-{day - 9:02d}" for day in range(12)]
    frame = pl.DataFrame({"date": days, "cases": np.round(WELL), "note": "x"})
    frame[[3, 2, 0, 1, *range(4, 12)]].filter(pl.col("date") != "2020-02-25").write_csv(
        folder / "data.csv"
    )
    return folder


def asked(place, *more):
    series = "cases=well:negative_binomial:1000"
    file = ["fit", str(place / "town.py"), "--data", str(place / "data.csv")]
    return [*file, "--series", series, *COMMON, *more]


def test_a_fit_is_written_whole_and_never_over(place, capsys):
    out = place / "out"
    assert main(asked(place, "--out", str(out))) == 0
    told = capsys.readouterr().out
    assert "Fit of town by crn" in told
    assert "12 steps, 4 keys, at most 160 runs" in told
    names = {path.name for path in out.iterdir()}
    assert names == {
        "spec.json",
        "fit.json",
        "table.csv",
        "residuals.csv",
        "history.parquet",
        "residuals.png",
        "history.png",
        "report.html",
    }
    found = json.loads((out / "fit.json").read_text())
    row = found["table"][0]
    # Twelve correlated days of 1000 people; the error is that of the fit itself.
    assert row["estimate"] == pytest.approx(RATE, abs=4 * row["standard_error"])
    assert found["request"]["series"] == ["cases=well:negative_binomial:1000"]
    residuals = pl.read_csv(out / "residuals.csv")
    assert residuals["observed"].is_null().arg_true().to_list() == [5]  # 25 February.
    page = (out / "report.html").read_text()
    for words in ("Parameters found", "Chi-square", "data.csv", "1/day", "<svg"):
        assert words in page
    assert main(asked(place, "--out", str(out))) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["fit", "--resume", str(out)]) == 0
    assert "is finished" in capsys.readouterr().out


def test_an_interrupted_fit_resumes_to_the_same_numbers(place, capsys, monkeypatch):
    real, calls = Objective._compute, []

    def stop(self, points, worlds):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, points, worlds)

    out = place / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(Objective, "_compute", stop)
        assert main(asked(place, "--out", str(out))) == 130
    assert f"go on with: lpm fit --resume {out}" in capsys.readouterr().err
    assert not (out / "fit.json").exists()
    assert main(["fit", "--resume", str(out), "--budget", "300"]) == 2
    assert "--budget of" in capsys.readouterr().err
    assert main(["fit", "--resume", str(out)]) == 0
    pair = [json.loads((folder / "fit.json").read_text()) for folder in (place / "out", out)]
    assert pair[0] == pair[1]
    assert not (out / "checkpoint").exists()


def test_a_changed_table_is_not_gone_on_with(place, capsys, monkeypatch):
    (place / "other.csv").write_text("step,cases\n1,800\n2,640\n3,512\n")
    line = asked(place, "--out", str(place / "changed"))
    line[3] = str(place / "other.csv")

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "calibrate", stop)
        assert main(line) == 130
    (place / "other.csv").write_text("step,cases\n1,800\n2,640\n3,513\n")
    assert main(["fit", "--resume", str(place / "changed")]) == 2
    assert "has changed since" in capsys.readouterr().err


def test_check_only_checks_the_gradient(place, capsys):
    out = place / "checked"
    line = asked(place, "--check", "--estimator", "straight_through", "--out", str(out))
    assert main(line) == 0
    assert "against crn, over 4 keys" in capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == {
        "spec.json",
        "straight_through.csv",
        "straight_through.png",
    }


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--series", "cases"], "not of the form column=observable"),
        (["--series", "cases=well:shot"], "has no noise .shot."),
        (["--series", "cases=well:normal:wide"], "'wide' is not a number"),
        (["--series", "cases=well:poisson:3"], "poisson noise has no size"),
        (["--series", "cases=well:normal:-1"], "sd"),
        (["--series", "deaths=well"], r"no column \[deaths\]; it has \[date, cases, note\]"),
        (["--series", "cases=ill"], r"no observable \[ill\]"),
        (["--series", "note=well"], "column note, row 2: 'x' is not a number"),
        (["--steps", "5"], "the data go on to step 12"),
        (["--window", "0"], "--window 0"),
        (["--window", "2"], "is not a whole number of periods after the first"),
        (["--weekly", "--window", "7"], "--weekly only for daily rows"),
        (["--budget", "10"], "give at least 24 runs"),
        (["--fields", "speed"], r"no field \[speed\]"),
        (["--fields", "ceiling"], "ceiling is a policy"),
        (["--estimator", "magic"], "magic"),
        (["--data", "none.csv"], "there is no file"),
        (["--set", "rate=3"], "rate = 3 is outside"),
    ],
)
def test_a_wrong_request_is_told_and_leaves_no_folder(place, capsys, more, match):
    out = place / "wrong"
    assert main(asked(place, "--out", str(out), *more)) == 2
    assert re.search(match, capsys.readouterr().err)
    assert not out.exists()


def test_nothing_asked_is_told(place, capsys):
    assert main(["fit"]) == 2
    assert "give a scenario" in capsys.readouterr().err
    assert main(["fit", str(place / "town.py")]) == 2
    assert "give --data FILE and at least one --series" in capsys.readouterr().err
    assert (
        main(
            [
                "run",
                str(place / "town.py"),
                "--agents",
                "50",
                "--steps",
                "2",
                "--runs",
                "1",
                "--out",
                str(place / "run"),
            ]
        )
        == 0
    )
    capsys.readouterr()
    assert main(["fit", "--resume", str(place / "run")]) == 2
    assert "is not the folder of a fit" in capsys.readouterr().err


CASES = [Request.parse("cases=well")]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "cannot be read as a table"),
        ("step,cases\n", "has no rows"),
        ("week,cases\n1,2\n", "neither step nor date"),
        ("step,date,cases\n1,2020-01-01,2\n", "give one of them"),
        ("step,cases\n1,2\n1,3\n", "column step, row 3: 1 is there already in row 2"),
        ("step,cases\n0,2\n1,3\n", "column step, row 2: a period of 1 steps cannot end"),
        ("step,cases\n1,2\none,3\n", "column step, row 3: 'one' is not a whole number"),
        ("date,cases\n2020-01-01,2\n01/02/2020,3\n", "column date, row 3: '01/02/2020' is not a"),
        ("step,cases\n1,2\n2,-3\n", "column cases, row 3: -3 is not a number of at least 0"),
        ("step,cases\n1,NA\n2,\n", "column cases: every value is missing"),
    ],
)
def test_a_table_that_will_not_do_is_refused_with_its_place(tmp_path, text, match):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=match):
        read_data(path, CASES, "day")


def test_weeks_of_days_are_added_up_and_the_rest_is_told(tmp_path):
    path = tmp_path / "table.parquet"
    days = pl.date_range(pl.date(2020, 3, 1), pl.date(2020, 3, 17), eager=True)
    pl.DataFrame({"date": days, "cases": [*range(1, 10), None, *range(11, 18)]}).write_parquet(path)
    found = read_data(path, CASES, "day", weekly=True, first=3)
    series = found.series[0]
    assert series.target[0] == 28
    assert np.isnan(series.target[1])
    assert (series.window, series.first, found.steps) == (7, 3, 17)
    assert found.notes == ("The last 3 days are no whole week and are left out.",)
    short = tmp_path / "short.parquet"
    pl.read_parquet(path).head(5).write_parquet(short)
    with pytest.raises(DataError, match="covers 5 days; --weekly needs at least 7"):
        read_data(short, CASES, "day", weekly=True)
    with pytest.raises(DataError, match="dates need a step of a day or a week, not a year"):
        read_data(path, CASES, "year")


def test_steps_place_periods_and_noises_take_their_size(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("step,cases\n21,3\n14,2\n35,5\n")
    found = read_data(path, [Request.parse("cases=well:normal:2.5")], "day", window=7)
    series = found.series[0]
    assert series.target[[0, 1, 3]].tolist() == [2, 3, 5]
    assert np.isnan(series.target[2])
    assert (series.first, found.steps, series.noise) == (7, 35, Normal(2.5))
    assert Request.parse("a=b").noise == NegativeBinomial()
    assert Request.parse("a=b:poisson").noise == Poisson()
    with pytest.raises(FittingError, match="dispersion"):
        Request.parse("a=b:negative_binomial:0")
