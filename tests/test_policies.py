"""`optimise` against closed forms, its constraints, and what it says when it fails."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.fitting.averaging import WorstShare
from lpm.fitting.differences import Differences
from lpm.fitting.lagrangian import Lagrangian, at_least, at_most, equal, pseudo_values
from lpm.fitting.objective import Objective
from lpm.fitting.policies import optimise
from lpm.fitting.rescoring import compare
from lpm.fitting.reverse import mean_field
from lpm.fitting.shapes import Allocation, Spline
from scenarios.labour_tax import scenario as labour

TARGET = np.linspace(0.3, 0.9, 6).astype(np.float32)
VALUE = np.array([1.0, 2.0, 3.0, 4.0], np.float32)


class Params(lpm.Params):
    plan: Float[Array, " element"] = lpm.policy(np.full(6, 0.3), within=(0, 1))
    share: Float[Array, " group"] = lpm.policy(np.full(4, 0.25), within=(0, 1))
    stake: Scalar = lpm.policy(0.5, within=(0, 1))
    shift: Scalar = lpm.parameter(0.0)
    noise: Scalar = lpm.constant(0.0)


class State(lpm.State):
    luck: Float[Array, " agent"]
    coin: Scalar


def init(population, params, draw):
    return State.of(
        population, luck=draw.normal("agent"), coin=draw.bernoulli(jnp.float32(0.1), "agent")[0]
    )


def wait(state, params, draw):
    return state.replace(luck=state.luck)


def observe(state, params):
    mean = jnp.mean(state.luck, where=state.alive)
    return {
        "quadratic": -jnp.sum((params.plan - TARGET - params.shift) ** 2) + params.noise * mean,
        "spent": jnp.sum(params.plan),
        "concave": jnp.sum(VALUE * jnp.sqrt(params.share)),
        # A stake doubles or is lost: on average it pays 0.8 of itself, in the worst case nothing.
        "gamble": params.stake * (2.0 * (1 - state.coin) - 1.0) + 0.2 * (1 - params.stake),
    }


model = lpm.Scenario(init, (wait,), observe, Params(), steps=1)


def quadratic(trajectory):
    return trajectory.observed["quadratic"][-1]


def spent(trajectory):
    return trajectory.observed["spent"][-1]


def concave(trajectory):
    return trajectory.observed["concave"][-1]


def gamble(trajectory):
    return trajectory.observed["gamble"][-1]


def solve(town, keys, welfare=quadratic, fields=("plan",), **more):
    more = {"budget": 1000, "fresh": 8} | more
    return optimise(model, town, welfare, keys=keys, fields=fields, **more)


def test_a_quadratic_has_its_top_where_it_should(town, keys):
    found = solve(town, keys)
    assert np.allclose(found.params.plan, TARGET, atol=0.05)
    assert found.welfare > -0.01
    assert found.against_random.verdict == "better"
    assert found.feasible
    assert found.runs <= 1000
    assert found.against_random.runs == found.runs


def test_a_linear_budget_shifts_all_and_has_its_price(town, keys):
    # The top of -|x - target|^2 with sum x = b: all shift by (b - sum target) / n; the multiplier
    # is minus twice that.
    limit = 2.4
    shift = (limit - TARGET.sum()) / 6
    found = solve(town, keys, budget=1500, constraints=[at_most(spent, limit, "budget")])
    row = found.constraints.to_dicts()[0]
    assert np.allclose(found.params.plan, TARGET + shift, atol=0.06)
    assert row["binds"]
    assert row["feasible"]
    assert row["multiplier"] == pytest.approx(-2 * shift, rel=0.15)
    assert "binds, a unit is worth" in str(found)


def test_a_limit_that_is_far_does_not_bind(town, keys):
    found = solve(town, keys, constraints=[at_most(spent, 5.9, "budget")])
    row = found.constraints.to_dicts()[0]
    assert not row["binds"]
    assert row["multiplier"] == 0
    assert np.allclose(found.params.plan, TARGET, atol=0.06)


def test_an_equality_is_kept(town, keys):
    found = solve(town, keys, budget=1500, constraints=[equal(spent, 4.2, "budget", slack=0.02)])
    assert found.feasible
    assert np.asarray(found.params.plan).sum() == pytest.approx(4.2, abs=0.021)


def test_what_cannot_be_met_is_named_with_the_best_there_is(town, keys):
    found = solve(town, keys, constraints=[at_least(spent, 9.0, "people reached")])
    assert not found.feasible
    assert str(found).startswith("NOT FEASIBLE")
    assert "people reached at least 9 cannot be met: at best it is 6" in str(found)
    assert found.against_random.verdict == "infeasible"


def test_constraints_that_exclude_each_other_are_named_so(town, keys):
    limits = [at_least(spent, 4.0, "enough"), at_most(spent, 2.0, "not too much")]
    assert "not all together" in str(solve(town, keys, constraints=limits))


def test_marginal_returns_of_an_allocation_are_equal(town, keys):
    # Of sum v sqrt(s) with sum s = 1: s is in proportion to v^2.
    found = solve(town, keys, concave, ("share",), shape=Allocation())
    assert np.allclose(found.params.share, VALUE**2 / np.sum(VALUE**2), atol=0.03)


def test_a_worst_share_avoids_the_gamble_that_a_mean_takes(town):
    keys = jax.random.split(jax.random.key(1), 16)
    bold = solve(town, keys, gamble, ("stake",), fresh=64)
    safe = solve(town, keys, gamble, ("stake",), combine=WorstShare(0.1), fresh=64)
    # The coin fails with 0.1: a stake is worth 0.8 on average and -1 in the worst tenth.
    assert bold.params.stake > 0.95
    assert safe.params.stake < 0.05
    assert safe.welfare == pytest.approx(0.2, abs=0.06)


def test_a_worst_share_of_two_values_is_known():
    # 1 with 0.3, else 0: the worst half of the losses has mean 0.6.
    losses = np.repeat([1.0, 0.0], [300, 700])[None]
    values = pseudo_values(WorstShare(0.5), losses)
    assert values.mean() == pytest.approx(0.6)
    # Its standard error by the delta method: sqrt(p (1 - p) / n) / share.
    error = values.std(ddof=1) / np.sqrt(1000)
    assert error == pytest.approx(np.sqrt(0.3 * 0.7 / 1000) / 0.5, rel=0.01)


def test_the_best_tax_is_that_of_a_scan(keys):
    town = labour.population(64)
    params = labour.params.replace(allowance=0.0)

    def welfare(trajectory):
        return trajectory.observed["welfare"][-1]

    rates = np.linspace(0, 0.95, 20).astype(np.float32)
    scan = lpm.ensemble(
        labour, town, keys=keys, params=params.replace(tax_rate=rates), steps=4, devices=1
    )
    expected = np.asarray(scan.observed["welfare"])[:, :, -1].mean(axis=1)
    found = optimise(
        labour,
        town,
        welfare,
        keys=keys,
        fields=["tax_rate"],
        params=params,
        steps=4,
        budget=400,
        fresh=8,
    )
    assert found.params.tax_rate == pytest.approx(rates[expected.argmax()], abs=0.06)


class Backwards:
    """Differences with the wrong sign."""

    def __call__(self, *asked):
        found = Differences(0.5)(*asked)
        wrong = {name: -x for name, x in found.gradients.items()}
        return type(found)(wrong, found.values, found.cost)


def test_a_gradient_of_the_wrong_sign_loses_to_random_search_and_says_so(town, keys):
    found = solve(town, keys, estimator=Backwards())
    assert found.against_random.verdict == "worse"
    assert "LOSES to random search" in str(found)
    assert "Backwards was taken without a check" in str(found)


def test_a_gradient_in_reverse_follows_goal_and_constraint(town, keys):
    target = np.linspace(0.2, 0.8, 24).astype(np.float32)
    params = Params().replace(plan=np.full(24, 0.3, np.float32))

    def observe_many(state, params):
        return {"fit": -jnp.sum((params.plan - target) ** 2), "spent": jnp.sum(params.plan)}

    def fit(trajectory):
        return trajectory.observed["fit"][-1]

    found = optimise(
        model.replace(observe=observe_many),
        town,
        fit,
        keys=keys,
        fields=["plan"],
        params=params,
        constraints=[at_most(spent, 10.0, "budget")],
        estimator=mean_field,
        fresh=8,
    )
    shift = (10 - target.sum()) / 24
    assert found.estimator == "mean_field"
    assert found.feasible
    assert np.allclose(found.params.plan, target + shift, atol=0.1)
    assert found.constraints["multiplier"][0] == pytest.approx(-2 * shift, rel=0.3)


def test_worlds_differ_by_draws_and_populations(town, roomy_town, keys):
    draws = {"shift": np.array([-0.1, 0.1, -0.1, 0.1], np.float32)}
    found = solve(town, keys, draws=draws)
    other = solve([town, roomy_town], keys)
    assert np.allclose(other.params.plan, TARGET, atol=0.05)
    # The mean over shifts of 0.1 to both sides has the same top, lower by 6 x 0.1^2.
    assert np.allclose(found.params.plan, TARGET, atol=0.05)
    assert found.welfare == pytest.approx(-0.06, abs=0.01)


class Posterior:
    def sample(self, key, n):
        return {"shift": 0.1 * jax.random.normal(key, (n,))}


def test_draws_come_from_a_posterior(town, keys):
    assert solve(town, keys, draws=Posterior(), budget=300).welfare < 0


def test_a_search_that_was_cut_off_gives_the_same_again(town, keys, tmp_path, monkeypatch):
    whole = solve(town, keys, budget=400)
    calls = []

    def stop(*asked):
        calls.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lpm.fitting.policies.random_search", stop)
        cut = solve(town, keys, budget=400, out=tmp_path / "a")
    assert (cut.finished, cut.against_random) == (False, None)
    assert np.array_equal(cut.params.plan, whole.params.plan)
    assert cut.welfare == whole.welfare
    assert f"{tmp_path / 'a'} resumes it" in str(cut)
    again = solve(town, keys, budget=400, out=tmp_path / "a")
    assert again.finished
    assert calls
    assert np.array_equal(again.params.plan, whole.params.plan)
    assert again.welfare == whole.welfare
    assert (tmp_path / "a" / "result.json").is_file()
    with pytest.raises(lpm.FittingError, match="holds another fit"):
        solve(town, keys, budget=500, out=tmp_path / "a")


@pytest.mark.parametrize("calls", [1, 4])
def test_ctrl_c_gives_the_best_policy_seen(calls, town, keys, tmp_path, monkeypatch):
    """Cut off after so many rounds of runs, in the screen and behind it."""
    evaluate, rounds = Objective.evaluate, []

    def cut_off(self, *asked):
        rounds.append(1)
        if len(rounds) == calls + 1:
            raise KeyboardInterrupt
        return evaluate(self, *asked)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "evaluate", cut_off)
        cut = solve(town, keys, budget=400, out=tmp_path / "a")
    assert not cut.finished
    assert "UNFINISHED" in str(cut)
    assert "not compared with random search" in str(cut)
    assert json.loads((tmp_path / "a" / "result.json").read_text())["against_random"] is None
    plan = np.asarray(cut.params.plan)
    if calls == 1:  # Nothing was seen but the start.
        assert np.allclose(plan, 0.3, atol=1e-3)
    else:
        best = cut.history.sort("welfare")["welfare"][-1]
        assert cut.welfare > cut.start_welfare
        # Differences show a point by the mean of its sides, which is lower by their curvature.
        assert cut.welfare >= best - 1e-4
    again = solve(town, keys, budget=400, out=tmp_path / "a")
    whole = solve(town, keys, budget=400)
    assert again.finished
    assert np.array_equal(again.params.plan, whole.params.plan)


def test_a_shape_lowers_the_number_of_elements(town, keys):
    found = solve(town, keys, shape=Spline(2), budget=400)
    assert len(found.table) == 2
    assert np.allclose(found.params.plan, TARGET, atol=0.05)
    assert "plan knot[0]" in found._repr_html_()


def test_a_multiplier_moves_by_penalty_times_violation():
    # Powell's step: multiplier + 10 x violation; the penalty grows where the violation stays.
    one = Lagrangian(np.array([1.0, 0.0]), WorstShare(1.0), [at_most(spent, 1.0, "x")], [1])
    outputs = np.array([[[0.0, 1.5], [0.0, 1.7]]])
    one.observe(outputs)
    one.update()
    assert one.multipliers[0, 0] == pytest.approx(6.0)
    one.observe(outputs)
    one.update()
    assert one.penalty[0, 0] == pytest.approx(30.0)
    _, weights = one.weigh(outputs)
    assert weights[0, :, 1].sum() == pytest.approx(12.0 + 30 * 0.6)


def test_only_what_is_feasible_may_win():
    one = Lagrangian(np.array([1.0, 0.0]), WorstShare(1.0), [at_most(spent, 1.0, "x")], [1])
    outputs = np.stack([np.tile([-5.0, 2.0], (8, 1)), np.tile([-1.0, 0.5], (8, 1))])
    found = compare(one, outputs, Params(), 10.0)
    assert found.difference == pytest.approx(4)
    assert found.verdict == "worse"
    assert "is not feasible while that of random search is" in str(found)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"budget": 20}, "twelve points with every key"),
        ({"optimiser": "newton"}, "'adam' or 'lbfgs'"),
        ({"draws": {"plan": np.zeros((2, 6))}}, "which the policy chooses"),
        ({"draws": {"shift": np.zeros((2, 6))}}, "draws of shift"),
        ({"draws": {"shift": np.zeros(2), "noise": np.zeros(3)}}, "numbers of draws differ"),
        ({"constraints": [at_most(lambda t: t.observed, 1.0)]}, "must be a float"),
        ({"constraints": [at_most(spent, 1.0)], "estimator": "surrogate"}, "knows no constraints"),
    ],
)
def test_a_wrong_request_is_refused(town, keys, more, message):
    with pytest.raises(lpm.FittingError, match=message):
        solve(town, keys, **more)
