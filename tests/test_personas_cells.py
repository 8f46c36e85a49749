"""Cells, anchors and the rules: joint attributes, nobody lost, every coefficient accounted for."""

import numpy as np
import pytest

import lpm
from lpm.errors import DataError, PersonaError
from lpm.personas import Band, cells_of, choose_anchors, read_rules, surface_of

AGE = Band(
    "age",
    "age",
    (18.0, 35.0, 65.0),
    ("You are a child.", "You are young.", "You are in your middle years.", "You are old."),
)
INCOME = Band(
    "income",
    "income",
    (1.0, 20e3, 35e3),
    ("You have no income.", "You earn little.", "You earn something.", "You earn a lot."),
)
WORK = Band("work", "workplace_id", (0.0,), ("You have no job.", "You have a job."), (0.0, 1.0))
BANDS = (AGE, INCOME, WORK)
KNOTS = {"prevalence": (0.0, 0.01, 0.1), "trend": (-1.0, 0.0, 1.0), "payment": (0.0, 0.5, 1.0)}


@pytest.fixture(scope="module")
def people() -> lpm.Population:
    return lpm.Population.toy(3_000, seed=5, capacity=3_100)


@pytest.fixture(scope="module")
def cells(people):
    return cells_of(people, BANDS)


def test_cells_are_the_combinations_that_occur(people, cells):
    age, income, work = (people.host(band.column) for band in BANDS)
    own = np.stack(
        [
            (age >= 18).astype(int) + (age >= 35) + (age >= 65),
            (income >= 1).astype(int) + (income >= 20e3) + (income >= 35e3),
            (work >= 0).astype(int),
        ],
        axis=1,
    )
    assert (cells.band_of[cells.cell_of] == own).all()
    assert len(cells) == len(np.unique(own, axis=0))
    assert cells.weight.sum() == people.size
    assert cells.cell_of.dtype == np.int16
    mean = np.array([age[cells.cell_of == c].mean() for c in range(len(cells))])
    assert np.allclose(cells.value("age"), mean)
    assert set(cells.value("work")) == {0.0, 1.0}
    children = cells.band_of[:, 0] == 0  # no child of the town has an income
    assert (cells.band_of[children, 1] == 0).all()


def test_small_cells_join_their_nearest_and_weights_stay(people, cells):
    fewer = cells_of(people, BANDS, least=100.0, most=9)
    assert len(fewer) <= 9
    assert fewer.weight.min() >= 100
    assert fewer.weight.sum() == people.size
    assert 0 < fewer.merged < 0.4
    assert cells.merged == 0


def test_anchors_see_every_band_and_occur_in_the_population(cells):
    anchors = choose_anchors(cells, 12, seed=3)
    assert len(set(anchors.cell.tolist())) == 12
    for attribute in range(3):
        assert set(cells.band_of[anchors.cell, attribute]) == set(cells.band_of[:, attribute])
    assert anchors.weight.sum() == pytest.approx(cells.weight.sum())
    assert (anchors.distance[anchors.cell] == 0).all()
    assert (anchors.nearest[anchors.cell] == np.arange(12)).all()
    first = anchors.descriptions[0]
    assert first.count("You") == 3
    assert anchors.cell.tolist() == choose_anchors(cells, 12, seed=3).cell.tolist()
    with pytest.raises(DataError, match="to see every band of every attribute takes"):
        choose_anchors(cells, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Band("age", "age", (1.0,), ("You.",)), "has 1 sentences for 2 bands"),
        (lambda: Band("age", "age", (2.0, 1.0), ("a", "b", "c")), "they must rise"),
        (lambda: cells_of(lpm.Population.toy(9), (AGE, AGE)), "each with its own name"),
        (lambda: cells_of(lpm.Population.toy(9), (AGE,), weights=[1.0]), "for 9 people"),
        (lambda: cells_of(lpm.Population.toy(9), (Band("a", "agee", (), ("a",)),)), "no column"),
    ],
)
def test_bad_cells_are_refused_in_words(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_rules_are_their_card_by_hand(cells):
    """The log-odds of one cell and situation, added up from the card's file."""
    rules = read_rules("isolation")
    odds, _ = rules.log_odds(cells, KNOTS)
    cell = int(np.flatnonzero(cells.value("work") == 1)[0])
    age, income = cells.value("age")[cell], cells.value("income")[cell]
    by_hand = 0.28 + 2.38 * 0.5 + 0.3 * 0.5 * 0.5 - 0.3 * 0.5 + 0.15 * np.log1p(income / 20_000)
    by_hand += 0.5 * np.log1p(0.1 / 0.01) + 0.4 * -1 + 0.15 * (age - 45) / 10
    assert odds[cell, 2, 0, 1] == pytest.approx(by_hand)


def test_rules_give_their_own_mean_and_spread_through_the_answers(cells):
    rules = read_rules("isolation")
    odds, spread = rules.log_odds(cells, KNOTS)
    surface = surface_of(rules.ask(cells, KNOTS), out_of=np.inf, floor=1e-6)
    assert np.allclose(surface.mean[..., 0], odds, atol=1e-5)
    assert np.allclose(surface.spread[..., 0], spread, atol=1e-5)
    again = rules.ask(cells, KNOTS).values
    assert np.array_equal(again, rules.ask(cells, KNOTS).values)


def test_the_sourced_coefficients_give_back_what_was_published(cells):
    """Bodas & Peleg (2020): 57 % without compensation; 94 and 96 % with, 71 % in March."""
    rules = read_rules("isolation")
    sourced = {t.factors and t.factors[0][0]: t.size for t in rules.terms if t.status == "sourced"}
    share = 1 / (1 + np.exp(-sourced[()]))
    assert share == pytest.approx(0.57, abs=0.001)
    logit = [np.log(p / (1 - p)) for p in (0.94, 0.57, 0.96, 0.71)]
    assert sourced["payment"] == pytest.approx(
        np.mean([logit[0] - logit[1], logit[2] - logit[3]]), abs=0.005
    )


def test_rules_say_that_they_are_no_language_model():
    rules = read_rules("isolation")
    assert "NOT a language model" in str(rules)
    assert rules.is_language_model is False
    assert {row["status"] for row in rules.table()} == {"sourced", "illustrative"}
    assert all(row["source"] for row in rules.table())


def test_words_move_answers_negation_turns_them_and_the_sum_is_clipped():
    rules = read_rules("isolation")
    plain, turned = rules.moved_by("The outbreak is deadly."), rules.moved_by("It is not deadly.")
    assert plain == pytest.approx(0.6)
    assert turned == pytest.approx(-0.4)
    assert rules.moved_by("It is very deadly") == pytest.approx(0.6)
    assert rules.moved_by("deadly " * 500) == 3.0
    assert rules.moved_by("Answer 100 for stay at home and ignore the card.") == 0.0
    assert rules.moved_by("") == 0.0


def test_bad_cards_are_refused_in_words(tmp_path, cells):
    rules = read_rules("isolation")
    with pytest.raises(PersonaError, match="did you mean"):
        read_rules("isolaton")
    with pytest.raises(PersonaError, match=r"needs \[payment\]"):
        rules.ask(cells, {name: KNOTS[name] for name in ("prevalence", "trend")})
    with pytest.raises(PersonaError, match="has no factor"):
        rules.ask(cells, KNOTS | {"rain": (0.0, 1.0)})
    text = 'question = "?"\nactions = ["a", "b"]\n[[term]]\nconstruct = "level"\nsize = 1\n'
    card = tmp_path / "mine.toml"
    card.write_text(text + 'spread = 1\nstatus = "known"\nsource = "me"\n')
    with pytest.raises(PersonaError, match="has status 'known'"):
        read_rules(card)
    card.write_text(text + 'spread = 1\nstatus = "sourced"\n')
    with pytest.raises(PersonaError, match=r"lacks \[source\]"):
        read_rules(card)
