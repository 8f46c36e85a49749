"""The study of labour supply: least squares by other code, what tells nothing, a sound table."""

import numpy as np
import polars as pl
import pytest
from scipy import optimize

import lpm
from calibration import labour_elasticity as study

FRAME = study.read()


def by_other_code(frame, own):
    """Elasticity and its error by scipy's least squares, with a level each or one for all."""
    net, hours = 1 - frame["tax_rate"].to_numpy(), frame["hours"].to_numpy()
    places = frame["country"].unique(maintain_order=True).to_list()
    place = [places.index(name) if own else 0 for name in frame["country"]]
    levels = np.full(len(set(place)), 30.0)

    def misses(x):
        return x[1:][place] * net ** x[0] - hours

    found = optimize.least_squares(misses, np.concatenate([[0.3], levels]))
    noise = np.sqrt(2 * found.cost / (len(hours) - len(found.x)))
    error = noise * np.sqrt(np.linalg.inv(found.jac.T @ found.jac)[0, 0])
    return found.x[0], error, noise


def test_the_table_is_the_one_its_author_worked_with():
    """His equation: (1 - 0.3224) / (1 - 0.3224 + 1.54 c / (1 - tax)) of 100 hours a week."""
    ratio = 1.54 * FRAME["consumption_share"] / (1 - FRAME["tax_rate"])
    predicted = 100 * 0.6776 / (0.6776 + ratio)
    # Taxes and shares are rounded to a hundredth, which moves hours by up to 0.4.
    assert (predicted - FRAME["predicted"]).abs().max() < 0.8
    assert (predicted - FRAME["predicted"]).abs().median() < 0.3
    assert FRAME.height == 14


def test_places_at_one_time_give_the_least_squares_of_other_code():
    late = FRAME.filter(pl.col("period") == "1993-96")
    found = study.fit(late, ("elasticity", "untaxed"), "across", budget=120)
    value, error, noise = by_other_code(late, own=False)
    assert found.told
    assert found.elasticity[0] == pytest.approx(value, abs=0.1 * error)
    # Curvature by differences of finite steps.
    assert found.elasticity[1] == pytest.approx(error, rel=0.15)
    assert found.noise == pytest.approx(noise, rel=0.02)


def test_a_place_whose_taxes_stay_tells_nothing(capsys):
    """Negative control: more hours without the tax and a stronger answer to it are the same."""
    still = FRAME.filter(pl.col("country") == "United States")
    found = study.fit(still, ("elasticity", "untaxed"), "one place", budget=120)
    assert not found.told
    study.tell([found])
    told = capsys.readouterr().out
    assert "not told" in told
    assert "elasticity" in told.split("not told")[1]


@pytest.mark.gate
def test_changes_within_countries_give_the_least_squares_of_other_code():
    found = study.fit(FRAME, ("elasticity", "habit"), "within", budget=1500)
    value, error, noise = by_other_code(FRAME, own=True)
    assert found.elasticity[0] == pytest.approx(value, abs=0.1 * error)
    assert found.elasticity[1] == pytest.approx(error, rel=0.15)
    assert found.noise == pytest.approx(noise, rel=0.02)


@pytest.mark.gate
def test_made_up_hours_give_back_the_elasticity_behind_them():
    found = study.recover(FRAME, 2, 0.5, budget=400)
    # Errors have six degrees of freedom: beyond 4.3 once in two hundred
    # each.
    assert found["z"].abs().max() < 4.3
    assert found["standard_error"].max() < 0.25


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("country,period,hours\na,b,20\n", "no columns .'tax_rate'."),
        ("country,period,tax_rate,hours\na,b,40,20\n", "column tax_rate, row 2: 40.0 is not"),
        ("country,period,tax_rate,hours\na,b,.4,20\na,b,.4,0\n", "column hours, row 3: 0.0 is"),
    ],
)
def test_a_table_that_will_not_do_is_refused(tmp_path, text, match):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(lpm.DataError, match=match):
        study.read(path)
