"""gradient: right where the truth is known, within bounds, repeatable, and refused in words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import FittingError, ScenarioError, SimulationError
from lpm.fitting import Differences
from scenarios.kermack_mckendrick import scenario as mixed
from scenarios.labour_tax import scenario as labour
from scenarios.sir import scenario as sir

ESTIMATORS = ("crn", "straight_through", "mean_field", "score")


class Params(lpm.Params):
    rate: Scalar = lpm.parameter(0.1, within=(0, 1))
    boost: Float[Array, " week"] = lpm.parameter([1.0, 2.0], within=(0, None))
    target: Scalar = lpm.policy(0.5)
    number: lpm.Int[Array, ""] = lpm.policy(3)


class State(lpm.State):
    well: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    wealth: Float[Array, " agent"] = lpm.variable(within=(0, None))


def init(population, params, draw):
    return State.of(population, well=1, wealth=1)


def fall(state, params, draw):
    """Each of the well falls ill for good: after T steps a share (1 - rate)**T is well."""
    return state.replace(well=state.well - draw.bernoulli(state.well * params.rate))


def grow(state, params, draw):
    """Wealth after 10 days is exp(0.07 boost[0] + 0.03 boost[1]) target**10."""
    factor = jnp.exp(0.01 * params.boost[state.t // 7])
    return state.replace(wealth=state.wealth * factor * params.target)


def observe(state, params):
    return {"well": lpm.share(state.well, state.alive), "wealth": jnp.mean(state.wealth)}


decay = lpm.Scenario(init, (fall,), observe, Params(), steps=10, unit="day")
growth = decay.replace(processes=(grow,), params=Params(target=1.1))


def well(run):
    return run.observed["well"][-1]


def wealth(run):
    return run.observed["wealth"][-1]


def fallen(run):
    return -jnp.diff(run.observed["well"], prepend=1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_smooth_scenario_has_its_exact_derivatives(estimator, town):
    found = lpm.gradient(growth, town, wealth, keys=[0, 1], estimator=estimator, fields=["boost"])
    truth = np.exp(0.07 + 0.06) * 1.1**10
    assert found.value == pytest.approx(truth, rel=1e-5)
    assert found.estimate["boost"] == pytest.approx([0.07 * truth, 0.03 * truth], rel=2e-3)
    assert found.standard_error["boost"] == pytest.approx([0, 0], abs=1e-6)
    assert found.runs["boost"].shape == (2, 2)
    by_policy = lpm.gradient(growth, town, wealth, keys=[0, 1], estimator=estimator, of="policy")
    # The slope of target**10 by a difference of 0.025, 5 % of the default, is off by 0.6 %.
    assert by_policy.estimate["target"] == pytest.approx(10 * truth / 1.1, rel=0.01)
    assert set(by_policy.estimate) == {"target"}, "a whole number has no derivative"


def test_half_the_step_tells_three_quarters_of_the_bias(town):
    found = lpm.gradient(growth, town, wealth, keys=[0, 1], of="policy")
    truth = 10 * np.exp(0.13) * 1.1**9
    bias = found.estimate["target"] - truth
    assert bias / truth > 0.005
    assert found.gap["target"] == pytest.approx(-0.75 * bias, rel=0.05)
    fine = lpm.gradient(growth, town, wealth, keys=[0, 1], of="policy", step={"target": 0.005})
    assert fine.estimate["target"] == pytest.approx(truth, rel=5e-4)


def test_a_coin_has_the_derivative_of_its_closed_form(town):
    keys = jax.random.split(jax.random.key(3), 400)
    exact = -10 * 0.9**9
    found = lpm.gradient(decay, town, well, keys=keys, fields=["rate"], estimator="mean_field")
    assert found.estimate["rate"] == pytest.approx(exact, rel=1e-5)
    for estimator in ("crn", "score"):
        found = lpm.gradient(decay, town, well, keys=keys, fields=["rate"], estimator=estimator)
        error = found.standard_error["rate"]
        assert abs(found.estimate["rate"] - exact) < 4 * error  # 1 in 16,000 by chance
        assert error < 0.1 * abs(exact)


@pytest.mark.gate
def test_the_score_credits_each_row_to_the_draws_before_it(town):
    def weighted(run):
        return fallen(run) * jnp.arange(10) * (1 + run.observed["well"])

    keys = jax.random.split(jax.random.key(5), 1000)
    chosen = {"keys": keys, "fields": ["rate"], "estimator": "score"}
    rows = lpm.gradient(decay, town, weighted, **chosen)
    total = lpm.gradient(decay, town, lambda run: jnp.sum(weighted(run)), **chosen)
    truth = lpm.gradient(decay, town, weighted, keys=keys, fields=["rate"])
    for found in (rows, total):
        error = np.hypot(found.standard_error["rate"], truth.standard_error["rate"])
        assert abs(found.estimate["rate"] - truth.estimate["rate"]) < 4 * error


def test_a_log_mean_exp_weighs_runs_by_their_likelihood(town):
    def log_likelihood(run):
        return -2 * 64 * (well(run) - 0.4) ** 2

    keys = jax.random.split(jax.random.key(1), 300)
    chosen = {"keys": keys, "fields": ["rate"], "combine": "log_mean_exp"}
    # Independent agents: the number still well is binomial.
    n, k = 64, np.arange(65)

    def truth(rate):
        p = (1 - rate) ** 10
        logs = np.cumsum(np.r_[0, np.log((n - k[1:] + 1) / k[1:])])
        logs = logs + k * np.log(p) + (n - k) * np.log1p(-p) - 128 * (k / n - 0.4) ** 2
        return np.logaddexp.reduce(logs)

    slope = (truth(0.1001) - truth(0.0999)) / 0.0002
    for estimator in ("crn", "score"):
        found = lpm.gradient(decay, town, log_likelihood, estimator=estimator, **chosen)
        assert found.value == pytest.approx(truth(0.1), abs=0.2)
        error = found.standard_error["rate"]
        assert abs(found.estimate["rate"] - slope) < 4 * error
        assert error < 0.2 * abs(slope)


def test_differences_stay_inside_the_domain_also_on_a_bound(town):
    on_bounds = growth.params.replace(boost=[0.0, 1e-6])
    found = lpm.gradient(growth, town, wealth, keys=[0, 1], params=on_bounds, fields=["boost"])
    value = 1.1**10
    assert found.estimate["boost"][0] == pytest.approx(0.07 * value, rel=2e-3)
    never = decay.params.replace(rate=0.0)
    lowest = lpm.gradient(
        decay, town, well, keys=range(200), params=never, fields=["rate"], step=0.02
    )
    # One-sided, and the third derivative of (1 - rate)**10 is -720.
    assert abs(lowest.estimate["rate"] + 10) < 4 * lowest.standard_error["rate"]
    assert lowest.standard_error["rate"] < 1
    sure = decay.params.replace(rate=1.0)
    highest = lpm.gradient(decay, town, well, keys=[0, 1], params=sure, fields=["rate"])
    assert highest.estimate["rate"] == pytest.approx(0, abs=1e-3)


@pytest.mark.gate
def test_batches_change_nothing_but_memory(town, monkeypatch):
    chosen = {"keys": [0, 1, 2], "fields": ["rate"]}
    whole = lpm.gradient(decay, town, well, **chosen)
    monkeypatch.setattr("lpm.fitting.runs.TOGETHER", 5 * 64)
    split = lpm.gradient(decay, town, well, **chosen)
    assert np.array_equal(whole.runs["rate"], split.runs["rate"])
    monkeypatch.setattr("lpm.fitting.runs.TOGETHER", 1)
    assert np.array_equal(
        whole.runs["rate"], lpm.gradient(decay, town, well, **chosen).runs["rate"]
    )


def test_the_same_keys_give_the_same_gradient_and_other_params_no_compilation(town):
    first = lpm.gradient(decay, town, well, keys=[0, 1], fields=["rate"], estimator="score")
    compiled = town.compiled["fitting", "reverse"][1]
    again = lpm.gradient(decay, town, well, keys=[0, 1], fields=["rate"], estimator="score")
    assert np.array_equal(first.runs["rate"], again.runs["rate"])
    other = decay.params.replace(rate=0.2)
    chosen = {"fields": ["rate"], "estimator": "score", "params": other}
    assert lpm.gradient(decay, town, well, keys=[0, 1], **chosen).value < first.value
    assert town.compiled["fitting", "reverse"][1] is compiled
    assert compiled._cache_size() == 1
    assert first.cost == 64 * 10 * 2 * 5


def test_a_table_has_a_row_for_each_element(town):
    found = lpm.gradient(growth, town, wealth, keys=[0, 1])
    assert found.table["field"].to_list() == ["rate", "boost[0]", "boost[1]"]
    assert found.table.columns == ["field", "estimate", "standard_error", "gap"]
    assert "boost[1]" in found._repr_html_()


def test_an_estimator_may_be_a_function(town):
    found = lpm.gradient(
        growth, town, wealth, keys=[0, 1], fields=["boost"], estimator=Differences(0.05, (0.5,))
    )
    assert found.gap == {}
    assert found.estimator == "Differences"


def read_ahead(run):
    return fallen(run) / (2 - run.observed["well"][-1])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fields": ["rat"]}, ScenarioError, "no field .rat.*did you mean .rate"),
        ({"fields": ["target"]}, ScenarioError, "target is a policy, not a parameter; pass of="),
        ({"fields": ["number"], "of": "policy"}, ScenarioError, "number is not a float"),
        ({"fields": []}, ScenarioError, "at least one"),
        ({"of": "constant"}, ScenarioError, "no float field with the role 'constant'"),
        ({"of": "luck"}, ScenarioError, "no role"),
        ({"estimator": "magic"}, ScenarioError, "no estimator .magic.; it has .crn"),
        ({"keys": 0}, FittingError, "single key"),
        ({"keys": [0], "estimator": "score"}, FittingError, "two keys or more"),
        ({"every": 3, "estimator": "score"}, FittingError, "does not divide"),
        ({"combine": "median"}, FittingError, "'mean' or 'log_mean_exp'"),
        ({"step": 0.0}, FittingError, "step of rate is 0.0"),
        ({"loss": lambda run: run.observed["well"][:3]}, FittingError, r"float32\[3\]; it must be"),
        ({"loss": lambda run: jnp.argmax(run.observed["well"])}, FittingError, r"int32\[\]"),
        ({"loss": lambda run: 1}, FittingError, "is int"),
        ({"loss": read_ahead, "estimator": "score"}, FittingError, "depends on later rows"),
        (
            {"loss": lambda run: jnp.log(run.observed["well"] - run.observed["well"][3])},
            FittingError,
            "row 3 of the loss is not finite in run 0 at the start",
        ),
        (
            {"loss": lambda run: jnp.sqrt(well(run) - well(run)), "estimator": "mean_field"},
            FittingError,
            "gradient by rate is not finite under mean_field in run 0",
        ),
    ],
)
def test_what_cannot_be_differentiated_is_refused_in_words(changes, error, message, town):
    chosen = {"loss": well, "keys": [0, 1], **changes}
    with pytest.raises(error, match=message):
        lpm.gradient(decay, town, chosen.pop("loss"), **chosen)


def test_an_estimator_that_a_scenario_does_not_have_is_refused_before_any_run(town):
    with pytest.raises(ScenarioError):
        lpm.gradient(
            labour,
            labour.population(64),
            lambda run: run.observed["welfare"][-1],
            keys=[0, 1],
            estimator="mean_field",
            of="policy",
            steps=2,
        )


def overspend(state, params, draw):
    return state.replace(well=state.well * 0.5 + 4 * params.rate)


def test_a_difference_that_leaves_the_bounds_of_a_variable_names_itself(town):
    broken = decay.replace(processes=(overspend,), params=Params(rate=0.124))
    with pytest.raises(SimulationError, match=r"State.well left.* in run 0 with rate = 0.12953"):
        lpm.gradient(broken, town, well, keys=[0, 1], fields=["rate"])


@pytest.mark.gate
def test_differences_agree_with_plain_ensembles_of_a_household_epidemic():
    town = lpm.Population.toy(300)
    params = sir.params.replace(seeded=0.02)
    keys = jax.random.split(jax.random.key(0), 16)

    def attack(run):
        return run.observed["attack_rate"][-1]

    found = lpm.gradient(
        sir, town, attack, keys=keys, params=params, steps=20, fields=["beta_home"]
    )
    z = np.log(0.2 / 4.8)
    above, below = (5 / (1 + np.exp(-z - h)) for h in (0.05, -0.05))
    two = lpm.ensemble(
        sir, town, keys=keys, steps=20, params=params.replace(beta_home=[below, above])
    )
    ends = np.asarray(two.observed["attack_rate"], np.float64)[..., -1]
    plain = (ends[1] - ends[0]) / (above - below)
    assert found.runs["beta_home"] == pytest.approx(plain, rel=1e-3, abs=1e-4)


@pytest.mark.gate
def test_the_final_size_moves_with_R0_as_the_closed_form_says():
    """1 - z = exp(-R0 z): at R0 = 2 the slope dz/dR0 is z (1 - z) / (1 - R0 (1 - z)) = 0.2727."""
    town = lpm.Population.toy(50_000)
    params = mixed.params.replace(seeded=0.001)
    found = lpm.gradient(
        mixed,
        town,
        lambda run: run.observed["attack_rate"][-1],
        keys=jax.random.split(jax.random.key(0), 16),
        params=params,
        step=0.1,
    )
    # Seeds of 0.1 % lower the slope by less than 1 %.
    assert found.estimate["R0"] == pytest.approx(0.2727, rel=0.05)
    assert found.standard_error["R0"] < 0.02 * 0.2727


@pytest.mark.gate
def test_the_score_is_unbiased_on_a_small_epidemic():
    town = lpm.Population.toy(60)
    params = sir.params.replace(seeded=0.05)

    def attack(run):
        return run.observed["attack_rate"][-1]

    keys = jax.random.split(jax.random.key(9), 4000)
    chosen = {"keys": keys, "params": params, "steps": 25}
    score = lpm.gradient(sir, town, attack, estimator="score", **chosen)
    crn = lpm.gradient(sir, town, attack, **chosen)
    for name in ("beta_home", "beta_work"):
        error = np.hypot(score.standard_error[name], crn.standard_error[name])
        assert abs(score.estimate[name] - crn.estimate[name]) < 4 * error
        assert error < 0.25 * abs(crn.estimate[name])


@pytest.mark.gate
def test_welfare_moves_with_the_tax_rate_as_differences_say():
    town = labour.population(2_000)

    def welfare(run):
        return run.observed["welfare"][-1]

    chosen = {"keys": [0, 1, 2, 3], "of": "policy", "fields": ["tax_rate"]}
    for rate in (0.2, 0.5, 0.8):
        params = labour.params.replace(tax_rate=rate)
        through = lpm.gradient(
            labour, town, welfare, estimator="straight_through", params=params, **chosen
        )
        crn = lpm.gradient(labour, town, welfare, params=params, step=0.01, **chosen)
        assert through.estimate["tax_rate"] == pytest.approx(
            crn.estimate["tax_rate"], rel=0.01, abs=2e-3
        )
