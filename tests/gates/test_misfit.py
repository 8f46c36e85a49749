"""The alarm of `check_fit`: loud for epidemics on a network, quiet for those of the model itself.

A reduced size of `tests/studies/misfit_alarm.py`, whose full counts are in the JSON beside it.
"""

import pytest

from tests.studies.misfit_alarm import RIGHT, count

pytestmark = pytest.mark.gate
FIRST = 20_000  # Seeds of neither the study nor its pilot.


def test_a_mean_field_model_rings_on_network_data(report):
    """10 epidemics; the seeds are fixed. At 9 in 10, fewer than 8 would be 7 % likely."""
    found = count("uneven contacts", "cases and ill", 10, FIRST)
    report("alarms, uneven contacts", found["share"], 0.9)
    assert found["rings"] >= 8
    assert "the course of" in found["sentence"] or "misses" in found["sentence"]


def test_the_right_model_hardly_rings(report):
    """20 epidemics at a level of 5 %: more than 4 alarms 1 in 380 times by chance."""
    found = count(RIGHT, "cases and ill", 20, FIRST)
    report("alarms, right model", found["share"], 0.05)
    assert found["rings"] <= 4
