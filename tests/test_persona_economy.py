"""Workers, taxpayers, voters and a planner who are asked: held against rules that are known."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import lpm
from calibration import persona_teachers as teachers, persona_workers as asked
from lpm import economics as econ, personas
from lpm.errors import DataError, PersonaError
from lpm.population import workers
from lpm.population.seeds import generator
from scenarios import tax_economy, tax_vote

EDGES = (0.0, 20_000.0, 50_000.0)


@pytest.fixture(scope="module")
def people():
    return workers(3_000, seed=1)


@pytest.fixture(scope="module")
def cells(people):
    return personas.cells_of(people, asked.WORKERS, least=5.0)


@pytest.fixture(scope="module")
def hours(cells):
    """Elasticities of all cells from 20 anchors, through the whole stack."""
    anchors = personas.choose_anchors(cells, 20, seed=1)
    answers = asked.answers_of(asked.HOURS_BY_SHARE, cells, anchors.cell, teachers.Worker())
    surface = personas.surface_of(answers, floor=0.02, out_of=1e4)
    spread = personas.spread_out(surface, anchors, cells)
    return anchors, personas.elasticities(spread.surface, now=teachers.NOW)


def test_elasticities_of_the_rule_come_back_for_all_cells(cells, hours):
    anchors, found = hours
    true = np.array([teachers.elasticity_of(cells.describe(i)) for i in range(len(cells))])
    off = np.abs(found.value - true)
    assert off[anchors.cell].max() < 0.03  # 2 % of noise in ten answers
    rest = np.setdiff1d(np.arange(len(cells)), anchors.cell)
    assert len(rest) > 15
    assert np.sqrt(np.mean(off[rest] ** 2)) < 0.25 * true.std()
    assert np.mean(off < 2 * found.error) > 0.85


def test_an_elasticity_is_the_slope_of_logs_by_least_squares():
    e = np.array([0.1, 0.6])
    kept = np.array(asked.KEPT["kept"])
    share = 100 * (kept / 70) ** e[:, None]
    way = (share - 1) / 199
    surface = personas.make_surface(
        np.log(way / (1 - way))[..., None], 0.1, asked.KEPT, ("hours",), bounds=(1.0, 200.0)
    )
    found = personas.elasticities(surface, now=70.0)
    assert np.allclose(found.value, e, atol=1e-5)
    assert np.all(found.misfit < 1e-5)
    rng, draws = generator(1), []
    for _ in range(400):
        odds = np.log(way / (1 - way)) + 0.1 * rng.standard_normal(way.shape)
        told = np.log((1 + 199 / (1 + np.exp(-odds))) / 100)
        x = np.log(kept / 70)
        draws.append(told @ x / (x @ x))
    # The spread of 400 draws is good to 3.5 %, and the delta method to a few more.
    assert np.allclose(found.error, np.std(draws, axis=0), rtol=0.15)


def test_the_tax_economy_takes_them_jointly_with_earnings(people, cells, hours):
    """Under today's law all do as observed; another law moves each by the own elasticity."""
    given, mean = asked.with_answers(people, cells, hours[1].value)
    own = mean * np.exp(given.host("own_response"))
    assert np.allclose(own, np.maximum(hours[1].value, 0.02)[cells.cell_of], rtol=1e-5)
    today = tax_economy.scenario.params.replace(**tax_economy.TODAY, elasticity=mean, shock=0.0)
    first = lpm.simulate(tax_economy.scenario, given, key=0, steps=1, params=today, devices=1)
    assert np.allclose(first.state.income, given.host("earnings"), rtol=1e-5)
    calm = {"thresholds": np.zeros(7), "shock": 0.0, "participation": 0.01, "elasticity": mean}
    low, high = (
        lpm.simulate(
            tax_economy.scenario,
            given,
            key=0,
            steps=1,
            params=tax_economy.scenario.params.replace(rates=[rate] * 8, **calm),
            devices=1,
        ).state
        for rate in (0.2, 0.4)
    )
    one, two = (np.asarray(each.income, float) for each in (low, high))
    both = (one > 0) & (two > 0)
    slope = np.log(one[both] / two[both]) / np.log(0.8 / 0.6)
    assert np.allclose(slope, own[both], atol=1e-4)


def yes(k, bearable, people=40, seed=0):
    """Answers of `people` to every level, each yes or no by chance."""
    level = np.array(asked.RATES["rate"])
    chance = 1 / (1 + np.exp(-k * (np.asarray(bearable)[:, None] - level)))
    said = (generator(seed).random((*chance.shape, people, 1)) < chance[..., None, None]) * 1.0
    return personas.Answers(asked.RATES, asked.SATISFIED, np.stack([1 - said, said], axis=-1))


def test_thresholds_are_those_of_the_rule_and_of_another_optimiser():
    bearable = np.array([0.15, 0.25, 0.3, 0.42])
    answers = yes(12.0, bearable)
    found = personas.fit_thresholds(answers, apart=1e6)
    assert found.steepness == pytest.approx(12.0, rel=0.15)  # 3 standard errors of 1,120 answers
    assert np.allclose(found.bearable, bearable, atol=0.03)
    level, said = np.array(asked.RATES["rate"]), answers.values[..., 0, 1].mean(axis=-1)

    def loss(x):
        share = 1 / (1 + np.exp(-x[0] * (x[1:, None] - level)))
        return -np.mean(said * np.log(share) + (1 - said) * np.log(1 - share))

    best = minimize(
        loss,
        [10, *bearable],
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000},
    )
    assert found.log_loss == pytest.approx(best.fun, abs=1e-6)
    assert found.steepness == pytest.approx(best.x[0], rel=1e-3)


def test_thresholds_foretell_new_answers_better_than_one_rate_and_noise_does_not():
    bearable = generator(3).uniform(0.15, 0.45, 20)
    found = personas.fit_thresholds(yes(12.0, bearable, people=6, seed=1))
    new = yes(12.0, bearable, people=6, seed=2)
    share = yes(12.0, bearable, people=6, seed=1).values[..., 1].mean()
    assert found.loss(new) < 0.7 * personas.constant_loss(share, new)
    # The control: answers that hear neither persona nor rate.
    noise = [yes(0.0, bearable, people=6, seed=seed) for seed in (5, 6)]
    try:
        deaf = personas.fit_thresholds(noise[0]).loss(noise[1])
    except PersonaError as error:
        assert "no threshold" in str(error)  # noqa: PT017
    else:
        assert deaf > personas.constant_loss(noise[0].values[..., 1].mean(), noise[1]) - 1e-3


def test_satisfaction_is_one_half_to_one_and_crosses_at_what_is_bearable():
    feels = econ.Satisfaction(12.0, jnp.array([0.2, 0.3, 0.3]))
    tax, income = jnp.array([20.0, 30.0, 0.0]), jnp.array([100.0, 100.0, 0.0])
    r = feels(tax, income)
    assert np.allclose(r, [0.75, 0.75, 0.5 + 0.5 / (1 + np.exp(-3.6))], atol=1e-6)
    utility = jnp.array([10.0, -10.0, 4.0])
    assert np.allclose(feels.felt(utility, tax, income)[:2], [7.5, -7.5], atol=1e-5)
    assert np.allclose(feels.felt(utility, tax, income, amount=8.0)[:2], [8.0, -12.0], atol=1e-5)
    slope = jax.grad(lambda t: jnp.sum(feels(t, income)))(tax)
    assert np.allclose(slope, [-1.5 / 100, -1.5 / 100, 0.0], atol=1e-6)
    with pytest.raises(DataError, match="steepness = 0"):
        econ.Satisfaction(0.0, 0.3)


def test_the_question_about_satisfaction_gives_back_the_rule(cells):
    anchors = personas.choose_anchors(cells, 12, seed=2)
    answers = asked.answers_of(asked.SATISFIED_BY_RATE, cells, anchors.cell, teachers.Payer())
    found = personas.fit_thresholds(answers)
    true = np.array([teachers.bearable_of(text) for text in anchors.descriptions])
    assert found.steepness == pytest.approx(teachers.STEEPNESS, rel=0.1)
    # Sixty people at each of seven rates, 0.1 apart: Fisher's information is 60 k / 0.1.
    error = (60 * teachers.STEEPNESS / 0.1) ** -0.5
    assert np.abs(found.bearable - true).max() < 4 * error
    assert np.abs(found.bearable - true[::-1]).max() > 4 * error  # the control


def bowl(rates):
    """Welfare that is best at 70, 50 and 30 %, to be found in steps of ten."""
    return 1_000 - 1_000 * float(np.sum((np.array(rates) - (0.7, 0.5, 0.3)) ** 2))


LEGISLATOR = personas.Legislator(personas.Persona("planner", "You are a finance minister."), EDGES)


def test_a_planner_who_reads_its_history_climbs_to_the_top(tmp_path):
    path = tmp_path / "reign.jsonl"
    options = {"start": (0.5, 0.1, 0.9), "years": 40}
    reign = personas.govern(LEGISLATOR, bowl, teachers.Climber(), transcript=path, **options)
    assert np.allclose(reign.best.rates, (0.7, 0.5, 0.3))
    assert np.abs(np.diff(reign.rates, axis=0)).max() < 0.2 + 1e-9
    assert len(reign.years) == 41
    again = personas.govern(LEGISLATOR, bowl, personas.Replay(path), **options)
    assert again.years == reign.years
    assert reign.frame().shape == (41, 5)
    # Another economy is another history, which was never asked about.
    with pytest.raises(PersonaError, match="has no answer"):
        personas.govern(LEGISLATOR, lambda r: bowl(r) + r[0], personas.Replay(path), **options)


class Says:
    """The same number for everything, whatever the question."""

    def __init__(self, number):
        self.about = personas.About("one number", "one-1", "rules", False, 1)
        self.number = number

    def reply(self, questions):
        return [
            personas.Reply(json.dumps(dict.fromkeys(q.codebook.names, self.number)), "stop")
            for q in questions
        ]


def test_rates_stay_in_bounds_whatever_is_said():
    up = personas.govern(LEGISLATOR, bowl, Says(2), start=(0.5, 0.9, 0.0), years=6)
    assert np.allclose(up.rates[-1], [1.0, 1.0, 1.0])
    down = personas.govern(LEGISLATOR, bowl, Says(-2), start=(0.5, 0.9, 0.0), years=6)
    assert np.allclose(down.rates[-1], [0.0, 0.0, 0.0])
    with pytest.raises(PersonaError, match=r"move_1 = 3 is outside \[-2, 2\]"):
        personas.govern(LEGISLATOR, bowl, Says(3), start=(0.5, 0.9, 0.0), years=1)


def test_the_prompt_holds_the_last_and_the_best_years_and_no_others():
    few = personas.Legislator(LEGISLATOR.persona, EDGES, last=2, best=1)
    history = [personas.Year((0.1 * i, 0.5, 0.5), float((7 * i) % 10)) for i in range(10)]
    prompt = few.question(history).prompt
    assert prompt.count("Year ") == 3
    assert "Year 10: rates 90 50 50; welfare 3" in prompt
    assert "Year 8: rates 70 50 50; welfare 9" in prompt
    with pytest.raises(PersonaError, match="the history has 0 years"):
        few.question([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": (1.0, 2.0)}, "must rise, the first 0"),
        ({"step": 0.0}, "step = 0.0"),
        ({"most": 0}, "most = 0"),
    ],
)
def test_bad_legislators_are_refused_in_words(change, message):
    with pytest.raises(PersonaError, match=message):
        personas.Legislator(**({"persona": LEGISLATOR.persona, "edges": EDGES} | change))


TOWN = lpm.Population.toy(400, seed=3)


def polled(odds):
    """A panel whose cells all have the same log-odds for every option."""

    def panel(cells):
        levels = len(tax_vote.KNOTS["rate"])
        mean = np.broadcast_to(odds, (len(cells), levels, len(odds)))
        return personas.make_surface(mean, 0.1, tax_vote.KNOTS, tax_vote.BALLOT)

    return tax_vote.answered_by(panel)


def only(option):
    odds = np.full(len(tax_vote.BALLOT), -20.0)
    odds[tax_vote.BALLOT.index(option)] = 20.0
    return odds[1:] - odds[0]


@pytest.mark.parametrize(
    ("option", "change"),
    [
        ("keep all rates", (0, 0, 0)),
        ("lower all rates", (-1, -1, -1)),
        ("raise the top rate", (0, 0, 1)),
    ],
)
def test_what_all_vote_for_is_the_law(option, change):
    run = lpm.simulate(polled(only(option)), TOWN, key=0, steps=2, devices=1)
    assert np.allclose(run.observed["rates"][-1], 0.3 + 0.2 * np.array(change), atol=1e-6)
    assert np.allclose(run.observed["support"], 1.0)


def test_votes_are_cast_as_the_answers_say():
    """Two options of 60 and 40 %: the support is that, within 3.5 standard errors of 400 votes."""
    odds = np.full(len(tax_vote.BALLOT), -20.0)
    odds[0], odds[8] = np.log(0.4), np.log(0.6)
    run = lpm.simulate(polled(odds[1:] - odds[0]), TOWN, key=1, steps=3, devices=1)
    error = np.sqrt(0.24 / 400)
    assert np.all(np.abs(np.asarray(run.observed["support"]) - 0.6) < 3.5 * error)


def test_spare_slots_do_not_vote():
    odds = np.linspace(0.2, -0.2, len(tax_vote.BALLOT) - 1)
    runs = [
        lpm.simulate(polled(odds), lpm.Population.toy(400, seed=3, capacity=c), key=1, steps=3)
        for c in (400, 440)
    ]
    one, other = (np.asarray(run.observed["rates"]) for run in runs)
    assert np.array_equal(one, other)


def test_a_panel_of_another_ballot_is_refused():
    def panel(cells):
        return personas.make_surface(
            np.zeros((len(cells), 5, 1)), 0.1, tax_vote.KNOTS, ("no", "yes")
        )

    with pytest.raises(PersonaError, match="keep all rates"):
        lpm.simulate(tax_vote.answered_by(panel), TOWN, key=0, steps=1, devices=1)


def test_answers_that_part_cleanly_have_no_finite_steepness():
    level = np.array(asked.RATES["rate"])
    said = np.broadcast_to((level < 0.25) * 1.0, (3, len(level)))[..., None, None]
    answers = personas.Answers(asked.RATES, asked.SATISFIED, np.stack([1 - said, said], axis=-1))
    with pytest.raises(PersonaError, match="no threshold with a finite steepness"):
        personas.fit_thresholds(answers)
