"""From anchors to cells: errors left out are those of refitting, and the right features win."""

import numpy as np
import pytest

import lpm
from lpm.errors import PersonaError
from lpm.personas import Band, cells_of, choose_anchors, make_surface, spread_out
from lpm.personas.features import hashed_words
from lpm.personas.spread import _ridge
from lpm.population.seeds import generator

WORDS = ("Low.", "Middling.", "High.")
KNOTS = {"x": (0.0, 1.0)}


@pytest.fixture(scope="module")
def cells():
    rng = generator(2)
    columns = {name: rng.integers(0, 3, 4_000).astype(float) for name in ("a", "b", "c", "d")}
    bands = [Band(name, name, (1.0, 2.0), tuple(f"{name} {w}" for w in WORDS)) for name in columns]
    return cells_of(lpm.Population(columns), bands)


def answers_of(cells, odds, chosen):
    mean = np.stack([odds, odds + 1], axis=1)[chosen][..., None]
    return make_surface(mean, 0.1, KNOTS, ("a", "b"))


def test_errors_left_out_are_those_of_fitting_without_each_persona():
    rng = generator(1)
    features, target = rng.standard_normal((9, 4)), rng.standard_normal((9, 2))
    weight = rng.uniform(0.5, 2, 9)
    weight /= weight.mean()
    asked, penalty = np.arange(9), 0.7
    left, fitted = _ridge(features, asked, target, weight, penalty)
    share = weight / weight.sum()
    centred = features - share @ features
    scaled = centred / np.sqrt(share @ centred**2)  # scales stay those of all, as in the formula

    def solve(rows):
        design = np.column_stack([np.ones(len(rows)), scaled[rows]])
        penalised = penalty * np.diag([0.0, 1, 1, 1, 1])
        normal = design.T @ (weight[rows, None] * design) + penalised
        return np.linalg.solve(normal, design.T @ (weight[rows, None] * target[rows]))

    every = np.column_stack([np.ones(9), scaled])
    assert np.allclose(fitted, every @ solve(asked))
    for i in asked:
        expected = target[i] - every[i] @ solve(np.delete(asked, i))
        assert np.allclose(left[i], expected)


def test_attributes_foretell_what_depends_on_them_alone(cells):
    anchors = choose_anchors(cells, 30, seed=1)
    odds = 0.8 * cells.value("a") - 0.5 * cells.value("c")
    found = spread_out(answers_of(cells, odds, anchors.cell), anchors, cells)
    assert found.scores["attributes"] < 0.05 * found.scores["level"]
    assert np.abs(np.asarray(found.surface.mean)[:, 0, 0] - odds).max() < 0.05
    assert found.explained > 0.99
    assert (found.source == 0).sum() == 30
    assert "One persona left out" in str(found)


def test_pairs_win_where_attributes_act_together(cells):
    anchors = choose_anchors(cells, 64, seed=1)
    odds = 1.5 * (cells.value("a") == 2) * (cells.value("b") == 0)
    found = spread_out(answers_of(cells, odds, anchors.cell), anchors, cells)
    assert found.scores["attributes and pairs"] < found.scores["attributes"]


def test_of_one_answer_for_all_there_is_nothing_to_foretell(cells):
    anchors = choose_anchors(cells, 30, seed=1)
    found = spread_out(answers_of(cells, np.zeros(len(cells)), anchors.cell), anchors, cells)
    assert found.explained == 0.0
    assert np.asarray(found.surface.mean)[:, 0, 0] == pytest.approx(np.zeros(len(cells)), abs=1e-6)


def test_noise_is_foretold_by_nobody_and_the_spread_says_so(cells):
    anchors = choose_anchors(cells, 40, seed=1)
    odds = generator(5).standard_normal(len(cells))
    found = spread_out(answers_of(cells, odds, anchors.cell), anchors, cells)
    assert found.explained < 0.2
    left = np.setdiff1d(np.arange(len(cells)), anchors.cell)
    assert 0.7 < float(np.mean(np.asarray(found.surface.spread)[left])) < 1.4
    assert float(np.max(np.asarray(found.surface.spread)[anchors.cell])) == pytest.approx(0.1)


def test_an_anchor_reaches_as_far_as_the_ridge_takes_it(cells):
    """The reach against answers that are moved and spread again, the penalty being the same."""
    anchors = choose_anchors(cells, 30, seed=1)
    odds = 0.8 * cells.value("a") - 0.5 * cells.value("c") * cells.value("b")
    found = spread_out(answers_of(cells, odds, anchors.cell), anchors, cells)
    moved = odds.copy()
    moved[anchors.cell[4]] += 0.01
    other = spread_out(answers_of(cells, moved, anchors.cell), anchors, cells)
    assert (found.chosen, found.penalty) == (other.chosen, other.penalty)
    change = np.asarray(other.surface.mean, float) - np.asarray(found.surface.mean, float)
    # Means are float32 of size 3: differences of 0.01 are good to 5e-7 of it.
    assert np.allclose(change[:, 0, 0], 0.01 * found.reach[:, 4], atol=2e-6)
    slope = generator(3).standard_normal(found.surface.mean.shape)
    by_anchor = found.by_anchor(slope)
    assert np.allclose(by_anchor[4], np.einsum("c,cko->ko", found.reach[:, 4], slope))
    assert np.abs(found.reach[:, 4]).sum() > 1.5  # it moves more than itself
    with pytest.raises(PersonaError, match="gradient has shape"):
        found.by_anchor(slope[:3])


def test_hashed_words_are_fixed_numbers_near_for_near_texts():
    texts = ["You are a retired nurse.", "You are a retired nurse!", "You are a young welder."]
    table = hashed_words(texts)
    assert np.allclose((table**2).sum(axis=1), 1)
    assert np.array_equal(table[0], table[1])
    assert table[0] @ table[2] < 0.9
    assert hashed_words([""]).sum() == 0
    with pytest.raises(PersonaError, match="width = 0"):
        hashed_words(texts, 0)


def test_answers_of_others_are_refused(cells):
    anchors = choose_anchors(cells, 30, seed=1)
    with pytest.raises(PersonaError, match="has 4 personas and there are 30 anchors"):
        spread_out(answers_of(cells, np.zeros(len(cells)), np.arange(4)), anchors, cells)
