"""The study of LLM Economist on few workers: by hand, and with the controls that must differ."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from calibration import (
    llm_economist as study,
    llm_economist_rows as rows,
    llm_economist_votes as votes,
    llm_economy as economy,
)
from lpm.economics import Schedule, plan
from lpm.errors import DataError

N = 200


def test_hours_are_the_best_of_those_offered():
    skill = economy.skills(N)
    edges, rates = np.array([0.0, 1_000, 9_000]), np.array([0.1, 0.5, 0.2])
    hours, income, utility = economy.best_hours(skill, Schedule(edges, rates))
    s, offered = np.asarray(skill, np.float64)[:, None], np.arange(0, 101, 10.0)
    z = s * offered
    parts = np.clip(z[..., None] - edges, 0, [1_000, 8_000, np.inf])
    tax = (parts * rates).sum(axis=-1)
    value = z - tax - 0.0005 * offered**3.5
    assert np.asarray(hours).tolist() == offered[value.argmax(axis=1)].tolist()
    best = np.take_along_axis(value, value.argmax(axis=1)[:, None], 1)[:, 0]
    paid = np.take_along_axis(tax, value.argmax(axis=1)[:, None], 1)[:, 0]
    assert np.asarray(utility) == pytest.approx(best + paid.mean(), rel=1e-5)
    raw = np.mean((best + paid.mean()) / np.maximum(np.asarray(income), 1))
    assert float(economy.raw_welfare(income, utility)) == pytest.approx(raw, rel=1e-5)


def test_draws_are_of_the_distribution_and_differ():
    one, two = economy.incomes(400, 0), economy.incomes(400, 1)
    assert not np.array_equal(one, two)
    assert np.array_equal(one, economy.incomes(400, 0))
    # By the F distribution, the parametrisation of the fit; one in a thousand fails.
    f = stats.f(2 * 0.486519, 2 * 1.141040)
    law = stats.kstest((one / 72_402.78) ** 2.07211 * 1.141040 / 0.486519, f.cdf)
    assert law.pvalue > 1e-3
    with pytest.raises(DataError, match=r"workers = 1; give two"):
        economy.incomes(1)


def test_the_recalibrated_earn_what_they_did_under_the_law_they_come_from():
    people, aim = economy.recalibrated(N)
    income = np.maximum(economy.incomes(N), economy.FLOOR)
    found = jax.jit(lambda law: people.answer(law).income)(economy.us_law())
    assert np.asarray(found) == pytest.approx(income, rel=1e-5)
    assert np.asarray(aim.cared) == pytest.approx(economy.FLOOR / income, rel=1e-5)


@pytest.mark.gate
def test_doubling_the_people_doubles_a_sum_and_no_welfare_per_head():
    once, twice = (jnp.concatenate([economy.skills(N)] * k) for k in (1, 2))
    for law in (economy.us_law(), economy.flat(0.5)):
        small, large = (economy.best_hours(s, law)[1:] for s in (once, twice))
        for measure in (economy.raw_welfare, economy.welfare):
            assert float(measure(*large)) == pytest.approx(float(measure(*small)), rel=1e-5)


def test_the_raw_sum_takes_all_and_the_divided_one_does_not():
    told = rows.paper_welfare(N, 2)
    raw = [told[name]["per_head"] for name in ("flat 0.5", "flat 0.9", "flat 0.99")]
    assert raw == sorted(raw)
    assert told["flat 0.99"]["normalised"] < told["flat 0.9"]["normalised"]
    assert told["US 2024"]["sum"] == pytest.approx(N * told["US 2024"]["per_head"])


@pytest.mark.gate
def test_steps_climb_to_the_best_of_a_grid_of_rates():
    people, aim = economy.recalibrated(N)
    rates, told = economy.walk(lambda law: economy.worth(people, aim, law), [0.0], 20)
    grid = np.round(np.arange(0, 1.01, 0.1), 10)
    values = [float(economy.worth(people, aim, economy.flat(float(t)))) for t in grid]
    assert rates[0] == pytest.approx(grid[int(np.argmax(values))])
    assert told == sorted(told)
    best = plan(people, aim, rows.brackets([0.0]), errors=False)
    assert abs(best.values[0] - rates[0]) < 0.05
    assert best.values[0] == pytest.approx(rows.closed_form_rate(N)["rate"], abs=1e-5)


def test_a_year_too_short_to_answer_is_taxed_too_much():
    told = votes.tax_year(N, 0)
    for year in told["years_of"].values():
        assert year["rate"] == pytest.approx(year["theory"], abs=0.004)
    assert told["years_of"]["128"]["rate"] == pytest.approx(told["best"], abs=0.005)
    assert told["years_of"]["1"]["rate"] > told["best"] + 0.1


def test_the_study_runs_from_the_command_line(tmp_path, monkeypatch, capsys):
    quick = {name: study.ROWS[name] for name in ("R1", "R2", "R7")}
    monkeypatch.setattr(study, "ROWS", quick)
    monkeypatch.setattr(study, "draw_figures", lambda *given: None)
    out = tmp_path / "a"
    given = ["study", "--workers", "60", "--draws", "2", "--out", str(out)]
    monkeypatch.setattr("sys.argv", given)
    study.main()
    found = json.loads((out / "result.json").read_text())
    assert found == json.loads(capsys.readouterr().out)
    assert found["R1"]["beyond"] == 0
    assert found["R2"]["0.9"]["share"] == pytest.approx(found["R2"]["0.9"]["theory"], abs=0.02)
    assert found["R7"]["wins_all_duels"] == pytest.approx(found["R7"]["median_voter"], abs=0.002)
