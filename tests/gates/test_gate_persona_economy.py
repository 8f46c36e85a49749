"""Asked where it matters, a whole town; and a model of random weights, which must fail."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calibration import (
    llm_economy as paper,
    persona_teachers as rules,
    persona_workers as asked,
)
from lpm import economics as econ, personas
from lpm.errors import PersonaError
from lpm.population import workers
from tests.gates import teachers
from tests.small_model import serve_model, write_model

pytestmark = pytest.mark.gate

TOWNS, CALLS = 12, 60


class Townspeople:
    """Every cell answers as the town's truth says, in whole people of a hundred."""

    def __init__(self, truth):
        self.truth = truth
        self.about = personas.About("the truth of a town", "town-1", "rules", False, 4)

    def reply(self, questions):
        return [self.one(question) for question in questions]

    def one(self, question):
        cell = int(question.persona.text.rstrip(".").split()[-1])
        knot = teachers.KNOTS["prevalence"].index(question.values["prevalence"])
        stay = round(100 / (1 + np.exp(-self.truth[cell, knot])))
        return personas.Reply(json.dumps({"go_out": 100 - stay, "stay": stay}), "stop")


STAYING = personas.Inquiry(
    teachers.KNOTS,
    ("At a prevalence of {prevalence:.1f}, how many of 100 stay at home?",),
    ("go out", "stay"),
)


def people_of(here):
    return tuple(
        personas.Persona(f"cell {i}", f"You are of group {i}.", float(w))
        for i, w in enumerate(here.weight)
    )


def outcome_of(here):
    """Infections over a month in which those who stay at home infect a fifth as many."""
    share = jnp.asarray(here.weight / here.weight.sum(), jnp.float32)
    old = jnp.asarray(1 + 4 * teachers.OLDEST, jnp.float32)

    def outcome(surface):
        def day(state, _):
            ill, cost = state
            stay = jnp.sum(share * surface.shares(prevalence=ill)[:, 1])
            ill = ill * jnp.exp(0.25 * (1 - 0.8 * stay) - 0.12) * (1 - 0.3 * ill)
            left = jnp.sum(share * old * (1 - surface.shares(prevalence=ill)[:, 1]))
            return (ill, cost + ill * left), None

        return jax.lax.scan(day, (jnp.float32(0.08), jnp.float32(0.0)), None, length=30)[0][1]

    return outcome


def errors(seed, teacher):
    here = teachers.town(700 + seed)
    surface = teachers.elicit_few(here, teacher(here))
    outcome, people = outcome_of(here), people_of(here)
    true = personas.make_surface(here.truth[..., None], 0.1, teachers.KNOTS, STAYING.actions)
    right = float(outcome(true))
    respondent = Townspeople(here.truth)
    guided = personas.ask_where_it_matters(
        STAYING, people, surface, outcome, respondent, calls=CALLS
    ).surface
    everything = STAYING.entries(len(people))
    step = len(everything) / CALLS
    even = [everything[int(i * step + here.rng.random() * step)] for i in range(CALLS)]
    lots = [everything[i] for i in here.rng.permutation(len(everything))[:CALLS]]
    found = [float(outcome(surface)), float(outcome(guided))]
    for entries in (even, lots):
        told = personas.ask(STAYING.questions(people, entries), respondent)
        moved = personas.updated(surface, STAYING, entries, told, noise=0.1)
        found.append(float(outcome(moved)))
    return np.array(found) / right - 1


@pytest.mark.parametrize("teacher", [teachers.right, teachers.biased])
def test_equal_calls_tell_more_of_an_epidemic_where_they_matter(teacher, report):
    """48 anchors are known, ridge foretells the rest; 60 of 720 entries are asked for the truth.

    The root mean square of 12 towns is good to a fifth of itself.
    """
    rows = np.array([errors(seed, teacher) for seed in range(TOWNS)])
    seen = np.sqrt(np.mean(rows**2, axis=0))
    names = ("before", "where it matters", "evenly", "by lot")
    for name, error in zip(names, seen, strict=True):
        report(f"{teacher.__name__}: relative error of the outcome, asked {name}", float(error))
    before, guided, even, lots = seen
    assert guided < 0.75 * even
    assert guided < 0.75 * before
    assert lots > 0.8 * even  # the control


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    with serve_model(write_model(tmp_path_factory.mktemp("model") / "m.gguf"), at_once=2) as url:
        yield personas.Http("random", url=f"{url}/v1", at_once=2, timeout=300.0)


@pytest.fixture(scope="module")
def anchors():
    people = workers(2_000, seed=1)
    cells = personas.cells_of(people, asked.WORKERS, least=5.0)
    return personas.choose_anchors(cells, 12, seed=1), cells


def told_of(chosen, cells, respondent):
    """Misfit, and share of steps in which hours rise with what is kept, of a panel's answers."""
    answers = asked.answers_of(asked.HOURS_BY_SHARE, cells, chosen.cell, respondent)
    surface = personas.surface_of(answers, floor=0.02, out_of=1e4)
    found = personas.elasticities(surface, now=rules.NOW)
    hours = answers.values.mean(axis=(2, 3))[..., 0]
    rising = np.mean(np.diff(hours, axis=1) > 0)
    return float(found.misfit.mean()), float(rising)


def test_hours_of_a_random_model_have_no_elasticity(random_model, anchors, report):
    chosen, cells = anchors
    for name, respondent in (("rule", rules.Worker()), ("random", random_model)):
        misfit, rising = told_of(chosen, cells, respondent)
        report(f"{name}: misfit of log hours", misfit)
        report(f"{name}: share of steps in which hours rise with what is kept", rising)
        passes = misfit < 0.1 and rising > 0.8
        assert passes == (name == "rule")


def test_satisfaction_of_a_random_model_is_foretold_by_no_threshold(random_model, anchors, report):
    chosen, cells = anchors
    inquiry = personas.Inquiry(asked.RATES, asked.ABOUT_TAX[:2], asked.SATISFIED)
    for name, respondent in (("rule", rules.Payer()), ("random", random_model)):
        answers = asked.answers_of(inquiry, cells, chosen.cell, respondent)
        first, last = (
            personas.Answers(answers.knots, answers.actions, answers.values[:, :, [i]])
            for i in (0, 1)
        )
        constant = personas.constant_loss(float(first.values[..., 1].mean()), last)
        try:
            loss = personas.fit_thresholds(first).loss(last)
        except PersonaError:
            loss = constant
        report(f"{name}: log loss of new answers", loss, constant)
        assert (loss < 0.9 * constant) == (name == "rule")


def test_a_random_model_plans_nothing_and_a_replay_repeats_it(random_model, tmp_path, report):
    people, aim = paper.recalibrated(500)

    def economy(rates):
        return float(paper.worth(people, aim, econ.Schedule(paper.US_EDGES, rates)))

    minister = personas.Persona("planner", "You are the minister of finance.")
    edges = tuple(float(edge) for edge in paper.US_EDGES)
    legislator = personas.Legislator(minister, edges, last=4, best=2)
    options = {"start": [0.2] * 7, "years": 16}
    gains = {}
    for name, respondent in (("rule", rules.Climber()), ("random", random_model)):
        path = tmp_path / f"{name}.jsonl"
        reign = personas.govern(legislator, economy, respondent, transcript=path, **options)
        again = personas.govern(legislator, economy, personas.Replay(path), **options)
        assert again.years == reign.years
        assert np.abs(np.diff(reign.rates, axis=0)).max() <= 0.2 + 1e-9
        assert reign.rates.min() >= 0
        assert reign.rates.max() <= 1
        gains[name] = reign.years[-1].welfare / reign.years[0].welfare - 1
        report(f"{name}: gain of the last year over the first", gains[name])
    assert gains["rule"] > 0.05
    assert gains["random"] < 0.5 * gains["rule"]
