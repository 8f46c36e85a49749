"""A reduced size of `tests/studies/recovery.py`: five parameters of an epidemic among 20,000."""

from dataclasses import replace

import pytest

from tests.studies import recovery

pytestmark = pytest.mark.gate


def test_five_parameters_are_recovered_from_the_cases_of_weeks_by_age(report):
    found = recovery.study(replace(recovery.QUICK, agents=20_000, truths=1, seed=777))
    for name, error in found["summary"]["worst_by_parameter"].items():
        report(f"relative error of {name}", error, 0.0)
    for row in found["truths"][0]["parameters"].values():
        # At 20,000 people the data leave 3 to 6 % of standard error; four of them are allowed.
        miss = abs(row["estimate"] - row["truth"])
        assert miss < 4 * row["standard_error"]
        assert row["standard_error"] < 0.1 * row["truth"]
    assert found["truths"][0]["p_value"] > 0.001
