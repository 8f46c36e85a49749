"""The page of a fit: what it says, and that it stands alone."""

import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from lpm.analysis.population_report import (
    Comparison,
    FitStory,
    population_figures,
    population_report,
)
from lpm.population.fidelity import k_marginal
from lpm.population.seeds import generator
from lpm.population.weighting import Fitted, Level, Problem

ZONES = ("north", "<south>")
NAMES = {"level": pl.String, "zone": pl.String, "control": pl.String}


def fitted(plain: bool = False) -> Fitted:
    rng = generator(1)
    kind = rng.integers(0, 3, 40)
    weights = rng.gamma(2.0, 5.0, (2, 40))
    incidence = np.eye(3)[kind]
    level = Level(
        "tract", ZONES, ("size one", "size two", "cars"), incidence,
        weights @ incidence + rng.normal(size=(2, 3)) * 4,
        np.array([[0.0, 4.0, 4.0], [4.0, 4.0, 4.0]]) * (0 if plain else 1),
        np.array([0, 1]),
    )  # fmt: skip
    lost = [("tract", "<south>", "cars", 40.0, 31.5, 8.5)]
    moved = [("tract", "north", "size one", 100.0, 101.0)]
    numbers = {"target": pl.Float64, "reached": pl.Float64, "missing": pl.Float64}
    two = {"published": pl.Float64, "used": pl.Float64}
    return Fitted(
        Problem(np.full(40, 20.0), (level,)),
        weights,
        np.array([1e-10, 3e-9]),
        infeasible=pl.DataFrame([] if plain else lost, NAMES | numbers, orient="row"),
        reconciled=pl.DataFrame([] if plain else moved, NAMES | two, orient="row"),
        notes=() if plain else ("2 records have no positive weight",),
    )


def ages(shift: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"sex": ["f", "f", "m", "m"], "from": [0, 40, 0, 40], "people": [5 + shift, 6, 7, 8]}
    )


@pytest.fixture(scope="module")
def story() -> FitStory:
    survey = pl.DataFrame({"a": [1, 2, 2], "b": [1, 1, 2], "weight": [1.0, 2.0, 3.0]})
    sizes = pl.DataFrame({"size": [1, 2], "households": [30.0, 10.0]})
    return FitStory(
        "A & B",
        fitted(),
        counts=generator(2).integers(0, 3, (2, 40)),
        ages=Comparison(ages(0.0), ages(1.0)),
        sizes=Comparison(sizes, sizes, "survey, weighted"),
        joints=k_marginal(survey, survey.drop("weight"), ["a", "b"]),
        notes=("628 records merged",),
        provenance=("ACS 2015-2019",),
    )


@pytest.fixture(scope="module")
def page(story) -> str:
    return population_report(story, population_figures(story))


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v]
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_no_other_file(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert all(address.startswith(("#", "data:image/png")) for address in parser.addresses)
    assert not re.findall(r"url\((?!#)", page)
    assert "<script" not in page


def test_infeasible_and_changed_totals_are_named(page):
    south = "<td>tract &lt;south&gt;</td><td>cars</td><td>40</td><td>31.5</td><td>8.5</td>"
    assert south in page
    assert "<td>tract north</td><td>size one</td><td>100</td><td>101</td>" in page
    assert "<south>" not in page


def test_the_page_tells_sources_copies_and_joints(page, story):
    for told in (
        "A &amp; B", "628 records merged", "2 records have no positive weight", "ACS 2015-2019",
        "3.0e-09", "Copies of survey records", "k-marginal score", "survey, weighted",
    ):  # fmt: skip
        assert told in page, told
    drawn = int(story.counts.sum())
    assert f"{drawn} records were drawn from" in page
    assert page.count("<svg") == 5


def test_figures_follow_what_there_is(story):
    assert [p.name for p in population_figures(story)] == [
        "totals", "noise", "expansion", "ages", "sizes",
    ]  # fmt: skip
    bare = FitStory("C", fitted(plain=True))
    pictures = population_figures(bare)
    assert [p.name for p in pictures] == ["totals", "expansion"]
    text = population_report(bare, pictures)
    assert "None: weights exist that meet every exact total." in text
    assert "None: exact totals agreed." in text
    assert "Copies of survey records" not in text


def test_a_perfect_fit_is_called_one(story):
    given = fitted(plain=True)
    level = given.problem.levels[0]
    exact = Level(
        level.name, level.zones, level.controls, level.incidence,
        given.weights @ level.incidence, level.error, level.zone_of,
    )  # fmt: skip
    perfect = Fitted(
        Problem(given.problem.prior, (exact,)), given.weights, given.gap,
        given.infeasible, given.reconciled,
    )  # fmt: skip
    text = population_report(FitStory("C", perfect), [])
    assert "Every total is met, or missed by less than its margin of error." in text
    assert "<td>0.0%</td>" in text
