"""The large runs at a small size: who lives together stays together, and everybody is counted."""

import numpy as np

from tests.benchmarks import large


def test_two_cities_share_no_household_class_or_workplace(monkeypatch):
    monkeypatch.setattr(large, "LARGEST", 12_000)
    _, both, _ = large.two_cities(22_000)
    assert both.size == 22_000
    for name in ("household_id", "class_id", "workplace_id", "quarters_id"):
        first, second = (set(x[x >= 0]) for x in np.split(both.host(name), [12_000]))
        assert first, name
        assert second, name
        assert not first & second, name


def test_a_run_is_measured_and_its_people_are_all_there(monkeypatch):
    monkeypatch.setattr(large, "LARGEST", 12_000)
    found = large.measure("groups", 60_000)
    assert found["steps"] == 10
    assert 0 < found["last"]["attack_rate"] < 1
    sizes = np.unique(np.bincount(large.homes_and_works(60_000)[1].host("workplace_id")))
    assert sizes.tolist() == [20]
