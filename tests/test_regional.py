"""calibrate_regions: where it starts, what it follows, what it forecasts, and what it refuses."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from scipy import stats

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import FittingError, ScenarioError
from lpm.fitting import (
    DirichletMultinomial,
    NegativeBinomial,
    RegionalFit,
    Series,
    calibrate_regions,
    load_regions,
    weighted_interval_score,
)
from lpm.fitting.curves import Network, Pieces
from lpm.fitting.forecasts import LEVELS, compare, persist
from lpm.fitting.inverting import learn_without_gradients
from lpm.fitting.journal import Journal
from lpm.fitting.layout import Layout
from lpm.fitting.regional_request import assemble
from lpm.fitting.rollouts import Rollout, likelihoods
from lpm.fitting.training import Course, Effort, Lesson, begin
from lpm.launch import key_words

WEEKS, REACH = 14, 18


class Prior:
    """A law with a mean, and all that a fit asks of it."""

    mean = 0.05

    def log_prob(self, x):
        return -0.5 * (x - 0.05) ** 2


class Params(lpm.Params):
    rate: Float[Array, " week"] = lpm.parameter(np.zeros(REACH), within=(-1, 1), prior=Prior())
    first: Scalar = lpm.parameter(100.0, within=(0, None))
    closed: Float[Array, " day"] = lpm.constant(np.zeros(14 * REACH))
    factor: Float[Array, " age"] = lpm.parameter([1.0, 2.0])


class State(lpm.State):
    level: Float[Array, " agent"] = lpm.variable(within=(0, None))


def init(population, params, draw):
    return State.of(population, level=params.first)


def grow(state, params, draw):
    """Exact growth: a smooth model without luck."""
    return state.replace(level=state.level * jnp.exp(params.rate[state.t]))


def observe(state, params):
    return {"level": jnp.mean(state.level)}


growth = lpm.Scenario(init, (grow,), observe, Params(), steps=WEEKS, unit="week")
TOWN = lpm.Population.toy(8)
RNG = np.random.Generator(np.random.PCG64(3))  # noqa: TID251 - made-up data
COVARIATES = RNG.standard_normal((3, REACH, 2))
RATES = 0.05 + 0.2 * COVARIATES[:, :, 0]
LEVEL = 100 * np.exp(np.cumsum(RATES, axis=1))[:, :WEEKS]
NOISE = NegativeBinomial(200.0)
SERIES = [Series("level", np.round(row), noise=NOISE, background=0.0) for row in LEVEL]
NAMES = ("north", "east", "south")
QUICK = {
    "members": 2,
    "budget": 900,
    "horizons": (4,),
    "hidden": 4,
    "fields": "rate",
    "estimator": "straight_through",
}


def fit(**changes):
    given = {"keys": range(2), "regions": NAMES} | QUICK | changes
    covariates, series = given.pop("covariates", COVARIATES), given.pop("series", SERIES)
    scenario = given.pop("scenario", growth)
    return calibrate_regions(scenario, given.pop("towns", TOWN), series, covariates, **given)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "whole"
    return fit(out=folder, left_out=("south",), budget=3000), folder


def lesson(fields=("rate",), weeks=WEEKS):
    given, _, _ = assemble(
        growth,
        TOWN,
        SERIES,
        COVARIATES,
        names=NAMES,
        labels=(),
        left_out=(),
        fields=fields,
        params=None,
        every=1,
    )
    inputs = jnp.asarray(COVARIATES, jnp.float32)
    return Lesson(given, inputs, key_words(range(2)), Journal(None, {}), weeks)


def network(lesson, weekly=1, steady=0):
    return Network(len(NAMES), weekly, steady, WEEKS, lesson.inputs.shape[2], hidden=4)


def test_a_network_starts_exactly_at_the_means_of_the_priors():
    told = lesson(("rate", "first", "factor"))
    rollout = Rollout(told.regions, told.words, WEEKS)
    assert (rollout.layout.weekly, rollout.layout.steady) == (1, 3)
    curve = network(told, steady=3)
    weights = begin(curve, told, 3)
    for member in range(3):
        mine = jax.tree.map(lambda x, i=member: x[i], weights)
        points = rollout.place(*curve(mine, told.inputs, told.mix))
        assert np.array_equal(points, rollout.start.astype(np.float32))
        params = rollout.objectives[1].space.at(np.asarray(points[1], np.float64))
        assert np.allclose(params.rate, Prior.mean, atol=1e-6)  # float32 there and back
        assert np.allclose(params.first, 100, rtol=1e-6)  # no prior: the value given
    # A control: another last layer starts elsewhere.
    weights["params"]["head"]["kernel"] += 0.1
    mine = jax.tree.map(lambda x: x[0], weights)
    assert not np.allclose(rollout.place(*curve(mine, told.inputs, told.mix)), rollout.start)


def plain_loss(points):
    """Negative log-likelihood of all data by NumPy and SciPy alone."""
    total = 0.0
    for region, z in enumerate(points):
        rate = -1 + 2 / (1 + np.exp(-np.asarray(z, np.float64)))
        mean = 100 * np.exp(np.cumsum(rate))
        k = NOISE.dispersion
        total -= stats.nbinom.logpmf(np.round(LEVEL[region]), k, k / (k + mean)).sum()
    return total


@pytest.mark.parametrize("label", ["straight_through", "crn", "score"])
def test_the_slope_through_network_and_runs_is_that_of_differences(label):
    told = lesson()
    curve, rollout = network(told), Rollout(told.regions, told.words, WEEKS)
    effort = Effort(1000.0, 1, (), 0.03, label)
    course = Course(curve, told, rollout, effort, WEEKS, WEEKS)
    key = jax.random.key(5)
    weights = jax.tree.map(
        lambda x: x + 0.2 * jax.random.normal(key, x.shape), begin(curve, told, 1)
    )
    _, _, slopes = course.look(weights, "slopes")
    found = course.gradients(weights, slopes)
    data = len(NAMES) * WEEKS

    @jax.jit
    def look(weights):
        mine = jax.tree.map(lambda x: x[0], weights)
        weekly, steady = curve(mine, told.inputs, told.mix)
        return rollout.place(weekly, steady), curve.penalty(mine, weekly)

    def loss(weights, way, length):
        points, prior = look(jax.tree.map(lambda a, b: a + length * b, weights, way))
        return (plain_loss(points) + float(prior)) / data

    rng, h = np.random.Generator(np.random.PCG64(1)), 1e-2  # noqa: TID251
    for _ in range(4):
        way = jax.tree.map(
            lambda x: jnp.asarray(rng.standard_normal(x.shape), jnp.float32), weights
        )
        size = np.sqrt(sum(float((x**2).sum()) for x in jax.tree.leaves(way)))
        ends = [loss(weights, way, length / size) for length in (h, -h)]
        wanted = (ends[0] - ends[1]) / (2 * h)
        mine = sum(
            float((a * b).sum()) / size
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(way), strict=True)
        )
        # Errors: h**2 of the differences, float32 of the points over h, 0.05**2 of crn's own.
        assert mine == pytest.approx(wanted, rel=0.02, abs=0.01)


def test_moves_by_week_reach_the_elements_of_a_space_and_no_other():
    class Many(lpm.Params):
        plan: Float[Array, "age week"] = lpm.parameter(np.zeros((2, 3)))
        one: Scalar = lpm.parameter(0.0)

    layout = Layout.of(Many(), ("plan", "one"), "week")
    weekly = jnp.asarray([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [9.0, 90.0]])
    moved = layout.add(jnp.zeros(7), weekly, jnp.asarray([5.0]))
    assert moved.tolist() == [1, 2, 3, 10, 20, 30, 5]


def test_pieces_stay_and_the_last_goes_on():
    curve = Pieces(2, 1, 0, 6, count=2)
    weights = {"weekly": jnp.asarray([[[1.0], [2.0]], [[3.0], [4.0]]]), "steady": jnp.zeros((2, 0))}
    weekly, _ = curve(weights, jnp.zeros((2, 8, 1)), jnp.eye(2))
    assert weekly[..., 0].tolist() == [[1, 1, 1, 2, 2, 2, 2, 2], [3, 3, 3, 4, 4, 4, 4, 4]]
    unknown, _ = curve(weights, jnp.zeros((1, 8, 1)), jnp.full((1, 2), 0.5))
    assert unknown[0, :, 0].tolist() == [2, 2, 2, 3, 3, 3, 3, 3]


@pytest.mark.gate
def test_covariates_of_a_smooth_model_are_found(fitted):
    found, _ = fitted
    table = found.schedules.filter(pl.col("region").is_in(["north", "east"]))
    mean = table["mean"].to_numpy().reshape(2, REACH)[:, :WEEKS]
    assert np.corrcoef(mean.ravel(), RATES[:2, :WEEKS].ravel())[0, 1] > 0.8
    assert found.estimator == "straight_through"
    assert "passes against crn" in found.report
    assert "piecewise constant" in found.report
    assert found.runs <= 4 * 3000
    assert (found.scores["fit"].unique().len(), found.weeks) == (4, WEEKS)


@pytest.mark.gate
def test_forecasts_are_quantiles_of_the_weeks_to_come(fitted):
    found, _ = fitted
    frame = found.forecast(3)
    assert frame.columns == ["region", "target", "step", "horizon", "quantile", "value"]
    assert frame.height == 2 * 3 * len(LEVELS)
    assert sorted(frame["step"].unique()) == [WEEKS + 1, WEEKS + 2, WEEKS + 3]
    assert sorted(frame["horizon"].unique()) == [1, 2, 3]
    wide = frame.pivot(on="quantile", index=["region", "step"], values="value")
    assert (np.diff(wide.select([str(x) for x in LEVELS]).to_numpy(), axis=1) >= 0).all()
    further = np.concatenate([COVARIATES[:2], COVARIATES[:2]], axis=1)
    assert found.forecast(2 * REACH - WEEKS, further).height > frame.height


@pytest.mark.gate
def test_a_region_left_out_is_forecast_with_the_mean_of_the_others(fitted):
    found, _ = fitted
    left = found.predict("south")
    assert left.height == REACH * len(LEVELS)
    same = found.predict("elsewhere", COVARIATES[2], TOWN)
    assert same.drop("region")["step"].equals(left["step"])
    params = found.params("south")
    assert params.rate.shape == (REACH,)
    assert found.scores.filter(pl.col("left_out"))["region"].unique().to_list() == ["south"]


@pytest.mark.gate
def test_a_fit_is_read_back_as_it_was(fitted, tmp_path):
    found, folder = fitted
    again = load_regions(folder, growth, TOWN, SERIES, COVARIATES)
    assert isinstance(again, RegionalFit)
    assert again.forecast(2).equals(found.forecast(2))
    assert again.predict("south").equals(found.predict("south"))
    assert again.report == found.report
    with pytest.raises(FittingError, match=r"holds no weights\.npz"):
        load_regions(tmp_path, growth, TOWN, SERIES, COVARIATES)
    found.save(tmp_path / "other")
    about = json.loads((tmp_path / "other" / "result.json").read_text())
    (tmp_path / "other" / "result.json").write_text(json.dumps(about | {"source": "another"}))
    with pytest.raises(FittingError, match="holds a fit of another"):
        load_regions(tmp_path / "other", growth, TOWN, SERIES, COVARIATES)
    with pytest.raises(FittingError, match="result of another fit"):
        found.save(tmp_path / "other")


@pytest.mark.gate
def test_an_interrupted_fit_resumes_to_the_same_numbers(tmp_path, monkeypatch):
    whole = fit(out=tmp_path / "whole")
    calls, pull = [], Rollout.pull_back

    def stumble(self, *args, **more):
        calls.append(0)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return pull(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Rollout, "pull_back", stumble)
        with pytest.raises(KeyboardInterrupt):
            fit(out=tmp_path / "part")
    kept = len(list((tmp_path / "part" / "journal").iterdir()))
    assert 0 < kept < len(list((tmp_path / "whole" / "journal").iterdir()))
    again = fit(out=tmp_path / "part")
    assert again.schedules.equals(whole.schedules)
    assert again.summary() == whole.summary()
    with pytest.raises(FittingError, match="holds another fit: its budget"):
        fit(out=tmp_path / "part", budget=950)
    with pytest.raises(FittingError, match="holds another fit: its covariates"):
        fit(out=tmp_path / "part", covariates=COVARIATES + 1e-6)


@pytest.mark.gate
def test_without_gradients_the_last_layer_follows_the_data():
    told = lesson()
    curve = network(told)
    effort = Effort(2000.0, 3, (), 0.03, "none")
    weights = learn_without_gradients(curve, begin(curve, told, 3), told, effort, "net", WEEKS)
    rollout, laws = Rollout(told.regions, told.words, WEEKS), None
    laws = likelihoods(told.regions, 0, WEEKS, WEEKS)

    def loss(mine):
        points = rollout.place(*curve(mine, told.inputs, told.mix))
        expected = rollout.expected(np.asarray(points, np.float64)[None])
        ones = jnp.ones(WEEKS)
        return sum(
            float(law(jnp.asarray(x[0], jnp.float32), ones))
            for law, x in zip(laws, expected, strict=True)
        )

    start = loss(curve.begin(jax.random.key(0)))
    ends = [loss(jax.tree.map(lambda x, i=i: x[i], weights)) for i in range(3)]
    # The floor is the loss at the truth; a third of the way there would be no accident.
    assert max(ends) < 0.5 * start
    small = Effort(20.0, 3, (), 0.03, "none")
    with pytest.raises(FittingError, match=r"without gradients \d+ numbers need"):
        learn_without_gradients(curve, weights, told, small, "net", WEEKS)


def test_interval_scores_are_twice_the_mean_quantile_loss():
    rng = np.random.Generator(np.random.PCG64(0))  # noqa: TID251
    quantiles = np.sort(rng.standard_normal((6, len(LEVELS))), axis=1)
    seen = rng.standard_normal(6)
    loss = np.stack(
        [
            2 * np.where(seen < q, (1 - a) * (q - seen), a * (seen - q))
            for a, q in zip(LEVELS, quantiles.T, strict=True)
        ]
    ).mean(axis=0)  # Bracher et al. (2021), equation 3
    # The median counts half as an interval and so with weight K + 1/2 in all.
    wanted = loss * len(LEVELS) / (len(LEVELS) // 2 + 0.5) / 2
    assert np.allclose(weighted_interval_score(quantiles, seen), wanted)
    with pytest.raises(FittingError, match="give a median and pairs"):
        weighted_interval_score(quantiles[:, :2], seen, (0.1, 0.9))


def test_persistence_stays_and_spreads_like_the_past():
    steady = persist(np.full(20, 50.0), 3)
    assert np.allclose(steady, 50, rtol=1e-5)
    walk = 1000 * np.exp(np.cumsum(0.1 * RNG.standard_normal(400)))
    rows = np.log1p(persist(walk, 4))
    assert np.allclose(rows[:, LEVELS.index(0.5)], np.log1p(walk[-1]), atol=0.02)
    widths = rows[:, LEVELS.index(0.95)] - rows[:, LEVELS.index(0.05)]
    # 2 * 1.645 * 0.1, some 5 % off with 400 moves, and growing with the root of the horizon.
    assert widths[0] == pytest.approx(0.329, rel=0.2)
    assert widths[3] / widths[0] == pytest.approx(2, rel=0.25)


def scores(values):
    return pl.DataFrame(
        {
            "region": [x for x in "abcd" for _ in range(3)],
            "target": "cases",
            "step": [1, 2, 3] * 4,
            "score": values,
        }
    )


def test_only_what_chance_does_not_give_beats_a_rival():
    noise = np.exp(0.1 * RNG.standard_normal(12))
    base = scores(10 * np.ones(12))
    assert compare(scores(5 * noise), base, "rival").beats
    assert "does NOT beat" in str(compare(scores(20 * noise), base, "rival"))
    mixed = compare(scores([5.0] * 6 + [14.0] * 3 + [9.0] * 3), base, "rival")
    assert not mixed.beats
    assert "within what chance allows" in str(mixed)


def change(at, value):
    covariates = COVARIATES.copy()
    covariates[at] = value
    return covariates


FLAT = lpm.Scenario(init, (grow,), observe, Params(), steps=10, unit="step")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"covariates": change((1, 5, 1), np.nan), "labels": ("heat", "trips")},
            FittingError,
            "covariate 'trips' of region 'east' is nan in week 5",
        ),
        ({"covariates": COVARIATES[:2]}, FittingError, r"covariates are \[2, 18, 2\]; give"),
        ({"covariates": COVARIATES[:, :, 0]}, FittingError, r"covariates are \[3, 18\]; give"),
        ({"labels": ("heat",)}, FittingError, "2 covariates have the 1 names"),
        ({"fields": "first"}, FittingError, r"none of the fields \['first'\] has a time axis"),
        ({"fields": "nothing"}, ScenarioError, "has no field"),
        ({"left_out": "west"}, FittingError, r"no region to leave out \[west\]"),
        ({"left_out": NAMES}, FittingError, "every region is left out"),
        ({"regions": ("north", "north", "east")}, FittingError, "a name of its own"),
        ({"covariates": COVARIATES[:, :9]}, FittingError, "covariates have 9 weeks, but"),
        (
            {"series": [Series("level", row[:6], noise=NOISE) for row in LEVEL]},
            FittingError,
            "the series reach week 6; give at least 8",
        ),
        (
            {
                "series": [
                    *SERIES[:2],
                    Series("level", [np.nan] * 12 + [100.0] * 2, noise=NOISE),
                ]
            },
            FittingError,
            "region 'south' has 0 known data",
        ),
        ({"series": SERIES[:2]}, FittingError, "series has 2 entries"),
        ({"towns": [TOWN, TOWN]}, FittingError, "covariates|entries"),
        ({"budget": 100}, FittingError, r"budget = 100 runs are 1\.7 iterations of 60 runs"),
        ({"held_out": 13}, FittingError, "held_out = 13 of 14 weeks"),
        ({"keys": 0}, FittingError, "keys is a single key"),
        ({"members": 0}, FittingError, "members = 0; give 1 or more"),
        ({"decay": 0.0}, FittingError, "decay = 0.0; give a number above 0"),
        ({"horizons": (12, 4)}, FittingError, "give weeks that grow"),
        (
            {"series": [Series("level", row, noise=DirichletMultinomial()) for row in LEVEL]},
            FittingError,
            "cannot draw data to come",
        ),
        (
            {"series": [SERIES[0], SERIES[1], Series("other", LEVEL[2])]},
            FittingError,
            "regions have different series",
        ),
        ({"params": [growth.params] * 2}, FittingError, "params has 2 entries"),
        ({"estimator": "magic"}, ScenarioError, "no estimator"),
    ],
)
def test_what_cannot_be_fitted_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        fit(**changes)


@pytest.mark.gate
def test_what_cannot_be_forecast_is_refused(fitted):
    found, _ = fitted
    with pytest.raises(FittingError, match="covariates end after week 18, but week 24"):
        found.forecast(10)
    with pytest.raises(FittingError, match="weeks = 0; give 1 or more"):
        found.forecast(0)
    with pytest.raises(FittingError, match=r"no region left out \[west\]; it has \[south\]"):
        found.predict("west")
    with pytest.raises(FittingError, match=r"no region \[west\]"):
        found.params("west")
    with pytest.raises(FittingError, match="there are 1 covariates; the fit has 2"):
        found.predict("west", COVARIATES[2, :, :1], TOWN)
