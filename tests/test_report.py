"""Summaries and the report: what they say, and that the page stands alone."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import lpm
from lpm.analysis import Story, figures, report, summarise
from lpm.analysis.summary import Estimate, number, reading, rows, same_luck
from lpm.command.scenarios import load

scenario = load("sir").scenario
CLOSED = scenario.params.replace(closure=0.8)


@pytest.fixture(scope="module")
def people() -> lpm.Population:
    return lpm.Population.toy(600)


@pytest.fixture(scope="module")
def both(people):
    shared = {"keys": [0, 1, 2], "steps": 20, "keep_state": False}
    policy = lpm.ensemble(scenario, people, params=CLOSED, **shared)
    return policy, lpm.ensemble(scenario, people, **shared)


@pytest.fixture(scope="module")
def page(people, both) -> str:
    told = Story(
        name="sir",
        purpose="A town <b>ill</b>. Second line.\n\nA paragraph with & signs.",
        params=CLOSED,
        defaults=scenario.params,
        policy=both[0],
        compared=both[1],
        baseline=scenario.params,
        population=people,
    )
    return report(told, figures(told))


class Balanced(HTMLParser):
    """Collects tags that were opened and never closed, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data") and v]
        if tag not in ("meta", "br", "img", "link", "input", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_an_estimate_is_mean_range_and_standard_error():
    estimate = Estimate.of(np.array([1.0, 2.0, 3.0, 4.0]))
    assert estimate.mean == 2.5
    assert estimate.low == pytest.approx(1.15)
    assert estimate.error == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)
    assert np.isnan(Estimate.of(np.array([1.0])).error)


def test_the_difference_is_paired_by_seed(both):
    policy, baseline = both
    assert same_luck(policy, baseline)
    found = {(f.observable, f.what): f for f in summarise(policy, baseline)}
    end = found["attack_rate", "end"]
    gap = policy.observed["attack_rate"][:, -1] - baseline.observed["attack_rate"][:, -1]
    assert end.difference is not None
    assert end.difference.mean == pytest.approx(gap.mean())
    assert end.difference.error == pytest.approx(gap.std(ddof=1) / np.sqrt(3), rel=1e-5)


def test_other_keys_make_independent_means(people, both):
    other = lpm.ensemble(scenario, people, keys=[7, 8, 9], steps=20, keep_state=False)
    assert not same_luck(both[0], other)
    found = summarise(both[0], other)
    assert not found[0].paired
    assert found[0].difference is not None
    assert "difference, same luck" not in rows(found)[0]


def test_a_peak_is_told_only_where_there_is_one(both):
    told = [(f.observable, f.what) for f in summarise(both[1])]
    assert ("attack_rate", "end") in told
    assert ("attack_rate", "peak") not in told


def test_rows_name_an_observable_once(both):
    table = rows(summarise(*both))
    names = [row["observable"] for row in table if row["observable"]]
    assert len(names) == len(set(names))
    assert "baseline" in table[0]
    assert "standard error" in reading(summarise(*both))


def test_a_single_run_claims_no_range_and_no_error(people):
    shared = {"keys": [0], "steps": 5, "keep_state": False}
    policy = lpm.ensemble(scenario, people, params=CLOSED, **shared)
    found = summarise(policy, lpm.ensemble(scenario, people, **shared))
    assert "±" not in "".join(cell for row in rows(found) for cell in row.values())
    assert reading(found).startswith("A single run")
    assert "value" in rows(summarise(policy))[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234567.8, "1,234,568"),
        (0.12345, "0.1235"),
        (250.0, "250"),
        (1e-6, "1.00e-06"),
        (float("nan"), "-"),
        (-2.5, "-2.5"),
    ],
)
def test_numbers_are_written_for_a_reader(value, text):
    assert number(value) == text


def test_the_page_is_well_formed_and_needs_no_other_file(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert all(address.startswith("#") for address in parser.addresses)
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert "<script" not in page


def test_the_page_escapes_the_docstring(page):
    assert "A town &lt;b&gt;ill&lt;/b&gt;" in page
    assert "&amp; signs" in page


def test_the_page_tells_parameters_people_and_provenance(page, both):
    assert "share of work contacts" in page
    assert "0.8 (not 0)" in page
    assert "household_id" in page
    assert both[0].provenance["population"]["fingerprint"] in page
    assert page.count("<svg") == 2


def test_the_page_is_readable_on_phones_paper_and_in_the_dark(page):
    assert "name=viewport" in page
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page


def test_identifiers_of_inline_figures_do_not_collide(page):
    for name in set(re.findall(r'id="(p[0-9a-f]+)"', page)):
        shapes = re.findall(rf'<clipPath id="{name}">\s*<rect ([^>]+)>', page)
        assert len(set(shapes)) == 1


def test_a_report_without_baseline_or_people_is_shorter(both):
    told = Story("sir", "", scenario.params, scenario.params, both[1])
    pictures = figures(told)
    assert [p.name for p in pictures] == ["overview"]
    text = report(told, pictures)
    assert "<h2>People</h2>" not in text
    assert "<h2>About the model</h2>" not in text
