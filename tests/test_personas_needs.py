"""Asking where it matters: the expected fall of variance, the inquiry, and better spent calls."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpm.errors import PersonaError
from lpm.personas import (
    About,
    Inquiry,
    Persona,
    Replay,
    Reply,
    ask,
    ask_where_it_matters,
    make_surface,
    updated,
    where_to_ask,
)
from lpm.population.seeds import generator

CELLS = 12
KNOTS = {"cases": (0.0, 0.1, 0.3, 1.0), "pay": (0.0, 1.0)}
SHAPE = (CELLS, 4, 2)
WEIGHT = generator(3).gamma(1, 1, CELLS)
PEOPLE = tuple(
    Persona(f"cell {i}", f"You are of group {i}.", float(WEIGHT[i])) for i in range(CELLS)
)
WORDINGS = (
    "At {cases:.2f} of the town ill and {pay:.1f} of wages paid, how many stay?",
    "Say {pay:.1f} of lost wages is paid and {cases:.2f} are ill. How many stay in?",
)
ACTIONS = ("go out", "stay at home")


class Teacher:
    """Answers by a known table: the share who stay, in whole people of a hundred.

    It reads the group from the persona's words and the situation from the numbers of the question.
    """

    def __init__(self, odds, bias=0.0):
        self.odds, self.bias = odds, bias
        self.about = About("a table", "table-1", "rules", False, 2)
        self.asked = []

    def reply(self, questions):
        return [self.one(question) for question in questions]

    def one(self, question):
        self.asked.append(question)
        cell = int(question.persona.text.rstrip(".").split()[-1])
        at = tuple(KNOTS[name].index(question.values[name]) for name in KNOTS)
        odds = self.odds[(cell, *at)] + self.bias * (question.template == WORDINGS[1])
        stay = round(100 / (1 + np.exp(-odds)))
        said = {"go_out": 100 - stay, "stay_at_home": stay}
        return Reply(json.dumps({k: said[k] for k in question.codebook.names}), "stop")


INQUIRY = Inquiry(KNOTS, WORDINGS, ACTIONS)


def world(seed):
    rng = generator(seed)
    truth = rng.standard_normal(SHAPE)
    guess = truth + 0.5 * rng.standard_normal(SHAPE)
    return truth, make_surface(guess[..., None], 0.5, KNOTS, ACTIONS)


def outcome(surface):
    """Who stays at two situations: three of eight knots matter, and large groups more."""
    share = jnp.asarray(WEIGHT / WEIGHT.sum(), jnp.float32)
    first = surface.shares(cases=0.15, pay=0.1)[:, 1]
    second = surface.shares(cases=0.1, pay=0.3)[:, 1]
    return jnp.sum(share * (first + second))


judge = jax.jit(outcome)


@jax.jit
def slope_of(surface):
    def at(mean):
        return outcome(make_moved(surface, mean))

    return jax.grad(at)(surface.mean)


def make_moved(surface, mean):
    return type(surface)(**{**vars(surface), "mean": mean})


def test_the_fall_of_variance_is_that_of_a_normal_model():
    """The outcome's variance before an answer less after it, by matrices of a normal model."""
    rng = generator(1)
    spread = rng.uniform(0.1, 1, (3, 4, 2, 1))
    slope = rng.standard_normal((3, 4, 2, 1))
    heads = np.array([2.0, 1.0, 5.0])
    surface = make_surface(np.zeros((3, 4, 2, 1)), spread, KNOTS, ACTIONS)
    found = where_to_ask(surface, slope, noise=0.3, weight=heads)
    prior = np.diag(spread.ravel() ** 2)
    direction = (heads[:, None, None, None] * slope).ravel()
    before = direction @ prior @ direction
    for need in (found[0], found[7], found[-1]):
        k = int(np.ravel_multi_index((need.persona, *need.knot), (3, 4, 2)))
        see = np.zeros((1, 24))
        see[0, k] = 1
        gain = prior @ see.T / (see @ prior @ see.T + 0.3**2)
        after = direction @ (prior - gain @ see @ prior) @ direction
        assert need.reduction == pytest.approx(before - after, rel=1e-5)
        assert need.importance == pytest.approx(abs(direction[k]) * spread.ravel()[k], rel=1e-5)
    assert [need.reduction for need in found] == sorted((n.reduction for n in found), reverse=True)


def test_exact_answers_are_ordered_by_weight_times_spread_times_gradient():
    _, surface = world(0)
    rough = generator(2).uniform(0.1, 1, (*SHAPE, 1))
    surface = make_surface(surface.mean, rough, KNOTS, ACTIONS)
    found = where_to_ask(surface, slope_of(surface), noise=0.0)
    importance = [need.importance for need in found]
    assert importance == sorted(importance, reverse=True)
    size = np.abs(np.asarray(slope_of(surface)))[..., 0] * np.asarray(surface.spread)[..., 0]
    first = tuple(int(i) for i in np.unravel_index(size.argmax(), size.shape))
    assert found[0].entry == (first[0], first[1:])


def test_an_answer_is_weighed_against_what_was_known():
    truth, surface = world(4)
    entries = [(2, (1, 0)), (5, (3, 1))]
    told = ask(INQUIRY.questions(PEOPLE, entries), Teacher(truth, bias=0.4))
    assert len(told.questions) == 4
    moved = updated(surface, INQUIRY, entries, told, noise=0.2, out_of=np.inf)
    for persona, knot in entries:
        at = (persona, *knot)
        stay = [round(100 / (1 + np.exp(-(truth[at] + bias)))) / 100 for bias in (0.0, 0.4)]
        odds = np.log(np.array(stay) / (1 - np.array(stay)))
        error = 0.2**2 + odds.var(ddof=1) / 2
        precision = 1 / 0.25 + 1 / error
        expected = (float(surface.mean[at][0]) / 0.25 + odds.mean() / error) / precision
        assert float(moved.mean[at][0]) == pytest.approx(expected, rel=1e-4)
        assert float(moved.spread[at][0]) == pytest.approx(precision**-0.5, rel=1e-4)
    other = np.ones(SHAPE, bool)
    other[2, 1, 0] = other[5, 3, 1] = False
    assert np.array_equal(np.asarray(moved.mean)[other], np.asarray(surface.mean)[other])


def refined(surface, teacher, **options):
    return ask_where_it_matters(INQUIRY, PEOPLE, surface, outcome, teacher, **options)


def errors(seed, calls):
    """Error of the outcome after asking where it matters, evenly, and by a shuffled ranking."""
    truth, surface = world(seed)
    right = float(judge(make_surface(truth[..., None], 0.1, KNOTS, ACTIONS)))
    guided = refined(surface, Teacher(truth), calls=calls).surface
    rng = generator(100 + seed)
    everything, most = INQUIRY.entries(CELLS), calls // INQUIRY.each
    step = len(everything) / most
    even = [everything[int(i * step + rng.random() * step)] for i in range(most)]
    needs = where_to_ask(surface, slope_of(surface), noise=0.1)
    shuffled = [needs[i].entry for i in rng.permutation(len(needs))[:most]]
    found = [float(judge(guided)) - right]
    for entries in (even, shuffled):
        told = ask(INQUIRY.questions(PEOPLE, entries), Teacher(truth))
        found.append(float(judge(updated(surface, INQUIRY, entries, told, noise=0.1))) - right)
    return found


@pytest.mark.gate
def test_equal_calls_tell_more_where_they_matter_and_a_random_ranking_does_not():
    """Root mean square errors over 12 worlds; a quarter of the entries is asked."""
    seen = np.array([errors(seed, 48) for seed in range(12)])
    guided, even, shuffled = np.sqrt((seen**2).mean(axis=0))
    assert guided < 0.6 * even
    assert shuffled > 0.75 * even  # the control


def test_calls_are_kept_to_and_no_entry_is_asked_twice(tmp_path):
    truth, surface = world(1)
    teacher, path = Teacher(truth), tmp_path / "asked.jsonl"
    options = {"calls": 21, "rounds": 3, "transcript": path}
    found = refined(surface, teacher, **options)
    assert len(teacher.asked) == 20  # ten entries of two wordings; one call is too few for another
    assert len({need.entry for need in found.needs}) == 10
    assert len(found.deviation) == 4
    assert found.deviation[-1] < 0.8 * found.deviation[0]
    assert sum(len(each.questions) for each in found.interviews) == 20
    assert str(found).startswith("10 of 96 entries asked")
    again = refined(surface, Replay(path), **{**options, "transcript": None})
    assert np.array_equal(again.surface.mean, found.surface.mean)
    assert again.needs == found.needs


def test_asking_stops_where_a_call_is_worth_too_little():
    truth, surface = world(1)
    every = where_to_ask(surface, slope_of(surface), noise=0.1)
    least = every[4].reduction / 2 * 1.001  # of a call, at two wordings each
    teacher = Teacher(truth)
    refined(surface, teacher, calls=60, rounds=1, least=least)
    assert len(teacher.asked) == 8


def test_one_prompt_along_a_variable_is_worth_all_its_levels():
    """The fall of variance by one prompt is the sum over its levels, by the test's own sum."""
    _, surface = world(3)
    slope = np.asarray(slope_of(surface), np.float64)
    found = where_to_ask(surface, slope, noise=0.3, along="cases")
    spread = np.asarray(surface.spread, np.float64)
    falls = ((slope * spread) ** 2 * spread**2 / (spread**2 + 0.3**2))[..., 0].sum(axis=1)
    assert len(found) == falls.size == CELLS * 2
    for need in found:
        assert need.reduction == pytest.approx(falls[need.persona, need.knot[0]], rel=1e-9)
    with pytest.raises(PersonaError, match=r"no variable \[rain\]"):
        where_to_ask(surface, slope, noise=0.3, along="rain")


def test_what_is_asked_along_a_variable_updates_all_its_levels():
    """Two prompts along the levels of one variable say what eight single prompts say."""
    truth, surface = world(4)
    said = ("If {pay:.1f} of wages are paid?",)
    curve = Inquiry(KNOTS, said, ACTIONS, along="cases", level="{cases:.2f} are ill")

    class Reader(Teacher):
        def one(self, question):
            cell = int(question.persona.text.rstrip(".").split()[-1])
            pay = KNOTS["pay"].index(question.values["pay"])
            stay = [round(100 / (1 + np.exp(-odds))) for odds in self.odds[cell, :, pay]]
            named = {f"stay_at_home_{k}": x for k, x in enumerate(stay)}
            named |= {f"go_out_{k}": 100 - x for k, x in enumerate(stay)}
            self.asked.append(question)
            return Reply(json.dumps(named), "stop")

    teacher = Reader(truth)
    found = ask_where_it_matters(curve, PEOPLE, surface, outcome, teacher, calls=2, rounds=1)
    assert len(teacher.asked) == 2
    single = Inquiry(KNOTS, WORDINGS[:1], ACTIONS)
    entries = [(n.persona, (k, *n.knot)) for n in found.needs for k in range(4)]
    told = ask(single.questions(PEOPLE, entries), Teacher(truth))
    wanted = updated(surface, single, entries, told, noise=0.1)
    assert np.allclose(found.surface.mean, wanted.mean, atol=1e-6)
    assert np.allclose(found.surface.spread, wanted.spread, atol=1e-6)
    assert not np.allclose(found.surface.mean, surface.mean, atol=1e-2)


def test_bad_requests_are_refused_in_words():
    truth, surface = world(0)
    slope = slope_of(surface)
    with pytest.raises(PersonaError, match="gradient has shape"):
        where_to_ask(surface, np.zeros(3), noise=0.1)
    with pytest.raises(PersonaError, match="noise = -1"):
        where_to_ask(surface, slope, noise=-1.0)
    with pytest.raises(PersonaError, match=r"weight has shape \[2\]"):
        where_to_ask(surface, slope, noise=0.1, weight=np.ones(2))
    with pytest.raises(PersonaError, match="one entry takes 2 calls"):
        refined(surface, Teacher(truth), calls=1)
    with pytest.raises(PersonaError, match=r"inquiry has \[11, 4, 2\].*surface \[12, 4, 2\]"):
        ask_where_it_matters(INQUIRY, PEOPLE[1:], surface, outcome, Teacher(truth), calls=2)
